"""The PPO update: its losses against hand-worked numbers and gradients, and that it learns what can be learned."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from emurl.agents.ppo.update import (
    Experience,
    Knobs,
    clipped_surrogate,
    clipped_value_loss,
    kl_divergence,
    make_optimizer,
    update,
)
from emurl.models.policy import Policy
from emurl.training.perception import draw, odds

KNOBS = Knobs(epochs=2, minibatch=64, clip=0.2, entropy=0.0, leash=0.0, learning_rate=1e-3)


def test_the_surrogate_is_pessimistic() -> None:
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5])
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0])
    # min over clipped (1.2 / 0.8) and plain: 1.2, -1.5, 0.5, -0.8
    assert float(clipped_surrogate(ratio, advantages, 0.2)) == pytest.approx(-(1.2 - 1.5 + 0.5 - 0.8) / 4)


def test_a_ratio_gone_too_far_has_no_gradient() -> None:
    ratio = torch.tensor([1.5, 1.1], requires_grad=True)
    clipped_surrogate(ratio, torch.tensor([2.0, 2.0]), 0.2).backward()
    np.testing.assert_allclose(ratio.grad, [0.0, -1.0])


def test_the_value_loss_takes_the_larger_error() -> None:
    values, old, returns = torch.tensor([1.0, 0.1]), torch.zeros(2), torch.tensor([1.0, 1.0])
    # first: plain error 0, kept at 0.2 gives 0.64; second: within the clip, 0.81
    assert float(clipped_value_loss(values, old, returns, 0.2)) == pytest.approx(0.5 * (0.64 + 0.81) / 2)


def test_kl_by_hand() -> None:
    p, q = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
    assert float(kl_divergence(p.log(), q.log())) == pytest.approx(0.5 * np.log(2.0) + 0.5 * np.log(2 / 3))
    assert float(kl_divergence(p.log(), p.log())) == 0.0


def policy_and_experience(seed: int = 0, size: int = 256) -> tuple[Policy, Experience]:
    """A policy, and steps in which action 3 was worth more than the others whatever was seen."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    policy = Policy(vocab=16, dim=16, layers=1, heads=2, context=2).eval()
    contexts = rng.integers(0, 16, (size, 2, 9, 10)).astype(np.int16)
    logs, values = odds(policy, contexts)
    actions = draw(logs, rng.gumbel(size=logs.shape))
    taken = np.take_along_axis(logs, actions[:, None], 1)[:, 0]
    advantages = np.where(actions == 3, 1.0, -0.2).astype(np.float32)
    return policy, Experience(contexts, actions, taken, values, advantages, advantages + values)


def chance_of(policy: Policy, experience: Experience, action: int) -> float:
    return float(np.exp(odds(policy, experience.contexts)[0])[:, action].mean())


def test_an_action_that_paid_becomes_likelier_and_the_value_closer() -> None:
    policy, experience = policy_and_experience()
    before = chance_of(policy, experience, 3)
    optimizer = make_optimizer(policy, 1e-3)
    rng = np.random.default_rng(0)
    seen = [update(policy, optimizer, experience, KNOBS, rng) for _ in range(4)]
    assert chance_of(policy, experience, 3) > before + 0.02
    assert seen[-1]["value_loss"] < seen[0]["value_loss"]
    assert all(np.isfinite(value) for value in seen[-1].values())


def test_the_leash_holds_the_policy_near_the_clone() -> None:
    distances = []
    for leash in (0.0, 10.0):
        policy, experience = policy_and_experience()
        experience.clone = odds(policy, experience.contexts)[0]
        optimizer = make_optimizer(policy, 1e-3)
        rng = np.random.default_rng(0)
        for _ in range(5):
            update(policy, optimizer, experience, dataclasses.replace(KNOBS, leash=leash), rng)
        now = torch.from_numpy(odds(policy, experience.contexts)[0])
        distances.append(float(kl_divergence(now, torch.from_numpy(experience.clone))))
    assert distances[1] < 0.2 * distances[0]


def test_values_only_leaves_the_policy_as_it_is_to_the_last_bit() -> None:
    policy, experience = policy_and_experience()
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    knobs = dataclasses.replace(KNOBS, values_only=True, entropy=0.1)
    update(policy, make_optimizer(policy, 1e-3), experience, knobs, np.random.default_rng(0))
    changed = [name for name, value in policy.state_dict().items() if not torch.equal(value, before[name])]
    assert changed and all(name.startswith("value_head") for name in changed)


def test_an_update_stops_when_it_has_gone_too_far() -> None:
    policy, experience = policy_and_experience()
    knobs = dataclasses.replace(KNOBS, epochs=30, learning_rate=3e-2)
    seen = update(policy, make_optimizer(policy, 3e-2), experience, knobs, np.random.default_rng(0))
    assert seen["epochs"] < 30 and seen["approx_kl"] > 0


def test_the_same_dice_give_the_same_weights() -> None:
    weights = []
    for _ in range(2):
        policy, experience = policy_and_experience()
        update(policy, make_optimizer(policy, 1e-3), experience, KNOBS, np.random.default_rng(5))
        weights.append(torch.cat([value.flatten() for value in policy.parameters()]))
    assert torch.equal(*weights)


def test_drawing_follows_the_odds() -> None:
    rng = np.random.default_rng(0)
    chances = np.array([0.7, 0.2, 0.1])
    drawn = draw(np.log(chances)[None].repeat(20_000, 0), rng.gumbel(size=(20_000, 3)))
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, chances, atol=0.02)
