"""Per video: where the console's four shades lie in this stream's gray, and which scaler the stream used.

Streams tint, stretch and compress, but the game still shows a few grays and nothing between them. A video may change its
colors on the way (a Super Game Boy does from town to town): its pictures are sorted into palettes, and every frame is read
by the one that fits it best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from emurl.footage.screen_finder.misfit import Lines
from emurl.footage.screen_finder.palette import Palette, fit_palette
from emurl.footage.screen_finder.resample import Resampler, resampler
from emurl.footage.screen_finder.thresholds import DEFAULTS, FinderSettings, PaletteSettings
from emurl.footage.screen_finder.upscale import REPEATING, SCALERS
from emurl.screen import HEIGHT, WIDTH, look_up

SHORTER = {"lanczos": ("lanczos", "cubic", "linear"), "cubic": ("cubic", "linear")}


@dataclass(frozen=True)
class Calibration:
    """`palettes`: the colorings of this video, that of most pictures first.

    `residual`: how far pixels lie from their level on average: 0 clean … about 0.5 where there are no levels. `edges`: the
    same over pixels beside a change of shade only, which are clean when grid and scaler are right, and mixtures when either
    is wrong; flat pixels say nothing of that.
    """

    kernel: str
    palettes: tuple[Palette, ...]
    residual: float
    edges: float

    @property
    def centers(self) -> tuple[float, float, float, float]:
        """Gray of the four shades, dark to light, in most pictures."""
        return self.palettes[0].shades

    @property
    def doubt(self) -> float:
        """Share of the pixels whose shade cannot be told, in the worst palette."""
        return max(palette.doubt for palette in self.palettes)

    @cached_property
    def tables(self) -> np.ndarray:
        """Brightness rank of every gray in each palette, uint8 (palettes, 256)."""
        return np.stack([palette.table() for palette in self.palettes])

    @cached_property
    def distances(self) -> np.ndarray:
        """How far every gray lies from a level of each palette (see `Palette.distance`), float32 (palettes, 256)."""
        return np.stack([palette.distance() for palette in self.palettes]).astype(np.float32)

    def which(self, found: np.ndarray) -> np.ndarray:
        """The palette that suits each picture best, by its histogram (n, 256): int (n,)."""
        return (found @ self.distances.T).argmin(axis=1) if len(self.palettes) > 1 else np.zeros(len(found), int)

    def ranks(self, gray: np.ndarray) -> np.ndarray:
        """Gray uint8 (n, 144, 160) → brightness ranks 0…3, each picture by its own palette."""
        if len(self.palettes) == 1:
            return look_up(gray, self.tables[0])
        chosen = self.which(histograms(gray))
        return np.stack([look_up(one, self.tables[which]) for which, one in zip(chosen, gray, strict=True)])


def calibrate(
    pictures: np.ndarray, rect: Sequence[float], scaler: str | None = None, settings: FinderSettings = DEFAULTS
) -> tuple[Calibration, Resampler]:
    """Choose kernel and shades for the game at `rect` in luma pictures uint8 (n, height, width); at most `palette.pictures` of them are read.

    `scaler` is how the stream scaled the game up (one of `upscale.SCALERS`), where that is known.
    """
    pictures = pictures[np.unique(np.linspace(0, len(pictures) - 1, settings.palette.pictures).astype(int))]
    size = (pictures.shape[2], pictures.shape[1])
    best: tuple[Calibration, Resampler] | None = None
    for kernel in _kernels(scaler or scaler_of(pictures[::2], rect, settings), rect, settings):
        way = resampler(rect, size, kernel, settings)
        found = fit_shades(way(way.cut(pictures)), kernel, settings)
        if best is None or found.edges < best[0].edges:
            best = found, way
    assert best is not None
    return best


def scaler_of(pictures: np.ndarray, rect: Sequence[float], settings: FinderSettings = DEFAULTS) -> str:
    """The scaler that explains the pictures at `rect` best, across and down together."""
    x, y, width, height = (float(v) for v in rect)
    left = dict.fromkeys(SCALERS, 0.0)
    for axis, offset, length, cells, across in ((1, x, width, WIDTH, (y, height)), (0, y, height, HEIGHT, (x, width))):
        lines = Lines(
            pictures,
            axis,
            round(offset),
            round(length),
            round(across[0]),
            round(sum(across)),
            groups=1,
            bands=1,
            settings=settings,
        )
        for scaler in SCALERS:
            left[scaler] += lines.misfit(offset, length, cells, scaler).share()
    return min(left, key=lambda scaler: left[scaler])


def _kernels(scaler: str, rect: Sequence[float], settings: FinderSettings) -> tuple[str, ...]:
    """Ways back that are worth trying for a scaler: where pixels repeat often the clean ones in the middle say most, and where
    a scaler rings beyond black and white, which no picture can hold, a way back that does not reach so far."""
    if scaler in REPEATING:
        return (scaler, "middle") if min(rect[2] / WIDTH, rect[3] / HEIGHT) >= settings.palette.middle_scale else (scaler,)
    return SHORTER.get(scaler, (scaler,))


def fit_shades(gray: np.ndarray, kernel: str = "area", settings: FinderSettings = DEFAULTS) -> Calibration:
    """Palettes of gray uint8 pictures (n, 144, 160)."""
    found = histograms(gray)
    palettes = _sorted_out(found, settings)
    result = Calibration(kernel, tuple(palettes), 0.0, 0.0)
    which = result.which(found)
    edges = [edge_distance(one, palettes[own], settings.palette) for own, one in zip(which, gray, strict=True)]
    seen = [value for value in edges if value is not None]
    far = (found * result.distances[which]).sum(axis=1)
    return replace(result, residual=float(far.mean()), edges=float(np.median(seen)) if seen else 1.0)


def edge_distance(picture: np.ndarray, palette: Palette, own: PaletteSettings) -> float | None:
    """As `Palette.distance`, over the pixels of a gray picture (144, 160) whose neighborhood of 3×3 holds more than one shade;
    None where there are hardly any."""
    step = (palette.shades[-1] - palette.shades[0]) / 3
    around = np.ones((3, 3), np.uint8)
    mixed = cv2.subtract(cv2.dilate(picture, around), cv2.erode(picture, around)) > step * own.edge_share
    histogram = np.bincount(picture[mixed], minlength=256)
    total = int(histogram.sum())
    return float(histogram @ palette.distance()) / total if total > own.min_edges else None


def histograms(gray: np.ndarray) -> np.ndarray:
    """Share of each gray in each picture of uint8 (n, 144, 160), float32 (n, 256): 256 numbers to work on instead of 23,040."""
    return np.stack([cv2.calcHist([picture], [0], None, [256], [0, 256]).ravel() for picture in gray]) / np.float32(gray[0].size)


def _sorted_out(found: np.ndarray, settings: FinderSettings) -> list[Palette]:
    """Sort pictures (their found, (n, 256)) into palettes: the one that suits most of what is left, until all are taken."""
    own = settings.palette
    share = found.cumsum(axis=1)
    spans = (share < own.highest_share).sum(axis=1) - (share < own.lowest_share).sum(axis=1)
    if (spans >= own.min_apart).any():
        found = found[spans >= own.min_apart]  # a console that is off, or a blank screen, shows noise and no palette
    whole = fit_palette(found.mean(axis=0), settings)
    if len(found) < own.min_sorted:
        return [whole]
    alone = np.array([float(one @ fit_palette(one, settings).distance()) for one in found])
    limit = np.maximum(own.shared_ratio * alone, own.clean_distance)
    if (found @ whole.distance() <= limit).mean() > own.one_palette and len(whole.levels) <= 4:
        return [whole]
    rest = np.arange(len(found))
    palettes: list[Palette] = []
    while len(rest) and len(palettes) < own.max_palettes:
        tried = [fit_palette(found[one], settings) for one in rest]
        takes = [(found[rest] @ palette.distance() <= limit[rest]) for palette in tried]
        # A palette of many levels fits everything: the fewer the better.
        worth = [t.sum() / len(p.levels) for t, p in zip(takes, tried, strict=True)]
        best = int(np.argmax(worth))
        mine = rest[takes[best] | (np.arange(len(rest)) == best)]
        palettes.append(fit_palette(found[mine].mean(axis=0), settings))
        rest = np.setdiff1d(rest, mine)
    return palettes
