"""Everything a real site does wrong, at once and through the command line: a leaderboard whose videos fail in every way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest

from emurl.cli import main
from emurl.core.lease import hold_folder
from emurl.core.store import Store
from emurl.footage.download import downloader as download
from emurl.footage.leaderboard import http
from tests.fixtures.board import Board, a_run
from tests.fixtures.drawn_videos import SECONDS, make_sound, make_video
from tests.fixtures.http_server import Answer, Request, Scripted, as_json, ranged, scripted

ROOT = Path(__file__).resolve().parents[3]
HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = b"<!doctype html><html><head><title>Watch</title></head><body><h1>Please log in to watch</h1></body></html>"
Kind = Callable[[Request], Answer]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("made")
    return {"video": make_video(folder / "v.mp4"), "sound": make_sound(folder / "s.m4a")}


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_pause", lambda n: 0.01)
    monkeypatch.setattr(http, "TOO_MANY_PAUSE_S", 0.1)
    monkeypatch.setitem(http.Session.__init__.__kwdefaults__, "pause_s", 0.05)


class Site:
    """A leaderboard and its videos: run n links to /videos/<kind n>.mp4, answered by `kinds`."""

    def __init__(self, kinds: dict[str, Kind], time_s: float = SECONDS) -> None:
        self.kinds, self.time_s = kinds, time_s
        self.board = Board([], self.refuse)
        self.refusals: list[Answer] = []

    def refuse(self, request: Request) -> Answer | None:
        return self.refusals.pop() if self.refusals else None

    def __call__(self, request: Request) -> Answer:
        if request.path.startswith("/api/"):
            return self.board(request)
        if request.path.startswith("/login"):
            return Answer(PAGE, headers=dict(HTML))
        name = urlsplit(request.path).path.rpartition("/")[2].partition(".")[0]
        return self.kinds[name](request)

    def open(self, origin: str) -> None:
        self.board.origin = origin
        self.board.runs = [
            a_run(n, times={"primary_t": self.time_s}, videos={"links": [{"uri": f"{origin}/videos/{kind}.mp4"}]})
            for n, kind in enumerate(self.kinds)
        ]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Site], tuple[Scripted, list[str]]]]:
    """Opens a site; gives its server and the words of the command line that point at it."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def opened(site: Site, store: Path | None = None) -> tuple[Scripted, list[str]]:
            server = stack.enter_context(scripted(site))
            site.open(server.origin)
            settings = tmp_path / "settings.yaml"
            settings.write_text(
                f"store: {store or tmp_path / 'store'}\ntracking: {{wandb: false, tensorboard: false}}\n"
                f"runs: {{api_base: '{server.origin}/api/v1'}}\nvideos: {{retries: 2, parallel: 3}}\n"
            )
            return server, ["--config", str(settings), "--json"]

        yield opened


def table(store: Path, stage: str = "videos") -> pd.DataFrame:
    return pd.read_parquet(Store(store).get(stage).path(f"{stage}.parquet"))


