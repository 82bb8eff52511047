"""`emurl bench frames`: from video to packed frames, against a bare decode and against the route by way of picture files."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import imageio_ffmpeg
import numpy as np
import pandas as pd

from emurl.artifacts import Store
from emurl.bench.synthetic import synthetic_screens
from emurl.cartridge.broadcast.compose import Show, render
from emurl.cartridge.broadcast.look import FPS, look_of
from emurl.config import Config
from emurl.errors import InputError
from emurl.frames import ShardWriter
from emurl.screen import HEIGHT, WIDTH, ScreenSpec
from emurl.speedruns.decode import Way, decode, plan
from emurl.speedruns.find_screen import find_in_pictures
from emurl.speedruns.video import probe, sample

REPEATS = 3
MADE_S = 25.0  # length of the video that is made where the store has none


def run(config: Config, store: Store | None = None) -> dict[str, Any]:
    """Seconds of three ways over one video, the first two as medians of alternating repeats, and their ratios to ours.

    `bare`: ffmpeg decodes on one thread and throws away, which is the limit. `files`: ffmpeg writes a PNG a frame, each is
    opened, cropped, resized and saved as RGB .npy. The video is the store's first, or a made-up one without a store.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video, source = _video(store, folder)
        began = time.perf_counter()
        times, pictures = sample(video)
        ways = plan(times, pictures, find_in_pictures(times, pictures))
        finding = time.perf_counter() - began
        if not ways:
            raise InputError(f"{video}: no screen found, expected a video of the videos artifact that shows the game")
        counts: dict[str, int] = {}

        def ours() -> None:
            with ShardWriter(folder / "shard.bin", ScreenSpec()) as shard:
                for chunk in decode(video, ways, config.frames.fps):
                    shard.add(chunk.frames)
            counts["ours"] = shard.count

        bare_s, ours_s = _alternate([lambda: _bare(video), ours], REPEATS)
        (files_s,) = _alternate([lambda: counts.update(files=_files(video, ways[0], config.frames.fps, folder))], 1)
        facts = probe(video)
        shard_bytes = (folder / "shard.bin").stat().st_size / counts["ours"]
        npy_bytes = (folder / "0.npy").stat().st_size
    pictures_held = facts.duration_s * facts.fps
    return {
        "source": source,
        "video_s": round(facts.duration_s, 1),
        "frames": counts["ours"],
        "find_screen_s": round(finding, 2),
        "pictures_per_second": round(pictures_held / ours_s),
        "frames_per_second": round(counts["ours"] / ours_s, 1),
        "over_bare_ffmpeg_decode": round(bare_s / ours_s, 3),
        "over_png_resize_npy": round((files_s / counts["files"]) / (ours_s / counts["ours"]), 2),
        "bytes_per_frame": round(shard_bytes, 1),
        "bytes_over_rgb_npy": round(shard_bytes / npy_bytes, 5),
    }


def _video(store: Store | None, folder: Path) -> tuple[Path, str]:
    """A video and where it is from."""
    if store is not None and store.versions("videos"):
        artifact = store.get("videos")
        table = pd.read_parquet(artifact.path("videos.parquet"))
        row = table[table["status"] == "ok"].sort_values("duration_s").iloc[0]
        return artifact.path(f"videos/{row['file']}"), artifact.ref
    path = folder / "made.mp4"
    show = Show("Measured", "Any%", MADE_S, [("End", MADE_S)])
    render(path, look_of(0, 0), show, synthetic_screens(round(MADE_S * FPS)))
    return path, "made up"


def _bare(video: Path) -> None:
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
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
        imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", "1", "-i", f"file:{video}",
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


def _alternate(ways: list[Callable[[], object]], repeats: int) -> list[float]:
    """Median seconds of each, measured in turn so that a busy moment of the machine meets all of them."""
    took: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for seconds, way in zip(took, ways, strict=True):
            began = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - began)
    return [statistics.median(seconds) for seconds in took]
