"""The main job once, tiny but real: a loopback leaderboard, yt-dlp, ffmpeg, PyBoy, every model, to the report."""

import json
import os
import random
import signal
import time

import pytest

from emurl.core.pipeline import find_pipeline
from emurl.core.store import Store
from tests.fixtures.tiny import Tiny, write_tiny

pytestmark = pytest.mark.slow
STAGES = tuple(find_pipeline("speedrun").by_name)


def kill_in(job: Tiny, stage: str, delay: float) -> bool:
    """Start the whole job, SIGKILL it `delay` seconds into `stage`; False if it was through with the stage by then."""
    process = job.start()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(line.startswith(f"{stage}: ") for line in job.log.read_text().splitlines()):
            break
        time.sleep(0.02)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode in (-signal.SIGKILL, 0), job.log.read_text()
    return Store(job.store).versions("speedrun", stage) == []


def results(store: Store) -> dict[str, str]:
    """sha256 of everything learned and decoded, by stage and name."""
    return {
        f"{artifact.stage}/{file['name']}": file["sha256"]
        for artifact in (store.get(stage) for stage in store.stages("speedrun"))
        for file in artifact.manifest["files"]
        if file["name"].endswith((".safetensors", ".bin", ".parquet"))
    }


@pytest.mark.timeout(900)
def test_what_it_leaves(tiny):
    store = Store(tiny.store)
    assert store.stages("speedrun") == sorted(STAGES)
    assert store.verify() == []
    for stage in STAGES:
        artifact = store.get(stage)
        assert artifact.metrics, stage
        for parent, ref in artifact.parents.items():
            assert store.get(ref).digest == artifact.manifest["parents"][parent]["digest"]
    assert {"success_rate", "success_rate_clone", "success_rate_replay", "success_rate_random"} <= set(
        store.get("evaluation").metrics
    )
    report = store.get("evaluation").path("report.html").read_text()
    assert "<html" in report
    assert 'src="http' not in report
    assert 'href="http' not in report, "the report loads nothing"
    assert any((store.root / ".tracking" / "tensorboard").rglob("events.*"))


@pytest.mark.timeout(300)
def test_again_everything_is_skipped(tiny):
    assert tiny.start().wait(120) == 0
    assert all(row["skipped"] for row in json.loads(tiny.out.read_text()))


@pytest.mark.timeout(900)
def test_killed_in_every_stage_the_job_ends_as_if_it_had_not_been(tiny):
    """The store is sound after each SIGKILL, the same command goes on, and the result is the unkilled one, byte for byte."""
    job = write_tiny(tiny.settings.parent, "killed")
    store = Store(job.store)
    dice = random.Random(0)
    unfinished = 0
    for stage in STAGES:
        unfinished += kill_in(job, stage, dice.uniform(0.05, 0.6))
        assert store.verify() == []
    assert unfinished >= 5, "the kills came too late to prove anything"
    process = job.start()
    assert process.wait(400) == 0, job.log.read_text()
    assert store.verify() == []
    assert [row["stage"] for row in json.loads(job.out.read_text())] == list(STAGES)
    killed, whole = results(store), results(Store(tiny.store))
    # The leaderboards stood on different ports, and a URL is part of these tables.
    assert {name for name in whole if whole[name] != killed.get(name)} <= {
        "runs/runs.parquet", "videos/videos.parquet", "frames/videos.parquet"
    }  # fmt: skip
