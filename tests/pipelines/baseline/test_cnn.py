"""`cnn` and its evaluation: what they leave, that killed is as if not, what people's dashboards and settings files know, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from emurl import cli
from emurl.agents.ppo.agent import PPOAgent
from emurl.agents.ppo.pixel_networks import PixelPolicy
from emurl.core.config import load_config
from emurl.core.output import Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.paid import Totals
from emurl.pipelines.baseline import cnn, evaluation
from emurl.screen import ScreenSpec
from emurl.training import on_policy

ROOT = Path(__file__).resolve().parents[3]
TINY = (
    "env.max_steps=12", "env.obs_height=36", "env.obs_width=36", "training.num_envs=2", "training.batch_size=16",
    "training.minibatch_size=8", "training.total_timesteps=64", "training.update_epochs=2", "checkpointing.save_interval=1",
    "training.eval_every=2", "training.eval_episodes=2", "logging.log_interval=1", "evaluation.episodes=2", "evaluation.max_steps=12",
)  # fmt: skip
TAGS = {
    "train/policy_loss", "train/value_loss", "train/entropy_loss", "train/approx_kl", "train/learning_rate", "perf/steps_per_second",
    "episode/mean_reward", "episode/mean_length", "episode/mean_badges",
}  # fmt: skip
SEED = """
env:
  rom_path:    embedded
  frame_skip:  24
  obs_height:  84
  obs_width:   84
  grayscale:   true
  frame_stack: 4
  max_steps:   4096
  reward:
    badge_reward:   4.0
    explore_reward: 0.01
    level_reward:   0.01

training:
  num_envs:        4
  num_workers:     2
  total_timesteps: 500_000
  batch_size:      2048
  minibatch_size:  256
  update_epochs:   4
  learning_rate:   2.5e-4
  anneal_lr:       true
  gamma:           0.99
  gae_lambda:      0.95
  clip_coef:       0.2
  ent_coef:        0.01
  vf_coef:         0.5
  max_grad_norm:   0.5

checkpointing:
  save_dir:      ./checkpoints
  save_interval: 50

logging:
  tensorboard_dir: ./runs
  run_name:        local
  log_interval:    5
"""


def settings(*more: str) -> Any:
    return load_config(None, [*TINY, *more], "baseline")


def train(folder: Path, *more: str, tracker: Tracker | None = None) -> Output:
    output = Output(folder / "files", folder / "scratch")
    output.folder.mkdir(parents=True, exist_ok=True)
    output.scratch.mkdir(parents=True, exist_ok=True)
    cnn.run(settings(*more).cnn, {}, output, tracker or Tracker.silent())
    return output


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "files" / "policy" / "model.safetensors")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the tiny baseline was run by its command."""
    folder = tmp_path_factory.mktemp("baseline")
    words = [word for change in (*TINY, f"store={folder}", "tracking.wandb=false") for word in ("--set", change)]
    assert cli.main(["run", "--config", str(ROOT / "configs" / "baseline_demo.yaml"), *words]) == 0
    return folder


def test_the_command_leaves_a_policy_a_page_and_the_tags_people_know(store, capsys):
    found = json.loads((store / "baseline/cnn/v1/manifest.json").read_text())
    assert set(cnn.METRICS) == set(found["metrics"])
    assert (found["metrics"]["updates"], found["metrics"]["env_steps"]) == (4, 64)
    assert json.loads((store / "baseline/cnn/v1/play.json").read_text())["frame_skip"] == 24
    page = (store / "baseline/evaluation/v1/report.html").read_text()
    assert "paid from the game" in page and "speedruns" not in page and "nobody judged progress" in page
    results = json.loads((store / "baseline/evaluation/v1/results.json").read_text())
    assert set(results["players"]) == {"policy", "random"} and results["players"]["policy"]["progress"] is None
    board = EventAccumulator(str(next((store / ".tracking" / "tensorboard").glob("*/cnn")))).Reload()
    told = board.Tags()["scalars"]
    assert set(told) >= TAGS | {"eval/mean_reward", "reward/explore", "reward/badge"}
    assert [one.step for one in board.Scalars("train/policy_loss")] == [16, 32, 48, 64]
    rates = [one.value for one in board.Scalars("train/learning_rate")]
    assert rates == pytest.approx([2.5e-4 * share for share in (1.0, 0.75, 0.5, 0.25)])
    assert board.Scalars("episode/mean_length")[0].value == 12


