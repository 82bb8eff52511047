"""SIGTERM and Ctrl-C in real processes: what is saved, how long it takes, what is said, and that the same command goes on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.fixtures.tiny import ROOT, Tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TERM_S, INT_S = 20.0, 3.0
LONG = 1_000_000
EXPLORE = ("policy.method=explore", "policy.explore.consoles=4", "policy.explore.rounds=2", "policy.explore.learn.batch_size=2")


@pytest.fixture(scope="module")
def store(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny pipeline's store, for stages to be run again in."""
    folder = tmp_path_factory.mktemp("signals") / "store"
    shutil.copytree(tiny.store, folder, ignore=shutil.ignore_patterns(".tracking", ".work", ".leases"))
    return folder


class Job:
    """One stage again, with other settings, in a process of its own whose SIGINT is not ignored."""

    def __init__(self, tiny: Tiny, store: Path, stage: str, sets: tuple[str, ...]) -> None:
        self.stage, self.store, self.log = stage, store, store.parent / f"{stage}.log"
        changes = [word for one in (f"store={store}", *sets) for word in ("--set", one)]
        self.words = [sys.executable, "-m", "emurl", "run", stage, "--config", str(tiny.settings), *changes]
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[Job]:
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.words, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
        try:
            yield self
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def wait_for(self, reached: Callable[[], object]) -> None:
        deadline = time.monotonic() + 120
        while not reached():
            assert self.process and self.process.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def end(self, signum: signal.Signals) -> tuple[float, int]:
        """Seconds until the process was over, and its exit code. To this process alone: nobody helps its children to end."""
        assert self.process is not None
        began = time.monotonic()
        os.kill(self.process.pid, signum)
        code = self.process.wait(60)
        return time.monotonic() - began, code

    def said(self) -> str:
        return self.log.read_text()

    def scratch(self, pattern: str) -> list[Path]:
        return list((self.store / ".work").glob(f"speedrun-{self.stage}-*/scratch/{pattern}"))

    def number(self, pattern: str) -> int:
        """The number that a line of the log says."""
        found = re.search(pattern, self.said())
        assert found, self.said()
        return int(found[1])

    def steps_logged(self, name: str) -> int:
        """The last step that was told to TensorBoard; every step is, with `log_every=1`. 0: none yet."""
        runs = [*(self.store / ".tracking" / "tensorboard").glob(f"*/{self.stage}")]
        if not runs:
            return 0
        told = EventAccumulator(str(max(runs, key=lambda one: one.stat().st_mtime))).Reload()
        known = f"{self.stage}/{name}" in told.Tags()["scalars"]
        return int(told.Scalars(f"{self.stage}/{name}")[-1].step) if known else 0


def fit(stage: str, name: str, *sets: str) -> tuple[str, tuple[str, ...], str, str, str, str | None]:
    """A case: stage, settings, the file of scratch that shows it is at work, what is said when saved and gone on from, what is logged."""
    every = tuple(f"{stage}.{one}" for one in ("log_every=1", "checkpoint_every=10"))
    says = rf"train {name}: saved at step (\d+)", rf"train {name}: goes on from step (\d+)"
    return stage, (*every, *sets), f"{name}.safetensors", *says, f"{name}/loss"


