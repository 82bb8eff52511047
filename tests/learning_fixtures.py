"""A frames artifact drawn by the tile world, and outputs for stages to fill: what the learning stages need to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tile_world import TileWorld

from emurl.artifacts import Artifact, Output
from emurl.frames import ShardWriter, write_index
from emurl.screen import ScreenSpec
from emurl.tracking import Tracker


def write_frames(folder: Path, videos: list[np.ndarray], held_out: int = 1, fps: float = 7.5) -> Artifact:
    """A frames artifact of videos (N, 144, 160) each, the last `held_out` of them in val."""
    rows: list[dict[str, Any]] = []
    flags = []
    for number, frames in enumerate(videos):
        with ShardWriter(folder / "shards" / f"video{number}.bin", ScreenSpec()) as shard:
            shard.add(frames)
        split = "val" if number >= len(videos) - held_out else "train"
        name = f"video{number}"
        rows.append(
            {"video_id": name, "run_id": name, "split": split, "frames": len(frames), "fps": fps, "duration_s": len(frames) / fps}
        )
        flags.append(np.zeros(len(frames), np.uint8))
    write_index(folder, ScreenSpec(), rows, flags)
    return artifact("frames", folder)


def walks(count: int = 4, steps: int = 60) -> list[np.ndarray]:
    """Videos of the tile world, each a walk of its own."""
    world = TileWorld()
    return [world.video(seed, steps=steps)[0] for seed in range(count)]


def artifact(stage: str, folder: Path) -> Artifact:
    return Artifact(folder, {"stage": stage, "version": 1, "digest": stage * 4, "metrics": {}, "settings": {}})


def run_stage(module: Any, settings: Any, inputs: dict[str, Artifact], folder: Path) -> tuple[Artifact, Output]:
    """Run a stage into `folder`; its scratch is beside it and stays."""
    files, scratch = folder / "files", folder / "scratch"
    for path in (files, scratch):
        path.mkdir(parents=True, exist_ok=True)
    output = Output(files, scratch)
    module.run(settings, inputs, output, Tracker.silent())
    return artifact(module.__name__.rsplit(".", 1)[1], files), output
