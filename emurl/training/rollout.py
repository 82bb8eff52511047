"""What was played: T steps of N environments, for whoever judges and learns from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from emurl.agents.base import Carry, Observation


@dataclass
class Episode:
    """A finished episode: what it was paid, its length in steps, whether it began at the environment's own start."""

    paid: float
    steps: int
    power_on: bool = True


@dataclass
class Rollout:
    """T steps of N environments.

    Attributes:
        observations: what the agent saw (T, N, …). carry: what it remembered before the first of them (N, …).
        episode_starts: bool (T, N), the observation is the first of its episode. begun: by (t, n), what is remembered there where
            an episode begins in the midst of a game: a carry without its first axis.
        raw: what the environment showed before and after the steps (T + 1, N, …), where that is not what the agent saw.
        final_raw: by (t, n), what the last step of an episode led to; `raw[t + 1, n]` is the next episode's first.
        actions, log_probs, values: of each step (T, N). masks: bool (T, N, A), the actions that were allowed; None: all.
        next_values: of the state each step led to (T, N), also where that ended its episode.
        rewards: float32 (T, N). terminated: the episode is over by the game's rules, nothing comes after it.
        truncated: it was cut off, and what would have come is still worth something.
        episodes: those that ended. extras: what a reward has to say besides, such as `progress` (T + 1, N).
    """

    observations: Observation
    carry: Carry
    episode_starts: np.ndarray
    actions: np.ndarray
    log_probs: np.ndarray
    values: np.ndarray
    next_values: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    masks: np.ndarray | None = None
    raw: np.ndarray | None = None
    final_raw: dict[tuple[int, int], Any] = field(default_factory=dict)
    begun: dict[tuple[int, int], Carry] = field(default_factory=dict)
    episodes: list[Episode] = field(default_factory=list)
    extras: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def ended(self) -> np.ndarray:
        """bool (T, N): the step was the last of its episode."""
        return self.terminated | self.truncated


class RolloutSource(Protocol):
    """Where rollouts come from: environments on threads here, or on other machines."""

    def collect(self, weights: Mapping[str, torch.Tensor] | None = None) -> Rollout:
        """Play on from where the last rollout stopped, with `weights` (None: those the source's agent has)."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything a rollout goes on from, for a checkpoint."""
        ...

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`."""
        ...
