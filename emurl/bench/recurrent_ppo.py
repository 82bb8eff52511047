"""The peer of `emurl bench policy`: sb3-contrib's RecurrentPPO on the same Game Boys."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import gymnasium

from emurl.agents.ppo.config import PPOConfig
from emurl.envs.gameboy.env import GameBoyEnv
from emurl.games.settings import EmulatorSettings, rom_path
from emurl.screen import ScreenSpec

HIDDEN = 256  # of its LSTM, as large as the demo's GRU


def installed() -> bool:
    """Whether the peer can be asked: `pip install sb3-contrib`."""
    return importlib.util.find_spec("sb3_contrib") is not None


def peer(
    settings: PPOConfig, emulator: EmulatorSettings, spec: ScreenSpec, num_envs: int
) -> tuple[Callable[[], object], Callable[[], None]]:
    """What plays one rollout and learns from it, and what ends it.

    Its own CNN and LSTM on the frames, in one process as `num_envs` threads of ours are; rollout, minibatch and epochs are those
    of `settings`, and no KL ends an update early.
    """
    from sb3_contrib import RecurrentPPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    def make() -> gymnasium.Env:  # type: ignore[type-arg]
        env = GameBoyEnv(rom_path(emulator), emulator.frame_skip, emulator.press_ticks, settings.num_steps, spec, facts=False)
        return gymnasium.wrappers.ReshapeObservation(env, (spec.channels, *env.screen.shape[:2]))

    envs = DummyVecEnv([make] * num_envs)
    model = RecurrentPPO(
        "CnnLstmPolicy", envs, n_steps=settings.num_steps, batch_size=settings.minibatch_size, n_epochs=settings.update_epochs,
        policy_kwargs={"normalize_images": False, "lstm_hidden_size": HIDDEN}, device="cpu", seed=0,
    )  # fmt: skip

    def update() -> None:
        model.learn(num_envs * settings.num_steps, reset_num_timesteps=False)

    return update, envs.close
