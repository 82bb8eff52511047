"""What the README promises is done here: its commands in its order, its Python as it stands, its files where it says."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from emurl.cli import build_parser
from flows.pipeline import emurl_flow
from tests.test_house import FLOORS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def commands(word: str) -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line.startswith(word)]


@pytest.fixture(scope="module")
def checkout(tiny, tmp_path_factory):
    """A folder like a checkout after a (tiny) demo: configs and data where the README's commands look for them."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "configs", folder / "configs")
    settings = yaml.safe_load(tiny.settings.read_text())
    (folder / "configs/demo.yaml").write_text(yaml.safe_dump(settings | {"store": "data"}))
    for name in ("demo", "local"):  # the baseline, small, and on the game that is there
        file = folder / f"configs/baseline_{name}.yaml"
        told = yaml.safe_load(file.read_text())
        told["env"] |= {"rom_path": "embedded", "max_steps": 12, "obs_height": 36, "obs_width": 36}
        told["training"] |= {"total_timesteps": 64, "batch_size": 64, "minibatch_size": 32, "eval_episodes": 2}
        file.write_text(yaml.safe_dump(told | {"evaluation": {"episodes": 2, "max_steps": 12}}))
    shutil.copytree(tiny.store, folder / "data", ignore=shutil.ignore_patterns(".leases", ".work"))
    return folder


def test_every_command_is_one_that_emurl_knows():
    parser = build_parser()
    lines = commands("emurl ")
    assert len(lines) >= 10
    for line in lines:
        assert parser.parse_args(shlex.split(line)[1:]).do, line


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_do_what_their_comments_say(checkout):
    outputs = {}
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for line in commands("emurl "):
        done = subprocess.run(shlex.split(line), cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)
        outputs[line] = done.stdout
        # The one thing that is missing for Pokémon Red here is what nobody may ship.
        assert done.returncode == (1 if "doctor" in line else 0), f"{line}\n{done.stdout}{done.stderr}"
    assert len(outputs) >= 8
    by_word: dict[str, str] = {}
    for line, text in outputs.items():
        by_word.setdefault(" ".join(line.split()[1:3]), text)
    assert by_word["run --config"].count("skipped") == 9
    assert "reward       v2" in by_word["run reward"] or "reward  v2" in by_word["run reward"]
    assert "reward@v2" in by_word["artifacts list"]
    assert "sha256" in by_word["artifacts show"]
    assert "epochs" in by_word["compare reward@v1"]
    assert "PokemonRed.gb" in by_word["doctor --config"]
    assert by_word["play cnn"].count("milestones, the last") == 5
    assert (checkout / "cnn.html").read_text().startswith("<!doctype html>")
    assert (checkout / "runs/local").is_dir() and (checkout / "data/baseline_local/baseline/cnn/v2").is_dir()
    assert (checkout / "agent.gif").read_bytes()[:3] == b"GIF"


def test_the_options_of_prefect_are_there_and_name_the_flow():
    (line,) = commands(".venv/bin/prefect flow-run ls")
    words = shlex.split(line)
    said = subprocess.run([Path(sys.executable).parent / "prefect", *words[1:3], "--help"], capture_output=True, text=True).stdout
    assert words[3] in said and words[4] == emurl_flow.name


def test_make_knows_the_two_commands():
    wanted = [line.split()[1] for line in commands("make ")]
    assert wanted == ["demo", "test"]
    for target in wanted:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_python_runs_as_it_stands(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    rng = np.random.default_rng(0)
    names = {
        "frames_t": rng.integers(0, 4, (5, 144, 160), dtype=np.uint8),
        "frames_t1": rng.integers(0, 4, (5, 144, 160), dtype=np.uint8),
        "rewards": np.array([1.0, -1.0, 0.5, -0.5, 0.0]),
    }
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["scores"].shape == (5,)
    assert ((names["multiplier"] > 0) & (names["multiplier"] <= 1)).all()
    assert names["rewards"][1] == -1.0
    assert names["frame"].shape == (144, 160)
    assert "map" in names["info"]


def test_its_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_its_map_is_that_of_the_house():
    table = README[README.index("## The map") :].split("\n\n`configs/demo.yaml`")[0]
    rooms = {}
    for row in re.findall(r"^\| \d .*$", table, flags=re.M):
        _, floor, names, what, _ = row.split("|")
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", names + what):
            assert (ROOT / name).exists() or (ROOT / "emurl" / name).exists(), name
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", names):
            rooms[Path(name).stem] = int(floor)
    checked = [floor - {"__init__", "__main__"} for floor in FLOORS]
    checked = [floor for floor in checked if floor]
    assert rooms == {name: len(checked) - place for place, floor in enumerate(checked) for name in floor}


@pytest.mark.slow
def test_results_land_where_it_says(checkout):
    tree = README[README.index("## Where results land") :].split("```")[1]
    data = checkout / "data/speedrun"
    for stage in data.iterdir():
        assert stage.name in tree, stage.name
        assert (stage / "v1/manifest.json").exists()
    for stage in ("tokenizer", "dynamics", "reward"):
        assert (data / stage / "v1/model/model.safetensors").exists()
        assert json.loads((data / stage / "v1/history.json").read_text())
    assert (data / "runs/v1/runs.parquet").exists()
    assert (data / "behavior/v1/inverse").is_dir()
    assert (data / "policy/v1/policy").is_dir()
    assert (data / "evaluation/v1/report.html").exists()
