"""What was chosen where in an episode, so that who is restless does less of it again."""

from __future__ import annotations

import numpy as np


class Chosen(dict[bytes, np.ndarray]):
    """How often each action was chosen, float64 (actions,), by the bytes of the picture it was chosen in."""

    def count(self, picture: np.ndarray, action: int, actions: int) -> None:
        """One more, of as many actions as there are."""
        self.setdefault(picture.tobytes(), np.zeros(actions))[action] += 1.0

    def cost(self, picture: np.ndarray, restless: float) -> np.ndarray | float:
        """Nats that each action loses in a picture, `restless` for each time it was chosen there: (actions,), or 0 for all."""
        return restless * self.get(picture.tobytes(), 0.0)
