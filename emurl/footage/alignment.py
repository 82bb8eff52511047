"""Bringing runs of one game side by side, without labels: where on a course that all share is each frame of each run?

Runs take different times for the same things, so a frame's share of its run says little. Here a model learns the position of a
frame from the frames themselves, and every run is laid along the positions by a monotone path (Viterbi 1967); the paths are the next
labels. The first ones are shares of the run. It is the hard EM of a hidden Markov model whose states are the positions in
their order (left-to-right, Rabiner 1989), with a network for its emissions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from emurl.core.output import Output
from emurl.core.settings import Positive, Rate, Share
from emurl.core.tracking import Tracker
from emurl.models.position import PositionModel
from emurl.training.augment import wrong_tokens
from emurl.training.settings import OptimizerSettings
from emurl.training.supervised import fit, seeded


class AlignmentSettings(OptimizerSettings):
    """How runs are brought side by side. The position model is trained for `rounds` · `steps` steps."""

    steps: Positive = 150  # batches a round
    batch_size: Positive = 256  # frames a batch
    learning_rate: Rate = 2e-3  # at its peak, each round anew
    warmup_steps: int = 10  # of a round
    eval_every: Positive = 150
    positions: Positive = 128  # of the course; a run is this many steps long to the judge
    rounds: Positive = 5  # of learning positions and laying the runs along them
    token_dim: Positive = 32  # width of a token's embedding
    dim: Positive = 32  # of the first convolution
    width: Positive = 128  # of a frame's features
    smoothing: Share = 0.05  # share of a label that is spread over all positions
    token_noise: Share = 0.02  # tokens that are wrong in training, on average
    max_advance: Positive = 4  # positions that a frame may be further on than the one before
    advance_decay: Share = 0.6  # chance of each further position, relative to the one before it
    floor: Annotated[float, Field(gt=0, le=1)] = 0.02  # least likelihood of a frame anywhere, where the average is 1
    prior_count: Rate = 5.0  # frames that every position counts as having besides its own


def transition_log_probs(positions: int, frames: float, settings: AlignmentSettings) -> np.ndarray:
    """Log-probabilities float64 (max_advance + 1,) of being 0, 1, … positions further on a frame later, for runs of `frames` frames."""
    stay = max(1.0, frames - positions) / frames  # a run shorter than the course can stand still, too
    chances = np.array([stay, *((1.0 - stay) * settings.advance_decay**step for step in range(settings.max_advance))])
    with np.errstate(divide="ignore"):
        logs: np.ndarray = np.log(chances / chances.sum())
    return logs


def best_path(log_likelihood: np.ndarray, transitions: np.ndarray, begins: bool = True, ends: bool = True) -> np.ndarray:
    """The likeliest way from the first position to the last, int64 (T,): never back, at most len(transitions) − 1 on at a time.

    Args:
        log_likelihood: of each frame at each position, (T, K). transitions: log-probabilities of each advance.
        begins, ends: whether it is known to begin at the first position and to end at the last; else anywhere.
    """
    frames, positions = log_likelihood.shape
    score = np.array(log_likelihood[0], float)
    if begins:
        score[1:] = -np.inf
    came = np.zeros((frames, positions), np.int64)
    for t in range(1, frames):
        options = np.full((len(transitions), positions), -np.inf)
        for advance, log in enumerate(transitions):
            if advance < positions:
                options[advance, advance:] = score[: positions - advance] + log
        came[t] = options.argmax(axis=0)
        score = options.max(axis=0) + log_likelihood[t]
    if not ends:
        at = int(score.argmax())
    else:  # a run too short to reach the end ends where it got
        at = positions - 1 if np.isfinite(score[-1]) else int(np.flatnonzero(np.isfinite(score))[-1])
    path = np.zeros(frames, np.int64)
    for t in range(frames - 1, -1, -1):
        path[t] = at
        at -= came[t, at]
    return path


def floored(log_ratio: np.ndarray, floor: float) -> np.ndarray:
    """Log-likelihoods with a floor, so that a frame nobody expects does not decide a path alone."""
    return np.asarray(np.log(np.exp(log_ratio) + floor))


def align(
    runs: Sequence[np.ndarray], vocab: int, settings: AlignmentSettings, *, device: torch.device, output: Output, tracker: Tracker
) -> tuple[PositionModel, list[np.ndarray]]:
    """Learn the positions of runs.

    Args:
        runs: the token grids of each run from its beginning to its end, (frames, 9, 10). vocab: tokens there are.

    Returns:
        The model, and the position of each frame of each run, int64 (frames,).
    """
    positions = settings.positions
    model: PositionModel = seeded(
        settings.seed,
        lambda: PositionModel(vocab, positions, settings.token_dim, settings.dim, settings.width, settings.smoothing),
    )
    transitions = transition_log_probs(positions, float(np.mean([len(run) for run in runs])), settings)
    paths = [np.arange(len(run)) * positions // max(1, len(run)) for run in runs]
    grids = np.concatenate(runs).astype(np.int64)
    for number in range(1, settings.rounds + 1):
        labels = np.concatenate(paths)

        def sample(rng: np.random.Generator, labels: np.ndarray = labels) -> tuple[np.ndarray, np.ndarray]:
            chosen = rng.integers(0, len(grids), settings.batch_size)
            return wrong_tokens(rng, grids[chosen], settings.token_noise, vocab), labels[chosen]

        fit(model, sample, settings, output=output, tracker=tracker, name=f"positions_{number}", device=device)
        counts = np.bincount(labels, minlength=positions) + settings.prior_count
        model.set_prior(torch.as_tensor(counts))
        paths = [best_path(floored(model.log_ratios(run), settings.floor), transitions) for run in runs]
        moved = float(np.abs(np.concatenate(paths) - labels).mean())
        tracker.log({"alignment_moved": moved}, number)
    return model, paths
