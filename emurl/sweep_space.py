"""What a sweep searches: `KEY=LOW..HIGH`, `KEY=LOW..HIGH:log` or `KEY=a,b,c`, checked against the settings before any work.

A range of a whole-number setting gives whole numbers. Choices are read as the settings read them, so `[1,2],[3]` is two lists.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from emurl.core.config import Config
from emurl.core.errors import InputError
from emurl.core.pipeline import Pipeline, Stage
from emurl.core.refusals import meant, shortly
from emurl.core.settings import Settings, section_of
from emurl.core.yaml_text import hint_for, read_yaml

_NUMBER = r"[-+]?(?:[0-9]{1,30}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,4})?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(:\w*)?")
_WHOLE = re.compile(r"[-+]?[0-9]+")
FORMS = "LOW..HIGH, LOW..HIGH:log or a,b,c"
DIGITS = 6  # of a number that is drawn: as many as a line to paste is pleasant with

Param = int | float | str  # of a choice its text


@dataclass(frozen=True)
class Space:
    """What one key may be.

    Attributes:
        stage: whose key it is. kind: of the numbers from `low` to `high`, or `choice`. log: numbers are drawn evenly by their logarithm.
        choices: as they were written. values: what the settings read there.
    """

    key: str
    stage: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()

    @property
    def told(self) -> str:
        """The space as it may be written."""
        if self.kind == "choice":
            return ",".join(self.choices)
        return f"{written(self.low)}..{written(self.high)}{':log' if self.log else ''}"

    @property
    def count(self) -> int | None:
        """How many values there are; None of a range of real numbers."""
        if self.kind == "float":
            return None
        return len(self.choices) if self.kind == "choice" else int(self.high) - int(self.low) + 1

    def at(self, index: int) -> Param:
        """The value of that place, from 0, where they can be counted."""
        return self.choices[index] if self.kind == "choice" else int(self.low) + index

    def rounded(self, param: Param) -> Param:
        """A number that was drawn, to six digits and still within the range; others as they are."""
        if self.kind != "float":
            return param
        return min(max(float(f"{float(param):.{DIGITS}g}"), self.low), self.high)

    def override(self, param: Param) -> str:
        """`key=value`, as `--set` takes it."""
        return f"{self.key}={written(param)}"

    def value(self, param: Param) -> Any:
        """What the settings make of it."""
        return self.values[self.choices.index(str(param))] if self.kind == "choice" else param


def written(param: Param) -> str:
    """A value in YAML, which wants the point of 1.0e-05."""
    text = param if isinstance(param, str) else repr(param)
    return hint_for(text) or text


def read_space(search: str, pipeline: Pipeline) -> Space:
    """The space that `--search KEY=SPACE` means.

    Raises:
        InputError: the key is unknown or not of a stage, the space is empty, or a value in it is none of the setting.
    """
    key, equals, text = (part.strip() for part in search.partition("="))
    if not equals or not key or not text:
        raise InputError(f"--search {search}: expected KEY=SPACE, the space as {FORMS}")
    stage, field = find_field(key, pipeline)
    kinds = _numbers(field.annotation)
    match = _RANGE.fullmatch(text)
    where = f"--search {key}={text}"
    extra = field.json_schema_extra
    if kinds and isinstance(extra, dict) and extra.get("fingerprint") is False:
        raise InputError(f"{where}: does not decide the result, expected a key that does")
    if match is None:
        return _choices(key, stage, field, text, where)
    if not kinds:
        raise InputError(f"{where}: the setting is no number, expected choices such as a,b,c")
    return _range(key, stage, field, match, "float" if "float" in kinds else "int", where)


def _range(key: str, stage: Stage, field: FieldInfo, match: re.Match[str], kind: Literal["float", "int"], where: str) -> Space:
    ends, scale = match.groups()[:2], match[3]
    if scale not in (None, ":log"):
        raise InputError(f"{where}: {scale} is no scale, expected :log or nothing")
    if kind == "int" and not all(_WHOLE.fullmatch(end) for end in ends):
        raise InputError(f"{where}: the setting is a whole number, expected whole ends such as 1..8")
    low, high = (int(end) if kind == "int" else float(end) for end in ends)
    if not (math.isfinite(low) and math.isfinite(high)) or not low < high:
        raise InputError(f"{where}: an empty range, expected LOW below HIGH")
    if scale and low <= 0:
        raise InputError(f"{where}: the logarithm of {ends[0]} is none, expected LOW above 0 with :log")
    for end in (low, high):
        _check(field, end, where)
    return Space(key, stage.name, kind, low, high, scale is not None)


def _choices(key: str, stage: Stage, field: FieldInfo, text: str, where: str) -> Space:
    if ".." in text and re.match(_NUMBER, text):
        raise InputError(f"{where}: not a range, expected two numbers as in 1e-5..1e-3:log")
    texts = [hint_for(one) or one if "float" in _numbers(field.annotation) else one for one in _split(text)]
    if len(texts) < 2 or not all(texts):
        raise InputError(f"{where}: expected two or more values, the space as {FORMS}")
    values = []
    for one in texts:
        try:
            value = read_yaml(one)
        except yaml.YAMLError:  # as `--set` has it: a word with a colon or a star in it
            value = one
        _check(field, value, where)
        if value in values:
            raise InputError(f"{where}: {one} is there twice, expected it once")
        values.append(value)
    return Space(key, stage.name, "choice", choices=tuple(texts), values=tuple(values))


def _split(text: str) -> list[str]:
    """At commas that are in no brackets and in no quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        depth += 0 if quote else (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _check(field: FieldInfo, value: Any, where: str) -> None:
    # As the class has it: the type, and beside it the bounds and the validators of its annotation.
    whole: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(whole, config=ConfigDict(strict=True, allow_inf_nan=False))
    try:
        adapter.validate_json(json.dumps(value, default=str))
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        raise InputError(f"{where}: {shortly(value)} is no value of {where.split()[1].partition('=')[0]}: {message}") from None


def _numbers(annotation: Any) -> set[str]:
    """Which of `int` and `float` an annotation admits; bool is no number."""
    inner = [one for one in get_args(annotation) if one is not type(None)]
    if getattr(annotation, "__origin__", None) in (list, tuple, dict, set) or annotation is bool:
        return set()
    if annotation in (int, float):
        return {annotation.__name__}
    return set().union(*(_numbers(one) for one in inner if isinstance(one, type) or get_args(one)))


def find_field(key: str, pipeline: Pipeline) -> tuple[Stage, FieldInfo]:
    """The stage whose setting `key` is, and its field.

    Raises:
        InputError: there is no such key; the line says what may have been meant.
    """
    first, *rest = key.split(".")
    stage = pipeline.by_name.get(first)
    if stage is None:
        if first in Config.model_fields or first in pipeline.shared:
            having = next((one.name for one in pipeline.stages if first in one.settings.model_fields), pipeline.stages[-1].name)
            raise InputError(f"--search {key}: goes to every stage, expected the key of one, such as {having}.{key}")
        known = ", ".join(pipeline.by_name)
        raise InputError(f"--search {key}: unknown key{meant(first, pipeline.by_name) or f', expected one of a stage: {known}'}")
    here: type[Settings] = stage.settings
    for place, part in enumerate(rest, 1):
        field = here.model_fields.get(part)
        if field is None:
            told = meant(part, here.model_fields) or f"; expected one of {', '.join(sorted(here.model_fields))}"
            raise InputError(f"--search {key}: unknown key {'.'.join([first, *rest[:place]])}{told}")
        section = section_of(field.annotation)
        if section is None:
            if place < len(rest):
                raise InputError(f"--search {key}: {'.'.join([first, *rest[:place]])} holds a value, expected no key below it")
            return stage, field
        here = section
    raise InputError(f"--search {key}: is a section, expected one of its keys: {', '.join(sorted(here.model_fields))}")


def overrides(spaces: Mapping[str, Space], params: Mapping[str, Param]) -> list[str]:
    """`key=value` of a combination, in the order of the spaces."""
    return [space.override(params[key]) for key, space in spaces.items()]
