"""What players' episodes come to: rates and means with their intervals, side by side, as numbers and as a table.

Nothing here knows a pipeline. Who is scored are players on consoles, by the same rules for all; where nobody judges progress
(no perception) or reads the game's memory, what would need it is None.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emurl.core.files import write_atomically
from emurl.core.output import Output
from emurl.core.settings import Natural, Positive, Settings, Share
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.rewards.splits import SplitJudge
from emurl.training.evaluate import Place, Player, Record, play
from emurl.training.intervals import Estimate, mean_of, median_of, share_of, wilson
from emurl.training.perception import Perception

FIRST = "policy"  # whose metrics go by their plain names
ESTIMATES = (
    "success_rate", "success_rate_sticky", "median_steps", "milestone_mean", "progress", "coverage", "still", "loops",
)  # fmt: skip
"""The metrics that a `Score` has an interval for, the headline first."""
ALIASES = {"success": "success_rate", "milestones": "milestone_mean", "steps_to_goal": "median_steps"}
"""Names of the version before, and what they are called now."""


class Rules(Settings):
    """How players are compared: the same episodes for all, from power-on."""

    seed: Natural = 0  # of the sampled actions, the waits and the sticky actions
    episodes: Positive = 50  # a player, and as many with sticky actions
    max_steps: Positive = 2_000  # actions an episode takes at most
    wait_ticks: Natural = 120  # emulator frames (1/59.7 s) between power-on and the first look at most; drawn for each episode
    # Chance that an action is the one before again (1709.06009), in the second half of the episodes; 0: they are not played.
    sticky: Share = 0.05


@dataclass
class Played:
    """A player's episodes, plain and with sticky actions."""

    plain: list[Record]
    sticky: list[Record] = field(default_factory=list)


@dataclass
class Score:
    """What a player's plain episodes come to; `success_rate_sticky` alone is of the sticky ones."""

    name: str
    episodes: int
    success_rate: Estimate | None  # None, as the next three and coverage, where nobody reads the game's memory
    success_rate_sticky: Estimate | None  # None, too, where none were played
    median_steps: Estimate | None  # None, too, where no episode gets there
    milestone_mean: Estimate | None
    progress: Estimate | None  # Φ at the end; None without a judge
    still: Estimate | None
    loops: Estimate | None
    coverage: Estimate | None
    past: Mapping[str, Estimate]  # share of the episodes by milestone
    steps_to: Mapping[str, float | None]  # median actions by milestone
    buttons: Mapping[str, float]  # shares of the actions
    curve: Sequence[float] = ()  # mean Φ after each step
    places: Mapping[Place, int] = field(default_factory=dict)


def play_all(
    envs: ThreadedVectorEnv, perception: Perception | None, players: Sequence[Player], rules: Rules, tracker: Tracker,
    judge: SplitJudge | None = None, kept: Output | None = None,
) -> dict[str, Played]:  # fmt: skip
    """Every player's episodes, one a console: same dice, same length; then the same with sticky actions.

    Args:
        kept: in its scratch a player's episodes are kept when they are over, so that who is interrupted plays only those that were not.
    """
    rounds = (0.0, rules.sticky) if rules.sticky else (0.0,)
    played: dict[str, Played] = {}
    with tracker.progress(len(players) * len(rounds) * rules.max_steps, "play", "actions") as bar:
        for player in players:
            records = []
            for sticky in rounds:
                file = None if kept is None else kept.scratch / f"played_{player.name}{'_sticky' if sticky else ''}.json"
                known = None if file is None else _read(file, envs.num_envs)
                if known is not None:
                    records.append(known)
                    bar.start_at(bar.done + rules.max_steps)
                    continue
                steps = 0

                def tick() -> None:
                    nonlocal steps
                    steps += 1
                    bar.update(1)

                records.append(
                    play(
                        envs, perception, player, max_steps=rules.max_steps, seed=rules.seed, wait_ticks=rules.wait_ticks,
                        sticky=sticky, judge=judge, tick=tick,
                    )
                )  # fmt: skip
                bar.update(rules.max_steps - steps)  # where all got there early
                if kept is not None and file is not None:
                    with write_atomically(file) as aside:
                        aside.write_text(json.dumps([record.as_json() for record in records[-1]]), encoding="utf-8")
                    kept.scratch_saved(file)
            played[player.name] = Played(*records)
    return played


def _read(file: Path, episodes: int) -> list[Record] | None:
    """Episodes that were kept; None: none were, or none that can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        records = [Record.of_json(told) for told in json.loads(file.read_text(encoding="utf-8"))]
        return records if len(records) == episodes else None
    return None


def summarize(name: str, played: Played, milestones: Sequence[str]) -> Score:
    """What a player's episodes come to. `milestones` of the game, in order; none where nobody reads its memory."""
    records, read = played.plain, bool(milestones)
    steps = {m: [record.reached[m] for record in records if m in record.reached] for m in milestones}
    places: Counter[Place] = Counter()
    for record in records:
        places.update(record.places)
    actions = np.concatenate([record.actions for record in records])
    presses = np.bincount(actions[actions >= 0], minlength=len(BUTTONS))
    return Score(
        name=name,
        episodes=len(records),
        success_rate=_rate(records) if read else None,
        success_rate_sticky=_rate(played.sticky) if read and played.sticky else None,
        median_steps=median_of(steps[milestones[-1]]) if read else None,
        milestone_mean=mean_of([len(record.reached) for record in records]) if read else None,
        progress=mean_of([record.progress[-1] for record in records if record.progress]),
        still=share_of([record.still for record in records], [record.steps for record in records]),
        loops=share_of([record.loops for record in records], [record.steps for record in records]),
        coverage=mean_of([len(record.places) for record in records]) if read else None,
        past={m: wilson(len(taken), len(records)) for m, taken in steps.items()},
        steps_to={m: float(np.median(taken)) if taken else None for m, taken in steps.items()},
        buttons=dict(zip(BUTTONS, (presses / len(actions)).tolist(), strict=True)),
        curve=_curve(records),
        places=dict(sorted(places.items())),
    )


