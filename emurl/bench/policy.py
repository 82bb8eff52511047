"""`emurl bench policy`: a whole rollout (play, look, act, score) against stepping the same Game Boys and nothing else, and PPO with all
it does against the same stepping and against sb3-contrib's RecurrentPPO."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from emurl.agents.ppo.agent import PPOAgent
from emurl.agents.ppo.buffer import RolloutBuffer
from emurl.agents.ppo.token_networks import token_network
from emurl.bench import recurrent_ppo
from emurl.bench.emulator import alternate
from emurl.bench.synthetic import in_screen, synthetic_screens
from emurl.core.config import Config
from emurl.core.store import Store
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.pipelines.shared.playing import consoles
from emurl.pipelines.speedrun.behavior import new_policy
from emurl.pipelines.speedrun.players import TokenPolicy
from emurl.pipelines.speedrun.policy import PolicySettings
from emurl.pipelines.speedrun.reward import new_reward_model
from emurl.pipelines.speedrun.tokenizer import new_tokenizer
from emurl.rewards.progress import ProgressReward
from emurl.screen import ScreenSpec
from emurl.training.archive import StateArchive
from emurl.training.console_source import ConsoleSource
from emurl.training.on_policy import learn
from emurl.training.perception import Perception
from emurl.training.returns import ReturnNormalizer
from emurl.training.rollout import Rollout
from emurl.training.supervised import resolve_device, seeded

REPEATS = 5
ROLLOUT = 32  # steps a repeat
ENVS = 8  # of PPO and its peer


def run(config: Config, store: Store | None = None) -> dict[str, Any]:
    """Steps per second of rollouts with the networks of the settings, untrained: what they weigh decides, not what they know.

    `env`: the same consoles with random buttons, no network. `update_samples_per_second`: learning, a step seen once. `ppo`: rollouts
    and updates of 8 consoles as the settings say, beside the same consoles and, where it is installed, its peer (`sb3`).
    """
    settings = config.policy
    device = resolve_device(settings.device)
    spec = ScreenSpec(channels=config.screen.channels, shades=config.screen.shades)
    perception, policy = untrained(config, spec, device)
    envs = consoles(settings.emulator, spec, settings.num_envs)
    rng = np.random.default_rng(0)
    agent = PPOAgent(token_network(policy), settings.model_copy(update={"update_epochs": 1, "kl_coef": 0.0}), rng)
    try:
        source = _source(settings, envs, agent, ROLLOUT, rng, perception)
        rollout = source.collect()  # warm
        steps = settings.num_envs * ROLLOUT

        speeds = alternate(
            {"rollout": source.collect, "env": _stepping(envs, agent.actions, ROLLOUT, rng)}, steps, REPEATS, seconds=0.5
        )
        learning = _update_speed(agent, rollout)
    finally:
        envs.close()
    return _whole(config, perception, policy, spec) | {
        "rollout_steps_per_second": speeds["rollout"],
        "env_steps_per_second": speeds["env"],
        "ratio_to_env": round(speeds["rollout"] / speeds["env"], 3),
        "update_samples_per_second": learning,
        "num_envs": settings.num_envs,
        "frame_skip": settings.emulator.frame_skip,
        "device": str(device),
        "torch_threads": torch.get_num_threads(),
    }


def _source(
    settings: PolicySettings,
    envs: ThreadedVectorEnv,
    agent: PPOAgent,
    steps: int,
    rng: np.random.Generator,
    perception: Perception,
) -> ConsoleSource:
    """Rollouts of `steps`, as the policy stage has them."""
    return ConsoleSource(
        envs, agent, steps, rng, ProgressReward(perception.progress, settings.time_penalty), perception,
        episode_steps=settings.episode_steps, archive=StateArchive(settings.archive_capacity, settings.archive_save_every),
        archive_share=settings.archive_share,
    )  # fmt: skip


def _stepping(envs: ThreadedVectorEnv, actions: int, steps: int, rng: np.random.Generator) -> Callable[[], None]:
    """Random buttons for `steps`, and nobody who looks."""

    def step_alone() -> None:
        for _ in range(steps):
            envs.step(rng.integers(0, actions, envs.num_envs))

    return step_alone


def _whole(config: Config, perception: Perception, policy: TokenPolicy, spec: ScreenSpec) -> dict[str, Any]:
    """PPO end to end: steps a second of playing and learning, beside stepping alone and beside its peer."""
    settings = config.policy.model_copy(update={"num_envs": ENVS, "kl_coef": 0.0, "target_kl": 1e9})
    envs, rng = consoles(settings.emulator, spec, ENVS), np.random.default_rng(0)
    agent = PPOAgent(token_network(policy), settings, rng)
    source = _source(settings, envs, agent, settings.num_steps, rng, perception)
    normalizer = ReturnNormalizer(ENVS, settings.gamma)

    contenders: dict[str, Callable[[], object]] = {
        "ppo": lambda: learn(agent, source.collect(), normalizer, settings, 0.0),
        "stepping": _stepping(envs, agent.actions, settings.num_steps, rng),
    }
    end: Callable[[], None] = lambda: None  # noqa: E731
    if recurrent_ppo.installed():
        contenders["sb3"], end = recurrent_ppo.peer(settings, settings.emulator, spec, ENVS)
    try:
        for call in contenders.values():
            call()  # warm
        speeds = alternate(contenders, ENVS * settings.num_steps, 3, seconds=0.5)
    finally:
        envs.close()
        end()
    figures: dict[str, Any] = {
        "ppo_steps_per_second": speeds["ppo"],
        "ppo_ratio_to_env": round(speeds["ppo"] / speeds["stepping"], 3),
        "sb3_steps_per_second": speeds.get("sb3"),
        "ppo_ratio_to_sb3": round(speeds["ppo"] / speeds["sb3"], 2) if "sb3" in speeds else None,
        "ppo_num_envs": ENVS,
        "num_steps": settings.num_steps,
        "update_epochs": settings.update_epochs,
    }
    return figures


def untrained(config: Config, spec: ScreenSpec, device: torch.device) -> tuple[Perception, TokenPolicy]:
    """The very networks that the settings describe."""
    frames = in_screen(np.stack(list(synthetic_screens(256, per_second=2.0))), spec)
    tokenizer = seeded(0, lambda: new_tokenizer(config.tokenizer, spec, lambda: frames))
    reward = seeded(0, lambda: new_reward_model(config.reward, spec))
    policy: TokenPolicy = seeded(0, lambda: new_policy(config.behavior, config.tokenizer.vocab))
    return Perception(tokenizer.to(device).eval(), reward.to(device).eval(), device), policy.to(device).eval()


def _update_speed(agent: PPOAgent, rollout: Rollout) -> float:
    """Samples a second of one pass of PPO over a rollout: the median of three."""
    batch = RolloutBuffer(
        rollout.observations, rollout.carry, rollout.episode_starts, rollout.actions, rollout.log_probs, rollout.values,
        rollout.rewards, rollout.values,
    )  # fmt: skip
    speeds = []
    for _ in range(3):
        began = time.perf_counter()
        agent.learn(batch)
        speeds.append(rollout.actions.size / (time.perf_counter() - began))
    return round(statistics.median(speeds), 1)
