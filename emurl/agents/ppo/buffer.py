"""What a rollout becomes before PPO learns from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emurl.agents.base import Carry, Observation


@dataclass
class RolloutBuffer:
    """T steps of N environments. `returns` = advantages + values, on the scale that rewards were normalized to."""

    observations: Observation  # (T, N, …)
    carry: Carry  # (N, …): before the first observation
    episode_starts: np.ndarray  # bool (T, N): the observation is the first of its episode
    actions: np.ndarray  # int64 (T, N)
    log_probs: np.ndarray  # float32 (T, N): of the actions, when they were taken
    values: np.ndarray  # float32 (T, N): predicted then
    advantages: np.ndarray  # float32 (T, N)
    returns: np.ndarray  # float32 (T, N)
    begun: dict[tuple[int, int], Carry] = field(default_factory=dict)  # by (step, environment), what an episode begins with
    masks: np.ndarray | None = None  # bool (T, N, A): the actions that were allowed
    progress: float = 0.0  # share of the training that is done: what schedules go by
    kept: np.ndarray | None = None  # bool (T, N): the steps that the policy learns from; the value learns from all; None: all

    def flat(self, name: str) -> Any:
        """A field as (T·N, …); None where there is none."""
        value = getattr(self, name)
        return None if value is None else value.reshape(-1, *value.shape[2:])
