"""Find the game's screen in a video: per segment a rectangle to a fraction of a pixel, a confidence, or a reason for
rejecting it.

Temporal change proposes rectangles (see `candidates`), and straight borders do where little changes (see `framed`); the comb
of an upscaled pixel grid decides (see `grid`): it must be there across and down, with the same period, and fit 160 and 144
times between the borders. What cannot be confirmed is rejected and said so: a wrong crop poisons everything that learns
from it, a lost video costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path

import cv2
import numpy as np

from emurl.footage.screen_finder.candidates import Candidate, candidates, change_map, iou
from emurl.footage.screen_finder.fit import Evidence, Fit, combs, fit, fit_whole
from emurl.footage.screen_finder.framed import framed
from emurl.footage.screen_finder.misfit import Lines
from emurl.footage.screen_finder.resample import Box
from emurl.footage.screen_finder.thresholds import DEFAULTS, DecisionSettings, FinderSettings
from emurl.footage.screen_finder.upscale import SCALERS
from emurl.footage.video import Sample, sample
from emurl.screen import HEIGHT, WIDTH

SEVERAL = "more than one game screen"


@dataclass(frozen=True)
class Segment:
    """A stretch of a video (seconds) with one layout. `rect` is x, y, width, height in video pixels, None when nothing was
    found that could be trusted; then `reason` says why."""

    start: float
    end: float
    rect: Box | None
    confidence: float
    reason: str = ""

    def within(self, width: int, height: int) -> Segment:
        """Itself, without its rectangle where that leaves a picture of this size by more than a pixel."""
        if self.rect is None:
            return self
        x, y, wide, high = self.rect
        if min(x, y) >= -1 and x + wide <= width + 1 and y + high <= height + 1:
            return self
        reason = f"the rectangle {x:g},{y:g},{wide:g},{high:g} leaves the picture of {width}×{height}"
        return Segment(self.start, self.end, None, self.confidence, reason)

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


def find_screen(path: Path, count: int | None = None, settings: FinderSettings = DEFAULTS) -> list[Segment]:
    """Segments of the video at `path`, in order of time; at least one. Raises `NotAVideo` when it cannot be decoded."""
    return find_in_sample(sample(path, count), settings)


def find_in_sample(seen: Sample, settings: FinderSettings = DEFAULTS) -> list[Segment]:
    """As `find_screen`, in pictures that were taken from the video; where their size changes, so does the segment."""
    begins = seen.begins
    if len({size for _, size in begins}) <= 1:
        return find_in_pictures(seen.times, seen.pictures, settings=settings)
    ends = [*(time for time, _ in begins[1:]), float(seen.times[-1])]
    segments = []
    for width, height in dict.fromkeys(size for _, size in begins):
        # What has one size was sent in one way, however often it comes back: looked at together there is more to see.
        mine = (seen.sizes == (width, height)).all(axis=1)
        if not mine.any():
            continue
        found = find_in_pictures(seen.times[mine], seen.pictures[mine, :height, :width], settings=settings)
        bounds = [-np.inf, *(one.start for one in found[1:]), np.inf]
        for (start, size), end in zip(begins, ends, strict=True):
            if size != (width, height):
                continue
            for one, low, high in zip(found, bounds, bounds[1:], strict=False):
                if max(low, start) < min(high, end):
                    segments.append(replace(one, start=float(max(low, start)), end=float(min(high, end))))
    return sorted(segments, key=lambda one: one.start)


def find_in_pictures(
    times: np.ndarray, pictures: np.ndarray, side: str | None = None, settings: FinderSettings = DEFAULTS
) -> list[Segment]:
    """As `find_screen`, on luma pictures uint8 (n, height, width) at `times` (n,) seconds.

    With `side` (left, right, top, bottom) only a screen whose middle lies in that half is looked for.
    """
    own = settings.decision
    whole = _find(times, pictures, side, settings)
    if whole.rect is not None:
        present = _present(pictures, whole.rect, settings)
        runs = _runs(present, own)
        if len(runs) == 1:
            return [whole]
        blank = [float((present[first:stop] < 0).mean()) > own.blank_share for first, stop, _ in runs]
        return _merge(_split(times, pictures, whole, runs, blank, side, settings), own)
    if len(pictures) < own.cut_pictures or whole.reason == SEVERAL:
        return [whole]
    # A layout switched half-way can hide both from a look at the whole.
    ends = [0, *_cuts(pictures, settings), len(pictures)]
    parts = (
        [_find(times[first:stop], pictures[first:stop], side, settings) for first, stop in pairwise(ends)]
        if len(ends) > 2
        else []
    )
    if all(part.rect is None for part in parts) or any(part.reason == SEVERAL for part in parts):
        return [whole]
    return _merge([*(replace(a, end=b.start) for a, b in pairwise(parts)), parts[-1]], own)


@dataclass(frozen=True)
class Whole:
    """What a look at the whole video says to a stretch of it: rectangles, where anything ever changed, and a screen that is not
    looked for any more."""

    proposed: list[Candidate]
    changes: np.ndarray | None = None
    known: Box | None = None


def _find(
    times: np.ndarray, pictures: np.ndarray, side: str | None, settings: FinderSettings, whole: Whole | None = None
) -> Segment:
    own = settings.decision
    start, end = float(times[0]), float(times[-1])

    def rejected(reason: str, confidence: float = 0.0) -> Segment:
        return Segment(start, end, None, confidence, reason)

    if len(pictures) < own.min_pictures:
        return rejected("too short to see what moves")
    changes = change_map(pictures, settings)
    if float((changes > 0).mean()) < own.still_share:
        return rejected("nothing moves")
    if pictures.shape[1:] == (HEIGHT, WIDTH):
        itself = fit_whole(pictures, changes, settings)
        if itself.confidence < own.min_confidence:
            return rejected("its 160×144 pixels are not those of the console", itself.confidence)
        return Segment(start, end, itself.rect, itself.confidence)
    proposed = candidates(pictures, changes, side=side, settings=settings)
    if whole is not None:
        proposed += _new(whole.proposed, proposed, own)
        if whole.known is not None:
            proposed = [one for one in proposed if iou(one.box, whole.known) < own.known_overlap]
    evidence = Evidence.of(pictures, whole.changes if whole else None, settings)
    fits = _fits(evidence, proposed, own.tries if whole is None else 2 * own.tries)
    if not any(fit.confidence > own.sure_confidence for fit in fits):
        still = [one for one in framed(evidence.slopes, changes, settings=settings) if _beside(one, changes.shape, side)]
        new = _new(still[: own.border_tries], proposed, own)
        proposed += new
        fits += [found for one in new if (found := fit(evidence, one))]
    if not proposed:
        return rejected("nothing of the shape 10:9 moves")
    if not fits:
        return rejected("what moves was not drawn from 160×144 pixels")
    fits.sort(
        key=lambda fit: (
            -fit.confidence * (1 - own.misfit_price * fit.facts["misfit"]) * (1 - own.score_worth + own.score_worth * fit.score)
        )
    )
    best = fits[0]
    if best.confidence < own.min_confidence:
        return rejected("what moves might be a game, but nothing is sure", best.confidence)
    rivals = [fit for fit in fits if _rivals(fit, best, own)]
    if side is None and not rivals:
        framing = framed(evidence.slopes, changes, best.rect[2], settings)
        apart = [one for one in framing if _shared(one.box, best.rect) < own.apart_share]
        rivals = [found for one in apart[:1] if (found := fit(evidence, one)) and _rivals(found, best, own)]
    if any(_together(pictures, best.rect, rival.rect, settings) for rival in rivals):
        return rejected(SEVERAL, 0.2)
    return Segment(start, end, best.rect, best.confidence)


def _new(ones: list[Candidate], known: list[Candidate], own: DecisionSettings) -> list[Candidate]:
    """Those that are not nearly the same as one of the `known`."""
    return [one for one in ones if all(one.overlap(other) < own.same_overlap for other in known)]


def _rivals(fit: Fit, best: Fit, own: DecisionSettings) -> bool:
    """Whether that is another screen than the best; one of the very same size is no chance, even where it is seen worse."""
    alike = max(abs(fit.rect[i] / best.rect[i] - 1) for i in (2, 3)) < own.alike_size
    return _shared(fit.rect, best.rect) < own.apart_share and (
        fit.confidence > (own.twin_confidence if alike else own.rival_confidence) * best.confidence
    )


def _fits(evidence: Evidence, proposed: list[Candidate], most: int) -> list[Fit]:
    """Screens near the candidates, the most promising first: those that move most, and those with a clear pixel grid."""
    own = evidence.settings.decision
    looks = []
    for one in proposed:
        across, down = combs(evidence, one)
        clear = (
            min(across.strength, down.strength) > own.clear_comb
            and abs(float(np.log(across.period / down.period))) < own.alike_periods
        )
        looks.append((one.score + own.clear_worth * clear, clear, one))
    fits: list[Fit] = []
    tried = 0
    for _, clear, one in sorted(looks, key=lambda look: -look[0]):
        known = [found for found in fits if found.confidence > own.sure_confidence and found.facts["misfit"] < own.clean_misfit]
        if any(_shared(one.box, found.rect) > own.covered_share for found in known):
            continue
        if tried >= most + (own.clear_tries if clear else 0) or (not clear and known and one.score < own.unclear_score):
            continue
        tried += 1
        found = fit(evidence, one)
        fits += [found] if found else []
    return fits


def _beside(one: Candidate, shape: tuple[int, ...], side: str | None) -> bool:
    """Whether the middle of a rectangle lies on that side of a picture (height, width)."""
    if side in ("left", "right"):
        return (one.x + one.width / 2 < shape[1] / 2) == (side == "left")
    return side is None or (one.y + one.height / 2 < shape[0] / 2) == (side == "top")


def _shared(a: Box, b: Box) -> float:
    """Intersection over the smaller of the two: parts of one screen are no rivals of it."""
    both = iou(a, b)
    areas = a[2] * a[3], b[2] * b[3]
    return both / (1 + both) * sum(areas) / min(areas)


def _present(pictures: np.ndarray, rect: Box, settings: FinderSettings) -> np.ndarray:
    """For each picture, whether the game shows at `rect`: 1 yes, 0 no, -1 nothing to see (a blank screen)."""
    own = settings.decision
    shares, energy = [], []
    x, y, width, height = rect
    box = (round(x), round(x + width)), (round(y), round(y + height))
    for axis, offset, length, cells in ((1, x, width, WIDTH), (0, y, height, HEIGHT)):
        along, across = box if axis == 1 else box[::-1]
        lines = Lines(pictures, axis, along[0], along[1] - along[0], *across, groups=len(pictures), bands=1, settings=settings)
        found = min((lines.misfit(offset, length, cells, scaler) for scaler in SCALERS), key=lambda one: one.share())
        shares.append(found.groups())
        energy.append(found.whole.sum(axis=(1, 2)))
    share, seen = np.maximum(*shares), np.minimum(*energy)
    usual = float(np.sort(share)[len(share) // 4])
    return np.where(seen < own.blank_energy * np.median(seen), -1, share <= max(own.absent_misfit, own.absent_ratio * usual))


def _together(pictures: np.ndarray, one: Box, other: Box, settings: FinderSettings) -> bool:
    """Whether both show the game at the same time; else one layout follows the other."""
    both = np.minimum(_present(pictures, one, settings), _present(pictures, other, settings))
    return float((both == 1).mean()) > settings.decision.together_share


def _cuts(pictures: np.ndarray, settings: FinderSettings) -> list[int]:
    """The pictures, `max_cuts` at most, that begin a new layout: there much changes that had stayed and stays again."""
    own, levels = settings.decision, settings.candidates.changed_levels
    lasts = own.layout_pictures
    small = np.ascontiguousarray(pictures[:, ::4, ::4])
    least = max(own.min_run, len(small) // own.runs)
    changed = {}
    for cut in range(least, len(small) - least + 1):
        before, after = small[cut - lasts : cut], small[cut : cut + lasts]
        now = cv2.absdiff(small[cut - 1], small[cut]) > levels
        lasting = np.abs(np.median(after, axis=0) - np.median(before, axis=0)) > levels
        # What a game or a camera covers or uncovers is still on the other side of the cut; what scrolls is on neither.
        still = (np.ptp(before, axis=0) <= levels) | (np.ptp(after, axis=0) <= levels)
        changed[cut] = float((now & lasting & still).mean())
    found: list[int] = []
    for cut in sorted(changed, key=lambda cut: -changed[cut]):
        if changed[cut] > own.layout_share and len(found) < own.max_cuts and all(abs(cut - other) >= least for other in found):
            found.append(cut)
    return sorted(found)


def _runs(present: np.ndarray, own: DecisionSettings) -> list[tuple[int, int, bool]]:
    """Stretches (first, last + 1, grid there) of at least one of `runs` equal parts of the pictures; short blanks and gaps join
    their neighbors."""
    least = max(own.min_run, len(present) // own.runs)
    state: list[int] = []
    last = 1
    for value, same in groupby(present.tolist()):
        number = len(list(same))
        last = value if value >= 0 else last if number < least else 0
        state += [last] * number
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


def _split(
    times: np.ndarray,
    pictures: np.ndarray,
    whole: Segment,
    runs: list[tuple[int, int, bool]],
    blank: list[bool],
    side: str | None,
    settings: FinderSettings,
) -> list[Segment]:
    """The segments of the runs (see `_runs`); a run of blanks in which nothing else is found belongs to the screen."""
    segments = []
    changes = change_map(pictures, settings)
    proposed = candidates(pictures, changes, side=side, settings=settings)
    for (first, stop, there), nothing in zip(runs, blank, strict=True):
        start = float(times[first]) if first else whole.start
        end = float(times[stop]) if stop < len(times) else whole.end
        # On its own pictures alone each stretch is measured better, whether the layout is the one of the whole or another.
        if there:
            own = _find(times[first:stop], pictures[first:stop], side, settings, Whole(proposed))
        else:  # what hardly moves in its own time may show by the switch itself
            own = _find(times[first:stop], pictures[first:stop], side, settings, Whole(proposed, changes, whole.rect))
        segments.append(replace(whole if own.rect is None and (there or nothing) else own, start=start, end=end))
    return segments


def _merge(segments: list[Segment], own: DecisionSettings) -> list[Segment]:
    """Join neighbors with the same rectangle."""
    merged = [segments[0]]
    for segment in segments[1:]:
        last = merged[-1]
        same = last.rect is not None and segment.rect is not None and iou(last.rect, segment.rect) > own.merged_overlap
        if same or (last.rect is None and segment.rect is None):
            better = last if last.confidence >= segment.confidence else segment
            merged[-1] = replace(better, start=last.start, end=segment.end)
        else:
            merged.append(segment)
    return merged
