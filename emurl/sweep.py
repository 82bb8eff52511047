"""`emurl sweep`: a search over the settings of any stage. A trial is an ordinary run of the stage, which the store knows by its fingerprint.

    <store>/.sweeps/<pipeline>-<stage>-<name>/sweep.json    what is searched, by which metric, from which parents; made once
    <store>/.sweeps/<pipeline>-<stage>-<name>/journal/      its trials (`core.journal`), as Optuna's journal

A trial whose work fails, or whose settings do not go together, has failed, and the sweep goes on. One that is not worth finishing is pruned
and leaves nothing. One that was interrupted is taken up, with its settings and its checkpoints, by the same command; on another machine or
beside this one the same command works on the same sweep. The best version so far has the tag `best-<name>`.
"""

from __future__ import annotations

import contextlib
import json
import math
import shlex
import time
from collections.abc import Mapping
from typing import Any

from emurl.core import engine, interrupt
from emurl.core.artifact import Artifact, canonical_json
from emurl.core.errors import EmurlError, InputError, Pruned, WorkError
from emurl.core.journal import SWEEPS
from emurl.core.progress import clock, say
from emurl.core.refusals import one_line
from emurl.core.store import Store
from emurl.core.tags import set_tag, tags_of
from emurl.core.tracking import Label
from emurl.sweep_plan import Asked, Configured, Plan, make_plan
from emurl.sweep_space import overrides
from emurl.sweep_trials import STATES, Trial, Trials, load_optuna

FAILURES = 5  # in a row, after which nobody believes in the next
ENDS = 5  # times that a trial ended its process (killed for its memory, say) before it counts as failed


def sweep(configured: Configured, asked: Asked) -> dict[str, Any]:
    """Run what is lacking of a sweep's trials.

    Args:
        configured: gives the settings with some `key=value` laid over them.

    Returns:
        {sweep, pipeline, stage, metric, direction, trials: [{number, params, state, value, ref, duration_s, why}], best}; `best` is one of
        the trials with `tag` and `set`, or None.

    Raises:
        InputError: what is asked for is wrong, or is not the sweep of that name.
        WorkError: every trial failed, or several in a row; the store cannot be used.
    """
    plan = make_plan(configured, asked)
    load_optuna()
    store = engine.open_store(configured(()))
    parents = _settle(plan, store)
    trials = Trials(store.objects, plan, [one.ref for one in parents.values()])
    with interrupt.handled():
        _Worker(plan, configured, store, parents, trials).work()
    document = told(plan, trials.all())
    if document["best"] is None and all(one["state"] == "failed" for one in document["trials"]):
        raise WorkError(
            f"sweep {plan.name}: all of {len(document['trials'])} trials failed, the last: {document['trials'][-1]['why']}"
        )
    return document


def _settle(plan: Plan, store: Store) -> dict[str, Artifact]:
    """Begin the sweep in the store, or find it there; gives the parents that all its trials have, as it was begun with."""
    made_here = {stage.name for stage in plan.stages}
    pins = engine.pinned(plan.inputs, plan.stages, plan.pipeline, store)
    for key, artifact in pins.items():
        if key in made_here:
            raise InputError(f"--input {artifact.ref}: the sweep makes {key} itself, expected no version of it")
    key = f"{SWEEPS}/{plan.key}/sweep.json"
    if store.objects.read(key) is None:
        parents = {
            parent: pins.get(parent) or engine.newest(store, parent, plan.pipeline)
            for stage in plan.stages
            for parent in stage.parents
            if parent not in made_here
        }
        engine.require_one_lineage(parents.values())
        begun = {**plan.definition, "parents": {name: {"ref": one.ref, "digest": one.digest} for name, one in parents.items()}}
        store.objects.create(key, canonical_json(begun).encode())  # of two that begin it at once, the first counts
    return _parents(plan, store, key)


