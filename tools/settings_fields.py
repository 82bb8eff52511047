"""What a settings class says of its fields: type, default, range, meaning (the comment beside the field), part in the fingerprint."""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from emurl.core import settings
from emurl.core.settings import Settings

BOUNDS = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))


@dataclass(frozen=True)
class Field:
    """One row of the settings reference, in Markdown."""

    key: str
    kind: str
    default: str
    range: str
    meaning: str
    fingerprint: str


def fields_of(cls: type[Settings], prefix: str = "", leave_out: frozenset[str] = frozenset()) -> Iterator[Field]:
    """The fields of a settings class and of the classes in it, each with its whole key.

    Args:
        prefix: what stands before the keys, `reward` for example. leave_out: fields of `cls` that are told elsewhere.
    """
    for name, info in cls.model_fields.items():
        if name in leave_out:
            continue
        key = f"{prefix}.{name}" if prefix else name
        section = section_of(cls, name)
        if section is not None:
            if info.default is None:
                yield Field(key, "section", "none", "", meaning_of(cls, name) or _first_line(section), "")
            yield from fields_of(section, key)
        else:
            yield Field(
                key, kind_of(info.annotation), default_of(info), range_of(info), meaning_of(cls, name), told_by(cls, name, info)
            )


def section_of(cls: type[Settings], name: str) -> type[Settings] | None:
    """The settings class that a field holds (also in `X | None`), None for a plain value."""
    return settings.section_of(cls.model_fields[name].annotation)


def kind_of(annotation: Any) -> str:
    """A type as people say it: `int`, `"a"` or `"b"`, `list[str]`."""
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join("none" if one is type(None) else kind_of(one) for one in get_args(annotation))
    if hasattr(annotation, "__metadata__"):  # Annotated
        return kind_of(get_args(annotation)[0])
    if origin in (list, tuple, dict):
        inner = ", ".join("…" if one is Ellipsis else kind_of(one) for one in get_args(annotation))
        return f"{origin.__name__}[{inner}]"
    return str(getattr(annotation, "__name__", annotation))


def default_of(info: FieldInfo) -> str:
    """The default, as it is written in YAML."""
    value = info.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if isinstance(value, str) and value else str(value) if value != "" else "empty"


def range_of(info: FieldInfo) -> str:
    """The bounds of a number: `> 0`, `0 … 1`."""
    bounds: dict[str, Any] = {}
    for told in [*info.metadata, *_metadata(info.annotation)]:
        bounds |= {name: getattr(told, name) for name, _ in BOUNDS if getattr(told, name, None) is not None}
    if set(bounds) == {"ge", "le"}:
        return f"{bounds['ge']:g} … {bounds['le']:g}"
    return ", ".join(f"{sign} {bounds[name]:g}" for name, sign in BOUNDS if name in bounds)


def _metadata(annotation: Any) -> Iterator[Any]:
    for one in (annotation, *get_args(annotation)):
        for told in getattr(one, "__metadata__", ()):
            yield from getattr(told, "metadata", (told,))


def told_by(cls: type[Settings], name: str, info: FieldInfo) -> str:
    """Whether a field decides the result: `yes`, `no`, or `content` for a path whose file does."""
    extra = info.json_schema_extra
    if not (isinstance(extra, dict) and extra.get("fingerprint") is False):
        return "yes"
    return "content" if _is_file(cls, name) else "no"


def _is_file(cls: type[Settings], name: str) -> bool:
    """Whether `files()` of the class speaks of the field."""
    for one in cls.__mro__:
        if "files" in vars(one) and one is not Settings:
            return f'"{name}"' in inspect.getsource(vars(one)["files"])
    return False


def meaning_of(cls: type[Settings], name: str) -> str:
    """The comment beside a field or above it, of the class itself or of the nearest one it comes from."""
    for one in cls.__mro__:
        if issubclass(one, Settings) and one is not Settings:
            told = comments_of(one).get(name)
            if told:
                return told
    return ""


@cache
def comments_of(cls: type[Settings]) -> dict[str, str]:
    """Comments by field: those on the lines of the field, and those on lines of their own right above it."""
    file = inspect.getsourcefile(cls)
    if file is None:
        return {}
    source = Path(file).read_text(encoding="utf-8")
    node = next((one for one in ast.walk(ast.parse(source)) if isinstance(one, ast.ClassDef) and one.name == cls.__name__), None)
    if node is None:
        return {}
    comments, alone = _comments(source)
    told = {}
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            first = field.lineno
            while first - 1 in alone:
                first -= 1
            lines = [comments[line] for line in range(first, (field.end_lineno or field.lineno) + 1) if line in comments]
            told[field.target.id] = " ".join(lines)
    return told


def _comments(source: str) -> tuple[dict[int, str], set[int]]:
    """Comments by line, and the lines that hold nothing else. What is for tools (`noqa`, `fmt`) is none."""
    comments: dict[int, str] = {}
    alone: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        text = token.string.lstrip("#").strip()
        if text.startswith(("noqa", "fmt:", "type:")):
            continue
        comments[token.start[0]] = text
        if not token.line[: token.start[1]].strip():
            alone.add(token.start[0])
    return comments, alone


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().split("\n")[0].rstrip(".")
