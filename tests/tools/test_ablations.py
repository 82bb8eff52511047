"""tools/ablations.py: its rows are settings, what was played is kept, and a row trains and plays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from emurl.core.config import load_config
from emurl.core.store import Store
from tests.fixtures.tiny import Tiny
from tools import ablations


@pytest.mark.parametrize("name", ablations.ROWS)
def test_a_row_is_settings_of_the_demo(name: str) -> None:
    row = ablations.ROWS[name]
    config, plain = load_config("configs/demo.yaml", row.changes), load_config("configs/demo.yaml")
    assert (config == plain) == (not row.changes)


def test_a_clone_is_made_anew_where_the_row_changes_it() -> None:
    row = ablations.ROWS["no judge, no memory"]
    assert [ref for ref in ("frames@v1", "behavior@v1", "reward@v1") if ablations.differs(ref, row)] == ["behavior@v1"]


def test_the_table_says_shares_with_their_intervals() -> None:
    row = {
        "row": "no judge", "seed": 2, "success_rate": [0.5, 0.25, 0.75], "success_rate_sticky": [0.0, 0.0, 0.0714],
        "milestones": {"house": 1.0, "real_partner": 0.5}, "minutes": 3.0,
    }  # fmt: skip
    assert ablations.table([row]) == [
        "| left out | seed | success | sticky | house | real partner | minutes |",
        "|---|---|---|---|---|---|---|",
        "| no judge | 2 | 50 % (25–75) | 0 % (0–7) | 100 | 50 | 3.0 |",
    ]


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"row": 1}', "[1]", '[{"mine": 1}]', '[{"row": "no judge", "seed": 0, "policy": "x"}]']
)
def test_a_file_of_something_else_is_left_alone(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out.json"
    file.write_text(text)
    assert ablations.main(["--out", str(file)]) == 2
    assert str(file) in capsys.readouterr().err
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "nowhere/out.json"], "--out nowhere/out.json: no folder"),
        (["--out", "out.txt"], "expected a file name that ends in .json"),
        (["--input", "policy@v1"], "--input policy@v1: is made here"),
        (["--config", "none.yaml"], "none.yaml: no such file"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ablations.main(words) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rows_train_and_play_and_are_found_again(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, out = tmp_path / "store", tmp_path / "out.json"
    shutil.copytree(tiny.store, store, ignore=shutil.ignore_patterns(".tracking", ".work", ".leases"))
    sets = (
        f"store={store}",
        "policy.method=explore",
        "policy.practice.steps=128",
        "policy.explore.consoles=2",
        "policy.trials=2",
    )
    words = [
        "--config",
        str(tiny.settings),
        "--seeds",
        "1",
        "--out",
        str(out),
        *(word for one in sets for word in ("--set", one)),
    ]
    for stage in ("frames", "tokenizer", "dynamics", "reward", "behavior"):
        words += ["--input", stage]
    words += ["--rows", "the judge alone"]
    assert ablations.main(words) == 0
    assert "| the judge alone | 1 |" in capsys.readouterr().out
    (row,) = json.loads(out.read_text())
    policy = Store(store).get("policy")
    assert row["policy"] == policy.digest
    assert policy.metrics["env_steps"] == 128 and policy.metrics["finished_ways"] == 0  # of practice alone: nobody explored
    made = out.stat().st_mtime_ns
    assert ablations.main(words) == 0
    assert out.stat().st_mtime_ns == made and "| the judge alone | 1 |" in capsys.readouterr().out
    assert ablations.main([*words, "--set", "evaluation.max_steps=20"]) == 0  # other rules: played again
    assert [one["rules"]["max_steps"] for one in json.loads(out.read_text())] == [40, 20]
