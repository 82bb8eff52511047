"""Per video: where the console's four shades lie in this stream's grey, and which scaler the stream used.

Streams tint, stretch and compress, but they keep the order of brightness. The histogram of the resampled game has (up to) four
narrow peaks; thresholds go half-way between them. A game that hides a shade for a whole video leaves fewer peaks: then the
missing ones are placed by the console's own spacing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from emurl.screen import quantise
from emurl.speedruns.resample import KERNELS, Resampler, resampler

SPACING = np.array([0x00, 0x55, 0x99, 0xFF]) / 255.0  # the emulator's greys on a scale of 0…1


@dataclass(frozen=True)
class Calibration:
    """`centres`: grey of the four shades, dark to light; `thresholds` between them.

    `residual`: how far pixels lie from their shade on average, as a share of half the distance between shades: 0 clean …
    about 0.5 where there are no four shades. `edges`: the same over pixels beside a change of shade only, which are clean
    when grid and scaler are right, and mixtures when either is wrong; flat pixels say nothing of that.
    """

    kernel: str
    centres: tuple[float, float, float, float]
    thresholds: tuple[float, float, float]
    residual: float
    edges: float

    def ranks(self, grey: np.ndarray) -> np.ndarray:
        """Grey uint8 of any shape → brightness ranks 0…3."""
        return quantise(grey, self.thresholds)


def calibrate(pictures: np.ndarray, rect: Sequence[float]) -> tuple[Calibration, Resampler]:
    """Choose scaler and shades for the game at `rect` in luma pictures uint8 (n, height, width); at most 32 of them are read."""
    pictures = pictures[np.unique(np.linspace(0, len(pictures) - 1, 32).astype(int))]
    size = (pictures.shape[2], pictures.shape[1])
    best: tuple[Calibration, Resampler] | None = None
    for kernel in KERNELS:
        way = resampler(rect, size, kernel)
        found = fit_shades(way(way.cut(pictures)), kernel)
        if best is None or found.edges < best[0].edges:
            best = found, way
    assert best is not None
    return best


def fit_shades(grey: np.ndarray, kernel: str = "area") -> Calibration:
    """Four shades in grey uint8 pictures (n, 144, 160)."""
    # Every picture has the same say, whatever it shows; the root keeps a white screen from outvoting all others.
    histogram = np.zeros(256)
    for picture in grey:
        counts = np.bincount(picture.ravel(), minlength=256)
        histogram += np.sqrt(counts)
    full = np.bincount(grey.ravel(), minlength=256).astype(float)
    low, high = _ends(full)
    best, best_cost = None, np.inf
    for start in _starts(histogram, low, high):
        centres, cost = _cluster(histogram, start, high - low)
        if cost < best_cost:
            best, best_cost = centres, cost
    assert best is not None
    thresholds = (best[:-1] + best[1:]) / 2
    return Calibration(
        kernel=kernel,
        centres=tuple(round(float(v), 2) for v in best),  # type: ignore[arg-type]
        thresholds=tuple(round(float(v), 2) for v in thresholds),  # type: ignore[arg-type]
        residual=residual(full, best),
        edges=edge_residual(grey, best),
    )


def residual(histogram: np.ndarray, centres: np.ndarray) -> float:
    """Mean distance of a grey histogram (256,) to the nearest of `centres`, over half the mean distance between these."""
    distance = np.abs(np.arange(256)[:, None] - np.asarray(centres)).min(axis=1)
    half = max((centres[-1] - centres[0]) / 6, 1.0)
    return float((histogram * distance).sum() / max(histogram.sum(), 1) / half)


def edge_residual(grey: np.ndarray, centres: np.ndarray) -> float:
    """As `residual`, over the pixels of grey pictures (n, 144, 160) whose neighbourhood of 3×3 holds more than one shade."""
    step = (centres[-1] - centres[0]) / 3
    total = np.zeros(256)
    around = np.ones((3, 3), np.uint8)
    for picture in grey:
        mixed = cv2.dilate(picture, around).astype(np.int16) - cv2.erode(picture, around) > step / 2
        total += np.bincount(picture[mixed], minlength=256)
    return residual(total, centres)


def _ends(histogram: np.ndarray) -> tuple[float, float]:
    """Darkest and lightest grey that hold at least half a percent of all pixels."""
    share = np.cumsum(histogram) / max(histogram.sum(), 1)
    return float(np.searchsorted(share, 0.005)), float(np.searchsorted(share, 0.995))


def _starts(histogram: np.ndarray, low: float, high: float) -> list[np.ndarray]:
    """Where to begin looking: the console's spacing between the ends, an even one, and the four tallest peaks."""
    starts = [low + (high - low) * SPACING, np.linspace(low, high, 4)]
    smooth = np.convolve(histogram, np.hanning(11) / np.hanning(11).sum(), mode="same")
    peaks: list[int] = []
    for level in np.argsort(-smooth):
        if len(peaks) == 4 or smooth[level] <= 0:
            break
        if all(abs(level - peak) >= 18 for peak in peaks):
            peaks.append(int(level))
    if len(peaks) == 4:
        starts.append(np.sort(np.array(peaks, float)))
    return starts


def _cluster(histogram: np.ndarray, centres: np.ndarray, span: float) -> tuple[np.ndarray, float]:
    """Lloyd's algorithm on a histogram; returns the centres and the mean distance, with a price for shades too close together.

    A shade without pixels stays where the console's spacing between its neighbours puts it.
    """
    levels = np.arange(256.0)
    centres = centres.astype(float).copy()
    for _ in range(20):
        owner = np.abs(levels[:, None] - centres).argmin(axis=1)
        mass = np.bincount(owner, histogram, 4)
        moved = np.bincount(owner, histogram * levels, 4) / np.maximum(mass, 1e-9)
        seen = mass > histogram.sum() * 1e-4
        if seen.sum() >= 2 and not seen.all():
            slope, offset = np.polyfit(SPACING[seen], moved[seen], 1)
            moved = np.where(seen, moved, slope * SPACING + offset)
        elif not seen.all():
            moved = np.where(seen, moved, centres)
        moved = np.sort(moved)
        if np.allclose(moved, centres, atol=0.05):
            break
        centres = moved
    cost = float((histogram * np.abs(levels[:, None] - centres).min(axis=1)).sum() / max(histogram.sum(), 1e-9))
    closest = float(np.diff(centres).min())
    return centres, cost + max(0.0, span * 0.12 - closest)
