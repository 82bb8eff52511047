"""The report: one HTML file that says what was learned, how, and from what. It needs no network and no other file."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from emurl.core.artifact import MANIFEST, Artifact, read_manifest, split_ref
from emurl.report.charts import COLORS, Line, bar_chart, line_chart, number
from emurl.report.style import STYLE
from emurl.training.scores import Rules, Score, percent, shown, told

MIME = {".png": "image/png", ".gif": "image/gif", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}
HISTORY = "history.json"  # what a stage's trainings measured on the way
WATCHED = "course/watched.json"  # a judge's progress over held-out runs
# Pictures that stages leave, by the names of their files: what they are called, what is to be seen, and whether they are wide.
CAPTIONS = {
    "screens": ("The screens that were found", "each video's moments, framed where the game is", True),
    "splits": ("Splits", "what the median of the held-out runs shows at each moment that all runs have in common", True),
    "strangeness": ("Out of distribution", "how strange a held-out run is to the detector; what is flagged is red", True),
    "reconstruction": ("Reconstructions", "held-out frames, and beside each the same out of its 90 tokens", False),
    "codebook": ("Codebook", "what each token draws", False),
    "prediction": ("Foreseen", "now, the next frame as the model foresees it, the next as it was", False),
    "dream": ("Dream", "above what happened, below what the model made up from the same start", True),
    "progress": ("Progress by single frames", "the reward model over the time of held-out runs", False),
}
LEAD = "Learned from other people's speedruns, without a reward from the game."
SEEN = "the screen as its 90 tokens say it"
SPEED_METRICS = ("learning_rate", "gradient_norm", "frames_per_second", "return_scale")


@dataclass
class Findings:
    """Everything the page says that is not in a manifest."""

    game: str
    rules: Rules
    milestones: Sequence[str]
    players: Sequence[Score]
    footage_median_steps: float | None = None  # actions a run of the footage takes
    film: Path | None = None
    explored: Path | None = None  # the picture of where they went
    maps: Mapping[int, str] = field(default_factory=dict)
    lead: str = LEAD  # what they learned from
    seen: str = SEEN  # what the film's second picture shows
    course: bool = False  # whether progress is a judge's share of the course, and not a reward model's seconds


def lineage(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """`artifacts` and all they were made from, as far as the store's folder holds it, ancestors first, each once."""
    found: dict[str, Artifact] = {}

    def walk(artifact: Artifact) -> None:
        if artifact.ref in found:
            return
        for _, ref in sorted(artifact.parents.items()):
            parent = _beside(artifact, ref)
            if parent is not None:
                walk(parent)
        found[artifact.ref] = artifact

    for artifact in artifacts:
        walk(artifact)
    return list(found.values())


def _beside(artifact: Artifact, ref: str) -> Artifact | None:
    """The artifact called `ref` in the folder of the store that holds `artifact`; None where it is not there."""
    pipeline, stage, version = split_ref(ref)
    near, root = artifact.local.parent.parent, artifact.local.parent.parent.parent
    # Of the same pipeline, of another one, and as older versions of emurl laid it out.
    for folder in (near / stage, root / pipeline / stage, root / stage):
        file = folder / str(version) / MANIFEST
        if file.is_file():
            manifest = read_manifest(file.read_bytes(), str(file))
            if manifest["pipeline"] == pipeline:
                return Artifact(file.parent, manifest)
    return None


def build(findings: Findings, artifacts: Sequence[Artifact], settings: Mapping[str, Any]) -> str:
    """The page. `artifacts` as from `lineage`, in the order to show them; `settings` are the evaluation's own."""
    sections = [
        _head(findings),
        _film(findings),
        _milestones(findings),
        _progress(findings),
        _explored(findings),
        _judge(artifacts),
        _pictures(artifacts),
        _pipeline(artifacts),
        _training(artifacts),
        _settings(artifacts, settings),
    ]
    return document(findings.game, "".join(sections))


