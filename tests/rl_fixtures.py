"""Tiny untrained models as artifacts, and the tiny ROM: what the RL and evaluation tests play with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import emulator_rom
import torch

from emurl.artifacts import Artifact, Output
from emurl.models.dynamics import Dynamics
from emurl.models.policy import Policy
from emurl.models.reward import RewardModel
from emurl.models.tokenizer import Tokenizer

VOCAB, CONTEXT = 32, 2


def artifact(folder: Path, stage: str, parents: dict[str, int] | None = None, metrics: dict[str, Any] | None = None) -> Artifact:
    """An artifact with a manifest that says what readers of it look at."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {
        "stage": stage, "version": 1, "digest": f"digest of {stage}", "fingerprint": "0", "metrics": metrics or {"loss": 0.5},
        "settings": {"seed": 0}, "parents": {name: {"version": v, "digest": ""} for name, v in (parents or {}).items()},
        "duration_s": 1.5, "created": "2026-01-01T00:00:00+00:00", "notes": [], "files": [],
    }  # fmt: skip
    return Artifact(folder, manifest)


def tiny_inputs(folder: Path, seed: int = 0) -> dict[str, Artifact]:
    """Untrained tokenizer, dynamics, reward and behavior in a folder laid out like a store."""
    inputs = {
        name: artifact(folder / name / "v1", name, {"frames": 1}) for name in ("tokenizer", "dynamics", "reward", "behavior")
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        Tokenizer(dim=16, depth=1, vocab=VOCAB, code_dim=8).eval().save_pretrained(inputs["tokenizer"].folder / "model")
        Dynamics(vocab=VOCAB, dim=16, layers=1, heads=2, context=1).save_pretrained(inputs["dynamics"].folder / "model")
        RewardModel("small").eval().save_pretrained(inputs["reward"].folder / "model")
        policy = Policy(VOCAB, dim=16, layers=1, heads=2, context=CONTEXT)
        policy.eval().save_pretrained(inputs["behavior"].folder / "policy")
    return inputs


def output(folder: Path) -> Output:
    """An empty place to write to."""
    for name in ("files", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Output(folder / "files", folder / "scratch")


def rom(folder: Path) -> Path:
    """The tiny ROM under the embedded game's title, so that milestones are read."""
    return emulator_rom.write_rom(folder, "MOSSDALE")
