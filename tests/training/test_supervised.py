"""The one loop: same seed same weights, a kill changes nothing, and what it does when training fails."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from emurl.core import interrupt
from emurl.core.errors import InputError, WorkError
from emurl.core.output import Output
from emurl.core.tracking import Tracker
from emurl.models.policy import Policy
from emurl.models.tokenizer import Tokenizer
from emurl.training.checkpoint import read_checkpoint, write_checkpoint
from emurl.training.optimizers import learning_rate_at
from emurl.training.settings import AdamSettings, MuonSettings, OptimizerSettings, ScheduleSettings
from emurl.training.supervised import fit, resolve_device, seeded

HERE = Path(__file__).parent


def tokenizer() -> Tokenizer:
    return seeded(3, lambda: Tokenizer(dim=16, depth=1, vocab=32, code_dim=8))


def cells(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 4, (4, 9, 10), dtype=np.uint8).repeat(16, 1).repeat(16, 2)


LOOP = {"evaluate", "eval_every", "best_by", "picture", "tracker", "device"}


def train(scratch: Path, sample=cells, output: Output | None = None, **options):
    """A few steps of a tiny tokenizer; `options` are the loop's own or settings."""
    model = tokenizer()
    known = {"steps": 12, "learning_rate": 1e-3, "seed": 5, "warmup_steps": 2, "checkpoint_every": 3, "eval_every": 500}
    given = {name: value for name, value in options.items() if name in LOOP}
    settings = OptimizerSettings(**(known | {name: value for name, value in options.items() if name not in LOOP}))
    output = output or Output(scratch, scratch)
    return model, fit(model, sample, settings, output=output, **({"tracker": Tracker.silent(), "device": "cpu"} | given))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


def test_learning_rate_by_hand():
    assert learning_rate_at(0, 100, 1.0, 10) == pytest.approx(0.1)
    assert learning_rate_at(9, 100, 1.0, 10) == pytest.approx(1.0)
    assert learning_rate_at(55, 100, 1.0, 10) == pytest.approx(0.02 + 0.98 * 0.5)
    assert learning_rate_at(100, 100, 1.0, 10) == pytest.approx(0.02)
    assert learning_rate_at(0, 4, 1.0, 1000) == pytest.approx(1.0)  # a short run warms up in a quarter of it
    flat = ScheduleSettings(min_lr_ratio=1.0, max_warmup_share=1.0)
    assert learning_rate_at(99, 100, 0.5, 0, flat) == 0.5 and learning_rate_at(3, 8, 1.0, 8, flat) == pytest.approx(0.5)


def test_same_seed_same_weights_and_other_seed_others(tmp_path):
    one, result = train(tmp_path / "a")
    other, _ = train(tmp_path / "b")
    third, _ = train(tmp_path / "c", seed=6)
    assert same(one, other) and not same(one, third)
    assert result.steps == 12 and result.frames == 48 and not one.training
    assert same(train(tmp_path / "a")[0], one)  # done already: read back


def test_torch_is_left_as_it_was(tmp_path):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    train(tmp_path, steps=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ema": 0.9},
        {"best_by": "loss", "eval_every": 4, "patience": 99},
        {"optimizer": "muon", "precision": "bf16"},
        {"precision": "fp32"},
    ],
    ids=["plain", "averaged", "best", "muon-bf16", "fp32"],
)
def test_a_run_that_stops_half_way_ends_as_if_it_had_not(tmp_path, options):
    def evaluate(model):
        with torch.no_grad():
            return {"loss": float(model.reconstruction_error(cells(np.random.default_rng(9))).mean())}

    options = {"evaluate": evaluate, "eval_every": 5} | options
    whole, result = train(tmp_path / "whole", **options)
    calls = 0

    def breaks(rng):
        nonlocal calls
        calls += 1
        if calls == 9:
            raise KeyboardInterrupt
        return cells(rng)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", sample=breaks, **options)
    resumed, again = train(tmp_path / "broken", **options)
    assert same(whole, resumed)
    assert result.history == again.history and result.best_step == again.best_step


