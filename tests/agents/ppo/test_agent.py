"""The PPO agent: it learns what can be learned, holds to a reference, stops in time, and is the same for the same dice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from emurl.agents.base import restart
from emurl.agents.distributions import kl_divergence, sample
from emurl.agents.ppo.agent import PPOAgent, evaluate
from emurl.agents.ppo.buffer import RolloutBuffer
from emurl.agents.ppo.config import PPOConfig
from emurl.agents.ppo.networks import ActorCritic, space_to_json, unroll
from emurl.agents.ppo.token_networks import FrameMemory
from emurl.models.policy import Policy

CONFIG = PPOConfig(update_epochs=2, minibatch_size=64, ent_coef=0.0, learning_rate=1e-3, learning_rate_final=1.0)
STEPS, ENVS = 64, 4


def batch_for(agent: PPOAgent, seed: int = 0, good: int = 3) -> RolloutBuffer:
    """Steps in which action `good` was worth more than the others whatever was seen."""
    rng = np.random.default_rng(seed)
    grids = rng.integers(0, 16, (STEPS, ENVS, 9, 10)).astype(np.int16)
    starts = rng.random((STEPS, ENVS)) < 0.1
    read = unroll(agent.network, agent.initial(ENVS), grids, starts)
    logs, values = evaluate(agent.network, read.reshape(-1, *read.shape[2:]))
    actions = sample(logs, rng.gumbel(size=logs.shape)).reshape(STEPS, ENVS)
    taken = np.take_along_axis(logs, actions.reshape(-1, 1), 1).reshape(STEPS, ENVS)
    advantages = np.where(actions == good, 1.0, -0.2).astype(np.float32)
    values = values.reshape(STEPS, ENVS)
    return RolloutBuffer(grids, agent.initial(ENVS), starts, actions, taken, values, advantages, advantages + values)


def agent(seed: int = 0, rng: int = 0, reference: FrameMemory | None = None, **changes) -> PPOAgent:
    torch.manual_seed(seed)
    policy = Policy(vocab=16, dim=16, layers=1, heads=2, context=2).eval()
    return PPOAgent(FrameMemory(policy), CONFIG.model_copy(update=changes), np.random.default_rng(rng), reference)


def log_probs(one: PPOAgent, batch: RolloutBuffer) -> np.ndarray:
    read = unroll(one.network, batch.carry, batch.observations, batch.episode_starts)
    return evaluate(one.network, read.reshape(-1, *read.shape[2:]))[0]


def test_an_action_that_paid_becomes_likelier_and_the_value_closer() -> None:
    one = agent()
    batch = batch_for(one)
    before = np.exp(log_probs(one, batch))[:, 3].mean()
    seen = [one.learn(batch) for _ in range(4)]
    assert np.exp(log_probs(one, batch))[:, 3].mean() > before + 0.02
    assert seen[-1]["value_loss"] < seen[0]["value_loss"]
    assert all(np.isfinite(value) for value in seen[-1].values())


def test_the_policy_learns_from_the_steps_that_are_kept_and_the_value_from_all() -> None:
    learned = {}
    for name, kept in (("all", None), ("every", True), ("none", False)):
        one = agent()
        batch = batch_for(one)
        before = log_probs(one, batch)
        batch.kept = None if kept is None else np.full((STEPS, ENVS), kept)
        seen = one.learn(batch)
        learned[name] = torch.cat([value.flatten() for value in one.network.module.parameters()])
        if name == "none":
            assert seen["policy_loss"] == 0.0 and seen["value_loss"] > 0
            assert np.abs(log_probs(one, batch) - before).max() < 0.05  # what moved was the value, through what they share
    assert torch.equal(learned["all"], learned["every"]) and not torch.equal(learned["all"], learned["none"])


def test_the_reference_holds_the_policy_near() -> None:
    distances = []
    for coefficient in (0.0, 10.0):
        reference = agent().network
        one = agent(reference=reference, kl_coef=coefficient, kl_coef_final=1.0)
        batch = batch_for(one)
        for _ in range(5):
            seen = one.learn(batch)
        assert ("reference_kl" in seen) == (coefficient > 0)
        held = agent()
        distances.append(float(kl_divergence(torch.from_numpy(log_probs(one, batch)), torch.from_numpy(log_probs(held, batch)))))
    assert distances[1] < 0.2 * distances[0]


def test_the_value_warmup_leaves_the_policy_as_it_is_to_the_last_bit() -> None:
    one = agent(value_warmup=0.5, ent_coef=0.1)
    before = {name: value.clone() for name, value in one.network.module.state_dict().items()}
    one.learn(batch_for(one))
    changed = [name for name, value in one.network.module.state_dict().items() if not torch.equal(value, before[name])]
    assert changed and all(name.startswith("value_head") for name in changed)


def test_an_update_stops_when_it_has_gone_too_far() -> None:
    one = agent(update_epochs=30, learning_rate=3e-2)
    seen = one.learn(batch_for(one))
    assert seen["epochs"] < 30 and seen["approx_kl"] > 0


def test_the_same_dice_give_the_same_weights() -> None:
    weights = []
    for _ in range(2):
        one = agent(rng=5)
        one.learn(batch_for(one))
        weights.append(torch.cat([value.flatten() for value in one.network.module.parameters()]))
    assert torch.equal(*weights)


def test_schedules_fall_linearly() -> None:
    one = agent(learning_rate=1.0, learning_rate_final=0.1, target_kl=1e-9)
    batch = batch_for(one)
    batch.progress = 0.5
    one.learn(batch)
    assert one.optimizer.param_groups[0]["lr"] == pytest.approx(0.55)


@pytest.mark.parametrize("hidden", [0, 12])
def test_a_sequence_is_what_its_steps_were_and_memory_ends_with_the_episode(hidden: int) -> None:
    torch.manual_seed(1)
    network = ActorCritic(space_to_json(spaces.Box(-1, 1, (5,), np.float32)), 3, hidden)
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(9, 2, 5)).astype(np.float32)
    starts = np.zeros((9, 2), bool)
    starts[0], starts[4, 1] = True, True
    carry, initial = network.initial(2), network.initial(2)
    logits, values = [], []
    with torch.no_grad():
        for t in range(9):
            logit, value, carry = network.step(restart(carry, initial, starts[t]), observations[t])
            logits.append(logit)
            values.append(value)
        whole_logits, whole_values = network.sequence(initial, observations, starts, {})
    torch.testing.assert_close(whole_logits, torch.stack(logits))
    torch.testing.assert_close(whole_values, torch.stack(values))
    if hidden:  # the second environment's new episode knows nothing of the old one, the first's does
        with torch.no_grad():
            alone, _ = network.sequence(initial, observations[4:], starts[4:], {})
        torch.testing.assert_close(whole_logits[4:, 1], alone[:, 1])
        assert not torch.allclose(whole_logits[4:, 0], alone[:, 0])


def test_the_frame_memory_keeps_the_newest_last_and_begins_anew() -> None:
    network = FrameMemory(Policy(vocab=16, dim=16, layers=1, heads=2, context=3))
    carry, grids = network.initial(2), lambda *numbers: np.stack([np.full((9, 10), number, np.int16) for number in numbers])
    read, carry = network.inputs(carry, grids(1, 4))
    assert read[:, :, 0, 0].tolist() == [[1, 1, 1], [4, 4, 4]]
    carry = restart(carry, network.initial(2), np.array([False, True]))
    read, carry = network.inputs(carry, grids(2, 5))
    assert read[:, :, 0, 0].tolist() == [[1, 1, 2], [5, 5, 5]]


def test_what_was_saved_acts_alike(tmp_path) -> None:
    space = spaces.Dict({"a": spaces.Box(-1, 1, (4,), np.float32), "b": spaces.Discrete(3)})
    torch.manual_seed(0)
    one = PPOAgent(ActorCritic(space_to_json(space), 5, hidden=8))
    one.save_pretrained(tmp_path)
    other = PPOAgent.from_pretrained(tmp_path)
    seen = {"a": np.ones((2, 4), np.float32), "b": np.array([0, 2])}
    first, second = (each.act(each.initial(2), seen)[2]["log_probs"] for each in (one, other))
    np.testing.assert_array_equal(first, second)
