"""A process on a leash ends with its parent, and not before."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emurl.core.lease import process_start

ROOT = Path(__file__).resolve().parents[2]
# A parent that starts `sleeper` on a leash, says its number, and waits.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "flows.leash", str(os.getpid()), "sleeper"])
print(child.pid, flush=True)
time.sleep(60)
"""


def gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if process_start(pid) == "":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked for in /proc")
@pytest.mark.parametrize("deaf", [False, True])
def test_it_ends_when_its_parent_is_killed_even_if_it_does_not_listen(tmp_path, deaf):
    listen = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if deaf else ""
    (tmp_path / "sleeper.py").write_text(f"import signal, time\n{listen}\nopen('up', 'w').close()\ntime.sleep(60)\n")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        child = int(parent.stdout.readline())
        deadline = time.monotonic() + 20
        while not (tmp_path / "up").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.5)  # a look or two: nothing has happened
        assert process_start(child)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert gone(child, 12.0 if deaf else 4.0)


# A flow as Prefect runs it, but for its server: SIGTERM is Prefect's inside, and the stage saves before it is raised.
FLOW = """
import contextlib, sys, time
from prefect.utilities.engine import capture_sigterm
from emurl.core import interrupt
from flows import pipeline
def flow(*arguments):
    with capture_sigterm(), interrupt.handled(), interrupt.saving() as asked:
        print("ready", flush=True)
        while not asked():
            time.sleep(0.02)
        print("saved", flush=True)
        interrupt.leave()
pipeline.emurl_flow, pipeline.leashed_server = flow, contextlib.nullcontext
sys.exit(pipeline.main(["--config", sys.argv[1]]))
"""


@pytest.mark.parametrize(("signum", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")])
def test_a_flow_in_a_shell_saves_and_has_last_words(tmp_path, signum, code, word):
    (tmp_path / "settings.yaml").write_text(f"store: {tmp_path}/store\ntracking: {{tensorboard: false, wandb: false}}\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT")}
    process = subprocess.Popen(
        [sys.executable, "-c", FLOW, str(tmp_path / "settings.yaml")], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=environment | {"PREFECT_HOME": str(tmp_path / "prefect")},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (code, "saved\n")
    assert err.splitlines() == [f"emurl: {word}; the same command again goes on from here"]


def test_a_flows_own_server_is_spared_the_terminals_ctrl_c(monkeypatch):
    """It has a session of its own, so that the flow can still tell it how it ended."""
    from prefect.server.api.server import SubprocessASGIServer

    from flows import server

    real = subprocess.Popen
    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(
        server.subprocess, "Popen",
        lambda words, **how: real([sys.executable, "-c", "import os; print(os.getsid(0))"], stdout=subprocess.PIPE, **how),
    )  # fmt: skip
    with server.leashed_server():
        process = SubprocessASGIServer()._run_uvicorn_command()
    out, _ = process.communicate(timeout=60)
    assert int(out) == process.pid != os.getsid(0)


def test_a_demo_ends_with_make():
    done = subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-m flows.pipeline --config configs/demo.yaml --end-with-parent" in done.stdout
