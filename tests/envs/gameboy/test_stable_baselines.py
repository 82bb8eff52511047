"""Stable-Baselines3 loads `emurl/GameBoyRam-v0` and trains on it as it is."""

import gymnasium
import numpy as np
import pytest

import emurl.envs.gameboy  # noqa: F401  (registers it)
from emurl.games import mossdale

stable_baselines3 = pytest.importorskip("stable_baselines3")


@pytest.fixture
def env():
    env = gymnasium.make("emurl/GameBoyRam-v0", rom=mossdale.rom_path(), max_steps=12)
    yield env
    env.close()


def test_its_checker_finds_nothing(env, recwarn):
    from stable_baselines3.common.env_checker import check_env

    check_env(env, skip_render_check=True)
    assert [str(one.message) for one in recwarn if "observation" in str(one.message).lower()] == []


def test_ppo_trains_on_it_and_plays(env):
    model = stable_baselines3.PPO("CnnPolicy", env, n_steps=16, batch_size=8, n_epochs=1, device="cpu", seed=0)
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(32)
    assert model.num_timesteps == 32 and model.ep_info_buffer[0]["l"] == 12  # it met `max_steps`
    assert any(not np.array_equal(old, new.detach()) for old, new in zip(before, model.policy.parameters(), strict=True))
    observation, _ = env.reset(seed=0)
    action, _ = model.predict(observation)
    observation, reward, _, _, info = env.step(action)
    assert observation.shape == (4, 84, 84) and observation.dtype == np.uint8 and np.isfinite(reward) and "reward_terms" in info
