"""What is deployed, and how: files made of configs and tables, templates that pools take, tasks with the options they should have."""

import asyncio
import json
import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from emurl.core.errors import InputError
from emurl.core.pipeline import find_pipeline
from flows import deployments

ROOT = Path(__file__).resolve().parents[2]
STAGES = [stage.name for stage in find_pipeline("speedrun").stages]
CONFIGS = ["baseline", "baseline-demo", "baseline-local", "demo", "pokemon-red", "tidewick"]


@pytest.mark.parametrize("file", deployments.files(ROOT), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_committed_files_are_the_made_ones(file):
    assert file.read_text() == deployments.files(ROOT)[file], "run `python -m flows.deployments`"
    document = yaml.safe_load(file.read_text())
    names = [one["name"] for one in document["deployments"]]
    assert names == [*CONFIGS, "baseline-cnn", "baseline-evaluation", *STAGES, "sweep"]
    assert {one["work_pool"]["name"] for one in document["deployments"]} == {
        "emurl" if file.parent == ROOT else f"emurl-{file.parent.name}"
    }
    alone = {one["name"]: one["parameters"] for one in document["deployments"] if "stages" in one.get("parameters", {})}
    wanted = {name: {"config": "configs/demo.yaml", "stages": [name], "force": True} for name in STAGES}
    for name in ("cnn", "evaluation"):
        wanted[f"baseline-{name}"] = {"config": "configs/baseline_demo.yaml", "stages": [name], "force": True}
    assert alone == wanted


def test_a_settings_file_called_as_a_stage_is_refused(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/reward.yaml").write_text("seed: 1\n")
    with pytest.raises(InputError, match=r"configs/reward.yaml: there is a stage of that name"):
        deployments.prefect_yaml(tmp_path)


def bundled(pool):
    """The template that Prefect itself would give a pool of this type; it ships those of its integrations."""
    from prefect.server.api import collections

    file = Path(collections.__file__).parent / "collections_data/views/aggregate-worker-metadata.json"
    found = (workers[pool] for workers in json.loads(file.read_text()).values() if pool in workers)
    return next(found)["default_base_job_configuration"]


@pytest.mark.parametrize("pool", deployments.POOLS)
def test_a_pools_template_is_one_that_its_worker_takes(pool):
    from jsonschema import Draft202012Validator
    from prefect.utilities.templating import find_placeholders
    from prefect.workers.base import BaseJobConfiguration

    template = json.loads((ROOT / "deploy" / pool / "pool.json").read_text())
    assert set(template) == {"job_configuration", "variables"}
    schema = template["variables"]
    Draft202012Validator.check_schema(schema)
    for name, one in schema["properties"].items():
        if "default" in one:
            Draft202012Validator(one).validate(one["default"])
        assert one["title"] and one["description"], name
    used = {placeholder.name for placeholder in find_placeholders(template["job_configuration"])}
    assert used == set(schema["properties"])
    # What Prefect's own template does not have, its worker might not know: only what was looked up there.
    assert set(template["job_configuration"]) - set(bundled(pool)["job_configuration"]) <= {"container_create_kwargs"}
    told = asyncio.run(BaseJobConfiguration.from_template_and_values(template, {"env": {"A": "b"}}))
    assert told.env == {"A": "b"}


def test_the_image_has_what_the_deployments_name():
    text = (ROOT / "deploy/Dockerfile").read_text()
    assert f"WORKDIR {deployments.CHECKOUT}\n" in text
    pinned = re.search(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(), flags=re.M)[0]
    assert f"'{pinned}'" in text
    for pool in deployments.POOLS:
        document = yaml.safe_load((ROOT / "deploy" / pool / "prefect.yaml").read_text())
        assert document["pull"] == [{"prefect.deployments.steps.set_working_directory": {"directory": deployments.CHECKOUT}}]
        template = json.loads((ROOT / "deploy" / pool / "pool.json").read_text())
        assert template["variables"]["properties"]["image"]["default"] == "emurl:latest"


@pytest.fixture
def settings(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(f"store: {tmp_path}/store\ndevice: cpu\ntracking: {{tensorboard: false, wandb: false}}\n")
    return str(file)


def test_tasks_are_named_tagged_limited_and_only_the_network_is_tried_again(settings, monkeypatch):
    from flows import plan as planning
    from flows.plan import Plan
    from flows.work import task_of

    plan = Plan.of(settings)
    tasks = {stage.name: task_of(plan, stage, 2.0) for stage in plan.stages}
    assert {name: one.task_run_name for name, one in tasks.items()} == {name: name for name in STAGES}
    assert {name for name, one in tasks.items() if one.retries} == {"runs", "videos"}
    assert tasks["videos"].retry_delay_seconds == [10.0, 20.0, 40.0, 80.0] and tasks["videos"].retry_jitter_factor == 0.5
    assert {one.timeout_seconds for one in tasks.values()} == {7200.0}
    assert tasks["videos"].tags == {"speedrun", "network"} and tasks["reward"].tags == {"speedrun"}
    monkeypatch.setattr(planning, "resolve_device", lambda name: type("Device", (), {"type": "cuda"}))
    assert "gpu" in task_of(plan, plan.pipeline.by_name["reward"], None).tags


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"config": "configs/nowhere.yaml"}, "configs/nowhere.yaml: no such file"),
        ({"overrides": ["reward.epoch=1"]}, "unknown key reward.epoch; did you mean epochs"),
        ({"overrides": ["reward"]}, "expected key=value"),
        ({"stages": ["rewards"]}, "stage 'rewards': there is no such stage in speedrun"),
        ({"stages": ["reward"]}, "expected"),  # its parents are not there
        ({"inputs": ["runs@v7"]}, "runs@v7"),
        ({"timeout_hours": 0.0}, "timeout_hours: 0.0, expected hours above 0"),
        ({"overrides": ["store=/proc/nowhere"]}, "/proc/nowhere"),
        ({"overrides": ["device=cuda:77"]}, "device"),
    ],
)
def test_wrong_parameters_are_one_line_before_anything_starts(settings, changes, told):
    from flows.plan import Plan

    with pytest.raises(InputError) as failure:
        Plan.of(**{"config": settings} | changes)
    assert told in str(failure.value) and "\n" not in str(failure.value)
    assert not (Path(settings).parent / "store/speedrun").exists()


