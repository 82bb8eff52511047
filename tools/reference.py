"""Writes the reference pages of `docs/` from the code: settings, metrics, command line, and the list of API pages.

    python -m tools.reference            write docs/settings.md, docs/metrics.md, docs/cli.md and docs/api/
    python -m tools.reference --check    write nothing; exit 1 and say which page is out of date

Settings come from the classes of every pipeline's stages; what a key means is the comment beside the field. Metrics come from
the `METRICS` of the stages' modules. Commands come from the parser itself.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from emurl.cli import build_parser
from emurl.core.config import Config
from emurl.core.pipeline import Pipeline
from emurl.core.registry import discover
from emurl.core.settings import Settings
from tools.settings_fields import Field, fields_of, section_of

ROOT = Path(__file__).resolve().parents[1]
MADE = "<!-- Made by `python -m tools.reference` (`make docs`) from the code. Do not edit. -->\n"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines) + "\n"


# --- settings ------------------------------------------------------------------------------------------------------


def settings_page() -> str:
    """docs/settings.md: every key of every pipeline's settings files."""
    parts = [
        MADE,
        "# Settings",
        "A settings file is YAML: one section a stage, named as in the pipeline's table. A key is set in the file or with"
        " `--set section.key=value`. What stands at the top of the file under one of the shared names goes to every stage that"
        " has a field of that name, unless its own section says otherwise.",
        "*Fingerprint* tells whether the value decides the result: when it changes, the stage runs again. The other keys say"
        " where and how fast. A key marked *content* names a file: its content is in the fingerprint, not its path.",
        "## Every pipeline",
        _fields_table([_of_all(field) for field in fields_of(Config)]),
    ]
    for pipeline in discover("pipelines").values():
        parts += _pipeline_settings(pipeline)
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _of_all(field: Field) -> Field:
    """A key of every file counts in a fingerprint only where stages are given it."""
    shared = {name for pipeline in discover("pipelines").values() for name in pipeline.shared}
    told = field.fingerprint if field.key in shared | {"pipeline"} else "no"
    return replace(field, fingerprint=told)


def _pipeline_settings(pipeline: Pipeline) -> Iterator[str]:
    yield f"## Pipeline `{pipeline.name}`"
    shared = ", ".join(f"`{name}`" for name in pipeline.shared)
    yield f"{_sentence(pipeline.summary)}" + (f" Shared by its stages: {shared}." if shared else "")
    sections: dict[str, type[Settings]] = {}
    for stage in pipeline.stages:
        for name in stage.settings.model_fields:
            section = section_of(stage.settings, name)
            if section is not None and name in pipeline.shared:
                sections.setdefault(name, section)
    for name, section in sections.items():
        absent = all(
            stage.settings.model_fields[name].default is None for stage in pipeline.stages if name in stage.settings.model_fields
        )
        yield f"### `{name}` (shared{', absent by default' if absent else ''})"
        yield _summary(section)
        yield _fields_table(list(fields_of(section, name)))
    for stage in pipeline.stages:
        yield f"### `{stage.name}`"
        yield _summary(stage.settings)
        yield _fields_table(list(fields_of(stage.settings, stage.name, leave_out=frozenset(sections))))
        here = [f"`{name}`" for name in stage.settings.model_fields if name in sections]
        if here:
            yield f"And what it shares with others: {', '.join(here)}."
        old = dict(_renamed(stage.settings, stage.name))
        if old:
            yield "Old names, still read for one version: " + ", ".join(f"`{was}` → `{now}`" for was, now in old.items()) + "."


def _renamed(cls: type[Settings], prefix: str) -> Iterator[tuple[str, str]]:
    for was, now in cls.renamed.items():
        yield f"{prefix}.{was}", f"{prefix}.{now}"
    for name in cls.model_fields:
        section = section_of(cls, name)
        if section is not None:
            yield from _renamed(section, f"{prefix}.{name}")


def _fields_table(fields: list[Field]) -> str:
    head = ("key", "type", "default", "range", "meaning", "fingerprint")
    rows = [(f"`{f.key}`", f.kind, f.default, f.range, f.meaning, f.fingerprint) for f in fields]
    return table(head, rows)


def _summary(cls: type) -> str:
    text = (cls.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.split())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


# --- metrics -------------------------------------------------------------------------------------------------------


def metrics_of(module: str) -> dict[str, str]:
    """The `METRICS` of a stage's module: what each metric it publishes means. A name may hold `*` for what only a run tells."""
    found: dict[str, str] = getattr(importlib.import_module(module), "METRICS", {})
    return found


def split_metric(text: str) -> tuple[str, str, str]:
    """(better, meaning, beside) of a metric's text: `↑ meaning; beside BASELINE` or `↓ …`; neither arrow where nothing is better."""
    arrow = text[0] if text[:1] in "↑↓" else ""
    rest = text[len(arrow) :].strip()
    meaning, _, beside = rest.partition("; beside ")
    return arrow, meaning, beside


