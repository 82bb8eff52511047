"""Settings: what is read, what is refused, and that the refusal names the key."""

from pathlib import Path

import pytest
import yaml

from emurl.core.config import Config, RenamedKey, config_class, load_config
from emurl.core.errors import InputError
from emurl.core.pipeline import find_pipeline
from emurl.core.settings import Settings
from emurl.core.yaml_text import hint_for, read_yaml

STAGES = tuple(find_pipeline("speedrun").by_name)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["demo", "pokemon_red", "tidewick"])
def test_the_shipped_files_are_valid(name):
    assert isinstance(load_config(ROOT / "configs" / f"{name}.yaml"), Config)


def test_the_second_game_s_file_differs_from_the_demo_s_by_the_game_alone():
    demo, other = (flat(load_config(ROOT / "configs" / f"{name}.yaml").model_dump()) for name in ("demo", "tidewick"))
    differing = {
        key.rpartition(".")[0].rpartition(".")[2] + "." + key.rpartition(".")[2] for key in demo if demo[key] != other[key]
    }
    assert demo.keys() == other.keys() and differing == {"emulator.rom", "broadcast.game", "runs.game"}


def flat(values: dict, prefix: str = "") -> dict:
    found = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def test_a_file_may_be_laid_over_another(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "base.yaml").write_text("seed: 3\nreward: {epochs: 7, batch_size: 5}\n")
    file = tmp_path / "over.yaml"
    file.write_text("base: below/base.yaml\nreward: {epochs: 2}\n")
    found = load_config(file)
    assert (found.seed, found.reward.epochs, found.reward.batch_size, found.reward.seed) == (3, 2, 5, 3)
    file.write_text("base: nowhere.yaml\n")
    with pytest.raises(InputError, match=r"nowhere.yaml: no such file"):
        load_config(file)
    file.write_text("base: over.yaml\n")
    with pytest.raises(InputError, match=r"over.yaml: base: over.yaml is laid over this file already"):
        load_config(file)
    file.write_text("base: 3\n")
    with pytest.raises(InputError, match=r"over.yaml: base: expected the path of another settings file, not a int"):
        load_config(file)


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
        ("dynamics.seed=2024-13-45", ["dynamics.seed", "integer", "'2024-13-45'"]),
        ("dynamics.seed=!!int x", ["dynamics.seed", "integer"]),
        ("dynamics.seed=" + "9" * 5000, ["dynamics.seed", "999…"]),
        ("dynamics.seed=" + "9" * 25, ["dynamics.seed", "below 2^63"]),
        ("dynamics.seed=" + "[" * 3000, ["dynamics.seed", "[[[…"]),
        ("reward.learning_rate=1e-4", ["reward.learning_rate", "write 1.0e-4"]),
        ("reward.learning_rate=.inf", ["reward.learning_rate", "finite"]),
        ("reward={seed: 1, seed: 2}", ["reward", "'{seed: 1, seed: 2}'"]),
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
    [
        ("[1, 2]", "mapping"),
        ("a: [", "YAML"),
        ("\tx: 1", "YAML"),
        ("runs: 3", "runs"),
        ("nonsense: 1", "nonsense"),
        ("seed: 1\ndevice: cpu\nseed: 2", "line 3: seed is there twice"),
        ("reward:\n  seed: 1\n  seed: 2", "line 3: seed is there twice"),
        ("\nseed: 2024-13-45", "line 2: 2024-13-45 is not a value"),
        ("seed: !!int x", "line 1: x is not a value"),
        ("seed: !!timestamp x", "line 1"),
        ("seed: " + "9" * 5000, "line 1"),
        ("seed: " + "[" * 3000, "nested too deeply"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(tmp_path, text, word):
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=word) as caught:
        load_config(file)
    assert "broken.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_with_a_mark_of_its_encoding_is_read(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfseed: 7\n")
    assert load_config(tmp_path / "c.yaml").seed == 7


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


def floats(model, prefix=""):
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from floats(field.annotation, f"{prefix}{name}.")
        elif field.annotation is float:
            yield f"{prefix}{name}"


def test_no_number_is_infinite_or_none():
    keys = list(floats(config_class(find_pipeline("speedrun"))))
    assert len(keys) > 30
    for key in keys:
        for value in (".inf", "-.inf", ".nan"):
            with pytest.raises(InputError, match=key):
                load_config(None, [f"{key}={value}"])


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1e-4", "1.0e-4"),
        ("-2E5", "-2.0e+5"),
        ("1.5e3", "1.5e+3"),
        (".5e1", "0.5e+1"),
        ("3.e+1", "3.0e+1"),
        ("e5", ""),
        (".e5", ""),
        (7, ""),
    ],
)
def test_the_hint_for_a_number_that_yaml_reads_as_text(text, hint):
    assert hint_for(text) == hint
    if hint:
        assert read_yaml(hint) == float(text)


def test_a_mapping_may_say_again_what_it_merges():
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\n<<: *b\ny: 3"
    assert read_yaml(text) == {"a": {"x": 1, "y": 1}, "b": {"x": 2, "y": 1}, "x": 2, "y": 3}
