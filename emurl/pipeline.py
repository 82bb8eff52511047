"""Runs the table: resolve inputs, fingerprint, skip or run, publish, report. The CLI and the Prefect flow both call this."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from emurl.artifacts import Artifact, Store, sha256_of, sha256_of_file
from emurl.config import Config, Settings
from emurl.errors import InputError, WorkError
from emurl.stages.common import files_of
from emurl.stages.table import BY_NAME, TABLE, Stage
from emurl.tracking import Tracker, clock, say


@dataclass(frozen=True)
class Result:
    """What became of one stage: its artifact, whether it was there already, and how long it took (seconds)."""

    stage: Stage
    artifact: Artifact
    skipped: bool
    seconds: float

    @property
    def headline(self) -> str:
        """`name value` of the stage's main metric."""
        value = self.artifact.metrics.get(self.stage.headline)
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        return f"{self.stage.headline} {shown}"

    def as_json(self) -> dict[str, Any]:
        """The row of the closing table, as data."""
        return {
            "stage": self.stage.name,
            "version": f"v{self.artifact.version}",
            "skipped": self.skipped,
            "seconds": round(self.seconds, 3),
            "metrics": self.artifact.metrics,
            "path": str(self.artifact.folder),
        }


def new_group() -> str:
    """A name for one pipeline run: W&B groups its stages by it."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def choose(names: Iterable[str]) -> list[Stage]:
    """The rows called `names` in the table's order; all of them for no names.

    Raises:
        InputError: a name is not in the table.
    """
    wanted = list(names)
    for name in wanted:
        if name not in BY_NAME:
            raise InputError(f"stage {name!r}: there is no such stage, expected some of {', '.join(BY_NAME)}")
    return [stage for stage in TABLE if not wanted or stage.name in wanted]


def stage_settings(config: Config, stage: Stage) -> Settings:
    """The section of `config` that belongs to `stage`."""
    section: Settings = getattr(config, stage.name)
    return section


def fingerprint_of(stage: Stage, settings: Settings, inputs: Mapping[str, Artifact], code_version: int) -> str:
    """sha256 over everything that decides the stage's result."""
    return sha256_of(
        {
            "stage": stage.name,
            "code_version": code_version,
            "settings": settings.fingerprint_values(),
            "files": {key: sha256_of_file(path) for key, path in sorted(files_of(settings).items())},
            "parents": {name: artifact.digest for name, artifact in sorted(inputs.items())},
        }
    )


def run_stage(
    config: Config,
    stage: Stage,
    store: Store,
    made: Mapping[str, Artifact],
    *,
    group: str,
    force: bool = False,
) -> Result:
    """Run one stage, or find its artifact. `made` holds parents this run has already settled; others are the newest.

    Raises:
        InputError, WorkError: with the stage's name in front.
    """
    began = time.monotonic()
    settings = stage_settings(config, stage)
    inputs = {name: made.get(name) or store.get(name) for name in stage.inputs}
    function, code_version = stage.load()
    fingerprint = fingerprint_of(stage, settings, inputs, code_version)
    found = None if force else store.find(stage.name, fingerprint)
    if found is not None:
        say(f"{stage.name}: {found.ref} is up to date, skipped")
        return Result(stage, found, skipped=True, seconds=time.monotonic() - began)

    parents = ", ".join(inputs[name].ref for name in stage.inputs)
    say(f"{stage.name}: {stage.summary}" + (f"  ← {parents}" if parents else ""))
    tracking = config.tracking
    with store.writing(stage.name, fingerprint) as output:
        try:
            with Tracker.opened(
                stage.name, store.root / ".tracking", group, settings.model_dump(),
                tensorboard=tracking.tensorboard, wandb=tracking.wandb, project=tracking.project,
            ) as tracker:  # fmt: skip
                function(settings, inputs, output, tracker)
                tracker.summary(output.metrics)
            artifact = store.publish(
                output,
                {
                    "stage": stage.name,
                    "fingerprint": fingerprint,
                    "code_version": code_version,
                    "settings": settings.model_dump(mode="json"),
                    "parents": {n: {"version": a.version, "digest": a.digest} for n, a in inputs.items()},
                    "duration_s": round(time.monotonic() - began, 3),
                },
            )
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise WorkError(f"{stage.name}: the disk of {store.root} is full; free some and run again") from None
            raise
    result = Result(stage, artifact, skipped=False, seconds=time.monotonic() - began)
    say(f"{stage.name}: {artifact.ref}, {result.headline}, {clock(result.seconds)}")
    for note in artifact.manifest["notes"]:
        say(f"  {note}")
    return result


def run_pipeline(config: Config, names: Iterable[str] = (), *, force: bool = False, inputs: Iterable[str] = ()) -> list[Result]:
    """Run the stages called `names` (all for none) in order; `inputs` pins parents, as in `["reward@v2"]`.

    Raises:
        InputError: a name, a setting or an input is wrong.
        WorkError: a stage failed.
    """
    stages = choose(names)
    store = open_store(config)
    made = {artifact.stage: artifact for artifact in (store.get(ref) for ref in inputs)}
    group = new_group()
    results = []
    for stage in stages:
        result = run_stage(config, stage, store, made, group=group, force=force)
        made[stage.name] = result.artifact
        results.append(result)
    return results


def open_store(config: Config) -> Store:
    """The store `config.store` names, checked before any work: what cannot be written is said at once.

    Raises:
        InputError: it is not a folder we may write to.
    """
    store = Store(config.store)
    probe = store.root / ".work" / f".probe-{os.getpid()}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        reason = f"not writable ({error.strerror}), expected a folder we may write to"
        raise InputError(f"store {config.store}: {reason}") from None
    return store


def closing_table(results: list[Result]) -> str:
    """Stage, version, headline metric, time and path of every stage, in columns."""
    rows = [("stage", "version", "headline", "time", "path")]
    for result in results:
        took = "skipped" if result.skipped else clock(result.seconds)
        rows.append((result.stage.name, f"v{result.artifact.version}", result.headline, took, _short(result.artifact.folder)))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
