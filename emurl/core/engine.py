"""Runs the tables: resolve parents, fingerprint, skip or run, publish, report. The command line and the flows both call this."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from emurl.core import changes, interrupt, lineage
from emurl.core.code_digest import code_digest
from emurl.core.config import Config
from emurl.core.errors import InputError
from emurl.core.files import write_atomically
from emurl.core.output import Output
from emurl.core.pipeline import Pipeline, Stage, find_pipeline, parent_of
from emurl.core.progress import clock, say
from emurl.core.settings import Settings
from emurl.core.store import Artifact, Store, sha256_of, sha256_of_file, split_ref
from emurl.core.tracking import PLAIN, Label, Tracker

TRIES = "tries.json"  # in a stage's scratch: which pipeline run its first try was of, and how many there were


@dataclass(frozen=True)
class Result:
    """What became of one stage: its artifact, whether it was there already, and how long it took (seconds)."""

    stage: Stage
    artifact: Artifact
    skipped: bool
    seconds: float
    group: str = ""  # the pipeline run that it belongs to: of the first try, where this one went on from it

    @property
    def headline(self) -> str:
        """`name value` of the stage's main metric."""
        value = self.artifact.metrics.get(self.stage.headline)
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        return f"{self.stage.headline} {shown}"

    def as_json(self) -> dict[str, Any]:
        """The row of the closing table, as data."""
        return {
            "pipeline": self.artifact.pipeline,
            "stage": self.stage.name,
            "version": f"v{self.artifact.version}",
            "ref": self.artifact.ref,
            "skipped": self.skipped,
            "seconds": round(self.seconds, 3),
            "metrics": self.artifact.metrics,
            "path": str(self.artifact.local),
        }


