"""What a sweep is: of which stage, over which settings, by which metric. All of it is settled and checked before the first trial.

A sweep is known by what decides its trials, its *definition*. Without `--name` it is called by the digest of that, so that the same command
goes on with the same sweep and another command begins another one.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any, Literal

from emurl.core import engine
from emurl.core.artifact import sha256_of
from emurl.core.changes import flatten
from emurl.core.config import Config
from emurl.core.errors import InputError
from emurl.core.pipeline import Pipeline, Stage, find_pipeline, parent_of
from emurl.core.refusals import meant
from emurl.sweep_space import Space, read_space

Direction = Literal["minimize", "maximize"]
Configured = Callable[[Sequence[str]], Config]
SAMPLERS = ("tpe", "random", "grid")
DIRECTIONS: tuple[Direction, ...] = ("minimize", "maximize")
TRIALS = 20  # where nobody says how many, and the combinations cannot be counted
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")  # it stands in a tag of the store and in one of W&B
_ARROWS: dict[str, Direction] = {"↑": "maximize", "↓": "minimize"}


@dataclass(frozen=True)
class Asked:
    """What somebody asks for, as the command line has it.

    Attributes:
        searches: `KEY=SPACE` each. trials: of the whole sweep, those that were made before included; None: 20, or all of a grid.
        metric: what counts; None: the stage's headline. direction: None: as `METRICS` of the stage has it.
        name: None: the digest of the definition. prune_by: a logged metric, `NAME` or `NAME:minimize`; None: the metric that counts.
        warmup: trials that are finished before any is pruned. inputs: refs of parents.
    """

    stage: str
    searches: Sequence[str]
    trials: int | None = None
    metric: str | None = None
    direction: str | None = None
    name: str | None = None
    seed: int = 0
    sampler: str = "tpe"
    prune: bool = True
    prune_by: str | None = None
    warmup: int = 5
    inputs: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        stages: rows that each trial runs, the last of which is the one that is swept. spaces: by key, in the order they were asked for.
        watched: names of logged metrics by which trials are pruned, none for no pruning. watched_sign: -1 where less of it is better and more
            of the metric is, or the other way around. definition: what decides the trials, JSON-ready.
    """

    pipeline: Pipeline
    stages: tuple[Stage, ...]
    spaces: Mapping[str, Space]
    metric: str
    direction: Direction
    name: str
    seed: int
    sampler: str
    trials: int
    warmup: int
    watched: tuple[str, ...]
    watched_sign: float
    inputs: tuple[str, ...]
    definition: Mapping[str, Any] = field(repr=False)

    @property
    def stage(self) -> Stage:
        """The row that is swept."""
        return self.stages[-1]

    @property
    def key(self) -> str:
        """What the store calls it: `<pipeline>-<stage>-<name>`."""
        return f"{self.pipeline.name}-{self.stage.name}-{self.name}"


def make_plan(configured: Configured, asked: Asked) -> Plan:
    """Settle what is asked for.

    Args:
        configured: gives the settings with some `key=value` laid over them.

    Raises:
        InputError: something of it is wrong, in one line.
    """
    config = configured(())
    pipeline = find_pipeline(config.pipeline)
    (stage,) = pipeline.choose([asked.stage])
    _check_numbers(asked)
    spaces: dict[str, Space] = {}
    for search in asked.searches:
        space = read_space(search, pipeline)
        if space.key in spaces:
            raise InputError(f"--search {search}: {space.key} is searched already, expected it once")
        spaces[space.key] = space
    if not spaces:
        raise InputError("--search: nothing to search, expected KEY=SPACE such as policy.learning_rate=1e-5..1e-3:log")
    stages = _stages(pipeline, stage, spaces)
    told = metrics_of(stage)
    metric = asked.metric or stage.headline
    if told and not _text_of(metric, told):
        expected = meant(metric, told) or f", expected one of {', '.join(told)}"
        raise InputError(f"--metric {metric}: {stage.name} has no such metric{expected}")
    direction = _direction(asked.direction, metric, told, "--direction")
    watched, sign = _watched(asked, metric, direction, told)
    definition = {
        "pipeline": pipeline.name,
        "stage": stage.name,
        "metric": metric,
        "direction": direction,
        "sampler": asked.sampler,
        "seed": asked.seed,
        "search": {key: space.told for key, space in spaces.items()},
        "settings": _settings_digest(config, stages, spaces),
        "inputs": list(asked.inputs),
    }
    return Plan(
        pipeline, stages, spaces, metric, direction, asked.name or sha256_of(definition)[:8], asked.seed, asked.sampler,
        _trials(asked, spaces), asked.warmup, watched, sign, tuple(asked.inputs), definition,
    )  # fmt: skip


