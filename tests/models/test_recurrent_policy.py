"""The policy that remembers: a sequence is what its steps were, memory is cut where it is told to, and what was learned goes on."""

from __future__ import annotations

import pytest
import torch

from emurl.models.recurrent_policy import RecurrentPolicy


@pytest.fixture(params=["transformer", "cnn"])
def policy(request: pytest.FixtureRequest) -> RecurrentPolicy:
    torch.manual_seed(0)
    return RecurrentPolicy(16, request.param, token_dim=4, dim=8, layers=2, heads=2, width=12, hidden=10, actions=5).eval()


def grids(steps: int, batch: int, seed: int = 0) -> torch.Tensor:
    """A few grids that come again and again, as a game's do."""
    generator = torch.Generator().manual_seed(seed)
    few = torch.randint(0, 16, (6, 9, 10), generator=generator)
    return few[torch.randint(0, 6, (steps, batch), generator=generator)]


@torch.no_grad()
def test_a_sequence_is_what_its_steps_were(policy: RecurrentPolicy) -> None:
    seen, state = grids(7, 3), torch.randn(3, 10)
    whole = policy(seen, state)
    for t in range(7):
        logits, values, state = policy(seen[t : t + 1], state)
        torch.testing.assert_close(logits[0], whole[0][t])
        torch.testing.assert_close(values[0], whole[1][t])
    torch.testing.assert_close(state, whole[2])


@torch.no_grad()
def test_what_is_remembered_is_replaced_before_a_step_and_only_where_it_is_told(policy: RecurrentPolicy) -> None:
    seen, state, other = grids(6, 3), torch.randn(3, 10), torch.randn(1, 10)
    plain, _, _ = policy(seen, state)
    cut, _, _ = policy(seen, state, {0: (torch.tensor([2]), torch.zeros(1, 10)), 4: (torch.tensor([1]), other)})
    torch.testing.assert_close(cut[:, 0], plain[:, 0])
    torch.testing.assert_close(cut[:4, 1], plain[:4, 1])
    torch.testing.assert_close(cut[4:, 1:2], policy(seen[4:, 1:2], other)[0])
    torch.testing.assert_close(cut[:, 2:], policy(seen[:, 2:], torch.zeros(1, 10))[0])


def test_the_loss_counts_labels_by_weight_and_hands_the_memory_on(policy: RecurrentPolicy) -> None:
    seen, state = grids(4, 2), torch.zeros(2, 10)
    actions, weights = torch.ones(4, 2, dtype=torch.int64), torch.zeros(4, 2)
    weights[1, 0], weights[3, 1] = 1.0, 3.0
    logits, _, after = policy(seen, torch.zeros(2, 10))
    loss, _ = policy.loss((seen.numpy(), actions.numpy(), weights.numpy(), state))
    each = -logits.log_softmax(-1)[..., 1]
    torch.testing.assert_close(loss, (each[1, 0] + 3 * each[3, 1]) / 4)
    torch.testing.assert_close(state, after.detach())
    loss.backward()
    assert float(policy.memory.weight_ih_l0.grad.abs().sum()) > 0  # type: ignore[union-attr]


def test_what_was_saved_plays_alike(policy: RecurrentPolicy, tmp_path) -> None:
    policy.save_pretrained(tmp_path)
    with torch.no_grad():
        one, other = (each(grids(3, 2), torch.zeros(2, 10))[0] for each in (policy, RecurrentPolicy.from_pretrained(tmp_path)))
    assert torch.equal(one, other)
