"""A real Prefect server and worker on loopback, started as README says: runs, stages alone, what is killed, and what is left behind."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from emurl.core.store import Store
from flows.deployments import POOLS, SWEEP_EVERY_S
from tests.fixtures.processes import processes_of

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Field:
    """The server: runs are started and looked at through its API, as fast as the API answers."""

    def __init__(self, folder):
        self.folder, self.home = folder, folder / "prefect"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.api = f"http://127.0.0.1:{port}/api"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT")}
        self.environment = kept | {
            "PREFECT_HOME": str(self.home), "PREFECT_API_URL": self.api, "PREFECT_SERVER_API_PORT": str(port),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1",
        }  # fmt: skip

    def paste(self):
        """README's block up to where runs begin, into one shell at once."""
        readme = (ROOT / "README.md").read_text()
        (block,) = [text for text in re.findall(r"```bash\n(.*?)```", readme, flags=re.S) if "prefect server start" in text]
        block = block.replace("$PWD/.prefect", str(self.home)).replace("http://127.0.0.1:4200/api", self.api)
        lines = [
            line
            for line in block.replace(".venv/bin", str(BIN)).splitlines()
            if not re.search("deployment run|flow-run ls|^kill", line)
        ]
        assert len(lines) == 6 and self.api in lines[0] and str(self.home) in lines[0]
        self.run(["bash"], input="\n".join(lines) + "\n")

    def run(self, words, **more):
        with (self.folder / "out").open("a") as out:
            subprocess.run(
                words, cwd=ROOT, env=self.environment, stdout=out, stderr=out, text=True, timeout=300, check=True,
                start_new_session=True, **more,
            )  # fmt: skip

    def worker(self):
        """One more worker; its number."""
        with (self.folder / "out").open("a") as out:
            words = [BIN / "prefect", "worker", "start", "--pool", "emurl"]
            return subprocess.Popen(words, cwd=ROOT, env=self.environment, stdout=out, stderr=out, start_new_session=True)

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.api}/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def start(self, name, **parameters):
        """A run of a deployment; its id."""
        deployment = self.ask(f"deployments/name/{name}")
        body = {"parameters": deployment["parameters"] | parameters, "state": {"type": "SCHEDULED"}}
        return self.ask(f"deployments/{deployment['id']}/create_flow_run", body)["id"]

    def wait(self, run, *states, within_s=150.0):
        """The run, once it is in one of `states`."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = self.ask(f"flow_runs/{run}")
            if found["state"]["type"] in states:
                return found
            assert found["state"]["type"] not in ("FAILED", "COMPLETED", "CRASHED"), found["state"]
            time.sleep(0.5)
        raise AssertionError((found["state"], (self.folder / "out").read_text()[-3000:]))

    def tasks(self, run):
        found = self.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_ASC"})
        return {one["name"]: one["state"]["type"] for one in found}

    def process(self, run):
        """The number of the process of a run, of its tag."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            tags = [tag for tag in self.ask(f"flow_runs/{run}")["tags"] if tag.startswith("process:")]
            if tags:
                return int(tags[-1].split(":")[3])
            time.sleep(0.3)
        raise AssertionError("no process")

    def running(self):
        body = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}, "flows": {"name": {"any_": ["emurl"]}}}
        return [run["id"] for run in self.ask("flow_runs/filter", body)]

    def of(self, words):
        return [pid for pid, line in processes_of(self.home).items() if words in line]


def end(pids, within_s=60.0):
    """Terminate, and wait until they are gone. A worker that waits for a run that was killed has to be killed, too."""
    began = time.monotonic()
    for signum, patience in ((signal.SIGTERM, 0.5 * within_s), (signal.SIGKILL, within_s)):
        for pid in filter(_is_alive, pids):
            os.kill(pid, signum)
        while any(map(_is_alive, pids)) and time.monotonic() < began + patience:
            time.sleep(0.2)
    assert not any(map(_is_alive, pids)), pids


def _is_alive(pid):
    line = Path(f"/proc/{pid}/cmdline")
    return line.exists() and bool(line.read_bytes())


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    field = Field(tmp_path_factory.mktemp("field"))
    try:
        field.paste()
        yield field
        end(field.of("worker start"))
        end(field.of("server start"))
        deadline = time.monotonic() + 15
        while (left := processes_of(field.home)) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not left, left
    finally:
        for pid in processes_of(field.home):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def settings(tiny, tmp_path_factory):
    """The settings of a tiny pipeline, and overrides for a store of one's own that has all of it already."""
    store = tmp_path_factory.mktemp("field-store") / "data"
    shutil.copytree(tiny.store, store, ignore=shutil.ignore_patterns(".leases", ".work", ".tracking"))
    return store, {"config": str(tiny.settings)}, [f"store={store}", "tracking.tensorboard=false"]


def checkpoint(store, stage):
    """Wait for the first of a stage that is under way."""
    deadline = time.monotonic() + 120
    while not [*store.glob(f".work/speedrun-{stage}-*/scratch/*.safetensors")]:
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.1)


LONG = ["tokenizer.steps=120", "tokenizer.eval_every=60", "tokenizer.checkpoint_every=5"]


