"""Sound stores to damage: one of small text files, one of untrained models that play and detect."""

from __future__ import annotations

from pathlib import Path

import torch

from emurl.core.artifact import Artifact
from emurl.core.output import Output
from emurl.core.store import Store
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.models.reward import RewardModel
from tests.fixtures.bundles import exported
from tests.fixtures.detecting import models, ood_store
from tests.fixtures.store import facts

USUAL = {"reconstruction_mean": 1.0, "reconstruction_std": 0.5, "surprise_mean": 2.0, "surprise_std": 0.25, "frame_stride": 2}


def fill(folder: Path) -> None:
    """`policy.zip`, of `text`: policy@v1 ← reward@v1 ← frames@v1. `models`: frames, tokenizer, dynamics, reward, behavior, policy."""
    exported(folder)
    (folder / "from").rename(folder / "text")
    sight, foresight = models()
    store = Store(ood_store(folder / "models", sight, foresight, USUAL))
    tokenizer = store.get("tokenizer")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        judge = RewardModel("small").eval()
        player = RecurrentPolicy(sight.vocab, "transformer", token_dim=8, dim=16, heads=2, width=16, hidden=16).eval()

    def put(stage: str, folder: str, model: RewardModel | RecurrentPolicy, parents: dict[str, Artifact]) -> Artifact:
        with store.making("speedrun", stage, stage * 8) as output:
            model.save_pretrained(output.path(folder))
            return _published(store, output, stage, parents)

    reward = put("reward", "model", judge, {"frames": store.get("frames")})
    behavior = put("behavior", "policy", player, {"tokenizer": tokenizer})
    put("policy", "policy", player, {"tokenizer": tokenizer, "reward": reward, "behavior": behavior})


def _published(store: Store, output: Output, stage: str, parents: dict[str, Artifact]) -> Artifact:
    return store.publish(output, facts("speedrun", stage, stage * 8, parents))
