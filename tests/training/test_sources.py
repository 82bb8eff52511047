"""Rollouts from any vector environment: where episodes end, what is bootstrapped, what is allowed, and an exact resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import emurl.training.on_policy as training
from emurl.agents.base import length
from emurl.agents.ppo.agent import PPOAgent
from emurl.agents.ppo.config import PPOConfig
from emurl.agents.ppo.networks import ActorCritic, space_to_json
from emurl.core.errors import InputError
from emurl.core.tracking import Tracker
from emurl.training.returns import advantages_of
from emurl.training.rollout import Rollout
from emurl.training.sources import VectorSource
from tests.fixtures.toy_envs import Counting, Masked, SavableRecall


class Valued:
    """An agent to whom a state is worth ten times what is shown, and that counts its steps in its memory."""

    actions = 2

    def initial(self, n: int) -> dict[str, np.ndarray]:
        return {"seen": np.zeros(n, np.int64)}

    def act(self, carry: Any, observation: Any, mask: Any = None, noise: Any = None) -> Any:
        n = length(observation)
        extras = {"log_probs": np.full((n, 2), -np.log(2.0), np.float32), "values": 10.0 * observation[:, 0]}
        return np.zeros(n, np.int64), {"seen": carry["seen"] + 1}, extras


def counting(cut: bool, steps: int) -> VectorSource:
    envs = SyncVectorEnv([lambda: Counting(cut)], autoreset_mode=AutoresetMode.SAME_STEP)
    return VectorSource(envs, Valued(), steps, np.random.default_rng(0))


def advantages(rollout: Rollout) -> list[float]:
    got = advantages_of(
        rollout.rewards, rollout.values, rollout.next_values, rollout.terminated, rollout.truncated, gamma=0.5, lam=0.5
    )
    return [float(value) for value in got[:, 0]]


@pytest.mark.parametrize("cut", [False, True])
def test_an_episode_over_the_edge_of_a_rollout(cut: bool) -> None:
    """Rewards 1, 2, 3 and values 0, 10, 20 (and 30 at the end): γ = λ = 0.5, by hand; a rollout is two steps long."""
    source = counting(cut, 2)
    first, second = source.collect(), source.collect()
    # The first rollout ends within the episode: its last step leads to a state worth 20.
    one = 2 + 0.5 * 20 - 10
    assert advantages(first) == pytest.approx([1 + 0.5 * 10 - 0 + 0.25 * one, one])
    assert not first.ended.any() and first.episodes == []
    # The second begins with the episode's last step. Cut off, it leads to a state worth 30; over, to nothing.
    last = 3 + (0.5 * 30 if cut else 0) - 20
    assert advantages(second) == pytest.approx([last, 1 + 0.5 * 10 - 0])
    assert (second.truncated[0, 0], second.terminated[0, 0]) == (cut, not cut)
    assert [(episode.paid, episode.steps) for episode in second.episodes] == [(6.0, 3)]
    assert second.episode_starts[:, 0].tolist() == [False, True]
    assert second.carry["seen"].tolist() == [2] and source.carry["seen"].tolist() == [1]


def test_the_environments_own_reward_is_paid_unless_another_is_given() -> None:
    envs = SyncVectorEnv([Counting], autoreset_mode=AutoresetMode.SAME_STEP)
    source = VectorSource(envs, Valued(), 2, np.random.default_rng(0), lambda rollout: -2.0 * rollout.rewards)
    assert source.collect().rewards[:, 0].tolist() == [-2.0, -4.0]
    assert counting(False, 2).collect().rewards[:, 0].tolist() == [1.0, 2.0]


class Sometimes(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Gives its mask at even steps only; at odd ones everything is allowed."""

    def reset(self, **options: Any) -> Any:
        self.even = True
        return self.env.reset(**options)

    def step(self, action: Any) -> Any:
        unwrapped: Any = self.env.unwrapped
        unwrapped.mask[:] |= not self.even
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.even = not self.even
        return observation, reward, terminated, truncated, info if self.even else {}


def masked_agent() -> PPOAgent:
    torch.manual_seed(0)
    return PPOAgent(ActorCritic(space_to_json(Masked.observation_space), 8))


def test_masks_are_kept_and_where_none_is_given_everything_is_allowed() -> None:
    envs = SyncVectorEnv([Masked, lambda: Sometimes(Masked())], autoreset_mode=AutoresetMode.SAME_STEP)
    rollout = VectorSource(envs, masked_agent(), 6, np.random.default_rng(0), seed=0).collect()
    assert rollout.masks is not None
    assert rollout.masks.sum(axis=2).tolist() == [[2, 2], [2, 8]] * 3
    assert np.take_along_axis(rollout.masks, rollout.actions[..., None], 2).all()
    assert isinstance(rollout.observations, dict) and rollout.observations["noise"].shape == (6, 2, 2)
    expected = (9 * np.log(2) + 3 * np.log(8)) / 12
    assert training.largest_entropy(rollout, 8) == pytest.approx(expected)


def test_a_mask_that_allows_nothing_is_named() -> None:
    class Nothing(Masked):
        def _draw(self) -> Any:
            seen, _ = super()._draw()
            return seen, {"action_mask": np.zeros(8, bool)}

    envs = SyncVectorEnv([Nothing], autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(InputError, match="expected 8 booleans of which one is true"):
        VectorSource(envs, masked_agent(), 2, np.random.default_rng(0))


def test_an_environment_that_resets_otherwise_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected AutoresetMode\.SAME_STEP"):
        VectorSource(SyncVectorEnv([Counting]), Valued(), 2, np.random.default_rng(0))


def recurrent(scratch: Path) -> tuple[dict[str, torch.Tensor], training.State]:
    config = PPOConfig(
        num_envs=3, num_steps=7, total_steps=6 * 21, update_epochs=2, minibatch_size=14, learning_rate=1e-2, alarm="warn",
        checkpoint_every=2,
    )  # fmt: skip
    envs = SavableRecall(3)
    torch.manual_seed(0)
    network = ActorCritic(space_to_json(envs.single_observation_space), 2, hidden=6)
    rng = np.random.default_rng(1)
    agent = PPOAgent(network, config, rng)
    source = VectorSource(envs, agent, config.num_steps, rng, seed=5)
    state = training.train(agent, source, config, tracker=Tracker.silent(), scratch=scratch)
    return network.state_dict(), state


def test_a_killed_run_with_memory_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven steps a rollout and five an episode: every checkpoint falls into the middle of one."""
    expected, whole = recurrent(tmp_path / "whole")
    learn, calls = training.learn, []

    def dies(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return learn(*arguments)

    monkeypatch.setattr(training, "learn", dies)
    with pytest.raises(KeyboardInterrupt):
        recurrent(tmp_path / "killed")
    got, resumed = recurrent(tmp_path / "killed")
    assert len(calls) == 4 + 4  # on from update 2
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert resumed.history == whole.history
