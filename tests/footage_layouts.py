"""Streams to look for a screen in: pictures of the broadcast's own compositor, roughened, and pictures that hold no game."""

from __future__ import annotations

from itertools import islice

import cv2
import numpy as np

from emurl.bench.synthetic import synthetic_screens
from emurl.cartridge.broadcast import paint
from emurl.cartridge.broadcast.compose import Show, stream
from emurl.cartridge.broadcast.look import Look

SHOW = Show("Mossdale", "Any%", 50.0, [("Title", 4.0), ("Bedroom", 12.0), ("Town", 30.0), ("Goal", 50.0)])


def rough(picture: np.ndarray, rng: np.random.Generator, quality: int = 60) -> np.ndarray:
    """What compression does to a luma picture."""
    noisy = np.clip(picture + rng.normal(0, 2.0, picture.shape), 0, 255).astype(np.uint8)
    return cv2.imdecode(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


def pictures_of(look: Look, count: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples of a stream, as `video.sample` gives them: seconds (n,), luma uint8 (n, 720, 1280)."""
    rng = np.random.default_rng(seed)
    screens = synthetic_screens(count, seed, per_second=1.0)
    before = round(look.before_s * 30)
    kept = list(islice((canvas.planes[0].copy() for canvas in stream(look, SHOW, screens)), before - 4, before + count))
    return np.arange(len(kept), dtype=float), np.stack([rough(picture, rng) for picture in kept])


def without_game(look: Look, kind: str, count: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Streams of something else, where the game would be: nothing at all, a camera, smooth blobs, plain noise, or a finer
    game."""
    rng = np.random.default_rng([seed, 9])
    ground = cv2.cvtColor(paint.background_cached(look), cv2.COLOR_RGB2GRAY)
    x, y, width, height = look.game
    pictures = []
    for number in range(count):
        picture = ground.copy()
        if kind == "camera":
            face = cv2.cvtColor(paint.camera_frame(look, number * 7), cv2.COLOR_RGB2GRAY)
            picture[y : y + height, x : x + width] = cv2.resize(face, (width, height), interpolation=cv2.INTER_LINEAR)
        elif kind == "blobs":
            small = rng.integers(0, 256, (9, 10)).astype(np.uint8)
            picture[y : y + height, x : x + width] = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        elif kind == "noise":
            picture[y : y + height, x : x + width] = rng.integers(0, 256, (height, width))
        elif kind == "another console":  # 256×224 pixels in a box of its own shape, as a 16-bit game would stand there
            other = np.repeat(np.repeat(rng.integers(0, 256, (56, 64)).astype(np.uint8), 4, 0), 4, 1)
            box = (width, round(width * 224 / 256))
            shown = cv2.resize(other, box, interpolation=cv2.INTER_NEAREST)[: 720 - y]
            picture[y : y + shown.shape[0], x : x + width] = shown
        pictures.append(rough(picture, rng))
    return np.arange(count, dtype=float), np.stack(pictures)
