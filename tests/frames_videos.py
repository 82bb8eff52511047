"""Small videos with a game of known screens in them, as the frames stage is given them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pandas as pd

from emurl.artifacts import Artifact
from emurl.bench.synthetic import synthetic_screens

RATE = 30
SIZE = (640, 480)
RECT = (81, 23, 480, 432)  # three pixels of the video for one of the game
GREYS = np.array([24, 92, 150, 214], np.uint8)


def stream(screen: np.ndarray) -> np.ndarray:
    """A game screen (144, 160) of ranks 0…3 in a luma picture of a stream, uint8 (480, 640)."""
    picture = np.tile(np.linspace(40, 160, SIZE[0]).astype(np.uint8), (SIZE[1], 1))
    x, y, width, height = RECT
    picture[y : y + height, x : x + width] = GREYS[screen].repeat(3, axis=0).repeat(3, axis=1)
    return picture


def card(text: str, paper: int, ink: int, scale: float = 1.1) -> np.ndarray:
    """A picture of the stream's own with smooth letters on it, uint8 (480, 640)."""
    picture = np.full((SIZE[1], SIZE[0]), paper, np.uint8)
    for line in range(9):
        cv2.putText(picture, text, (20 + 7 * line, 50 + 48 * line), cv2.FONT_HERSHEY_DUPLEX, scale, ink, 1, cv2.LINE_AA)
    return picture


def write_video(path: Path, pictures: Iterable[np.ndarray], bits: str = "4M") -> Path:
    """Encode luma pictures (480, 640), 30 a second."""
    options = ["-preset", "ultrafast", "-b:v", bits, "-threads", "1"]
    writer = imageio_ffmpeg.write_frames(
        str(path), SIZE, pix_fmt_in="gray", pix_fmt_out="yuv420p", fps=RATE, codec="libx264", quality=None,
        output_params=options, macro_block_size=1, ffmpeg_log_level="error",
    )  # fmt: skip
    writer.send(None)
    for picture in pictures:
        writer.send(np.ascontiguousarray(picture))
    writer.close()
    return path


def videos_artifact(folder: Path, count: int, seconds: float) -> tuple[Artifact, Path]:
    """A `videos` artifact of `count` videos, and a crop file that says where the game is in them."""
    (folder / "videos").mkdir(parents=True)
    rows = []
    for number in range(count):
        name = f"video{number}"
        write_video(folder / "videos" / f"{name}.mp4", map(stream, synthetic_screens(round(seconds * RATE), number)))
        rows.append(
            {
                "video_id": name, "run_id": f"run{number}", "url": f"http://127.0.0.1/{name}", "file": f"{name}.mp4",
                "category": "Any%", "player": "somebody", "time_s": seconds, "duration_s": seconds, "status": "ok",
            }
        )  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "videos.parquet")
    crops = folder / "crops.json"
    crops.write_text(json.dumps({row["video_id"]: {"rect": list(RECT)} for row in rows}))
    return Artifact(folder, {"stage": "videos", "version": 1, "metrics": {}, "settings": {}}), crops
