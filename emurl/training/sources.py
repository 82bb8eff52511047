"""Rollouts from environments of this process: any Gymnasium vector environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from emurl.agents.base import Carry, Observation, length, restart, tree_map
from emurl.core.errors import InputError
from emurl.rewards.base import EnvReward, Reward
from emurl.training.rollout import Episode, Rollout

Steps = dict[tuple[int, int], Any]
"""Something by (step of the rollout, environment)."""


class VectorSource:
    """Plays an agent on a vector environment, `num_steps` a rollout.

    Args:
        envs: a Gymnasium vector environment that resets by itself in the same step (`AutoresetMode.SAME_STEP`); infos may hold
            `action_mask` bool (N, A). With `save_state(i) -> bytes` and `load_state(i, bytes)` a killed run goes on exactly;
            without them its episodes begin anew. agent: who acts.
        num_steps: T. rng: the dice of sampling. reward: what steps are paid; by default what the environment says.
        seed: of the environments.
    """

    def __init__(
        self, envs: VectorEnv[Any, Any, Any], agent: Any, num_steps: int, rng: np.random.Generator, reward: Reward | None = None,
        seed: int | None = None,
    ) -> None:  # fmt: skip
        self.envs, self.agent, self.num_steps, self.rng = envs, agent, num_steps, rng
        self.reward: Reward = reward or EnvReward()
        self.n = envs.num_envs
        self.raw, infos = self._reset(seed)
        self.mask = self._mask(infos)
        self.observation = self.observe(self.raw)
        self.carry: Carry = agent.initial(self.n)
        self.starts = np.ones(self.n, bool)
        self.resumed = np.zeros(self.n, bool)  # episodes that have not begun yet, but with a memory that is in `carry` already
        self.lengths, self.paid = np.zeros(self.n, np.int64), np.zeros(self.n)

    # --- what other kinds of environment do otherwise ------------------------------------------------------------------

    keeps_raw = False
    """Whether a rollout holds what the environment showed besides what the agent saw."""

    def _reset(self, seed: int | None) -> tuple[Any, dict[str, Any]]:
        mode = self.envs.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise InputError(f"environment: it resets in mode {mode}, expected {AutoresetMode.SAME_STEP}")
        raw, infos = self.envs.reset(seed=seed)
        return tree_map(np.array, raw), infos

    def observe(self, raw: Any) -> Observation:
        """What the agent sees of what the environments show."""
        observation: Observation = raw
        return observation

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, Any]]:
        """Play one action everywhere and set `raw`, `observation`, `mask`; rewards, terminated, truncated and last raw observations."""
        raw, rewards, terminated, truncated, infos = self.envs.step(actions)
        self.raw = tree_map(np.array, raw)
        self.observation = self.observe(self.raw)
        self.mask = self._mask(infos)
        last = {i: infos["final_obs"][i] for i in np.flatnonzero(terminated | truncated).tolist()}
        return np.asarray(rewards, np.float32), np.asarray(terminated), np.asarray(truncated), last

    def began_at_power_on(self, i: int) -> bool:
        """Whether the episode that is on in environment `i` began at the environment's own start."""
        return True

    def stepped(self, t: int, ended: np.ndarray) -> None:
        """Called after every step."""

    def scored(self, rollout: Rollout) -> None:
        """Called when a rollout has its rewards."""

    # --- collecting --------------------------------------------------------------------------------------------------

    def collect(self, weights: Mapping[str, torch.Tensor] | None = None) -> Rollout:
        """Play on for `num_steps` steps."""
        if weights is not None:
            self.agent.parts()["policy"].load_state_dict(dict(weights))
            getattr(self.agent, "forget", lambda: None)()  # what it made of earlier ones
        steps, n, actions_count = self.num_steps, self.n, self.agent.actions
        first = tree_map(np.copy, self.carry)
        initial = self.agent.initial(n)
        seen: list[Observation] = []
        shown: list[Any] = []
        masks: list[np.ndarray] = []
        masked = False
        actions = np.empty((steps, n), np.int64)
        log_probs, values = np.empty((steps, n), np.float32), np.empty((steps, n), np.float32)
        rewards = np.zeros((steps, n), np.float32)
        starts, terminated, truncated = (np.zeros((steps, n), bool) for _ in range(3))
        last_raw: Steps = {}
        last_value: Steps = {}  # carry and observation at the end of an episode
        power_on: Steps = {}
        begun: Steps = {}
        for t in range(steps):
            seen.append(tree_map(np.copy, self.observation))
            if self.keeps_raw:
                shown.append(self.raw.copy())
            masks.append(np.ones((n, actions_count), bool) if self.mask is None else self.mask)
            masked |= self.mask is not None
            starts[t] = self.starts
            noise = self.rng.gumbel(size=(n, actions_count))
            carry = self._begun_carry(initial)
            begun |= {
                (t, i): {key: value[i].copy() for key, value in carry.items()} for i in np.flatnonzero(self.resumed).tolist()
            }
            self.resumed[:] = False
            actions[t], self.carry, extras = self.agent.act(carry, self.observation, self.mask, noise)
            remembered = self.carry  # before an episode begins anew
            values[t] = extras.get("values", 0.0)
            log_probs[t] = np.take_along_axis(extras["log_probs"], actions[t][:, None], axis=1)[:, 0]
            began = {i: self.began_at_power_on(i) for i in range(n)}
            rewards[t], terminated[t], truncated[t], last = self.step(actions[t])
            ended = terminated[t] | truncated[t]
            for i, (final, observation) in ((i, self._final(one)) for i, one in last.items()):
                last_raw[t, i], power_on[t, i] = final, began[i]
                last_value[t, i] = ({key: value[i].copy() for key, value in remembered.items()}, observation)
            self.starts = ended.copy()
            self.stepped(t, ended)
        carry = self._begun_carry(initial)
        rollout = Rollout(
            tree_map(lambda *arrays: np.stack(arrays), seen[0], *seen[1:]), first, starts, actions, log_probs, values,
            values, rewards, terminated, truncated, np.stack(masks) if masked else None,
            np.stack([*shown, self.raw]) if self.keeps_raw else None, last_raw, begun,
        )  # fmt: skip
        rollout.rewards = self.reward(rollout)
        final_values = self._values(carry, self.observation)
        rollout.next_values = np.concatenate([values[1:], final_values[None]])
        if last_value:
            where = tuple(np.array(list(last_value)).T)
            carries = [one for one, _ in last_value.values()]
            observations = [one for _, one in last_value.values()]
            rollout.next_values[where] = self._values(
                {key: np.stack([one[key] for one in carries]) for key in carries[0]},
                tree_map(lambda *arrays: np.stack(arrays), observations[0], *observations[1:]),
            )
        self.scored(rollout)
        rollout.episodes = self._account(rollout.rewards, power_on)
        return rollout

    def _begun_carry(self, initial: Carry) -> Carry:
        """What is remembered before the observation that is due."""
        return restart(self.carry, initial, self.starts & ~self.resumed)

    def resume(self, i: int, carry: Carry) -> None:
        """Let the next episode of environment `i` begin with this memory, a carry without its first axis."""
        self.carry = {key: value.copy() for key, value in self.carry.items()}
        for key, value in carry.items():
            self.carry[key][i] = value
        self.resumed[i] = True

    def _final(self, last: Any) -> tuple[Any, Observation]:
        """(raw, observed) of what the last step of an episode led to."""
        return last, last

    def _values(self, carry: Carry, observation: Observation) -> np.ndarray:
        """What the states (N,) seen after `carry` are worth; 0 to an agent without a value function."""
        values = self.agent.act(carry, observation)[2].get("values")
        return np.zeros(length(observation), np.float32) if values is None else np.asarray(values)

    def _mask(self, infos: dict[str, Any]) -> np.ndarray | None:
        """`action_mask` of the infos; an environment that gave none (`_action_mask`) allows every action."""
        if "action_mask" not in infos:
            return None
        given = np.asarray(infos.get("_action_mask", np.ones(self.n, bool)))
        mask = np.ones((self.n, self.agent.actions), bool)
        for i in np.flatnonzero(given).tolist():
            one = np.asarray(infos["action_mask"][i]).astype(bool)
            if one.shape != mask[i].shape or not one.any():
                raise InputError(f"environment: action_mask {one}, expected {self.agent.actions} booleans of which one is true")
            mask[i] = one
        return mask

    def _account(self, rewards: np.ndarray, power_on: Steps) -> list[Episode]:
        """Add up what episodes were paid, over rollouts; returns those that ended: `power_on` by their (step, environment)."""
        episodes = []
        for t, paid in enumerate(rewards):
            self.paid += paid
            self.lengths += 1
            for i in range(len(paid)):
                if (t, i) in power_on:
                    episodes.append(Episode(float(self.paid[i]), int(self.lengths[i]), power_on[t, i]))
                    self.paid[i], self.lengths[i] = 0.0, 0
        return episodes

    # --- keeping -------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, torch.Tensor]:
        """Counters, memory, what was shown last, and the environments' states; nothing where they cannot be saved.

        The environments are put back into the states just saved, so that a run that was killed here and one that was not go on from
        the very same bytes.
        """
        if not self.can_save:
            return {}
        states = [self.envs.save_state(i) for i in range(self.n)]  # type: ignore[attr-defined]
        self._load(states)
        arrays: dict[str, Any] = {"lengths": self.lengths, "paid": self.paid, "starts": self.starts, "resumed": self.resumed}
        arrays |= {f"carry_{name}": array for name, array in self.carry.items()} | _flat("raw", self.raw)
        if self.mask is not None:
            arrays["mask"] = self.mask
        saved = {name: torch.from_numpy(np.ascontiguousarray(array).copy()) for name, array in arrays.items()}
        return saved | {f"env_{i}": torch.frombuffer(bytearray(state), dtype=torch.uint8) for i, state in enumerate(states)}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`."""
        if not self.can_save:
            return
        self._load([tensors[f"env_{i}"].numpy().tobytes() for i in range(self.n)])
        self.raw = _deep("raw", self.raw, tensors)
        self.observation = self.observe(self.raw)
        self.mask = tensors["mask"].numpy().copy() if "mask" in tensors else None
        self.lengths, self.paid = tensors["lengths"].numpy().copy(), tensors["paid"].numpy().copy()
        self.starts, self.resumed = tensors["starts"].numpy().copy(), tensors["resumed"].numpy().copy()
        self.carry = {name: tensors[f"carry_{name}"].numpy().copy() for name in self.carry}

    @property
    def can_save(self) -> bool:
        """Whether the environments have `save_state` and `load_state`."""
        return hasattr(self.envs, "save_state") and hasattr(self.envs, "load_state")

    def _load(self, states: list[bytes]) -> None:
        for i, state in enumerate(states):
            self.envs.load_state(i, state)  # type: ignore[attr-defined]


def _flat(name: str, tree: Any) -> dict[str, np.ndarray]:
    """The arrays of an observation by a name each."""
    if isinstance(tree, Mapping):
        return {key: array for part, one in tree.items() for key, array in _flat(f"{name}_{part}", one).items()}
    return {name: tree}


def _deep(name: str, like: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The inverse of `_flat`, of the shape of `like`."""
    if isinstance(like, Mapping):
        return {part: _deep(f"{name}_{part}", one, tensors) for part, one in like.items()}
    return tensors[name].numpy().copy()