def document(title: str, body: str) -> str:
    """A whole page (HTML) in the report's style, which needs no other file; `body` is HTML already."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>emurl: {escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )


def _section(title: str, body: str, note: str = "") -> str:
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{said}{body}</section>"


def embed(path: Path, alt: str) -> str:
    """A picture within the page."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{escape(alt, quote=True)}" src="data:{MIME[path.suffix]};base64,{data}">'


def _legend(names: Sequence[str]) -> str:
    entries = "".join(f'<span><i class="swatch c{place}"></i>{escape(name)}</span>' for place, name in enumerate(names))
    return f'<p class="legend">{entries}</p>'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already; the first column is text, the others numbers."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(count: int) -> str:
    return f"{number(count)} cell{'' if count == 1 else 's'}"


def _small(text: str) -> str:
    return f"<span class='sub'>{escape(text)}</span>"


def _beside_it(share: str, steps: float | None) -> str:
    """A share, and below it the steps it took, if anybody got there."""
    return share if steps is None else f"{share}<br>{_small(f'in {number(steps)}')}"


def _head(findings: Findings) -> str:
    tiles = []
    for place, player in enumerate(findings.players):
        lines = [f"{percent(player.success_rate)} reach the goal"]
        if player.success_rate_sticky is not None:
            lines.append(f"{percent(player.success_rate_sticky)} with sticky actions")
        if player.milestone_mean is not None:
            lines.append(f"{player.milestone_mean.value:.1f} of {len(findings.milestones)} milestones")
        share = "–" if player.success_rate is None else f"{player.success_rate.value:.0%}"
        said = "".join(f'<div class="sub">{line}</div>' for line in lines)
        tiles.append(
            f'<div class="tile"><div class="who"><i class="swatch c{place}"></i>{escape(player.name)}</div>'
            f'<div class="figure">{share}</div>{said}</div>'
        )
    return (
        f"<header><p class='brand'>emurl</p><h1>{escape(findings.game)}</h1>"
        f"<p class='lead'>{escape(findings.lead)} At most "
        f"{number(findings.rules.max_steps)} actions from power-on, the same dice for all. "
        f"{escape(told(findings.rules, findings.footage_median_steps))}.</p>"
        f"<div class='tiles'>{''.join(tiles)}</div></header>"
    )


def _film(findings: Findings) -> str:
    if findings.film is None:
        return ""
    judged = "progress Φ · " if any(player.curve for player in findings.players) else ""
    caption = f"screen · {escape(findings.seen)} · {judged}how likely each button was"
    return _section(
        "The agent plays",
        f"<figure><div class='scroll film' tabindex='0'>{embed(findings.film, 'the agent plays')}</div>"
        f"<figcaption>{caption}</figcaption></figure>",
    )


def _milestones(findings: Findings) -> str:
    if not findings.milestones:
        return _section("Milestones", "<p>This game has no reader: milestones are not known, progress is.</p>")
    series = {player.name: [player.past[name].value for name in findings.milestones] for player in findings.players}
    header = ["milestone", *(player.name for player in findings.players)]
    rows = []
    for name in findings.milestones:
        # One column a player: with two, four players do not fit on a screen.
        cells = [_beside_it(player.past[name].percent, player.steps_to[name]) for player in findings.players]
        rows.append([escape(name.replace("_", " ")), *cells])
    chart = bar_chart(findings.milestones, series, "share of episodes that reach each milestone")
    goal = [
        [escape(player.name), shown(player.median_steps), shown(player.milestone_mean), shown(player.coverage)]
        for player in findings.players
    ]
    table = _table(["player", "actions to the goal, median", "milestones, mean", "cells walked, mean"], goal)
    note = (
        "Share of episodes without sticky actions that got there, read from memory, with its 95% interval; below it the actions they took, "
        "median."
    )
    return _section("Milestones", _legend(list(series)) + _wide(chart) + _table(header, rows) + table, note)


