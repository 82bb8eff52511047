"""Footage from anywhere, end to end: six sources over HTTPS on loopback or from disk, through yt-dlp, to packed shards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from emurl import doctor
from emurl.bench.synthetic import synthetic_screens
from emurl.core.config import Config, load_config
from emurl.core.engine import Result, run_pipeline
from emurl.core.errors import InputError
from emurl.core.store import Store
from emurl.footage.dataset import FrameReader
from tests.fixtures.board import Board, a_run
from tests.fixtures.drawn_videos import make, make_video
from tests.fixtures.http_server import Answer, Request, ranged
from tests.fixtures.shard_videos import RATE, stream, write_video
from tests.fixtures.sites import sites
from tests.fixtures.video_sites import Archive, Clip, Twitch, YouTube

COLUMNS = ["run_id", "category", "player", "time_s", "date", "url", "part", "parts", "video_id", "time_of"]
KINDS = {
    "run_id": str,
    "category": str,
    "player": str,
    "time_s": float,
    "url": str,
    "part": int,
    "parts": int,
    "video_id": str,
    "time_of": str,
}
SECONDS = (6, 8)
FILES = "files.example"


def config_of(folder: Path, **runs: Any) -> Config:
    settings = {
        "store": str(folder / "store"), "tracking": {"wandb": False, "tensorboard": False}, "runs": {"pause_s": 0.0, "retries": 0, **runs},
        "frames": {"fps": 7.5, "crop_config": None},
    }  # fmt: skip
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(settings))
    return load_config(file)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Two videos of a game and one of none, as MP4 and as MPEG-TS."""
    folder = tmp_path_factory.mktemp("drawn")
    videos = {}
    for number, seconds in enumerate(SECONDS):
        file = write_video(folder / f"game{number}.mp4", map(stream, synthetic_screens(seconds * RATE, number)))
        videos[file.name] = file.read_bytes()
        videos[f"game{number}.ts"] = make(folder / f"game{number}.ts", "-i", str(file), "-c", "copy")
    videos["other.mp4"] = make_video(folder / "other.mp4", 7.0)
    videos["other.ts"] = make(folder / "other.ts", "-i", str(folder / "other.mp4"), "-c", "copy")
    return videos


def clips(drawn: dict[str, bytes], names: list[str], suffix: str = "mp4") -> list[Clip]:
    held = zip(names, ("game1", "other", "game0"), (8, 7, 6), strict=True)
    return [Clip(name, drawn[f"{file}.{suffix}"], seconds) for name, file, seconds in held]


class Everything:
    """Each source with the same three videos; `runs` are the settings that lead there."""

    def __init__(self, drawn: dict[str, bytes], folder: Path) -> None:
        self.youtube = YouTube(clips(drawn, ["aaaaaaaaaa1", "aaaaaaaaaa2", "aaaaaaaaaa3"]))
        self.twitch = Twitch("red", clips(drawn, ["11", "12", "13"], "ts"))
        held = clips(drawn, ["a.mp4", "b 1.mp4", "c.mp4"])
        self.archive = Archive("speedruns", {"one": held[:1], "two": held[1:]})
        names = {"/game1.mp4": "game1.mp4", "/other.mp4": "other.mp4", "/game0.mp4": "game0.mp4"}
        links = [f"https://{FILES}{path}" for path in names]
        times = dict(zip(links, (8, 7, 6), strict=True))
        board = Board([a_run(s, videos={"links": [{"uri": link}]}, times={"primary_t": s}) for link, s in times.items()])
        self.files = folder / "urls.txt"
        self.files.write_text("# mine\n" + "\n".join(links) + "\n")
        self.folder = folder / "mine"
        (self.folder / "Red").mkdir(parents=True)
        for path, name in names.items():
            (self.folder / "Red" / path[1:]).write_bytes(drawn[name])

        def file_site(request: Request) -> Answer:
            return ranged(drawn[names[request.path]], request)

        self.by_host = {
            **self.youtube.sites(), **self.twitch.sites(), **self.archive.sites(), FILES: file_site, "www.speedrun.com": board,
        }  # fmt: skip
        self.runs = {
            "speedrun.com": {}, "youtube": {"query": "pokemon red speedrun"}, "playlist": {"source": "youtube", "query": YouTube.PLAYLIST},
            "twitch": {"query": "red"}, "archive": {"query": "speedruns"}, "urls": {"path": str(self.files)},
            "folder": {"path": str(self.folder)},
        }  # fmt: skip

    def settings(self, name: str) -> dict[str, Any]:
        return {"source": name, **self.runs[name]}


