"""Networks that PPO trains: what each remembers between steps, and how it is evaluated on what was collected.

A network with `recurrent = False` turns carry and observation into an *input* per step (`inputs`), which can be learned from in any order.
A recurrent one is evaluated over whole sequences, its state cut where an episode begins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch
from torch import nn

from emurl.agents.base import Carry, Observation, flatten, restart, tree_map
from emurl.agents.encoders import build_encoder, largest, layer, no_encoder
from emurl.models.base import Pretrained

Outputs = tuple[torch.Tensor, torch.Tensor]
"""Logits (…, A) and values (…,)."""

Begun = Mapping[tuple[int, int], Carry]
"""By (step, row), what is remembered where an episode begins in the midst of a game: a carry without its first axis."""


class Network(Protocol):
    """What PPO needs of every network; it is a `FeedForward` or a `Recurrent` besides, as `recurrent` says."""

    actions: int

    @property
    def recurrent(self) -> bool:
        """Whether gradients flow through time."""
        ...

    @property
    def module(self) -> Pretrained:
        """The trained module; its `value_head` is what a value warm-up trains alone."""
        ...

    def initial(self, n: int) -> Carry:
        """The memory before the first observation of an episode."""
        ...

    def forget(self) -> None:
        """Called when the weights have changed: what was made of earlier observations is no longer true."""
        ...


class FeedForward(Network, Protocol):
    """A network whose steps can be learned from in any order."""

    def inputs(self, carry: Carry, observation: Observation) -> tuple[Any, Carry]:
        """What is read at this step, and the carry after it."""
        ...

    def evaluate(self, inputs: Any) -> Outputs:
        """Logits (B, A) and values (B,) of inputs (B, …)."""
        ...


class Recurrent(Network, Protocol):
    """A network that is learned from in sequences."""

    def step(self, carry: Carry, observation: Observation) -> tuple[torch.Tensor, torch.Tensor, Carry]:
        """Logits (N, A), values (N,) and the carry after one observation."""
        ...

    def sequence(self, carry: Carry, observations: Observation, starts: np.ndarray, begun: Begun) -> Outputs:
        """Logits (T, B, A) and values (T, B) of observations (T, B, …).

        Args:
            starts: bool (T, B), an episode begins with this observation. begun: what is remembered then, where that is not nothing.
        """
        ...


class ActorCritic(Pretrained):
    """Encoder by the observation space, an optional GRU, two linear heads; orthogonal, 0.01 for the policy head.

    Args:
        space: the observation space as `space_to_json` writes it. actions: how many. hidden: size of the GRU's state; 0: none.
    """

    def __init__(self, space: str, actions: int, hidden: int = 0) -> None:
        super().__init__(space=space, actions=actions, hidden=hidden)
        self.actions, self.hidden = actions, hidden
        self.encoder = build_encoder(space_from_json(space))
        width = int(self.encoder.width)  # type: ignore[arg-type]
        self.memory = nn.GRUCell(width, hidden) if hidden else None
        if self.memory is not None:
            for name, weight in self.memory.named_parameters():
                nn.init.zeros_(weight) if "bias" in name else nn.init.orthogonal_(weight)
        self.policy_head = layer(nn.Linear(hidden or width, actions), 0.01)
        self.value_head = layer(nn.Linear(hidden or width, 1), 1.0)

    @property
    def recurrent(self) -> bool:
        """Whether there is a GRU."""
        return self.memory is not None

    @property
    def module(self) -> ActorCritic:
        """Itself."""
        return self

    def initial(self, n: int) -> Carry:
        """`state` float32 (N, hidden) of zeros; nothing without a GRU."""
        return {"state": np.zeros((n, self.hidden), np.float32)} if self.hidden else {}

    def inputs(self, carry: Carry, observation: Observation) -> tuple[Observation, Carry]:
        """The observation as it is."""
        return observation, carry

    def _tensors(self, observation: Observation) -> Any:
        return tree_map(lambda array: torch.as_tensor(np.ascontiguousarray(array)).to(self.device), observation)

    def _heads(self, features: torch.Tensor) -> Outputs:
        return self.policy_head(features).float(), self.value_head(features).squeeze(-1).float()

    def evaluate(self, inputs: Observation) -> Outputs:
        """Logits (B, A) and values (B,) of observations (B, …)."""
        return self._heads(self.encoder(self._tensors(inputs)))

    def step(self, carry: Carry, observation: Observation) -> tuple[torch.Tensor, torch.Tensor, Carry]:
        """One step of the GRU."""
        if self.memory is None:
            return *self.evaluate(observation), carry
        state = self.memory(self.encoder(self._tensors(observation)), torch.from_numpy(carry["state"]).to(self.device))
        return *self._heads(state), {"state": state.detach().cpu().numpy()}

    def sequence(self, carry: Carry, observations: Observation, starts: np.ndarray, begun: Begun) -> Outputs:
        """The GRU over T steps, its state cut where an episode begins; gradients flow through the whole sequence."""
        if self.memory is None:
            logits, values = self.evaluate(flatten(observations))
            return logits.reshape(*starts.shape, -1), values.reshape(starts.shape)
        steps, batch = starts.shape
        features = self.encoder(self._tensors(flatten(observations))).reshape(steps, batch, -1)
        state = torch.from_numpy(carry["state"]).to(self.device)
        restarts = restarts_of(starts, begun, self.hidden, self.device)
        states = []
        for t in range(steps):
            if t in restarts:
                state = state.index_copy(0, *restarts[t])
            state = self.memory(features[t], state)
            states.append(state)
        return self._heads(torch.stack(states))

    def forget(self) -> None:
        """Nothing is kept."""


def restarts_of(
    starts: np.ndarray, begun: Begun, hidden: int, device: torch.device
) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """Where a recurrent state is replaced: {t: (rows long (K,), states (K, hidden))}, states of zeros but where `begun` says more.

    Args:
        starts: bool (T, B), an episode begins with this observation.
    """
    restarts = {}
    for t in np.flatnonzero(starts.any(axis=1)).tolist():
        places = np.flatnonzero(starts[t])
        states = np.zeros((len(places), hidden), np.float32)
        for row, place in enumerate(places.tolist()):
            if (t, place) in begun:
                states[row] = begun[t, place]["state"]
        restarts[t] = torch.from_numpy(places).to(device), torch.from_numpy(states).to(device)
    return restarts


def unroll(
    network: FeedForward, carry: Carry, observations: Observation, starts: np.ndarray, begun: Begun = MappingProxyType({})
) -> Any:
    """What a network's `inputs` read at every step: (T, N, …). `starts`, `begun`: as in `Recurrent.sequence`."""
    initial = network.initial(starts.shape[1])
    read = []
    for t in range(len(starts)):
        carry = restart(carry, initial, starts[t])
        for row in [row for at, row in begun if at == t]:
            carry = {key: value.copy() for key, value in carry.items()}
            for key, value in begun[t, row].items():
                carry[key][row] = value
        one, carry = network.inputs(carry, tree_map(lambda array, t=t: array[t], observations))
        read.append(one)
    return tree_map(lambda *arrays: np.stack(arrays), read[0], *read[1:])