def _progress(findings: Findings) -> str:
    lines = [Line(player.name, range(len(player.curve)), player.curve, place) for place, player in enumerate(findings.players)]
    rows = []
    for player in findings.players:
        favorite = max(player.buttons, key=lambda name: player.buttons[name]) if player.buttons else "–"
        share = player.buttons.get(favorite, 0.0)
        cells = [shown(player.progress), percent(player.still), percent(player.loops), f"{escape(favorite)} {share:.0%}"]
        rows.append([escape(player.name), *cells])
    table = _table(["player", "Φ at the end", "actions that changed nothing", "actions in loops", "favorite button"], rows)
    if not any(player.curve for player in findings.players):
        return _section("How they play", table, "Shares of all actions; nobody judged progress.")
    chart = line_chart(lines, "mean progress after each action", "action", 760, 260)
    unit = "the judge's share of the course, 0 … 1" if findings.course else "of the reward model, in seconds of a speedrun"
    note = f"Mean Φ over the episodes, {unit}; an ended episode keeps its last value."
    return _section("Progress", _legend([player.name for player in findings.players]) + _wide(chart) + table, note)


def _explored(findings: Findings) -> str:
    numbers = sorted({place[0] for player in findings.players for place in player.places})
    if not numbers:
        return ""
    picture = ""
    if findings.explored is not None:
        picture = (
            f'<figure class="wide"><div class="scroll map" tabindex="0">'
            f"{embed(findings.explored, 'where each player went, by walking cell')}</div></figure>"
        )
    header = ["place", *(player.name for player in findings.players)]
    rows = []
    for which in numbers:
        cells = [escape(findings.maps.get(which, f"map {which}"))]
        for player in findings.players:
            counts = [count for place, count in player.places.items() if place[0] == which]
            total = sum(player.places.values())
            cells.append(f"{sum(counts) / total:.0%} {_small(_cells(len(counts)))}" if counts else "–")
        rows.append(cells)
    note = (
        "Where every action ended, over all episodes: walking cells, the same logarithmic colors for all. In the table the share of a "
        "player's actions, and how many cells it saw."
    )
    return _section("Where they went", picture + _table(header, rows), note)


def _pipeline(artifacts: Sequence[Artifact]) -> str:
    rows = []
    for artifact in artifacts:
        # Manifests of older versions do not tell which metric is the main one.
        headline = artifact.headline or next(iter(artifact.metrics), "")
        value = artifact.metrics.get(headline)
        parents = ", ".join(artifact.parents.values()) or "–"
        listed = "".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(number(v))}</dd></div>" for name, v in sorted(artifact.metrics.items())
        )
        notes = "".join(f'<p class="note">{escape(note)}</p>' for note in artifact.manifest.get("notes", ()))
        details = f"<details><summary>{len(artifact.metrics)} metrics</summary><dl>{listed}</dl>{notes}</details>"
        duration = artifact.manifest.get("duration_s")
        took = f"{duration:.0f} s" if duration is not None else "–"
        cells = [
            f"<b>{escape(artifact.ref)}</b>",
            f"{escape(headline)} <b>{escape(number(value))}</b>",
            took,
            escape(parents),
            details,
        ]
        rows.append(cells)
    return _section("The pipeline", _table(["stage", "headline", "time", "made from", "all it measured"], rows))


def _training(artifacts: Sequence[Artifact]) -> str:
    parts = []
    for artifact in artifacts:
        for run, rows in _histories(artifact).items():
            names = sorted({name for row in rows for name in row} - {"step", *SPEED_METRICS})
            charts = [_curve(name, rows) for name in names if not name.startswith("val_") or name[4:] not in names]
            label = artifact.stage if run in ("", artifact.stage) else f"{artifact.stage}: {run}"
            parts.append(f"<h3>{escape(label)}</h3><div class='curves'>{''.join(charts)}</div>")
    if not parts:
        return ""
    legend = _legend(["training", "held-out videos"])
    return _section("Training", legend + "".join(parts), "Where a number was measured on held-out videos too, both are drawn.")