def tables(results: list[Result]) -> dict[str, pd.DataFrame]:
    by_name = {result.stage.name: result.artifact for result in results}
    return {name: pd.read_parquet(by_name[name].path(f"{name}.parquet")) for name in ("runs", "videos") if name in by_name}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["speedrun.com", "youtube", "playlist", "twitch", "archive", "urls", "folder"])
def test_from_the_source_to_a_packed_shard(drawn: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    everything = Everything(drawn, tmp_path)
    with sites(tmp_path, everything.by_host) as world:
        world.enter(monkeypatch)
        results = run_pipeline(config_of(tmp_path, **everything.settings(name)), ["runs", "videos", "frames"])
    found = tables(results)
    runs, videos = found["runs"], found["videos"]
    assert list(runs.columns) == COLUMNS
    for column, kind in KINDS.items():
        assert all(isinstance(value, kind) for value in runs[column].tolist()), column
    timed = "run" if name == "speedrun.com" else "video"
    assert runs["time_of"].tolist() == [timed] * 3 and runs["parts"].tolist() == [1, 1, 1]
    if name == "urls":  # a plain file's length is known when it is there
        assert runs["time_s"].isna().all() and sorted(videos["time_s"]) == pytest.approx([6, 7, 8], abs=0.1)
    else:
        assert runs["time_s"].tolist() == pytest.approx([6, 7, 8], abs=0.1)
    assert videos["status"].tolist() == ["ok"] * 3 and videos["time_s"].isna().sum() == 0
    # What is no run of the game is left to the screen finder.
    frames = results[-1].artifact
    assert frames.metrics["videos"] == 2 and frames.metrics["rejected"] == 1
    reader = FrameReader(frames.local)
    assert sorted(video.duration_s for video in reader.videos) == pytest.approx([6, 8], abs=0.1)
    for place, video in enumerate(reader.videos):
        number = 0 if video.duration_s < 7 else 1
        truth = np.stack(list(synthetic_screens(SECONDS[number] * RATE, number)))[::4]
        read = reader.read(place, np.arange(video.count))
        count = min(len(read), len(truth))
        assert count >= 7 * SECONDS[number] and (read[:count] == truth[:count]).mean() > 0.98
    assert Store(tmp_path / "store").verify() == []
    if name != "folder":
        assert world.asked


def test_a_folder_is_used_where_it_is_and_looked_at_again_when_it_changes(drawn: dict[str, bytes], tmp_path: Path):
    place = tmp_path / "mine"
    place.mkdir()
    for name in ("game0.mp4", "game1.mp4"):
        (place / name).write_bytes(drawn[name])
    config = config_of(tmp_path, source="folder", path=str(place))
    first = run_pipeline(config, ["runs", "videos"])
    table = tables(first)["videos"]
    for row in table.to_dict("records"):
        held = first[1].artifact.path(f"videos/{row['file']}")
        assert held.stat().st_ino == Path(row["url"].removeprefix("file://")).stat().st_ino and not held.is_symlink()
    assert all(result.skipped for result in run_pipeline(config, ["runs", "videos"]))
    (place / "game1.mp4").rename(place / "aside")  # a new file of the same name, as an editor writes it
    (place / "game1.mp4").write_bytes(drawn["other.mp4"])
    again = run_pipeline(config, ["runs", "videos"])
    assert not any(result.skipped for result in again)
    assert tables(again)["videos"]["duration_s"].tolist() == pytest.approx([6.0, 7.0], abs=0.1)
    assert Store(tmp_path / "store").verify() == []  # what was taken first is what it was
    (place / "game0.mp4").unlink()
    assert first[1].artifact.path(f"videos/{table['file'][0]}").read_bytes() == drawn["game0.mp4"]


def test_where_files_cannot_be_linked_they_are_copied(drawn: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place = tmp_path / "mine"
    place.mkdir()
    (place / "game0.mp4").write_bytes(drawn["game0.mp4"])

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    results = run_pipeline(config_of(tmp_path, source="folder", path=str(place)), ["runs", "videos"])
    (row,) = tables(results)["videos"].to_dict("records")
    held = results[1].artifact.path(f"videos/{row['file']}")
    assert held.read_bytes() == drawn["game0.mp4"] and held.stat().st_ino != (place / "game0.mp4").stat().st_ino


def test_a_file_of_addresses_may_move_but_not_change(drawn: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    everything = Everything(drawn, tmp_path)
    with sites(tmp_path, everything.by_host) as world:
        world.enter(monkeypatch)
        run_pipeline(config_of(tmp_path, **everything.settings("urls")), ["runs"])
        moved = everything.files.rename(tmp_path / "moved.txt")
        (again,) = run_pipeline(config_of(tmp_path, source="urls", path=str(moved)), ["runs"])
        moved.write_text(f"https://{FILES}/game0.mp4\n")
        (changed,) = run_pipeline(config_of(tmp_path, source="urls", path=str(moved)), ["runs"])
    assert again.skipped and not changed.skipped and changed.artifact.metrics["videos"] == 1
    assert "fastest_s" not in changed.artifact.metrics


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ({"source": "tube"}, r"runs\.source: expected 'speedrun\.com', 'youtube', .* got 'tube'"),
        ({"source": "youtube"}, r"runs\.query: not given, expected what to look for there \(runs\.source: youtube\)"),
        ({"source": "archive", "query": " "}, r"runs\.query: not given"),
        ({"source": "urls"}, r"runs\.path: not given, expected a file of addresses"),
        ({"source": "folder"}, r"runs\.path: not given, expected a folder of videos"),
        ({"query": "red"}, r"runs\.query: red would not be read, expected runs\.source: youtube, twitch or archive"),
        (
            {"source": "youtube", "query": "x", "path": "y"},
            r"runs\.path: y would not be read, expected runs\.source: urls or folder",
        ),
        (
            {"source": "twitch", "query": "x", "shortest_s": 9.0, "longest_s": 5.0},
            r"runs\.longest_s: 5 is below runs\.shortest_s",
        ),
        ({"source": "folder", "path": "no-such"}, r"runs\.path: no-such: no such folder"),
        ({"source": "urls", "path": "no-such"}, r"runs\.path: no-such: cannot be read \(No such file or directory\)"),
        ({"source": "twitch", "query": "x", "cookies": "no-such"}, r"runs\.cookies: no-such: no such file, expected cookies"),
    ],
)
def test_settings_that_cannot_be_read_are_one_line(tmp_path: Path, runs: dict[str, Any], told: str):
    with pytest.raises(InputError, match=told) as failure:
        run_pipeline(config_of(tmp_path, **runs), ["runs"])
    assert "\n" not in str(failure.value) and not list(tmp_path.glob("store/speedrun/*/v*"))


def test_the_demo_is_not_read_beside_another_source(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"broadcast": {}, "runs": {"source": "folder", "path": "x"}}))
    with pytest.raises(InputError, match=r"runs\.source: folder would not be read, .* expected broadcast: null"):
        load_config(file)


