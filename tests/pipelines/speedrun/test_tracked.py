"""A whole pipeline in W&B: run offline, killed in the middle, gone on with, and synced to a host on loopback that remembers all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emurl.compare import side_by_side
from emurl.core.changes import flatten
from emurl.core.pipeline import find_pipeline
from emurl.core.store import Artifact, Store
from tests.fixtures.tiny import ROOT, Tiny, write_tiny
from tests.fixtures.wandb_server import Run, WandbServer, environment, sync, wandb_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
STAGES = tuple(find_pipeline("speedrun").by_name)
TRAINED = ("tokenizer", "dynamics", "reward", "behavior", "policy")
KILLED, STEPS = "dynamics", 400


@pytest.fixture(scope="module")
def synced(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory):
    """The tiny pipeline, offline, SIGKILLed while it trains and run again, and then synced: store, what the host was sent."""
    home = tmp_path_factory.mktemp("home")
    job = write_tiny(tiny.settings.parent, "tracked")
    text = job.settings.read_text().replace("tracking: {wandb: false}", "tracking: {project: p, tags: [mine], media_s: 0}")
    text = text.replace(
        "dynamics: {dim: 16, layers: 1, heads: 2, steps: 30,", f"dynamics: {{dim: 16, layers: 1, heads: 2, steps: {STEPS},"
    )
    job.settings.write_text(text.replace("eval_every:", "log_every: 1, eval_every:"))

    def start() -> subprocess.Popen[bytes]:
        with job.out.open("w") as out, job.log.open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "emurl", "run", "--config", str(job.settings), "--json"], env={**environment("", home), **OFFLINE},
                cwd=ROOT, stdout=out, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    first = start()
    deadline = time.monotonic() + 400
    while not list((job.store / ".work").glob(f"speedrun-{KILLED}-*/scratch/{KILLED}.safetensors")):
        assert first.poll() is None and time.monotonic() < deadline, job.log.read_text()
        time.sleep(0.02)
    time.sleep(2.0)
    os.killpg(first.pid, signal.SIGKILL)  # W&B's own process as well
    first.wait()
    assert Store(job.store).stages("speedrun") == sorted(STAGES[: STAGES.index(KILLED)])
    assert start().wait(600) == 0, job.log.read_text()
    with wandb_server() as server:
        sync(server, job.store / ".tracking", home)
        yield Store(job.store), server


OFFLINE = {"WANDB_MODE": "offline", "WANDB_API_KEY": "", "WANDB_BASE_URL": "http://127.0.0.1:9"}


def runs_of(server: WandbServer, stage: str) -> list[Run]:
    return sorted((run for run in server.runs.values() if run.job_type == stage), key=lambda run: len(run.name))


def test_every_stage_is_a_run_of_one_group_with_tags_config_and_summary(synced: tuple[Store, WandbServer]) -> None:
    store, server = synced
    assert {run.group for run in server.runs.values()} == {next(iter(server.runs.values())).group} and not server.unknown
    for stage in STAGES:
        runs, artifact = runs_of(server, stage), store.get(stage)
        assert len(runs) == (2 if stage == KILLED else 1), stage
        run = runs[-1]
        assert run.name == f"{run.group}-{stage}" + ("-try2" if stage == KILLED else "") and run.project == "p"
        assert set(run.tags) == {"speedrun", stage, "mine"} | ({"resumed"} if stage == KILLED else set())
        assert run.config["emurl"]["fingerprint"] == artifact.fingerprint and run.exit_code == 0
        assert run.config["emurl"]["try"] == (2 if stage == KILLED else 1)
        assert run.summary["ref"] == artifact.ref and run.summary["digest"] == artifact.digest


def test_what_compare_shows_is_in_config_and_summary_under_the_same_names(synced: tuple[Store, WandbServer]) -> None:
    store, server = synced
    for stage in STAGES:
        artifact, run = store.get(stage), runs_of(server, stage)[-1]
        config = flatten(run.config)
        for key, value in flatten({**artifact.settings, "parents": artifact.parents}).items():
            assert config[key] == value, (stage, key)
        for key, values in side_by_side([artifact])["metrics"].items():
            if values[0] is not None and not isinstance(values[0], str):
                assert run.summary[f"{stage}/{key}"] == pytest.approx(values[0], rel=1e-4), (stage, key)


def test_the_history_is_whole_and_so_are_both_halves_of_the_killed_stage(synced: tuple[Store, WandbServer]) -> None:
    _, server = synced
    for stage in TRAINED:
        name = {"behavior": "behavior/policy_1/loss", "policy": "policy/entropy"}.get(stage, f"{stage}/{stage}/loss")
        halves = [[int(row[f"{stage}/step"]) for row in run.history if name in row] for run in runs_of(server, stage)]
        steps = [step for half in halves for step in half]
        assert steps, (stage, sorted({key for run in runs_of(server, stage) for row in run.history for key in row}))
        if stage == KILLED:
            first, second = halves
            # What the first try had told until a second before it was killed, and from its last checkpoint on what the second did.
            assert len(first) > 1 and first == list(range(1, first[-1] + 1)) and second == list(range(second[0], STEPS + 1))
            assert second[0] - first[-1] - 1 < STEPS // 2
        elif stage in ("tokenizer",):
            assert steps == list(range(1, 31))


def test_pictures_the_film_and_the_report_are_there(synced: tuple[Store, WandbServer]) -> None:
    store, server = synced
    media = {
        stage: [name for run in runs_of(server, stage) for name in run.files if name.startswith("media/")] for stage in STAGES
    }
    for stage in ("frames", "tokenizer", "dynamics", "reward"):
        assert any(name.endswith(".png") for name in media[stage]), (stage, media[stage])
    assert any(name.endswith(".gif") for name in media["evaluation"]) and any(
        name.endswith(".html") for name in media["evaluation"]
    )
    (page,) = [data for run in runs_of(server, "evaluation") for name, data in run.files.items() if name.endswith(".html")]
    assert page == store.get("evaluation").path("report.html").read_bytes()


def test_the_lineage_is_the_stores(synced: tuple[Store, WandbServer]) -> None:
    """Every run uses what its artifact's parents are, and made its artifact: by reference, with the store's digests, nothing uploaded."""
    store, server = synced

    def key(artifact: Artifact) -> str:
        (found,) = [name for name, kept in server.artifacts.items() if kept.metadata["digest"] == artifact.digest]
        return found

    for stage in STAGES:
        artifact, run = store.get(stage), runs_of(server, stage)[-1]
        assert run.made == [key(artifact)], stage
        assert sorted(run.used) == sorted(key(store.get(ref)) for ref in artifact.parents.values()), stage
        kept = server.artifacts[key(artifact)]
        assert (kept.name, kept.kind) == (f"speedrun-{stage}", stage) and {"latest", f"store-v{artifact.version}"} <= kept.aliases
        contents = kept.manifest["contents"]
        assert {name: one["digest"] for name, one in contents.items()} == {
            file["name"]: file["sha256"] for file in artifact.manifest["files"]
        }
        for name, one in contents.items():
            assert one["ref"].startswith("file://") and Path(one["ref"].removeprefix("file://")) == artifact.path(name)
    assert json.dumps(server.asked).count("CreateArtifactFiles") == 0
