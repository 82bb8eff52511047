"""`evaluation`: the policy, the cloned policy and chance play from power-on, and a page says what came of it.

results.json       success, milestones, progress of the three      episodes.parquet   one row an episode
places.parquet     visits by player, episode and cell              explored.png       the same, laid over the game's maps
agent.gif          the policy's best episode, as the agent sees it  report.html        one page, no other file needed
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from emurl.core.registry import module_of
from emurl.core.settings import Device, Natural, Positive, Settings
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.games import game_of_title
from emurl.games.settings import EmulatorSettings, game_of
from emurl.pipelines.speedrun.players import agent_of, consoles, emulator_of, load_perception, load_policy
from emurl.report import Findings, build, draw, lineage, plain_atlas
from emurl.report import Player as Finding
from emurl.report.film import write_gif
from emurl.report.panel import Panel
from emurl.screen import ScreenSpec
from emurl.training.evaluate import Player, RandomAgent, Record, play, replay
from emurl.training.perception import Perception
from emurl.training.supervised import resolve_device

METRICS: dict[str, str] = {
    "success": "↑ share of the policy's episodes that reach the last milestone; beside `success_clone`, `success_random`",
    "success_*": "the same of the clone, and of buttons drawn at random",
    "milestones": "↑ milestones reached in an episode, mean; beside `milestones_clone`, `milestones_random`",
    "milestones_*": "the same of the clone and of chance",
    "progress": "↑ what the reward model says of the last frame of an episode, in seconds of a speedrun, mean; beside `progress_clone`, "
    "`progress_random`",
    "progress_*": "the same of the clone and of chance",
    "still": "↓ share of actions after which the screen had not changed; beside `still_clone`, `still_random`",
    "still_*": "the same of the clone and of chance",
    "past_*": "↑ share of the policy's episodes that reach a milestone, one metric a milestone; with `_clone` and `_random`, of those",
    "steps_to_goal": "↓ actions to the last milestone, median of the episodes that reach it, null where none does; beside "
    "`steps_to_goal_clone`, `steps_to_goal_random`",
    "steps_to_goal_*": "the same of the clone and of chance",
}

FILM_FRAMES = 160


class EvaluationSettings(Settings):
    """`evaluation`: policy, clone and chance, from power-on."""

    seed: Natural = 0  # of the sampled actions
    device: Device = "auto"  # auto, cpu, cuda, cuda:N or mps
    emulator: EmulatorSettings = EmulatorSettings()
    episodes: Positive = 10  # a player
    max_steps: Positive = 2_000  # actions an episode takes at most

    def modules(self) -> tuple[str, ...]:
        """Those of the emulator, and the one that draws the game's maps."""
        game = game_of(self.emulator)
        drawn = () if game is None or game.atlas is None else (module_of(game.atlas),)
        return (*super().modules(), *drawn)


