"""What `--search KEY=SPACE` means, and what it refuses."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from emurl.core.config import load_config
from emurl.core.errors import InputError
from emurl.core.pipeline import find_pipeline
from emurl.sweep_space import Space, read_space

PIPELINE = find_pipeline("speedrun")


def space(search: str) -> Space:
    return read_space(search, PIPELINE)


@pytest.mark.parametrize(
    ("search", "kind", "ends", "log"),
    [
        ("policy.learning_rate=1e-5..1e-3:log", "float", (1e-5, 1e-3), True),
        ("policy.gamma=0.9..0.999", "float", (0.9, 0.999), False),
        ("policy.gamma=0..1", "float", (0.0, 1.0), False),
        ("policy.gamma=.5....75", "float", None, False),
        ("policy.gamma=.5...75", "float", (0.5, 0.75), False),
        ("policy.num_envs = 1..8", "int", (1, 8), False),
        ("policy.num_envs=1..1024:log", "int", (1, 1024), True),
        ("policy.explore.rounds=0..4", "int", (0, 4), False),
    ],
)
def test_ranges(search, kind, ends, log):
    if ends is None:
        with pytest.raises(InputError, match="not a range"):
            space(search)
        return
    found = space(search)
    assert (found.kind, (found.low, found.high), found.log) == (kind, ends, log)
    assert found.count == (None if kind == "float" else ends[1] - ends[0] + 1)


@pytest.mark.parametrize(
    ("search", "values"),
    [
        ("policy.method=ppo,explore", ("ppo", "explore")),
        ("policy.num_envs=8,16,32", (8, 16, 32)),
        ("policy.learning_rate=1e-4, 3e-4", (1e-4, 3e-4)),
        ("policy.norm_adv=true,false", (True, False)),
        ("frames.crop_config=null,'a,b.json'", (None, "a,b.json")),
    ],
)
def test_choices_are_read_as_settings_are(search, values):
    found = space(search)
    assert found.kind == "choice" and found.values == values
    for text, value in zip(found.choices, values, strict=True):
        config = load_config(None, [found.override(text)])
        for part in found.key.split("."):
            config = getattr(config, part)
        assert config == value == found.value(text)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_a_range_is_told_as_it_is_read_and_what_is_drawn_from_it_is_within_it(one, other, share, log):
    low, high = sorted((one, other))
    assume(low < high and (low > 0 or not log))
    found = space(f"policy.gamma={low!r}..{high!r}{':log' if log else ''}")
    assert (found.low, found.high) == (low, high)
    assert space(f"policy.gamma={found.told}") == found
    drawn = found.rounded(low + share * (high - low))
    assert low <= drawn <= high
    assert load_config(None, [found.override(drawn)]).policy.gamma == drawn


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_whole_numbers_can_be_counted(low, high):
    assume(low < high)
    found = space(f"policy.num_envs={low}..{high}")
    assert (found.at(0), found.at((found.count or 0) - 1)) == (low, high)
    assert load_config(None, [found.override(found.at(0))]).policy.num_envs == low


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("policy.gamma", "expected KEY=SPACE, the space as LOW..HIGH, LOW..HIGH:log or a,b,c"),
        ("policy.gamma=", "expected KEY=SPACE"),
        ("=1..2", "expected KEY=SPACE"),
        ("policy.lerning_rate=1,2", "unknown key policy.lerning_rate; did you mean learning_rate?"),
        ("policy.explore.round=1,2", "unknown key policy.explore.round; did you mean rounds?"),
        ("polcy.gamma=0.1,0.2", "unknown key; did you mean policy?"),
        ("seed=0..9", "goes to every stage, expected the key of one, such as tokenizer.seed"),
        ("store=a,b", "goes to every stage"),
        ("policy=1,2", "is a section, expected one of its keys: "),
        ("policy.explore=1,2", "is a section, expected one of its keys: archive"),
        ("policy.gamma.x=1,2", "policy.gamma holds a value, expected no key below it"),
        ("policy.gamma=0.9..0.9", "an empty range, expected LOW below HIGH"),
        ("policy.gamma=0.9..0.1", "an empty range, expected LOW below HIGH"),
        ("policy.learning_rate=1..1e999", "an empty range"),
        ("policy.gamma=0..1:log", "the logarithm of 0 is none, expected LOW above 0 with :log"),
        ("policy.gamma=0.5..1:lin", ":lin is no scale, expected :log or nothing"),
        ("policy.gamma=0.5..1.5", "1.5 is no value of policy.gamma: expected less than or equal to 1"),
        ("policy.gamma=0.5..x", "not a range, expected two numbers as in 1e-5..1e-3:log"),
        ("policy.num_envs=0..4", "0 is no value of policy.num_envs: expected greater than 0"),
        ("policy.num_envs=1..4.5", "the setting is a whole number, expected whole ends such as 1..8"),
        (f"policy.num_envs=1..{'9' * 5000}", "not a range"),
        (f"policy.num_envs=1..{'9' * 25}", "is no value of policy.num_envs"),
        ("policy.method=1..2", "the setting is no number, expected choices such as a,b,c"),
        ("policy.norm_adv=0..1", "the setting is no number"),
        ("policy.method=ppo", "expected two or more values"),
        ("policy.method=ppo,", "expected two or more values"),
        ("policy.method=ppo,explor", "'explor' is no value of policy.method: expected 'ppo' or 'explore'"),
        ("policy.num_envs=8,8", "8 is there twice, expected it once"),
        ("policy.num_envs=8,many", "'many' is no value of policy.num_envs"),
    ],
)
def test_what_is_wrong_is_one_line(search, said):
    with pytest.raises(InputError) as caught:
        space(search)
    line = str(caught.value)
    assert said in line and line.startswith(f"--search {search.partition('=')[0]}") and "\n" not in line


def test_what_decides_no_result_is_not_searched():
    keys = [
        f"{stage.name}.{name}"
        for stage in PIPELINE.stages
        for name, field in stage.settings.model_fields.items()
        if isinstance(field.json_schema_extra, dict)
        and field.json_schema_extra.get("fingerprint") is False
        and field.annotation is int
    ]
    assert keys
    for key in keys:
        with pytest.raises(InputError, match="does not decide the result, expected a key that does"):
            space(f"{key}=1..2")
