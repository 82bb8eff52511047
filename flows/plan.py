"""What a flow run is asked to do, checked before anything starts: settings, stages, store, pins, and the parents that are to be there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from emurl.core import engine
from emurl.core.config import Config, load_config
from emurl.core.errors import InputError
from emurl.core.pipeline import Pipeline, Stage, find_pipeline
from emurl.core.proxies import without_user
from emurl.core.store import Artifact, Store
from emurl.training.supervised import resolve_device
from flows.deployments import deployment_name


@dataclass(frozen=True)
class Plan:
    """The parameters of a flow run, and what they mean.

    Attributes:
        config, overrides, force: as they were given. stages: the rows that run, in the table's order.
        pinned: parents that were given, by what a row calls them.
    """

    config: str
    overrides: tuple[str, ...]
    force: bool
    settings: Config
    pipeline: Pipeline
    stages: tuple[Stage, ...]
    store: Store
    pinned: dict[str, Artifact]

    @classmethod
    def of(
        cls,
        config: str,
        stages: Sequence[str] = (),
        overrides: Sequence[str] = (),
        force: bool = False,
        inputs: Sequence[str] = (),
        timeout_hours: float | None = None,
    ) -> Plan:
        """Check the parameters of a flow run.

        Raises:
            InputError: the file, an override, a stage, a pin or the time-out is wrong, or a parent that the run does not make is missing.
            WorkError: the store does not answer.
        """
        if timeout_hours is not None and not timeout_hours > 0:
            raise InputError(f"timeout_hours: {timeout_hours}, expected hours above 0, or none")
        settings = load_config(config, list(overrides))
        pipeline = find_pipeline(settings.pipeline)
        rows = pipeline.choose(stages)
        for row in rows:
            row.load()
        store = engine.open_store(settings)
        plan = cls(
            config, tuple(overrides), force, settings, pipeline, tuple(rows), store, engine.pinned(inputs, rows, pipeline, store)
        )
        made: set[str] = set()
        for row in rows:
            for parent in row.parents:
                if parent not in made and parent not in plan.pinned:
                    engine.newest(store, parent, pipeline)
            plan.on_gpu(row)  # a device that is not there
            made.add(row.name)
        return plan

    def on_gpu(self, stage: Stage) -> bool:
        """Whether a stage computes on a GPU of this machine."""
        name = getattr(engine.stage_settings(self.settings, stage), "device", "cpu")
        return resolve_device(name).type != "cpu"

    def again(self, stage: Stage) -> str:
        """The command that runs one stage again, with the settings of this run."""
        words = ["emurl", "run", stage.name, "--config", self.config]
        for override in self._shown():
            words += ["--set", override]
        for artifact in self.pinned.values():
            if engine.key_of(artifact, self.pipeline) in stage.parents:
                words += ["--input", artifact.ref]
        return shlex.join(words)

    def _shown(self) -> list[str]:
        """The overrides as a log may have them: addresses without user and password."""
        parts = [override.partition("=") for override in self.overrides]
        return [f"{key}{sign}{without_user(value) if '://' in value else value}" for key, sign, value in parts]

    def deployed_again(self, stage: Stage) -> str:
        """The same as a run of the stage's own deployment."""
        words = ["prefect", "deployment", "run", f"emurl/{deployment_name(self.pipeline, stage)}", "--param"]
        words.append(f"config={json.dumps(self.config)}")
        pins = [one.ref for one in self.pinned.values() if engine.key_of(one, self.pipeline) in stage.parents]
        for name, values in (("overrides", self._shown()), ("inputs", pins)):
            if values:
                words += ["--param", f"{name}={json.dumps(values)}"]
        return shlex.join(words)
