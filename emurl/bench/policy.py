"""`emurl bench policy`: a whole rollout (play, look, act, score) against stepping the same Game Boys and nothing else."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import torch

from emurl.agents.ppo.update import Experience, Knobs, make_optimizer, update
from emurl.bench.emulator import alternate
from emurl.core.config import Config
from emurl.core.store import Store
from emurl.models.policy import Policy
from emurl.models.reward import RewardModel
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun.players import consoles
from emurl.screen import ScreenSpec
from emurl.training.archive import StateArchive
from emurl.training.perception import Eyes
from emurl.training.rollout import Collector, Rollout
from emurl.training.supervised import resolve_device

REPEATS = 5
ROLLOUT = 32  # steps a repeat


def run(config: Config, store: Store | None = None) -> dict[str, Any]:
    """Steps per second of rollouts with networks of the settings' sizes, untrained: what they weigh decides, not what they know.

    `env`: the same consoles with random buttons, no network. `update_samples_per_second`: learning, a step seen once.
    """
    device = resolve_device(config.policy.device)
    eyes, policy = untrained(config, device)
    envs = consoles(config.emulator, ScreenSpec(), config.policy.envs)
    rng = np.random.default_rng(0)
    try:
        collector = Collector(
            envs, eyes, policy.context, episode_steps=config.policy.episode_steps, time_penalty=config.policy.time_penalty,
            archive=StateArchive(), archive_share=config.policy.archive_share, rng=rng,
        )  # fmt: skip
        rollout = collector.collect(policy, ROLLOUT)  # warm
        steps = config.policy.envs * ROLLOUT

        def step_alone() -> None:
            for _ in range(ROLLOUT):
                envs.step(rng.integers(0, 8, config.policy.envs))

        contenders = {"rollout": lambda: collector.collect(policy, ROLLOUT), "env": step_alone}
        speeds = alternate(contenders, steps, REPEATS, seconds=0.5)
        learning = _update_speed(policy, rollout, config, rng)
    finally:
        envs.close()
    return {
        "rollout_steps_per_second": speeds["rollout"],
        "env_steps_per_second": speeds["env"],
        "ratio_to_env": round(speeds["rollout"] / speeds["env"], 3),
        "update_samples_per_second": learning,
        "envs": config.policy.envs,
        "frame_skip": config.emulator.frame_skip,
        "device": str(device),
        "torch_threads": torch.get_num_threads(),
    }


def untrained(config: Config, device: torch.device) -> tuple[Eyes, Policy]:
    """Networks of the settings' sizes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokens, clone = config.tokenizer, config.behavior
        tokenizer = Tokenizer(
            dim=tokens.dim, depth=tokens.depth, vocab=tokens.vocab, code_dim=tokens.code_dim, codebook=tokens.codebook
        )
        reward = RewardModel(config.reward.arch)
        policy = Policy(tokens.vocab, clone.dim, clone.layers, clone.heads, clone.context)
    return Eyes(tokenizer.to(device).eval(), reward.to(device).eval(), device), policy.to(device).eval()


def _update_speed(policy: Policy, rollout: Rollout, config: Config, rng: np.random.Generator) -> float:
    """Samples a second of one pass of PPO over a rollout: the median of three."""
    contexts = rollout.contexts.reshape(-1, *rollout.contexts.shape[2:])
    flat = [array.ravel() for array in (rollout.actions, rollout.log_probs, rollout.values, rollout.rewards, rollout.values)]
    experience = Experience(contexts, *flat)
    knobs = Knobs(1, config.policy.minibatch, config.policy.clip, config.policy.entropy, 0.0, config.policy.learning_rate)
    optimizer = make_optimizer(policy, config.policy.learning_rate)
    speeds = []
    for _ in range(3):
        began = time.perf_counter()
        update(policy, optimizer, experience, knobs, rng)
        speeds.append(len(contexts) / (time.perf_counter() - began))
    return round(statistics.median(speeds), 1)
