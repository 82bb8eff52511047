"""`emurl train`: every kind of agent solves its toy environment, and what is wrong is one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emurl import cli
from emurl.core.tracking import Tracker
from emurl.train import train

TOYS = "tests.fixtures.toy_envs"
ROOT = Path(__file__).resolve().parents[1]


def last(agent: str, env: str, steps: int, seed: int = 0, *overrides: str, count: int = 100) -> float:
    told = train(agent, f"toys/{env}-v0", steps=steps, seed=seed, overrides=overrides, imports=[TOYS], tracker=Tracker.silent())
    return float(np.mean(told["returns"][-count:]))


def test_ppo_walks_the_corridor() -> None:
    assert last("ppo", "Corridor", 6_000) > 0.9  # 0.95 is the best there is; chance gets about 0.05


def test_only_memory_recalls_the_cue() -> None:
    assert last("recurrent_ppo", "Recall", 12_000, 0, "hidden=24") > 0.8
    assert abs(last("ppo", "Recall", 6_000)) < 0.3  # nobody without memory can do better than 0


def test_masks_and_dict_observations() -> None:
    assert last("ppo", "Masked", 5_000) > 6.5  # of 8; chance among the two that are allowed gets 4


def test_the_same_seed_gives_the_same_returns_and_another_others() -> None:
    runs = [
        train(
            "recurrent_ppo",
            "toys/Recall-v0",
            steps=1_024,
            seed=seed,
            overrides=["hidden=8"],
            imports=[TOYS],
            tracker=Tracker.silent(),
        )
        for seed in (3, 3, 4)
    ]
    assert runs[0]["returns"] == runs[1]["returns"] != runs[2]["returns"]


def test_the_command_line_prints_one_document(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emurl", "train", "ppo", "--env", "toys/Corridor-v0", "--import", TOYS, "--steps", "600",
         "--seed", "1", "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["agent"], told["env"], told["seed"], told["steps"]) == ("ppo", "toys/Corridor-v0", 1, 512)
    assert len(told["returns"]) > 5 and told["seconds"] > 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pppo", "--env", "CartPole-v1"], "expected one of ppo, recurrent_ppo"),
        (["ppo", "--env", "CartPol-v1"], "did you mean CartPole-v1"),
        (["ppo", "--env", "Pendulum-v1"], "of kind Box, expected Discrete"),
        (["ppo", "--env", "Blackjack-v1"], "a space of kind Tuple, expected Box"),
        (["ppo", "--env", "no.such.module:CartPole-v1"], "--env no.such.module:CartPole-v1: No module named"),
        (["ppo", "--env", "CartPole-v1", "--import", "no.such.module"], "no.such.module"),
        (["ppo", "--env", "CartPole-v1", "--import", ""], "--import : '' is not the name of a module"),
        (["ppo", "--env", "CartPole-v1", "--import", ".x"], "'.x' is not the name of a module"),
        (["ppo", "--env", ":CartPole-v1"], "'' is not the name of a module"),
        (["ppo", "--env", "CartPole-v1", "--set", "num_env=3"], "did you mean num_envs"),
        (["ppo", "--env", "CartPole-v1", "--set", "gamma=2"], "gamma"),
        (["ppo", "--env", "CartPole-v1", "--set", "gamma"], "key=value"),
        (["ppo", "--env", "CartPole-v1", "--steps", "0"], "--steps 0"),
        (["ppo", "--env", "CartPole-v1", "--seed", "-1"], "--seed -1"),
        (["ppo", "--env", "CartPole-v1", "--seed", "9" * 25], "expected a number ≥ 0 and below 2^63"),
        (["ppo", "--env", "CartPole-v1", "--set", "seed=" + "9" * 25], "expected a number below 2^63"),
    ],
)
def test_wrong_input_is_one_line(capsys: pytest.CaptureFixture[str], words: list[str], expected: str) -> None:
    steps = [] if "--steps" in words else ["--steps", "64"]
    assert cli.main(["train", *words, *steps]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert expected in err