def test_the_command_that_runs_a_stage_again_is_whole(settings):
    from flows.plan import Plan

    plan = Plan.of(settings, overrides=["seed=3", "runs.game=a b"])
    stage = plan.pipeline.by_name["runs"]
    assert plan.again(stage) == f"emurl run runs --config {settings} --set seed=3 --set 'runs.game=a b'"
    assert plan.deployed_again(stage) == (
        f"""prefect deployment run emurl/runs --param 'config="{settings}"' --param 'overrides=["seed=3", "runs.game=a b"]'"""
    )


def test_the_command_that_runs_a_stage_again_shows_no_password(settings):
    from flows.plan import Plan

    plan = Plan.of(settings, overrides=["broadcast=null", "runs.api_base=http://me:secret@host/api", "runs.game=a@b"])
    stage = plan.pipeline.by_name["runs"]
    assert plan.again(stage).endswith("--set runs.api_base=http://host/api --set runs.game=a@b")
    assert "secret" not in plan.deployed_again(stage) and "http://host/api" in plan.deployed_again(stage)


def test_pictures_become_small_enough_for_a_database(tmp_path):
    import base64

    import numpy as np

    from flows.shown import BYTES, as_data_url

    Image.new("L", (20, 20)).save(tmp_path / "small.png")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1000, 3), dtype=np.uint8))
    noise.save(tmp_path / "large.png")
    (tmp_path / "none.png").write_bytes(b"no picture")
    small, large = as_data_url(tmp_path / "small.png"), as_data_url(tmp_path / "large.png")
    assert base64.b64decode(small.partition(",")[2]) == (tmp_path / "small.png").read_bytes()
    assert large is None or len(base64.b64decode(large.partition(",")[2])) <= BYTES
    assert as_data_url(tmp_path / "none.png") is None


def test_a_tag_tells_whether_its_process_is_there():
    import os

    from flows.stale import _alive, process_tag

    tag = process_tag()
    kind, host, machine, pid, started = tag.split(":")
    assert pid == str(os.getpid()) and _alive(tag) is True
    assert _alive(f"{kind}:{host}:{machine}:{pid}:{started}1") is not True  # another process of that number
    assert _alive(f"{kind}:{host}:{machine}:4194303:{started}") is False
    assert _alive(f"{kind}:{host}x:{machine}:{pid}:{started}") is None
    assert _alive(f"{kind}:{host}:{pid}") is None  # as an earlier version wrote it
