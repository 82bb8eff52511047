"""From a rectangle that moves to the game's screen, to the pixel: which place, length and scaler leave nothing unexplained.

A comb in the slopes says how large the source pixels are (see `grid`), the borders of the moving area where they begin; what
is left over after scaling down and up again decides among the few places that remain, and whether there is a screen at all
(see `misfit`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emurl.screen import HEIGHT, WIDTH
from emurl.speedruns.candidates import Candidate, iou
from emurl.speedruns.grid import fit_comb, slope_profile
from emurl.speedruns.misfit import Lines
from emurl.speedruns.resample import Box
from emurl.speedruns.shades import calibrate
from emurl.speedruns.upscale import SCALERS

LOOKED_AT = 18  # pictures
STRONG = 4.0  # a comb this far above its floor gives the length
HOPELESS = 0.45  # misfit, roughly, of no screen at all
FINALISTS = 10
REACH = 5  # pixels that a border of the moving area may be wrong by
FITS = (0.07, 0.13)  # misfit that is surely right, and surely wrong
WORST = (0.13, 0.3)  # the same for the worst region
CLEAN = (0.16, 0.28)  # and for `Calibration.edges`
# Misfit of a coarser grid: a picture of larger pixels fits a finer grid, too, and a smooth one fits nearly any; only the
# right grid is as coarse as it can be.
COARSE = (0.15, 0.07)
COARSER = (0.9, 0.8, 0.5)


@dataclass(frozen=True)
class Fit:
    """A screen: its rectangle, how sure that is (0…1), the score of the moving area, and why it is not sure."""

    rect: Box
    confidence: float
    score: float
    facts: dict[str, float]


@dataclass(frozen=True)
class _Axis:
    offset: float
    length: float
    scaler: str
    share: float
    coarse: float
    worst_across: float
    worst_along: float


def fit(pictures: np.ndarray, changes: np.ndarray, one: Candidate) -> Fit | None:
    """The screen near `one` in luma pictures uint8 (n, height, width) with their `change_map`; None when there is none."""
    chosen = pictures[np.unique(np.linspace(0, len(pictures) - 1, LOOKED_AT).astype(int))]
    rows = (one.y, one.y + one.height)
    columns = (one.x, one.x + one.width)
    across = _axis(chosen, changes[slice(*rows)].mean(axis=0), 1, columns, rows, WIDTH)
    if across is None:
        return None
    columns = (round(across.offset), round(across.offset + across.length))
    down = _axis(chosen, changes[:, slice(max(0, columns[0]), columns[1])].mean(axis=1), 0, rows, columns, HEIGHT, across.length * HEIGHT / WIDTH)
    if down is None:
        return None
    rect = (across.offset, down.offset, across.length, down.length)
    scaler = across.scaler if across.share > down.share else down.scaler
    shades = calibrate(chosen[::2], rect, scaler)[0]
    edges = shades.edges
    facts = {
        "misfit": max(across.share, down.share),
        "worst": max(across.worst_across, across.worst_along, down.worst_across, down.worst_along),
        "edges": edges,
        "coarse": min(across.coarse, down.coarse),
        "aspect": abs(float(np.log(across.length / WIDTH / down.length * HEIGHT))),
        "shared": iou(rect, (one.x, one.y, one.width, one.height)),
    }
    sure = (
        _ramp(facts["misfit"], *FITS),
        _ramp(facts["worst"], *WORST),
        _ramp(edges, *CLEAN),
        _ramp(-facts["coarse"], -COARSE[0], -COARSE[1]),
        _ramp(facts["aspect"], 0.04, 0.05),
        min(1.0, facts["shared"] / 0.9) ** 2,
        min(1.0, one.score / 0.3),
    )
    return Fit(rect, float(np.prod(sure)), one.score, facts)


def _ramp(value: float, good: float, bad: float) -> float:
    """1 up to `good`, 0 from `bad` on, a line between."""
    return float(np.clip((bad - value) / (bad - good), 0, 1))


def _axis(
    pictures: np.ndarray,
    change: np.ndarray,
    axis: int,
    ends: tuple[int, int],
    beside: tuple[int, int],
    cells: int,
    told: float | None = None,
) -> _Axis | None:
    """Place and length along `axis` of a box given by its `ends`; `beside` are its ends across, `told` the length that the other
    axis lets one expect. None when nothing fits."""
    low, high = ends
    lines = Lines(pictures, axis, low, high - low, *beside)
    lengths = _lengths(pictures, axis, ends, beside, cells, told)
    limit = pictures.shape[2 if axis == 1 else 1]
    best: list[tuple[float, float, int, str]] = []
    scalers: tuple[str, ...] = SCALERS
    for length in lengths:
        near = {end + step for end in (low, high - length) for step in range(-REACH, REACH + 1)}
        offsets = np.array(sorted(o for o in near if o >= 0 and o + length <= limit))
        if not len(offsets):
            continue
        for scaler in scalers:
            shares = lines.rough(offsets, length, cells, scaler)
            best += [(float(share), float(o), length, scaler) for share, o in zip(shares, offsets, strict=True)]
    if not best or min(best)[0] > HOPELESS:
        return None
    fine = []
    for _, offset, length, scaler in sorted(best)[:FINALISTS]:
        found = lines.misfit(offset, length, cells, scaler)
        fine.append(_Axis(offset, length, scaler, found.share(), 0.0, found.worst(0), found.worst(1)))
    first = min(fine, key=lambda one: one.share)
    rivals = [one for one in fine if one.share <= 1.3 * first.share + 0.003 and (one.length, one.scaler) == (first.length, first.scaler)]
    chosen = max(rivals, key=lambda one: _border(change, one.offset, int(one.length), cells))
    if FITS[0] < chosen.share < 0.25:
        chosen = _between(lines, chosen, cells)
    if chosen.share >= FITS[1]:
        return None
    coarse = min(
        lines.misfit(chosen.offset, chosen.length, round(cells * share), scaler).share()
        for share in COARSER
        for scaler in {chosen.scaler, "area"}
    )
    return replace(chosen, coarse=coarse)


def _lengths(
    pictures: np.ndarray, axis: int, ends: tuple[int, int], beside: tuple[int, int], cells: int, told: float | None
) -> list[int]:
    """Lengths worth trying, in whole pixels: what the comb says, what the borders say, what the other axis says."""
    low, high = ends
    inset = 3
    crop = pictures[:, beside[0] : beside[1]] if axis == 1 else pictures[:, :, beside[0] : beside[1]]
    crop = crop[:, :, low + inset : high - inset] if axis == 1 else crop[:, low + inset : high - inset]
    comb = fit_comb(slope_profile(crop, axis, low + inset), (high - low) / cells)
    lengths: set[int] = set()
    if comb.strength > STRONG:
        measured = comb.period * cells
        lengths |= {int(np.floor(measured)), int(np.ceil(measured))}
    if comb.strength < 2 * STRONG:
        lengths |= {high - low + step for step in (-2, -1, 0, 1, 2)}
        if told is not None:
            lengths |= {round(told) + step for step in (-1, 0, 1)}
    return sorted(lengths)


def _border(change: np.ndarray, offset: float, length: int, cells: int) -> float:
    """How much more changes just inside both ends than just outside; `change` is the mean change at every pixel of the axis."""
    strip = max(2, round(length / cells))
    low, high = int(offset), int(offset) + length
    inside = change[low : low + strip].mean() + change[high - strip : high].mean()
    outside = sum(float(part.mean()) for part in (change[max(0, low - strip) : low], change[high : high + strip]) if len(part))
    return float(inside - outside)


def _between(lines: Lines, start: _Axis, cells: int) -> _Axis:
    """Places between whole pixels: a stream that was scaled once more as a whole has such borders."""
    best, scaler = start, start.scaler
    for scaler in dict.fromkeys((start.scaler, "area", "linear", "cubic")):
        here = (start.offset, start.length)
        found = lines.misfit(*here, cells, scaler)
        share = found.share()
        for step in (0.5, 0.25, 0.12):
            for move in ((step, 0), (-step, 0), (0, step), (0, -step), (step, -step), (-step, step)):
                there = (here[0] + move[0], here[1] + move[1])
                other = lines.misfit(*there, cells, scaler)
                if other.share() < share:
                    here, found, share = there, other, other.share()
        # Not for a trifle: a border off the grid has to explain a good deal more.
        if share < 0.7 * best.share:
            best = _Axis(here[0], here[1], scaler, share, 0.0, found.worst(0), found.worst(1))
    return best
