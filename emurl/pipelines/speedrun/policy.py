"""`policy`: PPO from the cloned policy on, paid by the reward model's progress.

policy/            the network (safetensors + config.json)
history.json       one row an update
trials.json        the fixed trials the weights were chosen by
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from emurl.core.settings import Device, Natural, Positive, Rate, Settings, Share
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.games.settings import EmulatorSettings
from emurl.models.policy import Policy
from emurl.pipelines.speedrun.players import consoles, familiarity, load_eyes, load_policy
from emurl.training.archive import StateArchive
from emurl.training.evaluate import Player, play
from emurl.training.on_policy import State, train
from emurl.training.rollout import Collector
from emurl.training.supervised import resolve_device

CODE_VERSION = 1
TRIALS = 7  # of the weights: before, and after every sixth of the run
TRIAL_SEED = 0x7121A1


class PolicySettings(Settings):
    """`policy`: PPO over VQ tokens; its network is the cloned one's."""

    seed: Natural = 0
    device: Device = "auto"
    emulator: EmulatorSettings = EmulatorSettings()
    total_steps: Positive = 2_000_000
    envs: Positive = 16
    rollout: Positive = 128
    epochs: Positive = 3
    minibatch: Positive = 512
    learning_rate: Rate = 2.5e-4
    gamma: Share = 0.99
    gae_lambda: Share = 0.95
    clip: Rate = 0.2
    entropy: Annotated[float, Field(ge=0)] = 0.01
    leash: Annotated[float, Field(ge=0)] = 0.2  # weight of KL(policy ‖ clone), annealed
    time_penalty: Annotated[float, Field(ge=0)] = 0.001
    episode_steps: Positive = 2_000
    archive_share: Share = 0.5  # episodes that start from the archive instead of power-on
    ood: bool = False
    alarm: Literal["stop", "warn"] = "stop"


def run(settings: PolicySettings, inputs: Mapping[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Train the policy; headline `return_mean`: its `trial_return` from power-on, beside the clone's as `return_start`."""
    device = resolve_device(settings.device)
    eyes, spec = load_eyes(inputs, device)
    clone = load_policy(inputs["behavior"], eyes, device)
    policy = copy.deepcopy(clone)
    rng = np.random.default_rng([settings.seed, 0x990])
    envs = consoles(settings.emulator, spec, settings.envs)
    trial_envs = consoles(settings.emulator, spec, settings.envs)
    try:
        collector = Collector(
            envs, eyes, clone.context, episode_steps=settings.episode_steps, time_penalty=settings.time_penalty,
            archive=StateArchive(), archive_share=settings.archive_share, rng=rng,
            gain_multiplier=familiarity(inputs, device) if settings.ood else None,
        )  # fmt: skip

        def trial(candidate: Policy) -> float:
            player = Player("candidate", candidate, clone.context)
            records = play(trial_envs, eyes, player, max_steps=settings.episode_steps, seed=TRIAL_SEED)
            return float(np.mean([trial_return(record.progress) for record in records]))

        state = train(
            policy, clone, collector, settings, trial=trial, trials=TRIALS, scratch=output.scratch, tracker=tracker,
            signature=settings.fingerprint_values() | {name: artifact.digest for name, artifact in sorted(inputs.items())},
        )  # fmt: skip
    finally:
        envs.close()
        trial_envs.close()
    policy.save_pretrained(output.path("policy"))
    _write(output.path("history.json"), state.history)
    _write(output.path("trials.json"), [{"update": at, "return": value} for at, value in state.trials])
    output.metrics |= _metrics(state, settings)
    for alarm in state.alarms:
        output.note(f"alarm: {alarm}")
    if state.best_update == 0:
        output.note("no trial of the trained policy did better than the clone: the clone's weights were kept")


def trial_return(progress: Sequence[float]) -> float:
    """How soon and how far an episode got: the mean over its steps of the best Φ so far, less Φ at power-on.

    What was reached stays reached: a game that starts over when its end screen is left must not cost the weights that got there.
    """
    return float(np.maximum.accumulate(progress).mean() - progress[0])


def _metrics(state: State, settings: PolicySettings) -> dict[str, Any]:
    """The headline first; entropy and the rest are means over the last quarter of the updates."""
    late = state.history[-max(1, len(state.history) // 4) :]
    steps = state.update * settings.envs * settings.rollout

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in late if name in row]))

    return {
        "return_mean": state.best,
        "return_start": state.trials[0][1],
        "return_end": state.trials[-1][1],
        "best_update": state.best_update,
        "updates": state.update,
        **{name: mean(name) for name in ("entropy", "approx_kl", "clipfrac", "explained_variance", "reward_mean")},
        "steps_per_second": steps / max(state.seconds, 1e-9),
    }


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