def metrics_page() -> str:
    """docs/metrics.md: what every published number means."""
    parts = [
        MADE,
        "# Metrics",
        "What the numbers in a manifest (`emurl artifacts show REF`), in the closing table and in the report mean. ↑ more is"
        " better, ↓ less is better, no arrow: neither. A number that claims something stands beside a baseline measured in the"
        " same run. Shares and accuracies are 0 … 1. The headline of a stage is in bold.",
    ]
    for pipeline in discover("pipelines").values():
        parts.append(f"## Pipeline `{pipeline.name}`")
        for stage in pipeline.stages:
            rows = []
            for name, text in metrics_of(stage.module).items():
                arrow, meaning, beside = split_metric(text)
                rows.append((f"**`{name}`**" if name == stage.headline else f"`{name}`", arrow, meaning, beside))
            parts += [f"### `{stage.name}`", _sentence(stage.summary), table(("metric", "better", "meaning", "beside"), rows)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


# --- command line --------------------------------------------------------------------------------------------------


def cli_page() -> str:
    """docs/cli.md: every word and option of `emurl`."""
    parser = build_parser()
    parts = [
        MADE,
        "# Command line",
        parser.description or "",
        "Exit codes: 0 done, 1 the work failed, 2 the input or the settings are wrong (one line names the key, file or URL and"
        " what was expected), 130 interrupted, 143 terminated. With `--json` stdout holds one JSON document and nothing else; progress and"
        " log lines go to stderr.",
        _arguments(parser),
    ]
    parts += _words(parser, "emurl", "##")
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def _words(parser: argparse.ArgumentParser, prefix: str, level: str) -> Iterator[str]:
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for word, inner in action.choices.items():
            yield f"{level} `{prefix} {word}`"
            yield _sentence(helps.get(word, ""))
            if any(isinstance(one, argparse._SubParsersAction) for one in inner._actions):
                yield from _words(inner, f"{prefix} {word}", f"{level}#")
            else:
                yield f"```\n{_usage(inner, f'{prefix} {word}')}\n```"
                yield _arguments(inner)


def _named(action: argparse.Action) -> str:
    """An argument as people type it: `--set KEY=VALUE`, `STAGE`."""
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None and action.metavar is None:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    if not action.option_strings:
        return value
    long = action.option_strings[-1]
    return long if action.nargs == 0 else f"{long} {value}"


def _shown(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    hidden = argparse._HelpAction | argparse._SubParsersAction
    return [one for one in parser._actions if not isinstance(one, hidden) and one.help is not argparse.SUPPRESS]


def _usage(parser: argparse.ArgumentParser, prefix: str) -> str:
    words = [prefix]
    for action in sorted(_shown(parser), key=lambda one: bool(one.option_strings)):
        name = _named(action)
        if action.option_strings:
            words.append(name if action.required else f"[{name}]")
        else:
            shape = {"*": f"[{name} ...]", "+": f"{name} [{name} ...]", "?": f"[{name}]"}
            words.append(shape.get(str(action.nargs), name))
    return " ".join(words)


def _arguments(parser: argparse.ArgumentParser) -> str:
    rows = []
    for action in _shown(parser):
        meaning = (action.help or "").replace("%(prog)s", parser.prog).replace("%%", "%")
        rows.append((f"`{_named(action)}`", meaning))
    return table(("argument", "meaning"), rows) if rows else ""


# --- API -----------------------------------------------------------------------------------------------------------

API = {
    "core": "the pipeline engine, the store, settings, logging",
    "screen": "what a frame is",
    "models": "networks",
    "envs": "environments",
    "rewards": "what a rollout is paid for",
    "agents": "who acts and learns",
    "training": "the loops that train",
    "footage": "from a leaderboard to frames",
    "games": "what one game is",
    "report": "pages, films, maps",
}


def api_pages() -> dict[str, str]:
    """docs/api/*.md by name: a page a room, whose contents Sphinx takes from the docstrings."""
    pages = {}
    for room, what in API.items():
        parts = [MADE, f"# `emurl.{room}`: {what}"]
        for module in modules_of(room):
            parts += [f"## `{module}`", f"```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n```"]
        pages[room] = "\n\n".join(part.rstrip("\n") for part in parts) + "\n"
    listed = "\n".join(f"{room}" for room in API)
    pages["index"] = f"{MADE}\n# API\n\nOne page a room, from the docstrings.\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    return pages


def modules_of(room: str) -> list[str]:
    """The modules of a room by name; those whose name begins with an underscore are left out."""
    place = ROOT / "emurl" / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    names = []
    for file in files:
        parts = list(file.relative_to(ROOT).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        if not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return sorted(names)


def pages() -> dict[str, str]:
    """The committed pages, by their path below docs/."""
    return {"settings.md": settings_page(), "metrics.md": metrics_page(), "cli.md": cli_page()}


def main(argv: list[str] | None = None) -> int:
    """Write the pages, or with --check say which are out of date."""
    parser = argparse.ArgumentParser(description="Write the reference pages of docs/ from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a committed page is out of date")
    args = parser.parse_args(argv)
    docs = ROOT / "docs"
    if args.check:
        stale = [name for name, text in pages().items() if (docs / name).read_text(encoding="utf-8") != text]
        for name in stale:
            print(f"docs/{name} is out of date: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    (docs / "api").mkdir(exist_ok=True)
    for name, text in [*pages().items(), *((f"api/{name}.md", text) for name, text in api_pages().items())]:
        (docs / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
