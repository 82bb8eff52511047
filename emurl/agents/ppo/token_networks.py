"""Networks over token grids: what each remembers of a game, from one frame to a whole episode."""

from __future__ import annotations

import numpy as np
import torch

from emurl.agents.base import Carry, Observation
from emurl.agents.ppo.networks import Begun, Outputs, restarts_of
from emurl.core.recall import recall
from emurl.models.policy import Policy
from emurl.models.recurrent_policy import RecurrentPolicy

TokenPolicy = Policy | RecurrentPolicy
"""What plays: a policy that sees frames, or one that remembers the whole game."""

REMEMBERED = 20_000  # grids whose features are kept; they take 20 MB


class FrameMemory:
    """A `Policy` over token grids: it remembers the last C grids, the first of an episode standing for those before it."""

    recurrent = False

    def __init__(self, policy: Policy, grid: tuple[int, int] = (9, 10)) -> None:
        self.policy, self.grid, self.actions = policy, grid, policy.actions

    @property
    def module(self) -> Policy:
        """The policy."""
        return self.policy

    def initial(self, n: int) -> Carry:
        """`grids` int16 (N, C, 9, 10), newest last, and `fresh` bool (N,): nothing was seen yet."""
        return {"grids": np.zeros((n, self.policy.context, *self.grid), np.int16), "fresh": np.ones(n, bool)}

    def inputs(self, carry: Carry, observation: Observation) -> tuple[np.ndarray, Carry]:
        """The grids int16 (N, C, 9, 10) that the policy reads after token grids (N, 9, 10)."""
        newest = np.asarray(observation, np.int16)[:, None]
        grids = np.concatenate([carry["grids"][:, 1:], newest], axis=1)
        fresh = carry["fresh"]
        if fresh.any():
            grids[fresh] = newest[fresh]
        return grids, {"grids": grids, "fresh": np.zeros_like(fresh)}

    def evaluate(self, inputs: np.ndarray) -> Outputs:
        """Logits and values of grids int16 (B, C, 9, 10)."""
        logits, values = self.policy(torch.from_numpy(inputs).to(self.policy.device).long())
        return logits.float(), values.float()

    def forget(self) -> None:
        """Nothing is kept."""


class TokenMemory:
    """A `RecurrentPolicy` over token grids: it remembers a whole episode. What it made of a grid is kept until the weights change."""

    recurrent = True

    def __init__(self, policy: RecurrentPolicy) -> None:
        self.policy, self.actions = policy, policy.actions
        self._features: dict[bytes, torch.Tensor] = {}

    @property
    def module(self) -> RecurrentPolicy:
        """The policy."""
        return self.policy

    def initial(self, n: int) -> Carry:
        """`state` float32 (N, hidden) of zeros."""
        return {"state": np.zeros((n, self.policy.hidden), np.float32)}

    def step(self, carry: Carry, observation: Observation) -> tuple[torch.Tensor, torch.Tensor, Carry]:
        """Token grids (N, 9, 10), read once each."""
        features = self._read(observation)
        state = torch.from_numpy(carry["state"]).to(self.policy.device)
        remembered, state = self.policy.remember(features[None], state)
        logits, values = self.policy.heads(remembered[0], features)
        return logits.float(), values.float(), {"state": state.detach().cpu().numpy()}

    def after(self, carry: Carry, observations: Observation) -> Carry:
        """The carry after token grids (T, N, 9, 10), one after the other."""
        grids = np.asarray(observations)
        if not len(grids):
            return carry
        features = self._read(grids.reshape(-1, *grids.shape[2:])).reshape(*grids.shape[:2], -1)
        state = self.policy.remember(features, torch.from_numpy(carry["state"]).to(self.policy.device))[1]
        return {"state": state.detach().cpu().numpy()}

    def _read(self, observation: Observation) -> torch.Tensor:
        """Features (N, …) of token grids (N, 9, 10)."""
        grids = np.ascontiguousarray(observation, np.int64)
        if len(self._features) > REMEMBERED:
            self._features.clear()

        def compute(places: list[int]) -> torch.Tensor:
            return self.policy.features(torch.from_numpy(grids[places]).to(self.policy.device))

        return torch.stack(recall(self._features, [grid.tobytes() for grid in grids], compute))

    def sequence(self, carry: Carry, observations: Observation, starts: np.ndarray, begun: Begun) -> Outputs:
        """Token grids (T, B, 9, 10); gradients flow through the whole sequence."""
        device = self.policy.device
        restarts = restarts_of(starts, begun, self.policy.hidden, device)
        grids = torch.from_numpy(np.ascontiguousarray(observations, np.int64)).to(device)
        logits, values, _ = self.policy(grids, torch.from_numpy(carry["state"]).to(device), restarts)
        return logits.float(), values.float()

    def forget(self) -> None:
        """Forget the features of grids."""
        self._features.clear()


def token_network(policy: TokenPolicy) -> FrameMemory | TokenMemory:
    """A policy over token grids as a network with the memory it was built for."""
    return TokenMemory(policy) if isinstance(policy, RecurrentPolicy) else FrameMemory(policy)
