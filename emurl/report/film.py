"""Pictures to a film file: an endless GIF for a page, H.264 for a player."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from emurl.core.errors import WorkError
from emurl.core.ffmpeg import ffmpeg_exe
from emurl.core.files import write_atomically
from emurl.report.page import document, embed

FEW, MANY = 32, 256  # colors of a palette
SAME_LEVELS, ODD = 32, 0.002  # of 255 that a color may be off; share of the pixels that may be off by more
LAST_STAYS_MS = 2000  # of an endless film, so that its end is seen


def write_gif(path: Path, pictures: Iterable[np.ndarray], milliseconds: int = 80) -> None:
    """Write an endless GIF; the last picture stays for two seconds.

    The grays and inks of the first picture are those of every other of a gray game; what has more colors gets a palette of its own.

    Args:
        pictures: uint8 (H, W, 3), all of one size. milliseconds: how long each stays.

    Raises:
        WorkError: there are no pictures.
    """
    frames: list[Image.Image] = []
    for picture in pictures:
        image = Image.fromarray(picture)
        few = image.quantize(palette=frames[0], dither=Image.Dither.NONE) if frames else image.quantize(FEW)
        frames.append(few if _is_like(few, picture) else image.quantize(MANY))
    if not frames:
        raise WorkError(f"{path}: there is nothing to film, expected at least one picture")
    durations = [milliseconds] * (len(frames) - 1) + [LAST_STAYS_MS]
    with write_atomically(path) as aside:
        frames[0].save(aside, save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=False)


def write_page(path: Path, pictures: Iterable[np.ndarray], milliseconds: int, title: str) -> None:
    """Write a page (HTML) that shows the film and needs no other file; as `write_gif`."""
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.gif"
        write_gif(film, pictures, milliseconds)
        shown = embed(film, "the agent plays")
    body = (
        f'<p class="brand">emurl</p><h1>{escape(title)}</h1><section><figure><div class="scroll film" tabindex="0">{shown}</div>'
        "</figure></section>"
    )
    with write_atomically(path) as aside:
        aside.write_text(document(title, body), encoding="utf-8")


def _is_like(few: Image.Image, picture: np.ndarray) -> bool:
    """Whether a picture of few colors shows what `picture` does, but for the odd pixel."""
    apart = np.abs(np.asarray(few.convert("RGB")).astype(np.int16) - picture).max(axis=2) > SAME_LEVELS
    return float(apart.mean()) <= ODD


def write_mp4(path: Path, pictures: Iterable[np.ndarray], rate: float) -> None:
    """Write H.264, `rate` pictures a second.

    Args:
        pictures: uint8 (H, W, 3), all of one size, at least one.

    Raises:
        WorkError: ffmpeg fails.
    """
    import ffmpeg

    waiting = iter(pictures)
    first = next(waiting)
    with write_atomically(path) as aside:
        process = (
            ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{first.shape[1]}x{first.shape[0]}", r=rate)
            .output(f"file:{aside}", vcodec="libx264", pix_fmt="yuv420p", crf=18, loglevel="error")
            .overwrite_output()
            .run_async(cmd=ffmpeg_exe(), pipe_stdin=True)
        )
        try:
            process.stdin.write(first.tobytes())
            for picture in waiting:
                process.stdin.write(picture.tobytes())
            process.stdin.close()
        except BrokenPipeError:
            pass  # ffmpeg has said why on stderr
        if process.wait() != 0:
            raise WorkError(f"--video {path}: ffmpeg could not write it")