def _parents(plan: Plan, store: Store, key: str) -> dict[str, Artifact]:
    where = store.where(key)
    try:
        begun = json.loads(store.objects.read(key) or b"")
        parents = {str(name): (str(one["ref"]), str(one["digest"])) for name, one in begun["parents"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{where}: is damaged ({type(error).__name__}), expected what `emurl sweep` wrote; another --name begins anew"
        ) from None
    for name, value in plan.definition.items():
        if begun.get(name) != value:
            raise InputError(
                f"sweep {plan.name}: was begun with {name} {_said(begun.get(name))}, not {_said(value)}, expected the same or another --name"
            )
    found = {}
    for name, (ref, digest) in parents.items():
        found[name] = store.get(ref)
        if found[name].digest != digest:
            raise InputError(
                f"sweep {plan.name}: was begun with {ref} of digest {digest[:12]}, expected that one; another --name begins anew"
            )
    return found


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={one}" for key, one in value.items())
    return " ".join(map(str, value)) or "(none)" if isinstance(value, list) else str(value)


class _Worker:
    """Works on trials until there are none left to begin."""

    def __init__(self, plan: Plan, configured: Configured, store: Store, parents: dict[str, Artifact], trials: Trials) -> None:
        self._plan, self._configured, self._store, self._parents, self._trials = plan, configured, store, parents, trials
        self._heard: set[str] = set()  # names that a trial has logged
        self._remarked = False

    def work(self) -> None:
        """Until there are none."""
        failed, patient = 0, True
        while True:
            with interrupt.saving():  # a signal that came while a trial ended otherwise is raised here
                pass
            taken = self._trials.take(patient)
            if taken is None:
                return
            patient = False  # those that were silent at first are known to be at work
            trial, lease = taken
            try:
                self._try(trial)
            finally:
                lease.release()
            failed = failed + 1 if trial.state == "failed" else 0
            if failed == FAILURES:
                raise WorkError(f"sweep {self._plan.name}: {failed} trials in a row failed, the last: {trial.notes.get('why')}")

    def _try(self, trial: Trial) -> None:
        """Run a trial to whatever end it has."""
        plan, began = self._plan, time.monotonic()
        lines = overrides(plan.spaces, trial.params)
        again = ", goes on" if trial.notes.get("begun") else ""
        say(f"sweep {plan.name}: trial {trial.number} of {plan.trials}{again}: {' '.join(lines)}")
        if trial.notes.get("begun", 0) - trial.notes.get("left", 0) >= ENDS:
            return self._failed(trial, f"ended its process {ENDS} times", began)
        self._trials.note(trial, begun=trial.notes.get("begun", 0) + 1)
        try:
            made = self._run(trial, lines)
            value = _value_of(made, plan.metric)
        except Pruned:
            self._trials.end(trial, "pruned", seconds=_seconds(trial, began))
            say(f"sweep {plan.name}: trial {trial.number} pruned, {clock(time.monotonic() - began)}")
        except EmurlError as error:
            self._failed(trial, str(error), began)
        except (KeyboardInterrupt, interrupt.Terminated):
            with contextlib.suppress(EmurlError):
                self._trials.note(trial, left=trial.notes.get("left", 0) + 1, seconds=_seconds(trial, began))
            raise
        except Exception as error:
            # Too large a batch is what a search runs into; anything else is a bug, and its traceback is worth reading.
            if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":
                raise
            self._failed(trial, f"out of memory ({one_line(error)})", began)
        else:
            self._trials.end(trial, "complete", value, ref=made.ref, seconds=_seconds(trial, began))
            self._completed(trial, made)

    def _run(self, trial: Trial, lines: list[str]) -> Artifact:
        """The artifact of the swept stage with the settings of a trial."""
        plan = self._plan
        config = self._configured(lines)
        params = {key: space.value(trial.params[key]) for key, space in plan.spaces.items()}
        facts = {"sweep": plan.name, "trial": trial.number, "params": params}
        made = dict(self._parents)
        for stage in plan.stages:
            listen = self._listener(trial) if stage is plan.stage else None
            label = Label(f"trial{trial.number}", ("sweep", f"sweep-{plan.name}"), facts, listen)
            result = engine.run_stage(config, stage, self._store, made, group=f"sweep-{plan.stage.name}-{plan.name}", label=label)
            made[stage.name] = result.artifact
        if not result.skipped and plan.watched and not self._remarked and not self._heard.intersection(plan.watched):
            logged = f" (logged: {', '.join(sorted(self._heard)[:12])})" if self._heard else ""
            say(f"sweep {plan.name}: {plan.watched[0]} is not logged in training{logged}, so no trial is pruned")
            self._remarked = True
        return result.artifact

    def _listener(self, trial: Trial) -> Any:
        plan = self._plan

        def listen(values: dict[str, float], step: int) -> None:
            self._heard.update(values)
            for name in plan.watched:
                if name in values and self._trials.report(trial, step, plan.watched_sign * float(values[name])):
                    raise Pruned

        return listen

    def _failed(self, trial: Trial, why: str, began: float) -> None:
        self._trials.end(trial, "failed", why=why, seconds=_seconds(trial, began))
        say(f"sweep {self._plan.name}: trial {trial.number} failed: {why}")

    def _completed(self, trial: Trial, made: Artifact) -> None:
        plan = self._plan
        best = _best(plan, self._trials.all())
        other = f"best {_short(best.value)} of trial {best.number}" if best and best.number != trial.number else "the best so far"
        say(f"sweep {plan.name}: trial {trial.number}: {plan.metric} {_short(trial.value)} ({made.ref}), {other}")
        known = tags_of(self._store, made.pipeline, made.stage).get(_tag(plan))
        if best is not None and best.number == trial.number and known != (made.version, made.digest):
            set_tag(self._store, made, _tag(plan))  # gc keeps it


def _seconds(trial: Trial, began: float) -> float:
    return round(float(trial.notes.get("seconds", 0.0)) + time.monotonic() - began, 3)


def _value_of(artifact: Artifact, metric: str) -> float:
    value = artifact.metrics.get(metric)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        known = [name for name, one in artifact.metrics.items() if isinstance(one, (int, float))]
        what = "has no such metric" if metric not in artifact.metrics else f"has {json.dumps(value)} there"
        raise WorkError(
            f"--metric {metric}: {artifact.ref} {what}, expected a number, as {', '.join(known) or 'none of its metrics'} is"
        )
    return float(value)


def _tag(plan: Plan) -> str:
    return f"best-{plan.name}"


def _best(plan: Plan, trials: list[Trial]) -> Trial | None:
    """The best trial that is complete; of equals the first."""
    sign = -1.0 if plan.direction == "maximize" else 1.0
    complete = [one for one in trials if one.state == "complete" and one.value is not None]
    return min(complete, key=lambda one: (sign * (one.value or 0.0), one.number), default=None)


def told(plan: Plan, trials: list[Trial]) -> dict[str, Any]:
    """The sweep as JSON-ready data, the best trials first; see `sweep`."""
    sign = -1.0 if plan.direction == "maximize" else 1.0
    ordered = sorted(trials, key=lambda one: (STATES.index(one.state), sign * (one.value or 0.0), one.number))
    rows = [
        {
            "number": one.number,
            "params": {key: space.value(one.params[key]) for key, space in plan.spaces.items()},
            "state": one.state,
            "value": one.value,
            "ref": one.notes.get("ref"),
            "duration_s": one.notes.get("seconds"),
            "why": one.notes.get("why"),
        }
        for one in ordered
    ]
    best = _best(plan, trials)
    found = None
    if best is not None:
        line = overrides(plan.spaces, best.params)
        found = {**rows[0], "tag": f"{str(rows[0]['ref']).partition('@')[0]}@{_tag(plan)}", "set": line}
    return {
        "sweep": plan.name,
        "pipeline": plan.pipeline.name,
        "stage": plan.stage.name,
        "metric": plan.metric,
        "direction": plan.direction,
        "trials": rows,
        "best": found,
    }


def as_text(document: dict[str, Any]) -> str:
    """The trials as a table, best first, and the line that makes the best one again."""
    rows = [["trial", document["metric"], *document["trials"][0]["params"], "version", "time"]]
    for one in document["trials"]:
        shown = _short(one["value"]) if one["state"] == "complete" else one["state"]
        took = "" if one["duration_s"] is None else clock(one["duration_s"])
        rows.append([str(one["number"]), shown, *map(_short, one["params"].values()), one["ref"] or "", took])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("─" * width for width in widths))
    best = document["best"]
    if best is None:
        return "\n".join([*lines, "", f"sweep {document['sweep']}: no trial is complete"])
    paste = " ".join(f"--set {shlex.quote(one)}" for one in best["set"])
    return "\n".join([*lines, "", f"best of sweep {document['sweep']}: trial {best['number']}, {best['tag']}", paste])


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
