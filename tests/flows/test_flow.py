"""Prefect over the table: one task a stage, deployments that deploy and run, stale runs swept."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.fixtures.processes import processes_of

ROOT = Path(__file__).resolve().parents[2]

TOY = textwrap.dedent("""
    import os, signal, sys
    from emurl.core.errors import InputError
    from emurl.core.pipeline import Stage
    def load(self):
        def run(settings, inputs, output, tracker):
            if os.environ.get("TOY_KILL") == self.name:
                os.kill(os.getpid(), signal.SIGKILL)
            if os.environ.get("TOY_FAIL") == self.name:
                raise InputError(f"{self.name}: bad footage, expected good")
            output.path("x.txt").write_text(self.name)
            output.metrics[self.headline] = 0.5
        return run
    Stage.load = load
    from flows.pipeline import main
    sys.exit(main(sys.argv[1:]))
""")
# Its stages save when they are asked to end, and do nothing else.
SAVING = """(output.scratch / "began").touch()
        with interrupt.saving() as asked:
            while not asked():
                time.sleep(0.05)
            (output.scratch / "kept").touch()
            interrupt.leave()
        output.path("""
SAVES = "import time\nfrom emurl.core import interrupt\n" + TOY.replace("output.path(", SAVING)


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


def gone(folder, within_s=20.0):
    """Whether no process of this home is left, soon."""
    deadline = time.monotonic() + within_s
    while (left := processes_of(folder / "prefect")) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not left


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
    assert gone(folder)  # the server of its own
    code, _, err = toy(home, TOY_FAIL="reward")
    assert code == 2
    assert err.splitlines()[-1] == "emurl: reward: bad footage, expected good"
    told = {line.strip().partition(": ")[0]: line.strip().partition(": ")[2] for line in err.splitlines()[-3:-1]}
    assert told["again"] == f"emurl run reward --config {folder}/settings.yaml"
    assert "InputError: reward: bad footage, expected good" in Path(told["its log"]).read_text()
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signum", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")], ids=["int", "term"]
)
def test_a_flow_that_is_asked_to_end_saves_and_says_so_to_prefect_and_to_the_terminal(home, signum, code, word):
    """Ctrl-C goes to the whole group, as a terminal sends it: the server of its own is to outlive the flow."""
    folder, environment = home
    with (folder / "err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", SAVES, "--config", str(folder / "settings.yaml")],
            env=environment, stdout=err, stderr=err, stdin=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 240
        while not list((folder / "store").glob(".work/*/scratch/began")):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "err").read_text()
            time.sleep(0.1)
        os.killpg(process.pid, signum)
        ended = process.wait(60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    said = (folder / "err").read_text()
    assert ended == code and said.splitlines()[-1] == f"emurl: {word}; the same command again goes on from here", said
    assert list((folder / "store").glob(".work/*/scratch/kept"))
    assert runs_in(folder) == ["CRASHED"] and "Traceback" not in said
    assert gone(folder)


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


def test_prefect_is_imported_in_flows_only():
    for folder in ("emurl", "tools"):
        for file in (ROOT / folder).rglob("*.py"):
            assert "import prefect" not in file.read_text(), file
            assert "from prefect" not in file.read_text(), file
