"""What code a stage can reach, as one digest: a change of it is a change of the result, and no version number can be forgotten.

The digest is over the stage's module and every module of its own distribution that it imports, directly or through others, at the top or
inside a function. Comments, docstrings and blank lines do not count, nor does what only tells of stages (the table `PIPELINE`, and
`METRICS`); a changed constant does. The core room does not count either:
it moves artifacts, numbers and log lines, and computes nothing that a stage writes. Modules outside the package (torch, numpy,
pyboy) do not count: their versions are pinned in `constraints.txt`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import sys
import tokenize
from functools import cache
from pathlib import Path

APART = "emurl.core"  # never part of a digest
TOLD = ("PIPELINE", "METRICS")  # a row more, or a better word, changes no result


def code_digest(*modules: str) -> str:
    """sha256 hex over the code that `modules` can reach."""
    reached = sorted(closure(modules))
    told = "\n".join(f"{name} {source_digest(_file(name))}" for name in reached)
    return hashlib.sha256(told.encode()).hexdigest()


def closure(modules: tuple[str, ...]) -> set[str]:
    """The modules reached from `modules` by import, themselves and the packages they lie in included."""
    waiting, reached = list(modules), set()
    while waiting:
        name = waiting.pop()
        if name in reached or name == APART or name.startswith(f"{APART}."):
            continue
        reached.add(name)
        waiting += _imports(name, _file(name))
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append(parent)
    return reached


@cache
def _imports(module: str, file: Path) -> tuple[str, ...]:
    """Modules of the same distribution that `module` imports anywhere in its text."""
    top = module.partition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.partition(".")[0] in (top, "emurl")}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in (top, "emurl"):
            found.add(node.module)
            # `from package import name`: the name may be a module of its own.
            found |= {full for name in node.names if _is_module(full := f"{node.module}.{name.name}")}
    return tuple(sorted(found))


@cache
def _is_module(name: str) -> bool:
    return _find(name) is not None


def _file(module: str) -> Path:
    file = _find(module)
    assert file is not None, module
    return file


@cache
def _find(module: str) -> Path | None:
    """The file of a module. Nothing is imported: a stage that is up to date must not wait for torch."""
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded is not None:
        return Path(loaded)
    parent, _, name = module.rpartition(".")
    if not parent:
        spec = importlib.util.find_spec(name)
        return Path(spec.origin) if spec is not None and spec.origin is not None else None
    package = _find(parent)
    if package is None or package.name != "__init__.py":
        return None
    places = (package.parent / name / "__init__.py", package.parent / f"{name}.py")
    return next((place for place in places if place.is_file()), None)


@cache
def source_digest(file: Path) -> str:
    """sha256 hex of a Python file without its comments, docstrings and blank lines."""
    return hashlib.sha256(bare(file.read_text(encoding="utf-8")).encode()).hexdigest()


def bare(source: str) -> str:
    """Python source without comments, docstrings, blank lines, `PIPELINE` and `METRICS`; the same text for every version of Python."""
    lines = source.splitlines()
    tree = ast.parse(source)
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and _name(statement) in TOLD:
            for number in range(statement.lineno - 1, statement.end_lineno or statement.lineno):
                lines[number] = ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            # Strings that stand alone after a name explain it: they are as idle as a docstring.
            for one in node.body:
                if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str):
                    only = one is first and len(node.body) == 1
                    for number in range(one.lineno - 1, one.end_lineno or one.lineno):
                        lines[number] = ""
                    if only:
                        lines[one.lineno - 1] = " " * one.col_offset + "..."
    text = "\n".join(lines) + "\n"
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(stripped for line in lines if (stripped := line.rstrip()))


def _name(statement: ast.Assign | ast.AnnAssign) -> str:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    return target.id if isinstance(target, ast.Name) else ""
