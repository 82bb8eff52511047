"""A settings file: read from YAML, overridden by `a.b=c`, checked against the tables, with errors that name the key.

What a pipeline shares (`seed`, `device` and others that its table names) may stand once at the top of the file; every stage that has a
field of that name gets it, unless its own section says otherwise. So the settings object a stage is given is complete, and it
alone (with the parents' digests and the code) decides whether the stage has to run again.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import yaml
from pydantic import Field, ValidationError, create_model

from emurl.core.artifact import DEFAULT_PIPELINE
from emurl.core.errors import InputError
from emurl.core.files import at_home
from emurl.core.pipeline import Pipeline, find_pipeline
from emurl.core.refusals import meant, shortly
from emurl.core.settings import Device, Natural, NonNegative, PathText, Settings, section_of
from emurl.core.yaml_text import hint_for, read_yaml

Checked = TypeVar("Checked", bound=Settings)
BASES = 20  # settings files that may be laid over one another


Tag = Annotated[str, Field(min_length=1, max_length=64)]  # W&B takes no others


class RenamedKey(FutureWarning):
    """A settings file uses a key of the version before."""


class TrackingSettings(Settings):
    """Where numbers and pictures go besides the console."""

    tensorboard: bool = True  # event files in `<store>/.tracking/tensorboard`
    wandb: bool = True  # runs in W&B; offline unless a key is set
    project: str = "emurl"  # the W&B project
    tags: Annotated[tuple[Tag, ...], Field(strict=False)] = ()  # of every W&B run, besides the pipeline's name and the stage's
    media_s: NonNegative = 60.0  # least seconds between two pictures of one name; the last is always kept


class Config(Settings):
    """A whole settings file; `config_class` adds the sections of a pipeline's stages and what they share."""

    pipeline: str = DEFAULT_PIPELINE  # whose settings they are
    seed: Natural = 0  # of every random draw of every stage
    device: Device = "auto"  # auto, cpu, cuda, cuda:N or mps; auto: a GPU where there is one
    store: PathText = "data"  # where artifacts are kept: a folder or a URL such as s3://bucket/prefix
    tracking: TrackingSettings = TrackingSettings()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A stage's section, or what stages share."""


@cache
def config_class(pipeline: Pipeline) -> type[Config]:
    """The class of a pipeline's settings files, made of its table."""
    fields: dict[str, Any] = {}
    for stage in pipeline.stages:
        section = stage.settings
        for name in pipeline.shared:
            if name in section.model_fields and name not in fields and name not in Config.model_fields:
                field = section.model_fields[name]
                fields[name] = (field.annotation, field)
        fields[stage.name] = (section, section())
    return create_model(f"{pipeline.name.title()}Config", __base__=Config, pipeline=(str, pipeline.name), **fields)


def load_config(
    path: str | os.PathLike[str] | None, overrides: list[str] | tuple[str, ...] = (), pipeline: str | None = None
) -> Config:
    """Read `path` (None: defaults), apply `overrides` of the form `a.b=value`, check everything. A file's `base` is one it is laid over.

    Args:
        pipeline: whose settings they are; None: the file's own `pipeline`, by default speedrun.

    Raises:
        InputError: the file is missing or no YAML mapping, a key is unknown, a value has the wrong type or range.
    """
    values: dict[str, Any] = {}
    source = "defaults"
    if path is not None:
        source = str(path)
        values = _read_file(Path(path))
    for override in overrides:
        _apply_override(values, override)
    if pipeline is not None and values.setdefault("pipeline", pipeline) != pipeline:
        raise InputError(f"--pipeline {pipeline}: {source} is of pipeline {values['pipeline']}, expected a file of {pipeline}")
    table = find_pipeline(str(values.get("pipeline", DEFAULT_PIPELINE)))
    model = config_class(table)
    _rename(values, model, source, "")
    _spread_shared(values, table)
    return _checked(model, values, source)


def settings_from(model: type[Checked], values: dict[str, Any], overrides: Iterable[str], source: str) -> Checked:
    """Settings outside a settings file: `values`, then `overrides` of the form `a.b=value`, checked as a file's are.

    Raises:
        InputError: a key is unknown, a value has the wrong type or range.
    """
    for override in overrides:
        _apply_override(values, override)
    _rename(values, model, source, "")
    return _checked(model, values, source)


def _checked(model: type[Checked], values: dict[str, Any], source: str) -> Checked:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(_one_line(error, source, model)) from None


