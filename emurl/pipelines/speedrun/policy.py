"""`policy`: PPO from the cloned policy on, paid by the reward model's progress.

policy/            the network (safetensors + config.json)
play.json          how it is to be played
history.json       one row an update
trials.json        the fixed trials the weights were chosen by
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emurl.agents.ppo.agent import PPOAgent
from emurl.agents.ppo.config import PPOConfig
from emurl.agents.ppo.token_networks import token_network
from emurl.core.errors import InputError
from emurl.core.settings import Natural, NonNegative, Positive, Share
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.games.settings import EmulatorSettings
from emurl.pipelines.speedrun.players import (
    TokenPolicy,
    agent_of,
    consoles,
    emulator_of,
    familiarity,
    load_perception,
    load_policy,
    memory_of,
    write_play,
)
from emurl.rewards.progress import ProgressReward
from emurl.training.archive import StateArchive
from emurl.training.console_source import ConsoleSource
from emurl.training.evaluate import Player, play
from emurl.training.on_policy import Selection, State, train
from emurl.training.supervised import resolve_device

METRICS: dict[str, str] = {
    "return_mean": "↑ mean return of the kept weights on fresh seeds: over an episode's steps, the best progress so far less that at "
    "power-on; beside `return_mean_clone`",
    "return_mean_clone": "the same of the clone, on the same seeds",
    "return_std": "standard deviation of it over the episodes",
    "return_std_clone": "the same of the clone",
    "selection_return": "return of the kept weights in the trials they were chosen by: the best of several, so never below the clone's",
    "selection_return_clone": "return of the clone in those trials",
    "selection_return_last": "return of the last weights in those trials",
    "best_update": "the update after which the weights that were kept were tried; 0: the clone",
    "updates": "updates made",
    "env_steps": "environment steps of all consoles together",
    "entropy": "entropy of the actions, in nats; as the following, a mean over the last quarter of the updates",
    "entropy_ratio": "the same as a share of the largest there is; 1: every action is as likely as any other",
    "approx_kl": "estimate of KL(old ‖ new policy) of an update, in nats",
    "clipfrac": "share of samples whose probability ratio was clipped",
    "explained_variance": "↑ share of the variance of the returns that the value head explains; 0: as good as their mean",
    "reward_mean": "mean reward of a step",
    "steps_per_second": "environment steps a second, learning included",
    "wall_seconds": "seconds of collecting and learning, without the trials",
}

FRESH = 0xF4E5  # seeds of the episodes that are reported, apart from those of the trials


class PolicySettings(PPOConfig):
    """`policy`: PPO over VQ tokens; its network is the cloned one's."""

    emulator: EmulatorSettings = EmulatorSettings()
    memory: Literal["recurrent", "frames", "none"] | None = None  # what the cloned policy has to have; left unsaid, what it has
    kl_coef: NonNegative = 0.2  # weight of KL(policy ‖ clone)
    value_warmup: Share = 0.08  # share of the updates that teach the value head alone: the clone has no value
    time_penalty: NonNegative = 0.001  # cost of a step, in the reward model's unit
    episode_steps: Positive = 2_000  # actions an episode is long at most
    archive_share: Share = 0.5  # episodes that start from the archive instead of power-on
    archive_capacity: Positive = 256  # states kept
    archive_save_every: Positive = 64  # steps that earn a save
    ood: bool = False  # shrink gains in places that the OOD detector finds unfamiliar
    trials: Positive = 7  # moments at which the weights are tried; those that did best are kept
    trial_seed: Natural = 0x7121A1  # of the actions sampled in trials
    evaluation_episodes: Positive = 16  # on fresh seeds, for `return_mean` of the policy and of the clone

    def settled(self, inputs: Mapping[str, Artifact]) -> PolicySettings:
        """With the cadence of the clone."""
        return self.model_copy(update={"emulator": emulator_of(inputs["behavior"], self.emulator)})


