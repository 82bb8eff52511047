"""The peers of `emurl bench cnn` on `emurl/GameBoyRam-v0`: Stable-Baselines3's PPO, and PPO in a single file.

A peer's workers import this module, so it imports nothing that they have no use for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import gymnasium

from emurl.bench.apart import Calls
from emurl.envs.gameboy import PAID_ENV_ID, register

if TYPE_CHECKING:
    from emurl.pipelines.baseline.cnn import CnnSettings


def installed() -> bool:
    """Whether Stable-Baselines3 can be asked: `pip install stable-baselines3`."""
    return importlib.util.find_spec("stable_baselines3") is not None


def arguments_of(settings: CnnSettings) -> dict[str, Any]:
    """What `emurl/GameBoyRam-v0` is made with to be the environment of the settings."""
    env = settings.env
    same = ("obs_height", "obs_width", "frame_stack", "frame_skip", "press_ticks", "max_steps", "reward")
    return {"rom": env.rom} | {name: getattr(env, name) for name in same}


def make(arguments: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """The environment, without Gymnasium's checks of every step."""
    register()  # nobody has in a fresh process
    return gymnasium.make(PAID_ENV_ID, disable_env_checker=True, **arguments)


def sb3(settings: CnnSettings) -> Calls:
    """Stable-Baselines3's PPO with its CnnPolicy and a process for each console; `train` plays one rollout and learns from it."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import SubprocVecEnv

    training = settings.training
    envs = SubprocVecEnv([partial(_monitored, Monitor, arguments_of(settings))] * training.num_envs)
    model = PPO(
        "CnnPolicy", envs, learning_rate=training.learning_rate, n_steps=training.num_steps, batch_size=training.minibatch_size,
        n_epochs=training.update_epochs, gamma=training.gamma, gae_lambda=training.gae_lambda, clip_range=training.clip_coef,
        clip_range_vf=training.clip_coef if training.clip_vloss else None, normalize_advantage=training.norm_adv,
        ent_coef=training.ent_coef, vf_coef=training.vf_coef, max_grad_norm=training.max_grad_norm, target_kl=None, device="cpu", seed=0,
    )  # fmt: skip

    def train() -> None:
        model.learn(training.batch_size, reset_num_timesteps=False)

    return {"train": train, "close": envs.close}


def _monitored(monitor: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    return monitor(make(arguments))


def single_file(settings: CnnSettings, apart: bool = False) -> Calls:
    """`SingleFilePPO`; `apart`: with a process for each console."""
    from emurl.bench.single_file_ppo import SingleFilePPO

    training = settings.training
    peer = SingleFilePPO(partial(make, arguments_of(settings)), training.num_envs, training.ppo(settings.seed, "cpu", 1), apart)
    return {"train": peer.update, "close": peer.close}
