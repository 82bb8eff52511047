"""Rectangles of a video that might be the game: what moves inside and rests outside, with the console's shape.

What changes from sample to sample is game, camera, clock and splits; each is bounded by straight borders. Borders of the
moving area and standing lines of the picture give a few dozen places for each side; every pair of pairs with the shape 10:9
is scored at once through an integral image.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from emurl.footage.screen_finder.thresholds import DEFAULTS, CandidateSettings, FinderSettings
from emurl.screen import HEIGHT, WIDTH


@dataclass(frozen=True)
class Candidate:
    """A rectangle in whole pixels; `score` 0…1 says how much it moves inside only."""

    x: int
    y: int
    width: int
    height: int
    score: float

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width, height."""
        return self.x, self.y, self.width, self.height

    def overlap(self, other: Candidate) -> float:
        """Intersection over union."""
        return iou(self.box, other.box)


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two rectangles (x, y, width, height)."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(wide, 0.0) * max(high, 0.0)
    return both / (a[2] * a[3] + b[2] * b[3] - both) if both else 0.0


def change_map(pictures: np.ndarray, settings: FinderSettings = DEFAULTS, scene_share: float | None = None) -> np.ndarray:
    """How often each pixel changed between neighboring samples: float32 (height, width), 0…1.

    Pairs in which more than `scene_share` of the picture changed (None: `candidates.scene_share`) are a scene being switched, not a
    game being played, and are left out, unless that is what most pairs look like.
    """
    own = settings.candidates
    most = own.scene_share if scene_share is None else scene_share
    pairs = []
    shares = []
    for before, now in pairwise(pictures):
        changed = cv2.threshold(cv2.absdiff(before, now), own.changed_levels, 1, cv2.THRESH_BINARY)[1]
        pairs.append(changed)
        shares.append(float(changed.mean()))
    whole = np.array(shares) > most
    kept = [pair for pair, scene in zip(pairs, whole, strict=True) if not scene] if whole.mean() < own.max_scenes else pairs
    total = np.zeros(pictures.shape[1:], np.float32)
    for pair in kept:
        total += pair
    return total / max(len(kept), 1)


SIDES = ("left", "right", "top", "bottom")