def new_group() -> str:
    """A name for one pipeline run: W&B groups its stages by it."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def stage_settings(config: Config, stage: Stage) -> Settings:
    """The section of `config` that belongs to `stage`."""
    section: Settings = getattr(config, stage.name)
    return section


def fingerprint_of(pipeline: Pipeline, stage: Stage, settings: Settings, inputs: Mapping[str, Artifact], code: str) -> str:
    """sha256 over everything that decides the stage's result: settings, the files they name, parents, and the code it can reach.

    Raises:
        InputError: a file that the settings name is not there, or cannot be read.
    """
    return sha256_of(
        {
            "pipeline": pipeline.name,
            "stage": stage.name,
            "code": code,
            "settings": settings.fingerprint_values(),
            "files": {key: _content(f"{stage.name}.{key}", path) for key, path in sorted(settings.files().items())},
            "parents": {name: artifact.digest for name, artifact in sorted(inputs.items())},
        }
    )


def _content(key: str, path: Path) -> str:
    try:
        return sha256_of_file(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{key}: {path}: cannot be read ({reason}), expected a file") from None


def run_stage(
    config: Config,
    stage: Stage,
    store: Store,
    made: Mapping[str, Artifact],
    *,
    group: str,
    force: bool = False,
    label: Label = PLAIN,
) -> Result:
    """Run one stage, or find its artifact.

    Args:
        made: parents that this run has already settled, by `stage`, or `pipeline/stage` for another pipeline's; the others are
            the newest of the store.
        group: the name of the run, for tracking. force: run even when nothing has changed.
        label: what the run is besides, for tracking; its `listen` may end the stage with `Pruned`, which leaves nothing of it.

    Raises:
        InputError, WorkError: with the stage's name in front, or that of the parent that does not go with the others.
    """
    began = time.monotonic()
    pipeline = find_pipeline(config.pipeline)
    settings = stage_settings(config, stage)
    inputs = {name: made.get(parent) or newest(store, parent, pipeline) for name, parent in stage.inputs.items()}
    require_one_lineage(inputs.values())
    settings = settings.settled(inputs)
    function = stage.load()
    code = code_digest(stage.module, *settings.modules())
    fingerprint = fingerprint_of(pipeline, stage, settings, inputs, code)
    found = None if force else store.find(pipeline.name, stage.name, fingerprint)
    if found is not None:
        say(f"{stage.name}: {found.ref} is up to date, skipped")
        return Result(stage, found, skipped=True, seconds=time.monotonic() - began, group=group)

    parents = ", ".join(artifact.ref for artifact in inputs.values())
    say(f"{stage.name}: {stage.summary}" + (f"  ← {parents}" if parents else ""))
    reads = [one.ref for one in inputs.values()]
    with interrupt.handled(), store.making(pipeline.name, stage.name, fingerprint, again=force, reads=reads) as output:
        if output.found is not None:
            say(f"{stage.name}: {output.found.ref} was made meanwhile by another process, skipped")
            return Result(stage, output.found, skipped=True, seconds=time.monotonic() - began, group=group)
        if not force and (why := _why_again(store, pipeline, stage, settings, inputs, code)):
            say(f"  made anew, for since {why}")
        group, number = _try_of(output, group)
        facts: dict[str, Any] = {
            "pipeline": pipeline.name,
            "stage": stage.name,
            "fingerprint": fingerprint,
            "code_digest": code,
            "headline": stage.headline,
            "settings": settings.model_dump(mode="json"),
            "parents": {name: {"version": one.version, "digest": one.digest, "ref": one.ref} for name, one in inputs.items()},
        }
        asked = config.tracking
        tags = (pipeline.name, stage.name, *(["resumed"] if number > 1 else []), *asked.tags)
        with Tracker.opened(
            stage.name, store.root / ".tracking", group, lineage.config_of(facts["settings"], facts, group, number, label.facts),
            tensorboard=asked.tensorboard, wandb=asked.wandb, project=asked.project, media_s=asked.media_s, tags=tags, number=number,
            label=label,
        ) as tracker:  # fmt: skip
            for one in inputs.values():
                tracker.used(one, lineage.uri_of(store, one))
            function(settings, inputs, output, tracker)
            tracker.summary(output.metrics)
            artifact = store.publish(output, {**facts, "duration_s": round(time.monotonic() - began, 3)})
            tracker.made(artifact, lineage.uri_of(store, artifact))
    result = Result(stage, artifact, skipped=False, seconds=time.monotonic() - began, group=group)
    say(f"{stage.name}: {artifact.ref}, {result.headline}, {clock(result.seconds)}")
    for note in artifact.manifest["notes"]:
        say(f"  {note}")
    return result


def _why_again(
    store: Store, pipeline: Pipeline, stage: Stage, settings: Settings, inputs: Mapping[str, Artifact], code: str
) -> str:
    """The newest version, and what has changed since it was made; empty where there is none, or none that can be read."""
    numbers = store.versions(pipeline.name, stage.name)
    with contextlib.suppress(InputError):
        if numbers:
            made = store.load(pipeline.name, stage.name, numbers[-1])
            why = changes.since(made, settings, inputs, code)
            return f"{made.ref} changed: {why}" if why else ""
    return ""


def _try_of(output: Output, group: str) -> tuple[str, int]:
    """The pipeline run that this try belongs to, and which try it is: one that goes on from another belongs to where that belonged."""
    file, tries = output.scratch / TRIES, 0
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # none, or none that can be read: the first
        told = json.loads(file.read_text(encoding="utf-8"))
        group, tries = str(told["group"]), int(told["tries"])
    with write_atomically(file) as aside:
        aside.write_text(json.dumps({"group": group, "tries": tries + 1}), encoding="utf-8")
    output.scratch_saved(file)
    return group, tries + 1


def newest(store: Store, parent: str, pipeline: Pipeline) -> Artifact:
    """The newest artifact that a row's `parent` means.

    Raises:
        InputError: there is none.
    """
    other, stage = parent_of(parent, pipeline.name)
    return store.get(f"{other}/{stage}")


def require_one_lineage(inputs: Iterable[Artifact]) -> None:
    """Parents go together only where one that was made with another was made with this one, or with one of the same files.

    Raises:
        InputError: one was not; the line says what makes one that was.
    """
    by_key = {(one.pipeline, one.stage): one for one in inputs}
    for child in by_key.values():
        for name, ref in child.parents.items():
            pipeline, stage, _ = split_ref(ref)
            here = by_key.get((pipeline, stage))
            if here is not None and here.digest != child.manifest["parents"][name]["digest"]:
                raise InputError(
                    f"{child.ref} was made with {ref}, expected {here.ref}: run {child.stage}, or --input versions that go together"
                )


def run_pipeline(config: Config, names: Iterable[str] = (), *, force: bool = False, inputs: Iterable[str] = ()) -> list[Result]:
    """Run the stages called `names` (all for none) in order; `inputs` pins parents, as in `["reward@v2"]`.

    A pin wins over what the run itself makes of that stage.

    Raises:
        InputError: a name, a setting or an input is wrong, an input is given twice, or no stage that runs reads it.
        WorkError: a stage failed.
    """
    pipeline = find_pipeline(config.pipeline)
    stages = pipeline.choose(names)
    store = open_store(config)
    made = pinned(inputs, stages, pipeline, store)
    group = new_group()
    results = []
    for stage in stages:
        result = run_stage(config, stage, store, made, group=group, force=force)
        group = result.group  # a stage that went on from an earlier try takes the stages after it along
        made.setdefault(stage.name, result.artifact)
        results.append(result)
    return results


def pinned(refs: Iterable[str], stages: Iterable[Stage], pipeline: Pipeline, store: Store) -> dict[str, Artifact]:
    """The artifacts of `refs` by what the rows of `pipeline` call them.

    Raises:
        InputError: there is no such artifact, two are of one stage, or none of `stages` reads it.
    """
    found: dict[str, Artifact] = {}
    read = sorted({parent for stage in stages for parent in stage.parents})
    for ref in refs:
        artifact = store.get(ref)
        key = key_of(artifact, pipeline)
        if key not in read:
            expected = f"one of {', '.join(read)}" if read else "no --input"
            raise InputError(f"--input {ref}: no stage that runs reads {key}, expected {expected}")
        if key in found:
            raise InputError(f"--input {ref}: {found[key].ref} is given, too, expected one version of {key}")
        found[key] = artifact
    return found


def key_of(artifact: Artifact, pipeline: Pipeline) -> str:
    """How a row of `pipeline` names this artifact as its parent."""
    return artifact.stage if artifact.pipeline == pipeline.name else f"{artifact.pipeline}/{artifact.stage}"


def open_store(config: Config) -> Store:
    """The store `config.store` names, probed before any work: what cannot be reached or written is said at once.

    Raises:
        InputError, WorkError: the store cannot be used, in one line.
    """
    store = Store(config.store)
    store.probe()
    return store


def closing_table(results: list[Result]) -> str:
    """Stage, version, headline metric, time and path of every stage, in columns."""
    rows = [("stage", "version", "headline", "time", "path")]
    for result in results:
        took = "skipped" if result.skipped else clock(result.seconds)
        rows.append((result.stage.name, f"v{result.artifact.version}", result.headline, took, _short(result.artifact.local)))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
