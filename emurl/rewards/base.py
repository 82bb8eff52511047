"""The contract of a reward: a whole rollout in, one number a step out."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Reward(Protocol):
    """What steps are paid."""

    def __call__(self, rollout: Any) -> np.ndarray:
        """Rewards float32 (T, N) of a rollout (`emurl.training.rollout.Rollout`), whose `rewards` are the environment's own."""
        ...


class EnvReward:
    """The environment's own reward, as it is."""

    def __call__(self, rollout: Any) -> np.ndarray:
        """float32 (T, N)."""
        return np.asarray(rollout.rewards, np.float32)
