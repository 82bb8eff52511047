"""Bring a crop of a video back to 160×144: the inverse of whatever scaled the game up.

Every scaler is linear and works on rows and columns separately, so its inverse is two small matrices. `area` averages the
whole of each source pixel's cell, `middle` its middle, `point` and `floor` the very pixels that repeat it; `linear`, `cubic`,
`lanczos` and `reduced` undo blending by regularized least squares. Which one a stream used shows in what scaling down and up again
leaves over (see `misfit`), and in how clean the shades come out (see `shades`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emurl.footage.screen_finder.thresholds import DEFAULTS, FinderSettings
from emurl.footage.screen_finder.upscale import tied, upscale
from emurl.screen import HEIGHT, WIDTH

KERNELS = ("area", "middle", "point", "floor", "linear", "cubic", "lanczos", "reduced")
Box = tuple[float, float, float, float]  # x, y, width, height in pixels of the video, fractions allowed


Bands = list[tuple[slice, slice, np.ndarray]]


@dataclass(frozen=True)
class Resampler:
    """Two banded matrices around a whole-pixel window of the video: frame = down · crop · across.

    Kept as bands of a few cells and the pixels they need. That is a tenth of the work of whole matrices, and products so
    small that no linear algebra library starts threads for them, which would fight with the other videos and the decoders.
    """

    window: tuple[int, int, int, int]  # x, y, width, height: whole pixels, inside the video
    down: Bands  # cells, pixels, float32 (cells, pixels)
    across: Bands  # cells, pixels, float32 (pixels, cells)

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """Crops uint8 (n, window height, window width) → gray uint8 (n, 144, 160)."""
        out = np.empty((len(crops), HEIGHT, WIDTH), np.uint8)
        # One set of buffers for all: fresh pages for every picture cost as much as the products.
        wide = np.empty((self.window[3], self.window[2]), np.float32)
        low = np.empty((HEIGHT, self.window[2]), np.float32)
        gray = np.empty((HEIGHT, WIDTH), np.float32)
        for number, crop in enumerate(crops):
            np.copyto(wide, crop)
            for cells, pixels, weights in self.down:
                np.matmul(weights, wide[pixels], out=low[cells])
            for cells, pixels, weights in self.across:
                np.matmul(low[:, pixels], weights, out=gray[:, cells])
            gray += 0.5
            out[number] = np.clip(gray, 0, 255, out=gray)
        return out

    def cut(self, pictures: np.ndarray) -> np.ndarray:
        """The window out of whole pictures (n, height, width)."""
        x, y, width, height = self.window
        return pictures[:, y : y + height, x : x + width]


def resampler(rect: Sequence[float], size: tuple[int, int], kernel: str, settings: FinderSettings = DEFAULTS) -> Resampler:
    """The way from `rect` (x, y, width, height, fractions allowed) of a video of `size` (width, height) to 160×144."""
    x, y, width, height = rect
    # A pixel that lies a quarter or more beyond the edge shows the stream's border as much as the game.
    x0, x1 = max(0, int(np.ceil(x - 0.25))), min(size[0], int(np.floor(x + width + 0.25)))
    y0, y1 = max(0, int(np.ceil(y - 0.25))), min(size[1], int(np.floor(y + height + 0.25)))
    across = _inverse(x - x0, width / WIDTH, x1 - x0, WIDTH, kernel, settings.misfit.max_ties)
    down = _inverse(y - y0, height / HEIGHT, y1 - y0, HEIGHT, kernel, settings.misfit.max_ties)
    return Resampler(
        (x0, y0, x1 - x0, y1 - y0),
        [(cells, pixels, weights) for cells, pixels, weights in _bands(down, 8)],
        [(cells, pixels, np.ascontiguousarray(weights.T)) for cells, pixels, weights in _bands(across, 16)],
    )


def _bands(matrix: np.ndarray, step: int) -> Bands:
    """A banded matrix (cells, pixels) as blocks of `step` rows with the columns they need."""
    bands = []
    for first in range(0, len(matrix), step):
        rows = matrix[first : first + step]
        used = np.flatnonzero(rows.any(axis=0))
        pixels = slice(int(used[0]), int(used[-1]) + 1)
        bands.append((slice(first, first + step), pixels, np.ascontiguousarray(rows[:, pixels])))
    return bands


def _inverse(offset: float, scale: float, pixels: int, cells: int, kernel: str, max_ties: float) -> np.ndarray:
    """Matrix (cells, pixels), float32: rows sum to one; `max_ties` as in `upscale.tied`."""
    if kernel in ("area", "middle"):
        share = 1.0 if kernel == "area" else 0.55
        matrix = _overlap(offset, scale, pixels, cells, share)
    elif kernel in ("point", "floor"):
        matrix = upscale(offset, scale, pixels, cells, kernel).T
        doubtful = tied(offset, scale, pixels, kernel, max_ties)
        sure = matrix * ~doubtful
        matrix = np.where(sure.any(axis=1, keepdims=True), sure, matrix)
    else:
        matrix = _unblend(upscale(offset, scale, pixels, cells, kernel), 0.03 * scale)
    matrix[np.abs(matrix) < 3e-3 * np.abs(matrix).max()] = 0  # the tails of an inverse reach far and say nothing
    return (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)


def _unblend(forward: np.ndarray, ridge: float, step: int = 8) -> np.ndarray:
    """Least-squares inverse of a banded matrix (pixels, cells), solved for `step` cells at a time with as many on either side.

    Farther cells have no say. The ridge keeps it from sharpening compression noise where cells are hardly larger than pixels.
    """
    pixels, cells = forward.shape
    matrix = np.zeros((cells, pixels))
    reach = np.abs(forward).sum(axis=1)
    for first in range(0, cells, step):
        low, high = max(0, first - step), min(cells, first + 2 * step)
        inside = np.flatnonzero(np.abs(forward[:, low:high]).sum(axis=1) > 0.999 * reach)
        part = forward[inside[:, None], np.arange(low, high)]
        solved = np.linalg.solve(part.T @ part + ridge * np.eye(high - low), part.T)
        matrix[first : first + step, inside] = solved[first - low : first - low + step]
    return matrix


def _overlap(offset: float, scale: float, pixels: int, cells: int, share: float) -> np.ndarray:
    """How much of the middle `share` of each cell every pixel covers."""
    center = offset + (np.arange(cells) + 0.5) * scale
    half = max(scale * share, 0.999) / 2
    left, right = center[:, None] - half, center[:, None] + half
    pixel = np.arange(pixels)[None, :]
    return np.clip(np.minimum(right, pixel + 1) - np.maximum(left, pixel), 0, None)
