"""Versions side by side: what was set differently, and what came out."""

from __future__ import annotations

from typing import Any

from emurl.core.changes import flatten
from emurl.core.errors import InputError
from emurl.core.store import Artifact


def side_by_side(artifacts: list[Artifact]) -> dict[str, Any]:
    """`{refs, settings, metrics}`; settings hold only keys that differ, each with one value a version.

    Raises:
        InputError: the versions are of different stages.
    """
    stages = sorted({artifact.stage for artifact in artifacts})
    if len(stages) > 1:
        raise InputError(f"compare: versions of {' and '.join(stages)}, expected versions of one stage")
    settings = [flatten({**artifact.settings, "parents": artifact.parents}) for artifact in artifacts]
    metrics = [artifact.metrics for artifact in artifacts]
    changed = {
        key: [one.get(key) for one in settings]
        for key in _keys(settings)
        if any(one.get(key) != settings[0].get(key) for one in settings)
    }
    return {
        "refs": [artifact.ref for artifact in artifacts],
        "settings": changed,
        "metrics": {key: [one.get(key) for one in metrics] for key in _keys(metrics)},
    }


def _keys(tables: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for table in tables for key in table))


def as_text(table: dict[str, Any]) -> str:
    """The comparison as columns."""
    lines = [["", *table["refs"]]]
    for title in ("settings", "metrics"):
        rows = [[key, *(_short(value) for value in values)] for key, values in table[title].items()]
        lines += [[f"{title}:"], *(rows or [["(the same)"]])]
    width = max((len(row[0]) for row in lines), default=0)
    return "\n".join((row[0].ljust(width) + "".join(f"  {cell:>16}" for cell in row[1:])).rstrip() for row in lines)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