def test_a_listing_of_which_nothing_can_be_had_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with sites(tmp_path, Twitch("red", [Clip("11", state="live"), Clip("12", state="live")]).sites()) as world:
        world.enter(monkeypatch)
        config = config_of(tmp_path, source="twitch", query="red")
        with pytest.raises(
            InputError, match=r"runs\.query: twitch red: 2 videos listed, none can be had \(2 live\); expected at least one"
        ):
            run_pipeline(config, ["runs"])


def test_the_doctor_looks_where_the_footage_is(drawn: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    everything = Everything(drawn, tmp_path)

    def look(name: str, **runs: Any) -> doctor.Check:
        config = config_of(tmp_path, **(everything.settings(name) | runs))
        return doctor._source(config)

    with sites(tmp_path, everything.by_host) as world:
        world.enter(monkeypatch)
        assert (look("folder").verdict, look("folder").seen) == ("ok", f"{everything.folder}: 3 videos, used where they are")
        assert look("urls").seen.endswith("urls.txt: 3 addresses")
        assert look("twitch").seen == "twitch red: https://www.twitch.tv/videos/11 and maybe more"
        assert look("twitch", longest_s=1.0).verdict == "warning"
        with pytest.raises(InputError, match=r"runs\.query: .*not found"):
            look("twitch", query="nobody")
    checks = {check.name: check for check in doctor.examine(config_of(tmp_path, source="folder", path=str(tmp_path / "no-such")))}
    assert (
        checks["source"].verdict == "missing" and checks["source"].seen.startswith("runs.path: ") and "leaderboard" not in checks
    )
