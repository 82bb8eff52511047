"""`baseline`: what most people run first, PPO with a CNN, paid from the game's memory; the yardstick of everything else."""

from __future__ import annotations

from emurl.core.pipeline import Pipeline, Stage

PIPELINE = Pipeline(
    name="baseline",
    summary="PPO with a CNN, paid from the game's memory",
    module=__name__,
    stages=(
        Stage("cnn", (), "return_mean", "learn to act: PPO with a Nature CNN, paid for badges, places and levels"),
        Stage("evaluation", ("cnn",), "success_rate", "play from power-on: the policy and chance"),
    ),
    shared=("seed", "device", "env", "training", "checkpointing", "logging"),
)