def test_it_is_watched_by_its_short_name_several_episodes_at_once(store, capsys, tmp_path):
    where = ["--store", str(store), "--steps", "6", "--video", str(tmp_path / "film.html")]
    assert cli.main(["play", "cnn", *where, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ref"] == "baseline/cnn@v1"
    page = (tmp_path / "film.html").read_text()
    assert page.startswith("<!doctype html>") and "data:image/gif;base64," in page and "http" not in page
    config = str(ROOT / "configs" / "baseline_demo.yaml")
    assert cli.main(["play", "--config", config, *where[:4], "--episodes", "5"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(": 6 actions") == 5 and "steps_mean: 6.0" in shown
    for words, line in (
        (["--episodes", "0"], "--episodes 0: expected 1 to 1000"),
        (["baseline/evaluation"], "stage evaluation of baseline does not play, expected one of cnn"),
        (["--episodes", "2", "--config", config, "--set", "env.rom_path=nowhere.gb"], "env.rom_path: nowhere.gb: no such file"),
    ):
        assert cli.main(["play", *(["cnn"] if words[0].startswith("-") else []), *words, *where[:2]]) == 2
        assert line in capsys.readouterr().err


@pytest.mark.parametrize("memory", ["none", "recurrent"])
def test_killed_it_goes_on_to_the_same_weights(tmp_path, monkeypatch, memory):
    more = (f"training.memory={memory}", "training.hidden=8")
    train(tmp_path / "whole", *more)
    learn, calls = on_policy.learn, []

    def dies(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError
        return learn(*arguments)

    monkeypatch.setattr(on_policy, "learn", dies)
    with pytest.raises(MemoryError):
        train(tmp_path / "killed", *more)
    calls.clear()
    monkeypatch.setattr(on_policy, "learn", lambda *arguments: (calls.append(1), learn(*arguments))[1])
    train(tmp_path / "killed", *more)
    assert len(calls) == 2
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(np.array_equal(whole[name], killed[name]) for name in whole)
    assert (tmp_path / "whole/files/trials.json").read_text() == (tmp_path / "killed/files/trials.json").read_text()
    assert any("memory" in name for name in whole) == (memory == "recurrent")


def test_what_is_reported_is_of_the_weights_that_are_kept(tmp_path, monkeypatch):
    """Also where others were tried last, whose answers an agent remembers."""
    returns, remembered = iter([1.0, 9.0, 0.0]), []
    play = cnn.play_episodes

    def played(agent: Any, envs: Any, seed: int, tracker: Tracker, what: str) -> list[Any]:
        found = play(agent, envs, seed, tracker, what) if what == "evaluation episodes" else []
        if what == "play on fresh seeds":
            remembered.append(len(agent._known))
            found = play(agent, envs, seed, tracker, what)
        elif what == "evaluation episodes":
            assert agent._known
            found = [Totals(paid=next(returns))] * len(found)
        return found or [Totals()]

    monkeypatch.setattr(cnn, "play_episodes", played)
    output = train(tmp_path)
    assert (output.metrics["best_update"], output.metrics["selection_return"], remembered) == (2, 9.0, [0])
    policy = PixelPolicy.from_pretrained(tmp_path / "files" / "policy")
    envs = cnn.consoles(settings().cnn, 2, ScreenSpec())
    fresh = play(PPOAgent(policy), envs, cnn.FRESH, Tracker.silent(), "")
    envs.close()
    assert output.metrics["return_mean"] == np.mean([one.paid for one in fresh])


def test_it_copies_the_policy_and_the_numbers_where_it_is_told(tmp_path):
    more = f"checkpointing.save_dir={tmp_path}/copies", f"logging.tensorboard_dir={tmp_path}/runs", "logging.run_name=mine"
    output = train(tmp_path, *more, "training.eval_every=0")
    assert sorted(path.name for path in (tmp_path / "copies").iterdir()) == [f"update_{n:06d}" for n in (1, 2, 3, 4)]
    last = load_file(tmp_path / "copies/update_000004/model.safetensors")
    assert all(np.array_equal(value, last[name]) for name, value in weights(tmp_path).items())
    assert set(EventAccumulator(str(tmp_path / "runs/mine")).Reload().Tags()["scalars"]) >= TAGS
    assert output.metrics["selection_return"] is None and output.metrics["best_update"] == 4


def test_where_it_writes_besides_decides_nothing():
    plain = settings().cnn
    told = settings("checkpointing.save_dir=x", "logging.tensorboard_dir=y", "logging.run_name=z", "training.num_workers=1").cnn
    assert plain.fingerprint_values() == told.fingerprint_values()
    assert plain.fingerprint_values() != settings("env.reward.badge_reward=1.0").cnn.fingerprint_values()


def test_a_settings_file_that_people_have_is_read_as_it_stands(tmp_path):
    file = tmp_path / "local.yaml"
    file.write_text(SEED)
    config = load_config(str(file), ["training.num_envs=8", "training.total_timesteps=2000000"], "baseline").cnn
    assert config.env.model_dump() | {"press_ticks": 8} == yaml.safe_load(SEED)["env"] | {"press_ticks": 8} | {
        "reward": config.env.reward.model_dump()
    }
    assert (config.training.num_envs, config.training.total_timesteps, config.training.num_steps) == (8, 2_000_000, 256)
    ppo = config.training.ppo(0, "cpu", 50)
    assert (ppo.learning_rate, ppo.learning_rate_final, ppo.gamma, ppo.gae_lambda, ppo.clip_coef) == (
        2.5e-4,
        0.0,
        0.99,
        0.95,
        0.2,
    )
    assert (ppo.vf_coef, ppo.ent_coef, ppo.max_grad_norm, ppo.update_epochs, ppo.norm_reward) == (0.5, 0.01, 0.5, 4, False)


def test_the_settings_that_ship_are_right():
    for name, envs, steps, longest in (("baseline_local", 4, 500_000, 4096), ("baseline", 16, 10_000_000, 20_480)):
        config = load_config(str(ROOT / "configs" / f"{name}.yaml"))
        assert (config.cnn.training.num_envs, config.cnn.training.total_timesteps) == (envs, steps)
        assert (config.cnn.env.max_steps, config.evaluation.max_steps) == (longest, longest)
        assert config.cnn.env.rom_path == config.evaluation.env.rom_path == "roms/PokemonRed.gb"


def test_the_evaluation_takes_the_cadence_of_the_policy(store, tmp_path):
    from emurl.core.store import Store

    made = Store(str(store)).get("baseline/cnn@v1")
    assert settings("evaluation.env={}").evaluation.settled({"cnn": made}).env.frame_skip == 24
    with pytest.raises(
        Exception, match=r"env\.frame_skip: the settings say 20, expected 24, which baseline/cnn@v1 was trained at"
    ):
        settings("env.frame_skip=20").evaluation.settled({"cnn": made})


def test_every_metric_of_the_evaluation_is_explained(store):
    found = json.loads((store / "baseline/evaluation/v1/manifest.json").read_text())["metrics"]
    names = {name.removesuffix("_random") for name in found if not name.startswith("past_")}
    assert names <= set(evaluation.METRICS)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (["env.rom_path=nowhere.gb"], "env.rom_path: nowhere.gb: no such file, expected a Game Boy ROM"),
        (["env.obs_height=35"], "env.obs_height: expected greater than or equal to 36, got 35"),
        (["env.grayscale=false"], "env.grayscale: expected True, got False"),
        (["env.frame_skip=8"], "env: press_ticks is 8, expected fewer than the 8 of frame_skip"),
        (["training.batch_size=15"], "training: batch_size is 15, expected a multiple of the 2 of num_envs"),
        (["training.minibatch_size=5"], "training: minibatch_size is 5, expected a divisor of the 16 of batch_size"),
        (
            ["training.memory=recurrent", "training.minibatch_size=4"],
            "training: minibatch_size is 4, expected with a memory a multiple of the 8",
        ),
        (["training.num_env=3"], "unknown key training.num_env; did you mean num_envs"),
        (["env.reward.badge=3"], "unknown key env.reward.badge"),
        (["logging.run_name=a/b"], "logging.run_name"),
        (["logging.run_name=.."], "logging.run_name"),
        (["training.hidden=100000000000"], "training.hidden: expected less than or equal to 8192"),
        (["checkpointing.save_dir=/proc/x"], "checkpointing.save_dir: /proc/x: cannot be written to"),
        (["training.gamma=1.5"], "training.gamma: expected less than or equal to 1, got 1.5"),
    ],
)
def test_what_is_wrong_is_one_line(changes, line, tmp_path, capsys):
    words = [word for change in (*TINY, f"store={tmp_path}", *changes) for word in ("--set", change)]
    assert cli.main(["run", "cnn", "--config", str(ROOT / "configs" / "baseline_demo.yaml"), *words]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert line in told[-1] and "Traceback" not in "".join(told)
    assert not (tmp_path / "baseline").exists()