CASES = {
    "tokenizer": fit("tokenizer", "tokenizer", f"tokenizer.steps={LONG}", f"tokenizer.eval_every={LONG}"),
    "dynamics": fit("dynamics", "dynamics", f"dynamics.steps={LONG}", f"dynamics.eval_every={LONG}"),
    "reward": fit("reward", "reward", "reward.epochs=2", f"reward.steps_per_epoch={LONG}"),
    "reward-course": (
        "reward", (f"reward.course.alignment.steps={LONG}", "reward.course.alignment.log_every=1"), "pos*.safetensors",
        r"train positions_\d+: saved at step (\d+)", r"train positions_\d+: goes on from step (\d+)", None,
    ),
    "behavior-play": (
        "behavior", ("behavior.explore_steps=400000",), "", r"explore: saved after (\d+)", r"explore: goes on from (\d+)", None,
    ),
    "behavior-inverse": fit("behavior", "inverse_1", f"behavior.inverse_steps={LONG}"),
    "behavior-clone": fit("behavior", "policy_1", f"behavior.steps={LONG}", f"behavior.eval_every={LONG}"),
    "policy": (
        "policy", (f"policy.total_steps={LONG}", "policy.checkpoint_every=3", "policy.trials=1"), "ppo.safetensors",
        r"policy: saved at update (\d+)", r"policy goes on from update (\d+)", "entropy",
    ),
    "policy-explore": (
        "policy", (*EXPLORE, f"policy.explore.first.steps={LONG}", "policy.explore.first.enough=0"), "",
        r"explore: saved after (\d+)", r"explore: goes on from (\d+)", None,
    ),
    "policy-ways": (
        "policy", (*EXPLORE, "policy.explore.first.steps=400", f"policy.explore.learn.steps={LONG}", "policy.explore.learn.log_every=1"),
        "explore.safetensors", r"train round_1: saved at step (\d+)", r"train round_1: goes on from step (\d+)", "round_1/loss",
    ),
    "policy-practice": (
        "policy", (*EXPLORE[:3], "policy.explore.rounds=1", "policy.explore.first.steps=400", "policy.explore.learn.steps=5",
        "policy.explore.later.steps=400", f"policy.practice.steps={LONG}", "policy.checkpoint_every=3", "policy.trials=1",
        "policy.alarm=warn"),
        "ppo.safetensors", r"practice: saved at update (\d+)", r"practice goes on from update (\d+)", "entropy",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_training_stage_saves_and_goes_on(tiny: Tiny, store: Path, case: str) -> None:
    """SIGTERM: over within 20 s, no step lost. The same command goes on from there, and Ctrl-C ends it within 3 s, saved as well."""
    stage, sets, at_work, saved, taken_up, logged = CASES[case]
    job = Job(tiny, store, stage, sets)
    with job.running():
        # A file of the scratch shows that it is at work, or a line of progress: the first comes after ten seconds.
        job.wait_for(lambda: job.scratch(at_work) if at_work else re.search(r"explore: \d+/\S+ actions", job.said()))
        if case == "policy-ways":  # its file is of the phase before
            job.wait_for(lambda: job.steps_logged("round_1/loss"))
        if case == "policy-practice":  # its file may be of PPO's own case
            job.wait_for(lambda: "train practice:" in job.said())
        time.sleep(2.0)
        seconds, code = job.end(signal.SIGTERM)
    assert code == 143 and seconds <= TERM_S, job.said()
    assert job.said().splitlines()[-1] == "emurl: terminated; the same command again goes on from here"
    kept = job.number(saved)
    assert kept > 0
    if logged is not None:
        assert job.steps_logged(logged) == kept  # what was done is what was saved: nothing is lost
    with job.running():
        job.wait_for(lambda: re.search(taken_up, job.said()))
        assert job.number(taken_up) == kept
        time.sleep(1.0)
        seconds, code = job.end(signal.SIGINT)
    assert code == 130 and seconds <= INT_S, (seconds, job.said())
    assert job.said().splitlines()[-1] == "emurl: interrupted; the same command again goes on from here"
    assert job.number(saved) >= kept
    assert "Traceback" not in job.said()


def test_ctrl_c_ends_evaluation_and_frames(tiny: Tiny, store: Path) -> None:
    cases = {
        "evaluation": ("evaluation.episodes=4000", "evaluation.max_steps=5000"),
        "frames": ("frames.fps=15.0",),
    }
    for stage, sets in cases.items():
        job = Job(tiny, store, stage, sets)
        with job.running():
            job.wait_for(lambda job=job: job.scratch("tries.json"))  # it has begun
            time.sleep(0.3 if stage == "frames" else 3.0)
            seconds, code = job.end(signal.SIGINT)
        assert code == 130 and seconds <= INT_S, (stage, seconds, job.said())
        assert job.said().splitlines()[-1] == "emurl: interrupted; the same command again goes on from here"
        assert "Traceback" not in job.said()


def test_ctrl_c_ends_a_wait_for_a_site_that_says_nothing(tiny: Tiny, store: Path) -> None:
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def listen() -> None:
            with suppress(OSError):
                silent.accept()[0].recv(1)
                asked.set()
                time.sleep(120)

        threading.Thread(target=listen, daemon=True).start()
        port = silent.getsockname()[1]
        job = Job(tiny, store, "runs", (f"runs.api_base=http://127.0.0.1:{port}/api/v1", "broadcast=null"))
        with job.running():
            job.wait_for(asked.is_set)
            seconds, code = job.end(signal.SIGINT)
    assert code == 130 and seconds <= INT_S, job.said()
    assert job.said().splitlines()[-1] == "emurl: interrupted; the same command again goes on from here"