def test_every_fault_at_once_costs_only_the_videos_it_hits(files: dict[str, bytes], start: Any, tmp_path: Path):
    video, tried = files["video"], dict.fromkeys(["cut", "busy", "twice"], 0)

    def cut(request: Request) -> Answer:  # hangs up at 50 %, twice
        reply = ranged(video, request)
        tried["cut"] += 1
        if tried["cut"] <= 2:
            reply.stop_after = len(reply.body) // 2
        return reply

    def failing(name: str, status: int) -> Kind:
        def answer(request: Request) -> Answer:
            tried[name] += 1
            return Answer(b"later", status, {"Retry-After": "0"}) if tried[name] <= 2 else ranged(video, request)

        return answer

    def lying(request: Request) -> Answer:
        reply = ranged(video, request)
        reply.length = len(reply.body) * 3 if reply.body else None
        return reply

    def hostile(request: Request) -> Answer:
        reply = ranged(video, request)
        reply.headers["Content-Disposition"] = 'attachment; filename="../../../evil%(id)s.sh"'
        return reply

    together, met = threading.Barrier(2), set()

    def in_company(request: Request) -> Answer:  # answered only while another is being asked for
        if request.path not in met:
            met.add(request.path)
            together.wait(20)
        return ranged(video, request)

    kinds: dict[str, tuple[Kind, str]] = {
        "good": (lambda request: ranged(video, request), "ok"),
        "left": (in_company, "ok"),
        "right": (in_company, "ok"),
        "cut": (cut, "ok"),
        "busy": (failing("busy", 429), "ok"),
        "twice": (failing("twice", 503), "ok"),
        "hostile": (hostile, "ok"),
        "lying": (lying, "network"),
        "missing": (lambda request: Answer(b"no", 404), "gone"),
        "wall": (lambda request: Answer(status=302, headers={"Location": "/login"}), "login"),
        "forbidden": (lambda request: Answer(b"no", 403), "login"),
        "page": (lambda request: Answer(PAGE, headers=dict(HTML)), "not_video"),
        "disguised": (lambda request: Answer(PAGE, headers={"Content-Type": "video/mp4"}), "not_video"),
        "sneaky": (
            lambda request: Answer(b"<html><video src='file:///etc/hostname'></video></html>", headers=dict(HTML)),
            "not_video",
        ),
        "away": (lambda request: Answer(status=302, headers={"Location": "file:///etc/hostname"}), "not_video"),
        "empty": (lambda request: ranged(b"", request), "not_video"),
        "truncated": (lambda request: ranged(video[: len(video) // 3], request), "too_short"),
        "sound": (lambda request: ranged(files["sound"], request, "audio/mp4"), "not_video"),
        "sounding": (lambda request: ranged(files["sound"], request), "not_video"),
    }
    site = Site({name: kind for name, (kind, _) in kinds.items()})
    server, words = start(site)
    site.board.runs += [
        a_run(90, id="../../../evil", videos={"links": [{"uri": f"{server.origin}/videos/good.mp4?evil"}]}),
        a_run(91, videos={"links": [{"uri": f"{server.origin}/videos/good.mp4?name=../../../../evil&x=%00%2e%2e/evil"}]}),
        a_run(92, videos={"links": [{"uri": f"file://{tmp_path}/settings.yaml"}]}),
    ]
    site.board.runs[-2]["times"] = {"primary_t": SECONDS}
    # The leaderboard is no better: it counts, then fails twice.
    site.refusals = [as_json({}, 500), as_json({}, 500), as_json({}, 420)]
    assert main(["run", "runs", "videos", *words]) == 0
    found = table(tmp_path / "store").set_index("run_id")
    expected = {f"run{n}": status for n, (_, status) in enumerate(kinds.values())} | {"run91": "ok"}
    assert found["status"].to_dict() == expected
    assert (found["reason"][found["status"] != "ok"] != "").all()
    assert not found["reason"].str.contains("\n").any() and not found["reason"].str.contains(str(tmp_path)).any()
    artifact = Store(tmp_path / "store").get("videos")
    for row in found[found["status"] == "ok"].itertuples():
        assert row.file == f"{row.video_id}.mp4" and artifact.path(f"videos/{row.file}").read_bytes() == video
        assert row.held_s == pytest.approx(SECONDS, abs=0.1)
    assert found["file"].notna().sum() == 8 == artifact.metrics["downloaded"]
    assert artifact.metrics["failed"] == len(found) - 8 and artifact.metrics["status_not_video"] == 7
    assert "videos.parquet says why" in artifact.manifest["notes"][0]
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name or path.suffix == ".sh"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["settings.yaml", "store"]
    # Whatever was cut was gone on with, not begun anew.
    starts = [r.headers["range"] for r in server.requests if "cut.mp4" in r.path and "range" in r.headers]
    assert starts and "bytes=0-" not in starts
    assert Store(tmp_path / "store").verify() == []


BAD: dict[str, Kind] = {
    "missing": lambda request: Answer(b"no", 404),
    "page": lambda request: Answer(PAGE, headers=dict(HTML)),
    "empty": lambda request: ranged(b"", request),
}


def test_when_every_video_is_bad_the_input_is_and_one_line_says_where_the_reasons_are(
    start: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    server, words = start(Site(dict(BAD)))
    assert main(["run", "runs", "videos", *words]) == 2
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("emurl: videos: none of 3 videos could be used (") and "2 not_video" in line and "1 gone" in line
    reasons = pd.read_csv(line.partition("every reason: ")[2].partition(";")[0])
    assert list(reasons.columns) == ["run_id", "video_id", "url", "status", "reason"]
    assert sorted(reasons["status"]) == ["gone", "not_video", "not_video"] and reasons["reason"].str.len().min() > 5
    assert Store(tmp_path / "store").versions("speedrun", "videos") == []


def test_when_the_network_had_a_part_in_it_the_work_failed(start: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    site = Site({**BAD, "down": lambda request: Answer(b"", 503)})
    server, words = start(site)
    assert main(["run", "runs", "videos", *words]) == 1
    assert "1 network" in capsys.readouterr().err and Store(tmp_path / "store").versions("speedrun", "videos") == []


def test_a_wrong_cookies_file_is_said_before_anything_is_fetched(start: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    server, words = start(Site(dict(BAD)))
    (tmp_path / "cookies.txt").write_text("[]")
    assert main(["run", "runs", "videos", *words, "--set", f"videos.cookies={tmp_path / 'cookies.txt'}"]) == 2
    assert "videos.cookies" in capsys.readouterr().err and not any("/videos/" in r.path for r in server.requests)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_of_a_download_the_next_run_goes_on(
    files: dict[str, bytes], start: Any, tmp_path: Path, end: signal.Signals
):
    video, stall = files["video"], threading.Event()

    def slow(request: Request) -> Answer:
        reply = ranged(video, request)
        if "range" not in request.headers and not stall.is_set():
            reply.stall = stall  # half of it, then nothing; the block that is being read then, up to a quarter, is not written
        return reply

    site = Site({"slow": slow, "quick": lambda request: ranged(video, request)})
    server, words = start(site)
    assert main(["run", "runs", *words]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "emurl", "run", "videos", *words],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    work, deadline, held = tmp_path / "store" / ".cache" / "videos" / "files", time.monotonic() + 60, 0
    while time.monotonic() < deadline and process.poll() is None:
        parts = list(work.glob("720p/*.video.part"))
        held = max([0, *(part.stat().st_size for part in parts)])
        if held > len(video) // 8 and list(work.glob("720p/*.mp4")):
            break
        time.sleep(0.02)
    began = time.monotonic()
    os.killpg(process.pid, end)
    # Ctrl-C while the server says nothing: a thread that waits for it is not waited for (its time-out is a minute).
    assert process.wait(60) == (130 if end == signal.SIGINT else -end) and held > len(video) // 8
    assert time.monotonic() - began < 15
    assert Store(tmp_path / "store").verify() == []
    stall.set()
    before = len(server.requests)
    assert main(["run", "videos", *words]) == 0
    asked = server.requests[before:]
    (left,) = [int(r.headers["range"][6:-1]) for r in asked if "range" in r.headers]
    assert left >= held and not any("quick" in r.path for r in asked)  # what was done is not done again
    artifact = Store(tmp_path / "store").get("videos")
    assert [path.read_bytes() for path in artifact.path("videos").iterdir()] == [video, video]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of our own of 1 MiB; needs root and the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0 or subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    ).returncode:  # fmt: skip
        pytest.skip("may not mount a small file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_on_a_full_disk_one_line_says_so_and_with_room_again_it_goes_on(
    files: dict[str, bytes], start: Any, small_disk: Path, capsys: pytest.CaptureFixture[str]
):
    video = files["video"]
    server, words = start(Site({"a": lambda r: ranged(video, r), "b": lambda r: ranged(video, r)}), small_disk / "store")
    assert main(["run", "runs", *words]) == 0
    # All of the first fits, half of the second does not.
    room = 1.5 * len(video) + sum(path.stat().st_size for path in small_disk.rglob("*") if path.is_file())
    subprocess.run(["mount", "-o", f"remount,size={int(room)}", str(small_disk)], check=True)
    assert main(["run", "videos", *words, "--set", "videos.parallel=1"]) == 1
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("emurl: videos: the disk of ") and line.endswith("is full; free some and run again")
    assert Store(small_disk / "store").verify() == [] and Store(small_disk / "store").versions("speedrun", "videos") == []
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    before = len(server.requests)
    assert main(["run", "videos", *words]) == 0
    assert not any("a.mp4" in r.path and "range" not in r.headers for r in server.requests[before:])
    assert any("range" in r.headers for r in server.requests[before:])
    assert table(small_disk / "store")["status"].tolist() == ["ok", "ok"]


def test_parts_are_rows_of_their_own_and_judged_together(files: dict[str, bytes], start: Any, tmp_path: Path):
    video = files["video"]
    site = Site({})
    server, words = start(site)

    def of(*names: str) -> dict[str, Any]:
        return {"text": " ".join(f"Part {n}: {server.origin}/videos/{name}.mp4" for n, name in enumerate(names, 1))}

    site.kinds = {name: (lambda request: ranged(video, request)) for name in "abcde"}
    site.kinds["lost"] = BAD["missing"]
    site.board.runs = [
        a_run(1, videos=of("a", "b"), times={"primary_t": 24.0}),
        a_run(2, videos=of("c", "d"), times={"primary_t": 60.0}),
        a_run(3, videos=of("e", "lost"), times={"primary_t": 24.0}, players={"data": [{"rel": "guest", "name": "x"}]}, date=None),
    ]
    assert main(["run", "runs", "videos", *words]) == 0
    runs, found = table(tmp_path / "store", "runs"), table(tmp_path / "store")
    assert list(runs.columns) == ["run_id", "category", "player", "time_s", "date", "url", "part", "parts", "video_id", "time_of"]
    assert runs["part"].tolist() == [1, 2] * 3 and (runs["parts"] == 2).all()
    assert found["status"].tolist() == ["ok", "ok", "ok", "gone", "too_short", "too_short"]
    assert found["reason"][2] == "kept, though only 1 of the run's 2 parts are there"


def test_a_rerun_fetches_only_what_is_not_there(files: dict[str, bytes], start: Any, tmp_path: Path):
    video = files["video"]
    site = Site({name: (lambda request: ranged(video, request)) for name in "abc"})
    site.kinds["b"] = BAD["missing"]
    server, words = start(site)
    store = Store(tmp_path / "store")
    assert main(["run", "runs", "videos", *words, "--set", "videos.max_videos=2"]) == 0
    asked = len(server.requests)

    def fetched() -> set[str]:
        return {r.path for r in server.requests[asked:] if "/videos/" in r.path}

    assert main(["run", "videos", *words]) == 0  # one more, and another try at what failed
    assert fetched() == {"/videos/b.mp4", "/videos/c.mp4"}
    site.kinds["b"] = site.kinds["a"]
    asked = len(server.requests)
    assert main(["run", "videos", *words, "--force"]) == 0
    assert fetched() == {"/videos/b.mp4"} and table(tmp_path / "store")["status"].tolist() == ["ok"] * 3
    assert [path.read_bytes() for path in store.get("videos").path("videos").iterdir()] == [video] * 3
    kept = sorted((tmp_path / "store" / ".cache" / "videos" / "files" / "720p").iterdir())
    assert len(kept) == 3 and all(path.stat().st_nlink >= 2 for path in kept)  # no second copy on the disk
    # Somebody else is at work there: downloads of our own.
    asked = len(server.requests)
    with hold_folder(kept[0].parent.parent.parent, "a test") as held:
        assert held
        assert main(["run", "videos", *words, "--force"]) == 0
    assert len(fetched()) == 3
    # Other formats are other files.
    asked = len(server.requests)
    assert main(["run", "videos", *words, "--set", "videos.max_height=480"]) == 0
    assert len(fetched()) == 3
    # What no artifact holds any more goes with the artifacts.
    assert main(["artifacts", "gc", "--store", str(tmp_path / "store"), "--keep", "1"]) == 0
    assert store.versions("speedrun", "videos") == [5] and not any(path.exists() for path in kept)
    assert len(list((tmp_path / "store" / ".cache").rglob("*.mp4"))) == 3 and store.verify() == []


def test_all_downloads_are_shown_in_one_bar():
    from emurl.core.tracking import Progress
    from emurl.pipelines.speedrun.videos import _Shown

    bar = Progress(3, "downloading", "videos", quiet=True)
    shown = _Shown(bar)

    def one(name: str) -> None:
        for done in range(0, 2_000_001, 1000):
            shown.bytes(name, done)
        shown.done("ok" if name != "b" else "gone")

    threads = [threading.Thread(target=one, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bar.done == 3 and bar.shown == {"MB": 6.0, "failed": 1}
