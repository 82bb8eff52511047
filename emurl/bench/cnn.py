"""`emurl bench cnn`: the baseline's training, playing and learning, against Stable-Baselines3's PPO and against PPO in a single file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch

from emurl.agents.ppo.agent import PPOAgent
from emurl.bench import cnn_peers
from emurl.bench.apart import Apart, Calls
from emurl.bench.emulator import alternate
from emurl.core.config import Config
from emurl.core.errors import InputError
from emurl.core.store import Store
from emurl.envs.gameboy.vector import cores
from emurl.pipelines.baseline.cnn import CnnSettings, consoles, new_policy
from emurl.screen import ScreenSpec
from emurl.training.on_policy import learn
from emurl.training.returns import ReturnNormalizer
from emurl.training.sources import VectorSource
from emurl.training.supervised import seeded

REPEATS = 5  # of one update at least each
WARM = 2  # updates before, in which memory is looked at
IMPORTS = {
    "sb3": ("stable_baselines3",),
    "single_file": ("emurl.bench.single_file_ppo",),
    "single_file_async": ("emurl.bench.single_file_ppo",),
}


def run(config: Config, store: Store | None = None) -> dict[str, Any]:
    """Training steps per second, medians of alternating updates, and the memory of each contender in processes of its own.

    All play as many consoles of the same game, see the same stacks, and learn from rollouts of one length in minibatches of one size as many
    times, on the CPU; no KL ends an update early. `sb3`: Stable-Baselines3's CnnPolicy, a process for each console. `single_file`:
    `SingleFilePPO` as its script has it, one console after the other; `single_file_async`: with a process for each. `env`: our consoles
    with random buttons, and nobody who looks. Memory is told in MiB: `resident` says how it is counted; `growth` is what came on top of
    the imports of the first process.

    Raises:
        InputError: the settings have a memory, which the peers have not.
    """
    settings: CnnSettings = config.cnn
    if settings.training.memory != "none":
        raise InputError(f"training.memory is {settings.training.memory}, expected none: the peers of bench cnn have no memory")
    settings = settings.model_copy(update={"device": "cpu", "training": settings.training.model_copy(update={"target_kl": None})})
    makers: dict[str, Callable[..., Calls]] = {"sb3": cnn_peers.sb3} if cnn_peers.installed() else {}
    # The tree of processes comes first: pages that later ones share with it would be told as less of its own.
    makers |= {
        "single_file": cnn_peers.single_file, "single_file_async": partial(cnn_peers.single_file, apart=True), "ours": ours,
    }  # fmt: skip
    with ExitStack() as stack:
        apart: dict[str, Apart] = {}
        for name, make in makers.items():
            apart[name] = one = Apart(make, settings, imports=IMPORTS.get(name, ()))
            stack.callback(one.close)
            with one.watched():
                for _ in range(WARM):
                    one("train")
        contenders: dict[str, Callable[[], object]] = {name: partial(one, "train") for name, one in apart.items()}
        contenders["env"] = partial(apart["ours"], "step")
        speeds = alternate(contenders, settings.training.batch_size, REPEATS, seconds=0.5)
    memory = {name: one.peak for name, one in apart.items()}
    growth = {name: None if one.peak is None or one.imported is None else one.peak - one.imported for name, one in apart.items()}
    names = ("sb3", "single_file", "single_file_async")
    figures: dict[str, Any] = {"steps_per_second": speeds["ours"], "env_steps_per_second": speeds["env"]}
    figures |= {f"{name}_steps_per_second": speeds.get(name) for name in names}
    figures |= {f"ratio_to_{name}": _ratio(speeds["ours"], speeds.get(name), 2) for name in names}
    figures["ratio_to_env"] = round(speeds["ours"] / speeds["env"], 3)
    figures |= {"memory_mib": _rounded(memory["ours"]), "sb3_memory_mib": _rounded(memory.get("sb3"))}
    figures["memory_ratio"] = _ratio(memory["ours"], memory.get("sb3"), 3)
    figures |= {"memory_growth_mib": _rounded(growth["ours"]), "sb3_memory_growth_mib": _rounded(growth.get("sb3"))}
    figures["memory_growth_ratio"] = _ratio(growth["ours"], growth.get("sb3"), 3)
    training = settings.training
    return figures | {
        "num_envs": training.num_envs, "num_steps": training.num_steps, "minibatch_size": training.minibatch_size,
        "update_epochs": training.update_epochs, "torch_threads": torch.get_num_threads(), "cores": cores(),
    }  # fmt: skip


def ours(settings: CnnSettings) -> Calls:
    """The training of the stage `cnn`: `train` plays one rollout and learns from it, `step` plays one with random buttons and no network."""
    training, spec = settings.training, ScreenSpec()
    config, rng = training.ppo(settings.seed, settings.device, 1), np.random.default_rng(settings.seed)
    agent = PPOAgent(seeded(settings.seed, lambda: new_policy(settings, spec)), config, rng)
    envs = consoles(settings, training.num_envs, spec)
    source, normalizer = VectorSource(envs, agent, training.num_steps, rng), ReturnNormalizer(training.num_envs, training.gamma)

    def step() -> None:
        for _ in range(training.num_steps):
            envs.step(rng.integers(0, agent.actions, training.num_envs))

    return {"train": lambda: learn(agent, source.collect(), normalizer, config, 0.0), "step": step, "close": envs.close}


def _ratio(ours: float | None, theirs: float | None, digits: int) -> float | None:
    return None if ours is None or not theirs else round(ours / theirs, digits)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
