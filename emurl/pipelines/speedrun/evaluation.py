"""`evaluation`: the policy, the cloned policy, a replay and chance play from power-on, and a page says what came of it.

Each episode begins a random while after power-on, and all are played again with sticky actions, so that nobody wins by pressing
by rote what once won; the replay, the footage's fastest run pressed again without looking, says how far rote gets.

The artifact is that of `emurl.pipelines.shared.evaluated`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from emurl.core.registry import module_of
from emurl.core.settings import Device
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.footage.open_loop import REPLAY, OpenLoop
from emurl.games.settings import EmulatorSettings, game_of
from emurl.pipelines.shared.evaluated import Told, conclude
from emurl.pipelines.shared.playing import consoles, emulator_of, holds
from emurl.pipelines.speedrun.course import judge_in
from emurl.pipelines.speedrun.players import load_perception, player_of
from emurl.screen import to_gray
from emurl.training.evaluate import Player, RandomAgent, ScriptAgent
from emurl.training.perception import Perception
from emurl.training.scores import Rules, play_all
from emurl.training.supervised import resolve_device

METRICS: dict[str, str] = {
    "success_rate": "↑ share of the policy's episodes that reach the last milestone; beside `success_rate_clone`, `success_rate_replay` "
    "(the fastest run of the footage pressed again without looking), `success_rate_random`",
    "success_rate_*": "the same of the clone, of the replay, and of buttons drawn at random",
    "success_rate_sticky": "↑ the same share where every action is the one before again with probability `sticky`; beside "
    "`success_rate_sticky_clone`, `success_rate_sticky_replay`, `success_rate_sticky_random`",
    "success_rate_sticky_*": "the same of the others; null where `sticky` is 0",
    "median_steps": "↓ actions to the last milestone, median of the episodes that reach it, null where none does; beside "
    "`footage_median_steps`, `median_steps_clone`, `median_steps_replay`, `median_steps_random`",
    "median_steps_*": "the same of the others",
    "footage_median_steps": "actions that the footage's runs take, median, from the first to the last frame of the game",
    "milestone_mean": "↑ milestones reached in an episode, mean; beside `milestone_mean_clone`, `milestone_mean_replay`, "
    "`milestone_mean_random`",
    "milestone_mean_*": "the same of the others",
    "progress": "↑ share of the course that an episode gets to, by the judge that remembers, mean (without one, what the reward model says "
    "of the last frame, in seconds of a speedrun); beside `progress_clone`, "
    "`progress_replay`, `progress_random`",
    "progress_*": "the same of the others",
    "coverage": "↑ different walking cells on which an action of an episode ended, mean; beside `coverage_clone`, `coverage_replay`, "
    "`coverage_random`",
    "coverage_*": "the same of the others",
    "still": "↓ share of actions after which the screen had not changed; beside `still_clone`, `still_replay`, `still_random`",
    "still_*": "the same of the others",
    "loops": "↓ share of actions that end on a screen seen at least 8 times before in the episode; beside `loops_clone`, "
    "`loops_replay`, `loops_random`",
    "loops_*": "the same of the others",
    "past_*": "↑ share of the policy's episodes that reach a milestone, one metric a milestone; with `_clone`, `_replay` and "
    "`_random`, of those",
    "episodes": "episodes played without sticky actions, of which all numbers but `success_rate_sticky` are; and as many with them",
    "episodes_*": "the same of the others",
    "success": "`success_rate` by its old name, written for one more version",
    "success_*": "the same of the others",
    "milestones": "`milestone_mean` by its old name, written for one more version",
    "milestones_*": "the same of the others",
    "steps_to_goal": "`median_steps` by its old name, written for one more version",
    "steps_to_goal_*": "the same of the others",
}


class EvaluationSettings(Rules):
    """`evaluation`: policy, clone, replay and chance, from power-on."""

    device: Device = "auto"  # auto, cpu, cuda, cuda:N or mps
    emulator: EmulatorSettings = EmulatorSettings()

    def modules(self) -> tuple[str, ...]:
        """Those of the emulator, and the one that draws the game's maps."""
        game = game_of(self.emulator)
        drawn = () if game is None or game.atlas is None else (module_of(game.atlas),)
        return (*super().modules(), *drawn)

    def settled(self, inputs: Mapping[str, Artifact]) -> EvaluationSettings:
        """With the cadence of the players, which have to agree on it."""
        emulator = self.emulator
        for stage in ("policy", "behavior"):
            if stage in inputs:
                emulator = emulator_of(inputs[stage], emulator)
        return self.model_copy(update={"emulator": emulator})


def run(settings: EvaluationSettings, inputs: Mapping[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Play, measure, film and report; headline `success_rate`, the policy's share of episodes that reach the last milestone.

    For a game without a reader success, milestones and coverage are unknown (None) and `progress` is what can be compared.
    """
    device = resolve_device(settings.device)
    perception, spec = load_perception(inputs, device)
    settings = settings.settled(inputs)
    footage = footage_of(inputs)
    players = players_of(inputs, perception, device, footage)
    judge = judge_in(inputs, device)
    typical = None if footage is None else footage.footage_median_steps
    envs = consoles(settings.emulator, spec, settings.episodes, facts=True)
    try:
        played = play_all(envs, perception, players, settings, tracker, judge, output)

        def seen(frames: np.ndarray) -> np.ndarray:
            return to_gray(perception.reconstruct(frames), spec)

        told = Told(footage_median_steps=typical, course=judge is not None)
        conclude(played, envs, perception, players[0], seen, settings, settings.emulator, inputs, output, tracker, told)
    finally:
        envs.close()
    output.metrics["footage_median_steps"] = typical


def players_of(
    inputs: Mapping[str, Artifact], perception: Perception, device: torch.device, footage: OpenLoop | None
) -> list[Player]:
    """The policy, the clone it came from, the footage's fastest run pressed again, and chance; only those that are there."""
    players = []
    for name, stage in (("policy", "policy"), ("clone", "behavior")):
        if stage in inputs:
            players.append(player_of(name, inputs[stage], perception, device))
    if footage is not None:
        players.append(Player("replay", ScriptAgent(footage.actions, len(BUTTONS)), sees="nothing"))
    return [*players, Player("random", RandomAgent(len(BUTTONS)), sees="nothing")]


def footage_of(inputs: Mapping[str, Artifact]) -> OpenLoop | None:
    """What the behavior stage says of the footage's runs; None without it, or from a version that did not say it."""
    made = inputs.get("behavior")
    return made.read(REPLAY, OpenLoop.read) if made is not None and holds(made, REPLAY) else None