class _Theirs(BaseException):
    """As Prefect raises what it takes for SIGTERM."""


@pytest.mark.parametrize("at", ["step", "evaluation", "evaluation in a flow"])
def test_who_is_asked_to_end_saves_that_very_step(tmp_path, at):
    """SIGTERM while step 7 is made, or Ctrl-C twice in the evaluation after step 5: nothing is made again, and the result is the same."""
    evaluations, steps, broken = [], [], []

    def theirs(signum, frame):
        raise _Theirs

    def evaluate(model):
        if at != "step" and not broken and len(steps) == 5:
            broken.append(1)
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
        with torch.no_grad():
            evaluations.append(len(steps))
            return {"loss": float(model.reconstruction_error(cells(np.random.default_rng(9))).mean())}

    def sample(rng):
        steps.append(1)
        if at == "step" and len(steps) == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return cells(rng)

    options = {"evaluate": evaluate, "eval_every": 5, "checkpoint_every": 1000}
    before = signal.signal(signal.SIGINT, theirs if at == "evaluation in a flow" else signal.default_int_handler)
    try:
        with pytest.raises((KeyboardInterrupt, interrupt.Terminated, _Theirs)), interrupt.handled():
            train(tmp_path / "ended", sample=sample, **options)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(steps) == (7 if at == "step" else 5)
    resumed, again = train(tmp_path / "ended", sample=sample, **options)
    assert len(steps) == 12
    whole, result = train(tmp_path / "whole", **(options | {"evaluate": evaluate}))
    assert same(whole, resumed) and result.history == again.history


@pytest.mark.slow
def test_a_sigkill_changes_nothing(tmp_path):
    script = textwrap.dedent("""
        import sys, torch
        sys.path.insert(0, sys.argv[1])
        torch.set_num_threads(1)
        from pathlib import Path
        from test_supervised import train
        model, result = train(Path(sys.argv[2]), steps=60, checkpoint_every=1, optimizer="muon")
        model.save_pretrained(Path(sys.argv[2]) / "model")
        print(len(result.history))
    """)

    def start(folder: Path) -> subprocess.Popen:
        words = [sys.executable, "-c", script, str(HERE), str(folder)]
        return subprocess.Popen(
            words, cwd=HERE.parent, env={**os.environ, "PYTHONPATH": str(HERE.parent)}, stdout=subprocess.PIPE
        )

    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole, killed = start(tmp_path / "whole"), start(tmp_path / "killed")
    checkpoint = tmp_path / "killed" / "model.safetensors"
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(float(np.random.default_rng().random()) * 0.5)  # wherever that is
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    again = start(tmp_path / "killed")
    rows = [int(process.communicate()[0]) for process in (whole, again)]
    assert rows[0] == rows[1] == 3
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]


def test_a_checkpoint_of_another_run_is_not_taken(tmp_path):
    train(tmp_path, steps=6)
    assert same(train(tmp_path, steps=6, seed=8)[0], train(tmp_path / "fresh", steps=6, seed=8)[0])


@pytest.mark.parametrize(
    "change",
    [
        {"adam": AdamSettings(beta1=0.5)}, {"adam": AdamSettings(beta2=0.5)}, {"adam": AdamSettings(eps=1e-2)},
        {"max_grad_norm": 1e-3}, {"weight_decay": 0.5}, {"schedule": ScheduleSettings(min_lr_ratio=0.5)},
        {"muon": MuonSettings(momentum=0.1)}, {"muon": MuonSettings(iterations=1)}, {"muon": MuonSettings(update_rms=0.9)},
        {"ema": 0.9, "ema_warmup": 1},
    ],
    ids=lambda change: "-".join(change),
)  # fmt: skip
def test_every_number_is_a_setting(tmp_path, change):
    known = {"steps": 4, "optimizer": "muon"}
    if "ema" in change:
        known["ema"] = 0.9
    assert not same(train(tmp_path / "as-it-was", **known)[0], train(tmp_path / "changed", **(known | change))[0])


