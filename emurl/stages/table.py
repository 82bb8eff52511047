"""The pipeline as data: every stage, what it reads, its settings and its headline. CLI, Prefect flow and docs are built from it.

Adding a stage is one row here, one settings class in `config.py` and one module in this folder.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emurl import config


@dataclass(frozen=True)
class Stage:
    """One row: name, parents, settings class, the metric a summary shows, and what it does in one line."""

    name: str
    inputs: tuple[str, ...]
    settings: type[config.Settings]
    headline: str
    summary: str

    def load(self) -> tuple[Callable[..., None], int]:
        """The stage's function and code version; imports its module, which may be heavy."""
        module: Any = importlib.import_module(f"emurl.stages.{self.name}")
        return module.run, module.CODE_VERSION


TABLE: tuple[Stage, ...] = (
    Stage("runs", (), config.RunsSettings, "videos", "read the leaderboard: one row a video"),
    Stage("videos", ("runs",), config.VideosSettings, "downloaded", "download what the leaderboard links to"),
    Stage("frames", ("videos",), config.FramesSettings, "frames", "find the screen, decode, pack to shards"),
    Stage("tokenizer", ("frames",), config.TokenizerSettings, "recon_mse", "learn to see: a VQ-VAE, 9×10 tokens a frame"),
    Stage("dynamics", ("frames", "tokenizer"), config.DynamicsSettings, "accuracy", "learn to foresee: the next grid of tokens"),
    Stage("reward", ("frames",), config.RewardSettings, "pairwise_accuracy", "learn to judge: later is better"),
    Stage(
        "behavior", ("frames", "tokenizer"), config.BehaviorSettings, "clone_accuracy",
        "name the actions in the footage, clone them",
    ),
    Stage(
        "policy", ("tokenizer", "dynamics", "reward", "behavior"), config.PolicySettings, "return_mean",
        "learn to act: PPO on the reward model's progress",
    ),
    Stage(
        "evaluation", ("tokenizer", "dynamics", "reward", "behavior", "policy"), config.EvaluationSettings, "success",
        "play from power-on: policy, clone and chance",
    ),
)  # fmt: skip

BY_NAME: dict[str, Stage] = {stage.name: stage for stage in TABLE}
