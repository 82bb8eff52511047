"""What there is to choose from: pipelines, games, agents. Each is one folder or module below its package, found by looking.

`emurl.games` is searched for modules with a `GAME`, `emurl.pipelines` for a `PIPELINE`, `emurl.agents` for an `AGENT`: one row, or
a tuple of rows. Another distribution adds its own through the entry points `emurl.games`, `emurl.pipelines` and
`emurl.agents`. Searching imports those modules, so what they need that is heavy is imported inside their functions.
"""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from emurl.core.errors import InputError

KINDS = {"games": "GAME", "pipelines": "PIPELINE", "agents": "AGENT"}


def discover(kind: str) -> dict[str, Any]:
    """Everything of a `kind` (games, pipelines, agents) by name, sorted. It is looked for once in the life of a process.

    Raises:
        InputError: a module cannot be used, or two have the same name. Whoever asked for all of them must not go on without one.
    """
    found, problems = _found(kind)
    if problems:
        raise InputError("; ".join(problems))
    return dict(found)


def usable(kind: str) -> dict[str, Any]:
    """As `discover`, without what cannot be used."""
    return dict(_found(kind)[0])


def find(kind: str, name: str) -> Any:
    """The one of a `kind` called `name`, whatever is wrong with others.

    Raises:
        InputError: there is none; the line says which there are, or what cannot be used.
    """
    found, problems = _found(kind)
    if name not in found:
        one = kind.removesuffix("s")
        told = "".join(f"; {problem}" for problem in problems)
        raise InputError(f"{one} {name!r}: there is no such {one}, expected one of {', '.join(found)}{told}")
    return found[name]


@cache
def _found(kind: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What can be used, and what is wrong with the rest."""
    found: dict[str, Any] = {}
    problems: list[str] = []
    double: set[str] = set()
    for place, read in _places(kind):
        try:
            for one in _rows(read(), KINDS[kind]):
                if found.setdefault(one.name, one) is not one:
                    double.add(one.name)
        except InputError as error:
            problems.append(f"{place}: {error}")
        except Exception as error:
            problems.append(f"{place}: cannot be imported ({explain_import(error)}), expected a module that can")
    problems += [f"{kind}: there are two called {name}, expected names of their own" for name in sorted(double)]
    return {name: found[name] for name in sorted(found) if name not in double}, tuple(problems)


def _places(kind: str) -> Iterable[tuple[str, Callable[[], Any]]]:
    """Every module or entry point that may hold rows, and what reads them."""
    package = importlib.import_module(f"emurl.{kind}")
    for module in pkgutil.iter_modules(package.__path__):
        name = f"emurl.{kind}.{module.name}"
        yield name, partial(_row_of, name, KINDS[kind])
    for entry in entry_points(group=f"emurl.{kind}"):
        yield f"entry point {entry.name} ({entry.value})", entry.load


def _row_of(module: str, row: str) -> Any:
    return getattr(importlib.import_module(module), row, ())


def _rows(rows: Any, row: str) -> tuple[Any, ...]:
    every = rows if isinstance(rows, tuple) else (rows,)
    for one in every:
        if not isinstance(getattr(one, "name", None), str):
            raise InputError(f"{row} is a {type(one).__name__}, expected a row with a name, or a tuple of rows")
    return every


def explain_import(error: BaseException) -> str:
    """Why a module could not be imported, and where, in one line."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error}"  # it says where
    own = Path(__file__).parent
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and Path(frame.filename).parent != own
    ]
    where = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


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
