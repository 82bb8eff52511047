"""A pipeline as data: a table of stages, what each reads, and which metric a summary shows. CLI, flows, settings and docs come from it.

A stage is one row here and one module, which holds its settings class and `run(settings, inputs, output, tracker)`. The class is
the one that `run` is annotated with, so it is named once. Rows are light: a stage's module is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from emurl.core import registry
from emurl.core.artifact import is_name, version_number
from emurl.core.errors import InputError
from emurl.core.refusals import meant
from emurl.core.settings import Settings

# What else stands at the top of a settings file, and what its class has anyway: a section of such a name would hide it.
TAKEN = frozenset({"pipeline", "seed", "device", "store", "tracking", *dir(Settings)})


@dataclass(frozen=True)
class Stage:
    """One row of a table.

    Attributes:
        name: what the command line, the settings file and the store call it.
        parents: stages whose artifacts it reads; `pipeline/stage` for another pipeline's. `inputs` has them by the stage's name, or
            as the row writes them where two pipelines have a stage of that name.
        headline: the metric that a summary shows.
        summary: what it does, in one line.
        module: where its settings class and its `run` are; by default `<module of the pipeline>.<name>`.
        network: it talks to a site, so a failure may pass: a flow tries it again.
    """

    name: str
    parents: tuple[str, ...]
    headline: str
    summary: str
    module: str = ""
    network: bool = False

    @property
    def inputs(self) -> dict[str, str]:
        """The row's parents by what its `run` finds them under."""
        names = [parent_of(parent, "")[1] for parent in self.parents]
        return {parent if names.count(name) > 1 else name: parent for name, parent in zip(names, self.parents, strict=True)}

    def load(self) -> Callable[..., None]:
        """`run(settings, inputs, output, tracker)`; imports the stage's module, which may be heavy.

        Raises:
            InputError: it cannot be imported, or has no `run`.
        """
        return self._imported()

    @property
    def settings(self) -> type[Settings]:
        """The settings class: what `run` is annotated to take first.

        Raises:
            InputError: it is not annotated so, or the module cannot be imported.
        """
        where = f"stage {self.name}: the run of {self.module}"
        try:
            found = inspect.get_annotations(self._imported(), eval_str=True).get("settings")
        except (NameError, AttributeError, SyntaxError, TypeError) as error:
            raise InputError(f"{where} has annotations that mean nothing ({error})") from None
        if not (isinstance(found, type) and issubclass(found, Settings)):
            raise InputError(f"{where} does not say what its `settings` are, expected its annotation to be a class of Settings")
        return found

    def _imported(self) -> Callable[..., None]:
        try:
            module = importlib.import_module(self.module)
        except InputError:
            raise
        except Exception as error:
            told = registry.explain_import(error)
            raise InputError(f"stage {self.name}: {self.module} cannot be imported ({told}), expected its module") from None
        function: Callable[..., None] | None = getattr(module, "run", None)
        if function is None:
            raise InputError(f"stage {self.name}: {self.module} has no run, expected run(settings, inputs, output, tracker)")
        return function


@dataclass(frozen=True)
class Pipeline:
    """A table of stages in the order in which they run.

    Attributes:
        name: what the config (`pipeline: NAME`), the store and a ref call it. summary: what it is for, in one line.
        module: the package it stands in; a stage without a module of its own is `<module>.<stage>`.
        stages: the rows.
        shared: settings that may stand once at the top of a file and go to every stage that has a field of that name.
    """

    name: str
    summary: str
    module: str
    stages: tuple[Stage, ...]
    shared: tuple[str, ...] = ()
    by_name: dict[str, Stage] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Give every stage its module, and write parents of its own pipeline without the pipeline.

        Raises:
            InputError: a name cannot be used, or a parent is none.
        """
        _check(self)
        own = f"{self.name}/"
        rows = tuple(
            replace(
                stage,
                module=stage.module or f"{self.module}.{stage.name}",
                parents=tuple(parent.removeprefix(own) for parent in stage.parents),
            )
            for stage in self.stages
        )
        object.__setattr__(self, "stages", rows)
        object.__setattr__(self, "by_name", {stage.name: stage for stage in rows})

    def choose(self, names: Iterable[str]) -> list[Stage]:
        """The rows called `names` in the table's order; all of them for no names.

        Raises:
            InputError: a name is not in the table.
        """
        wanted = list(names)
        for name in wanted:
            if name not in self.by_name:
                raise InputError(
                    f"stage {name!r}: there is no such stage in {self.name}"
                    + (meant(name, self.by_name) or f", expected some of {', '.join(self.by_name)}")
                )
        return [stage for stage in self.stages if not wanted or stage.name in wanted]


def find_pipeline(name: str) -> Pipeline:
    """The pipeline called `name`.

    Raises:
        InputError: there is none; the line says which there are.
    """
    found: Pipeline = registry.find("pipelines", name)
    return found


def require_pipeline(name: str, wanted: str, word: str) -> None:
    """A word that works with the settings of one pipeline is not to be given those of another.

    Args:
        name: the pipeline of the settings. wanted: the one the word is for.

    Raises:
        InputError: they differ.
    """
    if name != wanted:
        raise InputError(f"{word}: the settings are of pipeline {name}, expected a --config of {wanted}")


def parent_of(parent: str, pipeline: str) -> tuple[str, str]:
    """(pipeline, stage) that a row's parent means: `frames` of the same pipeline, `speedrun/frames` of another."""
    other, _, stage = parent.rpartition("/")
    return other or pipeline, stage


def _check(table: Pipeline) -> None:
    """Refuse a table whose names collide with the store's, the settings' or one another, here and not in the midst of a run."""
    if not is_name(table.name):
        raise InputError(f"pipeline {table.name!r}: not a name, expected letters, digits, - and _")
    above: list[str] = []
    for stage in table.stages:
        where = f"pipeline {table.name}: stage {stage.name!r}"
        if not is_name(stage.name):
            raise InputError(f"{where}: not a name, expected letters, digits, - and _")
        if version_number(stage.name) is not None:
            raise InputError(f"{where}: a version is called so, expected another name")
        if stage.name in TAKEN or stage.name in table.shared:
            raise InputError(f"{where}: settings have something else of that name, expected another")
        if stage.name in above:
            raise InputError(f"{where}: two rows are called so, expected names of their own")
        for number, parent in enumerate(stage.parents):
            _check_parent(table, stage, parent, above, where)
            if parent_of(parent, table.name) in [parent_of(one, table.name) for one in stage.parents[:number]]:
                raise InputError(f"{where}: its parent {parent} stands there twice, expected once")
        above.append(stage.name)


def _check_parent(table: Pipeline, stage: Stage, parent: str, above: list[str], where: str) -> None:
    pipeline, name = parent_of(parent, table.name)
    if not is_name(pipeline) or not is_name(name):
        raise InputError(f"{where}: its parent {parent!r} is no name, expected STAGE or PIPELINE/STAGE")
    if pipeline == table.name and name not in above:
        below = name in [one.name for one in table.stages]
        what = "is itself" if name == stage.name else "stands below it" if below else "is no row of the table"
        raise InputError(f"{where}: its parent {parent!r} {what}, expected one of the rows above: {', '.join(above) or 'none'}")
