"""What an evaluation leaves: numbers with their intervals, tables of episodes and places, a film, a map and a page.

results.json       every number with its 95 % interval             episodes.parquet   one row an episode
places.parquet     visits by player, episode and cell              explored.png       the same, laid over the game's maps
agent.gif          the policy's best episode, as the agent sees it  report.html        one page, no other file needed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from emurl.core.files import write_json
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.games import game_of_title
from emurl.games.settings import EmulatorSettings
from emurl.pipelines.shared.playing import Seen
from emurl.report import Findings, build, draw, lineage, plain_atlas
from emurl.report.film import write_gif
from emurl.report.page import LEAD, SEEN
from emurl.report.panel import Panel
from emurl.training.evaluate import Player, Record, replay
from emurl.training.perception import Perception
from emurl.training.scores import FIRST, Played, Rules, Score, as_results, as_table, metrics_of, summarize

FILM_FRAMES = 160


@dataclass(frozen=True)
class Told:
    """What a page says of a pipeline's players.

    Attributes:
        lead: what they learned from. seen: what the second picture of the film shows.
        footage_median_steps: actions that the footage's runs take, median; None without footage.
        course: whether progress is a judge's share of the course, and not a reward model's seconds.
    """

    lead: str = LEAD
    seen: str = SEEN
    footage_median_steps: float | None = None
    course: bool = False


def conclude(
    played: Mapping[str, Played], envs: ThreadedVectorEnv, perception: Perception | None, player: Player, seen: Seen, rules: Rules,
    emulator: EmulatorSettings, inputs: Mapping[str, Artifact], output: Output, tracker: Tracker, told: Told,
) -> None:  # fmt: skip
    """Write everything that a stage leaves of what was `played` on `envs`, and its metrics.

    Args:
        player: the first of the players, whose best episode is filmed. seen: what it sees.
    """
    tracker.doing("drawing the report")
    milestones, reader = envs.consoles[0].milestones, envs.consoles[0].reader
    typical = told.footage_median_steps
    scores = [summarize(name, one, milestones) for name, one in played.items()]
    for line in as_table(scores, milestones, rules, typical):
        tracker.message(line)
    best = max(played[FIRST].plain, key=lambda one: (bool(one.success), len(one.reached), -_steps(one), one.gained))
    film(output.path("agent.gif"), envs, perception, player, best, seen)
    title = envs.consoles[0].gameboy.title or Path(emulator.rom).stem
    results = as_results(scores, milestones, rules, title, typical)
    write_json(output.path("results.json"), results)
    episode_table(played, milestones).to_parquet(output.path("episodes.parquet"), index=False)
    place_table(played).to_parquet(output.path("places.parquet"), index=False)
    names = reader.maps if reader else {}
    picture = explored(output.path("explored.png"), scores, title, names) if reader else None
    findings = Findings(
        title,
        rules,
        milestones,
        scores,
        typical,
        output.path("agent.gif"),
        picture,
        names,
        lead=told.lead,
        seen=told.seen,
        course=told.course,
    )
    page = build(findings, lineage(list(inputs.values())), rules.model_dump(mode="json"))
    output.path("report.html").write_text(page, encoding="utf-8")
    tracker.file("agent", output.path("agent.gif"))
    if picture:
        tracker.file("explored", picture)
    tracker.file("report", output.path("report.html"))
    output.metrics |= metrics_of(scores)


def _steps(record: Record) -> int:
    return max(record.reached.values(), default=record.steps)


def episode_table(played: Mapping[str, Played], milestones: Sequence[str]) -> pd.DataFrame:
    """One row an episode: who, its dice, wait, length and success, Φ at the end and at best, and the step of each milestone."""
    return pd.DataFrame(
        [
            {
                "player": name,
                "sticky": sticky,
                "episode": record.seed,
                "wait": record.wait,
                "steps": record.steps,
                "success": record.success,
                "final_progress": record.progress[-1] if record.progress else None,
                "best_progress": max(record.progress, default=None),
                "still": record.still,
                "loops": record.loops,
                **{f"steps_to_{m}": record.reached.get(m) for m in milestones},
            }
            for name, one in played.items()
            for sticky, records in ((False, one.plain), (True, one.sticky))
            for record in records
        ]
    ).astype({f"steps_to_{m}": "Int64" for m in milestones} | dict.fromkeys(("final_progress", "best_progress"), "float64"))


def place_table(played: Mapping[str, Played]) -> pd.DataFrame:
    """One row a player, episode without sticky actions, and walking cell (map, y, x): how many of its actions ended there."""
    rows = [
        (name, record.seed, *place, visits)
        for name, one in played.items()
        for record in one.plain
        for place, visits in sorted(record.places.items())
    ]
    kinds = {"player": "str", **dict.fromkeys(("episode", "map", "y", "x", "visits"), "int64")}
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def explored(path: Path, scores: Sequence[Score], title: str, names: Mapping[int, str]) -> Path:
    """Draw where each player went: over the game's own maps, or over plain fields where nobody has drawn them."""
    counts = [(score.name, score.places) for score in scores]
    game = game_of_title(title)
    drawn = game.atlas() if game is not None and game.atlas is not None else plain_atlas((places for _, places in counts), names)
    draw(drawn, counts).save(path, optimize=True)
    return path


def film(
    path: Path, envs: ThreadedVectorEnv, perception: Perception | None, player: Player, record: Record, seen: Seen
) -> None:  # fmt: skip
    """The episode as a GIF of at most about `FILM_FRAMES` pictures."""
    every = max(1, -(-record.steps // FILM_FRAMES))
    panel = Panel.of(envs.consoles[0].screen, record)
    moments = list(replay(envs, perception, player, record, every=every))
    pictures = seen(np.stack([moment.frame for moment in moments]))
    places = [min(place * every, record.steps) for place in range(len(moments))]
    write_gif(path, (panel.draw(*shown) for shown in zip(moments, pictures, places, strict=True)))
