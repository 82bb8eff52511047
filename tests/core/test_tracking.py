"""Numbers and pictures reach TensorBoard and W&B (offline) as they were said, also from a stage that trains twice."""

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from emurl import doctor
from emurl.core.config import load_config
from emurl.core.errors import InputError
from emurl.core.tracking import Tracker, wandb_mode
from tests.fixtures.http_server import Answer, scripted
from tests.fixtures.wandb_server import environment, sync, wandb_server

KEY = "0" * 40
DEAD = "http://127.0.0.1:9"


def leveldb_log(data: bytes) -> Iterator[bytes]:
    """Records of a LevelDB log (doc/log_format.md of LevelDB) behind W&B's seven bytes of header."""
    at, whole = 7, b""
    while at < len(data):
        if (left := 32768 - at % 32768) < 7:  # no record header fits: the block's end is padding
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # full, last
            yield whole
            whole = b""


def offline_records(folder: Path) -> list[wandb_internal_pb2.Record]:
    """Everything an offline run wrote. W&B's own process writes the file, on a busy machine some time after the run is finished."""
    (file,) = folder.rglob("run-*.wandb")
    deadline = time.monotonic() + 60
    while True:
        records = [wandb_internal_pb2.Record.FromString(record) for record in leveldb_log(file.read_bytes())]
        if any(record.WhichOneof("record_type") == "exit" for record in records) or time.monotonic() > deadline:
            return records
        time.sleep(0.2)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        with Tracker.opened("behavior", folder, "run7", {"steps": 3}, tensorboard=True, wandb=True, project="emurl") as tracker:
            for fit in ("inverse", "policy"):
                for step in (10, 20, 30):
                    tracker.log({f"{fit}/loss": 1.0 / step}, step)
            tracker.image("policy/look", np.zeros((9, 10), np.uint8), 30)
            tracker.summary({"clone_accuracy": 0.5, "note": "no number"})
    return folder


def test_wandb_keeps_every_point_of_both_trainings(tracked):
    rows = []
    for record in offline_records(tracked):
        if record.WhichOneof("record_type") == "history":
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item})
    for fit in ("inverse", "policy"):
        name = f"behavior/{fit}/loss"
        points = [(row["behavior/step"], row[name]) for row in rows if name in row]
        assert points == [(step, pytest.approx(1.0 / step)) for step in (10, 20, 30)]
    assert any(name.startswith("behavior/policy/look") for row in rows for name in row)