def _rate(records: Sequence[Record]) -> Estimate:
    return wilson(sum(bool(record.success) for record in records), len(records))


def _curve(records: Sequence[Record]) -> list[float]:
    """Mean Φ after each step; an ended episode keeps its last value."""
    longest = max(len(record.progress) for record in records)
    if not longest:
        return []
    curves = [record.progress + [record.progress[-1]] * (longest - len(record.progress)) for record in records]
    curve: list[float] = np.mean(curves, axis=0).tolist()
    return curve


def metrics_of(scores: Sequence[Score]) -> dict[str, Any]:
    """The policy's numbers by their own names, the others' with `_clone`, `_replay`, `_random`: no number without its baselines."""
    metrics: dict[str, Any] = {}
    for metric in ESTIMATES:
        for score in scores:
            metrics[metric + _suffix(score)] = _value(getattr(score, metric))
    for score in scores:
        metrics |= {f"past_{milestone}{_suffix(score)}": rate.value for milestone, rate in score.past.items()}
        metrics[f"episodes{_suffix(score)}"] = score.episodes
    for old, new in ALIASES.items():
        metrics |= {old + _suffix(score): metrics[new + _suffix(score)] for score in scores}
    return metrics


def _suffix(score: Score) -> str:
    return "" if score.name == FIRST else f"_{score.name}"


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def as_table(
    scores: Sequence[Score], milestones: Sequence[str], rules: Rules, footage_median_steps: float | None = None
) -> list[str]:
    """The lines a person reads at the end: a column a player; numbers with their 95 % intervals, milestones with median steps."""
    rows = [
        ["", *(score.name for score in scores)],
        ["success", *(percent(score.success_rate) for score in scores)],
        ["success, sticky actions", *(percent(score.success_rate_sticky) for score in scores)],
        ["actions to the goal", *(shown(score.median_steps) for score in scores)],
        ["milestones", *(shown(score.milestone_mean) for score in scores)],
    ]
    for name in milestones:
        cells = []
        for score in scores:
            median = score.steps_to[name]
            cells.append(f"{score.past[name].value:.0%}" + ("" if median is None else f" in {median:g}"))
        rows.append([f"  {name.replace('_', ' ')}", *cells])
    rows += [
        ["progress at the end", *(shown(score.progress) for score in scores)],
        ["unchanged screens", *(percent(score.still) for score in scores)],
        ["loops", *(percent(score.loops) for score in scores)],
        ["cells walked", *(shown(score.coverage) for score in scores)],
    ]
    widths = [max(len(line[column]) for line in rows) for column in range(len(rows[0]))]
    lines = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in rows]
    return [*lines, told(rules, footage_median_steps)]


def shown(estimate: Estimate | None) -> str:
    """A number with its interval, a dash for none."""
    return "–" if estimate is None else str(estimate)


def percent(estimate: Estimate | None) -> str:
    """A share with its interval, a dash for none."""
    return "–" if estimate is None else estimate.percent


def told(rules: Rules, footage_median_steps: float | None = None) -> str:
    """The rules in a sentence, for people."""
    wait = f"after a wait of 0 to {rules.wait_ticks} ticks" if rules.wait_ticks else "from power-on"
    sentence = f"{rules.episodes} episodes a player, each {wait}"
    if rules.sticky:
        sentence += f"; as many with sticky actions ({rules.sticky:.0%})"
    if footage_median_steps is not None:
        sentence += f"; the footage's median run takes {footage_median_steps:.0f} actions"
    return sentence + "; 95% intervals"


def as_results(
    scores: Sequence[Score], milestones: Sequence[str], rules: Rules, title: str, footage_median_steps: float | None = None
) -> dict[str, Any]:
    """Everything but curves and places, JSON-ready. A metric stands beside the ends of its interval, `_low` and `_high`."""
    return {
        "game": title,
        "episodes": rules.episodes,
        "max_steps": rules.max_steps,
        "wait_ticks": rules.wait_ticks,
        "sticky": rules.sticky,
        "milestones": list(milestones),
        "footage_median_steps": footage_median_steps,
        "players": {score.name: _player(score, milestones) for score in scores},
    }


def _player(score: Score, milestones: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"episodes": score.episodes}
    for metric in ESTIMATES:
        found |= _ends(metric, getattr(score, metric))
    found["milestones"] = {m: _ends("rate", score.past[m]) | {"median_steps": score.steps_to[m]} for m in milestones}
    found["buttons"] = dict(score.buttons)
    # As the version before called them.
    old = {"success": "success_rate", "milestones_mean": "milestone_mean", "final_progress": "progress", "still_share": "still"}
    return found | {was: found[now] for was, now in old.items()}


def _ends(metric: str, estimate: Estimate | None) -> dict[str, float | None]:
    if estimate is None:
        return {metric: None, f"{metric}_low": None, f"{metric}_high": None}
    return {metric: estimate.value, f"{metric}_low": estimate.low, f"{metric}_high": estimate.high}
