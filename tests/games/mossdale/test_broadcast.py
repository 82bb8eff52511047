"""The broadcast as its clients see it, and the three footage stages on it: leaderboard to frames over real HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests

from emurl import doctor
from emurl.core.config import load_config
from emurl.core.errors import InputError, WorkError
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.footage.dataset import BLANK, NOT_GAME, FrameReader
from emurl.footage.screen_finder.candidates import iou
from emurl.games import mossdale as cartridge
from emurl.games.mossdale.broadcast import Broadcast, show
from emurl.games.mossdale.broadcast.look import look_of
from emurl.games.mossdale.broadcast.paint import background, clock
from emurl.games.mossdale.broadcast.playthrough import Playthrough, screens
from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge
from emurl.games.settings import BroadcastSettings
from emurl.pipelines.speedrun import frames as frames_stage
from emurl.pipelines.speedrun import runs as runs_stage
from emurl.pipelines.speedrun import videos as videos_stage
from emurl.pipelines.speedrun.frames import FramesSettings
from emurl.pipelines.speedrun.runs import RunsSettings
from emurl.pipelines.speedrun.videos import VideosSettings
from tests.fixtures.http_server import as_json, scripted

RUNS = 3
ROOT = Path(__file__).resolve().parents[3]


def short_play(rom: Path, seed: int, of: Cartridge = MOSSDALE) -> Playthrough:
    """Through title and introduction and about, as chance has it: seventeen seconds."""
    rng = np.random.default_rng(seed)
    presses: list[tuple[int, str, bool]] = []
    for tick in range(120, 1000, 16):
        button = str(rng.choice(["a", "a", "start", "up", "down", "left", "right"]))
        presses += [(tick, button, True), (tick + 8, button, False)]
    end = 1000 + seed % 1000 * 7
    return Playthrough(tuple(presses), end, (("Intro", 400), ("Bedroom", 700), ("Goal", end)))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> BroadcastSettings:
    return BroadcastSettings(port=0, runs=RUNS, cache=str(tmp_path_factory.mktemp("cache")), seed=1)


@pytest.fixture(scope="module")
def broadcast(settings: BroadcastSettings) -> Iterator[Broadcast]:
    with Broadcast(settings, play=short_play) as one:
        yield one


@pytest.fixture(autouse=True)
def _short_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "_bot", short_play)


def get(broadcast: Broadcast, path: str, **params: Any) -> Any:
    return requests.get(f"{broadcast.api_base}/{path}", params=params, timeout=30)


def test_it_speaks_the_leaderboards_language(broadcast: Broadcast):
    (game,) = get(broadcast, "games", name="MOSS").json()["data"]
    assert get(broadcast, "games", name="zelda").json()["data"] == []
    assert get(broadcast, f"games/{game['abbreviation']}").json()["data"] == game
    with_categories = get(broadcast, f"games/{game['abbreviation']}", embed="categories").json()["data"]
    listed = get(broadcast, f"games/{game['id']}/categories").json()["data"]
    assert with_categories == {**game, "categories": {"data": listed}}
    category = get(broadcast, f"games/{game['id']}/categories").json()["data"][0]
    query = {"game": game["id"], "category": category["id"], "status": "verified", "embed": "players"}
    page = get(broadcast, "runs", **query, max=2).json()
    assert page["pagination"]["size"] == 2 and page["pagination"]["max"] == 2
    rest = requests.get(next(link["uri"] for link in page["pagination"]["links"] if link["rel"] == "next"), timeout=30).json()
    assert [link["rel"] for link in rest["pagination"]["links"]] == ["prev"]
    every = page["data"] + rest["data"]
    assert len({run["id"] for run in every}) == len(every) == RUNS + 1
    assert sum(run["videos"] is None for run in every) == 1
    assert sum("links" not in run["videos"] for run in every if run["videos"]) == 1  # a sentence with the link in it
    assert all(run["times"]["primary_t"] > 0 and run["players"]["data"] for run in every)
    assert get(broadcast, "runs", game=game["id"]).json()["pagination"]["size"] == RUNS + 2  # with the one not verified
    dates = [run["date"] or "" for run in get(broadcast, "runs", orderby="date", direction="desc").json()["data"]]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize(
    "path", ["games/none", "games/none/categories", "runs?game=none", "runs?category=none", "runs/none", "what"]
)
def test_unknown_ids_are_not_found(broadcast: Broadcast, path: str):
    answer = get(broadcast, path)
    assert answer.status_code == 404 and answer.json()["status"] == 404


def test_videos_are_served_by_range(broadcast: Broadcast):
    origin, entry = broadcast.api_base.removesuffix("/api/v1"), broadcast.entries[0]
    url = f"{origin}/videos/{entry.id}.mp4"
    whole = requests.get(url, timeout=120)
    data = whole.content
    assert whole.status_code == 200 and data == (broadcast.folder / f"{entry.id}.mp4").read_bytes()
    head = requests.head(url, timeout=30)
    assert head.headers["Content-Length"] == str(len(data)) and head.headers["Accept-Ranges"] == "bytes" and not head.content
    for asked, part in (("100-199", data[100:200]), (f"{len(data) - 10}-", data[-10:]), ("-25", data[-25:]), ("0-0", data[:1])):
        answer = requests.get(url, headers={"Range": f"bytes={asked}"}, timeout=30)
        assert answer.status_code == 206 and answer.content == part
        assert answer.headers["Content-Range"].endswith(f"/{len(data)}")
    beyond = requests.get(url, headers={"Range": f"bytes={len(data)}-"}, timeout=30)
    assert beyond.status_code == 416 and beyond.headers["Content-Range"] == f"bytes */{len(data)}"
    for name in ("none.mp4", "..%2fplay000.mp4", "%2e%2e/secret.mp4"):
        assert requests.get(f"{origin}/videos/{name}", timeout=30).status_code == 404


def test_what_was_made_is_not_made_again(broadcast: Broadcast, settings: BroadcastSettings):
    broadcast.video(broadcast.entries[0].id)
    before = {path.name: path.stat().st_mtime_ns for path in broadcast.folder.iterdir()}

    def never(rom: Path, seed: int) -> Playthrough:
        raise AssertionError("played again")

    again = Broadcast(settings, play=never)
    assert again.entries == broadcast.entries
    assert again.video(broadcast.entries[0].id) == broadcast.folder / f"{broadcast.entries[0].id}.mp4"
    assert again.missing([f"http://127.0.0.1:1/videos/{broadcast.entries[0].id}.mp4"]) == []
    assert {name: (broadcast.folder / name).stat().st_mtime_ns for name in before} == before
    other = Broadcast(settings.model_copy(update={"seed": 2}), play=short_play)
    assert other.key != broadcast.key and other.entries[0].look != broadcast.entries[0].look


def test_a_port_that_is_taken(broadcast: Broadcast, settings: BroadcastSettings):
    port = int(broadcast.api_base.split(":")[2].split("/")[0])
    with Broadcast(settings.model_copy(update={"port": port}), play=short_play) as same:
        assert same.api_base == broadcast.api_base and get(same, "games").status_code == 200
    assert get(broadcast, "games").status_code == 200  # the guest has not switched the host off
    other = Broadcast(settings.model_copy(update={"port": port, "seed": 9}), play=short_play)
    with pytest.raises(InputError, match=f"broadcast.port: {port}"), other:
        pass
    with scripted(lambda request: as_json({})) as stranger:
        taken = int(stranger.origin.rpartition(":")[2])
        foreign = Broadcast(settings.model_copy(update={"port": taken}), play=short_play)
        with pytest.raises(InputError, match=f"broadcast.port: {taken}"), foreign:
            pass


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(show, "_bot", short_play)
    (tmp_path / "file").touch()  # nothing can be made below it, also by who may write everywhere
    settings = BroadcastSettings(port=0, runs=1, cache=str(tmp_path / "file" / "cache"))
    with (
        pytest.raises(InputError, match=f"broadcast.cache: {tmp_path}/file/cache: cannot be written") as failure,
        Broadcast(settings),
    ):
        pass
    assert "port" not in str(failure.value)
    check = next(
        one for one in doctor.examine(load_config(None, [f"broadcast.cache={settings.cache}"])) if one.name == "leaderboard"
    )
    assert check.verdict == "missing" and str(tmp_path / "file" / "cache") in check.seen


def test_a_picture_that_cannot_be_written_is_the_folders_trouble(broadcast: Broadcast, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Broadcast, "_render", refuse)
    monkeypatch.setattr(broadcast, "folder", Path("nowhere/key"))
    with pytest.raises(InputError, match=r"broadcast\.cache: .*nowhere: cannot be written \(Permission denied\)"):
        broadcast.video(broadcast.entries[0].id)


@pytest.mark.parametrize("base", ["https://www.speedrun.com/api/v1", "http://127.0.0.1:9/api/v1", "http://example.org:8571/"])
@pytest.mark.parametrize("port", [0, 8600])
def test_another_leaderboard_beside_the_demos_is_refused(base: str, port: int):
    with pytest.raises(InputError) as failure:
        load_config(ROOT / "configs/demo.yaml", [f"runs.api_base={base}", f"broadcast.port={port}"])
    assert f"runs.api_base: {base} would not be read" in str(failure.value) and "\n" not in str(failure.value)
    assert load_config(ROOT / "configs/demo.yaml", [f"runs.api_base={base}", "broadcast=null"]).runs.api_base == base
    for own in (port, 8571):
        overrides = [f"broadcast.port={port}", f"runs.api_base=http://127.0.0.1:{own}/api/v1"]
        assert load_config(ROOT / "configs/demo.yaml", overrides).runs.broadcast is not None


@pytest.mark.parametrize("broadcast", ["broadcast.port=0", "broadcast=null"])
def test_a_leaderboard_at_no_address_is_refused(broadcast: str):
    with pytest.raises(InputError, match=r"runs\.api_base: http://\[broken "):
        load_config(ROOT / "configs/demo.yaml", ["runs.api_base=http://[broken", broadcast])


@pytest.mark.parametrize(("runs", "videos"), [(BroadcastSettings(), None), (None, BroadcastSettings())])
def test_videos_are_of_the_leaderboard_that_the_runs_are_of(runs: Any, videos: Any):
    manifest = {"stage": "runs", "version": 3, "metrics": {}, "settings": RunsSettings(broadcast=runs).model_dump(mode="json")}
    with pytest.raises(InputError, match=r"videos\.broadcast: runs@v3 was read from"):
        VideosSettings(broadcast=videos).settled({"runs": Artifact(Path(), manifest)})
    assert VideosSettings(broadcast=runs).settled({"runs": Artifact(Path(), manifest)}).broadcast == runs


def test_a_run_played_again_shows_the_same_screens():
    play = short_play(cartridge.rom_path(), 3)
    dense = list(screens(cartridge.rom_path(), play, 30, 0.5))
    sparse = list(screens(cartridge.rom_path(), play, 7.5, 0.5))
    assert len(dense) == int((play.ticks / 59.7275 + 0.5) * 30)
    # Screen n of the one is screen 4n of the other, whatever was rendered between.
    assert all(np.array_equal(one, dense[4 * n]) for n, one in enumerate(sparse) if 4 * n < len(dense))
    assert Playthrough.from_dict(json.loads(json.dumps(play.to_dict()))) == play


def test_no_two_streams_look_alike():
    looks = [look_of(0, number) for number in range(60)]
    assert len({(look.game, look.seed) for look in looks}) == 60 and len({look.runner for look in looks}) == 60
    assert {look.format.height for look in looks} == {360, 480} and {look.format.fps for look in looks} == {15, 25, 30, 60}
    assert len({(look.format, look.scale, look.smoothing, look.colors) for look in looks}) > 40
    for look in looks:
        for x, y, width, height in (look.game, look.panel, look.camera):
            assert x >= 0 and y >= 0 and x + width <= look.size[0] and y + height <= look.size[1]
        assert iou(look.game, look.panel) == 0 and 1.75 <= look.scale <= 3
        assert look.game[2] == round(160 * look.scale)
    assert background(looks[0]).shape == (*looks[0].size[::-1], 3) and background(looks[0]).std() > 10
    assert [clock(s) for s in (0, 7.39, 62.455, 3600)] == ["0:00.00", "0:07.39", "1:02.45", "1:00:00.00"]


class Footage:
    """The three stages, run on a folder."""

    def __init__(self, folder: Path, broadcast: BroadcastSettings) -> None:
        self.folder, self.broadcast = folder, broadcast
        self.frames = FramesSettings(fps=7.5, crop_config=None)

    def stage(self, module: Any, name: str, settings: Any, **inputs: Artifact) -> Artifact:
        work, done = self.folder / "work" / name, self.folder / name
        shutil.rmtree(work / "files", ignore_errors=True)
        (work / "files").mkdir(parents=True)
        (work / "scratch").mkdir(exist_ok=True)
        output = Output(folder=work / "files", scratch=work / "scratch")
        module.run(settings, inputs, output, Tracker.silent())
        shutil.rmtree(done, ignore_errors=True)
        (work / "files").rename(done)
        return Artifact(done, {"stage": name, "version": 1, "metrics": output.metrics, "settings": {}})

    def run(self) -> tuple[Artifact, Artifact, Artifact]:
        base = "http://127.0.0.1:8571/api/v1"  # the port is found by the broadcast
        runs = self.stage(runs_stage, "runs", RunsSettings(api_base=base, game="mossdale", broadcast=self.broadcast))
        videos = self.stage(videos_stage, "videos", VideosSettings(broadcast=self.broadcast), runs=runs)
        return runs, videos, self.stage(frames_stage, "frames", self.frames, videos=videos)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory, settings: BroadcastSettings, broadcast: Broadcast) -> tuple[Footage, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(show, "_bot", short_play)
        one = Footage(tmp_path_factory.mktemp("footage"), settings)
        return one, one.run()


def test_from_the_leaderboard_to_frames_equal_to_the_emulators(footage: Any, broadcast: Broadcast):
    _, (runs, videos, frames) = footage
    assert runs.metrics["requests"] == 3  # the name redirected to the id, and one page
    assert runs.metrics["videos"] == RUNS and videos.metrics["downloaded"] == RUNS and videos.metrics["failed"] == 0
    table = pd.read_parquet(runs.path("runs.parquet"))
    assert list(table.columns) == [
        "run_id",
        "category",
        "player",
        "time_s",
        "date",
        "url",
        "part",
        "parts",
        "video_id",
        "time_of",
    ]
    assert table["time_s"].is_monotonic_increasing and table["date"].notna().sum() >= RUNS - 1
    reader = FrameReader(frames.folder)
    found = pd.read_parquet(frames.path("videos.parquet")).set_index("run_id")
    assert len(reader.videos) == RUNS and set(found["split"]) == {"train", "val"}
    assert frames.path("screens.png").stat().st_size > 10_000
    for place, video in enumerate(reader.videos):
        truth, entry = broadcast.truth(video.run_id), next(e for e in broadcast.entries if e.id == video.run_id)
        row, step = found.loc[video.run_id], truth["fps"] / 7.5
        assert iou((row.x, row.y, row.width, row.height), tuple(truth["rect"])) >= 0.99
        game = list(screens(broadcast.rom, entry.play, truth["fps"], entry.look.after_s))
        shown = reader.usable(place)
        at = (shown * step).astype(int) - truth["power_on_frame"]
        shown, at = shown[(at >= 0) & (at < len(game))], at[(at >= 0) & (at < len(game))]
        assert len(at) > 0.75 * len(game) / step
        same = (reader.read(place, shown) == np.stack(game)[at]).mean(axis=(1, 2))
        assert np.median(same) >= (0.99 if float(truth["scale"]).is_integer() else 0.97) and np.quantile(same, 0.05) > 0.93
        # A card in front, and a console that is off, are no game; everything since power-on is.
        on = int(np.ceil(truth["power_on_frame"] / step))
        flags = reader.flags(place)
        assert (flags[:on] & (NOT_GAME | BLANK) > 0).all() and (flags[on:] & NOT_GAME == 0).mean() > 0.99
    times = pd.read_parquet(frames.path("frames.parquet"))
    assert times["time_s"].iloc[8] == pytest.approx(8 / 7.5, rel=1e-5)


def test_a_second_look_is_free_and_a_killed_one_goes_on(footage: Any, monkeypatch: pytest.MonkeyPatch):
    one, (_, videos, frames) = footage
    before = {path.name: path.read_bytes() for path in frames.folder.rglob("*.bin")}
    scratch = one.folder / "work" / "frames" / "scratch" / "shards"
    gone = sorted(scratch.glob("*.json"))[0]
    gone.unlink()  # as if killed in the middle of this video: shard half there, no facts
    (scratch / f"{gone.stem}.bin").write_bytes(b"half")
    decoded = []
    real = frames_stage.decode
    monkeypatch.setattr(frames_stage, "decode", lambda path, *rest: decoded.append(path) or real(path, *rest))
    again = one.stage(frames_stage, "frames", one.frames, videos=videos)
    assert [path.stem for path in decoded] == [gone.stem]
    assert {path.name: path.read_bytes() for path in again.folder.rglob("*.bin")} == before


def test_rejected_videos_are_reported_and_all_rejected_fails(footage: Any, tmp_path: Path):
    one, (_, videos, _) = footage
    ids = list(pd.read_parquet(videos.path("videos.parquet"))["video_id"])
    crops = tmp_path / "crops.json"
    crops.write_text(json.dumps({ids[0]: {"skip": "a race"}}))
    sub = Footage(tmp_path / "one", one.broadcast)
    some = sub.stage(frames_stage, "frames", FramesSettings(fps=2.0, crop_config=str(crops)), videos=videos)
    assert some.metrics["rejected"] == 1 and some.metrics["videos"] == RUNS - 1
    (left,) = json.loads(some.path("rejected.json").read_text())
    assert left["video_id"] == ids[0] and "a race" in left["reason"]
    crops.write_text(json.dumps({name: {"skip": "a race"} for name in ids}))
    with pytest.raises(WorkError, match=f"in any of {RUNS} videos"):
        Footage(tmp_path / "all", one.broadcast).stage(
            frames_stage, "frames", FramesSettings(fps=2.0, crop_config=str(crops)), videos=videos
        )


def test_some_downloads_may_fail_but_not_all(footage: Any, tmp_path: Path):
    one, (runs, _, _) = footage
    table = pd.read_parquet(runs.path("runs.parquet"))
    for bad, what in ((1, None), (RUNS, f"none of {RUNS} videos could be used \\({RUNS} gone\\)")):
        folder = tmp_path / str(bad)
        folder.mkdir()
        changed = table.copy()
        changed.loc[: bad - 1, "url"] = [f"http://127.0.0.1/videos/lost{n}.mp4" for n in range(bad)]
        changed.loc[: bad - 1, "video_id"] = [f"lost{n}" for n in range(bad)]
        changed.to_parquet(folder / "runs.parquet")
        source = Artifact(folder, {"stage": "runs", "version": 1, "metrics": {}, "settings": {}})
        sub = Footage(folder / "out", one.broadcast)
        if what is None:
            videos = sub.stage(videos_stage, "videos", VideosSettings(broadcast=one.broadcast), runs=source)
            told = pd.read_parquet(videos.path("videos.parquet")).set_index("video_id")
            assert told.loc["lost0", "status"] == "gone" and videos.metrics["downloaded"] == RUNS - 1
        else:
            with pytest.raises(InputError, match=what):
                sub.stage(videos_stage, "videos", VideosSettings(broadcast=one.broadcast), runs=source)


def test_the_tool_prints_where_the_screens_are(footage: Any, tmp_path: Path):
    _, (_, videos, frames) = footage
    row = pd.read_parquet(frames.path("videos.parquet")).iloc[0]
    file = videos.path(f"videos/{row.video_id}.mp4")
    sheet = tmp_path / "sheet.png"
    tool = Path(__file__).resolve().parents[3] / "tools" / "analyze_video_crops.py"
    told = subprocess.run([sys.executable, tool, file, "--json", "--sheet", sheet], capture_output=True, text=True, check=True)
    (one,) = json.loads(told.stdout)
    assert one["video"] == str(file) and sheet.stat().st_size > 10_000
    assert one["segments"][0]["rect"] == pytest.approx([row.x, row.y, row.width, row.height], abs=0.01)
    wrong = subprocess.run([sys.executable, tool, tool], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "expected a video" in wrong.stderr and wrong.stderr.count("\n") == 1


def test_a_rendering_killed_in_the_middle_leaves_no_half_video(settings: BroadcastSettings, tmp_path: Path):
    folder = tmp_path / "cache"
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\nfrom pathlib import Path\nfrom test_broadcast import *\n"
        "b = Broadcast(BroadcastSettings(port=0, runs=1, cache=sys.argv[1], seed=4), play=short_play)\n"
        "print(b.folder / (b.entries[0].id + '.mp4'), flush=True)\nb.video(b.entries[0].id)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(Path(__file__).parent)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    target = Path(process.stdout.readline().strip())
    deadline = time.monotonic() + 60
    while not list(target.parent.glob(".part-*.mp4")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not target.exists()
    again = Broadcast(BroadcastSettings(port=0, runs=1, cache=str(folder), seed=4), play=short_play)
    assert again.video(again.entries[0].id) == target and target.stat().st_size > 100_000