def test_each_checkpoint_is_told_of(tmp_path):
    told = []

    class Remote(Output):
        def scratch_saved(self, path):
            told.append((path.name, path.exists()))

    train(tmp_path, steps=7, output=Remote(tmp_path, tmp_path))
    assert told == [("model.safetensors", True)] * 3  # after steps 3, 6 and the last


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(tensors, file, metadata):
        with Path("/dev/full").open("wb", buffering=0) as disk:
            disk.write(b"x")

    monkeypatch.setattr("emurl.training.checkpoint.save_file", full)
    with pytest.raises(WorkError, match=r"model\.safetensors: the disk is full, so no checkpoint can be kept") as caught:
        train(tmp_path, steps=3)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_is_not_taken(tmp_path):
    whole, _ = train(tmp_path, steps=6)
    (tmp_path / "model.safetensors").write_bytes(b"half of it")
    assert same(train(tmp_path, steps=6)[0], whole)


def test_no_number_stops_the_run(tmp_path):
    class Broken(Policy):
        def loss(self, batch):
            return self.policy_head.weight.sum() * float("nan"), {}

    model = Broken(vocab=16, dim=16, layers=1, heads=2)
    with pytest.raises(WorkError, match=r"broken: the loss is nan .* at step 2, .*learning_rate"):
        fit(
            model, lambda rng: np.zeros(1), OptimizerSettings(steps=2, device="cpu"), output=Output(tmp_path, tmp_path),
            tracker=Tracker.silent(), name="broken",
        )  # fmt: skip


def test_stops_when_held_out_videos_say_so_and_keeps_the_best(tmp_path):
    values = iter([3.0, 1.0, 2.0, 2.0, 0.0, 0.0])
    snapshots = []

    def evaluate(model):
        snapshots.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return {"error": next(values)}

    model, result = train(tmp_path, steps=12, evaluate=evaluate, eval_every=2, best_by="error", patience=2)
    assert result.steps == 8 and result.best_step == 4
    assert all(torch.equal(tensor, snapshots[1][name]) for name, tensor in model.state_dict().items())


def test_history_and_log_hold_what_happened(tmp_path):
    logged, pictures = [], []

    class Listening(Tracker):
        def log(self, values, step):
            logged.append((step, values))

        def image(self, name, picture, step):
            pictures.append((name, step))

    _, result = train(
        tmp_path, steps=40, tracker=Listening(quiet=True), evaluate=lambda model: {"x": 1.0}, eval_every=40,
        picture=lambda model: {"p": np.zeros((2, 2), np.uint8)},
    )  # fmt: skip
    assert [row["step"] for row in result.history] == [20, 40, 40]
    assert json.loads(json.dumps(result.history)) == result.history
    assert {"step", "loss", "gradient_norm", "pixel_accuracy"} <= result.history[0].keys()
    assert result.history[-1] == {"step": 40, "val_x": 1.0}
    assert pictures == [("p", 40)]
    names = {name for _, values in logged for name in values}
    assert {"model/loss", "model/learning_rate", "model/frames_per_second", "val_x"} <= names


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match="device: 'gpu' is no device"):
        resolve_device("gpu")
    with pytest.raises(InputError, match="device"):
        resolve_device("meta")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="device: 'cuda' is not available on this machine"):
            resolve_device("cuda")


def test_without_a_state_the_same_content_is_the_same_file(tmp_path):
    """An artifact of it is known by its bytes."""
    for number in range(12):
        write_checkpoint(tmp_path / f"{number}.safetensors", {"part": {"x": torch.ones(3)}}, {}, {"run": 1})
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1
    assert read_checkpoint(tmp_path / "0.safetensors", {"part": {}}, {"run": 1}) == {}
    assert read_checkpoint(tmp_path / "0.safetensors", {"part": {}}, {"run": 2}) is None
