"""Frames of a video file or of a folder of pictures, for looking at them one by one: as canonical frames with their times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from emurl.core.errors import InputError
from emurl.footage.dataset import NOT_GAME
from emurl.footage.decode import decode, plan
from emurl.footage.screen_finder.finder import Segment, find_in_sample
from emurl.footage.video import NotAVideo, sample
from emurl.screen import HEIGHT, WIDTH, ScreenSettings, ScreenSpec, from_emulator

PICTURES = (".png", ".bmp")
SCREEN = ScreenSettings()

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Watched:
    """Canonical frames uint8 (N, 144, 160[, 3]), and `game`, whether each shows the game: bool (N,)."""

    frames: np.ndarray
    game: np.ndarray


def watch(path: Path, fps: float, crop: Box | None = None, screen: ScreenSettings = SCREEN) -> Watched:
    """Frames of a video, `fps` a second, or of a folder of pictures in the order of their names.

    Args:
        crop: where the game's screen is in the video, (x, y, width, height) in pixels; None: it is looked for.
        screen: what a frame is.

    Raises:
        InputError: there is nothing to see; the message says what was expected.
    """
    if path.is_dir():
        return _pictures(path, screen.spec)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a video or a folder of PNG frames")
    try:
        seen = sample(path)
        given = None
        if crop is not None:
            given = [Segment(0.0, float("inf"), crop, 1.0).within(*seen.size)]
        segments = given or find_in_sample(seen)
        if all(segment.rect is None for segment in segments):
            raise InputError(f"{path}: no screen could be trusted ({segments[0].reason}); say where it is with --crop")
        chunks = list(decode(path, plan(seen.times, seen.pictures, segments), fps, screen=screen))
    except NotAVideo as error:
        raise InputError(f"{path}: {error}, expected a video or a folder of PNG frames") from None
    flags = np.concatenate([chunk.flags for chunk in chunks])
    return Watched(np.concatenate([chunk.frames for chunk in chunks]), flags & NOT_GAME == 0)


def _pictures(folder: Path, spec: ScreenSpec) -> Watched:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES)
    if not files:
        raise InputError(f"{folder}: holds no PNG frames, expected some of {WIDTH}×{HEIGHT}")
    frames = np.empty((len(files), *spec.shape), np.uint8)
    for place, file in enumerate(files):
        try:
            with Image.open(file) as picture:
                shown = np.asarray(picture.convert("RGB"))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"{file}: cannot be read ({str(error).splitlines()[0]}), expected a PNG frame") from None
        if shown.shape[:2] != (HEIGHT, WIDTH):
            raise InputError(f"{file}: is {shown.shape[1]}×{shown.shape[0]}, expected a frame of {WIDTH}×{HEIGHT}")
        frames[place] = from_emulator(shown, spec)
    return Watched(frames, np.ones(len(files), bool))