def rows(tree: Any, places: np.ndarray) -> Any:
    """Rows of an array, or of every array of a mapping."""
    return tree_map(lambda array: array[places], tree)


def space_to_json(space: gymnasium.Space[Any]) -> str:
    """An observation space as text, for config.json: shapes, types and ranges, which is what an encoder is built from.

    Raises:
        InputError: a space that has no encoder.
    """
    return json.dumps(_described(space, "observation"), sort_keys=True)


def _described(space: gymnasium.Space[Any], where: str) -> dict[str, Any]:
    if isinstance(space, gymnasium.spaces.Dict):
        return {"dict": {name: _described(part, f"{where}.{name}") for name, part in space.spaces.items()}}
    if isinstance(space, gymnasium.spaces.Discrete):
        return {"discrete": int(space.n), "start": int(space.start)}
    if isinstance(space, gymnasium.spaces.Box):
        return {"box": list(space.shape), "dtype": str(space.dtype), "high": largest(space)}
    if isinstance(space, gymnasium.spaces.MultiBinary | gymnasium.spaces.MultiDiscrete):
        return {"box": list(space.shape or ()), "dtype": str(space.dtype), "high": 1}
    raise no_encoder(space, where)


def space_from_json(text: str) -> gymnasium.Space[Any]:
    """A space that the same encoder is built from as from the one `space_to_json` was given."""
    return _space(json.loads(text))


def _space(told: Mapping[str, Any]) -> gymnasium.Space[Any]:
    if "dict" in told:
        return gymnasium.spaces.Dict({name: _space(part) for name, part in told["dict"].items()})
    if "discrete" in told:
        return gymnasium.spaces.Discrete(told["discrete"], start=told["start"])
    return gymnasium.spaces.Box(0, told["high"], tuple(told["box"]), np.dtype(told["dtype"]).type)
