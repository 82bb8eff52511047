"""`speedrun`: learn a Game Boy game from other people's speedruns, from a leaderboard to a policy that plays."""

from __future__ import annotations

from emurl.core.pipeline import Pipeline, Stage

PIPELINE = Pipeline(
    name="speedrun",
    summary="learn to play from other people's speedruns",
    module=__name__,
    stages=(
        Stage("runs", (), "videos", "read the leaderboard or another source: one row a video", network=True),
        Stage("videos", ("runs",), "downloaded", "download what the runs link to", network=True),
        Stage("frames", ("videos",), "frames", "find the screen, decode, pack to shards"),
        Stage("tokenizer", ("frames",), "recon_mse", "learn to see: a VQ-VAE, 9×10 tokens a frame"),
        Stage("dynamics", ("frames", "tokenizer"), "accuracy", "learn to foresee: the next grid of tokens"),
        Stage("reward", ("frames", "tokenizer"), "pairwise_accuracy", "learn to judge: later is better"),
        Stage("behavior", ("frames", "tokenizer", "reward"), "clone_accuracy", "name the actions in the footage, clone them"),
        Stage(
            "policy", ("frames", "tokenizer", "dynamics", "reward", "behavior"), "return_mean",
            "learn to act: PPO on the reward model's progress, or exploring with the judge",
        ),
        Stage(
            "evaluation", ("tokenizer", "dynamics", "reward", "behavior", "policy"), "success_rate",
            "play from power-on: policy, clone, replay and chance",
        ),
    ),
    shared=("seed", "device", "screen", "emulator", "broadcast"),
)  # fmt: skip
