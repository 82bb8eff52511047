"""Decoding a video once: which frames are marked, what a kill leaves behind, what bad files do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emurl.bench.synthetic import synthetic_screens
from emurl.core.errors import WorkError
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.footage import decode as decoding
from emurl.footage.dataset import BLANK, DUPLICATE, NOT_GAME, FrameReader
from emurl.footage.decode import Way, decode, plan
from emurl.footage.screen_finder.finder import Segment
from emurl.footage.video import sample
from emurl.pipelines.speedrun import frames as stage
from emurl.pipelines.speedrun.frames import FramesSettings
from tests.fixtures.shard_videos import RATE, RECT, card, stream, videos_artifact, write_video


def moving(count: int, seed: int = 0) -> list[np.ndarray]:
    """Game screens of which none is blank, each a pixel further than the last."""
    wide = np.concatenate(list(synthetic_screens(60, seed))[40:], axis=1)
    return [wide[:, 2 * number : 2 * number + 160] for number in range(count)]


def way_of(video: Path, end: float = 1e6) -> list[Way]:
    seen = sample(video)
    return plan(seen.times, seen.pictures, [Segment(0.0, end, tuple(map(float, RECT)), 1.0)])


def frames_of(video: Path, ways: list[Way], fps: float = RATE) -> tuple[np.ndarray, np.ndarray]:
    chunks = list(decode(video, ways, fps))
    return np.concatenate([chunk.frames for chunk in chunks]), np.concatenate([chunk.flags for chunk in chunks])


def test_what_is_no_game_stands_still_or_is_blank_is_marked(tmp_path: Path):
    game = moving(120)
    blank = np.full((144, 160), 3)
    parts: list[tuple[str, list[np.ndarray]]] = [
        ("card", [card("LOADING NEXT SPLIT", 12, 245)] * 20),
        ("game", [stream(screen) for screen in game[:60]]),
        ("menu", [card("Settings  Scenes  Audio", 190, 60, 0.8)] * 20),
        ("still", [stream(game[60])] * 20),
        ("blank", [stream(blank)] * 20),
        ("game", [stream(screen) for screen in game[60:]]),
    ]
    video = write_video(tmp_path / "v.mp4", [picture for _, pictures in parts for picture in pictures])
    frames, flags = frames_of(video, way_of(video))
    kinds = np.array([kind for kind, pictures in parts for _ in pictures])
    assert len(frames) == len(kinds)
    truth = np.stack(game)
    assert (frames[kinds == "game"] == truth).mean() > 0.99
    assert (flags[kinds == "game"] & (NOT_GAME | BLANK) == 0).all()
    for kind, mark in (("card", NOT_GAME), ("menu", NOT_GAME), ("blank", BLANK)):
        assert (flags[kinds == kind] & mark > 0).all(), kind
    still = flags[kinds == "still"]
    assert (still[1:] & DUPLICATE > 0).all() and still[0] & DUPLICATE == 0 and (still & (NOT_GAME | BLANK) == 0).all()
    assert (flags[kinds == "game"] & DUPLICATE > 0).mean() < 0.05


def test_a_rate_takes_the_pictures_of_its_times(tmp_path: Path):
    game = moving(90)
    video = write_video(tmp_path / "v.mp4", [stream(screen) for screen in game])
    ways = way_of(video)
    for fps in (30.0, 7.5, 2.0):
        frames, _ = frames_of(video, ways, fps)
        # At n / fps or the next picture after it.
        due = np.minimum(np.ceil(np.arange(len(frames)) / fps * RATE - 1e-6).astype(int), 89)
        assert len(frames) == pytest.approx(3 * fps, abs=1)
        assert (frames == np.stack(game)[due]).mean(axis=(1, 2)).min() > 0.98


def test_outside_its_segments_nothing_is_the_game(tmp_path: Path):
    video = write_video(tmp_path / "v.mp4", [stream(screen) for screen in moving(90)])
    (way,) = way_of(video)
    late = Way(Segment(2.8, 3.0, way.segment.rect, 1.0), way.resampler, way.calibration)
    _, flags = frames_of(video, [late])
    assert (flags[:84] & NOT_GAME > 0).all() and (flags[84:] & NOT_GAME == 0).all()


def test_a_decoder_that_is_killed_is_no_short_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    video = write_video(tmp_path / "v.mp4", [stream(screen) for screen in moving(90)] * 8)
    ways = way_of(video)
    started = []
    real = subprocess.Popen

    def watched(*args: object, **kwargs: object) -> subprocess.Popen[bytes]:
        started.append(real(*args, **kwargs))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(decoding.subprocess, "Popen", watched)
    chunks = decode(video, ways, RATE)
    next(chunks)
    started[0].send_signal(signal.SIGKILL)
    with pytest.raises(WorkError, match=r"v\.mp4: ffmpeg was ended by signal 9"):
        list(chunks)


RATE_HERE = 15.0
PROGRAM = """
import json, sys
from pathlib import Path
from emurl.core.store import Artifact, Output
from emurl.pipelines.speedrun.frames import FramesSettings
from emurl.pipelines.speedrun import frames
from emurl.core.tracking import Tracker

