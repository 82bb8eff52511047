"""Prefect over the table: one task a stage, deployments that deploy and run, stale runs swept."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

TOY = textwrap.dedent("""
    import os, signal, sys
    from emurl.core.errors import InputError
    from emurl.core.pipeline import Stage
    def load(self):
        def run(settings, inputs, output, tracker):
            if os.environ.get("TOY_KILL") == self.name:
                os.killpg(0, signal.SIGKILL)
            if os.environ.get("TOY_FAIL") == self.name:
                raise InputError(f"{self.name}: bad footage, expected good")
            output.path("x.txt").write_text(self.name)
            output.metrics[self.headline] = 0.5
        return run
    Stage.load = load
    from flows.pipeline import main
    sys.exit(main(sys.argv[1:]))
""")


@pytest.fixture
def home(tmp_path):
    """An environment with a Prefect home of its own, and a settings file."""
    (tmp_path / "settings.yaml").write_text(f"store: {tmp_path}/store\ntracking: {{tensorboard: false, wandb: false}}\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT")}
    environment |= {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
        "PYTHONPATH": str(ROOT),
    }
    return tmp_path, environment


def toy(home, *words, **extra):
    folder, environment = home
    # Files, not pipes: a server that outlives a killed flow would hold a pipe open.
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        done = subprocess.run(
            [sys.executable, "-c", TOY, "--config", str(folder / "settings.yaml"), *words],
            env=environment | extra, stdout=out, stderr=err, stdin=subprocess.DEVNULL, timeout=120, start_new_session=True,
        )  # fmt: skip
    return done.returncode, (folder / "out").read_text(), (folder / "err").read_text()


def runs_in(folder):
    import sqlite3

    with sqlite3.connect(folder / "prefect" / "prefect.db") as database:
        return [row[0] for row in database.execute("select state_type from flow_run order by created")]


@pytest.mark.slow
def test_the_flow_runs_the_table_skips_it_fails_in_one_line_and_sweeps_the_dead(home):
    folder, _ = home
    code, _, _ = toy(home, TOY_KILL="frames")
    assert code == -signal.SIGKILL
    assert runs_in(folder) == ["RUNNING"]
    code, _, err = toy(home, TOY_FAIL="reward")
    assert code == 2
    assert err.splitlines()[-1] == "emurl: reward: bad footage, expected good"
    code, out, _ = toy(home)
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines()[2:11]}
    assert set(rows) == {"runs", "videos", "frames", "tokenizer", "dynamics", "reward", "behavior", "policy", "evaluation"}
    assert all("skipped" in rows[name] for name in ("runs", "videos", "frames", "tokenizer", "dynamics"))
    assert not any("skipped" in rows[name] for name in ("reward", "behavior", "policy", "evaluation"))
    assert runs_in(folder) == ["CRASHED", "FAILED", "COMPLETED"]
    code, _, err = toy(home, "--set", "reward.epoch=1")
    assert code == 2
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, "emurl: PREFECT_API_URL: http://127.0.0.1:9/api: no answer"),
        (
            {"PREFECT_API_URL": "localhost:4200"},
            "emurl: PREFECT_API_URL: localhost:4200: no address, expected http://host:4200/api",
        ),
        ({"PREFECT_API_URL": "http://[x"}, "emurl: PREFECT_API_URL: http://[x: no address (Invalid IPv6 URL), expected"),
        ({"ALL_PROXY": "ftp://x"}, "emurl: ALL_PROXY: ftp://x: no address of a proxy"),
    ],
)
def test_a_server_that_is_named_and_not_there_is_one_line(home, environment, told):
    code, out, err = toy(home, **environment)
    assert code == 2 and out == "" and len(err.splitlines()) == 1 and err.startswith(told)
    assert not (home[0] / "store" / "speedrun").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_deployments_deploy_and_a_worker_runs_one(home):
    folder, environment = home
    # Both are held at once: the port after a free one need not be free.
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        port, broadcast = (free.getsockname()[1] for free in (one, other))
    api = f"http://127.0.0.1:{port}/api"
    environment |= {"PREFECT_API_URL": api}
    log = (folder / "server.log").open("w")
    started = []

    def start(*words):
        started.append(
            subprocess.Popen([BIN / "prefect", *words], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        )

    def prefect(*words):
        done = subprocess.run([BIN / "prefect", *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr + (folder / "server.log").read_text()
        return done.stdout

    try:
        start("server", "start", "--host", "127.0.0.1", "--port", str(port))
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{api}/health", timeout=2):
                    break
            except OSError:
                time.sleep(0.3)
        prefect("work-pool", "create", "emurl", "--type", "process")
        prefect("--no-prompt", "deploy", "--all")
        names = json.loads(_post(f"{api}/deployments/filter", {}))
        assert {one["name"] for one in names} == {"demo", "pokemon-red"}
        assert {one["entrypoint"] for one in names} == {"flows/pipeline.py:emurl_flow"}
        # The real first stage, on the embedded game's own leaderboard.
        start("worker", "start", "--pool", "emurl")  # with --run-once it may look before there is anything to run
        overrides = [
            f"store={folder}/store",
            "broadcast.runs=2",
            f"broadcast.cache={folder}/broadcast",
            "tracking.tensorboard=false",
        ]
        overrides += ["tracking.wandb=false", f"broadcast.port={broadcast}", f"runs.api_base=http://127.0.0.1:{broadcast}/api/v1"]
        prefect(
            "deployment", "run", "emurl/demo", "--watch", "--watch-timeout", "240",
            "--param", 'stages=["runs"]', "--param", f"overrides={json.dumps(overrides)}",
        )  # fmt: skip
        assert json.loads((folder / "store/speedrun/runs/v1/manifest.json").read_text())["metrics"]["videos"] >= 1
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
        for process in started:
            process.wait(30)
        log.close()


def _post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def test_prefect_is_imported_in_flows_only():
    for folder in ("emurl", "tools"):
        for file in (ROOT / folder).rglob("*.py"):
            assert "import prefect" not in file.read_text(), file
            assert "from prefect" not in file.read_text(), file
