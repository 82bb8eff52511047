"""Find the game's screen in a video: per segment a rectangle to a fraction of a pixel, a confidence, or a reason for
rejecting it.

Temporal change proposes rectangles (see `candidates`); the comb of an upscaled pixel grid decides (see `grid`): it must be there
across and down, with the same period, and fit 160 and 144 times between the borders. What cannot be confirmed is rejected
and said so: a wrong crop poisons everything that learns from it, a lost video costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emurl.screen import HEIGHT, WIDTH
from emurl.speedruns.candidates import Candidate, candidates, change_map, iou
from emurl.speedruns.grid import Comb, comb_strength, fit_comb, slope_profile
from emurl.speedruns.resample import Box
from emurl.speedruns.shades import calibrate, edge_residual
from emurl.speedruns.video import sample

LOOKED_AT = 24  # pictures a grid is fitted on
WEAK = 4.0  # a line this far above its floor may be a grid, one twice as far is; cameras and drawings stay near 3
SHALLOW = 0.05  # swing of the slope; blended grids have 0.08 and more, repeated pixels about 1
# `Calibration.edges` that is surely right, and surely wrong: for repeated pixels (a wrong grid meets whole pixels often
# enough) and for blended ones. Right grids of streams are at 0.02 to 0.1, wrong ones above 0.17 and 0.29, other pictures at
# 0.4 to 0.5.
CLEAN = ((0.1, 0.17), (0.2, 0.28))
SHADED = 10  # pictures the shades are judged by
LEAST = 0.3  # confidence below which a screen is not even proposed
SNAP = 0.15  # pixels: three times what the grid is uncertain by


@dataclass(frozen=True)
class Segment:
    """A stretch of a video (seconds) with one layout. `rect` is x, y, width, height in video pixels, None when nothing was
    found that could be trusted; then `reason` says why."""

    start: float
    end: float
    rect: Box | None
    confidence: float
    reason: str = ""

    def to_dict(self) -> dict[str, object]:
        """For JSON: times and rectangle rounded to what they are good for."""
        rect = None if self.rect is None else [round(v, 2) for v in self.rect]
        return {
            "start": round(self.start, 2),
            "end": round(self.end, 2),
            "rect": rect,
            "confidence": round(self.confidence, 3),
            **({"reason": self.reason} if self.reason else {}),
        }


@dataclass(frozen=True)
class _Fit:
    rect: Box
    confidence: float
    score: float  # the candidate's


def find_screen(path: Path, count: int = 48) -> list[Segment]:
    """Segments of the video at `path`, in order of time; at least one. Raises `NotAVideo` when it cannot be decoded."""
    times, pictures = sample(path, count)
    return find_in_pictures(times, pictures)


def find_in_pictures(times: np.ndarray, pictures: np.ndarray) -> list[Segment]:
    """As `find_screen`, on luma pictures uint8 (n, height, width) at `times` (n,) seconds."""
    whole = _find(times, pictures)
    if whole.rect is not None:
        present = _present(pictures, whole.rect)
        runs = _runs(present)
        if len(runs) == 1:
            return [whole]
        return _merge(_split(times, pictures, whole, runs))
    if len(pictures) < 16:
        return [whole]
    # A layout switched half-way can hide both from a look at the whole.
    middle = len(pictures) // 2
    halves = [_find(times[:middle], pictures[:middle]), _find(times[middle:], pictures[middle:])]
    if all(half.rect is None for half in halves):
        return [whole]
    return _merge([replace(halves[0], end=halves[1].start), halves[1]])


def _find(times: np.ndarray, pictures: np.ndarray) -> Segment:
    start, end = float(times[0]), float(times[-1])

    def rejected(reason: str, confidence: float = 0.0) -> Segment:
        return Segment(start, end, None, confidence, reason)

    if len(pictures) < 4:
        return rejected("too short to see what moves")
    changes = change_map(pictures)
    proposed = candidates(pictures, changes)
    if not proposed:
        return rejected("nothing of the shape 10:9 moves")
    fits = [fit for fit in (_fit(pictures, changes, one) for one in proposed) if fit is not None]
    if not fits:
        return rejected("what moves shows no grid of 160×144 pixels in four shades")
    fits.sort(key=lambda fit: -fit.confidence * fit.score)
    best = fits[0]
    if best.confidence < LEAST:
        return rejected("what moves might be a game, but nothing is sure", best.confidence)
    rivals = [fit for fit in fits[1:] if _shared(fit.rect, best.rect) < 0.3 and fit.confidence > 0.6 * best.confidence]
    if rivals:
        return rejected("more than one game screen", 0.2)
    return Segment(start, end, best.rect, best.confidence)


def _fit(pictures: np.ndarray, changes: np.ndarray, one: Candidate) -> _Fit | None:
    """The pixel grid inside a candidate, and the rectangle it gives; None when there is none."""
    chosen = pictures[np.unique(np.linspace(0, len(pictures) - 1, LOOKED_AT).astype(int))]
    inset = 3
    rows = slice(one.y + inset, one.y + one.height - inset)
    columns = slice(one.x + inset, one.x + one.width - inset)
    crop = chosen[:, rows, columns]
    across = fit_comb(slope_profile(crop, 1, columns.start), one.width / WIDTH)
    down = fit_comb(slope_profile(crop, 0, rows.start), one.height / HEIGHT)
    strength, depth = min(across.strength, down.strength), min(across.depth, down.depth)
    aspect = abs(float(np.log(across.period / down.period)))
    # Near scale 1 the line is seen through an alias among the long waves that every picture has.
    least = WEAK if min(across.period, down.period) > 1.6 else 2 * WEAK
    if strength < least or depth < SHALLOW or aspect > np.log(1.04):
        return None
    # Whether there is a grid is asked without the steps at the codec's blocks; where it lies is told best by all steps.
    across = fit_comb(slope_profile(crop, 1), across.period, slack=0.003)
    down = fit_comb(slope_profile(crop, 0), down.period, slack=0.003)
    x, x_sure = _place(across, columns.start, one.x, one.width, WIDTH, changes[rows].mean(axis=0))
    y, y_sure = _place(down, rows.start, one.y, one.height, HEIGHT, changes[:, columns].mean(axis=1))
    rect = _snap((x, y, across.period * WIDTH, down.period * HEIGHT))
    height, width = pictures.shape[1:]
    if x < -across.period or y < -down.period or x + rect[2] > width + across.period or y + rect[3] > height + down.period:
        return None
    shades = calibrate(chosen[:: max(1, len(chosen) // SHADED)], rect)[0]
    clean, muddy = CLEAN[shades.kernel in ("linear", "cubic")]
    if shades.edges >= muddy:
        return None
    sure = (
        0.35 + 0.65 * _ramp(strength, least, 2 * least),
        0.5 + 0.5 * _ramp(depth, SHALLOW, 2 * SHALLOW),
        _ramp(-shades.edges, -muddy, -clean),
        1 - _ramp(aspect, 0.008, 0.09),
        min(1.0, iou(rect, (one.x, one.y, one.width, one.height)) / 0.95) ** 4,
        min(1.0, one.score / 0.45),
        min(x_sure, y_sure),
    )
    return _Fit(rect, float(np.prod(sure)), one.score)


def _ramp(value: float, low: float, high: float) -> float:
    """0 at `low`, 1 at `high`, a line between."""
    return float(np.clip((value - low) / (high - low), 0, 1))


def _snap(rect: Box) -> Box:
    """Streams are laid out in whole pixels: a rectangle whose edges all but lie on them is moved there."""
    edges = np.array([rect[0], rect[1], rect[0] + rect[2], rect[1] + rect[3]])
    whole = np.round(edges)
    if np.abs(edges - whole).max() > SNAP:
        return rect
    x, y, right, bottom = (float(v) for v in whole)
    return (x, y, right - x, bottom - y)


def _shared(a: Box, b: Box) -> float:
    """Intersection over the smaller of the two: parts of one screen are no rivals of it."""
    both = iou(a, b)
    areas = a[2] * a[3], b[2] * b[3]
    return both / (1 + both) * sum(areas) / min(areas)


def _place(comb: Comb, origin: int, low: int, length: int, cells: int, profile: np.ndarray) -> tuple[float, float]:
    """Which tooth is the screen's edge: the one that best splits what changes from what rests, on both sides at once.

    Returns the coordinate of the low edge and a certainty 0…1. `profile` is the change per column (or row) of the whole picture.
    """
    width = comb.period * cells
    first = comb.teeth_near(low + (length - width) / 2 - origin) + origin
    strip = max(2, round(comb.period))
    limit = len(profile)
    best, sure, scores = first, 0.0, []
    for shift in (0, -1, 1, -2, 2):
        at = first + shift * comb.period
        gain = 0.0
        for edge, sign in ((at, 1), (at + width, -1)):
            place = round(edge)
            inner = profile[max(0, place) : place + strip] if sign > 0 else profile[max(0, place - strip) : place]
            outer = profile[max(0, place - strip) : max(0, place)] if sign > 0 else profile[place : place + strip]
            inside = float(inner.mean()) if len(inner) else 0.0
            beyond = place <= 1 or place >= limit - 1
            gain += inside - (0.0 if beyond or not len(outer) else float(outer.mean()))
            gain -= 1.0 if edge < -1 or edge > limit + 1 else 0.0
        scores.append(gain)
        if gain > sure + 1e-6 or shift == 0:
            best, sure = at, gain
    ordered = sorted(scores, reverse=True)
    lead = (ordered[0] - ordered[1]) / max(ordered[0], 1e-6)
    return float(best), float(np.clip(0.6 + 2 * lead, 0, 1))


def _present(pictures: np.ndarray, rect: Box) -> np.ndarray:
    """For each picture, whether the game shows at `rect`: 1 yes, 0 no, -1 nothing to see (a blank screen).

    Pictures with a strong grid there tell the shades; a picture of something else, or of the game elsewhere, lies between
    the shades.
    """
    height, width = pictures.shape[1:]
    x, y = max(0, round(rect[0])), max(0, round(rect[1]))
    crop = pictures[:, y : min(height, round(rect[1] + rect[3])), x : min(width, round(rect[0] + rect[2]))]
    plain = crop.reshape(len(crop), -1)[:, ::7].std(axis=1) < 6
    strength = np.array([_strength(picture[None], rect) for picture in crop])
    telling = np.argsort(-np.where(plain, 0, strength))[: max(4, len(crop) // 3)]
    calibration, way = calibrate(pictures[np.sort(telling)], rect)
    grey = way(way.cut(pictures))
    distance = np.array([edge_residual(one[None], np.array(calibration.centres)) for one in grey])
    usual = float(np.median(distance[telling]))
    return np.where(plain, -1, distance <= max(0.15, 2 * usual))


def _strength(picture: np.ndarray, rect: Box) -> float:
    """The lesser of the two combs at exactly this scale."""
    return min(
        comb_strength(slope_profile(picture, 1), rect[2] / WIDTH), comb_strength(slope_profile(picture, 0), rect[3] / HEIGHT)
    )


def _runs(present: np.ndarray) -> list[tuple[int, int, bool]]:
    """Stretches (first, last + 1, grid there) of at least a sixth of the pictures; blanks and short gaps join their
    neighbours."""
    state = present.copy()
    last = 1
    for i, value in enumerate(state):
        last = state[i] = last if value < 0 else value
    least = max(5, len(state) // 6)
    runs: list[tuple[int, int, bool]] = []
    for i, value in enumerate(state):
        if runs and runs[-1][2] == bool(value):
            runs[-1] = (runs[-1][0], i + 1, bool(value))
        else:
            runs.append((i, i + 1, bool(value)))
    kept: list[tuple[int, int, bool]] = []
    for first, stop, there in runs:
        if kept and (stop - first < least or kept[-1][2] == there):
            kept[-1] = (kept[-1][0], stop, kept[-1][2])
        elif not kept and stop - first < least and not there:
            kept.append((first, stop, True))
        else:
            kept.append((first, stop, there))
    return kept


def _split(times: np.ndarray, pictures: np.ndarray, whole: Segment, runs: list[tuple[int, int, bool]]) -> list[Segment]:
    segments = []
    for first, stop, there in runs:
        start = float(times[first]) if first else whole.start
        end = float(times[stop]) if stop < len(times) else whole.end
        # On its own pictures alone each stretch is measured better, whether the layout is the one of the whole or another.
        own = _find(times[first:stop], pictures[first:stop])
        segments.append(replace(whole if own.rect is None and there else own, start=start, end=end))
    return segments


def _merge(segments: list[Segment]) -> list[Segment]:
    """Join neighbours with the same rectangle."""
    merged = [segments[0]]
    for segment in segments[1:]:
        last = merged[-1]
        same = last.rect is not None and segment.rect is not None and iou(last.rect, segment.rect) > 0.98
        if same or (last.rect is None and segment.rect is None):
            better = last if last.confidence >= segment.confidence else segment
            merged[-1] = replace(better, start=last.start, end=segment.end)
        else:
            merged.append(segment)
    return merged