def _check_numbers(asked: Asked) -> None:
    if asked.sampler not in SAMPLERS:
        raise InputError(f"--sampler {asked.sampler}: there is none of that name, expected one of {', '.join(SAMPLERS)}")
    if asked.trials is not None and asked.trials < 1:
        raise InputError(f"--trials {asked.trials}: expected a number of trials ≥ 1")
    if asked.warmup < 1:
        raise InputError(f"--warmup {asked.warmup}: expected a number of trials ≥ 1")
    if not 0 <= asked.seed < 2**63:
        raise InputError(f"--seed {asked.seed}: expected a number ≥ 0 and below 2^63")
    if asked.name is not None and not _NAME.fullmatch(asked.name):
        raise InputError(
            f"--name {asked.name!r}: expected up to 40 lower-case letters, digits, - and _, not one of the last two first"
        )
    if asked.prune_by is not None and not asked.prune:
        raise InputError(f"--prune-by {asked.prune_by}: nothing is pruned with --no-prune, expected one of the two")


def _stages(pipeline: Pipeline, stage: Stage, spaces: Mapping[str, Space]) -> tuple[Stage, ...]:
    """The swept stage, and before it those of its ancestors that a searched key changes: the key's stage and what comes of it."""
    ancestors = _ancestors(pipeline, stage)
    for key, space in spaces.items():
        if space.stage != stage.name and space.stage not in ancestors:
            raise InputError(
                f"--search {key}: {stage.name} does not come of {space.stage}, expected a key of "
                f"{', '.join([one.name for one in pipeline.stages if one.name in ancestors] + [stage.name])}"
            )
    searched = {space.stage for space in spaces.values()}
    chosen = [
        row
        for row in pipeline.stages
        if row.name == stage.name or (row.name in ancestors and (row.name in searched or searched & _ancestors(pipeline, row)))
    ]
    return tuple(chosen)


def _ancestors(pipeline: Pipeline, stage: Stage) -> set[str]:
    """Names of the stages of the same pipeline that a stage comes of."""
    found: set[str] = set()
    for parent in stage.parents:
        other, name = parent_of(parent, pipeline.name)
        if other == pipeline.name:
            found |= {name} | _ancestors(pipeline, pipeline.by_name[name])
    return found


def metrics_of(stage: Stage) -> dict[str, str]:
    """What a stage's module says of its metrics, none where it says nothing."""
    stage.load()  # says in one line what cannot be imported
    told: dict[str, str] = getattr(importlib.import_module(stage.module), "METRICS", {})
    return told


def _text_of(metric: str, told: Mapping[str, str]) -> str:
    """The text of a metric, whose name may be a pattern there: `pairwise_accuracy_*s`."""
    return next((text for name, text in told.items() if name == metric or fnmatch(metric, name)), "")


def _direction(asked: str | None, metric: str, told: Mapping[str, str], option: str, before: str = "") -> Direction:
    """Which way is better.

    Args:
        before: what stands before the way where it is asked for, as in `val_loss:minimize`.

    Raises:
        InputError: nobody says.
    """
    for one in DIRECTIONS:
        if asked == one:
            return one
    documented = _ARROWS.get(_text_of(metric, told)[:1])
    if asked is None and documented:
        return documented
    expected = " or ".join(f"{before}{one}" for one in DIRECTIONS)
    if asked is not None:
        raise InputError(f"{option} {before}{asked}: expected {expected}")
    raise InputError(f"{option}: whether more of {metric} is better is not documented, expected {expected}")


def _watched(asked: Asked, metric: str, direction: Direction, told: Mapping[str, str]) -> tuple[tuple[str, ...], float]:
    if not asked.prune:
        return (), 1.0
    if asked.prune_by is None:
        return (metric, f"val_{metric}"), 1.0  # training logs what it measures on held-out videos as val_…
    name, colon, way = asked.prune_by.partition(":")
    if not name:
        raise InputError(f"--prune-by {asked.prune_by}: expected the name of a logged metric, as in val_loss:minimize")
    if not colon and name in (metric, f"val_{metric}"):
        return (name,), 1.0
    better = _direction(way if colon else None, name.removeprefix("val_"), told, "--prune-by", f"{name}:")
    return (name,), 1.0 if better == direction else -1.0


def _trials(asked: Asked, spaces: Mapping[str, Space]) -> int:
    if asked.sampler != "grid":
        return asked.trials or TRIALS
    total = 1
    for key, space in spaces.items():
        if space.count is None:
            raise InputError(f"--search {key}={space.told}: a grid has no real numbers, expected choices such as 1e-4,3e-4,1e-3")
        total *= space.count
    return min(asked.trials or total, total)


def _settings_digest(config: Config, stages: Iterable[Stage], spaces: Mapping[str, Space]) -> str:
    values: dict[str, Any] = {}
    for stage in stages:
        values |= flatten(engine.stage_settings(config, stage).fingerprint_values(), f"{stage.name}.")
    return sha256_of({key: value for key, value in values.items() if key not in spaces})[:16]
