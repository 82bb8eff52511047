"""A big leaderboard over real HTTP: how many requests it takes, how many it takes again, and what a second look sees."""

from __future__ import annotations

import base64
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from emurl.core.config import load_config
from emurl.core.engine import run_pipeline
from emurl.core.store import Store
from emurl.footage.leaderboard import pages
from emurl.footage.leaderboard.http import MINUTE_S, Session
from emurl.footage.leaderboard.pages import Shelf
from emurl.footage.leaderboard.rows import Collected
from emurl.footage.leaderboard.speedrun_com import Leaderboard, collect
from emurl.pipelines.speedrun.runs import RunsSettings
from tests.fixtures import board as footage_board
from tests.fixtures.board import CATEGORIES, Board, a_run
from tests.fixtures.http_server import Answer, Request, as_json, scripted

DAY = 86_400.0


class Clock:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Reader:
    """Reads a board again and again, as separate runs of emurl would: only the shelf is common to them."""

    def __init__(self, board: Board, folder: Path | None, origin: str, per_minute: int = 100) -> None:
        self.board, self.folder, self.origin, self.per_minute = board, folder, origin, per_minute
        self.clock, self.now = Clock(), 1e9
        board.origin = origin

    def read(self, game: str = "46w22l6r", categories: list[str] | None = None) -> tuple[Collected, int]:
        session = Session(5.0, per_minute=self.per_minute, clock=self.clock, sleep=self.clock.sleep)
        board = Leaderboard(f"{self.origin}/api/v1", session, Shelf(self.folder, 7 * DAY, now=lambda: self.now))
        return collect(board, game, categories or [], 100_000), session.requests


@pytest.fixture(scope="module")
def five_thousand() -> list[dict[str, Any]]:
    return [a_run(number) for number in range(5000)]


@pytest.mark.parametrize("game", ["46w22l6r", "Pokémon Red/Blue"])
def test_five_thousand_runs_in_twenty_five_pages_and_one_request_again(five_thousand: Any, tmp_path: Path, game: str):
    with scripted(board := Board(five_thousand)) as server:
        reader = Reader(board, tmp_path, server.origin)
        found, requests = reader.read(game)
        assert requests == len(server.requests) == 1 + 25 and len(found.rows) == 5000
        assert reader.clock.now == 0  # fewer than a minute may hold: nothing to wait for
        again, requests = reader.read(game)
    assert again == found and requests == 1


def test_the_floor_of_the_rate_limit_is_kept_and_not_much_more(five_thousand: Any):
    limit, minute = 10, 60.0
    clock, arrived, refused = Clock(), [], []

    def count(request: Request) -> Answer | None:
        arrived.append(clock.now)
        clock.now += 0.25  # what an answer takes
        if sum(clock.now - minute < at for at in arrived) > limit:
            refused.append(request)
            return as_json({"status": 420}, 420)
        return None

    with scripted(board := Board(five_thousand, count)) as server:
        reader = Reader(board, None, server.origin, per_minute=limit)
        reader.clock = clock
        found, requests = reader.read()
    assert len(found.rows) == 5000 and requests == 26 and not refused
    floor = (requests - 1) // limit * minute
    assert floor <= clock.now <= floor + (requests - 1) // limit * (MINUTE_S - minute) + limit * 0.25
    assert all(later - earlier >= minute for earlier, later in zip(arrived, arrived[limit:], strict=False))