def _read_file(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A settings file laid over the one that its `base` names, a path seen from its own folder; sections are merged key by key."""
    values = _read_yaml(path)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise InputError(f"{path}: base: expected the path of another settings file, not a {type(base).__name__}")
    above = (*above, at_home(path).resolve())
    try:
        under = at_home(path).parent / at_home(base)
    except InputError as error:
        raise InputError(f"{path}: base: {error}") from None
    if under.resolve() in above:
        raise InputError(f"{path}: base: {base} is laid over this file already, expected another settings file")
    if len(above) > BASES:
        raise InputError(f"{path}: base: {BASES} files lie above this one already, expected fewer")
    return _laid_over(_read_file(under, above), values)


def _laid_over(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _laid_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        loaded = read_yaml(at_home(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"--config {path}: no such file, expected a settings file such as configs/demo.yaml") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"--config {path}: byte {error.start} is no text in UTF-8, expected a settings file such as configs/demo.yaml"
        ) from None
    except OSError as error:
        raise InputError(f"--config {path}: cannot be read ({error.strerror or error}), expected a settings file") from None
    except yaml.YAMLError as error:
        raise InputError(f"--config {path}: not valid YAML ({' '.join(str(error).split())})") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise InputError(f"--config {path}: holds a {type(loaded).__name__}, expected a mapping of settings")
    return loaded


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise InputError(f"--set {override}: expected key=value, for example reward.epochs=2")
    try:
        value = read_yaml(text)
    except yaml.YAMLError:  # a word with a colon or a star in it; where a number is wanted, the check says so
        value = text
    here = values
    for part in parts[:-1]:
        inner = here.get(part)
        if inner is None:
            inner = here[part] = {}
        if not isinstance(inner, dict):
            raise InputError(f"--set {override}: {part} holds a value, expected a section")
        here = inner
    here[parts[-1]] = value


def _rename(values: dict[str, Any], model: type[Settings], source: str, prefix: str) -> None:
    """Give keys of the version before their new names, with a warning each."""
    for old, new in model.renamed.items():
        if old in values:
            if new in values:
                raise InputError(f"{source}: {prefix}{old} is the old name of {prefix}{new}, expected only one of them")
            values[new] = values.pop(old)
            warnings.warn(
                f"{source}: {prefix}{old} is now called {prefix}{new}; the old name goes with the next version", RenamedKey, 3
            )
    for name, field in model.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None and isinstance(values.get(name), dict):
            _rename(values[name], inner, source, f"{prefix}{name}.")


def _spread_shared(values: dict[str, Any], pipeline: Pipeline) -> None:
    for stage in pipeline.stages:
        section = values.get(stage.name)
        if section is None:
            section = values[stage.name] = {}
        if not isinstance(section, dict):
            continue  # the schema says so with the key's name
        for name in pipeline.shared:
            if name not in values or name not in stage.settings.model_fields:
                continue
            shared = values[name]
            if isinstance(shared, dict) and isinstance(section.get(name, {}), dict):
                section[name] = {**shared, **section.get(name, {})}
            else:
                section.setdefault(name, shared)


def _one_line(error: ValidationError, source: str, model: type[Settings]) -> str:
    problems = error.errors(include_url=False)
    # A shared value that is wrong is wrong in every stage it was copied to: name it once, where the user wrote it.
    written = {problem["loc"] for problem in problems}
    problems = [problem for problem in problems if problem["loc"][1:] not in written]
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    others = len({problem["loc"] for problem in problems}) - 1
    more = f" (and {others} more)" if others else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1], model)
        hint = meant(str(first["loc"][-1]), known) or f"; expected one of {', '.join(known)}"
        return f"{source}: unknown key {key}{hint}{more}"
    message = first["msg"].removeprefix("Value error, ")
    for theirs, ours in (("Input should be", "expected"), ("a valid ", "a "), ("a integer", "an integer")):
        message = message.replace(theirs, ours)
    hint = hint_for(first["input"]) if first["type"].startswith(("float", "int")) else ""
    return f"{source}: {key}: {message}, got {shortly(first['input'])}{f', write {hint}' if hint else ''}{more}"


def _known_keys(location: tuple[int | str, ...], model: type[Settings]) -> list[str]:
    here: type[Settings] | None = model
    for part in location:
        field = here.model_fields.get(str(part)) if here is not None else None
        here = section_of(field.annotation) if field is not None else None
    return sorted(here.model_fields) if here is not None else []
