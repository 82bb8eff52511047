"""One stage as a Prefect task: named for what it makes, tagged, limited in time, tried again where a site may come back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.runtime import deployment
from prefect.states import Failed, State
from prefect.tasks import exponential_backoff

from emurl.core import engine, log
from emurl.core.artifact import DEFAULT_PIPELINE
from emurl.core.errors import EmurlError, WorkError
from emurl.core.pipeline import Stage
from flows.plan import Plan
from flows.shown import show

GPU = "gpu"  # the tag of tasks that compute on one, and the name of their concurrency limit
RETRIES = 4  # of a stage that talks to a site; the others go on from their checkpoint when they are run again
BACKOFF_S = 10.0  # before the first; twice as long before each of the others
JITTER = 0.5  # so much longer at most, by chance: what failed together does not come back together


def _worth_retrying(task: Any, run: Any, state: Any) -> bool:
    """The network may come back; wrong input stays wrong, and a bug stays a bug."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, WorkError)


@task(cache_policy=NO_CACHE, persist_result=False)
def make(plan: Plan, stage: str, parents: list[str], group: str) -> Any:
    """One stage on the parents' refs; returns its row of the closing table, with `ref`.

    What is wrong with the input, or with work that is not worth another try, is a failed state of one line and no traceback.
    """
    row = plan.pipeline.by_name[stage]
    made = {engine.key_of(artifact, plan.pipeline): artifact for artifact in map(plan.store.get, parents)}
    try:
        with _told_to_prefect(), log.to_file(log_of(plan, row, group)):
            result = engine.run_stage(plan.settings, row, plan.store, made, group=group, force=plan.force)
    except EmurlError as error:
        if row.network and isinstance(error, WorkError):
            raise  # to be tried again
        return Failed(message=log.flat(error), data=error)
    if not result.skipped:
        show(result)
    return {**result.as_json(), "headline": result.headline, "group": result.group}


def task_of(plan: Plan, stage: Stage, timeout_hours: float | None) -> Any:
    """The task that makes one stage of a plan."""
    ref = stage.name if plan.pipeline.name == DEFAULT_PIPELINE else f"{plan.pipeline.name}/{stage.name}"
    tags = [plan.pipeline.name, *(["network"] if stage.network else []), *([GPU] if plan.on_gpu(stage) else [])]
    return make.with_options(
        name=ref,
        task_run_name=ref,
        description=stage.summary,
        tags=tags,
        timeout_seconds=None if timeout_hours is None else timeout_hours * 3600,
        retries=RETRIES if stage.network else 0,
        retry_delay_seconds=exponential_backoff(BACKOFF_S),
        retry_jitter_factor=JITTER,
        retry_condition_fn=_worth_retrying,
    )


def require_gpu_limit() -> None:
    """One task with the tag `gpu` at a time, unless somebody has said how many (`prefect concurrency-limit create gpu 2`)."""
    with get_client(sync_client=True) as client:
        try:
            client.read_concurrency_limit_by_tag(GPU)
        except ObjectNotFound:
            client.create_concurrency_limit(tag=GPU, concurrency_limit=1)


def log_of(plan: Plan, stage: Stage, group: str) -> Path:
    """Where what a stage says is kept."""
    return plan.store.root / log.LOGS / group / f"{stage.name}.log"


def explain(plan: Plan, stage: Stage, state: State[Any], group: str) -> list[str]:
    """Why a stage has failed, where its log is, and what runs it again: a line each."""
    again = plan.again(stage)
    if deployment.name:
        again += f", or {plan.deployed_again(stage)}"
    why = log.flat(state.message)
    return [
        f"{stage.name} has {(state.name or state.type).lower()}: {why}",
        f"its log: {log_of(plan, stage, group)}",
        f"again: {again}",
    ]


@contextmanager
def _told_to_prefect() -> Iterator[None]:
    """What a stage says goes to the logs of its task run, where no terminal shows it."""
    if log.LOGGER.handlers:
        yield
        return
    run_logger = get_run_logger()
    handler = logging.Handler()
    handler.emit = lambda record: run_logger.log(record.levelno, record.getMessage().strip())  # type: ignore[method-assign]
    log.LOGGER.addHandler(handler)
    propagates, log.LOGGER.propagate = log.LOGGER.propagate, False
    try:
        yield
    finally:
        log.LOGGER.removeHandler(handler)
        log.LOGGER.propagate = propagates