@pytest.mark.parametrize("etags", [False, True])
def test_what_a_second_look_sees(tmp_path: Path, etags: bool):
    runs = [a_run(number) for number in range(450)]
    with scripted(board := Board(runs, etags=etags)) as server:
        reader = Reader(board, tmp_path, server.origin)
        first, _ = reader.read()
        before = len(server.requests)
        assert reader.read() == (first, 1)
        assert ("if-none-match" in server.requests[before].headers) is etags
        # Some that came at the end, over the page's edge: the page looked at, and the new one.
        runs += [a_run(number) for number in range(450, 650)]
        found, requests = reader.read()
        assert {row.run_id for row in found.rows} == {run["id"] for run in runs} and requests == 2
        assert reader.read()[1] == 1
        # One that was verified late, and so stands in the middle: everything behind it has moved.
        runs.append(a_run(9000, submitted=runs[100]["submitted"]))
        found, requests = reader.read()
        assert "run9000" in {row.run_id for row in found.rows} and requests == 1 + 4
        # One that was taken back.
        runs.pop(5)
        found, requests = reader.read()
        assert "run5" not in {row.run_id for row in found.rows} and len(found.rows) == 650 and requests == 1 + 4
        assert reader.read()[1] == 1
        # One mended in place on the last page is seen, one on an earlier page when the pages are a week old, not before.
        reader.now += 3 * DAY
        runs[-2]["videos"] = {"links": [{"uri": "https://youtu.be/mended649"}]}
        runs[20]["videos"] = {"links": [{"uri": "https://youtu.be/mended20"}]}
        found, requests = reader.read()
        urls = {row.url[-9:] for row in found.rows}
        assert requests == 1 and "mended649" in urls and "mended20" not in {url[-8:] for url in urls}
        reader.now += 3.9 * DAY
        assert reader.read()[1] == 1
        reader.now += 0.2 * DAY  # counted from when the pages were read, not from the last look
        before = len(server.requests)
        found, requests = reader.read()
        assert "mended20" in {row.url[-8:] for row in found.rows} and requests == 1 + 4
        asked = server.requests[before + 1 :]
        assert all(("if-none-match" in request.headers) is etags for request in asked)


def test_of_many_categories_the_newest_runs_of_the_game_are_looked_at(tmp_path: Path):
    categories = [{"id": f"c{n}", "name": f"Glitchless {n}", "type": "per-game"} for n in range(1, 6)]
    categories.append({"id": "g1", "name": "Any%", "type": "per-game"})
    runs = [a_run(n, category=f"c{1 + n % 5}") for n in range(300)]
    with scripted(board := Board(runs, categories=categories)) as server:
        reader = Reader(board, tmp_path, server.origin)
        first, requests = reader.read()
        assert len(first.rows) == 300 and requests == 1 + 1 + 5
        assert reader.read() == (first, 1)
        runs += [a_run(n, category="g1") for n in range(1000, 1050)]  # none of ours, and ours are pushed down
        assert reader.read() == (first, 1)
        runs.append(a_run(2000, category="c3"))
        found, requests = reader.read()
        assert len(found.rows) == 301 and requests == 1 + 5
        assert reader.read() == (found, 1)


def test_two_categories_are_two_requests(tmp_path: Path):
    runs = [a_run(n, category=f"c{1 + n % 2}") for n in range(500)]
    with scripted(board := Board(runs)) as server:
        reader = Reader(board, tmp_path, server.origin)
        found, _ = reader.read(categories=["Any%", "Any% Glitchless"])
        assert reader.read(categories=["Any%", "Any% Glitchless"]) == (found, 2) and len(found.rows) == 500


def test_a_list_deeper_than_the_server_goes_is_read_from_both_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "DEEPEST", 1000)
    monkeypatch.setattr(footage_board, "DEEPEST", 1000)
    runs = [a_run(number) for number in range(1700)]
    with scripted(board := Board(runs)) as server:
        reader = Reader(board, tmp_path, server.origin)
        found, requests = reader.read()
        assert len(found.rows) == found.runs == 1700 and requests == 1 + 5 + 4
        assert reader.read() == (found, 1)
        runs.append(a_run(1700))
        found, requests = reader.read()
        assert found.runs == 1701 and requests == 1 + 5 + 4
        runs += [a_run(number) for number in range(1701, 2300)]
        assert reader.read()[0].runs == 2000  # the middle cannot be had


def test_a_game_that_has_moved_on_is_asked_for_again(tmp_path: Path):
    categories = [dict(one) for one in CATEGORIES]
    with scripted(board := Board([a_run(1)], categories=categories)) as server:
        reader = Reader(board, tmp_path, server.origin)
        reader.read()
        categories.append({"id": "c9", "name": "New%", "type": "per-game"})
        board.runs.append(a_run(2, category="c9"))
        assert [row.run_id for row in reader.read(categories=["New%"])[0].rows] == ["run2"]


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b\x08 torn", b"[]"])
def test_a_shelf_that_was_damaged_is_as_good_as_none(tmp_path: Path, damage: bytes):
    with scripted(board := Board([a_run(n) for n in range(250)])) as server:
        reader = Reader(board, tmp_path, server.origin)
        found, requests = reader.read()
        for file in tmp_path.iterdir():
            file.write_bytes(damage)
        assert reader.read() == (found, requests) and reader.read()[1] == 1
        for file in tmp_path.iterdir():  # another emurl's
            kept = json.loads(gzip.decompress(file.read_bytes()))
            file.write_bytes(gzip.compress(json.dumps({**kept, "value": {"pages": [{"what": 1}], "tail": 0}}).encode()))
        assert reader.read() == (found, requests)


