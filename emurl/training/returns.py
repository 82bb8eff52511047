"""What a step is paid: the progress it made, signed, for every step, on a scale that stays put.

The potential difference is *not* discounted: r = Φ(s′) − Φ(s) − penalty. The textbook shaping term γΦ(s′) − Φ(s)
(Ng, Harada & Russell 1999) is built to change no policy's rank, and here it would be the whole reward: with any policy
the discounted sum telescopes to −Φ(s₀), V(s) → −Φ(s), and every advantage goes to nought while the entropy bonus stays. The
undiscounted difference pays γ-discounted progress, so sooner and farther is worth more, and an episode's return still
telescopes: Φ(end) − Φ(start) − steps · penalty. A loop pays nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def step_rewards(
    progress: np.ndarray, after: np.ndarray, time_penalty: float, gain_multiplier: np.ndarray | None = None
) -> np.ndarray:
    """Rewards float32, one a step: after − progress − time_penalty.

    Args:
        progress, after: Φ before and after each step, any shape; `after` is of the same episode, also at its end.
        time_penalty: cost of a step, in units of Φ.
        gain_multiplier: same shape, in [0, 1]: how familiar the step looks. It shrinks gains only. Shrinking losses as well
            would pay an agent for going where the reward model knows nothing: lose little on the way, gain all on return.
    """
    difference = np.asarray(after, np.float32) - np.asarray(progress, np.float32)
    if gain_multiplier is not None:
        difference = np.where(difference > 0, difference * np.clip(gain_multiplier, 0.0, 1.0), difference)
    return (difference - np.float32(time_penalty)).astype(np.float32)


class ReturnNormalizer:
    """Divides rewards by the running standard deviation of the discounted return ("The 37 implementation details of PPO").

    The mean is left alone: subtracting it would change what is good. One running return a console; it starts again with
    the episode.
    """

    def __init__(self, consoles: int, gamma: float) -> None:
        self.gamma = gamma
        self.returns = np.zeros(consoles)
        self.count, self.mean, self.squares = 0.0, 0.0, 0.0

    @property
    def scale(self) -> float:
        """The standard deviation so far; 1 before anything has varied."""
        deviation = float(np.sqrt(self.squares / self.count)) if self.count > 1 else 0.0
        return deviation if deviation > 1e-8 else 1.0

    def __call__(self, rewards: np.ndarray, ended: np.ndarray) -> np.ndarray:
        """Take in rewards (T, N) and whether each step ended its episode (T, N); returns rewards / scale, float32."""
        for reward, over in zip(rewards, ended, strict=True):
            self.returns = self.returns * self.gamma + reward
            self._take(self.returns)
            self.returns[over] = 0.0
        return (rewards / self.scale).astype(np.float32)

    def _take(self, values: np.ndarray) -> None:
        """Chan's parallel update of mean and sum of squares."""
        count, mean = len(values), float(values.mean())
        total, distance = self.count + count, mean - self.mean
        self.squares += float(((values - mean) ** 2).sum()) + distance**2 * self.count * count / total
        self.mean += distance * count / total
        self.count = total

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-ready numbers."""
        return {"returns": self.returns.tolist(), "count": self.count, "mean": self.mean, "squares": self.squares}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.returns = np.array(state["returns"], dtype=np.float64)
        self.count, self.mean, self.squares = state["count"], state["mean"], state["squares"]


def advantages_of(
    rewards: np.ndarray, values: np.ndarray, next_values: np.ndarray, ended: np.ndarray, gamma: float, lam: float
) -> np.ndarray:
    """Generalized advantage estimates (1506.02438), float32 (T, N).

    Args:
        rewards, values: of each step (T, N).
        next_values: value of the state each step led to (T, N); at the end of an episode that of its last state, because
            an episode ends here by the clock and not by the game, and what would have come is still worth something.
        ended: whether the step was its episode's last (T, N): nothing of the next episode flows back over it.
    """
    deltas = rewards + gamma * next_values - values
    advantages = np.zeros_like(deltas, dtype=np.float32)
    running = np.zeros(deltas.shape[1], np.float32)
    for t in range(len(deltas) - 1, -1, -1):
        running = deltas[t] + gamma * lam * np.where(ended[t], 0.0, running)
        advantages[t] = running
    return advantages


def explained_variance(predicted: np.ndarray, actual: np.ndarray) -> float:
    """1 − Var(actual − predicted) / Var(actual): 1 perfect, 0 no better than a constant, below 0 worse; 0 if nothing varies."""
    variance = float(np.var(actual))
    return 0.0 if variance < 1e-12 else 1.0 - float(np.var(actual - predicted)) / variance
