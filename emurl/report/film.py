"""Pictures to a film file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from emurl.core.errors import WorkError

FRAME_RATE = 59.7275  # of the console, a second


def write_mp4(path: Path, pictures: Iterable[np.ndarray], rate: float) -> None:
    """Pictures uint8 (H, W, 3) as H.264, `rate` a second, written aside and renamed. Raises `WorkError` where ffmpeg fails."""
    import ffmpeg
    import imageio_ffmpeg

    waiting = iter(pictures)
    first = next(waiting)
    aside = path.with_suffix(".part.mp4")
    process = (
        ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{first.shape[1]}x{first.shape[0]}", r=rate)
        .output(str(aside), vcodec="libx264", pix_fmt="yuv420p", crf=18, loglevel="error")
        .overwrite_output()
        .run_async(cmd=imageio_ffmpeg.get_ffmpeg_exe(), pipe_stdin=True)
    )
    try:
        process.stdin.write(first.tobytes())
        for picture in waiting:
            process.stdin.write(picture.tobytes())
        process.stdin.close()
    except BrokenPipeError:
        pass  # ffmpeg has said why on stderr
    if process.wait() != 0:
        aside.unlink(missing_ok=True)
        raise WorkError(f"--video {path}: ffmpeg could not write it")
    aside.replace(path)
