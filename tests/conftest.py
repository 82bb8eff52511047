"""Every test keeps to itself: no W&B, no Prefect home, no cache of the user's, no network but loopback."""

import os

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
    """The whole pipeline, run once for all tests that want to look at what it leaves."""
    job = write_tiny(tmp_path_factory.mktemp("tiny"), "whole")
    assert job.start().wait(400) == 0, job.log.read_text()
    return job
