"""On-policy training: collect, learn, look, raise an alarm, keep a checkpoint; a killed run goes on to the same weights.

Who is asked to end (Ctrl-C, SIGTERM) writes a checkpoint after the update that is on, so nothing of it is lost. That is at another update
than a killed run's checkpoints, and consoles go on from saved states: the weights then differ a little from those of a run nobody ended.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emurl.agents.base import Agent, OnPolicySettings
from emurl.agents.ppo.buffer import RolloutBuffer
from emurl.core import interrupt
from emurl.core.errors import WorkError
from emurl.core.tracking import Tracker
from emurl.training.checkpoint import dice, read_checkpoint, write_checkpoint
from emurl.training.returns import ReturnNormalizer, advantages_of, best_pieces, explained_variance
from emurl.training.rollout import Episode, Rollout

FILE = "ppo.safetensors"

Trial = Callable[[Any], float]
"""Plays the agent in a fixed way and says how well it did."""


@dataclass
class State:
    """Everything of a run that is no tensor. `trials` are (update, return) pairs; `alarms` what was raised."""

    update: int = 0
    seconds: float = 0.0
    blind: int = 0
    due: bool = False  # the trial after this update was broken off, and is to be held when the run goes on
    best: float = -math.inf
    best_update: int = 0
    trials: list[list[float]] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    normalizer: dict[str, Any] = field(default_factory=dict)
    rng: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """How the weights to keep are chosen: `trial` at `count` moments evenly spread, the first before any update; or each `every` updates.

    `around` is called before and after each, so that a trial does not depend on the training, nor the training on it, and when the weights
    that did best are put back.
    """

    trial: Trial
    count: int = 0
    around: Callable[[], object] = lambda: None
    every: int = 0

    def moments(self, updates: int) -> list[int]:
        """The updates after which trials are held, in order."""
        if self.every:
            return [*range(0, updates, self.every), updates]
        return (
            sorted({round(updates * k / (self.count - 1)) for k in range(self.count)})
            if self.count > 1
            else [updates][: self.count]
        )


def train(
    agent: Agent,
    source: Any,
    config: OnPolicySettings,
    *,
    tracker: Tracker,
    scratch: Path | None = None,
    signature: dict[str, Any] | None = None,
    selection: Selection | None = None,
    saved: Callable[[Path], object] = lambda path: None,
    episodes: Callable[[list[Episode]], object] = lambda ended: None,
    name: str = "policy",
) -> State:
    """Train `agent` in place; afterwards it holds the last weights, or with a `selection` those that did best in its trials.

    Args:
        agent: its `parts` are asked for only where there are checkpoints or a selection.
        source: a `RolloutSource` whose generator `rng` is the run's only dice, and which plays `agent`.
        scratch: where the checkpoint lies that a killed run goes on from; None: no checkpoints. signature: which run it is; a
            checkpoint of another is not read. saved: called with the file after each checkpoint.
        episodes: called with the episodes that ended, after each rollout.

    Raises:
        WorkError: an alarm with `config.alarm == "stop"`, or numbers that are none.
    """
    updates = max(1, config.total_steps // (config.num_envs * config.num_steps))
    trial_at = selection.moments(updates) if selection else []
    trained = agent.parts() if scratch is not None or selection is not None else {}
    policy: Any = trained.get("policy")  # what acts, of which a selection keeps the best
    normalizer = ReturnNormalizer(config.num_envs, config.gamma)
    best = copy.deepcopy(policy.state_dict()) if selection else {}
    state = State()
    places: dict[str, torch.Tensor] = {}
    parts: dict[str, Any] = {**trained, "best": best, "places": places}
    found = read_checkpoint(scratch / FILE, parts, signature or {}) if scratch is not None else None
    if found is not None:
        state = State(**found)
        source.restore(places)
        source.rng.bit_generator.state = state.rng
        normalizer.restore(state.normalizer)
        tracker.message(f"{name} goes on from update {state.update} of {updates}")

    def hold_trial() -> None:
        assert selection is not None
        selection.around()
        state.due = True
        try:
            result = selection.trial(agent)
        except BaseException as error:
            if interrupt.asks_to_end(error):  # a trial changes nothing of the training
                save()
            raise
        state.due = False
        selection.around()
        state.trials.append([state.update, result])
        tracker.log({"trial_return": result}, state.update)
        if result > state.best:
            state.best, state.best_update = result, state.update
            best.update({key: value.clone() for key, value in policy.state_dict().items()})

    def save() -> None:
        if scratch is None:
            return
        places.clear()
        places.update(source.tensors())
        state.normalizer = normalizer.state()
        state.rng = dice(source.rng)
        write_checkpoint(scratch / FILE, parts, asdict(state), signature or {})
        saved(scratch / FILE)

    with interrupt.saving() as asked, tracker.progress(updates, f"train {name}", "updates") as bar:
        bar.start_at(state.update)
        began = time.monotonic()
        if state.due or (not state.trials and trial_at and trial_at[0] == 0):
            hold_trial()
        while state.update < updates:
            if asked():
                save()
                if scratch is not None:
                    tracker.message(f"{name}: saved at update {state.update} of {updates}")
                interrupt.leave()
            rollout = source.collect()
            seen = learn(agent, rollout, normalizer, config, state.update / updates)
            episodes(rollout.episodes)
            state.update += 1
            if not all(math.isfinite(value) for value in seen.values()):
                raise WorkError(f"{name}: update {state.update} gave {seen}, expected finite numbers; lower learning_rate")
            now = time.monotonic()
            rate = rollout.actions.size / max(now - began, 1e-9)
            state.seconds, began = state.seconds + now - began, now
            state.history.append({"step": state.update * rollout.actions.size, **_rounded(seen)})
            tracker.log(seen | {"steps_per_second": rate}, state.update)
            shown = ("reward_mean", "entropy", "approx_kl", "explained_variance")
            bar.update(1, **{key: float(f"{seen[key]:.3g}") for key in shown if key in seen})
            _listen(state, seen, updates, config, tracker, name, ended=bool(rollout.terminated.any()))
            if state.update in trial_at:
                hold_trial()
                began = time.monotonic()
            if state.update % config.checkpoint_every == 0 or state.update == updates:
                save()
    if selection is not None:
        policy.load_state_dict(best)
        selection.around()
    for part in trained.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return state


def late_mean(state: State, name: str) -> float | None:
    """Mean of a number of the history over the last quarter of the updates; None where none of them told it."""
    late = state.history[-max(1, len(state.history) // 4) :]
    values = [row[name] for row in late if name in row]
    return float(np.mean(values)) if values else None


def learn(
    agent: Agent, rollout: Rollout, normalizer: ReturnNormalizer, config: OnPolicySettings, done: float
) -> dict[str, float]:
    """One update from one rollout, when share `done` of the run is over; every number worth logging."""
    rewards = normalizer(rollout.rewards, rollout.ended) if config.norm_reward else rollout.rewards
    advantages = advantages_of(
        rewards, rollout.values, rollout.next_values, rollout.terminated, rollout.truncated, config.gamma, config.gae_lambda
    )
    returns = advantages + rollout.values
    batch = RolloutBuffer(
        rollout.observations, rollout.carry, rollout.episode_starts, rollout.actions, rollout.log_probs, rollout.values,
        advantages, returns, rollout.begun, rollout.masks, done,
        best_pieces(rollout.rewards, rollout.ended, config.return_filter) if config.return_filter < 1 else None,
    )  # fmt: skip
    seen = agent.learn(batch)
    seen |= {
        "explained_variance": explained_variance(rollout.values, returns),
        "reward_mean": float(rollout.rewards.mean()),
        "reward_std": float(rollout.rewards.std()),
        "return_scale": normalizer.scale,
    }
    if "entropy" in seen:
        seen["entropy_ratio"] = seen["entropy"] / most if (most := largest_entropy(rollout, agent.actions)) > 0 else 0.0
    if "progress" in rollout.extras:
        seen["progress_mean"] = float(rollout.extras["progress"][:-1].mean())
    if rollout.episodes:
        seen["episode_return"] = float(np.mean([episode.paid for episode in rollout.episodes]))
    return seen


def largest_entropy(rollout: Rollout, actions: int) -> float:
    """What the mean entropy of the steps would be, in nats, if every action that was allowed were as likely as any other."""
    return math.log(actions) if rollout.masks is None else float(np.log(rollout.masks.sum(axis=-1)).mean())


def _listen(
    state: State, seen: dict[str, float], updates: int, config: OnPolicySettings, tracker: Tracker, name: str, *, ended: bool
) -> None:  # fmt: skip
    """The three ways PPO is known to fail without a word, said aloud: once each, or at the price of the run."""
    if state.update <= config.alarm_warmup * updates:
        return
    state.blind = state.blind + 1 if seen["explained_variance"] < config.alarm_explained_variance else 0
    raised = {}
    if seen.get("entropy_ratio", 0.0) > config.alarm_entropy:
        raised["entropy"] = (
            f"entropy is {seen['entropy_ratio']:.3f} of the largest, above {config.alarm_entropy:g}: the policy acts at random"
        )
    if state.blind >= config.alarm_patience:
        least = config.alarm_explained_variance
        raised["explained_variance"] = (
            f"explained variance {seen['explained_variance']:.3f} is below {least:g}: the value predicts nothing"
        )
    if seen["reward_std"] < 1e-8 and not ended:  # the same reward for every step still says that it is better not to fall
        raised["reward"] = "the reward does not vary: nothing can be learned from it"
    for kind, line in raised.items():
        if config.alarm == "stop":
            raise WorkError(f"{name}: update {state.update} of {updates}: {line} ({name}.alarm=warn goes on)")
        if not any(alarm.startswith(f"{kind}:") for alarm in state.alarms):
            state.alarms.append(f"{kind}: update {state.update}: {line}")
            tracker.message(f"warning: update {state.update}: {line}")


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in values.items()}
