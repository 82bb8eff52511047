"""The evaluation stage and its tool on tiny untrained models: what is measured, written and printed."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emurl import play
from emurl.core.config import load_config
from emurl.core.errors import InputError, WorkError
from emurl.core.store import Store
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.footage.open_loop import REPLAY, OpenLoop
from emurl.games.settings import EmulatorSettings
from emurl.pipelines.shared.evaluated import place_table
from emurl.pipelines.speedrun import evaluation
from emurl.pipelines.speedrun.evaluation import EvaluationSettings
from emurl.report.film import write_gif
from emurl.report.panel import Panel
from emurl.screen import ScreenSpec
from emurl.training.evaluate import Moment, Record
from emurl.training.scores import Played, Rules, as_results, as_table, metrics_of, summarize
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
    records = [record({"title": 4, "intro": 9, "goal": 20}, 20, 8.0), record({"title": 6}, 30, 2.0, loops=5)]
    records[0].places.update({(1, 2, 3): 5})
    records[1].places.update({(1, 2, 3): 1, (2, 0, 0): 2})
    found = summarize("policy", Played(records, records[1:]), MILESTONES)
    assert found.success_rate is not None and found.success_rate.value == 0.5 and found.episodes == 2
    assert found.success_rate_sticky is not None and found.success_rate_sticky.value == 0.0
    assert found.milestone_mean is not None and found.milestone_mean.value == 2.0
    assert found.progress is not None and found.progress.value == 5.0
    assert {name: rate.value for name, rate in found.past.items()} == {"title": 1.0, "intro": 0.5, "goal": 0.5}
    assert found.steps_to == {"title": 5.0, "intro": 9.0, "goal": 20.0}
    assert found.median_steps is not None and found.median_steps.value == 20.0
    assert found.coverage is not None and found.coverage.value == 1.5
    assert found.still is not None and found.still.value == 0.5 and found.buttons["a"] == 1.0
    assert found.loops is not None and found.loops.value == 0.1
    assert len(found.curve) == 31 and found.curve[20] == found.curve[30] == 5.0  # an ended episode keeps its value
    assert found.places == {(1, 2, 3): 6, (2, 0, 0): 2}


def test_what_nobody_reads_or_judges_is_unknown() -> None:
    blind = Record(seed=0, actions=[-1] * 5)
    found = summarize("policy", Played([blind]), ())
    unknown = (found.success_rate, found.success_rate_sticky, found.median_steps, found.milestone_mean, found.progress)
    assert unknown == (None,) * 5 and found.coverage is None and found.curve == [] and not any(found.buttons.values())
    assert metrics_of([found])["success_rate"] is None and len(as_table([found], (), Rules())) > 5


def test_visits_are_kept_by_episode() -> None:
    records = [record({}, 3, 1.0), record({}, 3, 1.0, seed=1)]
    records[0].places.update({(1, 2, 3): 2, (1, 2, 2): 1})
    records[1].places.update({(4, 0, 9): 3})
    table = place_table({"policy": Played(records, records), "random": Played(records[1:])})
    rows = [("policy", 0, 1, 2, 2, 1), ("policy", 0, 1, 2, 3, 2), ("policy", 1, 4, 0, 9, 3), ("random", 1, 4, 0, 9, 3)]
    assert list(table.itertuples(index=False, name=None)) == rows


def test_no_number_goes_without_its_baselines() -> None:
    baselines = ("clone", "replay", "random")
    played = Played([record({"title": 4}, 5, 1.0)], [record({"title": 4, "goal": 5}, 5, 1.0)])
    found = [summarize(name, played, MILESTONES) for name in ("policy", *baselines)]
    metrics = metrics_of(found)
    assert next(iter(metrics)) == "success_rate" and metrics["success_rate_sticky_clone"] == 1.0
    bare = {name for name in metrics if not name.endswith(tuple(f"_{who}" for who in baselines))}
    assert bare == {
        "success_rate", "success_rate_sticky", "median_steps", "milestone_mean", "episodes", "progress", "coverage", "still", "loops",
        *(f"past_{name}" for name in MILESTONES), "success", "milestones", "steps_to_goal",
    }  # fmt: skip
    assert all(f"{name}_{who}" in metrics for name in bare for who in baselines)
    assert metrics["success_random"] == metrics["success_rate_random"] and metrics["milestones"] == metrics["milestone_mean"]
    table = "\n".join(as_table(found, MILESTONES, Rules(), 431.0))
    assert "100% in 4" in table and "goal" in table and "replay" in table and "100% (21–100)" in table and "431 actions" in table
    results = as_results(found, MILESTONES, Rules(), "GAME")["players"]["replay"]
    assert {
        "success_rate_low",
        "success_rate_high",
        "success_rate_sticky",
        "median_steps",
        "milestone_mean_high",
    } <= results.keys()


def run(folder: Path, rom: Path, replay: bool = True, **changes: Any) -> tuple[Any, dict[str, Any]]:
    inputs = rl_fixtures.tiny_inputs(folder / "store")
    if replay:
        OpenLoop("run", ["video"], [6, -1, 0] * 4, {"run": 12, "other": 20}, 16.0).write(inputs["behavior"].folder / REPLAY)
    inputs["policy"] = rl_fixtures.artifact(
        folder / "store" / "policy" / "v1", "policy", {"behavior": 1, "tokenizer": 1, "reward": 1}
    )
    inputs["policy"].folder.joinpath("policy").symlink_to(inputs["behavior"].folder / "policy")
    done = rl_fixtures.output(folder / "out")
    settings = EvaluationSettings(
        emulator=EmulatorSettings(rom=str(rom), frame_skip=SKIP, press_ticks=4), device="cpu", episodes=EPISODES, max_steps=STEPS,
        **changes,
    )  # fmt: skip
    evaluation.run(settings, inputs, done, Tracker.silent())
    return done, inputs


def test_the_stage_writes_results_episodes_a_film_and_a_page(tmp_path: Path) -> None:
    done, _ = run(tmp_path, rl_fixtures.rom(tmp_path))
    results = json.loads((done.folder / "results.json").read_text())
    assert results["game"] == "MOSSDALE" and list(results["players"]) == ["policy", "clone", "replay", "random"]
    assert results["milestones"][-1] == "goal" and results["players"]["policy"]["success_rate"] == 0.0
    assert results["footage_median_steps"] == done.metrics["footage_median_steps"] == 16.0
    # policy and clone are the same network here: same dice, same episodes
    assert results["players"]["policy"] == results["players"]["clone"]
    episodes = pd.read_parquet(done.folder / "episodes.parquet")
    assert len(episodes) == 4 * 2 * EPISODES and (episodes["steps"] == STEPS).all() and episodes["steps_to_goal"].isna().all()
    assert (episodes.groupby("episode")["wait"].nunique() == 1).all() and episodes["wait"].nunique() > 1
    with Image.open(done.folder / "agent.gif") as film:
        assert film.is_animated and film.size[0] > 2 * 320
    visits = pd.read_parquet(done.folder / "places.parquet")
    assert list(visits.columns) == ["player", "episode", "map", "y", "x", "visits"]
    page = (done.folder / "report.html").read_text()
    with Image.open(done.folder / "explored.png") as picture:
        assert picture.size[0] > 4 * 42 * 16 and picture.size[1] > 61 * 16, "the game's world, four times over"
    assert page.startswith("<!doctype html>") and "MOSSDALE" in page and "tokenizer@v1" in page
    assert done.metrics["success_rate"] == done.metrics["success_rate_random"] == 0.0 and done.metrics["past_intro"] == 0.0
    told = [re.compile(name.replace("*", ".*")) for name in evaluation.METRICS]
    assert all(any(one.fullmatch(name) for one in told) for name in done.metrics)


def test_a_behavior_of_before_has_no_replay_and_sticky_can_be_left_out(tmp_path: Path) -> None:
    done, _ = run(tmp_path, rl_fixtures.rom(tmp_path), replay=False, sticky=0.0)
    assert "success_rate_replay" not in done.metrics and done.metrics["footage_median_steps"] is None
    assert done.metrics["success_rate_sticky"] is None and len(pd.read_parquet(done.folder / "episodes.parquet")) == 3 * EPISODES


def test_a_game_nobody_described_is_measured_by_progress_alone(tmp_path: Path) -> None:
    done, _ = run(tmp_path, emulator_rom.write_rom(tmp_path, "UNKNOWN"))
    assert (
        done.metrics["success_rate"] is None
        and done.metrics["coverage_random"] is None
        and np.isfinite(done.metrics["progress_random"])
    )
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
    panel = Panel(ScreenSpec(), 10, [0.0, 2.0])
    first = panel.draw(moment, np.full((144, 160), 255, np.uint8), 0)
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
    assert all(word in table for word in ("policy", "clone", "replay", "random", "title", "progress at the end"))
    assert tool(monkeypatch, "--policy", "behavior", "--json", "--wait-ticks", "7", "--sticky", "0", *common) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (
        set(shown["players"]) == {"clone", "replay", "random"}
        and shown["wait_ticks"] == 7
        and shown["episodes"] == 2
        and shown["max_steps"] == 12
    )


@pytest.mark.parametrize("wrong", [["--policy", "tokenizer"], ["--policy", "policy@v9"], ["--episodes", "0"], ["--sticky", "2"]])
def test_the_tool_refuses_in_one_line(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, wrong: list[str]
) -> None:
    code = tool(monkeypatch, "--store", str(store / "store"), "--config", str(store / "config.yaml"), *wrong)
    said = capsys.readouterr().err.strip()
    assert code == 2 and said.count("\n") == 0 and said.startswith("evaluate_policy: ") and "expected" in said


def test_a_policy_is_watched_by_the_rules_of_evaluation(store: Path) -> None:
    config = load_config(str(store / "config.yaml"), ["evaluation.wait_ticks=60"])
    shown = partial(play.watch, config, Store(str(store / "store")), "policy@v1", steps=6, seed=3)
    told = shown(video=str(store / "plain.gif"))
    assert 0 < told["wait"] <= 60 and told["steps"] == 6
    with Image.open(store / "plain.gif") as film:  # at the speed of the game
        assert film.info["duration"] == pytest.approx(1000 * SKIP / 59.7275, abs=10)
    assert shown(video=str(store / "sticky.gif"), sticky=1.0)["wait"] == told["wait"]
    assert (store / "plain.gif").read_bytes() != (store / "sticky.gif").read_bytes()
    with pytest.raises(InputError, match=r"--sticky 1.5: expected a chance from 0 to 1"):
        shown(video=str(store / "wrong.gif"), sticky=1.5)
    config = load_config(str(store / "config.yaml"), ["evaluation.max_steps=5"])
    told = play.watch(config, Store(str(store / "store")), "policy@v1", steps=None, seed=3, video=str(store / "long.gif"))
    assert told["steps"] == told["limit"] == 5  # as many as evaluation gives


def test_who_is_cut_off_at_the_limit_is_said_not_to_have_got_to_the_goal() -> None:
    def one(steps: int, success: bool) -> dict[str, Any]:
        return {"steps": steps, "limit": 800, "milestones": {"title": 3}, "success": success}

    assert play.as_text(one(480, True)).splitlines() == ["steps: 480", "limit: 800", "milestones: {'title': 3}", "success: True"]
    line = "it ended at the limit of 800 actions, not at the goal; --steps N allows more"
    assert play.as_text(one(800, False)).splitlines()[-1] == line
    assert line not in play.as_text(one(800, True))
    several = play.as_text({"ref": "policy@v1", "episodes": [one(800, False), one(480, True), one(800, False)]})
    assert several.splitlines()[-1] == line.replace("it ended", "2 of 3 episodes ended")
