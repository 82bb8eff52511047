"""A policy that remembers, as PPO plays and trains it: what was collected is what is learned from."""

from __future__ import annotations

import numpy as np
import torch

from emurl.agents.base import restart
from emurl.agents.ppo.agent import REFERENCE, PPOAgent
from emurl.agents.ppo.buffer import RolloutBuffer
from emurl.agents.ppo.config import PPOConfig
from emurl.agents.ppo.token_networks import TokenMemory
from emurl.models.recurrent_policy import RecurrentPolicy

STEPS, ENVS = 12, 4


def policy(seed: int) -> RecurrentPolicy:
    torch.manual_seed(seed)
    made = RecurrentPolicy(16, "cnn", token_dim=4, dim=8, width=8, hidden=6, actions=5).eval()
    with torch.no_grad():
        made.policy_head.weight.mul_(300)  # untrained heads hardly tell actions apart
    return made


def played(agent: PPOAgent) -> RolloutBuffer:
    """A rollout with an episode that begins with nothing in its midst, and one that begins with what was remembered elsewhere."""
    rng = np.random.default_rng(0)
    grids = rng.integers(0, 16, (STEPS, ENVS, 9, 10)).astype(np.int16)
    starts = np.zeros((STEPS, ENVS), bool)
    starts[0, 0] = starts[5, 1] = starts[7, 2] = True
    initial = agent.initial(ENVS)
    elsewhere = {name: rng.normal(size=value[0].shape).astype(np.float32) for name, value in initial.items()}
    carry = first = {name: rng.normal(size=value.shape).astype(np.float32) for name, value in initial.items()}
    actions, logs, values = np.zeros((STEPS, ENVS), np.int64), [], []
    for t in range(STEPS):
        carry = restart(carry, initial, starts[t])
        if t == 7:
            carry = {name: value.copy() for name, value in carry.items()}
            for name, value in elsewhere.items():
                carry[name][2] = value
        actions[t], carry, extras = agent.act(carry, grids[t], None, rng.gumbel(size=(ENVS, 5)))
        logs.append(np.take_along_axis(extras["log_probs"], actions[t][:, None], 1)[:, 0])
        values.append(extras["values"])
    advantages = rng.normal(size=(STEPS, ENVS)).astype(np.float32)
    taken, valued = np.stack(logs), np.stack(values)
    return RolloutBuffer(grids, first, starts, actions, taken, valued, advantages, advantages + valued, {(7, 2): elsewhere})


def test_before_any_step_what_is_learned_from_is_what_was_played() -> None:
    agent = PPOAgent(TokenMemory(policy(0)), PPOConfig(update_epochs=1, minibatch_size=STEPS * ENVS))
    seen = agent.learn(played(agent))
    assert seen["approx_kl"] < 1e-6 and seen["clipfrac"] == 0.0


def test_a_reference_remembers_on_its_own() -> None:
    config = PPOConfig(update_epochs=1, minibatch_size=STEPS * ENVS, kl_coef=1.0)
    alike = PPOAgent(TokenMemory(policy(0)), config, reference=TokenMemory(policy(0)))
    batch = played(alike)
    assert {name for name in batch.carry if name.startswith(REFERENCE)} == {"reference_state"}
    for name in ("carry", "begun"):  # the same memory for both, and they are the same network
        rows = getattr(batch, name) if name == "begun" else {(): batch.carry}
        for one in rows.values():
            one["reference_state"] = one["state"].copy()
    assert alike.learn(batch)["reference_kl"] < 1e-6
    other = PPOAgent(TokenMemory(policy(0)), config, reference=TokenMemory(policy(1)))
    assert other.learn(played(other))["reference_kl"] > 1e-3


def test_features_are_forgotten_with_the_weights_they_were_made_by() -> None:
    agent = PPOAgent(TokenMemory(policy(0)), PPOConfig(update_epochs=2, minibatch_size=STEPS, learning_rate=0.05, target_kl=10.0))
    batch = played(agent)
    seen = batch.observations[0]
    before = agent.act(agent.initial(ENVS), seen)[2]["log_probs"]
    agent.learn(batch)
    after = agent.act(agent.initial(ENVS), seen)[2]["log_probs"]
    fresh = PPOAgent(TokenMemory(agent.network.policy)).act(agent.initial(ENVS), seen)[2]["log_probs"]
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, fresh, atol=1e-6)
