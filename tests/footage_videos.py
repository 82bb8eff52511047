"""Small files for tests: a video with bytes to cut in the middle, sound alone, and an HLS playlist."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg

SECONDS = 12.0


def make(path: Path, *options: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *options, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.read_bytes()


def make_video(path: Path, seconds: float = SECONDS) -> bytes:
    source = f"testsrc2=size=320x180:rate=15:duration={seconds}"
    # Noise, so that there are bytes to cut off in the middle.
    return make(
        path, "-f", "lavfi", "-i", source, "-vf", "noise=alls=30:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-g", "15",
        *(("-movflags", "+faststart") if path.suffix == ".mp4" else ()),
    )  # fmt: skip


def make_sound(path: Path) -> bytes:
    return make(path, "-f", "lavfi", "-i", "sine=duration=12", "-c:a", "aac")
