"""The PPO losses against hand-worked numbers and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emurl.agents.distributions import kl_divergence
from emurl.agents.ppo.losses import clipped_surrogate, clipped_value_loss


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


def test_without_a_clip_the_value_loss_is_half_the_squared_error() -> None:
    values, returns = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 2.0])
    assert float(clipped_value_loss(values, torch.zeros(2), returns, None)) == pytest.approx(1.0)