def test_the_stage_asks_for_little_again_even_when_forced(five_thousand: Any, tmp_path: Path):
    with scripted(board := Board(five_thousand)) as server:
        board.origin = server.origin
        settings = tmp_path / "settings.yaml"
        settings.write_text(
            f"store: {tmp_path / 'store'}\ntracking: {{wandb: false, tensorboard: false}}\n"
            f"runs: {{api_base: '{server.origin}/api/v1', game: pkmnredblue, categories: [Any% Glitchless], max_runs: 40}}\n"
        )
        config = load_config(settings)
        first = run_pipeline(config, ["runs"])[0].artifact
        asked = len(server.requests)
        assert asked == 2 + 25  # an abbreviation is redirected to the id
        second = run_pipeline(config, ["runs"], force=True)[0].artifact
        assert len(server.requests) - asked == second.metrics["requests"] == 1
        third = run_pipeline(load_config(settings, ["runs.max_runs=41"]), ["runs"])[0].artifact  # other settings, same board
        assert third.metrics["requests"] == 1 and third.metrics["videos"] == 41
        fourth = run_pipeline(load_config(settings, ["runs.recheck_days=0"]), ["runs"], force=True)[0].artifact
        assert fourth.metrics["requests"] == 2 + 25
    assert second.version == 2 and second.digest == first.digest
    table = pd.read_parquet(first.path("runs.parquet"))
    assert list(table.columns[:7]) == ["run_id", "category", "player", "time_s", "date", "url", "part"]
    assert len(table) == 40 and first.metrics["runs_read"] == 5000 and first.metrics["dropped"] == 4960
    dropped = json.loads(first.path("dropped.json").read_text())
    assert {one["reason"] for one in dropped} == {"slower than the 40 fastest (runs.max_runs)"} and len(dropped) == 4960
    with Store("memory://bucket/prefix").making(
        "speedrun", "runs", "f" * 64
    ) as output:  # of a remote store the local side has it
        assert output.cache is not None and output.cache.is_relative_to(Path(os.environ["EMURL_CACHE"]))
    assert Store(tmp_path / "store").stages() == ["runs"]  # what is kept for later is no artifact
    assert RunsSettings().fingerprint_values().keys().isdisjoint({"recheck_days"})


def test_a_password_is_sent_where_it_is_for_and_recorded_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with scripted(board := Board([a_run(n) for n in range(3)])) as server:
        board.origin = server.origin  # of the links that its pages give, which hold no password
        base = server.origin.replace("://", "://me:se%20cret@") + "/api/v1"
        off = ["tracking.wandb=false", f"store={tmp_path / 'store'}", "runs.game=pkmnredblue"]
        (made,) = run_pipeline(load_config(None, [f"runs.api_base={base}", *off]), ["runs"])
        sent = {request.headers.get("authorization") for request in server.requests}
        assert sent == {"Basic " + base64.b64encode(b"me:se cret").decode()}
        (same,) = run_pipeline(load_config(None, [f"runs.api_base={server.origin}/api/v1", *off]), ["runs"])
    assert same.skipped and made.artifact.settings["api_base"] == f"{server.origin}/api/v1"
    kept = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    kept += [gzip.decompress(data) for data in kept if data.startswith(b"\x1f\x8b")]
    assert len(kept) > 5 and not [data for data in kept if b"cret" in data] and "cret" not in "".join(capfd.readouterr())


def test_a_password_is_not_taken_along_to_another_host():
    with scripted(lambda request: as_json({"data": []})) as other:
        away = Answer(status=302, headers={"Location": f"{other.origin}/api/v1"})
        with scripted(lambda request: away) as server:
            session = Session(5.0)
            base = session.sign_in(server.origin.replace("://", "://me:secret@"))
            session.get(base)
            session.get(other.origin)
        assert [one.headers["authorization"][:6] for one in server.requests] == ["Basic "]
        assert len(other.requests) == 2 and not [one for one in other.requests if "authorization" in one.headers]
