"""Every test keeps to itself: no W&B, no Prefect home, no cache of the user's, no network but loopback."""

import fcntl
import os
import signal

# Before torch is imported: two workers of two threads each on two cores would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from tests.fixtures.tiny import Tiny, write_tiny

os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ.pop("WANDB_API_KEY", None)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EMURL_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Tiny:
    """The whole pipeline, run once for all tests (and all workers) that want to look at what it leaves."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tiny"
    folder.mkdir(exist_ok=True)
    job, done = Tiny(folder / "whole.yaml"), folder / "done"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            write_tiny(folder, "whole")
            process = job.start()
            try:
                assert process.wait(600) == 0, job.log.read_text()
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
            done.touch()
    return job
