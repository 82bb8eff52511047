"""Every test keeps to itself: no W&B, no Prefect home, no cache of the user's, no network but loopback."""

import os

import pytest

os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ.pop("WANDB_API_KEY", None)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EMURL_CACHE", str(tmp_path_factory.mktemp("cache")))
