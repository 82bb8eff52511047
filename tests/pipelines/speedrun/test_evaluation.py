"""The evaluation stage and its tool on tiny untrained models: what is measured, written and printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emurl.core.errors import WorkError
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.games.settings import EmulatorSettings
from emurl.pipelines.speedrun import evaluation
from emurl.pipelines.speedrun.evaluation import EvaluationSettings
from emurl.report.film import write_gif
from emurl.report.panel import Panel
from emurl.screen import ScreenSpec
from emurl.training.evaluate import Moment, Record
from tests.fixtures import playing as rl_fixtures
from tests.fixtures import rom as emulator_rom

SKIP, EPISODES, STEPS = 10, 3, 25
MILESTONES = ("title", "intro", "goal")


def record(reached: dict[str, int], steps: int, progress: float, **changes: Any) -> Record:
    made = Record(
        seed=0,
        actions=[0] * steps,
        progress=[0.0, *[progress] * steps],
        reached=reached,
        success="goal" in reached,
        still=steps // 2,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_a_summary_by_hand() -> None:
    records = [record({"title": 4, "intro": 9, "goal": 20}, 20, 8.0), record({"title": 6}, 30, 2.0)]
    records[0].places.update({(1, 2, 3): 5})
    records[1].places.update({(1, 2, 3): 1, (2, 0, 0): 2})
    found = evaluation.summarize("policy", records, MILESTONES)
    assert found.success == 0.5 and found.milestones_mean == 2.0 and found.final_progress == 5.0
    assert found.rates == {"title": 1.0, "intro": 0.5, "goal": 0.5}
    assert found.median_steps == {"title": 5.0, "intro": 9.0, "goal": 20.0}
    assert found.still_share == 0.5 and found.buttons["a"] == 1.0
    assert len(found.curve) == 31 and found.curve[20] == found.curve[30] == 5.0  # an ended episode keeps its value
    assert found.places == {(1, 2, 3): 6, (2, 0, 0): 2}


def test_visits_are_kept_by_episode() -> None:
    records = [record({}, 3, 1.0), record({}, 3, 1.0, seed=1)]
    records[0].places.update({(1, 2, 3): 2, (1, 2, 2): 1})
    records[1].places.update({(4, 0, 9): 3})
    table = evaluation.place_table({"policy": records, "random": records[1:]})
    rows = [("policy", 0, 1, 2, 2, 1), ("policy", 0, 1, 2, 3, 2), ("policy", 1, 4, 0, 9, 3), ("random", 1, 4, 0, 9, 3)]
    assert list(table.itertuples(index=False, name=None)) == rows


def test_no_number_goes_without_its_baselines() -> None:
    found = [evaluation.summarize(name, [record({"title": 4}, 5, 1.0)], MILESTONES) for name in ("policy", "clone", "random")]
    metrics = evaluation.metrics_of(found)
    assert next(iter(metrics)) == "success"
    bare = {name for name in metrics if not name.endswith(("_clone", "_random"))}
    assert bare == {"success", "milestones", "progress", "still", *(f"past_{name}" for name in MILESTONES), "steps_to_goal"}
    assert all(f"{name}_{who}" in metrics for name in bare for who in ("clone", "random"))
    table = "\n".join(evaluation.as_table(found, MILESTONES))
    assert "100% in 4" in table and "goal" in table and "random" in table


def run(folder: Path, rom: Path) -> tuple[Any, dict[str, Any]]:
    inputs = rl_fixtures.tiny_inputs(folder / "store")
    inputs["policy"] = rl_fixtures.artifact(
        folder / "store" / "policy" / "v1", "policy", {"behavior": 1, "tokenizer": 1, "reward": 1}
    )
    inputs["policy"].folder.joinpath("policy").symlink_to(inputs["behavior"].folder / "policy")
    done = rl_fixtures.output(folder / "out")
    settings = EvaluationSettings(
        emulator=EmulatorSettings(rom=str(rom), frame_skip=SKIP, press_ticks=4), device="cpu", episodes=EPISODES, max_steps=STEPS
    )
    evaluation.run(settings, inputs, done, Tracker.silent())
    return done, inputs


def test_the_stage_writes_results_episodes_a_film_and_a_page(tmp_path: Path) -> None:
    done, _ = run(tmp_path, rl_fixtures.rom(tmp_path))
    results = json.loads((done.folder / "results.json").read_text())
    assert results["game"] == "MOSSDALE" and set(results["players"]) == {"policy", "clone", "random"}
    assert results["milestones"][-1] == "goal" and results["players"]["policy"]["success"] == 0.0
    # policy and clone are the same network here: same dice, same episodes
    assert results["players"]["policy"] == results["players"]["clone"]
    episodes = pd.read_parquet(done.folder / "episodes.parquet")
    assert len(episodes) == 3 * EPISODES and (episodes["steps"] == STEPS).all() and episodes["steps_to_goal"].isna().all()
    with Image.open(done.folder / "agent.gif") as film:
        assert film.is_animated and film.size[0] > 2 * 320
    visits = pd.read_parquet(done.folder / "places.parquet")
    assert list(visits.columns) == ["player", "episode", "map", "y", "x", "visits"]
    page = (done.folder / "report.html").read_text()
    with Image.open(done.folder / "explored.png") as picture:
        assert picture.size[0] > 3 * 42 * 16 and picture.size[1] > 61 * 16, "the game's world, three times over"
    assert page.startswith("<!doctype html>") and "MOSSDALE" in page and "tokenizer@v1" in page
    assert done.metrics["success"] == done.metrics["success_random"] == 0.0 and done.metrics["past_intro"] == 0.0


def test_a_game_nobody_described_is_measured_by_progress_alone(tmp_path: Path) -> None:
    done, _ = run(tmp_path, emulator_rom.write_rom(tmp_path, "UNKNOWN"))
    assert done.metrics["success"] is None and np.isfinite(done.metrics["progress_random"])
    assert "past_intro" not in done.metrics and (done.folder / "report.html").is_file()
    assert not (done.folder / "explored.png").exists() and pd.read_parquet(done.folder / "places.parquet").empty


def test_the_same_seed_plays_the_same_episodes(tmp_path: Path) -> None:
    rom = rl_fixtures.rom(tmp_path)
    first, second = (run(tmp_path / name, rom)[0] for name in ("one", "two"))
    for name in ("results.json", "agent.gif"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_the_panel_shows_the_button_that_is_pressed() -> None:
    chances = np.full(len(BUTTONS), 0.1, np.float32)
    chances[2] = 0.3
    moment = Moment(np.zeros((144, 160), np.uint8), chances, 2, 1.5)
    panel = Panel(ScreenSpec(), 10, 0.0, 2.0)
    first = panel.draw(moment, np.full((144, 160), 3, np.uint8), 0)
    assert first.dtype == np.uint8 and first.shape == (304, panel.size[0], 3)
    assert (first[8:296, 8:328] == 0).all() and (first[8:296, 336:656] == 255).all()
    second = panel.draw(Moment(moment.frame, chances, None, 0.5), moment.frame, 1)
    pressed = (first == (208, 138, 29)).all(axis=-1), (second == (208, 138, 29)).all(axis=-1)
    assert pressed[0].any() and not pressed[1].any()


def test_a_film_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="nothing to film"):
        write_gif(tmp_path / "film.gif", [])
    assert not (tmp_path / "film.gif").exists()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store the tool can open: the tiny artifacts with their manifests on disk."""
    _, inputs = run(tmp_path, rl_fixtures.rom(tmp_path))
    for artifact in inputs.values():
        artifact.manifest["schema"] = 1
        (artifact.folder / "manifest.json").write_text(json.dumps(artifact.manifest))
    config = tmp_path / "config.yaml"
    config.write_text(f"emulator: {{rom: {rl_fixtures.rom(tmp_path)}, frame_skip: {SKIP}, press_ticks: 4}}\ndevice: cpu\n")
    return tmp_path


def tool(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3]))
    from tools import evaluate_policy

    return evaluate_policy.main(arguments)


def test_the_tool_prints_what_the_stage_prints(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    common = ["--store", str(store / "store"), "--config", str(store / "config.yaml"), "--episodes", "2", "--steps", "12"]
    assert tool(monkeypatch, "--policy", "policy@v1", *common) == 0
    table = capsys.readouterr().out
    assert all(word in table for word in ("policy", "clone", "random", "title", "progress at the end"))
    assert tool(monkeypatch, "--policy", "behavior", "--json", *common) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown["players"]) == {"clone", "random"} and shown["episodes"] == 2 and shown["max_steps"] == 12


@pytest.mark.parametrize("wrong", [["--policy", "tokenizer"], ["--policy", "policy@v9"], ["--episodes", "0"]])
def test_the_tool_refuses_in_one_line(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, wrong: list[str]
) -> None:
    code = tool(monkeypatch, "--store", str(store / "store"), "--config", str(store / "config.yaml"), *wrong)
    said = capsys.readouterr().err.strip()
    assert code == 2 and said.count("\n") == 0 and said.startswith("error: ") and "expected" in said
