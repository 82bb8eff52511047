"""A pipeline as a Prefect flow: one task a row of its table. `python -m flows.pipeline` runs it here and now.

    prefect deployment run emurl/demo               on a worker, see prefect.yaml
    python -m flows.pipeline --config configs/demo.yaml

A task hands on the ref of its artifact (`reward@v3`), never data: the store holds it, and its fingerprint, not Prefect's
cache, decides what is skipped. So a flow run that was killed is simply started again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from emurl.core import engine, log
from emurl.core.config import load_config
from emurl.core.errors import EmurlError, WorkError
from emurl.core.pipeline import find_pipeline
from flows.server import require_server, told_when_it_goes
from flows.stale import process_tag, sweep


def _worth_retrying(task: Any, run: Any, state: Any) -> bool:
    """The network may come back; wrong input stays wrong, and a bug stays a bug."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, WorkError)


@task(cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=_worth_retrying, task_run_name="{stage}")
def run_stage(stage: str, parents: list[str], config: str, overrides: list[str], force: bool, group: str) -> dict[str, Any]:
    """One stage on the parents' refs; returns its row of the closing table, with `ref`."""
    settings = load_config(config, overrides)
    store = engine.open_store(settings)
    pipeline = find_pipeline(settings.pipeline)
    made = {engine.key_of(artifact, pipeline): artifact for artifact in map(store.get, parents)}
    result = engine.run_stage(settings, pipeline.by_name[stage], store, made, group=group, force=force)
    return {**result.as_json(), "headline": result.headline, "group": result.group}


@flow(name="emurl", persist_result=False, validate_parameters=True)
def emurl_flow(
    config: str = "configs/demo.yaml",
    stages: list[str] | None = None,
    overrides: list[str] | None = None,
    force: bool = False,
) -> list[dict[str, Any]]:
    """Run `stages` (all for none) with the settings of `config` and `overrides` such as `["reward.epochs=2"]`."""
    changes = list(overrides or [])
    settings = load_config(config, changes)
    pipeline = find_pipeline(settings.pipeline)
    store = engine.open_store(settings)
    sweep("emurl")
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, tags=[*flow_run.tags, process_tag()])
    group = engine.new_group()
    states: dict[str, Any] = {}
    rows: dict[str, dict[str, Any]] = {}
    for row in pipeline.choose(stages or []):
        # Retrying only what talks to a site: a training stage that failed would fail again.
        here = run_stage.with_options(retries=2 if row.network else 0, retry_delay_seconds=10)
        parents = [rows[name]["ref"] if name in rows else engine.newest(store, name, pipeline).ref for name in row.parents]
        # Called, not submitted: a stage runs in the main thread, where Ctrl-C reaches it.
        state = here(
            row.name, parents, config, changes, force, group,
            wait_for=[states[name] for name in row.parents if name in states], return_state=True,
        )  # fmt: skip
        states[row.name], rows[row.name] = state, state.result()
        group = rows[row.name]["group"]  # of the first try, where the stage went on from it
    create_markdown_artifact(_as_markdown(list(rows.values())), key="emurl-run", description="what the run left in the store")
    return list(rows.values())


def _as_markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| stage | version | headline | seconds | path |", "|---|---|---|---|---|"]
    for row in rows:
        took = "skipped" if row["skipped"] else row["seconds"]
        lines.append(f"| {row['stage']} | {row['version']} | {row['headline']} | {took} | {row['path']} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """The flow from the shell, without a server of one's own: the same words as `emurl run`."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m flows.pipeline", description="Run the pipeline as a Prefect flow, here and now."
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE")
    parser.add_argument("--config", default="configs/demo.yaml", metavar="FILE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--log-json", action="store_true", help="log as JSON lines")
    args = parser.parse_args(argv)
    log.start(as_json=args.log_json)
    log.forgive_encodings()
    try:
        settings = load_config(args.config, args.set)  # what is wrong is said before a server starts
        store = engine.open_store(settings)
        pipeline = find_pipeline(settings.pipeline)
        pipeline.choose(args.stages)
        require_server()
        with told_when_it_goes():
            rows = emurl_flow(args.config, args.stages, args.set, args.force)
    except EmurlError as error:
        log.failed(" ".join(str(error).split()))
        return error.exit_code
    except KeyboardInterrupt:
        log.failed("interrupted; the same command again goes on from here")
        return 130
    by_name = pipeline.by_name
    results = [engine.Result(by_name[row["stage"]], store.get(row["ref"]), row["skipped"], row["seconds"]) for row in rows]
    print(engine.closing_table(results))
    report = next((Path(row["path"]) / "report.html" for row in rows if row["stage"] == "evaluation"), None)
    if report is not None:
        print(f"\nThe report: {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
