"""When runs pass the splits that the footage has in common, told when they are over.

The judge, who may not look ahead, says which splits a run passes and how far it gets: a picture that comes at several moments passes a
split at the first of them, and one that no run showed before passes none. When, is read off the likeliest way of the whole run along
the course (Viterbi 1967), as it is when runs are laid side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emurl.core.tracking import Tracker
from emurl.footage.alignment import AlignmentSettings, best_path, floored, transition_log_probs
from emurl.footage.dataset import CHUNK, NOT_GAME
from emurl.footage.tokens import Tokens
from emurl.rewards.split_times import SplitTimes
from emurl.rewards.splits import SplitJudge


class Stopwatch:
    """Is shown a run, every frame of it, and tells when it passed which split."""

    def __init__(self, judge: SplitJudge, settings: AlignmentSettings) -> None:
        self.judge, self.settings = judge, settings
        self._standing = judge.begin()
        self._frames: list[int] = []
        self._ratios: list[np.ndarray] = []

    @property
    def finished(self) -> bool:
        """Whether every split lies behind: nothing more will come."""
        return 0 < len(self.judge.splits) == self._standing.passed

    def show(self, grids: np.ndarray, frames: Sequence[int] | np.ndarray) -> None:
        """Show the next grids, (n, 9, 10), which are the run's `frames` (n,); what follows the last split is not looked at."""
        ratios, shown = self.judge.look(grids), 0
        for grid, frame in zip(grids, frames, strict=True):
            if self.finished:
                break
            self.judge.update([self._standing], grid[None])
            self._frames.append(int(frame))
            shown += 1
        self._ratios.append(ratios[:shown])

    def read(self, name: str, fps: float) -> SplitTimes:
        """The times so far. A split that was passed has none where the run went on without standing there, or began and ended beside it:
        a video need not show a whole run.
        """
        passed, positions = self._standing.passed, [split.position for split in self.judge.splits]
        if not self._frames or not passed:
            return SplitTimes(name, (None,) * len(positions), fps, self.finished)
        furthest = max(self._standing.furthest, positions[passed - 1])
        transitions = transition_log_probs(furthest + 1, float(len(self._frames)), self.settings)
        likelihood = floored(np.concatenate(self._ratios)[:, : furthest + 1], self.settings.floor)
        path = best_path(likelihood, transitions, begins=False, ends=self.finished)
        if path[0] < len(transitions):  # a step from the beginning: it is a run from there
            path = best_path(likelihood, transitions, ends=self.finished)
        where = {int(position): np.flatnonzero(path == position) for position in np.unique(path)}
        if path[0]:
            del where[int(path[0])]  # when that began, the video does not show
        stays = [where.get(position) if split < passed else None for split, position in enumerate(positions)]
        times = [None if stay is None else self._frames[stay[0]] for stay in stays]
        pictures = [None if stay is None else self._frames[stay[len(stay) // 2]] for stay in stays]
        return SplitTimes(name, tuple(times), fps, self.finished, tuple(pictures))


def footage_times(judge: SplitJudge, settings: AlignmentSettings, tokens: Tokens, tracker: Tracker) -> list[SplitTimes]:
    """The times of every video of the footage, in its order; a run is called by its id, or by its video's where it has several."""
    videos = tokens.reader.videos
    runs = [video.run_id for video in videos]
    times = []
    with tracker.progress(sum(video.count for video in videos), "splits of the footage", "frames") as bar:
        for place, video in enumerate(videos):
            watch, done = Stopwatch(judge, settings), 0
            game = np.flatnonzero(tokens.reader.flags(place) & NOT_GAME == 0)
            grids = tokens.grids(place)
            for first in range(0, len(game), CHUNK):
                part = game[first : first + CHUNK]
                watch.show(np.asarray(grids[part], np.int64), part)
                bar.update(len(part))
                done += len(part)
                if watch.finished:
                    break
            bar.update(video.count - done)
            times.append(watch.read(video.run_id if runs.count(video.run_id) == 1 else video.id, video.fps))
    return times
