"""`emurl train`: any agent on any Gymnasium environment with discrete actions, without a store."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from emurl.core import registry
from emurl.core.config import settings_from
from emurl.core.errors import EmurlError, InputError
from emurl.core.refusals import meant, one_line
from emurl.core.tracking import Tracker
from emurl.training.on_policy import train as train_on_policy
from emurl.training.rollout import Episode
from emurl.training.sources import VectorSource
from emurl.training.supervised import reproducible


def train(
    name: str,
    env_id: str,
    *,
    steps: int,
    seed: int = 0,
    overrides: Sequence[str] = (),
    imports: Sequence[str] = (),
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Train the agent called `name` on the environment `env_id`.

    Args:
        steps: environment steps of all environments together; rounded down to whole rollouts, at least one.
        overrides: settings of the agent, as in `["num_envs=4"]`. imports: modules that register environments.

    Returns:
        agent, env, seed, steps (played), seconds, and `returns`, those of the episodes in the order in which they ended.

    Raises:
        InputError: an unknown agent, environment, module or setting, or actions that are not discrete.
    """
    row = registry.find("agents", name)
    for module in imports:
        _import(module, f"--import {module}")
    config = _config(row.config(), steps, seed, overrides)
    tracker = tracker or Tracker("train")
    envs = _make(env_id, config.num_envs)
    returns: list[float] = []

    def ended(episodes: list[Episode]) -> None:
        returns.extend(round(episode.paid, 6) for episode in episodes)

    began = time.monotonic()
    try:
        with reproducible(torch.device("cpu"), seed):
            rng = np.random.default_rng([seed, 0x7EA])
            agent = row.build(envs.single_observation_space, envs.single_action_space, config, rng)
            source = VectorSource(envs, agent, config.num_steps, rng, seed=seed)
            state = train_on_policy(agent, source, config, tracker=tracker, episodes=ended, name=name)
    finally:
        envs.close()
    return {
        "agent": name,
        "env": env_id,
        "seed": seed,
        "steps": state.update * config.num_envs * config.num_steps,
        "seconds": round(time.monotonic() - began, 3),
        "returns": returns,
    }


def _config(settings: type[Any], steps: int, seed: int, overrides: Sequence[str]) -> Any:
    # What a small environment on a CPU wants; --set says otherwise.
    values: dict[str, Any] = {
        "num_envs": 8, "num_steps": 64, "minibatch_size": 128, "update_epochs": 4, "learning_rate": 1e-3, "target_kl": 0.05,
        "alarm": "warn", "device": "cpu", "total_steps": steps, "seed": seed,
    }  # fmt: skip
    known = {key: value for key, value in values.items() if key in settings.model_fields}
    return settings_from(settings, known, overrides, "--set")


def _import(module: str, where: str) -> None:
    if not all(part.isidentifier() for part in module.split(".")):
        raise InputError(f"{where}: {module!r} is not the name of a module, expected one that registers environments")
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{where}: {error}, expected a module that registers environments") from None
    except (Exception, SystemExit) as error:  # whatever a module does that cannot be imported
        raise InputError(f"{where}: {registry.explain_import(error)}, expected a module that registers environments") from None


def _make(env_id: str, number: int) -> Any:
    module, colon, name = env_id.rpartition(":")
    if colon:  # Gymnasium's own way to say which module registers it
        _import(module, f"--env {env_id}")
    try:
        gymnasium.spec(name)
    except gymnasium.error.Error:
        hint = meant(name, gymnasium.registry, cutoff=0.4)
        hint = hint or "; expected the id of a registered environment (--import MODULE registers)"
        raise InputError(f"--env {env_id}: there is no such environment{hint}") from None
    try:
        envs = SyncVectorEnv([lambda: gymnasium.make(env_id) for _ in range(number)], autoreset_mode=AutoresetMode.SAME_STEP)
    except EmurlError:
        raise
    except Exception as error:  # whatever an environment does that lacks something
        raise InputError(f"--env {env_id}: it cannot be made ({type(error).__name__}: {one_line(error)})") from None
    if not isinstance(envs.single_action_space, gymnasium.spaces.Discrete):
        kind = type(envs.single_action_space).__name__
        envs.close()
        raise InputError(f"--env {env_id}: its actions are of kind {kind}, expected Discrete")
    if envs.single_action_space.start != 0:
        envs.close()
        raise InputError(f"--env {env_id}: its actions begin at {envs.single_action_space.start}, expected 0")
    return envs