def test_wandb_groups_a_pipeline_run_and_draws_over_the_stages_steps(tracked):
    records = offline_records(tracked)
    (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"][:1]
    assert (run.run_group, run.job_type, run.project) == ("run7", "behavior", "emurl")
    axes = {
        record.metric.glob_name: record.metric.step_metric for record in records if record.WhichOneof("record_type") == "metric"
    }
    assert axes["behavior/*"] == "behavior/step"
    summaries = {
        item.key or "/".join(item.nested_key): item.value_json
        for record in records
        if record.WhichOneof("record_type") == "summary"
        for item in record.summary.update
    }
    assert json.loads(summaries["behavior/clone_accuracy"]) == 0.5
    assert "behavior/note" not in summaries


def test_tensorboard_holds_the_same(tracked):
    board = EventAccumulator(str(tracked / "tensorboard" / "run7" / "behavior")).Reload()
    assert [event.step for event in board.Scalars("behavior/inverse/loss")] == [10, 20, 30]
    assert board.Tags()["images"] == ["behavior/policy/look"]


# --- who we are to W&B, and whether it is there: W&B keeps what it has found, so every case is a process of its own ---------------

TWO_STAGES = """
import json, os, pwd, sys, time
if "NOBODY" in os.environ:  # a user without a name and a home, as containers have
    def nobody(*_): raise KeyError("uid not found")
    pwd.getpwuid = nobody
from pathlib import Path
from emurl.core import log, tracking
log.start()
tracking.INIT_S = 3.0
began, runs = time.monotonic(), []
for stage in ("reward", "policy"):
    with tracking.Tracker.opened(stage, Path("tracked"), "g", {}, tensorboard=False, wandb=True, project="p") as tracker:
        tracker.log({"loss": 1.0}, 1)
        run = tracker._wandb
        runs.append(run and [run.id, bool(run.offline)])
print(json.dumps({"key": tracking.has_wandb_key(), "runs": runs, "seconds": time.monotonic() - began}))
"""


def in_a_process(folder: Path, **variables: str | None) -> tuple[dict, str]:
    """What two stages make of W&B with these variables set (None: unset), at a home in `folder`."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB") and key != "NETRC"}
    environment |= {"HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    environment = {key: value for key, value in (environment | variables).items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", TWO_STAGES], env=environment, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.parametrize(
    ("host", "base_url", "known"),
    [
        ("api.wandb.ai", None, True),
        ("self", None, True),  # as W&B's own login of this version writes it
        ("wandb.example.org", "https://wandb.example.org", True),
        ("wandb.example.org:8080", "https://wandb.example.org:8080", True),
        ("wandb.example.org", None, False),
        ("api.wandb.ai", "https://wandb.example.org", False),
    ],
)
def test_a_login_is_found_where_wandb_finds_it(tmp_path, host, base_url, known):
    if host == "self":
        from wandb.sdk.lib.urls import DEFAULT_BASE_URL

        host = DEFAULT_BASE_URL.removeprefix("https://")
    (tmp_path / ".netrc").write_text(f"machine {host}\n  login user\n  password {KEY}\n")
    told, _ = in_a_process(tmp_path, WANDB_MODE="offline", WANDB_BASE_URL=base_url)
    assert told["key"] is known


def test_a_login_at_a_host_of_ones_own_is_found(tmp_path):
    """`wandb login --host` leaves the host in W&B's settings and the key in ~/.netrc."""
    host = "https://wandb.example.org"
    program = f"import wandb; wandb.login(key='{KEY}', host='{host}', verify=False)"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB") and key != "NETRC"}
    environment |= {"HOME": str(tmp_path), "WANDB_SILENT": "true"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told, err = in_a_process(tmp_path, WANDB_MODE="offline")
    assert told["key"] is True
    (tmp_path / ".netrc").unlink()
    assert in_a_process(tmp_path, WANDB_MODE="offline")[0]["key"] is False


def test_a_netrc_that_is_no_text_holds_no_key(tmp_path):
    (tmp_path / ".netrc").write_bytes(b"machine caf\xe9 login me password x\n")
    told, _ = in_a_process(tmp_path)
    assert told["key"] is False and all(offline for _, offline in told["runs"])


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WANDB_API_KEY": KEY, "WANDB_BASE_URL": DEAD}, f"W&B: no answer of {DEAD}"),
        ({"WANDB_MODE": "online"}, "W&B has no key, and WANDB_MODE is online: the run is kept offline"),
        ({"WANDB_API_KEY": KEY, "WANDB_BASE_URL": "no address"}, "W&B: "),
    ],
)
def test_what_keeps_runs_from_the_network_is_a_line_and_they_are_kept(tmp_path, variables, said):
    told, err = in_a_process(tmp_path, **variables)
    assert said in err and told["seconds"] < 20
    assert all(run is None or run[1] for run in told["runs"])
    if "no address" not in variables.values():
        assert len(list(tmp_path.rglob("run-*.wandb"))) == 2


@pytest.mark.parametrize("status", [200, 401, 500])
def test_a_host_that_is_no_wandb_costs_its_patience_once(tmp_path, status):
    with scripted(lambda request: Answer(b"hello", status)) as server:
        told, err = in_a_process(tmp_path, WANDB_API_KEY=KEY, WANDB_BASE_URL=server.origin)
        assert server.requests
    assert [offline for _, offline in told["runs"]] == [True, True] and "the run is kept offline" in err


def test_a_user_without_a_name_and_a_home_goes_on(tmp_path):
    told, err = in_a_process(tmp_path, HOME=None, NOBODY="1", WANDB_CONFIG_DIR=None)
    assert told["key"] is False and (told["runs"] != [None, None] or "not told to W&B" in err)


def test_every_stage_is_a_run_of_its_own(tmp_path):
    told, _ = in_a_process(tmp_path, WANDB_RUN_ID="same", WANDB_RESUME="must")
    first, second = (name for name, _ in told["runs"])
    assert first != second and "same" not in (first, second)


