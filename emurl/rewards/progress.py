"""What a step is paid: the progress it made, signed, for every step, on a scale that stays put.

The potential difference is *not* discounted: r = Φ(s′) − Φ(s) − penalty. The textbook shaping term γΦ(s′) − Φ(s)
(Ng, Harada & Russell 1999) is built to change no policy's rank, and here it would be the whole reward: with any policy
the discounted sum telescopes to −Φ(s₀), V(s) → −Φ(s), and every advantage goes to nought while the entropy bonus stays. The
undiscounted difference pays γ-discounted progress, so sooner and farther is worth more, and an episode's return still
telescopes: Φ(end) − Φ(start) − steps · penalty. A loop pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Progress = Callable[[np.ndarray], np.ndarray]
"""Raw observations (B, …) to how far into the game they are, Φ float32 (B,)."""

GainMultiplier = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Raw observations before and after (B, …) each, to how familiar the step looks (B,), 0 … 1."""


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


class ProgressReward:
    """Signed progress of every step, less a penalty for the time it took.

    Args:
        progress: Φ of raw observations. time_penalty: cost of a step, in units of Φ.
        gain_multiplier: how far a gain is believed, 0 … 1; None: wholly.
        interval: steps between two looks at the progress: what was made since the last look is paid at once. An episode's beginning
            and its end are always looked at, and so are a rollout's, so the return stays what it is.
    """

    def __init__(
        self, progress: Progress, time_penalty: float, gain_multiplier: GainMultiplier | None = None, interval: int = 1
    ) -> None:
        self.progress, self.time_penalty, self.gain_multiplier, self.interval = progress, time_penalty, gain_multiplier, interval

    def __call__(self, rollout: Any) -> np.ndarray:
        """Rewards float32 (T, N); `rollout.extras["progress"]` (T + 1, N) is Φ of what was shown when it was looked at last."""
        raw, final = rollout.raw, rollout.final_raw
        progress = self._looked(raw, rollout.ended)
        steps, n = raw.shape[0] - 1, raw.shape[1]
        after = progress[1:].copy()
        multiplier = None
        if self.gain_multiplier is not None:
            shown = raw[1:].copy()
            for where, frame in final.items():
                shown[where] = frame
            flat = self.gain_multiplier(raw[:-1].reshape(-1, *raw.shape[2:]), shown.reshape(-1, *raw.shape[2:]))
            multiplier = np.asarray(flat, np.float32).reshape(steps, n)
        if final:
            after[tuple(np.array(list(final)).T)] = self.progress(np.stack(list(final.values())))
        rollout.extras["progress"] = progress
        return step_rewards(progress[:-1], after, self.time_penalty, multiplier)

    def _looked(self, raw: np.ndarray, ended: np.ndarray) -> np.ndarray:
        """Φ (T + 1, N) of raw observations (T + 1, N, …), between two looks that of the last; `ended` (T, N): an episode's last step."""
        look = np.zeros(raw.shape[:2], bool)
        look[:: self.interval] = look[-1] = True
        look[1:] |= ended
        last = np.maximum.accumulate(np.where(look, np.arange(len(look))[:, None], 0), axis=0)
        found = np.zeros(look.shape, np.float32)
        found[look] = self.progress(raw[look])
        return np.take_along_axis(found, last, axis=0)
