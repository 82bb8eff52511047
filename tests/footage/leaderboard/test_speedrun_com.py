"""The leaderboard client against a scripted server over real HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emurl.core.config import load_config
from emurl.core.errors import InputError, WorkError
from emurl.footage.leaderboard.http import Session
from emurl.footage.leaderboard.links import canonical, video_id, video_links
from emurl.footage.leaderboard.rows import rows_of, slim
from emurl.footage.leaderboard.speedrun_com import Category, Game, Leaderboard, choose, collect
from tests.fixtures.board import Board, a_run
from tests.fixtures.http_server import Answer, Request, as_json, scripted
from tests.fixtures.tls import FILE, certificate, hang_up


def read(
    board: Board, game: str = "46w22l6r", categories: list[str] | None = None, **session: Any
) -> tuple[Any, Any, list[float]]:
    slept: list[float] = []
    with scripted(board) as server:
        board.origin = server.origin
        client = Session(5.0, **{"sleep": slept.append, **session})
        found = collect(Leaderboard(f"{server.origin}/api/v1", client), game, categories or [], 10_000)
        return found, server.requests, slept


def test_pages_are_followed_to_the_end_two_hundred_at_a_time():
    found, requests, _ = read(Board([a_run(n) for n in range(450)]))
    assert [row.run_id for row in found.rows] == [f"run{n}" for n in range(450)]
    pages = [request for request in requests if request.path.startswith("/api/v1/runs")]
    assert len(pages) == 3 and len(requests) == 4
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
    assert len(requests) == 3 and len(found.rows) == 1


@pytest.mark.parametrize(
    ("game", "requests"), [("46w22l6r", 2), ("pkmnredblue", 3), ("pokémon red/blue", 2), ("Pokemon  Red/Blue", 2), ("POK", 0)]
)
def test_a_game_is_known_by_id_abbreviation_and_name(game: str, requests: int):
    if not requests:  # found by the server, and still not what was asked for
        with pytest.raises(InputError, match=r"runs\.game: .*'POK', expected for example Pokémon Red/Blue \(46w22l6r\)"):
            read(Board([a_run(1)]), game)
        return
    found, asked, _ = read(Board([a_run(1)]), game)
    assert len(found.rows) == 1 and found.game == "Pokémon Red/Blue" and len(asked) == requests


def test_a_server_that_embeds_nothing_is_asked_for_the_categories():
    found, asked, _ = read(Board([a_run(1)], embeds=False))
    assert len(found.rows) == 1 and [request.path for request in asked][1] == "/api/v1/games/46w22l6r/categories"


def test_an_unknown_game_and_an_unknown_category_are_named():
    with pytest.raises(InputError, match=r"runs\.game: .*'Tetris'"):
        read(Board([]), "Tetris")
    with pytest.raises(InputError, match=r"runs\.game: empty"):
        read(Board([]), " ")
    with pytest.raises(InputError, match=r"runs\.categories: no category 'Low%', expected some of Any% Glitchless, Any%"):
        read(Board([]), categories=["Low%"])


def asked_for(requests: list[Any]) -> list[str]:
    return [parse_qs(urlsplit(r.path).query)["category"][0] for r in requests if "/runs" in r.path]


def test_glitched_miscellaneous_and_level_categories_are_read_only_when_named():
    found, requests, _ = read(Board([a_run(1)]))
    assert asked_for(requests) == ["c1"] and found.left_out.endswith(": Any%")
    _, requests, _ = read(Board([a_run(1)]), categories=["any%", "c1", "Any% glitchless", "Catch ’Em All"])
    assert asked_for(requests) == ["c2", "c1", "c3"]
    plain = [Category("a", "Any%", False), Category("b", "100%", False), Category("m", "Meme%", True)]
    assert choose(Game("g", "g", "G", tuple(plain)), [])[0] == plain[:2]  # no glitchless ones: all that are not miscellaneous
    with pytest.raises(InputError, match="has no category of its own"):
        choose(Game("g", "g", "G", tuple(plain[2:])), [])


def test_the_settings_for_pokemon_red_name_its_glitchless_categories():
    runs = load_config("configs/pokemon_red.yaml").runs
    assert (runs.game, runs.categories) == ("46w22l6r", ["wk6oork1", "02qo3wpk"])
    # and without any settings the glitched ones are left out, as the board's own names tell
    names = {"wk6oork1": "Any% Glitchless", "02qo3wpk": "Any% Glitchless (Classic)", "jdr77526": "Any% No Save Corruption",
             "02qvyl9d": "Any%", "xd1r0ozk": "Catch 'Em All"}  # fmt: skip
    game = Game("x", "46w22l6r", "Pokémon Red/Blue", tuple(Category(key, name, False) for key, name in names.items()))
    assert [one.id for one in choose(game, [])[0]] == runs.categories


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
        a_run(9, videos={"text": "youtu.be/partone1 then www.twitch.tv/videos/99", "links": [{"uri": "mailto:a@b.c"}]}),
        a_run(10, videos={"links": [{"uri": "https://www.twitch.tv/somebody"}]}),  # whatever is live there now
        a_run(11, videos={"links": [{"uri": "https://youtu.be/video5"}, {"uri": "https://youtu.be/second11"}]}),
        a_run(12, status={"status": "new"}),
        a_run(13, id="../../etc/passwd"),
        a_run(14, times=None),
        a_run(15, times={"primary_t": float("nan")}),
        a_run(16, players={"data": [{"rel": "guest", "name": "\x1b[2Jevil\nname\ud800"}, {"rel": "user", "id": "u9"}]}),
    ]
    found, _, _ = read(Board(runs))
    rows = {(row.run_id, row.part): row for row in found.rows}
    assert sorted(rows) == [
        ("run11", 2), ("run16", 1), ("run3", 1), ("run3", 2), ("run4", 1), ("run5", 1), ("run9", 1), ("run9", 2)
    ]  # fmt: skip
    assert rows["run3", 1].url == "https://www.twitch.tv/videos/123456" and rows["run3", 2].url.endswith("/654321")
    assert rows["run3", 1].parts == 2
    assert rows["run9", 1].url == "https://www.youtube.com/watch?v=partone1" and rows["run9", 2].url.endswith("/videos/99")
    assert rows["run4", 1].player == "old timer" and rows["run4", 1].date == "2014-03-02"
    assert rows["run5", 1].date is None and rows["run5", 1].player == "unknown"
    assert rows["run16", 1].player == "[2Jevil name, u9"
    assert found.runs == 15
    assert sorted((one.run_id, one.reason) for one in found.dropped) == [
        ("../../etc/passwd", "its id is none"),
        ("run1", "no video"),
        ("run10", "no link to a video in the video field"),
        ("run11", "its video belongs to run run5"),
        ("run14", "no time"),
        ("run15", "no time"),
        ("run2", "no link to a video in the video field"),
        ("run6", "its video belongs to run run4"),
        ("run7", "no time"),
        ("run8", "no link to a video in the video field"),
    ]


def test_the_fastest_runs_are_kept():
    board = Board([a_run(n, times={"primary_t": t}) for n, t in enumerate([30, 10, 20, 40])])
    with scripted(board) as server:
        found = collect(Leaderboard(f"{server.origin}/api/v1", Session(5.0)), "46w22l6r", [], 2)
    assert [row.run_id for row in found.rows] == ["run1", "run2"]
    assert found.runs == 4
    assert {one.run_id: one.reason for one in found.dropped} == dict.fromkeys(
        ["run0", "run3"], "slower than the 2 fastest (runs.max_runs)"
    )


@pytest.mark.parametrize(("status", "pause"), [(420, 15.0), (429, 15.0), (500, 2.0), (503, 2.0)])
def test_a_page_that_fails_twice_is_asked_for_again(status: int, pause: float):
    failures = iter([as_json({}, status, **{"Retry-After": "7"}), as_json({}, status)])
    board = Board([a_run(1)], lambda request: next(failures, None) if "/runs" in request.path else None)
    found, requests, slept = read(board)
    assert len(found.rows) == 1 and sum("/runs" in request.path for request in requests) == 3
    # As long as the server asks; else a growing pause, and a long one where it says that we ask too often.
    assert slept == [7.0, pause]


def test_a_server_that_counts_asks_no_more_than_it_can_wait_for():
    board = Board([], lambda request: as_json({}, 429) if "/runs" in request.path else None)
    slept: list[float] = []
    with pytest.raises(WorkError, match="gave up after 6 tries"):
        read(board, sleep=slept.append)
    assert sum(slept) > 60  # the minute it counts is over before we give up


def test_a_retry_after_is_a_number_or_a_date_and_has_an_end():
    from datetime import UTC, datetime, timedelta
    from email.utils import format_datetime

    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    headers = iter([{"Retry-After": soon}, {"Retry-After": "soon"}, {"Retry-After": "-5"}, {"Retry-After": "7200"}])

    def later(request: Request) -> Answer | None:
        return as_json({}, 503, **next(headers)) if "/runs" in request.path else None

    slept: list[float] = []
    with pytest.raises(WorkError, match="status 503, the server asks to come back in 120 minutes"):
        read(Board([], later), sleep=slept.append)
    assert 38 < slept[0] <= 40 and slept[1:] == [2.0, 4.0]


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
        if "/games" in request.path and not calls:
            calls.append(1)
            time.sleep(0.6)

    slept: list[float] = []
    with scripted(Board([a_run(1)], slow_once)) as server:
        client = Session(0.3, sleep=slept.append)
        assert Leaderboard(f"{server.origin}/api/v1", client).game("46w22l6r").categories
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
    assert 120 < now[0] < 160  # and not much slower than that


def test_requests_that_a_redirect_asks_for_are_counted_too():
    now = [0.0]
    arrived: list[float] = []

    def answer(request: Request) -> Answer:
        arrived.append(now[0])
        number = int(request.path[1:])
        return Answer(status=302, headers={"Location": f"/{number - 1}"}) if number % 3 else as_json({"data": {}})

    with scripted(answer) as server:
        client = Session(5.0, per_minute=10, clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
        for _ in range(12):
            client.get(f"{server.origin}/2")
    assert client.requests == len(arrived) == 36
    assert all(later - earlier >= 60 for earlier, later in zip(arrived, arrived[10:], strict=False))


@pytest.mark.parametrize("base", ["http://127.0.0.1:9/api/v1", "http://no-such-host.invalid/api/v1", "not an address"])
def test_an_unreachable_leaderboard_is_the_users_to_mend(base: str):
    with pytest.raises(InputError) as failure:
        Leaderboard(base, Session(5.0, sleep=lambda s: None)).game("x")
    line = str(failure.value)
    assert base in line and "runs.api_base" in line and "\n" not in line


def test_a_handshake_that_is_cut_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    context = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / FILE))
    slept: list[float] = []
    with scripted(lambda request: as_json({"data": {"id": "x"}}), context) as server:
        heard = hang_up(server, 3)
        assert Session(5.0, sleep=slept.append).get(f"{server.origin}/x").data == {"data": {"id": "x"}}
    assert len(heard) == 3 and slept == [1.0, 2.0, 4.0]


def test_a_server_that_cuts_every_handshake_is_given_up(tmp_path: Path):
    told = pytest.raises(WorkError, match=r"gave up after 6 tries \(the TLS handshake was cut")
    with scripted(lambda request: as_json({}), certificate(tmp_path)) as server, told:
        hang_up(server, 6)
        Session(5.0, sleep=lambda seconds: None).get(f"{server.origin}/x")


def test_a_connection_cut_before_the_first_answer_is_tried_again():
    with scripted(lambda request: as_json({"data": {}})) as server:
        heard = hang_up(server, 3)
        assert Session(5.0, sleep=lambda seconds: None).get(f"{server.origin}/x").data == {"data": {}}
    assert len(heard) == 3


def test_a_server_without_tls_is_the_users_to_mend():
    told = pytest.raises(InputError, match="no TLS can be agreed on, expected an https:// server there")
    with scripted(lambda request: as_json({})) as server, told:
        Session(5.0, sleep=lambda seconds: None).get(server.origin.replace("http:", "https:"))


def test_nobodys_name_is_told_and_a_netrc_that_cannot_be_read_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def answer(request: Request) -> Answer:
        return as_json({"data": {}}) if request.path == "/b" else Answer(status=302, headers={"Location": "/b"})

    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for text in (b"machine 127.0.0.1 login me password secret\n", b"machine 127.0.0.1 login caf\xe9 password x\n"):
        (tmp_path / "netrc").write_bytes(text)
        with scripted(answer) as server:
            assert Session(5.0).get(f"{server.origin}/a").data == {"data": {}}
            assert len(server.requests) == 2 and not any("authorization" in request.headers for request in server.requests)


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
    for spellings in (
        (
            "http://www.twitch.tv/red/v/42?t=1h",
            "https://player.twitch.tv/?video=v42",
            "https://m.twitch.tv/videos/42",
            "twitch.tv/videos/42",
        ),
        ("https://vimeo.com/123?share=copy", "https://player.vimeo.com/video/123", "http://vimeo.com/channels/x/123"),
        ("https://www.nicovideo.jp/watch/sm9?ref=x", "https://nico.ms/sm9", "http://sp.nicovideo.jp/watch/sm9"),
        ("https://EXAMPLE.org:443/a.mp4?utm_source=x#t=4", "https://www.example.org/a.mp4/"),
    ):
        assert len({canonical(link) for link in spellings}) == 1 and canonical(spellings[0]) is not None, spellings
    for nothing in (
        "https://www.twitch.tv/red", "https://www.twitch.tv/red/videos", "https://www.youtube.com/@red", "https://youtu.be/../x",
        "https://www.youtube.com/playlist?list=PL1", "https://example.org/\x1b[31m", "https://example.org/" + "x" * 3000, "https://\ud800.org/x",
    ):  # fmt: skip
        assert canonical(nothing) is None, nothing
    # What differs only in how it is fetched is the same video; what differs in what is asked for is not.
    assert video_id("http://example.org:81/a.mp4") == video_id("https://example.org/a.mp4")
    assert video_id("https://example.org/a.mp4?n=1") != video_id("https://example.org/a.mp4?n=2")
    assert canonical("http://[broken") is None
    assert len(video_links({"links": [{"uri": link} for link in same]})) == 1


@pytest.mark.parametrize(
    "link",
    [
        "https://www.youtube.com/watch?v=AbC123_-xyz?t=30", "https://www.youtube.com/watch?v=AbC123_-xyz%20", "youtu.be/AbC123_-xyz&t=30",
        "https://youtube.com/watch/AbC123_-xyz", "https://www.youtube.com/watch?v=AbC123_-xyz/", "https://www.youtube.com/v/AbC123_-xyz&hl=en",
        "https://www.youtube.com/attribution_link?a=x&u=%2Fwatch%3Fv%3DAbC123_-xyz%26feature%3Dshare",
    ],
)  # fmt: skip
def test_a_video_is_named_also_where_a_time_was_put_in_the_wrong_way(link: str):
    assert canonical(link) == "https://www.youtube.com/watch?v=AbC123_-xyz"


@pytest.mark.parametrize(
    "link",
    [
        "http://www.twitch.tv/red/c/5285812", "http://www.twitch.tv/red/b/577357806", "https://www.twitch.tv/collections/Some",
        "https://www.twitch.tv/red/about", "https://www.youtube.com/attribution_link?u=%2Fuser%2Fred",
        "https://www.youtube.com/attribution_link",
    ],
)  # fmt: skip
def test_an_address_of_a_video_that_is_gone_is_not_anothers(link: str):
    assert canonical(link) is None
    rows, reason = rows_of(a_run(1, videos={"links": [{"uri": link}]}), "c")
    assert not rows and reason == "no link to a video in the video field"


def test_a_clip_is_a_video():
    assert canonical("https://www.twitch.tv/red/clip/Nice-one_2?filter=all") == "https://www.twitch.tv/red/clip/Nice-one_2"


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
        again, why = rows_of(slim(value), "c")
        assert (again, why) == (rows, reason)  # what is kept of a run is enough
