"""What there is to choose from: pipelines, games, agents. Each is one folder or module below its package, found by looking.

`emurl.games` is searched for modules with a `GAME`, `emurl.pipelines` for a `PIPELINE`, `emurl.agents` for an `AGENT`: one row, or
a tuple of rows. Another distribution adds its own through the entry points `emurl.games`, `emurl.pipelines` and
`emurl.agents`. Searching imports those modules, so what they need that is heavy is imported inside their functions.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from emurl.core.errors import InputError

KINDS = {"games": "GAME", "pipelines": "PIPELINE", "agents": "AGENT"}


def discover(kind: str) -> dict[str, Any]:
    """Everything of a `kind` (games, pipelines, agents) by name, sorted. It is looked for once in the life of a process.

    Raises:
        InputError: two have the same name.
    """
    return dict(_found(kind))


@cache
def _found(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in _rows(kind):
        if one.name in found and found[one.name] is not one:
            raise InputError(f"{kind}: there are two called {one.name}, expected names of their own")
        found[one.name] = one
    return dict(sorted(found.items()))


def find(kind: str, name: str) -> Any:
    """The one of a `kind` called `name`.

    Raises:
        InputError: there is none; the line says which there are.
    """
    every = discover(kind)
    if name not in every:
        raise InputError(
            f"{kind.removesuffix('s')} {name!r}: there is no such {kind.removesuffix('s')}, expected one of {', '.join(every)}"
        )
    return every[name]


def _rows(kind: str) -> Iterable[Any]:
    package = importlib.import_module(f"emurl.{kind}")
    for module in pkgutil.iter_modules(package.__path__):
        rows = getattr(importlib.import_module(f"emurl.{kind}.{module.name}"), KINDS[kind], ())
        yield from rows if isinstance(rows, tuple) else (rows,)
    for entry in entry_points(group=f"emurl.{kind}"):
        rows = entry.load()
        yield from rows if isinstance(rows, tuple) else (rows,)


def lazily(place: str) -> Callable[..., Any]:
    """A function that imports `module:name` when it is first called, and calls it: rows stay light that way."""
    module, _, name = place.partition(":")

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    call.__qualname__ = call.__name__ = name
    call.__module__ = module
    return call


def module_of(function: Any) -> str:
    """The module in which what a row names is written, also where it is only imported when called."""
    return str(function.__module__)
