"""Masked distributions: what is forbidden is never drawn, gets no gradient and adds nothing to the entropy."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emurl.agents.distributions import entropy, kl_divergence, masked_log_probs, sample

ACTIONS = 5
logit_rows = arrays(np.float32, (3, ACTIONS), elements=st.floats(-20, 20, width=32))
mask_rows = arrays(bool, (3, ACTIONS)).filter(lambda mask: mask.any(axis=1).all())


@given(logit_rows, mask_rows)
def test_it_is_the_softmax_of_what_is_allowed(logits: np.ndarray, mask: np.ndarray) -> None:
    logs = masked_log_probs(torch.from_numpy(logits), torch.from_numpy(mask))
    for row in range(3):
        allowed = np.flatnonzero(mask[row])
        expected = torch.log_softmax(torch.from_numpy(logits[row, allowed]), dim=-1)
        torch.testing.assert_close(logs[row, allowed], expected)
        assert torch.isneginf(logs[row, np.flatnonzero(~mask[row])]).all()
        plain = -(expected.exp() * expected).sum()
        torch.testing.assert_close(entropy(logs, torch.from_numpy(mask))[row], plain)


@given(logit_rows, mask_rows)
def test_a_masked_logit_has_no_gradient_and_no_other_has_nan(logits: np.ndarray, mask: np.ndarray) -> None:
    leaf, allowed = torch.from_numpy(logits).requires_grad_(), torch.from_numpy(mask)
    logs = masked_log_probs(leaf, allowed)
    other = masked_log_probs(torch.zeros(3, ACTIONS), allowed)
    first = torch.from_numpy(mask.argmax(axis=1))
    (entropy(logs, allowed).sum() + kl_divergence(logs, other, allowed) + logs.gather(1, first[:, None]).sum()).backward()
    assert torch.isfinite(leaf.grad).all()
    assert (leaf.grad[~allowed] == 0).all()


def test_the_gradient_is_that_of_the_smaller_problem() -> None:
    small = torch.tensor([0.3, -1.0], requires_grad=True)
    large = torch.tensor([[0.3, 9.0, -1.0]], requires_grad=True)
    mask = torch.tensor([[True, False, True]])
    logs = torch.log_softmax(small, dim=-1)
    (logs[0] + 0.1 * entropy(logs)).backward()
    masked = masked_log_probs(large, mask)
    (masked[0, 0] + 0.1 * entropy(masked, mask).sum()).backward()
    torch.testing.assert_close(large.grad[0, [0, 2]], small.grad)


def test_where_all_but_one_are_forbidden_that_one_is_certain() -> None:
    mask = torch.tensor([[False, True, False]])
    logs = masked_log_probs(torch.tensor([[5.0, -5.0, 5.0]]), mask)
    assert logs[0, 1] == 0.0
    assert entropy(logs, mask).item() == 0.0
    assert sample(logs.numpy(), np.random.default_rng(0).gumbel(size=(1, 3))).tolist() == [1]


def test_samples_follow_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    chances = np.array([0.7, 0.2, 0.1])
    drawn = sample(np.log(chances)[None].repeat(20_000, 0), rng.gumbel(size=(20_000, 3)))
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, chances, atol=0.02)