videos, crops, work = map(Path, sys.argv[1:4])
settings = FramesSettings(fps=float(sys.argv[4]), crop_config=str(crops), parallel=1)
(work / "files").mkdir(exist_ok=True)
artifact = Artifact(videos, {"stage": "videos", "version": 1, "metrics": {}, "settings": {}})
frames.run(settings, {"videos": artifact}, Output(folder=work / "files", scratch=work / "scratch"), Tracker.silent())
"""


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Path]:
    return videos_artifact(tmp_path_factory.mktemp("footage") / "videos", 3, 24.0)


def run(videos: Artifact, crops: Path, work: Path) -> Output:
    output = Output(folder=work / "files", scratch=work / "scratch")
    (work / "files").mkdir(parents=True)
    stage.run(FramesSettings(fps=RATE_HERE, crop_config=str(crops)), {"videos": videos}, output, Tracker.silent())
    return output


def test_killed_while_decoding_the_next_run_goes_on_to_the_same_bytes(footage: tuple[Artifact, Path], tmp_path: Path):
    videos, crops = footage
    clean = run(videos, crops, tmp_path / "clean").folder
    work = tmp_path / "killed"
    (work / "scratch").mkdir(parents=True)
    shards = work / "scratch" / "shards"

    def start() -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", PROGRAM, str(videos.folder), str(crops), str(work), str(RATE_HERE)]
        return subprocess.Popen(words, start_new_session=True, cwd=Path(__file__).resolve().parents[3])

    def killed_when(reached: Callable[[], bool], end: signal.Signals = signal.SIGKILL) -> None:
        process = start()
        deadline = time.monotonic() + 60
        while not reached():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.0005)
        began = time.monotonic()
        os.kill(process.pid, end)  # Ctrl-C reaches ffmpeg in a terminal only
        assert process.wait(60) == -end and time.monotonic() - began < 15

    def half_written() -> bool:
        return any(part.stat().st_size > 0 for part in shards.glob("*.bin.part"))

    killed_when(half_written)
    assert not list(shards.glob("*.json")) and not list((work / "files").rglob("*.bin"))
    killed_when(lambda: len(list(shards.glob("*.json"))) == 1 and (shards / "video1.bin.part").exists(), signal.SIGINT)
    first = (shards / "video0.bin").stat()
    killed_when(lambda: len(list(shards.glob("*.json"))) == 2)
    assert start().wait(timeout=120) == 0
    # The video that was whole is not decoded again, and nothing tells this artifact from the unkilled one.
    assert (shards / "video0.bin").stat().st_mtime_ns == first.st_mtime_ns
    names = sorted(path.relative_to(clean) for path in clean.rglob("*") if path.is_file())
    assert sorted(path.relative_to(work / "files") for path in (work / "files").rglob("*") if path.is_file()) == names
    assert len([name for name in names if name.suffix == ".bin"]) == 3
    for name in names:
        assert (work / "files" / name).read_bytes() == (clean / name).read_bytes(), name
    assert len(FrameReader(work / "files").batch(np.random.default_rng(0), 8, "train")) == 8


def test_a_file_gone_bad_since_its_download_is_one_rejected_video(footage: tuple[Artifact, Path], tmp_path: Path):
    videos, crops = footage
    folder = tmp_path / "videos"
    (folder / "videos").mkdir(parents=True)
    table = pd.read_parquet(videos.path("videos.parquet"))
    table.to_parquet(folder / "videos.parquet")
    whole = [videos.path(f"videos/video{number}.mp4").read_bytes() for number in range(3)]
    for number, data in enumerate((b"<html>gone</html>", b"", whole[2])):
        (folder / "videos" / f"video{number}.mp4").write_bytes(data)
    damaged = Artifact(folder, {"stage": "videos", "version": 2, "metrics": {}, "settings": {}})
    output = run(damaged, crops, tmp_path / "out")
    reasons = {row["video_id"]: row["reason"] for row in json.loads(output.path("rejected.json").read_text())}
    assert "not a video" in reasons["video0"] and reasons["video1"] == "empty file" and len(reasons) == 2
    assert output.metrics["videos"] == 1 and output.metrics["rejected"] == 2


def test_a_side_that_would_be_empty_is_told(footage: tuple[Artifact, Path], tmp_path: Path):
    videos, crops = footage
    work = tmp_path / "out"
    (work / "files").mkdir(parents=True)
    output = Output(folder=work / "files", scratch=work / "scratch")
    settings = FramesSettings(fps=2.0, crop_config=str(crops), val_share=0.001)
    stage.run(settings, {"videos": videos}, output, Tracker.silent())
    assert any("stands in on the other" in note for note in output.notes)
    assert sorted(video.split for video in FrameReader(output.folder).videos) == ["train", "train", "val"]
