"""The contract between who acts and who collects experience: observations, memory, actions.

An *observation* is an array (N, …) or a mapping of such arrays, one row an environment. A *carry* is what an agent remembers from
one step to the next, a mapping of arrays (N, …); `{}` for an agent without memory. Whoever plays hands the carry back at
the next step, and puts rows of `initial` into it where an episode begins (`restart`), so an agent never has to know
where it is played, and a carry can be stored with a state of the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from pydantic import Field

from emurl.core.settings import Device, Natural, Positive, Settings, Share

Observation = np.ndarray | Mapping[str, np.ndarray]
Carry = dict[str, np.ndarray]


class Agent(Protocol):
    """Somebody who acts, and may learn."""

    actions: int
    """How many discrete actions there are."""

    def initial(self, n: int) -> Carry:
        """The memory of `n` environments whose episodes have not begun."""
        ...

    def act(
        self, carry: Carry, observation: Observation, mask: np.ndarray | None = None, noise: np.ndarray | None = None
    ) -> tuple[np.ndarray, Carry, dict[str, np.ndarray]]:
        """Choose an action for every environment.

        Args:
            carry: what was remembered before this observation. observation: what is seen now.
            mask: bool (N, A), True where an action is allowed; None: every one is.
            noise: standard Gumbel noise (N, A), by which an action is sampled; None: the likeliest action.

        Returns:
            actions int64 (N,), the carry after this observation, and extras: `log_probs` float32 (N, A), and `values` float32 (N,)
            where it has a value function.
        """
        ...

    def learn(self, batch: Any) -> dict[str, float]:
        """Learn from a batch of experience (on policy: a `RolloutBuffer`); returns what there is to log."""
        ...

    def parts(self) -> dict[str, Any]:
        """What learning changes, by name, for checkpoints: modules, optimizers, dicts of tensors. `policy` is the module that acts."""
        ...

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights (safetensors) and config.json into `folder`, for the class's own `from_pretrained(folder)`."""
        ...


class OnPolicySettings(Settings):
    """What the on-policy loop (`emurl.training.on_policy`) asks the settings of any agent for."""

    seed: Natural = 0  # of every random draw
    device: Device = "auto"  # auto, cpu, cuda, cuda:N or mps
    total_steps: Positive = 2_000_000  # environment steps of all environments together
    num_envs: Positive = 16  # environments played side by side
    num_steps: Positive = 128  # steps of each environment between two updates
    gamma: Share = 0.99  # discount a step
    gae_lambda: Share = 0.95  # of generalized advantage estimation (1506.02438)
    # Share of the episodes, by what they were paid in a rollout, whose steps the policy learns from; 1: all, which is what PPO is.
    return_filter: Annotated[float, Field(gt=0, le=1)] = 1.0
    norm_reward: bool = True  # divide rewards by the running deviation of the discounted return
    alarm: Literal["stop", "warn"] = "stop"  # what an alarm does
    alarm_warmup: Share = 0.2  # share of the updates before alarms are listened to
    alarm_entropy: Share = 0.98  # of the largest entropy there is: above it, the policy acts at random
    alarm_explained_variance: float = 0.05  # below it, the value predicts nothing
    alarm_patience: Positive = 3  # updates in a row before that is an alarm
    checkpoint_every: Positive = 4  # updates; consoles go on from their saved states, so it is part of the result


@dataclass(frozen=True)
class AgentRow:
    """How an agent is found: a package below `emurl.agents` has one such row, or a tuple of them, called `AGENT`.

    Attributes:
        name: what the command line calls it. summary: what it is, in one line.
        config: its settings class. build: `build(observation_space, action_space, config, rng)` makes the untrained agent.
    """

    name: str
    summary: str
    config: Callable[[], Any]
    build: Callable[..., Agent]


def tree_map(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """`function` over an array, or over every array of a mapping; `others` have the same keys."""
    if isinstance(tree, Mapping):
        return {key: tree_map(function, value, *(other[key] for other in others)) for key, value in tree.items()}
    return function(tree, *others)


def flatten(tree: Any) -> Any:
    """Arrays (T, N, …) as (T·N, …)."""
    return tree_map(lambda array: array.reshape(-1, *array.shape[2:]), tree)


def length(tree: Any) -> int:
    """How many rows an observation has."""
    if isinstance(tree, Mapping):
        return length(next(iter(tree.values())))
    return len(tree)


def restart(carry: Carry, initial: Carry, starts: np.ndarray) -> Carry:
    """The carry with rows of `initial` where `starts`, bool (N,), says that an episode begins."""
    if not starts.any():
        return carry

    def mixed(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        return np.where(starts.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    return {key: mixed(value, initial[key]) for key, value in carry.items()}
