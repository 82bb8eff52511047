"""The pixel grid of an upscaled picture: its period and phase along one axis, to a hundredth of a pixel.

A 160×144 screen drawn at scale k has its steps of brightness at k, 2k, 3k … from its edge, whether the scaler repeats pixels
or blends them: blended or not, the squared slope is largest half-way between two source pixels and smallest at their
centers. So the mean squared slope along an axis, over many pictures, is a comb; its line in the spectrum gives the period,
the line's phase the place of the teeth. Measured over 160 teeth the period is far more precise than either edge of the
picture, and a camera, a drawing or a stream's panel has no such line. For k < 2 the line lies beyond the sampling limit and
is seen through its alias, which has the same phase at whole pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emurl.footage.screen_finder.thresholds import DEFAULTS, FinderSettings, GridSettings

BLOCK = 8  # video codecs work in blocks of this many pixels, and leave steps at their borders
SQUARES = np.minimum(np.arange(256, dtype=np.float32), 64) ** 2


@dataclass(frozen=True)
class Comb:
    """`period` in pixels; one tooth stands at `phase` (0 ≤ phase < period) from the profile's start.

    `strength` is the line over the floor of the spectrum; `depth` how much the slope swings with it, as a share of its mean: what
    compression leaves in a smooth picture can be regular, but it is never deep.
    """

    period: float
    phase: float
    strength: float
    depth: float

    def teeth_near(self, position: float) -> float:
        """The tooth nearest to `position`."""
        return self.phase + round((position - self.phase) / self.period) * self.period


def slope_profile(pictures: np.ndarray, axis: int, origin: int | None = None) -> np.ndarray:
    """Mean squared step between neighbors along `axis` (0 down, 1 across) of uint8 (n, height, width): float (length - 1,).

    Value i is the step between pixels i and i+1, which is at coordinate i + 1 when pixel i covers [i, i+1). With `origin`,
    the video coordinate of the first pixel, steps at the borders of the codec's blocks are replaced by their neighbors'
    mean: they would make a comb of their own at 8, 4, 2⅔ and 2 pixels, and a real grid has enough other teeth.
    """
    total: np.ndarray | None = None
    for picture in pictures:
        wide = picture.astype(np.float32)
        steps = np.diff(wide, axis=axis)
        energy = np.minimum(np.abs(steps), 64.0)
        line = (energy * energy).mean(axis=1 - axis)
        total = line if total is None else total + line
    assert total is not None
    profile = total / len(pictures)
    return profile if origin is None else _mended(profile, origin)


def fit_comb(profile: np.ndarray, period: float, slack: float | None = None, settings: FinderSettings = DEFAULTS) -> Comb:
    """The comb nearest to `period` (within a share of `slack`; None: `grid.comb_slack`) in a slope profile."""
    own = settings.grid
    slack = own.comb_slack if slack is None else slack
    centerd = _flatten(profile, own)
    window = np.hanning(len(centerd) + 2)[1:-1]
    signal = centerd * window
    places = np.arange(len(signal)) + 1.0  # where the steps lie, see slope_profile
    near = 1 / period
    # Resolution of the line is one cycle over the profile; search `comb_finer` times finer, then fit a parabola.
    fine = 1 / (own.comb_finer * len(signal))
    searched = np.arange(near / (1 + slack), near / (1 - slack) + fine, fine)
    power = np.abs(_transform(signal, places, searched))
    best = int(power.argmax())
    frequency = float(searched[best])
    if 0 < best < len(searched) - 1:
        a, b, c = power[best - 1 : best + 2]
        frequency += fine * 0.5 * float(a - c) / float(a - 2 * b + c or 1)
    line = _transform(signal, places, np.array([frequency]))[0]
    # The floor: what other frequencies hold. Tiles of 8 make lines of their own at multiples of an eighth; the median
    # ignores them.
    around = near * np.concatenate([np.linspace(*ends, own.floor_count) for ends in (own.floor_below, own.floor_above)])
    floor = float(np.median(np.abs(_transform(signal, places, around)))) + 1e-9
    phase = (-np.angle(line) / (2 * np.pi * frequency)) % (1 / frequency)
    depth = 2 * float(np.abs(line)) / float(window.sum())
    return Comb(period=1 / frequency, phase=float(phase), strength=float(np.abs(line)) / floor, depth=depth)


class Slopes:
    """Mean squared steps of a whole video, from which the comb of any box is a sum away.

    `across` and `down` are float32 (height, width - 1) and (height - 1, width): the step behind each pixel, over luma pictures
    uint8 (n, height, width) of which at most `grid.pictures` are looked at.
    """

    def __init__(self, pictures: np.ndarray, settings: FinderSettings = DEFAULTS) -> None:
        self._settings = settings.grid
        chosen = pictures[np.unique(np.linspace(0, len(pictures) - 1, settings.grid.pictures).astype(int))]
        height, width = pictures.shape[1:]
        self.across = np.zeros((height, width - 1), np.float32)
        self.down = np.zeros((height - 1, width), np.float32)
        for picture in chosen:
            for total, one, other in ((self.across, picture[:, 1:], picture[:, :-1]), (self.down, picture[1:], picture[:-1])):
                # Squares through a table: capped, and far quicker than arithmetic on wider numbers.
                total += cv2.LUT(cv2.absdiff(one, other), SQUARES)
        self.across /= len(chosen)
        self.down /= len(chosen)

    def profile(self, axis: int, ends: tuple[int, int], beside: tuple[int, int]) -> np.ndarray:
        """As `slope_profile` of the box with these `ends` along `axis`, between `beside` across it; float64 (length - 1,)."""
        (low, high), (start, stop) = ends, beside
        if axis == 1:
            line = self.across[start:stop, low : high - 1].mean(axis=0)
        else:
            line = self.down[low : high - 1, start:stop].mean(axis=1)
        return _mended(line.astype(float), low)

    def borders(self, axis: int) -> np.ndarray:
        """Which pixels differ clearly from the one before them along `axis`: float32 0 or 1, longer by one along the axis than the
        picture, for a border may lie at the end of it; there it is `grid.edge_score`."""
        steps = self.across if axis == 1 else self.down
        return np.pad(
            (steps > self._settings.border_step).astype(np.float32),
            [(1, 1) if axis == a else (0, 0) for a in (0, 1)],
            constant_values=self._settings.edge_score,
        )

    def bordered(self, axis: int, beside: tuple[int, int]) -> np.ndarray:
        """How much of each line between `beside` across `axis` is a border before it, 0…1: float, longer by one than the picture
        along the axis. As `borders`, but a tall step counts for more than one that may be noise."""
        start, stop = max(0, beside[0]), beside[1]
        steps = self.across[start:stop] if axis == 1 else self.down[:, start:stop]
        edge, half = self._settings.edge_score, self._settings.border_half
        return np.concatenate([[edge], (steps / (steps + half)).mean(axis=1 - axis), [edge]])


def _mended(profile: np.ndarray, origin: int) -> np.ndarray:
    """Steps at the borders of the codec's blocks replaced by their neighbors' mean; `origin`: see `slope_profile`."""
    border = np.arange(1, len(profile) - 1)
    border = border[(border + 1 + origin) % BLOCK == 0]
    profile[border] = (profile[border - 1] + profile[border + 1]) / 2
    return profile


def _flatten(profile: np.ndarray, own: GridSettings) -> np.ndarray:
    """Take out what changes slowly and tame single tall steps (edges of boxes), so that no one tooth speaks for all."""
    width = own.slow_width
    padded = np.pad(profile, width // 2, mode="edge")
    smooth = np.convolve(padded, np.ones(width) / width, mode="valid")
    scaled = (profile - smooth) / (smooth + profile.mean() * own.quiet_slopes + 1e-6)
    return np.clip(scaled, -own.max_tooth, own.max_tooth)


def _transform(signal: np.ndarray, places: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    # A sum, not a matrix product: too small a piece of work for the threads a library would start.
    return (np.exp(-2j * np.pi * frequencies[:, None] * places[None, :]) * signal).sum(axis=1)
