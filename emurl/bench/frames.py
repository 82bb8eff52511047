"""`emurl bench frames`: from video to packed frames, against a bare decode and against the route by way of picture files."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from emurl.bench.synthetic import synthetic_screens
from emurl.core.config import Config
from emurl.core.errors import InputError
from emurl.core.ffmpeg import ffmpeg_exe
from emurl.core.store import Store
from emurl.footage.dataset import ShardWriter
from emurl.footage.decode import Way, decode, plan
from emurl.footage.screen_finder.finder import find_in_sample
from emurl.footage.video import probe, sample
from emurl.games.settings import EmulatorSettings, game_of
from emurl.screen import HEIGHT, WIDTH, ScreenSpec

ROUNDS = 5
MADE_S = 25.0  # length of the video that is made where the store has none


def run(config: Config, store: Store | None = None) -> dict[str, Any]:
    """Frames a second of ours over two peers on the same files; medians of the ratios of `ROUNDS` alternating rounds, so that a
    busy moment of the machine meets both sides.

    `over_bare_ffmpeg_decode`: ffmpeg decodes and throws away, which is the limit. Both decode `frames.parallel` videos at a time,
    a thread each, as the stage does: where that fills the machine, what we add to the decoder has no core to hide on.
    `…_one_at_a_time` is the same with one video alone, `…_in_cpu_seconds` counts processor time, which other jobs disturb least.
    `over_png_resize_npy`: ffmpeg writes a PNG a frame, each is opened, cropped, resized and saved as RGB .npy; one video, once.
    The videos are the shortest of the store, or a made-up one without a store.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos, source = _videos(store, folder, config.frames.parallel)
        began = time.perf_counter()
        ways = {video: _plan(video) for video in videos}
        finding = (time.perf_counter() - began) / len(ways)
        jobs = list(islice(cycle(videos), config.frames.parallel))
        counts = [0] * len(jobs)

        def ours(number: int) -> None:
            with ShardWriter(folder / f"{number}.bin", ScreenSpec()) as shard:
                for chunk in decode(jobs[number], ways[jobs[number]], config.frames.fps):
                    shard.add(chunk.frames)
            counts[number] = shard.count

        def together(one: Callable[[int], None]) -> tuple[float, float]:
            with ThreadPoolExecutor(len(jobs)) as pool:
                return _timed(lambda: list(pool.map(one, range(len(jobs)))))

        rounds = []
        for _ in range(ROUNDS):
            bare, mine = together(lambda number: _bare(jobs[number])), together(ours)
            alone, mine_alone = _timed(lambda: _bare(jobs[0])), _timed(lambda: ours(0))
            rounds.append((bare[0] / mine[0], bare[1] / mine[1], alone[0] / mine_alone[0], mine[0], mine_alone[0]))
        over, over_cpu, over_alone, ours_s, alone_s = (statistics.median(column) for column in zip(*rounds, strict=True))
        began = time.perf_counter()
        files = _files(jobs[0], ways[jobs[0]][0], config.frames.fps, folder)
        files_s = time.perf_counter() - began
        facts = [probe(job) for job in jobs]
        shard_bytes = (folder / "0.bin").stat().st_size / counts[0]
        npy_bytes = (folder / "0.npy").stat().st_size
    return {
        "source": source,
        "videos": len(ways),
        "at_a_time": len(jobs),
        "video_s": round(sum(fact.duration_s for fact in facts), 1),
        "frames": sum(counts),
        "find_screen_s": round(finding, 2),
        "pictures_per_second": round(sum(fact.duration_s * fact.fps for fact in facts) / ours_s),
        "frames_per_second": round(sum(counts) / ours_s, 1),
        "over_bare_ffmpeg_decode": round(over, 3),
        "over_bare_one_at_a_time": round(over_alone, 3),
        "over_bare_in_cpu_seconds": round(over_cpu, 3),
        "over_bare_rounds": [round(one[0], 3) for one in rounds],
        "over_png_resize_npy": round((files_s / files) / (alone_s / counts[0]), 2),
        "bytes_per_frame": round(shard_bytes, 1),
        "bytes_over_rgb_npy": round(shard_bytes / npy_bytes, 5),
        "load": round(os.getloadavg()[0], 1),
    }


def _videos(store: Store | None, folder: Path, count: int) -> tuple[list[Path], str]:
    """Up to `count` videos and where they are from."""
    if store is not None and store.versions("speedrun", "videos"):
        artifact = store.get("videos")
        table = pd.read_parquet(artifact.path("videos.parquet"))
        files = table[table["status"] == "ok"].sort_values("duration_s")["file"].head(count)
        return [artifact.path(f"videos/{file}") for file in files], artifact.ref
    path, game = folder / "made.mp4", game_of(EmulatorSettings())
    assert game is not None and game.film is not None  # the embedded one
    game.film(path, MADE_S, synthetic_screens)
    return [path], "made up"


def _plan(video: Path) -> list[Way]:
    seen = sample(video)
    ways = plan(seen.times, seen.pictures, find_in_sample(seen))
    if not ways:
        raise InputError(f"{video}: no screen found, expected a video of the videos artifact that shows the game")
    return ways


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of processors, ours and of the programs we started."""
    import resource  # of POSIX systems: see `cli._bench`

    def used() -> float:
        told = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in told)

    began, before = time.perf_counter(), used()
    work()
    return time.perf_counter() - began, used() - before


def _bare(video: Path) -> None:
    command = [
        ffmpeg_exe(),
        "-v",
        "error",
        "-nostdin",
        "-threads",
        "1",
        "-i",
        f"file:{video}",
        "-f",
        "null",
        "-",
    ]
    subprocess.run(command, check=True)


def _files(video: Path, way: Way, fps: float, folder: Path) -> int:
    """The route by way of files; returns how many frames came out."""
    pictures = folder / "png"
    pictures.mkdir()
    command = [
        ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", "1", "-i", f"file:{video}",
        "-vf", f"fps={fps}", str(pictures / "%06d.png"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    x, y, width, height = way.resampler.window
    names = sorted(pictures.iterdir())
    for number, name in enumerate(names):
        picture = cv2.imread(str(name))
        if picture is None:
            raise InputError(f"{name}: ffmpeg wrote no picture")
        small = cv2.resize(picture[y : y + height, x : x + width], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        np.save(folder / f"{number}.npy", small)
    return len(names)