def _histories(artifact: Artifact) -> dict[str, list[dict[str, float]]]:
    """Training rows by run: the file holds one list, or lists by name."""
    if not (artifact.folder / HISTORY).is_file():
        return {}
    history = artifact.read(HISTORY, _json)
    return {"": history} if isinstance(history, list) else dict(history)


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _curve(name: str, rows: Sequence[Mapping[str, float]]) -> str:
    def points(key: str, color: int) -> Line:
        known = [row for row in rows if key in row]
        return Line(key, [row["step"] for row in known], [row[key] for row in known], color)

    held_out = name.startswith("val_")
    lines = [points(name, 1 if held_out else 0)]
    if not held_out and any(f"val_{name}" in row for row in rows):
        lines.append(points(f"val_{name}", 1))
    shown = name.removeprefix("val_").replace("_", " ")
    return f"<figure>{line_chart(lines, shown, 'step', 340, 170)}<figcaption>{escape(shown)}</figcaption></figure>"


def _pictures(artifacts: Sequence[Artifact]) -> str:
    figures = []
    for artifact in artifacts:
        for path in sorted([*artifact.folder.glob("*.png"), *artifact.folder.glob("dream.gif")]):
            title, about, wide = CAPTIONS.get(path.stem, (path.stem.replace("_", " "), "", False))
            caption = f"<figcaption><b>{escape(title)}</b> {escape(about)} <i>{escape(artifact.ref)}</i></figcaption>"
            picture = f"<div class='scroll wide-picture' tabindex='0'>{embed(path, title)}</div>" if wide else embed(path, title)
            figures.append(f"<figure class='{'full' if wide else 'part'}'>{caption}{picture}</figure>")
    return _section("What the models see", f"<div class='pictures'>{''.join(figures)}</div>") if figures else ""


def _judge(artifacts: Sequence[Artifact]) -> str:
    """The judge's progress over held-out runs, of each artifact that tells of it."""
    parts = []
    for artifact in artifacts:
        if not (artifact.folder / WATCHED).is_file():
            continue
        told = artifact.read(WATCHED, _json)
        lines = [Line(run["run"], run["seconds"], run["progress"], place % COLORS) for place, run in enumerate(told["runs"])]
        rows = [
            [
                escape(run["run"]),
                f"{run['splits_passed']} of {told['splits']}",
                percent_of(run["progress"]),
                f"{number(run['seconds'][-1])} s",
            ]
            for run in told["runs"]
            if run["seconds"]
        ]
        of = int(told.get("held_out", len(lines)))  # older artifacts do not tell
        if of > len(lines):
            parts.append(f'<p class="note">{len(lines)} of the {of} held-out runs of {escape(artifact.ref)}.</p>')
        table = _table(["held-out run", "splits passed", "share of the course at the end", "length"], rows)
        chart = _wide(line_chart(lines, "share of the course the judge has seen", "seconds", 760, 260))
        parts.append(_legend([line.name for line in lines]) + chart + table)
    note = "How far the judge that remembers holds a run to be, shown it from the first frame; its positions were learned without these runs."
    return _section("The judge over held-out runs", "".join(parts), note) if parts else ""


def percent_of(shares: Sequence[float]) -> str:
    """The last of some shares, as people read it."""
    return f"{shares[-1]:.0%}" if shares else "–"


def _wide(chart: str) -> str:
    """A chart that a phone scrolls rather than shrinks until nobody can read it."""
    return f'<div class="scroll chart" tabindex="0">{chart}</div>'


def _settings(artifacts: Sequence[Artifact], settings: Mapping[str, Any]) -> str:
    listed = {artifact.ref: artifact.settings for artifact in artifacts} | {"evaluation": settings}
    blocks = "".join(
        f"<details><summary>{escape(name)}</summary><pre>{escape(json.dumps(values, indent=2))}</pre></details>"
        for name, values in listed.items()
    )
    return _section("Settings", blocks)
