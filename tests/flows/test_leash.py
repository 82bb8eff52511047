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


def test_a_demo_ends_with_make():
    done = subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-m flows.pipeline --config configs/demo.yaml --end-with-parent" in done.stdout
