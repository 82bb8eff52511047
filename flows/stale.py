"""A flow run whose process was killed stays *Running* for ever in Prefect's eyes: find such runs and mark them crashed."""

from __future__ import annotations

import os
import socket

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed


def process_tag() -> str:
    """Names this process on this host, to be kept with the flow run it executes."""
    return f"process:{socket.gethostname()}:{os.getpid()}"


def sweep(flow_name: str) -> int:
    """Mark every running flow run of `flow_name` whose process on this host is gone as crashed; returns how many."""
    running = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])))
    named = FlowFilter(name=FlowFilterName(any_=[flow_name]))
    swept = 0
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_filter=named, flow_run_filter=running):
            owners = [tag for tag in run.tags if tag.startswith("process:")]
            if owners and not any(_alive(tag) for tag in owners):
                client.set_flow_run_state(run.id, Crashed(message="its process is gone"), force=True)
                swept += 1
    return swept


def _alive(tag: str) -> bool:
    _, host, pid = tag.rsplit(":", 2)
    if host != socket.gethostname():
        return True  # another machine's process: not ours to judge
    if os.name == "nt":
        return True  # there, to look at a process in this way is to interrupt it
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        return True
    return True
