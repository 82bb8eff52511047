"""When a run passes the splits that all runs have in common, read off the judge with a memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np

from emurl.rewards.splits import SplitJudge

Times = tuple[float | None, ...]


@dataclass(frozen=True)
class SplitTimes:
    """A run and the frame in which it passes each split; None where it went without.

    Attributes:
        name: of the run. fps: frames a second. finished: whether every split lies behind.
    """

    name: str
    frames: tuple[int | None, ...]
    fps: float
    finished: bool

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


class Stopwatch:
    """Shows a run to the judge, every frame of it, and notes in which frame which split is passed."""

    def __init__(self, judge: SplitJudge) -> None:
        self.judge = judge
        self._standing = judge.begin()
        self._frames: list[int | None] = [None] * len(judge.splits)

    @property
    def finished(self) -> bool:
        """Whether every split lies behind: nothing more will come."""
        return 0 < len(self._frames) == self._standing.passed

    def show(self, grids: np.ndarray, frames: Sequence[int] | np.ndarray) -> dict[int, int]:
        """Show the next grids, (n, 9, 10), which are the run's `frames` (n,); returns the splits they pass with the frame of each."""
        passed: dict[int, int] = {}
        self.judge.look(grids)
        for grid, frame in zip(grids, frames, strict=True):
            if self.finished:
                break
            before = self._standing.passed
            self.judge.update([self._standing], grid[None])
            if self._standing.passed > before:
                # Of those that lie behind now, the ones this picture does not belong to were gone without.
                shown = self.judge.shown(grid)
                passed |= {split: int(frame) for split in range(before, self._standing.passed) if shown[split]}
        for split, number in passed.items():
            self._frames[split] = number
        return passed

    def read(self, name: str, fps: float) -> SplitTimes:
        """The times so far."""
        return SplitTimes(name, tuple(self._frames), fps, self.finished)


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
