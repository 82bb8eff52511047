"""The leaderboard client against a scripted server over real HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from footage_server import Answer, Request, as_json, scripted
from hypothesis import given
from hypothesis import strategies as st

from emurl.errors import InputError, WorkError
from emurl.speedruns.http import Session
from emurl.speedruns.leaderboard import Leaderboard, collect, rows_of
from emurl.speedruns.links import canonical, video_id, video_links

GAME = {"id": "46w22l6r", "names": {"international": "Pokémon Red/Blue"}, "abbreviation": "pkmnredblue"}
CATEGORIES = [
    {"id": "c1", "name": "Any% Glitchless", "type": "per-game", "miscellaneous": False},
    {"id": "c2", "name": "Any%", "type": "per-game", "miscellaneous": True},
    {"id": "l1", "name": "Route 1", "type": "per-level", "miscellaneous": False},
]


def a_run(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"run{number}", "game": GAME["id"], "category": "c1", "times": {"primary_t": 7000 + number},
        "videos": {"links": [{"uri": f"https://youtu.be/video{number}"}]}, "date": "2020-01-01",
        "players": {"data": [{"rel": "user", "id": "u1", "names": {"international": "Red"}}]}, **changes,
    }  # fmt: skip


class Board:
    """A speedrun.com of `runs`; `before` may answer first, to fail."""

    def __init__(self, runs: list[dict[str, Any]], before: Any = None) -> None:
        self.runs, self.before, self.origin = runs, before or (lambda request: None), ""

    def __call__(self, request: Request) -> Answer:
        found = self.before(request)
        if found is not None:
            return found
        address = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        match address.path.removeprefix("/api/v1").strip("/").split("/"):
            case ["games"]:
                return as_json({"data": [GAME] if "red" in query["name"].lower() else []})
            case ["games", "46w22l6r" | "pkmnredblue"]:
                return as_json({"data": GAME})
            case ["games", "46w22l6r", "categories"]:
                return as_json({"data": CATEGORIES})
            case ["runs"]:
                size, offset = int(query["max"]), int(query.get("offset", 0))
                page = self.runs[offset : offset + size]
                links = [{"rel": "prev", "uri": "http://127.0.0.1:1/never"}]
                if offset + size < len(self.runs):
                    uri = f"{self.origin}/api/v1/runs?{address.query.partition('&offset')[0]}&offset={offset + size}"
                    links.append({"rel": "next", "uri": uri})
                return as_json({"data": page, "pagination": {"offset": offset, "max": size, "size": len(page), "links": links}})
        return as_json({"status": 404, "message": "not found"}, 404)


def read(
    board: Board, game: str = "46w22l6r", categories: list[str] | None = None, **session: Any
) -> tuple[Any, Any, list[float]]:
    slept: list[float] = []
    with scripted(board) as server:
        board.origin = server.origin
        client = Session(5.0, sleep=slept.append, **session)
        found = collect(Leaderboard(f"{server.origin}/api/v1", client), game, categories or [], 10_000)
        return found, server.requests, slept


def test_pages_are_followed_to_the_end_two_hundred_at_a_time():
    found, requests, _ = read(Board([a_run(n) for n in range(450)]))
    assert [row.run_id for row in found.rows] == [f"run{n}" for n in range(450)]
    pages = [request for request in requests if request.path.startswith("/api/v1/runs")]
    assert len(pages) == 3 and len(requests) == 5
    query = parse_qs(urlsplit(pages[0].path).query)
    assert query["max"] == ["200"] and query["status"] == ["verified"] and query["category"] == ["c1"]
    assert all(request.headers["user-agent"].startswith("emurl/") for request in requests)


def test_a_next_link_that_leads_nowhere_new_ends_the_reading():
    def circle(request: Request) -> Answer | None:
        if "/runs" not in request.path:
            return None
        return as_json(
            {"data": [a_run(1)], "pagination": {"links": [{"rel": "next", "uri": f"{board.origin}/api/v1/runs?again"}]}}
        )

    board = Board([], circle)
    found, requests, _ = read(board)
    assert len(requests) == 4 and len(found.rows) == 1


@pytest.mark.parametrize("game", ["46w22l6r", "pkmnredblue", "pokémon red/blue"])
def test_a_game_is_known_by_id_abbreviation_and_name(game: str):
    found, _, _ = read(Board([a_run(1)]), game)
    assert len(found.rows) == 1


def test_an_unknown_game_and_an_unknown_category_are_named():
    with pytest.raises(InputError, match=r"runs\.game: .*'Tetris'"):
        read(Board([]), "Tetris")
    with pytest.raises(InputError, match=r"runs\.categories: no category 'Low%', expected some of Any% Glitchless, Any%"):
        read(Board([]), categories=["Low%"])


def test_miscellaneous_and_level_categories_are_read_only_when_named():
    _, requests, _ = read(Board([a_run(1)]))
    assert sum("/runs" in request.path for request in requests) == 1
    _, requests, _ = read(Board([a_run(1)]), categories=["any%", "c1"])
    assert [parse_qs(urlsplit(r.path).query)["category"][0] for r in requests if "/runs" in r.path] == ["c2", "c1"]


def test_what_people_write_into_the_video_field():
    text = "Part 1: https://www.twitch.tv/videos/123456 Part 2: (https://twitch.tv/user/v/654321), see you."
    runs = [
        a_run(1, videos=None),
        a_run(2, videos={"text": "lost"}),
        a_run(3, videos={"text": text}),
        a_run(4, players=[{"rel": "guest", "name": "old timer"}], date=None, submitted="2014-03-02T10:00:00Z"),
        a_run(5, date=None, submitted=None, players={"data": []}),
        a_run(6, videos={"links": [{"uri": "https://www.youtube.com/watch?v=video4&t=10s"}]}),
        a_run(7, times={"primary_t": 0}),
        a_run(8, videos={"text": "N/A", "links": [{"uri": "ftp://x/y"}, {"uri": "not a link"}, {}]}),
    ]
    found, _, _ = read(Board(runs))
    rows = {(row.run_id, row.part): row for row in found.rows}
    assert sorted(rows) == [("run3", 1), ("run3", 2), ("run4", 1), ("run5", 1)]
    assert rows["run3", 1].url == "https://www.twitch.tv/videos/123456" and rows["run3", 2].url.endswith("/654321")
    assert rows["run3", 1].parts == 2
    assert rows["run4", 1].player == "old timer" and rows["run4", 1].date == "2014-03-02"
    assert rows["run5", 1].date is None and rows["run5", 1].player == "unknown"
    assert dict(found.dropped) == {
        "run1": "no video",
        "run2": "no link in the video field",
        "run6": "video belongs to another run",
        "run7": "no time",
        "run8": "no link in the video field",
    }


def test_the_fastest_runs_are_kept():
    board = Board([a_run(n, times={"primary_t": t}) for n, t in enumerate([30, 10, 20, 40])])
    with scripted(board) as server:
        found = collect(Leaderboard(f"{server.origin}/api/v1", Session(5.0)), "46w22l6r", [], 2)
    assert [row.run_id for row in found.rows] == ["run1", "run2"]
    assert found.runs == 4 and len(found.dropped) == 2


@pytest.mark.parametrize("status", [420, 429, 500, 503])
def test_a_page_that_fails_twice_is_asked_for_again(status: int):
    failures = iter([as_json({}, status, **{"Retry-After": "7"}), as_json({}, status)])
    board = Board([a_run(1)], lambda request: next(failures, None) if "/runs" in request.path else None)
    found, requests, slept = read(board)
    assert len(found.rows) == 1 and sum("/runs" in request.path for request in requests) == 3
    assert slept == [7.0, 2.0]  # as long as the server asks, else a growing pause


def test_a_server_that_keeps_failing_is_given_up():
    board = Board([], lambda request: as_json({}, 500) if "/runs" in request.path else None)
    with pytest.raises(WorkError, match="gave up after 6 tries \\(status 500\\)"):
        read(board)


def test_a_broken_connection_in_the_middle_is_tried_again():
    cuts = iter([Answer(b"{}", length=500)])
    board = Board([a_run(1)], lambda request: next(cuts, None) if "/runs" in request.path else None)
    found, _, slept = read(board)
    assert len(found.rows) == 1 and len(slept) == 1


def test_a_slow_answer_times_out_and_is_tried_again():
    import time

    calls: list[int] = []

    def slow_once(request: Request) -> None:
        if "/categories" in request.path and not calls:
            calls.append(1)
            time.sleep(0.6)

    slept: list[float] = []
    with scripted(Board([a_run(1)], slow_once)) as server:
        client = Session(0.3, sleep=slept.append)
        assert Leaderboard(f"{server.origin}/api/v1", client).categories("46w22l6r", [])
    assert slept == [1.0]


def test_at_most_a_hundred_requests_in_any_minute():
    now = [0.0]
    sent: list[float] = []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with scripted(lambda request: as_json({"data": {}})) as server:
        client = Session(5.0, clock=lambda: now[0], sleep=sleep)
        for _ in range(250):
            client.get(f"{server.origin}/x")
            sent.append(now[0])
            now[0] += 0.1
    assert all(later - earlier >= 60 - 1e-6 for earlier, later in zip(sent, sent[100:], strict=False))
    assert now[0] < 160  # and not much slower than that


@pytest.mark.parametrize("base", ["http://127.0.0.1:9/api/v1", "http://no-such-host.invalid/api/v1", "not an address"])
def test_an_unreachable_leaderboard_is_the_users_to_mend(base: str):
    with pytest.raises(InputError) as failure:
        Leaderboard(base, Session(5.0, sleep=lambda s: None)).game("x")
    line = str(failure.value)
    assert base in line and "runs.api_base" in line and "\n" not in line


def test_a_page_of_html_is_no_leaderboard():
    page = Answer(b"<html>hello</html>", headers={"Content-Type": "text/html"})
    told = pytest.raises(InputError, match=r"runs\.api_base: .* answers text/html, expected JSON")
    with scripted(lambda request: page) as server, told:
        Leaderboard(server.origin, Session(5.0)).game("x")


def test_one_spelling_for_every_way_to_write_an_address():
    same = [
        "https://www.youtube.com/watch?v=AbC123_-xyz", "http://youtu.be/AbC123_-xyz?t=5", "https://m.youtube.com/watch?t=1&v=AbC123_-xyz",
        "https://www.youtube.com/embed/AbC123_-xyz", "https://youtube.com/live/AbC123_-xyz?feature=share",
    ]  # fmt: skip
    assert {canonical(link) for link in same} == {"https://www.youtube.com/watch?v=AbC123_-xyz"}
    assert canonical("http://www.twitch.tv/red/v/42?t=1h") == canonical("https://twitch.tv/videos/42")
    assert canonical("https://www.youtube.com/") is None and canonical("javascript:alert(1)") is None
    assert canonical("http://[broken") is None
    assert len(video_links({"links": [{"uri": link} for link in same]})) == 1


@given(st.text())
def test_a_name_is_safe_whatever_the_address(text: str):
    name = video_id("https://example.org/" + text.replace("[", "").replace("]", ""))
    assert len(name) == 16 and set(name) <= set("0123456789abcdef")


keys = st.sampled_from(["id", "videos", "links", "uri", "text", "times", "primary_t", "players", "data", "names", "date"])
leaves = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner)))
def test_no_json_makes_a_run_unreadable(value: Any):
    if isinstance(value, dict):
        rows, reason = rows_of(value, "c")
        assert bool(rows) != bool(reason)
