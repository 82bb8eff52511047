"""How a row of game pixels becomes a row of video pixels: one small matrix for every scaler that streams use.

All scalers are linear and work on rows and columns separately. `point` and `floor` repeat pixels (asking for the source at a
pixel's middle, or at its edge), `area` mixes neighbors by how much of a pixel each covers, `reduced` repeats pixels on a
canvas half as large again and averages that down, as a capture at 1080 lines streamed at 720 does; the others blend.
"""

from __future__ import annotations

import numpy as np

SCALERS = ("point", "floor", "area", "linear", "cubic", "lanczos", "reduced")
REPEATING = ("point", "floor", "area")


def upscale(offset: float, scale: float, pixels: int, cells: int, scaler: str) -> np.ndarray:
    """Weights of `cells` source pixels in each of `pixels` video pixels, float64 (pixels, cells), rows summing to one.

    The first source pixel begins at `offset`, each is `scale` wide, all in video pixels; beyond the ends the last one
    repeats.
    """
    place = np.arange(pixels)
    if scaler in ("point", "floor"):
        middle = 0.5 if scaler == "point" else 0.0
        source = np.floor((place + middle - offset) / scale + 1e-9).astype(int)
        return np.eye(cells)[np.clip(source, 0, cells - 1)]
    if scaler == "reduced":
        return _reduced(offset, scale, pixels, cells)
    if scaler == "area":
        left, right = (place - offset) / scale, (place + 1 - offset) / scale
        cell = np.arange(cells)[None, :]
        low = np.where(cell == 0, -np.inf, cell)
        high = np.where(cell == cells - 1, np.inf, cell + 1.0)
        return np.clip(np.minimum(right[:, None], high) - np.maximum(left[:, None], low), 0, None) * scale
    source = (place + 0.5 - offset) / scale - 0.5
    matrix = np.zeros((pixels, cells))
    base = np.floor(source).astype(int)
    reach = {"linear": 1, "cubic": 2, "lanczos": 4}[scaler]
    for step in range(1 - reach, reach + 1):
        weight = _KERNELS[scaler](np.abs(source - (base + step)))
        np.add.at(matrix, (place, np.clip(base + step, 0, cells - 1)), weight)
    return matrix / matrix.sum(axis=1, keepdims=True)


def tied(offset: float, scale: float, pixels: int, scaler: str, most: float) -> np.ndarray:
    """Pixels whose source lies on the border of two, where one scaler rounds up and another down: bool (pixels,).

    None where they are more than a share of `most`: then the scale is a simple fraction, and there is nothing else to go by.
    """
    if scaler not in ("point", "floor"):
        return np.zeros(pixels, bool)
    source = (np.arange(pixels) + (0.5 if scaler == "point" else 0.0) - offset) / scale
    found = np.abs(source - np.round(source)) < 1e-6
    found[:1] = False
    return found if found.mean() <= most else np.zeros(pixels, bool)


def _reduced(offset: float, scale: float, pixels: int, cells: int) -> np.ndarray:
    length = cells * scale
    larger = int(np.ceil(1.5 * length - 1e-6))
    ratio = larger / length
    fine = upscale(0.0, larger / cells, larger, cells, "floor")
    filled = np.concatenate([np.zeros((1, cells)), np.cumsum(fine, axis=0)])  # what lies before each line of the larger canvas
    edges = np.clip((np.arange(pixels + 1) - offset) * ratio, 0, larger)
    whole = np.minimum(edges.astype(int), larger - 1)
    before = filled[whole] + (edges - whole)[:, None] * fine[whole]
    matrix = np.diff(before, axis=0)
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-9)


def _linear(distance: np.ndarray) -> np.ndarray:
    return np.clip(1 - distance, 0, None)


def _cubic(distance: np.ndarray, a: float = -0.65) -> np.ndarray:
    """Keys' kernel (doi:10.1109/TASSP.1981.1163711); a between the -0.5 and -0.75 that scalers use."""
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _lanczos(distance: np.ndarray, lobes: float = 4.0) -> np.ndarray:
    """Duchon's windowed sinc (doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2)."""
    return np.where(distance < lobes, np.sinc(distance) * np.sinc(distance / lobes), 0.0)


_KERNELS = {"linear": _linear, "cubic": _cubic, "lanczos": _lanczos}
