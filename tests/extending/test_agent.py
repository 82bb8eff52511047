"""An agent is one package: with nothing else touched `emurl train` knows it, and it needs the contract alone, no torch, no PPO."""

import json

import pytest

from tests.fixtures.house import House, build_house

AGENT = '''"""Table: REINFORCE with one row of preferences for every observation."""

import json
from pathlib import Path

import numpy as np

from emurl.agents.base import AgentRow, OnPolicySettings
from emurl.core.settings import Rate


class TableSettings(OnPolicySettings):
    """`table`."""

    step_size: Rate = 0.5  # of a preference


class Table:
    """The likeliest action is the one of the highest preference."""

    def __init__(self, observation_space, action_space, config, rng):
        self.actions, self.config = int(action_space.n), config
        self.preferences = np.zeros((int(observation_space.n), self.actions))

    def initial(self, n):
        return {}

    def _log_probs(self, observation):
        rows = self.preferences[observation]
        return rows - np.log(np.exp(rows).sum(-1, keepdims=True))

    def act(self, carry, observation, mask=None, noise=None):
        logs = self._log_probs(observation)
        return np.argmax(logs if noise is None else logs + noise, axis=-1), carry, {"log_probs": logs}

    def learn(self, batch):
        seen, actions, returns = batch.flat("observations"), batch.flat("actions"), batch.flat("returns")
        gradient = np.eye(self.actions)[actions] - np.exp(self._log_probs(seen))
        np.add.at(self.preferences, seen, self.config.step_size * (returns - returns.mean())[:, None] * gradient / len(seen))
        return {"preference": float(self.preferences.max())}

    def save_pretrained(self, folder):
        Path(folder, "config.json").write_text(json.dumps(self.preferences.tolist()))


AGENT = AgentRow("table", "REINFORCE in a table", lambda: TableSettings, Table)
'''

ENVS = '''import gymnasium
import numpy as np
from gymnasium import spaces


class Match(gymnasium.Env):
    """Say the number that is shown: 1 if it was, one step an episode."""

    observation_space, action_space = spaces.Discrete(4), spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.number = int(self.np_random.integers(4))
        return self.number, {}

    def step(self, action):
        return self.number, float(action == self.number), True, False, {}


gymnasium.register("toys/Match-v0", entry_point=Match)
'''


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> House:
    house = build_house(tmp_path_factory.mktemp("house"))
    house.add("emurl/agents/table/__init__.py", AGENT)
    house.add("match.py", ENVS)
    return house


def test_the_command_line_trains_it_and_it_learns(house):
    words = ("train", "table", "--env", "toys/Match-v0", "--import", "match", "--steps", "20480", "--seed", "1", "--json")
    told = json.loads(house.emurl(*words, "--set", "step_size=4.0", "--set", "norm_reward=false"))
    assert told["agent"] == "table" and told["steps"] == 20480
    assert sum(told["returns"][:200]) / 200 == pytest.approx(0.25, abs=0.1)  # chance
    assert sum(told["returns"][-200:]) / 200 > 0.8


def test_its_settings_are_checked_and_it_is_named_among_the_agents(house):
    words = ("--env", "toys/Match-v0", "--import", "match", "--steps", "64")
    assert "did you mean step_size?" in house.emurl("train", "table", *words, "--set", "step_sizes=1.0", code=2)
    assert "expected one of ppo, recurrent_ppo, table" in house.emurl("train", "chair", *words, code=2)
