"""From a rectangle that moves to the game's screen, to the pixel: which place, length and scaler leave nothing unexplained.

A comb in the slopes says how large the source pixels are (see `grid`), the borders of the moving area where they begin; what
is left over after scaling down and up again decides among the few places that remain, and whether there is a screen at all
(see `misfit`). Where the scale is whole every shift by a game pixel explains the picture as well, and what moves and where
straight borders stand decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from emurl.footage.screen_finder.beyond import continues, cut_off
from emurl.footage.screen_finder.candidates import Candidate, change_map
from emurl.footage.screen_finder.grid import Comb, Slopes, fit_comb
from emurl.footage.screen_finder.misfit import Lines
from emurl.footage.screen_finder.resample import Box
from emurl.footage.screen_finder.shades import calibrate
from emurl.footage.screen_finder.thresholds import DEFAULTS, FinderSettings, FitSettings
from emurl.footage.screen_finder.upscale import SCALERS
from emurl.screen import HEIGHT, WIDTH

ROUGHLY = ("point", "floor", "linear", "cubic", "reduced")  # one of each sort; the others are tried where these fit best


@dataclass(frozen=True)
class Fit:
    """A screen: its rectangle, how sure that is (0…1), the score of the moving area, and what makes it less than sure."""

    rect: Box
    confidence: float
    score: float
    facts: dict[str, float]


@dataclass(frozen=True)
class Evidence:
    """What is known of a video before any screen is looked for: luma pictures uint8 (n, height, width), where anything ever
    changed (see `candidates.change_map`), and the slopes."""

    pictures: np.ndarray
    changes: np.ndarray
    slopes: Slopes
    settings: FinderSettings = DEFAULTS

    @classmethod
    def of(cls, pictures: np.ndarray, changes: np.ndarray | None = None, settings: FinderSettings = DEFAULTS) -> Evidence:
        """Gather it. Without `changes` cards that come and go are left out, for they change everything."""
        if changes is None:
            changes = change_map(pictures, settings, settings.fit.scene_share)
        chosen = np.unique(np.linspace(0, len(pictures) - 1, settings.fit.pictures).astype(int))
        return cls(pictures[chosen], changes, Slopes(pictures, settings), settings)

    def alive(self, axis: int, beside: tuple[int, int]) -> np.ndarray:
        """Share of each line across `axis` that ever changed, between `beside`; float, as long as the picture along the axis."""
        start, stop = max(0, beside[0]), beside[1]
        part = self.changes[start:stop] if axis == 1 else self.changes[:, start:stop]
        return np.asarray((part > 0).mean(axis=1 - axis))

    def moving(self, axis: int, ends: tuple[int, int], beside: tuple[int, int]) -> np.ndarray:
        """How much each line across `axis` changes, 0…1: as much as is usual between the `ends`, or hardly at all.

        Rounded up, so to say: a border of the game that hardly ever changes is still more alive than what compression does
        beside it.
        """
        start, stop = max(0, beside[0]), beside[1]
        part = self.changes[start:stop] if axis == 1 else self.changes[:, start:stop]
        often = part.mean(axis=1 - axis)
        usual = float(often[max(0, ends[0]) : ends[1]].mean())
        return np.asarray(np.sqrt(np.clip(often / max(self.settings.fit.usual_change * usual, 1e-6), 0, 1)))


@dataclass(frozen=True, eq=False)
class _Axis:
    offset: float
    length: float
    scaler: str
    share: float
    rank: float  # as `share`, see `Misfit.rank`
    coarse: float
    worst_across: float
    worst_along: float
    groups: np.ndarray  # misfit of each group of pictures

    def inside(self, lines: np.ndarray) -> np.ndarray:
        """Those of the lines across the whole picture, (n,), that lie within."""
        return lines[max(0, round(self.offset)) : round(self.offset + self.length)]


def combs(evidence: Evidence, one: Candidate) -> tuple[Comb, Comb]:
    """The combs across and down nearest to what a screen at `one` would have."""
    columns, rows = (one.x, one.x + one.width), (one.y, one.y + one.height)
    return _comb(evidence, 1, columns, rows, WIDTH), _comb(evidence, 0, rows, columns, HEIGHT)


def _comb(evidence: Evidence, axis: int, ends: tuple[int, int], beside: tuple[int, int], cells: int) -> Comb:
    inset = evidence.settings.fit.comb_inset
    profile = evidence.slopes.profile(axis, (ends[0] + inset, ends[1] - inset), beside)
    return fit_comb(profile, (ends[1] - ends[0]) / cells, settings=evidence.settings)


def fit(evidence: Evidence, one: Candidate) -> Fit | None:
    """The screen near `one`; None when there is none."""
    own = evidence.settings.fit
    rows = (one.y, one.y + one.height)
    columns = (one.x, one.x + one.width)
    across = _axis(evidence, 1, columns, rows, WIDTH)
    if across is None or across.coarse < own.coarse_wrong:
        return None
    columns = (max(0, round(across.offset)), round(across.offset + across.length))
    down = _axis(evidence, 0, rows, columns, HEIGHT, across.length * HEIGHT / WIDTH)
    if down is None:
        return None
    rect = (across.offset, down.offset, across.length, down.length)
    scaler = across.scaler if across.share > down.share else down.scaler
    rows = (round(down.offset), round(down.offset + down.length))
    shades = calibrate(_showing(evidence, across, down), rect, scaler, evidence.settings)[0]
    dead = max(
        _dead(across.inside(evidence.alive(1, rows) > own.alive)), _dead(down.inside(evidence.alive(0, columns) > own.alive))
    )
    spread = min(
        _spread(evidence.slopes.profile(1, columns, rows), WIDTH), _spread(evidence.slopes.profile(0, rows, columns), HEIGHT)
    )
    facts = {
        "misfit": max(across.share, down.share),
        "worst": max(across.worst_across, across.worst_along, down.worst_across, down.worst_along),
        "edges": shades.edges,
        "coarse": min(across.coarse, down.coarse),
        "aspect": abs(float(np.log(across.length / WIDTH / down.length * HEIGHT))),
        "dead": dead,
        "spread": spread,
    }
    sure = (
        _ramp(facts["misfit"], own.misfit_sure, own.misfit_wrong),
        _ramp(facts["worst"], own.worst_sure, own.worst_wrong),
        _ramp(facts["edges"], own.edges_sure, own.edges_wrong),
        _ramp(-facts["coarse"], -own.coarse_sure, -own.coarse_wrong),
        _ramp(facts["aspect"], own.aspect_sure, own.aspect_wrong),
        _ramp(dead, own.dead_sure, own.dead_wrong),
        _ramp(-spread, -own.spread_sure, -own.spread_wrong),
        min(1.0, one.score / own.full_score),
    )
    confidence = float(np.prod(sure))
    if confidence and (
        cut_off(evidence.slopes, rect, evidence.settings)
        or continues(evidence.pictures, evidence.changes, rect, scaler, facts["misfit"], evidence.settings)
    ):
        confidence = 0.0
    return Fit(rect, confidence, one.score, facts)


def fit_whole(pictures: np.ndarray, changes: np.ndarray, settings: FinderSettings = DEFAULTS) -> Fit:
    """Pictures uint8 (n, 144, 160) as the screen itself, as emulators record it: nothing was scaled up, so there is no grid to
    look for, only the shades, and life up to the borders. A whole stream that was made that small has neither."""
    own = settings.fit
    rect = (0.0, 0.0, float(WIDTH), float(HEIGHT))
    edges = calibrate(pictures, rect, "point", settings)[0].edges
    dead = max(_dead((changes > 0).mean(axis=axis) > own.alive) for axis in (0, 1))
    confidence = _ramp(edges, own.edges_sure, own.edges_wrong) * _ramp(dead, own.dead_sure, own.dead_wrong)
    return Fit(rect, confidence, 1.0, {"edges": edges, "dead": dead})


def _showing(evidence: Evidence, across: _Axis, down: _Axis) -> np.ndarray:
    """Half of the pictures, of those in which the screen shows: cards and other layouts have colors of their own."""
    own = evidence.settings.fit
    pictures, groups = evidence.pictures, np.maximum(across.groups, down.groups)
    there = groups <= max(own.shown_ratio * float(np.sort(groups)[len(groups) // 3]), own.shown_misfit)
    return pictures[np.repeat(there, [len(part) for part in np.array_split(pictures, len(groups))])][::2]


def _ramp(value: float, good: float, bad: float) -> float:
    """1 up to `good`, 0 from `bad` on, a line between."""
    return float(np.clip((bad - value) / (bad - good), 0, 1))


def _dead(inside: np.ndarray) -> float:
    """Share of the length at either end, the longer, in which no line is alive; `inside` says which are, bool (n,)."""
    if not inside.any():
        return 1.0
    return float(max(inside.argmax(), inside[::-1].argmax()) / len(inside))


def _spread(profile: np.ndarray, cells: int) -> float:
    """Share of `cells` that the energy of a slope profile is spread over, 0…1."""
    energy = np.array([part.sum() for part in np.array_split(profile, cells)])
    return float(energy.sum() ** 2 / max((energy**2).sum() * cells, 1e-9))


def _axis(
    evidence: Evidence, axis: int, ends: tuple[int, int], beside: tuple[int, int], cells: int, told: float | None = None
) -> _Axis | None:
    """Place and length along `axis` of a box given by its `ends`; `beside` are its ends across, `told` the length that the other
    axis lets one expect. None when nothing fits."""
    own = evidence.settings.fit
    low, high = ends
    lines = Lines(evidence.pictures, axis, low, high - low, *beside, settings=evidence.settings)
    limit = evidence.pictures.shape[2 if axis == 1 else 1]
    tried: list[tuple[float, int, int, str]] = []
    for length in _lengths(evidence, axis, ends, beside, cells, told):
        near = {end + step for end in (low, high - length) for step in range(-own.border_slip, own.border_slip + 1)}
        offsets = np.array(sorted(o for o in near if o >= 0 and o + length <= limit))
        if not len(offsets):
            continue
        for scaler in ROUGHLY if length % cells else ("point", "linear", "cubic"):
            shares = lines.rough(offsets, length, cells, scaler)
            tried += [(float(share), int(o), length, scaler) for share, o in zip(shares, offsets, strict=True)]
    if not tried or min(tried)[0] > own.hopeless_misfit:
        return None
    fine: list[_Axis] = []
    times = dict.fromkeys((one[2] for one in tried), 0)
    for _, offset, length, scaler in sorted(tried):
        times[length] += 1
        if times[length] <= own.same_length and len(fine) < own.finalists:
            fine.append(_measured(lines, offset, length, cells, scaler))
    best = min(fine, key=lambda one: one.rank)
    others = [_measured(lines, best.offset, best.length, cells, scaler) for scaler in SCALERS if scaler != best.scaler]
    best = min([best, *others], key=lambda one: one.rank)
    if best.share > own.wrong_ratio * own.misfit_wrong or _smooth(lines, best, cells, own) < max(
        min(own.coarse_wrong, own.coarse_ratio * best.share), own.finer * best.share
    ):
        return None
    starts = [best]
    if best.scaler in ("point", "floor"):  # at many scales one is the other, a few pixels further on
        starts.append(_measured(lines, best.offset, best.length, cells, "floor" if best.scaler == "point" else "point"))
    elif best.rank > own.misfit_noise:
        others = sorted((one for one in fine if one.scaler != best.scaler), key=lambda one: one.rank)
        starts += [one for one in others[:1] if one.rank < own.start_ratio * best.rank + own.start_more]
    best = _settled(lines, starts, cells, limit, evidence.moving(axis, ends, beside), evidence.slopes.bordered(axis, beside), own)
    best = min((_measured(lines, best.offset, best.length, cells, scaler) for scaler in SCALERS), key=lambda one: one.rank)
    if own.misfit_sure < best.share < own.between_misfit:
        best = _between(lines, best, cells, own)
    if best.share >= own.misfit_wrong:
        return None
    coarse = _smooth(lines, best, cells, own)
    inner = (round(best.offset), round(best.offset + best.length))
    coarse = min(coarse, _coarser(lines, evidence.slopes.profile(axis, inner, beside), best, cells, evidence.settings))
    # Little, but many times what the right grid leaves, is a good deal.
    return replace(
        best, coarse=coarse * float(np.clip(coarse / (best.share + own.misfit_noise) / own.good_deal, 1, own.best_deal))
    )


def _smooth(lines: Lines, found: _Axis, cells: int, own: FitSettings) -> float:
    """Least misfit of a coarser grid at the same place."""
    scalers = {found.scaler, "area"}
    return min(
        lines.misfit(found.offset, found.length, round(cells * share), s).share() for share in own.coarser_cells for s in scalers
    )


def _measured(lines: Lines, offset: float, length: float, cells: int, scaler: str) -> _Axis:
    found = lines.misfit(offset, length, cells, scaler)
    return _Axis(offset, length, scaler, found.share(), found.rank(), 0.0, found.worst(0), found.worst(1), found.groups())


def _lengths(
    evidence: Evidence, axis: int, ends: tuple[int, int], beside: tuple[int, int], cells: int, told: float | None
) -> list[int]:
    """Lengths worth trying, in whole pixels: what the comb says, what the borders say, what the other axis says."""
    low, high = ends
    own = evidence.settings.fit
    comb = _comb(evidence, axis, ends, beside, cells)
    lengths: set[int] = set()
    if comb.strength > own.weak_comb:
        # Around two pixels a period and its mirror at the sampling limit look the same.
        mirror = 1 / max(1 - 1 / comb.period, 1e-3)
        for period in (comb.period, mirror) if abs(mirror / comb.period - 1) < own.mirror_slack else (comb.period,):
            lengths |= {int(np.floor(period * cells)), int(np.ceil(period * cells))}
    if comb.strength < own.strong_comb:
        lengths |= set(range(high - low - own.shorter, high - low + own.longer + 1))
    if told is not None:
        lengths |= {round(told) + step for step in (-1, 0, 1)}
        lengths = {length for length in lengths if abs(float(np.log(length / told))) < own.aspect_wrong}
    return sorted(lengths)


def _settled(
    lines: Lines, starts: list[_Axis], cells: int, limit: int, alive: np.ndarray, bordered: np.ndarray, own: FitSettings
) -> _Axis:
    """The place near one of `starts`, a pixel longer or shorter or some game pixels further on, that explains most; of those that
    explain the pictures about as well the one that holds what moves and ends in straight borders. `alive` and `bordered` say
    for every pixel along the axis how much moves, and how much of the line before it is a border (see `Slopes.bordered`)."""
    moving = np.cumsum(np.concatenate([[0], (1 + own.still_price) * alive - own.still_price]))
    worth = own.border_worth * starts[0].length / cells

    def held(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        return np.asarray(moving[last] - moving[first] + worth * (bordered[first] + bordered[last]))

    tried = {(one.offset, one.length, one.scaler): one for one in starts}
    reach = round(own.grid_slip * starts[0].length / cells)
    for _ in range(own.settle_rounds):
        for start in starts:
            for place in _promising(lines, start, cells, limit, reach, held, own):
                if (*place, start.scaler) not in tried:
                    tried[(*place, start.scaler)] = _measured(lines, *place, cells, start.scaler)
        least = min(tried.values(), key=lambda one: one.rank)
        rivals = [one for one in tried.values() if one is least or one.share <= own.as_good * least.share + own.misfit_noise]
        firsts = np.array([round(one.offset) for one in rivals])
        inside = held(firsts, np.array([round(one.offset + one.length) for one in rivals]))
        best = min(
            (one for one, much in zip(rivals, inside, strict=True) if much > inside.max() - own.held_slack),
            key=lambda one: one.rank,
            default=least,
        )
        if best in starts:
            break
        starts = [best]
    return best


def _promising(
    lines: Lines,
    start: _Axis,
    cells: int,
    limit: int,
    reach: int,
    held: Callable[[np.ndarray, np.ndarray], np.ndarray],
    own: FitSettings,
) -> list[tuple[int, int]]:
    """`slipped` offsets and lengths near `start` that explain the pictures at a rough look: the best, and those that are most like a
    screen by what moves and by their borders (`held`, of first and last pixels)."""
    count = own.slipped
    rough: list[tuple[float, float, int, int]] = []
    for length in (round(start.length) + more for more in (-1, 0, 1)):
        offsets = np.arange(max(0, round(start.offset) - reach), min(limit - length, round(start.offset) + reach) + 1)
        if len(offsets):
            shares = lines.rough(offsets, length, cells, start.scaler)
            likely = held(offsets, offsets + length)
            rough += [(float(s), float(h), int(o), length) for s, h, o in zip(shares, likely, offsets, strict=True)]
    rough.sort()
    good = [one for one in rough if one[0] < own.rough_ratio * rough[0][0] + own.rough_more]
    fullest = sorted(good[count // 2 :], key=lambda one: -one[1])[:count]
    return [one[2:] for one in good[: count // 2] + fullest]


def _coarser(lines: Lines, profile: np.ndarray, found: _Axis, cells: int, settings: FinderSettings) -> float:
    """Least misfit of a coarser grid that the slopes of the screen show (`profile`, of the whole of it) by a comb of `coarse_comb`."""
    own = settings.fit
    scale, end = found.length / cells, found.offset + found.length
    least = 1.0
    for times in own.coarser_periods:
        comb = fit_comb(profile, scale * times, own.coarser_slack, settings)
        if comb.strength < own.coarse_comb:
            continue
        first = found.offset + comb.phase
        number = int((end - first) / comb.period)
        if number > own.coarser_least:
            shares = [lines.misfit(first, number * comb.period, number, scaler).share() for scaler in ("point", "area", "cubic")]
            least = min(least, *shares)
    return least


def _between(lines: Lines, start: _Axis, cells: int, own: FitSettings) -> _Axis:
    """Places between whole pixels: a stream that was scaled once more as a whole has such borders."""
    best = start
    for scaler in dict.fromkeys((start.scaler, "area", "cubic")):
        here = (start.offset, start.length)
        share = lines.misfit(*here, cells, scaler).share()
        for step in own.between_steps:
            if step == own.between_steps[-1] and here == (start.offset, start.length):
                break
            for move in ((step, 0), (-step, 0), (0, step), (0, -step), (step, -step), (-step, step)):
                there = (here[0] + move[0], here[1] + move[1])
                other = lines.misfit(*there, cells, scaler).share()
                if other < share:
                    here, share = there, other
        # Not for a trifle: a border off the grid has to explain a good deal more.
        if share < own.between_gain * best.share:
            best = _measured(lines, *here, cells, scaler)
    return best
