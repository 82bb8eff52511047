"""tools/validate_training.py: passes on networks that learn, fails on one that does not."""

import json

import torch

from emurl.models.policy import Policy
from tools import validate_training

TINY = [
    "tokenizer.dim=16", "tokenizer.depth=1", "tokenizer.vocab=32", "tokenizer.code_dim=8", "dynamics.dim=32", "dynamics.layers=1",
    "dynamics.heads=2", "reward.arch=small", "behavior.dim=16", "behavior.layers=1", "behavior.heads=2", "screen.shades=4",
]  # fmt: skip


def test_networks_that_learn_pass(capsys):
    words = [word for key in TINY for word in ("--set", key)]
    assert validate_training.main(["--config", "configs/demo.yaml", "--steps", "80", "--batch", "4", "--json", *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] and set(report["checks"]) == {"tokenizer", "dynamics", "reward", "inverse", "policy", "bradley_terry"}
    assert all(row["passed"] for row in report["checks"].values())


def test_a_network_that_cannot_learn_fails():
    class Deaf(Policy):
        def loss(self, batch):
            loss, metrics = super().loss(batch)
            return loss.detach() + 0.0 * self.gather.sum(), metrics

    torch.manual_seed(0)
    batch = (torch.randint(0, 16, (2, 1, 9, 10)), torch.tensor([0, 1]), torch.ones(2))
    row = validate_training.overfit(Deaf(vocab=16, dim=16, layers=1, heads=2), batch, 3, 2)
    assert not row["passed"] and "policy_head.weight" in row["idle"]


def test_wrong_settings_are_exit_2(capsys):
    assert validate_training.main(["--config", "configs/none.yaml"]) == 2
    assert "no such file" in capsys.readouterr().err
