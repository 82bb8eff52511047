"""Times at which runs pass the splits that all of them have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median_low

Times = tuple[float | None, ...]


@dataclass(frozen=True)
class SplitTimes:
    """A run and the frame in which it passes each split; None where it went without.

    Attributes:
        name: of the run. fps: frames a second. finished: whether every split lies behind.
        pictures: the frame that shows best what the split is of, for the moment itself is often a fade; those of `frames` where not given.
    """

    name: str
    frames: tuple[int | None, ...]
    fps: float
    finished: bool
    pictures: tuple[int | None, ...] = field(default=(), compare=False)

    def picture(self, split: int) -> int | None:
        """The frame to show of a split."""
        return (self.pictures or self.frames)[split]

    @property
    def seconds(self) -> Times:
        """When it passes each split, counted from the first picture of the video."""
        return tuple(None if frame is None else frame / self.fps for frame in self.frames)

    @property
    def segments(self) -> Times:
        """Seconds since the split before (the first: since the first picture); None where one of the two has no time."""
        ends = self.seconds
        pairs = zip((0.0, *ends[:-1]), ends, strict=True) if ends else []
        return tuple(None if before is None or end is None else end - before for before, end in pairs)


def medians(times: Iterable[Times]) -> Times:
    """Of each split (or segment) the median over the runs that have one, of two the lower: a run was there. None where none has one."""
    return tuple(median_low(some) if some else None for some in _columns(times))


def bests(times: Iterable[Times]) -> Times:
    """Of each split (or segment) the least of the runs; None where none has one."""
    return tuple(min(some) if some else None for some in _columns(times))


def median_runs(runs: Sequence[SplitTimes]) -> list[int | None]:
    """Of each split the place of the run whose time is the median; None where none passes it."""
    chosen: list[int | None] = []
    for column in zip(*(run.seconds for run in runs), strict=True):
        order = sorted((time, place) for place, time in enumerate(column) if time is not None)
        chosen.append(order[(len(order) - 1) // 2][1] if order else None)
    return chosen


def _columns(times: Iterable[Times]) -> list[list[float]]:
    return [[time for time in column if time is not None] for column in zip(*times, strict=True)]
