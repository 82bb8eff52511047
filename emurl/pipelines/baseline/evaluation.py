"""`evaluation`: the policy and chance play from power-on by the rules of every pipeline, and a page says what came of it.

The artifact is that of `emurl.pipelines.shared.evaluated`.
"""

from __future__ import annotations

from collections.abc import Mapping

from emurl.core.registry import module_of
from emurl.core.settings import Device
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.games.settings import game_of
from emurl.pipelines.baseline.players import player_of, sight
from emurl.pipelines.baseline.settings import EnvSettings
from emurl.pipelines.shared.evaluated import Told, conclude
from emurl.pipelines.shared.playing import consoles, emulator_of
from emurl.screen import ScreenSpec
from emurl.training.evaluate import Player, RandomAgent
from emurl.training.scores import Rules, play_all
from emurl.training.supervised import resolve_device

METRICS: dict[str, str] = {
    "success_rate": "↑ share of the policy's episodes that reach the last milestone; as all that follow, beside `success_rate_random`",
    "success_rate_sticky": "↑ the same share where every action is the one before again with probability `sticky`",
    "median_steps": "↓ actions to the last milestone, median of the episodes that reach it, null where none does",
    "milestone_mean": "↑ milestones reached in an episode, mean",
    "progress": "null: nobody judges progress here",
    "coverage": "↑ different walking cells on which an action of an episode ended, mean",
    "still": "↓ share of actions after which the screen had not changed",
    "loops": "↓ share of actions that end on a screen seen at least 8 times before in the episode",
    "past_*": "↑ share of the episodes that reach a milestone, one metric a milestone",
    "episodes": "episodes played without sticky actions, of which all numbers but `success_rate_sticky` are; and as many with them",
    "*_random": "the same of buttons drawn at random",
    "success": "`success_rate` by its old name, written for one more version",
    "milestones": "`milestone_mean` by its old name, written for one more version",
    "steps_to_goal": "`median_steps` by its old name, written for one more version",
}

TOLD = Told(lead="Learned by PPO, paid from the game's memory.", seen="what the network sees of it, newest frame")


class EvaluationSettings(Rules):
    """`evaluation`: the policy and chance, from power-on."""

    device: Device = "auto"  # auto, cpu, cuda, cuda:N or mps
    env: EnvSettings = EnvSettings()  # the game; how it is played is what the network was trained at

    def modules(self) -> tuple[str, ...]:
        """Those of the game, and the one that draws its maps."""
        found = super().modules()  # which say so where there is no such ROM
        game = game_of(self.env.emulator)
        return found if game is None or game.atlas is None else (*found, module_of(game.atlas))

    def settled(self, inputs: Mapping[str, Artifact]) -> EvaluationSettings:
        """With the cadence of the network."""
        told = emulator_of(inputs["cnn"], self.env.emulator, "env.rom_path")
        return self.model_copy(
            update={"env": self.env.model_copy(update={"frame_skip": told.frame_skip, "press_ticks": told.press_ticks})}
        )


def run(settings: EvaluationSettings, inputs: Mapping[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Play, measure, film and report; headline `success_rate`, the policy's share of episodes that reach the last milestone."""
    settings, spec = settings.settled(inputs), ScreenSpec()
    player = player_of("policy", inputs["cnn"], resolve_device(settings.device))
    players = [player, Player("random", RandomAgent(len(BUTTONS)), sees="nothing")]
    emulator = settings.env.emulator
    envs = consoles(emulator, spec, settings.episodes, facts=True)
    try:
        played = play_all(envs, None, players, settings, tracker, kept=output)
        conclude(played, envs, None, player, sight(player, spec), settings, emulator, inputs, output, tracker, TOLD)
    finally:
        envs.close()
