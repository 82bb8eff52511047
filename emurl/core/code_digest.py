"""What code a stage can reach, as one digest: a change of it is a change of the result, and no version number can be forgotten.

The digest is over the stage's module and every module of its own distribution that it imports, directly or through others, at the top or
inside a function, by an import or by its name in `lazily` and `import_module`. What a row of a game, a pipeline or an agent names is not
followed: the settings choose it, and their `modules()` say so. Data that lies in a package that is reached (maps, a font, addresses) counts
as its code does, whoever of it reads it. Comments, docstrings and blank lines do not count, nor does what only tells
of stages (the table `PIPELINE`, and `METRICS`), unless the code itself reads it; a changed constant does. The core room does not count
either: it moves artifacts, numbers and log lines, and computes nothing that a stage writes. Modules outside the package (torch, numpy,
pyboy) do not count: their versions are pinned in `constraints.txt`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from emurl.core.errors import InputError
from emurl.core.files import sha256_of_file
from emurl.core.registry import KINDS

APART = "emurl.core"  # never part of a digest
TOLD = frozenset({"PIPELINE", "METRICS"})  # a row more, or a better word, changes no result
DOC = "__doc__"
BY_NAME = frozenset({"lazily", "import_module"})  # calls that import the module they are given the name of
ROWS = frozenset(KINDS.values())
# What lies in a package and is read by people and compilers only. A ROM that is built of it is data of its own.
NO_DATA = frozenset({".py", ".pyc", ".pyo", ".pyi", ".md", ".rst", ".c", ".h", ".s", ".asm"})


def code_digest(*modules: str) -> str:
    """sha256 hex over the code that `modules` can reach.

    Raises:
        InputError: some of it is not Python.
    """
    reached = {name: _file(name) for name in sorted(closure(modules))}
    # A docstring is read where it stands (a parser's description), a table from anywhere.
    read = frozenset[str]().union(*(_look(file).read for file in reached.values())) - {DOC}
    told = [f"{name} {source_digest(file, read | _look(file).read)}" for name, file in reached.items()]
    told += [f"{name} {line}" for name, file in reached.items() if file.name == "__init__.py" for line in _data(file.parent)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


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
    """Modules of the same distribution that `module` imports anywhere in its text; one that is not there cannot be reached."""
    tops = (module.partition(".")[0], "emurl")
    package = module if file.is_dir() or file.name == "__init__.py" else module.rpartition(".")[0]
    named = {_absolute(name, package) for name in _look(file).imports}
    return tuple(sorted(name for name in named if name.partition(".")[0] in tops and _is_module(name)))


def _absolute(name: str, package: str) -> str:
    """A module's name without leading dots, as seen from `package`."""
    bare = name.lstrip(".")
    up = len(name) - len(bare) - 1
    if up < 0:
        return bare
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - up], *([bare] if bare else [])])


@cache
def _is_module(name: str) -> bool:
    return _find(name) is not None


def _file(module: str) -> Path:
    file = _find(module)
    assert file is not None, module
    return file


