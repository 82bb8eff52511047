"""Settings: what is read, what is refused, and that the refusal names the key."""

from pathlib import Path

import pytest
import yaml

from emurl.core.config import Config, RenamedKey, load_config
from emurl.core.errors import InputError
from emurl.core.pipeline import find_pipeline

STAGES = tuple(find_pipeline("speedrun").by_name)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["demo", "pokemon_red"])
def test_the_shipped_files_are_valid(name):
    assert isinstance(load_config(ROOT / "configs" / f"{name}.yaml"), Config)


def test_shared_values_reach_every_stage_that_has_them_and_a_stage_may_differ(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("seed: 7\nemulator: {frame_skip: 16}\nreward: {seed: 3}\npolicy: {emulator: {press_ticks: 4}}\n")
    config = load_config(file)
    assert config.tokenizer.seed == 7
    assert config.reward.seed == 3
    assert (config.policy.emulator.frame_skip, config.policy.emulator.press_ticks) == (16, 4)
    assert config.behavior.emulator.press_ticks == 8
    assert config.runs.broadcast is None


def test_an_override_wins_and_is_typed():
    config = load_config(None, ["reward.epochs=2", "emulator.rom=my.gb", "runs.categories=[a, b]", "reward.learning_rate=1"])
    assert config.reward.epochs == 2
    assert config.policy.emulator.rom == "my.gb"
    assert config.runs.categories == ["a", "b"]
    assert config.reward.learning_rate == 1.0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("reward.epoch=2", ["reward.epoch", "epochs"]),
        ("rewards.epochs=2", ["unknown key rewards", "reward"]),
        ("reward.epochs=two", ["reward.epochs", "integer", "'two'"]),
        ("reward.epochs=0", ["reward.epochs", "greater than 0"]),
        ("emulator.frame_skip=-1", ["emulator.frame_skip", "-1"]),
        ("emulator.roms=x", ["emulator.roms", "rom"]),
        ("frames.val_share=2", ["frames.val_share", "less than or equal to 1"]),
        ("reward.arch=resnet99", ["reward.arch", "resnet34", "resnet99"]),
        ("reward=3", ["reward", "3"]),
        ("seed", ["--set seed", "key=value"]),
        ("=3", ["key=value"]),
        ("seed.x=1", ["seed"]),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_key(override, words):
    overrides = ["seed=1", override] if override.startswith("seed.") else [override]
    with pytest.raises(InputError) as caught:
        load_config(None, overrides)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("text", "word"),
    [("[1, 2]", "mapping"), ("a: [", "YAML"), ("\tx: 1", "YAML"), ("runs: 3", "runs"), ("nonsense: 1", "nonsense")],
)
def test_a_broken_file_is_one_line_that_names_it(tmp_path, text, word):
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=word) as caught:
        load_config(file)
    assert "broken.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(InputError, match=r"absent\.yaml.*no such file"):
        load_config(tmp_path / "absent.yaml")


def test_an_old_key_is_read_with_a_warning_and_not_beside_the_new_one():
    with pytest.warns(RenamedKey, match=r"reward\.optimiser is now called reward\.optimizer"):
        config = load_config(None, ["reward.optimiser=muon"])
    assert config.reward.optimizer == "muon"
    with pytest.raises(InputError, match="only one of them"):
        load_config(None, ["reward.optimiser=muon", "reward.optimizer=adamw"])


def test_the_file_names_its_pipeline(tmp_path):
    assert load_config(None).pipeline == "speedrun"
    with pytest.raises(InputError, match=r"pipeline 'nonsense': .* expected one of .*speedrun"):
        load_config(None, ["pipeline=nonsense"])
    file = tmp_path / "c.yaml"
    file.write_text("pipeline: speedrun\n")
    with pytest.raises(InputError, match=r"--pipeline other: .*c\.yaml is of pipeline speedrun"):
        load_config(file, pipeline="other")


@pytest.mark.parametrize("key", ["store", "emulator.rom", "videos.cookies", "frames.crop_config", "broadcast.cache"])
def test_a_tilde_means_home_in_every_path(monkeypatch, key):
    monkeypatch.setenv("HOME", "/home/somebody")
    config = load_config(None, [f"{key}=~/there"])
    values = config.model_dump()
    for part in key.split("."):
        values = values[part]
    assert values == "/home/somebody/there"


def test_where_and_how_fast_are_not_in_the_fingerprint():
    base = load_config(None)
    moved = load_config(None, ["device=cpu", "videos.parallel=7", "frames.parallel=5"])
    changed = load_config(None, ["seed=1"])
    for stage in STAGES:
        here = getattr(base, stage).fingerprint_values()
        assert here == getattr(moved, stage).fingerprint_values()
    assert base.reward.fingerprint_values() != changed.reward.fingerprint_values()


def test_only_the_base_url_tells_the_demo_leaderboard_from_the_real_one():
    demo = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())["runs"]
    real = yaml.safe_load((ROOT / "configs/pokemon_red.yaml").read_text())["runs"]
    assert demo["api_base"].startswith("http://127.0.0.1:")
    assert real["api_base"] == "https://www.speedrun.com/api/v1"
    # What else differs names a game and an amount, never a way of reading.
    assert demo.keys() | real.keys() <= {"api_base", "game", "categories", "max_runs"}


@pytest.mark.parametrize("key", ["store", "emulator.rom"])
@pytest.mark.parametrize(("value", "told"), [("~nobody-of-that-name/x", "no user nobody-of-that-name"), ('"a\\0b"', "NUL")])
def test_a_path_that_is_none_is_one_line(key, value, told):
    with pytest.raises(InputError, match=told) as caught:
        load_config(None, [f"{key}={value}"])
    assert f"{key}: " in str(caught.value) and "\n" not in str(caught.value)


def test_a_tilde_in_the_name_of_a_folder_can_be_said():
    assert load_config(None, ["store=./~mine"]).store == "./~mine"