def run(settings: EvaluationSettings, inputs: Mapping[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Play, measure, film and report; headline `success`, the policy's share of episodes that reach the last milestone.

    For a game without a reader success and milestones are unknown (None) and `progress` is what can be compared.
    """
    device = resolve_device(settings.device)
    perception, spec = load_perception(inputs, device)
    for stage in ("policy", "behavior"):
        if stage in inputs:
            settings = settings.model_copy(update={"emulator": emulator_of(inputs[stage], settings.emulator)})
    players = players_of(inputs, perception, device)
    envs = consoles(settings.emulator, spec, settings.episodes, facts=True)
    try:
        reader = envs.consoles[0].reader
        milestones = envs.consoles[0].milestones
        records = play_all(envs, perception, players, settings, tracker)
        findings = [summarize(name, played, milestones) for name, played in records.items()]
        for line in as_table(findings, milestones):
            tracker.message(line)
        best = max(
            records["policy"], key=lambda record: (bool(record.success), len(record.reached), -_steps(record), record.gained)
        )
        film(output.path("agent.gif"), envs, perception, players[0], best, spec)
    finally:
        envs.close()
    title = envs.consoles[0].gameboy.title or Path(settings.emulator.rom).stem
    results = as_results(findings, milestones, settings, title)
    output.path("results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    episode_table(records, milestones).to_parquet(output.path("episodes.parquet"), index=False)
    place_table(records).to_parquet(output.path("places.parquet"), index=False)
    names = reader.maps if reader else {}
    picture = explored(output.path("explored.png"), findings, title, names) if reader else None
    page = build(
        Findings(
            title, settings.episodes, settings.max_steps, milestones, findings, output.path("agent.gif"), picture, names,
        ),
        lineage(list(inputs.values())),
        settings.model_dump(mode="json"),
    )  # fmt: skip
    output.path("report.html").write_text(page, encoding="utf-8")
    tracker.file("agent", output.path("agent.gif"))
    if picture:
        tracker.file("explored", picture)
    tracker.file("report", output.path("report.html"))
    output.metrics |= metrics_of(findings)


def players_of(inputs: Mapping[str, Artifact], perception: Perception, device: torch.device) -> list[Player]:
    """The policy, the clone it came from, and chance; only those whose artifacts are given."""
    players = []
    for name, stage in (("policy", "policy"), ("clone", "behavior")):
        if stage in inputs:
            players.append(Player(name, agent_of(load_policy(inputs[stage], perception, device))))
    return [*players, Player("random", RandomAgent(len(BUTTONS)))]


def play_all(
    envs: ThreadedVectorEnv, perception: Perception, players: Sequence[Player], settings: EvaluationSettings, tracker: Tracker
) -> dict[str, list[Record]]:
    """Every player's episodes: same seeds, same length, sampled actions."""
    records = {}
    with tracker.progress(len(players) * settings.max_steps, "play", "actions") as bar:
        for place, player in enumerate(players):
            records[player.name] = play(
                envs, perception, player, max_steps=settings.max_steps, seed=settings.seed, tick=lambda: bar.update(1)
            )
            bar.update((place + 1) * settings.max_steps - getattr(bar, "done", 0))  # those that got there early
    return records


def _steps(record: Record) -> int:
    return max(record.reached.values(), default=record.steps)


def summarize(name: str, records: Sequence[Record], milestones: Sequence[str]) -> Finding:
    """What a player's episodes come to."""
    longest = max(len(record.progress) for record in records)
    curves = [record.progress + [record.progress[-1]] * (longest - len(record.progress)) for record in records]
    places: dict[tuple[int, int, int], int] = {}
    for record in records:
        for place, count in record.places.items():
            places[place] = places.get(place, 0) + count
    steps = {m: [record.reached[m] for record in records if m in record.reached] for m in milestones}
    presses = np.bincount(np.concatenate([record.actions for record in records]), minlength=len(BUTTONS))
    return Finding(
        name=name,
        success=float(np.mean([bool(record.success) for record in records])) if milestones else None,
        rates={m: len(taken) / len(records) for m, taken in steps.items()},
        median_steps={m: float(np.median(taken)) if taken else None for m, taken in steps.items()},
        milestones_mean=float(np.mean([len(record.reached) for record in records])),
        final_progress=float(np.mean([record.progress[-1] for record in records])),
        still_share=sum(record.still for record in records) / sum(record.steps for record in records),
        buttons=dict(zip(BUTTONS, (presses / presses.sum()).tolist(), strict=True)),
        curve=np.mean(curves, axis=0).tolist(),
        places=dict(sorted(places.items())),
    )


def as_table(findings: Sequence[Finding], milestones: Sequence[str]) -> list[str]:
    """The lines a person reads at the end: a column a player, a row a milestone (rate, median steps)."""
    lines = [f"{'':<22}" + "".join(f"{finding.name:>18}" for finding in findings)]
    successes = ["–" if finding.success is None else f"{finding.success:.0%}" for finding in findings]
    lines.append(f"{'success':<22}" + "".join(f"{share:>18}" for share in successes))
    for name in milestones:
        cells = []
        for finding in findings:
            median = finding.median_steps[name]
            cells.append(f"{finding.rates[name]:.0%}" + ("" if median is None else f" in {median:g}"))
        lines.append(f"{name.replace('_', ' '):<22}" + "".join(f"{cell:>18}" for cell in cells))
    lines.append(f"{'progress at the end':<22}" + "".join(f"{finding.final_progress:>18.2f}" for finding in findings))
    lines.append(f"{'unchanged screens':<22}" + "".join(f"{finding.still_share:>18.0%}" for finding in findings))
    return lines


def metrics_of(findings: Sequence[Finding]) -> dict[str, Any]:
    """The policy's numbers by their own names, the others' with `_clone` and `_random`: no number without its baselines."""
    metrics: dict[str, Any] = {}
    named = {"success": "success", "milestones": "milestones_mean", "progress": "final_progress", "still": "still_share"}
    for metric, attribute in named.items():
        for finding in findings:
            metrics[metric + _suffix(finding)] = getattr(finding, attribute)
    for finding in findings:
        for milestone, rate in finding.rates.items():
            metrics[f"past_{milestone}{_suffix(finding)}"] = rate
    for finding in findings:
        if finding.median_steps:
            metrics[f"steps_to_goal{_suffix(finding)}"] = list(finding.median_steps.values())[-1]
    return metrics


def _suffix(finding: Finding) -> str:
    return "" if finding.name == "policy" else f"_{finding.name}"


def as_results(
    findings: Sequence[Finding], milestones: Sequence[str], settings: EvaluationSettings, title: str
) -> dict[str, Any]:
    """Everything but curves and places, JSON-ready."""
    return {
        "game": title,
        "episodes": settings.episodes,
        "max_steps": settings.max_steps,
        "milestones": list(milestones),
        "players": {
            finding.name: {
                "success": finding.success,
                "milestones": {m: {"rate": finding.rates[m], "median_steps": finding.median_steps[m]} for m in milestones},
                "milestones_mean": finding.milestones_mean,
                "final_progress": finding.final_progress,
                "still_share": finding.still_share,
                "buttons": dict(finding.buttons),
            }
            for finding in findings
        },
    }


def episode_table(records: Mapping[str, Sequence[Record]], milestones: Sequence[str]) -> pd.DataFrame:
    """One row an episode: player, seed, steps, success, Φ at the end and at best, and the step of each milestone."""
    return pd.DataFrame(
        [
            {
                "player": name,
                "episode": record.seed,
                "steps": record.steps,
                "success": record.success,
                "final_progress": record.progress[-1],
                "best_progress": max(record.progress),
                **{f"steps_to_{m}": record.reached.get(m) for m in milestones},
            }
            for name, played in records.items()
            for record in played
        ]
    ).astype({f"steps_to_{m}": "Int64" for m in milestones})


def place_table(records: Mapping[str, Sequence[Record]]) -> pd.DataFrame:
    """One row a player, episode and walking cell (map, y, x): how many of its actions ended there."""
    rows = [
        (name, record.seed, *place, visits)
        for name, played in records.items()
        for record in played
        for place, visits in sorted(record.places.items())
    ]
    kinds = {"player": "str", **dict.fromkeys(("episode", "map", "y", "x", "visits"), "int64")}
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def explored(path: Path, findings: Sequence[Finding], title: str, names: Mapping[int, str]) -> Path:
    """Draw where each player went: over the game's own maps, or over plain fields where nobody has drawn them."""
    counts = [(finding.name, finding.places) for finding in findings]
    game = game_of_title(title)
    drawn = game.atlas() if game is not None and game.atlas is not None else plain_atlas((places for _, places in counts), names)
    draw(drawn, counts).save(path, optimize=True)
    return path


def film(path: Path, envs: ThreadedVectorEnv, perception: Perception, player: Player, record: Record, spec: ScreenSpec) -> None:
    """The episode as a GIF of at most about `FILM_FRAMES` pictures."""
    every = max(1, -(-record.steps // FILM_FRAMES))
    panel = Panel(spec, record.steps, min(record.progress), max(record.progress))
    moments = list(replay(envs, perception, player, record, every=every))
    reconstructions = perception.reconstruct(np.stack([moment.frame for moment in moments]))
    places = [min(place * every, record.steps) for place in range(len(moments))]
    write_gif(path, (panel.draw(*shown) for shown in zip(moments, reconstructions, places, strict=True)))
