"""Was this part of a picture drawn by scaling up so many pixels? The share of its detail that no such drawing explains.

A line of 160 source pixels scaled up to 500 lies in a space of 160 dimensions, known once scaler, place and length are. What
is left of the video's lines after projecting them onto that space is compression noise when all three are right (0 to
0.04 of the energy of the slopes), and a good part of the picture when one of them is wrong (0.09 and more), by a single
pixel or a kernel. That holds at every scale above 1, in any colors. Only second moments of the lines are needed, so a
hypothesis costs one small matrix, however many pictures are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from emurl.footage.screen_finder.thresholds import DEFAULTS, FinderSettings, MisfitSettings
from emurl.footage.screen_finder.upscale import tied, upscale


@dataclass(frozen=True)
class Misfit:
    """Energies of slopes: what is not explained, and all there is; float (groups, bands, parts)."""

    left: np.ndarray
    whole: np.ndarray
    noise: float = 0.0  # what compression alone leaves of slopes in a region, roughly
    settings: MisfitSettings = DEFAULTS.misfit

    def groups(self) -> np.ndarray:
        """Unexplained share for every group of pictures, without the worst regions (an overlay, a passing message); 1 for a
        group with nothing in it."""
        flat = (len(self.left), -1)
        left, whole = self.left.reshape(flat), self.whole.reshape(flat)
        trimmed, quiet = self.settings.trimmed, self.settings.quiet_share
        if left.shape[1] > trimmed + 2:
            kept = np.argsort(left / (whole + quiet * whole.mean(axis=1, keepdims=True) + 1e-9), axis=1)[:, :-trimmed]
            left, whole = np.take_along_axis(left, kept, 1), np.take_along_axis(whole, kept, 1)
        total = whole.sum(axis=1)
        return np.where(total > 1e-6 * max(total.max(), 1e-9), left.sum(axis=1) / np.maximum(total, 1e-9), 1.0)

    def share(self) -> float:
        """Unexplained share in the groups of pictures that fit better than most: cards and menus are in some videos."""
        return float(np.sort(self.groups())[len(self.left) // 3])

    def rank(self) -> float:
        """What to choose a place by: `share`, and a little of what was left out of it, for the place that also explains most of
        the worst regions is the right one of two that are equal elsewhere."""
        groups = self.groups()
        good = groups <= np.sort(groups)[len(groups) // 3] + 1e-9
        return self.share() + 0.2 * float(self.left[good].sum() / max(float(self.whole[good].sum()), 1e-9))

    def worst(self, axis: int) -> float:
        """Unexplained share of the worst band (axis 0) or part (axis 1) in the groups that fit."""
        groups = self.groups()
        good = groups <= np.sort(groups)[len(groups) // 3] + 1e-9
        left, whole = (v[good].mean(axis=0).sum(axis=1 - axis) for v in (self.left, self.whole))
        noise = self.noise * self.left.shape[2 - axis]
        return float((left / (whole + noise)).max())


class Lines:
    """Second moments of the lines along one axis of a box in luma pictures uint8 (n, height, width).

    `low` and `length` are the box along the axis (0 down, 1 across), `start` and `stop` across it; pixels of the video.
    `groups` and `bands`: other than the settings say.
    """

    def __init__(
        self,
        pictures: np.ndarray,
        axis: int,
        low: int,
        length: int,
        start: int,
        stop: int,
        groups: int | None = None,
        bands: int | None = None,
        settings: FinderSettings = DEFAULTS,
    ) -> None:
        own = self.settings = settings.misfit
        groups, bands = groups or own.groups, bands or own.bands
        along = pictures if axis == 1 else pictures.transpose(0, 2, 1)
        start, stop = max(0, start), min(along.shape[1], stop)
        self.limit = along.shape[2]
        edges = np.linspace(start, stop, bands + 1).astype(int)
        members = np.array_split(np.arange(len(pictures)), min(groups, len(pictures)))
        self.windows: list[tuple[int, int, np.ndarray]] = []
        for part in range(own.parts):
            first = max(0, low + part * length // own.parts - own.margin)
            last = min(self.limit, low + (part + 1) * length // own.parts + own.margin)
            last = max(first, last)
            grams = np.zeros((len(members), bands, last - first, last - first), np.float32)
            for g, b in np.ndindex(len(members), bands):
                few = along[members[g], edges[b] : edges[b + 1] : 3, first:last]
                lines = few.astype(np.float32).reshape(few.shape[0] * few.shape[1], last - first) - 128.0
                grams[g, b] = lines.T @ lines / max(len(lines), 1)
            self.windows.append((first, last, grams))
        thirds = np.array_split(np.arange(len(members)), min(3, len(members)))
        self.totals = [np.stack([grams[third].sum(axis=(0, 1)) for third in thirds]) for _, _, grams in self.windows]
        # Running sums of the energy of the slopes: what any stretch of a window holds is a difference of two.
        self.energies = [_energy(grams) for _, _, grams in self.windows]
        self.total_energies = [_energy(grams) for grams in self.totals]

    def misfit(self, offset: float, length: float, cells: int, scaler: str) -> Misfit:
        """For `cells` source pixels that begin at `offset` and are `length` long together, in pixels of the video."""
        own = self.settings
        shape = (*self.windows[0][2].shape[:2], own.parts)
        found = Misfit(np.zeros(shape), np.zeros(shape), own.noise_energy * length / own.parts, own)
        base = int(np.floor(offset))
        for part, (low, high) in enumerate(pairwise(self._cuts(offset - base, length))):
            first, last, grams = self.windows[part]
            a, b = max(base + low, first), min(base + high, last)
            if b - a < own.min_pixels:
                continue
            form = _form(offset - base, length, cells, scaler, a - base, b - base, own.max_ties, own.ridge)
            block = grams[:, :, a - first : b - first, a - first : b - first]
            found.left[:, :, part] = block.reshape(*shape[:2], -1) @ form.ravel()
            found.whole[:, :, part] = self.energies[part][:, :, b - first - 1] - self.energies[part][:, :, a - first]
        return found

    def rough(self, offsets: np.ndarray, length: int, cells: int, scaler: str) -> np.ndarray:
        """Unexplained share without the worst part, for many whole-pixel `offsets`, in the middle third of the time: float (n,)."""
        own = self.settings
        left, whole = np.zeros((2, len(offsets), len(self.totals[0]), own.parts))
        for part, (low, high) in enumerate(pairwise(self._cuts(0.0, length))):
            first, last, _ = self.windows[part]
            # A stretch of each part is enough to tell most places from the right one: at the ends, and in the middle.
            spare = max(0, high - low - own.rough_stretch)
            cut = spare * part // max(1, own.parts - 1)
            low, high = low + cut, high - (spare - cut)
            mine = np.flatnonzero((offsets + low >= first) & (offsets + high <= last))
            if high - low < own.min_pixels or not len(mine):
                continue
            form = _form(0.0, length, cells, scaler, low, high, own.max_ties, own.ridge).ravel()
            starts, size = offsets[mine] + low - first, high - low
            blocks = np.stack([self.totals[part][:, i : i + size, i : i + size] for i in starts])
            left[mine, :, part] = blocks.reshape(len(mine), -1, len(form)) @ form
            energy = self.total_energies[part]
            whole[mine, :, part] = (energy[:, starts + size - 1] - energy[:, starts]).T
        worst = (left / (whole + own.quiet_share * whole.mean(axis=2, keepdims=True) + 1e-9)).argmax(axis=2)
        kept = np.arange(own.parts) != worst[..., None]
        shares = (left * kept).sum(axis=2) / np.maximum((whole * kept).sum(axis=2), 1e-9)
        return np.asarray(np.sort(shares, axis=1)[:, shares.shape[1] // 2])

    def _cuts(self, part_offset: float, length: float) -> list[int]:
        """Where the parts begin and end, in whole pixels from that of the offset."""
        pixels = int(np.floor(part_offset + length + 1e-6))
        parts = self.settings.parts
        return [round(part * pixels / parts) for part in range(parts + 1)]


def _energy(grams: np.ndarray) -> np.ndarray:
    """Running sum of the energy of the slopes along windows with these second moments (…, n, n): float64 (…, n)."""
    own = np.diagonal(grams, axis1=-2, axis2=-1).astype(float)
    next_to = np.diagonal(grams, offset=1, axis1=-2, axis2=-1)
    steps = own[..., 1:] + own[..., :-1] - 2.0 * next_to
    return np.concatenate([np.zeros((*steps.shape[:-1], 1)), np.cumsum(steps, axis=-1)], axis=-1)


# Both depend on no picture, and the same few places are asked for again and again: of one rectangle and of the next, of one video and
# of the next. A form takes about 40 kB.
@lru_cache(maxsize=64)
def _matrix(part_offset: float, length: float, cells: int, scaler: str, max_ties: float) -> np.ndarray:
    """Weights of the source pixels, and of pixels that may be either neighbor, in each pixel of the video."""
    pixels = int(np.floor(part_offset + length + 1e-6))
    matrix = upscale(part_offset, length / cells, pixels, cells, scaler)
    ties = tied(part_offset, length / cells, pixels, scaler, max_ties)
    return np.concatenate([matrix, np.eye(pixels)[:, ties]], axis=1)


@lru_cache(maxsize=2048)
def _form(
    part_offset: float, length: float, cells: int, scaler: str, low: int, high: int, max_ties: float, ridge: float
) -> np.ndarray:
    """Quadratic form of the slopes that are not explained between two pixels from that of the offset; float32 (pixels, pixels)."""
    return _unexplained(_matrix(part_offset, length, cells, scaler, max_ties)[low:high], ridge)


def _unexplained(matrix: np.ndarray, ridge: float) -> np.ndarray:
    """Quadratic form float32 (pixels, pixels): energy of the slopes of what `matrix` (pixels, cells) cannot make."""
    used = matrix[:, np.abs(matrix).max(axis=0) > 1e-6]
    pixels = len(used)
    rest = np.eye(pixels) - used @ np.linalg.solve(used.T @ used + ridge * np.eye(used.shape[1]), used.T)
    slopes = np.diff(rest, axis=0).astype(np.float32)
    return slopes.T @ slopes
