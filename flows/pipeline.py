"""A pipeline as a Prefect flow: one task a row of its table. `python -m flows.pipeline` runs it here and now.

    prefect deployment run emurl/demo               on a worker, see prefect.yaml
    python -m flows.pipeline --config configs/demo.yaml

A task hands on the ref of its artifact (`reward@v3`), never data: the store holds it, and its fingerprint, not Prefect's
cache, decides what is skipped. So a flow run that was killed is simply started again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Failed
from prefect.utilities.annotations import quote

from emurl.core import engine, interrupt, log
from emurl.core.arguments import Parser
from emurl.core.errors import EmurlError
from emurl.core.progress import say
from flows import leash
from flows.plan import Plan
from flows.server import leashed_server, require_server, told_when_it_goes
from flows.shown import show_run
from flows.stale import FLOW, process_tag, sweep
from flows.work import explain, require_gpu_limit, task_of


def _run_name() -> str:
    """`demo: runs, videos`."""
    parameters = flow_run.parameters
    return f"{Path(str(parameters.get('config'))).stem}: {', '.join(parameters.get('stages') or ['all'])}"


@flow(name=FLOW, flow_run_name=_run_name, persist_result=False, validate_parameters=True)
def emurl_flow(
    config: str = "configs/demo.yaml",
    stages: list[str] | None = None,
    overrides: list[str] | None = None,
    force: bool = False,
    inputs: list[str] | None = None,
    timeout_hours: float | None = 24.0,
) -> Any:
    """Run stages of a pipeline with the settings of a file.

    Args:
        config: the settings file, below the checkout.
        stages: which; none for all.
        overrides: changes of settings, such as `["reward.epochs=2"]`.
        force: run even what has not changed.
        inputs: versions of parents instead of the newest, such as `["reward@v1"]`.
        timeout_hours: how long one try of one stage may take; run again, it goes on from its checkpoint.
    """
    if os.environ.get("PREFECT__FLOW_RUN_ID"):  # started by a worker: nobody would see to this process without it
        leash.hold(os.getppid(), get_run_logger().warning)
    try:
        plan = Plan.of(config, stages or (), overrides or (), force, inputs or (), timeout_hours)
    except EmurlError as error:
        return _failed([log.flat(error)], error)
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, tags=[*flow_run.tags, process_tag()])
    sweep()
    if any(plan.on_gpu(row) for row in plan.stages):
        require_gpu_limit()
    group = engine.new_group()
    states: dict[str, Any] = {}
    rows: dict[str, dict[str, Any]] = {}
    for row in plan.stages:
        parents = [
            plan.pinned[name].ref if name in plan.pinned
            else rows[name]["ref"] if name in rows
            else engine.newest(plan.store, name, plan.pipeline).ref
            for name in row.parents
        ]  # fmt: skip
        # Called, not submitted: a stage runs in the main thread, where Ctrl-C reaches it.
        state = task_of(plan, row, timeout_hours)(
            quote(plan),
            row.name,
            parents,
            group,
            wait_for=[states[name] for name in row.parents if name in states],
            return_state=True,
        )
        if not state.is_completed():
            cause = state.result(raise_on_failure=False)
            return _failed(
                explain(plan, row, state, group), cause if isinstance(cause, Exception) else RuntimeError(state.message)
            )
        states[row.name], rows[row.name] = state, state.result()
        group = rows[row.name]["group"]  # of the first try, where the stage went on from it
    show_run(list(rows.values()))
    return list(rows.values())


def _failed(lines: list[str], error: Exception) -> Any:
    """A failed run that says why in its state, and in its log without a traceback."""
    if log.LOGGER.handlers:  # in a shell, where the last word is the error itself
        for line in lines[1:]:
            say(f"  {line}")
    else:
        for line in lines:
            get_run_logger().error(line)
    return Failed(message="; ".join(lines), data=error)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m flows.pipeline", description="Run the pipeline as a Prefect flow, here and now.")
    parser.add_argument("stages", nargs="*", metavar="STAGE")
    parser.add_argument("--config", default="configs/demo.yaml", metavar="FILE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--input", action="append", default=[], metavar="REF", help="a version of a parent instead of the newest")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--log-json", action="store_true", help="log as JSON lines")
    parser.add_argument("--end-with-parent", action="store_true", help="end when the process that started this one does")
    return parser


def main(argv: list[str] | None = None) -> int:
    """The flow from the shell, without a server of one's own: the same words as `emurl run`."""
    args = _parser().parse_args(argv)
    log.start(as_json=args.log_json)
    log.forgive_encodings()
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # Prefect calls it again when the flow has told how it ended
        signal.signal(signal.SIGTERM, lambda signum, _: interrupt.end(signum))
    if args.end_with_parent:
        leash.hold(os.getppid(), log.failed)
    try:
        plan = Plan.of(args.config, args.stages, args.set, args.force, args.input)  # what is wrong is said before a server starts
        require_server()
        with told_when_it_goes(), leashed_server():
            rows: Any = emurl_flow(args.config, args.stages, args.set, args.force, args.input, None)
    except EmurlError as error:
        log.failed(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return interrupt.say(signal.SIGINT)
    results = [
        engine.Result(plan.pipeline.by_name[row["stage"]], plan.store.get(row["ref"]), row["skipped"], row["seconds"])
        for row in rows
    ]
    print(engine.closing_table(results))
    report = next((Path(row["path"]) / "report.html" for row in rows if row["stage"] == "evaluation"), None)
    if report is not None:
        print(f"\nThe report: {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
