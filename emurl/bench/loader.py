"""`emurl bench loader`: random batches out of packed shards, against one .npy file a frame; and what a million frames cost
in memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from emurl.core.config import Config
from emurl.core.store import Store
from emurl.footage.dataset import FrameReader, ShardWriter, write_index
from emurl.screen import ScreenSpec

FILES = 3000
BATCH = 256
ROUNDS = 15
MILLION = 1_000_000
VIDEOS = 8


def run(config: Config, store: Store | None = None) -> dict[str, Any]:
    """Frames a second of random batches of `BATCH`, and ours over each peer: medians of the ratios of `ROUNDS` alternating rounds,
    so that a busy moment of the machine meets both sides.

    Peers load the same frames from files of one frame each: RGB (144, 160, 3) as the route by way of pictures leaves them,
    and gray (144, 160). All files are in the system's cache. `million_frames_mb`: by how much the resident memory of a fresh
    process grows at its peak when it opens an index of a million frames and draws batches, pairs and clips;
    `million_frames_process_mb`: that peak with Python and the libraries.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = rng.integers(0, 4, (FILES, 144, 160)).astype(np.uint8)
        _write(folder / "ours", frames)
        for kind in ("rgb", "gray"):
            (folder / kind).mkdir()
        for number, frame in enumerate(frames):
            np.save(folder / "gray" / f"{number}.npy", frame)
            np.save(folder / "rgb" / f"{number}.npy", np.repeat(frame[..., None] * np.uint8(85), 3, axis=-1))
        reader = FrameReader(folder / "ours")

        def files(kind: str) -> np.ndarray:
            chosen = rng.integers(0, FILES, BATCH)
            return np.stack([np.load(folder / kind / f"{number}.npy") for number in chosen])

        ways = {
            "ours": lambda: reader.batch(rng, BATCH, "train"),
            "rgb": lambda: files("rgb"),
            "gray": lambda: files("gray"),
            "clips": lambda: reader.clips(rng, BATCH // 4, "train", 4, 2),
        }
        took: dict[str, list[float]] = {kind: [] for kind in ways}
        for way in ways.values():
            way()
        for _ in range(ROUNDS):
            for kind, way in ways.items():
                began = time.perf_counter()
                for _ in range(4):
                    way()
                took[kind].append((time.perf_counter() - began) / 4)
        seconds = {kind: statistics.median(times) for kind, times in took.items()}
        over = {kind: statistics.median(np.divide(took[kind], took["ours"]).tolist()) for kind in ("rgb", "gray")}
        million = _million(folder / "million")
    return {
        "frames_per_second": round(BATCH / seconds["ours"]),
        "clip_frames_per_second": round(BATCH / seconds["clips"]),
        "over_rgb_npy_files": round(over["rgb"], 2),
        "over_gray_npy_files": round(over["gray"], 2),
        "million_frames_mb": round(million["grown"] / 1024, 1),
        "million_frames_process_mb": round(million["peak"] / 1024, 1),
        "million_frames_open_s": round(million["open_s"], 2),
        "load": round(os.getloadavg()[0], 1),
    }


def _write(folder: Path, frames: np.ndarray) -> None:
    spec, parts = ScreenSpec(), np.array_split(frames, VIDEOS)
    rows = []
    for number, part in enumerate(parts):
        with ShardWriter(folder / "shards" / f"v{number}.bin", spec) as shard:
            shard.add(part)
        rows.append(_row(number, len(part)))
    write_index(folder, spec, rows, [np.zeros(len(part), np.uint8) for part in parts])


def _row(number: int, count: int) -> dict[str, Any]:
    return {"video_id": f"v{number}", "run_id": "", "split": "train", "frames": count, "fps": 8.0, "duration_s": count / 8}


def _million(folder: Path) -> dict[str, float]:
    """KiB of resident memory that a million frames take in a process of their own; the shards are files full of holes."""
    spec, each = ScreenSpec(), MILLION // 100
    (folder / "shards").mkdir(parents=True)
    for number in range(100):
        with (folder / "shards" / f"v{number}.bin").open("wb") as shard:
            shard.truncate(each * spec.frame_bytes)
    write_index(folder, spec, [_row(number, each) for number in range(100)], [np.zeros(each, np.uint8)] * 100)
    done = subprocess.run([sys.executable, "-c", MEASURED, str(folder), str(BATCH)], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


# The system's own high-water mark of this program's memory: libraries and mapped pages count, nothing can hide.
MEASURED = """
import json, sys, time
import numpy as np, pandas, pyarrow.parquet, torch
from emurl.footage.dataset import FrameReader

def peak():
    with open("/proc/self/status") as told:
        return next(int(line.split()[1]) for line in told if line.startswith("VmHWM"))

before, began, batch = peak(), time.perf_counter(), int(sys.argv[2])
reader, rng = FrameReader(sys.argv[1]), np.random.default_rng(0)
opened = time.perf_counter() - began
for _ in range(4):
    reader.batch(rng, batch, "train")
    reader.pairs(rng, batch, "train", 8)
    reader.clips(rng, batch // 4, "train", 4, 2)
print(json.dumps({"peak": peak(), "grown": peak() - before, "open_s": opened}))
"""