def test_a_mode_that_is_none_is_one_line(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "foo")
    with pytest.raises(InputError, match=r"WANDB_MODE: 'foo', expected one of online, run, shared, offline, dryrun, disabled"):
        wandb_mode()
    config = load_config(None, ["runs.api_base=http://127.0.0.1:9/api/v1"])
    check = next(check for check in doctor.examine(config) if check.name == "tracking")
    assert check.verdict == "missing" and "WANDB_MODE: 'foo'" in check.seen
    for told, mode in (
        ("dryrun", "offline"),
        ("disabled", "disabled"),
        ("offline", "offline"),
        ("", "online"),
        ("run", "online"),
    ):
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_MODE", told)
        assert wandb_mode()[0] == mode


def test_a_run_that_breaks_does_not_end_the_work(capsys, tmp_path):
    class Broken:
        def log(self, values):
            raise RuntimeError("the service is gone")

    tracker = Tracker("reward")
    tracker._wandb = Broken()
    for step in (1, 2):
        tracker.log({"loss": 1.0}, step)
    assert tracker._wandb is None


# --- a host that is there, and one that goes away ---------------------------------------------------------------------------------

ONLINE = """
import json, sys, time
from pathlib import Path
from emurl.core import log, tracking
from emurl.core.artifact import Artifact
log.start()
tracking.FINISH_S, tracking.ANSWER_S = 3.0, 3.0
facts = {"pipeline": "speedrun", "stage": "reward", "version": 3, "digest": "d", "fingerprint": "f", "parents": {}, "files": []}
slowest = 0.0
with tracking.Tracker.opened("reward", Path("tracked"), "g", {"seed": 1}, tensorboard=False, wandb=True, project="p") as tracker:
    assert not tracker._wandb.offline
    for step in range(400):
        if step == 200:
            print("half", flush=True)
            sys.stdin.readline()
        began = time.monotonic()
        tracker.log({"loss": 1.0 / (step + 1)}, step)
        slowest = max(slowest, time.monotonic() - began)
    tracker.summary({"accuracy": 0.5})
    tracker.made(Artifact(Path("x"), facts), "file:///x")
print(json.dumps({"slowest": slowest}))
"""


@pytest.mark.parametrize("goes_away", [False, True])
def test_a_host_that_goes_away_in_the_middle_costs_seconds_and_nothing_is_lost(tmp_path, goes_away):
    with wandb_server() as server:
        process = subprocess.Popen(
            [sys.executable, "-c", ONLINE], env=environment(server.url, tmp_path), cwd=tmp_path, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout.readline() == "half\n", process.stderr.read()
        if goes_away:
            server.close()
        began = time.monotonic()
        out, err = process.communicate("\n", timeout=120)
        seconds = time.monotonic() - began
    assert process.returncode == 0 and "Traceback" not in err, err
    assert json.loads(out)["slowest"] < 1.0 and seconds < 30, (seconds, err)
    if goes_away:
        assert "W&B: " in err, err
        with wandb_server() as server:
            sync(server, tmp_path / "tracked", tmp_path)
    (run,) = server.runs.values()
    assert [row["reward/step"] for row in run.history if "reward/loss" in row] == list(range(400))
    assert run.summary["reward/accuracy"] == 0.5 and run.config["seed"] == 1 and run.group == "g"
    if not goes_away:
        assert len(server.artifacts) == 1, (err, server.unknown, server.asked)
        assert run.summary["ref"] == "reward@v3"


def test_pictures_that_come_too_soon_wait_and_the_last_is_kept(tmp_path):
    with Tracker.opened("dynamics", tmp_path, "g", {}, tensorboard=True, wandb=False, project="p", media_s=3600.0) as tracker:
        for step in (1, 2, 3):
            tracker.image("dream", np.full((4, 4), step, np.uint8), step)
            tracker.image("other", np.full((4, 4), step, np.uint8), step)
    board = EventAccumulator(str(tmp_path / "tensorboard" / "g" / "dynamics")).Reload()
    for name in ("dream", "other"):
        assert [event.step for event in board.Images(f"dynamics/{name}")] == [1, 3]
