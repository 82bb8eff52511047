"""Numbers and pictures reach TensorBoard and W&B (offline) as they were said, also from a stage that trains twice."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from emurl.core.tracking import Tracker


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
