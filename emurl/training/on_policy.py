"""The PPO run: rollout, update, look, alarm, checkpoint; a killed run goes on from its checkpoint to the same weights."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emurl.agents.ppo.update import Experience, Knobs, make_optimizer, update
from emurl.core.errors import WorkError
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.models.policy import Policy
from emurl.pipelines.speedrun.policy import PolicySettings
from emurl.training.checkpoint import read_checkpoint, write_checkpoint
from emurl.training.perception import Mind
from emurl.training.returns import ReturnNormalizer, advantages_of, explained_variance
from emurl.training.rollout import Collector, Rollout

CHECKPOINT_EVERY = 4  # updates
WARM_UP = 0.2  # share of the updates before the alarms are listened to
VALUES_ONLY = 0.08  # share of the updates that teach the value head alone: a policy must not follow a value that knows nothing
LEASH_END = 0.5  # of the leash is left at the end: let go wholly, the policy fell back behind the clone in its last quarter
PATIENCE = 3  # updates in a row before "explains nothing" is an alarm
FILE = "ppo.safetensors"

Trial = Callable[[Policy], float]
"""Plays a policy in a fixed way and says how well it did, in units of Φ."""


@dataclass
class State:
    """Everything of a run that is no tensor. `trials` are (update, mean return) pairs; `alarms` what was raised."""

    update: int = 0
    seconds: float = 0.0
    blind: int = 0
    best: float = -math.inf
    best_update: int = 0
    trials: list[list[float]] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    normalizer: dict[str, Any] = field(default_factory=dict)
    rng: dict[str, Any] = field(default_factory=dict)


def train(
    policy: Policy,
    clone: Policy,
    collector: Collector,
    settings: PolicySettings,
    *,
    trial: Trial,
    trials: int,
    scratch: Path,
    tracker: Tracker,
    signature: dict[str, Any],
) -> State:
    """Train `policy` in place; afterwards it holds the weights that did best in `trials` fixed trials (the first is before).

    Args:
        clone: the cloned policy it is leashed to; never changed. collector: its generator is the run's only dice.
        scratch: where the checkpoint lies that a killed run goes on from. signature: which run it is; a checkpoint of
            another is not read.

    Raises:
        WorkError: an alarm with `settings.alarm == "stop"`, or numbers that are none.
    """
    updates = max(1, settings.total_steps // (settings.envs * settings.rollout))
    trial_at = sorted({round(updates * k / (trials - 1)) for k in range(trials)}) if trials > 1 else [updates]
    optimizer = make_optimizer(policy, settings.learning_rate)
    normalizer = ReturnNormalizer(settings.envs, settings.gamma)
    best = copy.deepcopy(policy.state_dict())
    state = State()
    file = scratch / FILE
    places: dict[str, torch.Tensor] = {}
    kept: dict[str, torch.Tensor] = {}
    parts: dict[str, Any] = {"policy": policy, "optimizer": optimizer, "best": best, "places": places, "archive": kept}
    saved = read_checkpoint(file, parts, signature)
    if saved is not None:
        state = State(**saved)
        collector.restore(places)
        collector.archive.restore(kept)
        collector.rng.bit_generator.state = state.rng
        normalizer.restore(state.normalizer)
        tracker.message(f"PPO goes on from update {state.update} of {updates}")

    def hold_trial() -> None:
        collector.eyes.forget()  # a trial must not depend on what was seen before it, nor what comes after on the trial
        result = trial(policy)
        collector.eyes.forget()
        state.trials.append([state.update, result])
        tracker.log({"trial_return": result}, state.update)
        if result > state.best:
            state.best, state.best_update = result, state.update
            best.update({name: value.clone() for name, value in policy.state_dict().items()})

    with tracker.progress(updates, "train policy", "updates") as bar:
        bar.start_at(state.update)
        began = time.monotonic()
        if not state.trials and trial_at[0] == 0:
            hold_trial()
        while state.update < updates:
            rollout = collector.collect(policy, settings.rollout)
            done = state.update / updates
            seen = _learn(policy, clone, optimizer, normalizer, rollout, settings, done, collector.rng)
            state.update += 1
            if not all(math.isfinite(value) for value in seen.values()):
                raise WorkError(f"policy: update {state.update} gave {seen}, expected finite numbers; lower learning_rate")
            now = time.monotonic()
            rate = rollout.actions.size / max(now - began, 1e-9)
            state.seconds, began = state.seconds + now - began, now
            state.history.append({"step": state.update * rollout.actions.size, **_rounded(seen)})
            tracker.log(seen | {"steps_per_second": rate, "archive": float(len(collector.archive))}, state.update)
            shown = {name: seen[name] for name in ("reward_mean", "entropy", "approx_kl", "explained_variance")}
            bar.update(1, **{name: float(f"{value:.3g}") for name, value in shown.items()})
            _listen(state, seen, updates, settings, tracker)
            if state.update in trial_at:
                hold_trial()
                began = time.monotonic()
            if state.update % CHECKPOINT_EVERY == 0 or state.update == updates:
                places.clear()
                places.update(collector.tensors())
                kept.clear()
                kept.update(collector.archive.tensors())
                state.normalizer = normalizer.state()
                state.rng = json.loads(json.dumps(collector.rng.bit_generator.state))
                write_checkpoint(file, parts, asdict(state), signature)
    policy.load_state_dict(best)
    policy.eval()
    return state


def _learn(
    policy: Policy, clone: Policy, optimizer: torch.optim.Optimizer, normalizer: ReturnNormalizer, rollout: Rollout,
    settings: PolicySettings, done: float, rng: np.random.Generator,
) -> dict[str, float]:  # fmt: skip
    """One update from one rollout, when share `done` of the run is over; every number worth logging."""
    rewards = normalizer(rollout.rewards, rollout.ended)
    advantages = advantages_of(rewards, rollout.values, rollout.next_values, rollout.ended, settings.gamma, settings.gae_lambda)
    returns = advantages + rollout.values
    contexts = rollout.contexts.reshape(-1, *rollout.contexts.shape[2:])
    experience = Experience(
        contexts,
        rollout.actions.ravel(),
        rollout.log_probs.ravel(),
        rollout.values.ravel(),
        advantages.ravel(),
        returns.ravel(),
        Mind(clone).odds(contexts)[0] if settings.leash > 0 else None,
    )
    knobs = Knobs(
        settings.epochs, settings.minibatch, settings.clip, settings.entropy, settings.leash * (1.0 - (1.0 - LEASH_END) * done),
        settings.learning_rate * (1.0 - 0.9 * done), values_only=done < VALUES_ONLY,
    )  # fmt: skip
    seen = update(policy, optimizer, experience, knobs, rng)
    seen |= {
        "explained_variance": explained_variance(rollout.values, returns),
        "reward_mean": float(rollout.rewards.mean()),
        "reward_std": float(rollout.rewards.std()),
        "return_scale": normalizer.scale,
        "progress_mean": float(rollout.progress.mean()),
    }
    if rollout.episodes:
        seen["episode_return"] = float(np.mean([episode.paid for episode in rollout.episodes]))
    return seen


def _listen(state: State, seen: dict[str, float], updates: int, settings: PolicySettings, tracker: Tracker) -> None:
    """The three ways PPO is known to fail without a word, said aloud: once each, or at the price of the run."""
    if state.update <= WARM_UP * updates:
        return
    state.blind = state.blind + 1 if seen["explained_variance"] < 0.05 else 0
    raised = {}
    limit = 0.98 * math.log(len(BUTTONS))
    if seen["entropy"] > limit:
        raised["entropy"] = f"entropy {seen['entropy']:.3f} is above {limit:.3f}: the policy presses at random"
    if state.blind >= PATIENCE:
        raised["explained_variance"] = (
            f"explained variance {seen['explained_variance']:.3f} is below 0.05: the value predicts nothing"
        )
    if seen["reward_std"] < 1e-8:
        raised["reward"] = "the reward does not vary: nothing can be learned from it"
    for name, line in raised.items():
        if settings.alarm == "stop":
            raise WorkError(f"policy: update {state.update} of {updates}: {line} (policy.alarm=warn goes on)")
        if not any(alarm.startswith(f"{name}:") for alarm in state.alarms):
            state.alarms.append(f"{name}: update {state.update}: {line}")
            tracker.message(f"warning: update {state.update}: {line}")


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in values.items()}