def run(settings: PolicySettings, inputs: Mapping[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Train the policy; headline `return_mean`: what the chosen weights get on fresh seeds, beside the clone's."""
    device = resolve_device(settings.device)
    perception, spec = load_perception(inputs, device)
    settings = settings.settled(inputs)
    emulator = settings.emulator
    clone = load_policy(inputs["behavior"], perception, device)
    if settings.memory not in (None, memory_of(clone)):
        raise InputError(
            f"policy.memory: {settings.memory}, expected {memory_of(clone)}, as the policy of {inputs['behavior'].ref} has; "
            "behavior.memory decides it"
        )
    policy = copy.deepcopy(clone)
    rng = np.random.default_rng([settings.seed, 0x990])
    reward = ProgressReward(perception.progress, settings.time_penalty, familiarity(inputs, device) if settings.ood else None)
    envs = consoles(emulator, spec, settings.num_envs)
    trial_envs = consoles(emulator, spec, settings.num_envs)
    fresh_envs = consoles(emulator, spec, settings.evaluation_episodes)
    try:
        agent = PPOAgent(token_network(policy), settings, rng, reference=token_network(clone))
        source = ConsoleSource(
            envs, agent, settings.num_steps, rng, reward, perception, episode_steps=settings.episode_steps,
            archive=StateArchive(settings.archive_capacity, settings.archive_save_every), archive_share=settings.archive_share,
        )  # fmt: skip

        def returns(candidate: TokenPolicy, where: Any, seed: int) -> list[float]:
            perception.forget()
            records = play(where, perception, Player("", agent_of(candidate)), max_steps=settings.episode_steps, seed=seed)
            return [episode_return(record.progress) for record in records]

        state = train(
            agent, source, settings, tracker=tracker, scratch=output.scratch, saved=output.scratch_saved,
            signature=settings.fingerprint_values() | {name: artifact.digest for name, artifact in sorted(inputs.items())},
            selection=Selection(
                lambda candidate: float(np.mean(returns(candidate.network.module, trial_envs, settings.trial_seed))),  # type: ignore[arg-type]
                settings.trials, perception.forget,
            ),
        )  # fmt: skip
        fresh = {name: returns(one, fresh_envs, settings.seed + FRESH) for name, one in (("", policy), ("_clone", clone))}
    finally:
        for consoles_ in (envs, trial_envs, fresh_envs):
            consoles_.close()
    policy.save_pretrained(output.path("policy"))
    write_play(output, emulator, spec)
    _write(output.path("history.json"), state.history)
    _write(output.path("trials.json"), [{"update": at, "return": value} for at, value in state.trials])
    output.metrics |= _metrics(state, settings, fresh)
    for alarm in state.alarms:
        output.note(f"alarm: {alarm}")
    if output.metrics["return_mean"] < output.metrics["return_mean_clone"]:
        output.note(
            f"on fresh seeds the policy gets {output.metrics['return_mean']:.4g}, less than the clone's "
            f"{output.metrics['return_mean_clone']:.4g}: PPO made it worse, whatever the trials said"
        )
    if state.best_update == 0:
        output.note("no trial of the trained policy did better than the clone: the clone's weights were kept")


def episode_return(progress: Sequence[float]) -> float:
    """How soon and how far an episode got: the mean over its steps of the best Φ so far, less Φ at power-on.

    What was reached stays reached: a game that starts over when its end screen is left must not cost the weights that got there.
    """
    return float(np.maximum.accumulate(progress).mean() - progress[0])


def _metrics(state: State, settings: PolicySettings, fresh: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The headline first; entropy and the rest are means over the last quarter of the updates."""
    late = state.history[-max(1, len(state.history) // 4) :]
    steps = state.update * settings.num_envs * settings.num_steps

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in late if name in row]))

    return {
        **{f"return_mean{who}": float(np.mean(values)) for who, values in fresh.items()},
        **{f"return_std{who}": float(np.std(values)) for who, values in fresh.items()},
        "selection_return": state.best,
        "selection_return_clone": state.trials[0][1],
        "selection_return_last": state.trials[-1][1],
        "best_update": state.best_update,
        "updates": state.update,
        "env_steps": steps,
        **{
            name: mean(name)
            for name in ("entropy", "entropy_ratio", "approx_kl", "clipfrac", "explained_variance", "reward_mean")
        },
        "steps_per_second": steps / max(state.seconds, 1e-9),
        "wall_seconds": state.seconds,
    }


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