@cache
def _find(module: str) -> Path | None:
    """The file of a module, or the folder of a package without one. Nothing is imported: what is up to date must not wait for torch."""
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded is not None:
        return Path(loaded)
    parent, _, name = module.rpartition(".")
    if not parent:
        spec = importlib.util.find_spec(name)
        places = [] if spec is None else [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
        return next((Path(place) for place in places if place), None)
    package = _find(parent)
    if package is None or not (package.is_dir() or package.name == "__init__.py"):
        return None
    folder = package if package.is_dir() else package.parent
    wanted = (folder / name / "__init__.py", folder / f"{name}.py")
    return next((place for place in wanted if place.is_file()), folder / name if (folder / name).is_dir() else None)


@cache
def _data(package: Path) -> tuple[str, ...]:
    """Name and sha256 of every data file in a package's folder and the folders below that are no packages themselves."""
    found: list[str] = []
    for folder, folders, names in os.walk(package):
        here = Path(folder)
        folders[:] = [
            name for name in folders if name[0] != "." and name != "__pycache__" and not (here / name / "__init__.py").exists()
        ]
        for name in names:
            file = here / name
            if Path(name).suffix.lower() not in NO_DATA and name[0] != "." and name[-1] != "~" and file.is_file():
                found.append(f"{file.relative_to(package).as_posix()} {sha256_of_file(file)}")
    return tuple(sorted(found))


def source_digest(file: Path, read: frozenset[str] = frozenset()) -> str:
    """sha256 hex of what a Python file does; see `bare`. Of a compiled module, of its bytes."""
    return hashlib.sha256(_bare(_parse(file), read).encode()).hexdigest() if read else _look(file).digest


@dataclass(frozen=True)
class _Source:
    """What is seen in a file.

    Attributes:
        imports: modules that it names, as they are written. read: what of `TOLD` and the docstrings it reads. digest: of what it does.
    """

    imports: frozenset[str]
    read: frozenset[str]
    digest: str


@cache
def _look(file: Path) -> _Source:
    tree = _parse(file)
    imports: set[str] = set()
    read: set[str] = set()
    for statement in tree.body:
        for node in ast.walk(statement):
            if _name(statement) not in ROWS:
                imports |= set(_named(node))
            if _name(statement) not in TOLD:
                read |= set(_words(node))
    compiled = file.is_file() and file.suffix != ".py"
    content = file.read_bytes() if compiled else _bare(tree, frozenset()).encode()
    return _Source(frozenset(imports), frozenset(read & {*TOLD, DOC}), hashlib.sha256(content).hexdigest())


def _named(node: ast.AST) -> Iterator[str]:
    """Modules that a node imports, or may."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        yield base
        # `from package import name`: the name may be a module of its own.
        yield from (f"{base}{name.name}" if not node.module else f"{base}.{name.name}" for name in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        place = node.args[0].value
        if isinstance(place, str) and {*_words(node.func)} & BY_NAME:
            yield place.partition(":")[0]


def _words(node: ast.AST) -> Iterator[str]:
    """Names that a node reads, also as a string: `getattr(module, "METRICS")`."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.ImportFrom):
        yield from (name.name for name in node.names)


def _parse(file: Path) -> ast.Module:
    if file.suffix != ".py":
        return ast.Module(body=[], type_ignores=[])
    try:
        return ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        where = f" at line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InputError(f"{file}: not Python{where} ({reason}), expected a module that can be imported") from None


def bare(source: str | bytes, read: frozenset[str] = frozenset()) -> str:
    """What Python source does, as text that every version of Python agrees on: without comments, docstrings, `PIPELINE` and `METRICS`.

    Args:
        read: what of these counts all the same (`__doc__`: docstrings), because some code reads it.
    """
    return _bare(ast.parse(source), read)


def _bare(tree: ast.Module, read: frozenset[str]) -> str:
    dropped = {id(statement) for statement in tree.body if _name(statement) in TOLD - read}
    told: list[str] = []
    _tell(tree, dropped, DOC in read, told)
    return "".join(told)


_NOTHING = ast.Expr(ast.Constant(...))


def _tell(value: object, dropped: set[int], docs: bool, told: list[str]) -> None:
    """Write a node out. `ast.dump` would do, were it the same for every version of Python: what is empty is left out here."""
    if isinstance(value, ast.AST):
        told.append(f"{type(value).__name__}(")
        for name, part in ast.iter_fields(value):
            if name == "body" and isinstance(part, list):
                # Strings that stand alone after a name explain it: they are as idle as a docstring.
                kept = [one for one in part if id(one) not in dropped and (docs or not _idle(one))]
                part = kept or ([] if isinstance(value, ast.Module) else [_NOTHING])
            if part is None or part == [] or name in ("kind", "type_comment"):
                continue
            told.append(f"{name}=")
            _tell(part, dropped, docs, told)
        told.append(")")
    elif isinstance(value, list):
        for one in value:
            _tell(one, dropped, docs, told)
            told.append(",")
    else:
        told.append(f"{type(value).__name__} {hex(value) if type(value) is int else ascii(value)} ")


def _idle(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    )


def _name(statement: ast.stmt) -> str:
    """What a statement gives a value to, where it is one name."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    target = statement.target if isinstance(statement, ast.AnnAssign) else targets[0] if len(targets) == 1 else None
    return target.id if isinstance(target, ast.Name) else ""
