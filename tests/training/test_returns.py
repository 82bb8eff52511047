"""What a step is paid, on what scale, and what it was worth: numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emurl.rewards.progress import step_rewards
from emurl.training.returns import ReturnNormalizer, advantages_of, best_pieces, explained_variance

floats = st.floats(-100, 100, width=32)


NEVER = np.zeros((3, 1), bool)


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_every_step_is_paid_its_signed_difference_less_the_penalty() -> None:
    progress, after = np.array([1.0, 3.0, 2.0]), np.array([3.0, 2.0, 2.0])
    np.testing.assert_allclose(step_rewards(progress, after, 0.5), [1.5, -1.5, -0.5])


@given(st.lists(floats, min_size=2, max_size=50), st.floats(0, 1, width=32))
def test_an_episodes_pay_telescopes(potentials: list[float], penalty: float) -> None:
    paid = step_rewards(np.array(potentials[:-1]), np.array(potentials[1:]), penalty)
    expected = potentials[-1] - potentials[0] - penalty * (len(potentials) - 1)
    assert float(paid.astype(np.float64).sum()) == pytest.approx(expected, abs=1e-2)


def test_discounted_shaping_would_pay_no_policy_more_than_another() -> None:
    """Why the difference is not discounted: with γΦ′ − Φ the value −Φ(s) makes every advantage nought, whatever is done."""
    gamma = 0.9
    potential = np.random.default_rng(0).normal(size=(40, 3))
    before, after = potential[:-1], potential[1:]
    ended = np.zeros_like(before, bool)
    shaped = advantages_of(gamma * after - before, -before, -after, ended, ended, gamma, 0.95)
    np.testing.assert_allclose(shaped, 0.0, atol=1e-6)
    ours = advantages_of(step_rewards(before, after, 0.0), -before, -after, ended, ended, gamma, 0.95)
    assert np.abs(ours).max() > 0.1


@given(st.lists(st.tuples(floats, floats, st.floats(-1, 2)), min_size=1, max_size=30))
def test_a_multiplier_only_ever_shrinks_gains(steps: list[tuple[float, float, float]]) -> None:
    before, after, multiplier = (np.array(part, np.float32) for part in zip(*steps, strict=True))
    plain, shrunk = step_rewards(before, after, 0.0), step_rewards(before, after, 0.0, multiplier)
    losses = plain <= 0
    np.testing.assert_array_equal(plain[losses], shrunk[losses])
    assert (shrunk[~losses] >= 0).all() and (shrunk[~losses] <= plain[~losses]).all()


def test_a_loop_through_strange_places_never_pays() -> None:
    """Out of the distribution and back again: the loss counts in full, the gain does not."""
    potentials = np.array([5.0, 1.0, 5.0])
    assert step_rewards(potentials[:-1], potentials[1:], 0.0, np.array([0.1, 0.1])).sum() < 0


def test_gae_by_hand() -> None:
    """γ = 0.5, λ = 0.5, so what is to come counts a quarter a step."""
    rewards, values, following = column(1, 2, 3), column(0.5, 1, 1.5), column(1, 1.5, 2)
    ended = np.zeros((3, 1), bool)
    # deltas: 1 + .5 - .5 = 1; 2 + .75 - 1 = 1.75; 3 + 1 - 1.5 = 2.5
    expected = column(1 + 0.25 * (1.75 + 0.25 * 2.5), 1.75 + 0.25 * 2.5, 2.5)
    np.testing.assert_allclose(advantages_of(rewards, values, following, NEVER, ended, 0.5, 0.5), expected, rtol=1e-6)


def test_a_truncated_episode_bootstraps_and_a_terminated_one_does_not() -> None:
    """The published numbers: rewards 0, 0, 1, values .5, .4, .6, γ .99, λ .95, and nothing after the last."""
    rewards, values, following = column(0, 0, 1), column(0.5, 0.4, 0.6), column(0.4, 0.6, 7.0)
    last = np.array([[False], [False], [True]])
    over = advantages_of(rewards, values, following, last, NEVER, 0.99, 0.95)
    np.testing.assert_allclose(over, column(0.432273, 0.5702, 0.4), rtol=1e-5)
    cut = advantages_of(rewards, values, following, NEVER, last, 0.99, 0.95)
    third = 1 + 0.99 * 7 - 0.6  # what would have come is still worth 7
    second = 0.99 * 0.6 - 0.4 + 0.99 * 0.95 * third
    np.testing.assert_allclose(cut, column(0.99 * 0.4 - 0.5 + 0.99 * 0.95 * second, second, third), rtol=1e-5)


def test_gae_does_not_flow_over_the_end_of_an_episode_but_bootstraps_there() -> None:
    rewards, values, following = column(1, 2, 3), column(0.5, 1, 1.5), column(1, 9, 2)
    ended = np.array([[False], [True], [False]])
    # the second step ends an episode in a state worth 9: its delta has 0.5 * 9, and the third step's 2.5 stays outside
    second = 2 + 0.5 * 9 - 1
    expected = column(1 + 0.25 * second, second, 2.5)
    np.testing.assert_allclose(advantages_of(rewards, values, following, NEVER, ended, 0.5, 0.5), expected, rtol=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_with_lambda_one_advantages_are_discounted_sums_less_the_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rewards, values = rng.normal(size=(6, 2)), rng.normal(size=(7, 2))
    got = advantages_of(rewards, values[:-1], values[1:], np.zeros((6, 2), bool), np.zeros((6, 2), bool), 0.9, 1.0)
    sums = sum(0.9**k * rewards[k] for k in range(6)) + 0.9**6 * values[6]
    np.testing.assert_allclose(got[0], sums - values[0], rtol=1e-4, atol=1e-5)


def test_the_best_pieces_of_episodes_by_hand() -> None:
    rewards = np.array([[1.0, 0.0], [1.0, 5.0], [0.0, -9.0], [3.0, 1.0]])
    ended = np.array([[False, False], [True, True], [False, False], [False, False]])
    # four pieces, paid 2 and 3 in the first column, 5 and -8 in the second
    np.testing.assert_array_equal(best_pieces(rewards, ended, 0.5), [[False, True], [False, True], [True, False], [True, False]])
    np.testing.assert_array_equal(
        best_pieces(rewards, ended, 0.01), [[False, True], [False, True], [False, False], [False, False]]
    )
    assert best_pieces(rewards, ended, 1.0).all()


def test_the_normalizer_divides_by_the_deviation_of_the_discounted_return() -> None:
    rng = np.random.default_rng(1)
    rewards = rng.normal(3.0, 2.0, (50, 4))
    ended = rng.random((50, 4)) < 0.1
    returns, running = [], np.zeros(4)
    for reward, over in zip(rewards, ended, strict=True):
        running = 0.9 * running + reward
        returns.append(running.copy())
        running[over] = 0.0
    normalizer = ReturnNormalizer(4, 0.9)
    scaled = normalizer(rewards, ended)
    assert normalizer.scale == pytest.approx(float(np.std(returns)), rel=1e-9)
    np.testing.assert_allclose(scaled, rewards / np.std(returns), rtol=1e-5)


def test_the_normalizer_goes_on_from_its_state() -> None:
    rng = np.random.default_rng(2)
    first, second, ended = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), np.zeros((5, 2), bool)
    whole, restored = ReturnNormalizer(2, 0.9), ReturnNormalizer(2, 0.9)
    whole(first, ended)
    restored.restore(whole.state())
    np.testing.assert_array_equal(whole(second, ended), restored(second, ended))
    assert whole.state() == restored.state()


def test_a_reward_that_never_varies_is_left_alone() -> None:
    scaled = ReturnNormalizer(2, 0.9)(np.zeros((4, 2)), np.zeros((4, 2), bool))
    np.testing.assert_array_equal(scaled, 0.0)


def test_explained_variance() -> None:
    actual = np.array([1.0, 2.0, 3.0, 4.0])
    assert explained_variance(actual, actual) == 1.0
    assert explained_variance(np.full(4, 9.0), actual) == 0.0
    assert explained_variance(-actual, actual) == -3.0
    assert explained_variance(actual, np.ones(4)) == 0.0
