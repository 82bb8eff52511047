"""Judging the judge: what it says of play whose truth is known, on a game whose bot plays and whose memory can be read.

The bot's runs are of seeds that no footage is of. Chance takes over somewhere on the way and walks about: whoever learned the look of
progress instead of progress is told apart there. Nothing read from memory is learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emurl.core.settings import Natural, Positive, Settings
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS, NO_BUTTON, GameBoy
from emurl.envs.gameboy.memory import GameReader
from emurl.games.base import Game
from emurl.games.settings import EmulatorSettings, rom_path
from emurl.pipelines.speedrun.ranks import rank_correlation, separation
from emurl.rewards.splits import SplitJudge, Standing
from emurl.screen import ScreenSpec

METRICS: dict[str, str] = {
    "spearman_ram": "↑ Spearman's rank correlation of the judge's progress and the milestones in memory, on runs of the bot"
    " that no footage is of",
    "spearman_ram_chance": "↑ the same where chance takes the bot's place somewhere on the way",
    "aliasing_auc": "↑ how well moments of one map before and after a milestone are told apart: area under the"
    " ROC curve, of the map where that is hardest",
    "farming_gain_max": "↓ largest share of the course gained by a script that gets nowhere: menus, to and fro, bumping, waiting",
    "bot_end": "↑ progress at the end of the bot's runs, their lowest",
}

STATE_EVERY = 64  # actions of a run between states that are gone on from

Encode = Callable[[np.ndarray], np.ndarray]
"""Frames uint8 (n, 144, 160) to token grids (n, 9, 10)."""

_SCRIPTS: dict[str, Sequence[str]] = {
    "wait": ("",),
    "to and fro": ("left", "left", "right", "right"),
    "up and down": ("up", "up", "down", "down"),
    "menu": ("start", "b"),
    "first page": ("start", "a", "right", "right", "b", "b"),
    "third page": ("start", "down", "down", "a", "right", "right", "b", "b"),
    "back": ("b",),
}  # fmt: skip


class JudgingSettings(Settings):
    """What the judge is asked about; nothing where the game has no bot or its memory cannot be read."""

    bot_runs: Natural = 8  # of the bot; 0: nobody judges the judge
    first_seed: Natural = 90_000  # of the bot's runs: seeds that the demo leaderboard does not show
    chance_steps: Positive = 200  # actions of chance that follow a part of each run
    loop_steps: Positive = 200  # actions of a script that gets nowhere
    loop_starts: Positive = 3  # moments of a run from which each script is played
    loop_runs: Natural = 2  # runs whose moments those are
    rest_steps: Natural = 60  # actions without a button before a script: what the game goes through by itself is nothing it farms
    least_frames: Positive = 20  # of a map before and after a milestone, for the two to be compared


@dataclass
class Watched:
    """An episode as the judge saw it: progress, milestones reached, and map, at every action."""

    progress: list[float] = field(default_factory=list)
    milestones: list[int] = field(default_factory=list)
    maps: list[Any] = field(default_factory=list)


def judge_the_judge(
    judge: SplitJudge, encode: Encode, game: Game, emulator: EmulatorSettings, spec: ScreenSpec, settings: JudgingSettings,
    seed: int, tracker: Tracker,
) -> dict[str, float]:  # fmt: skip
    """Play, watch and compare. The game has a bot and a reader.

    Args:
        encode: what makes the judge's grids of frames.

    Returns:
        `METRICS` by name.
    """
    assert game.bot is not None and game.reader is not None
    watcher = _Watcher(judge, encode, game.reader(), emulator)
    bot_runs: list[Watched] = []
    walks: list[Watched] = []
    farmed = [0.0]
    with tracker.progress(settings.bot_runs, "judge the judge", "runs") as bar:
        for number in range(settings.bot_runs):
            rng = np.random.default_rng([seed, number, 0x1D6E])
            run, kept = watcher.run(game, spec, settings.first_seed + number, settings.loop_starts + 1)
            bot_runs.append(run)
            state, standing, watched = kept[int(rng.integers(len(kept)))]
            walks.append(watcher.go_on(spec, state, standing, _chance(rng, settings.chance_steps), before=watched))
            if number < settings.loop_runs:
                for state, standing, _ in kept[: settings.loop_starts]:
                    rested = watcher.rest(spec, state, standing, settings.rest_steps)
                    for script in _SCRIPTS.values():
                        farmed.append(watcher.farmed(spec, *rested, script, settings.loop_steps))
            bar.update(1)
    return {
        "spearman_ram": float(np.mean([rank_correlation(run.progress, run.milestones) for run in bot_runs])),
        "spearman_ram_chance": rank_correlation(
            [value for walk in walks for value in walk.progress], [value for walk in walks for value in walk.milestones]
        ),
        "aliasing_auc": aliasing(bot_runs, settings.least_frames),
        "farming_gain_max": max(farmed),
        "bot_end": min(run.progress[-1] for run in bot_runs),
    }


def _chance(rng: np.random.Generator, steps: int) -> list[int]:
    return [int(action) for action in rng.integers(0, len(BUTTONS), steps)]


def aliasing(runs: Sequence[Watched], least: int) -> float:
    """How well before and after are told apart on the map where that is hardest: area under the ROC curve, 1 without such a map.

    For every map and milestone, the moments on that map before the milestone against those after it, where a run has `least` of both.
    """
    areas: dict[tuple[Any, int], list[float]] = {}
    for run in runs:
        progress, reached = np.array(run.progress), np.array(run.milestones)
        for place in set(run.maps):
            here = np.array([one == place for one in run.maps])
            for milestone in range(1, int(reached.max(initial=0)) + 1):
                before, after = progress[here & (reached < milestone)], progress[here & (reached >= milestone)]
                if min(len(before), len(after)) >= least:
                    areas.setdefault((place, milestone), []).append(separation(before, after))
    return min((float(np.mean(values)) for values in areas.values()), default=1.0)


class _Watcher:
    """Shows episodes to the judge, one frame an action."""

    def __init__(self, judge: SplitJudge, encode: Encode, reader: GameReader, emulator: EmulatorSettings) -> None:
        self.judge, self.encode, self.reader, self.emulator = judge, encode, reader, emulator
        self.rom: Path = rom_path(emulator)

    def run(self, game: Game, spec: ScreenSpec, seed: int, parts: int) -> tuple[Watched, list[tuple[bytes, Standing, Watched]]]:
        """A run of the bot, and what is needed to go on from `parts` − 1 moments evenly spread over it."""
        frames: list[np.ndarray] = []
        told: list[dict[str, Any]] = []
        states: list[bytes] = []
        every = self.emulator.frame_skip

        def look(console: GameBoy) -> None:
            if console.frames % every == 0:
                frames.append(console.frame().copy())
                told.append(self.reader.read(console))
                if console.frames % (STATE_EVERY * every) == 0:
                    states.append(console.save())

        console = GameBoy(self.rom, spec)
        try:
            assert game.bot is not None
            game.bot(console, seed, look, render_every=every)
        finally:
            console.close()
        grids = self.encode(np.stack(frames))
        watched, standing = Watched(), self.judge.begin()
        wanted = {round(len(states) * part / parts) for part in range(1, parts)} - {0}
        kept = []
        for step, (grid, facts) in enumerate(zip(grids, told, strict=True), start=1):
            self._note(watched, standing, grid, facts)
            if step % STATE_EVERY == 0 and step // STATE_EVERY in wanted:
                so_far = Watched(list(watched.progress), list(watched.milestones), list(watched.maps))
                kept.append((states[step // STATE_EVERY - 1], standing.copy(), so_far))
        return watched, kept

    def go_on(
        self, spec: ScreenSpec, state: bytes, standing: Standing, actions: Sequence[int], before: Watched | None = None
    ) -> Watched:
        """Play `actions` from a state that was reached as `before` says."""
        watched = Watched() if before is None else before
        self._play(spec, state, standing.copy(), actions, watched)
        return watched

    def rest(self, spec: ScreenSpec, state: bytes, standing: Standing, steps: int) -> tuple[bytes, Standing]:
        """Let go of all buttons and wait: the state then, and where the judge says that it stands."""
        standing = standing.copy()
        return self._play(spec, state, standing, [NO_BUTTON] * steps, Watched()), standing

    def _play(self, spec: ScreenSpec, state: bytes, standing: Standing, actions: Sequence[int], watched: Watched) -> bytes:
        """Play on, show it to the judge, and note it; returns the state at the end."""
        console = GameBoy(self.rom, spec)
        try:
            console.load(state)
            for button in BUTTONS:  # the bot may have held one, and who held it would walk on for ever
                console.release(button)
            for action in actions:
                console.step(None if action == NO_BUTTON else action, self.emulator.frame_skip, self.emulator.press_ticks)
                self._note(watched, standing, self.encode(console.frame()[None].copy())[0], self.reader.read(console))
            return console.save() if actions else state
        finally:
            console.close()

    def farmed(self, spec: ScreenSpec, state: bytes, standing: Standing, script: Sequence[str], steps: int) -> float:
        """Share of the course that a script gained without reaching a milestone or another map; 0 where it got somewhere."""
        actions = [BUTTONS.index(button) if button else NO_BUTTON for button in script]
        watched = self.go_on(spec, state, standing, [actions[step % len(actions)] for step in range(steps)])
        still = [
            (milestones, place) == (watched.milestones[0], watched.maps[0])
            for milestones, place in zip(watched.milestones, watched.maps, strict=True)
        ]
        upto = still.index(False) if False in still else len(still)
        return max(0.0, watched.progress[upto - 1] - self.judge.progress(standing))

    def _note(self, watched: Watched, standing: Standing, grid: np.ndarray, facts: dict[str, Any]) -> None:
        self.judge.update([standing], grid[None])
        watched.progress.append(self.judge.progress(standing))
        watched.milestones.append(len(self.reader.reached(facts)))
        watched.maps.append(facts.get("map"))
