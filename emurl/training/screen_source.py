"""Rollouts from Game Boys whose screens a perception makes into tokens; where an episode begins and ends is for others to say."""

from __future__ import annotations

from typing import Any

import numpy as np

from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.rewards.base import Reward
from emurl.training.perception import Perception
from emurl.training.sources import VectorSource


class ScreenSource(VectorSource):
    """Consoles `envs` that neither reset by themselves nor count steps; `raw` are their frames, `observation` the token grids."""

    observation: np.ndarray

    def __init__(
        self, envs: ThreadedVectorEnv, agent: Any, num_steps: int, rng: np.random.Generator, perception: Perception,
        reward: Reward | None = None,
    ) -> None:  # fmt: skip
        self.consoles, self.perception = envs, perception
        super().__init__(envs, agent, num_steps, rng, reward)

    def _reset(self, seed: int | None) -> tuple[np.ndarray, dict[str, Any]]:
        frames, _ = self.consoles.reset()
        return frames.copy(), {}

    def observe(self, raw: np.ndarray) -> np.ndarray:
        """Frames uint8 (N, 144, 160) as token grids int16 (N, 9, 10)."""
        return self.perception.encode(raw)
