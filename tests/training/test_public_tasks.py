"""PPO by numbers that others have published: CartPole-v1 (solved: 475 of 500, Gymnasium) and a memory task of POPGym (2303.01859)."""

from __future__ import annotations

import numpy as np
import pytest

from emurl.core.tracking import Tracker
from emurl.train import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = 100_000
SOLVED = 475.0  # CartPole-v1's own `reward_threshold`
RECALL = "popgym-RepeatFirstEasy-v0"  # say again and again what came first: +1 in an episode that is right throughout, −1 where all is wrong


def mean_return(agent: str, env: str, seed: int, *imports: str) -> float:
    """Of the last 100 episodes."""
    told = train(agent, env, steps=STEPS, seed=seed, imports=imports, tracker=Tracker.silent())
    return float(np.mean(told["returns"][-100:]))


def test_cartpole_is_solved():
    assert np.mean([mean_return("ppo", "CartPole-v1", seed) for seed in range(3)]) >= SOLVED


def test_what_came_first_is_recalled_by_who_remembers_and_by_nobody_else():
    assert mean_return("recurrent_ppo", RECALL, 0, "popgym") >= 0.9
    assert mean_return("ppo", RECALL, 0, "popgym") <= -0.3  # chance: a suit of four is right a quarter of the time
