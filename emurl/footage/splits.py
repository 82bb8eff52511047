"""Splits: moments that the runs of the footage pass in the same order, found without labels.

A split is a position of the course (`emurl.footage.alignment`) at which the runs, all but an odd one, show a picture that belongs
there and hardly anywhere else. Whoever shows none of the kind has not been there, however far the pictures around it seem to be.
Ordered checkpoints along a demonstration were paid by Aytar et al. (1805.11592); here many runs decide which pictures are
checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emurl.core.settings import Natural, NonNegative, Settings, Share
from emurl.rewards.splits import Split


class SplitSettings(Settings):
    """Which positions are splits, and when one counts as passed."""

    min_likeness: Share = 0.9  # tokens that a frame shares with some frame of another run at least; others say nothing
    min_log_ratio: NonNegative = 1.5  # how much likelier than on average a run's best frame there is at least, in nats
    margin: NonNegative = 1.5  # nats by which a frame may be less likely than the worst such frame, and still pass
    window: Natural = 6  # positions from a split at which a run's best frame for it is sought
    lacking: Share = 0.08  # runs that may lack such a frame: an odd one would cost all others the split


def unique_grids(runs: Sequence[np.ndarray]) -> np.ndarray:
    """Every grid of the runs once, uint16 (n, 9, 10)."""
    flat = np.concatenate([run.reshape(len(run), -1) for run in runs]).astype(np.uint16)
    return np.asarray(np.unique(flat, axis=0).reshape(-1, *runs[0].shape[1:]))


def find_splits(
    log_ratios: Sequence[np.ndarray], paths: Sequence[np.ndarray], familiar: Sequence[np.ndarray], fps: float, stride: int,
    settings: SplitSettings,
) -> list[Split]:  # fmt: skip
    """The splits of the course.

    Args:
        log_ratios: of each run's frames at each position, (frames, K). paths: positions of its frames, (frames,).
        familiar: whether each of its frames looks like one of another run, bool (frames,).
        fps: frames a second. stride: frames an action takes: whoever plays sees one of so many, whichever.
    """
    positions = log_ratios[0].shape[1]
    best = np.full((len(log_ratios), positions), np.inf)
    for mine, ratios, path, known in zip(best, log_ratios, paths, familiar, strict=True):
        for phase in range(stride):
            seen, where, counts = ratios[phase::stride], path[phase::stride], known[phase::stride]
            for position in range(positions):
                near = counts & (np.abs(where - position) <= settings.window)
                mine[position] = min(mine[position], seen[near, position].max() if near.any() else -np.inf)
    level = np.sort(best, axis=0)[int(settings.lacking * len(best))]
    # The first position is where everybody begins.
    chosen = [int(k) for k in range(1, positions) if level[k] >= settings.min_log_ratio]
    median = sorted(range(len(paths)), key=lambda run: len(paths[run]))[len(paths) // 2]
    reached = [float(np.argmax(paths[median] >= k)) / fps for k in chosen]
    return [Split(k, float(level[k] - settings.margin), seconds) for k, seconds in zip(chosen, reached, strict=True)]
