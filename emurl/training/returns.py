"""From rewards to what is learned from: rewards on a scale that stays put, advantages, returns."""

from __future__ import annotations

from typing import Any

import numpy as np


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
    rewards: np.ndarray,
    values: np.ndarray,
    next_values: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    gamma: float,
    lam: float,
) -> np.ndarray:
    """Generalized advantage estimates (1506.02438), float32 (T, N).

    Args:
        rewards, values: of each step (T, N).
        next_values: value of the state each step led to (T, N); at the end of an episode that of its last state.
        terminated: bool (T, N), the episode is over by the game's rules: what comes after is worth nothing.
        truncated: bool (T, N), it was cut off: its last state is still worth what would have come.
        gamma: discount. lam: λ, between one-step (0) and whole-episode (1) estimates.
    """
    deltas = rewards + gamma * np.where(terminated, np.float32(0.0), next_values) - values
    ended = terminated | truncated
    advantages = np.zeros_like(deltas, dtype=np.float32)
    running = np.zeros(deltas.shape[1], np.float32)
    for t in range(len(deltas) - 1, -1, -1):
        running = deltas[t] + gamma * lam * np.where(ended[t], 0.0, running)
        advantages[t] = running
    return advantages


def best_pieces(rewards: np.ndarray, ended: np.ndarray, share: float) -> np.ndarray:
    """Which steps are of the `share` of the pieces of episodes that were paid most, bool (T, N); at least one piece.

    Args:
        rewards: of each step (T, N). ended: bool (T, N), a step that ends its episode: what lies between two of them is a piece.
    """
    piece = np.concatenate([np.zeros((1, ended.shape[1]), np.int64), np.cumsum(ended, axis=0)[:-1]])
    piece += np.concatenate([[0], np.cumsum(piece[-1] + 1)[:-1]])  # counted through all columns
    paid = np.bincount(piece.ravel(), weights=rewards.ravel())
    kept = np.argsort(-paid, kind="stable")[: max(1, round(share * len(paid)))]
    return np.isin(piece, kept)


def explained_variance(predicted: np.ndarray, actual: np.ndarray) -> float:
    """1 − Var(actual − predicted) / Var(actual): 1 perfect, 0 no better than a constant, below 0 worse; 0 if nothing varies."""
    variance = float(np.var(actual))
    return 0.0 if variance < 1e-12 else 1.0 - float(np.var(actual - predicted)) / variance
