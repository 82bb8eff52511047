"""A flow run whose process was killed stays *Running* for ever in Prefect's eyes: find such runs and mark them crashed.

Every run carries a tag that names its process. On the same machine that process is looked for: a certain answer, at once. Of another
machine, or another container, only Prefect's heartbeats tell: a run is over when the last is old *and* none comes while the
sweep waits for the next, so that a server that was away for an hour crashes nothing that lives.

    prefect deploy --all                 deploys the sweep, every two minutes on a worker; every flow sweeps when it begins, too
    python -m flows.stale [--every S]    without a worker: once, or again and again (beside the server, for example)
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.events.schemas.events import ReceivedEvent
from prefect.states import Crashed

from emurl.core import log
from emurl.core.arguments import Parser
from emurl.core.errors import EmurlError
from emurl.core.lease import process_start, this_machine
from flows.deployments import HEARTBEAT_S
from flows.server import require_server, told_when_it_goes

FLOW = "emurl"
SILENT_S = 600.0  # after which a far run is looked at; three heartbeats of Prefect's own default of 180 s are less


def process_tag() -> str:
    """Names this process, to be kept with the flow run it executes: host, machine, number, start."""
    return f"process:{socket.gethostname()}:{_machine()}:{os.getpid()}:{process_start(os.getpid()) or '-'}"


def _machine() -> str:
    """What process numbers count in, short: hosts may be called alike, and containers share a boot."""
    return hashlib.sha256(this_machine().encode()).hexdigest()[:12] if this_machine() else "-"


def sweep(flow_name: str = FLOW, far: bool = False) -> int:
    """Mark every running flow run of `flow_name` whose process is gone as crashed, its tasks too; returns how many.

    Args:
        far: also those of other machines that are silent, which takes a heartbeat if there are any.
    """
    with get_client(sync_client=True) as client:
        suspects = []
        swept = 0
        for run in _running(client, flow_name):
            owners = [tag for tag in run.tags if tag.startswith("process:")]
            lives = [_alive(tag) for tag in owners]
            if owners and not any(life is not False for life in lives):
                swept += _crash(
                    client, run.id, f"its process ({owners[-1].split(':')[-2]} of {owners[-1].split(':')[1]}) is gone"
                )
            elif True not in lives:
                suspects.append(run)
        return swept + (_sweep_silent(client, suspects) if far else 0)


def _running(client: SyncPrefectClient, flow_name: str) -> Iterable[FlowRun]:
    running = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])))
    found: list[FlowRun] = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[flow_name])), flow_run_filter=running
    )
    return found


def _alive(tag: str) -> bool | None:
    """Whether a tag's process is there; None where that cannot be told from here."""
    parts = tag.split(":")
    if len(parts) != 5 or parts[1:3] != [socket.gethostname(), _machine()] or not parts[3].isdigit():
        return None
    pid, started = int(parts[3]), process_start(int(parts[3]))
    if started is not None:
        return started == parts[4]
    if os.name == "nt":
        return None  # there, to look at a process with `kill` is to end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return None
    return True


def _sweep_silent(client: SyncPrefectClient, suspects: list[FlowRun]) -> int:
    silent = [run for run in suspects if _silence(client, run) > SILENT_S]
    if not silent:
        return 0
    before = {run.id: _last_heartbeat(client, run.id) for run in silent}
    time.sleep(HEARTBEAT_S + 10)
    dead = [run for run in silent if _last_heartbeat(client, run.id) == before[run.id]]
    return sum(_crash(client, run.id, "no heartbeat of its process comes any more") for run in dead)


def _silence(client: SyncPrefectClient, run: FlowRun) -> float:
    """Seconds since anything was heard of a run (when the server heard it: the run's own clock may be another)."""
    last = _last_heartbeat(client, run.id)
    heard = last.received if last is not None else run.start_time
    return (datetime.now(UTC) - heard).total_seconds() if heard is not None else 0.0


def _last_heartbeat(client: SyncPrefectClient, run: UUID) -> ReceivedEvent | None:
    of_it = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]), resource=EventResourceFilter(id=[f"prefect.flow-run.{run}"])
    )
    return next(iter(client.read_events(of_it, limit=1).events), None)


def _crash(client: SyncPrefectClient, run: UUID, why: str) -> int:
    # The process was found to be gone before this: had it ended well, its last state would be here by now.
    state = client.read_flow_run(run).state
    if state is None or not state.is_running():
        return 0
    of_it = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    unfinished = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])))
    for task_run in client.read_task_runs(flow_run_filter=of_it, task_run_filter=unfinished):
        client.set_task_run_state(task_run.id, Crashed(message=why), force=True)
    client.set_flow_run_state(run, Crashed(message=f"{why}; run again, it goes on from there"), force=True)
    return 1


@flow(name="emurl-sweep", description="Mark runs whose process is gone as crashed.", persist_result=False)
def sweep_flow() -> int:
    """The sweep as a deployment; returns how many runs it marked."""
    return sweep(FLOW, far=True)


def main(argv: list[str] | None = None) -> int:
    """The sweep without a worker."""
    parser = Parser(prog="python -m flows.stale", description="Mark runs whose process is gone as crashed.")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="again and again; without it once")
    args = parser.parse_args(argv)
    log.start()
    try:
        require_server()
        while True:
            with told_when_it_goes():
                print(f"{sweep(FLOW, far=True)} marked as crashed", flush=True)
            if args.every is None:
                return 0
            time.sleep(args.every)
    except EmurlError as error:
        log.failed(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