def candidates(
    pictures: np.ndarray, changes: np.ndarray, limit: int = 8, side: str | None = None, settings: FinderSettings = DEFAULTS
) -> list[Candidate]:
    """The likeliest rectangles, best first, no two nearly the same; only those whose middle lies on `side` of the picture."""
    own = settings.candidates
    still = np.median(pictures[:: max(1, len(pictures) // 9)], axis=0).astype(np.uint8)
    pairs = max(len(pictures) - 1, 1)
    best: list[Candidate] = []
    # Two ways to look: at what keeps changing, closed over small gaps, and at whatever changed at all, closed over large ones;
    # a battle or a menu leaves most of the screen as it is.
    for least, gap in ((max(own.often_share, own.often_pairs / pairs), own.small_gap), (0.9 / pairs, own.large_gap)):
        moving = cv2.medianBlur((changes >= least).astype(np.uint8), 3)  # single pixels are noise
        closed = cv2.morphologyEx(moving, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
        closed = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((own.speck, own.speck), np.uint8))
        best += _proposed(closed, still, limit, side, best, settings)
    return best


def _proposed(
    closed: np.ndarray, still: np.ndarray, limit: int, side: str | None, known: list[Candidate], settings: FinderSettings
) -> list[Candidate]:
    """The best rectangles of one map of what moves, besides those that are `known`."""
    own = settings.candidates
    lefts, rights = _places(closed, still, 1, own)
    tops, bottoms = _places(closed, still, 0, own)
    left, right = (grid.ravel() for grid in np.meshgrid(lefts, rights, indexing="ij"))
    top, bottom = (grid.ravel() for grid in np.meshgrid(tops, bottoms, indexing="ij"))
    wide = _fitting(left, right, WIDTH, own)
    high = _fitting(top, bottom, HEIGHT, own)
    left, right, top, bottom = left[wide], right[wide], top[high], bottom[high]
    shape = ((right - left) / WIDTH)[:, None] / ((bottom - top) / HEIGHT)[None, :]
    i, j = np.nonzero(np.abs(np.log(shape)) <= np.log(1 + own.aspect_slack))
    if side is not None:
        middle = (left[i] + right[i]) / closed.shape[1] if side in ("left", "right") else (top[j] + bottom[j]) / closed.shape[0]
        mine = middle < 1 if side in ("left", "top") else middle > 1
        i, j = i[mine], j[mine]
    if not len(i):
        return []
    scores = _scores(closed, left[i], top[j], right[i], bottom[j], own)
    best: list[Candidate] = []
    for n in np.argsort(-scores)[: own.max_scored]:
        if scores[n] <= own.min_score or len(best) >= limit:
            break
        x, y = int(left[i[n]]), int(top[j[n]])
        one = Candidate(x, y, int(right[i[n]]) - x, int(bottom[j[n]]) - y, float(scores[n]))
        if all(one.overlap(other) < own.same_overlap for other in (*best, *known)):
            best.append(one)
    return best


def _fitting(low: np.ndarray, high: np.ndarray, cells: int, own: CandidateSettings) -> np.ndarray:
    scale = (high - low) / cells
    return np.nonzero((scale >= own.min_scale) & (scale <= own.max_scale))[0]


def _places(closed: np.ndarray, still: np.ndarray, axis: int, own: CandidateSettings) -> tuple[np.ndarray, np.ndarray]:
    """Where the low and the high side may be along `axis`: borders of the moving area, standing lines, the picture's own edge."""
    length, limit = closed.shape[axis], own.positions
    steps = np.diff(closed.astype(np.int8), axis=axis)
    rising = (steps > 0).sum(axis=1 - axis).astype(float)
    falling = (steps < 0).sum(axis=1 - axis).astype(float)
    lines = (np.abs(np.diff(still.astype(np.int16), axis=axis)) > own.line_levels).sum(axis=1 - axis).astype(float)
    standing = _peaks(lines, limit // 3, own)
    lows = np.unique(np.concatenate([[0], _peaks(rising, limit, own), standing]))
    highs = np.unique(np.concatenate([[length], _peaks(falling, limit, own), standing]))
    return lows.astype(int), highs.astype(int)


def _peaks(counts: np.ndarray, limit: int, own: CandidateSettings) -> np.ndarray:
    """Coordinates (step i lies at i + 1) of the tallest places, more than `line_apart` pixels apart."""
    wide = np.convolve(counts, [own.line_beside, 1.0, own.line_beside], mode="same")
    found: list[int] = []
    for place in np.argsort(-wide, kind="stable"):
        if wide[place] < own.min_line or len(found) >= limit:
            break
        if all(abs(place - other) > own.line_apart for other in found):
            found.append(int(place))
    return np.array(found, int) + 1


def _scores(
    closed: np.ndarray, left: np.ndarray, top: np.ndarray, right: np.ndarray, bottom: np.ndarray, own: CandidateSettings
) -> np.ndarray:
    """Share that moves inside, times how much more moves just inside than just outside, side by side."""
    height, width = closed.shape
    table = cv2.integral(closed).astype(np.int64)

    def share(x0: np.ndarray, y0: np.ndarray, x1: np.ndarray, y1: np.ndarray) -> np.ndarray:
        x0, x1 = np.clip(x0, 0, width), np.clip(x1, 0, width)
        y0, y1 = np.clip(y0, 0, height), np.clip(y1, 0, height)
        area = np.maximum((x1 - x0) * (y1 - y0), 1)
        return (table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]) / area

    near, far = own.border_near, own.border_far
    inside = share(left, top, right, bottom)
    sides = [
        (share(left + near, top, left + far, bottom), share(left - far, top, left - near, bottom), left < far),
        (share(right - far, top, right - near, bottom), share(right + near, top, right + far, bottom), right > width - far),
        (share(left, top + near, right, top + far), share(left, top - far, right, top - near), top < far),
        (share(left, bottom - far, right, bottom - near), share(left, bottom + near, right, bottom + far), bottom > height - far),
    ]
    contrasts = np.stack([np.clip(a - np.where(edge, 0, b), 0, 1) for a, b, edge in sides])
    # One side may touch a camera or carry an overlay; the worst side counts less.
    border = own.three_sides * np.sort(contrasts, axis=0)[1:].mean(axis=0) + own.worst_side * contrasts.min(axis=0)
    return inside * border