def test_all_is_deployed_a_demo_completes_and_shows_what_it_made(field, settings):
    store, config, overrides = settings
    names = {one["name"] for one in field.ask("deployments/filter", {})}
    stages = ["runs", "videos", "frames", "tokenizer", "dynamics", "reward", "behavior", "policy", "evaluation"]
    assert names >= {"demo", "pokemon-red", "baseline-demo", "baseline-cnn", "sweep", *stages}
    wrong = field.start("emurl/demo", **config, overrides=[*overrides, "reward.epoch=1"])
    # All but the last stage is in the store: what is tried here is Prefect.
    field.run([
        BIN / "prefect", "deployment", "run", "emurl/demo", "--watch", "--watch-timeout", "240",
        "--param", f"config={json.dumps(config['config'])}",
        "--param", f"overrides={json.dumps([*overrides, 'evaluation.episodes=1'])}",
    ])  # fmt: skip
    (run,) = field.ask(
        "flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}, "flows": {"name": {"any_": ["emurl"]}}}
    )
    assert run["name"].endswith(": all") and field.tasks(run["id"]) == dict.fromkeys(stages, "COMPLETED")
    assert [Store(store).get(name).version for name in ("policy", "evaluation")] == [1, 2]
    shown = {one["key"]: one for one in field.ask("artifacts/filter", {"artifacts": {}})}
    assert json.loads(shown["speedrun-evaluation-metrics"]["data"])[0]["metric"] == "success_rate"
    assert shown["speedrun-evaluation-agent"]["data"].startswith("data:image/")
    assert "| evaluation | v2 |" in shown["emurl-run"]["data"]
    state = field.wait(wrong, "FAILED")["state"]
    assert state["message"] == f"{config['config']}: unknown key reward.epoch; did you mean epochs?"
    assert not field.tasks(wrong)


@pytest.mark.parametrize("pool", POOLS)
def test_the_server_takes_a_pools_template_and_none_that_refers_to_what_is_not_there(field, pool):
    template = json.loads((ROOT / "deploy" / pool / "pool.json").read_text())
    made = field.ask("work_pools/", {"name": f"emurl-{pool}", "type": pool, "base_job_template": template})
    assert made["base_job_template"] == template
    del template["variables"]["properties"]["image"]
    with pytest.raises(urllib.error.HTTPError):
        field.ask("work_pools/", {"name": f"wrong-{pool}", "type": pool, "base_job_template": template})


def test_a_stage_alone_whose_process_is_killed_is_crashed_and_goes_on_when_it_is_run_again(field, settings):
    store, config, overrides = settings
    told = {**config, "overrides": [*overrides, *LONG]}
    killed = field.start("emurl/tokenizer", **told)
    failing = field.start("emurl/runs", **config, overrides=[*overrides, "runs.game=nosuchgame"])
    pid = field.process(killed)
    checkpoint(store, "tokenizer")
    os.kill(pid, signal.SIGKILL)
    field.wait(killed, "CRASHED", within_s=60)
    message = field.wait(failing, "FAILED")["state"]["message"]
    assert re.search(
        r"^runs has failed: .*; its log: \S+/runs\.log; again: emurl run runs --config \S+ .*, or prefect deployment", message
    )
    assert "nosuchgame" in Path(re.search(r"its log: (\S+);", message)[1]).read_text()
    again = field.start("emurl/tokenizer", **told)
    field.wait(again, "COMPLETED")
    assert field.tasks(again) == {"tokenizer": "COMPLETED"}
    logs = field.ask("logs/filter", {"logs": {"flow_run_id": {"any_": [again]}}, "limit": 200})
    assert any(re.search(r"goes on|resum", one["message"]) for one in logs), "\n".join(one["message"] for one in logs)
    assert [Store(store).get(name).version for name in ("tokenizer", "dynamics")] == [2, 1]


def test_a_run_whose_worker_is_killed_does_not_stay_running(field, settings):
    store, config, overrides = settings
    told = {**config, "overrides": [*overrides, *LONG, "tokenizer.learning_rate=0.002"]}
    (worker,) = field.of("worker start")
    run = field.start("emurl/tokenizer", **told)
    pid = field.process(run)
    checkpoint(store, "tokenizer")
    os.kill(worker, signal.SIGKILL)
    message = field.wait(run, "CRASHED", within_s=60)["state"]["message"]  # its process ends by itself, and says so
    assert "termination signal" in message
    assert not Path(f"/proc/{pid}").exists() or field.running() == []
    # Worker and process at once, as when the machine is switched off: only the sweep can tell.
    second = field.worker()
    run = field.start("emurl/tokenizer", **told)
    pid = field.process(run)
    os.kill(second.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    second.wait()
    assert field.running() == [run]
    third = field.worker()
    try:
        message = field.wait(run, "CRASHED", within_s=SWEEP_EVERY_S + 60)["state"]["message"]
        assert message.endswith("is gone; run again, it goes on from there")
        assert field.running() == [] and "RUNNING" not in field.tasks(run).values()
    finally:
        third.terminate()
        third.wait(90)
