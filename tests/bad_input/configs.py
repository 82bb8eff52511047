"""Settings files and `--set`: bytes that are no text, text that is no YAML, YAML that is no settings."""

import json
import os

from tests.bad_input.kinds import Place, bad

RUN = "run tokenizer --config a.yaml --store store"  # which a store without frames refuses, too


def bomb(place: Place) -> None:
    """Nine lists of nine of the list before: a few hundred bytes, and a billion words where somebody spells it out."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10)]
    place.write("a.yaml", "\n".join([*lines, "seed: *l9"]))


def chain(place: Place) -> None:
    for number in range(1500):
        place.write(f"c{number}.yaml", f"base: c{number + 1}.yaml\n")


def mutated(place: Place) -> None:
    """A true settings file with a line that cannot stand where it stands."""
    lines = ["seed: 1", "reward:", "  epochs: 2", "tokenizer:", "  vocab: 64", "  steps: 5"]
    wrong = place.rng.choice(
        ["\tx: 1", "}", "a: b: c", "  - 1", "%", "'open", '"open', "[1, 2", "*nobody", "!!python/object:os.system {}", "@x"]
    )
    lines.insert(place.rng.randrange(1, len(lines)), wrong)
    place.write("a.yaml", "\n".join(lines) + "\n")


def out_of_range(place: Place) -> dict[str, str]:
    key = place.rng.choice(["reward.epochs", "tokenizer.steps", "policy.num_envs", "emulator.frame_skip", "videos.parallel"])
    return {"key": key, "value": place.rng.choice(["0", "-1", "1.5", "many", "null", "[]", "{}", "9223372036854775808", "true"])}


def unreadable(place: Place) -> None:
    place.write("a.yaml", "").chmod(0)
    if os.access(place.folder / "a.yaml", os.R_OK):
        import pytest

        pytest.skip("whoever runs this may read everything")


KINDS = [
    bad("a settings file that is not there", RUN, "a.yaml", "no such file", process=True),
    bad("a folder for a settings file", RUN, "a.yaml", "directory", make=lambda place: (place.folder / "a.yaml").mkdir()),
    bad("a settings file below a file", "run --config a.yaml/b.yaml", "a.yaml", files={"a.yaml": ""}),
    bad("a settings file nobody may read", RUN, "a.yaml", "ermission", make=unreadable),
    bad("a settings file in UTF-16", RUN, "a.yaml", "UTF-8", files={"a.yaml": "seed: 1".encode("utf-16")}),
    bad("a settings file in Latin-1", RUN, "a.yaml", "UTF-8", files={"a.yaml": "tracking: {project: größe}".encode("latin-1")}),
    bad("a NUL in a settings file", RUN, "a.yaml", files={"a.yaml": b"seed: 1\0\n"}),
    bad("a picture for a settings file", RUN, "a.yaml", "UTF-8", files={"a.yaml": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"}),
    bad("a tab for indentation", RUN, "a.yaml", "line 2", files={"a.yaml": "reward:\n\tepochs: 1\n"}),
    bad("a list for settings", RUN, "a.yaml", "list", "mapping", files={"a.yaml": "- seed\n"}),
    bad("a word for settings", RUN, "a.yaml", "str", "mapping", files={"a.yaml": "seed\n"}),
    bad("two documents in a settings file", RUN, "a.yaml", "document", files={"a.yaml": "seed: 1\n---\nseed: 2\n"}),
    bad("a key that is there twice", RUN, "a.yaml", "line 2", "seed is there twice", files={"a.yaml": "seed: 1\nseed: 2\n"}),
    bad("a key that is no text", RUN, "a.yaml", "2026", files={"a.yaml": "2026: 1\n"}),
    bad("a key that is a list", RUN, "a.yaml", "line 1", files={"a.yaml": "? [a, b]\n: 1\n"}),
    bad("an anchor that nobody set", RUN, "a.yaml", "nobody", files={"a.yaml": "seed: *nobody\n"}),
    bad("an object of Python in YAML", RUN, "a.yaml", "python", files={"a.yaml": "seed: !!python/object/apply:os.getpid []\n"}),
    bad("anchors that unfold to a billion", RUN, "a.yaml", "seed", "integer", make=bomb),
    bad("a list that holds itself", RUN, "a.yaml", "seed", files={"a.yaml": "seed: &a [*a]\n"}),
    bad("brackets nested beyond reason", RUN, "a.yaml", "deep", files={"a.yaml": "seed: " + "[" * 3000 + "]" * 3000}),
    bad("YAML that is none", RUN, "a.yaml", make=mutated, times=6),
    bad("settings in JSON that is cut", RUN, "a.yaml", files={"a.yaml": json.dumps({"seed": 1, "reward": {"epochs": 2}})[:-3]}),
    bad(
        "a number that is infinite",
        RUN,
        "a.yaml",
        "tokenizer.learning_rate",
        "inf",
        files={"a.yaml": "tokenizer: {learning_rate: .inf}"},
    ),
    bad("a number that is none, in YAML", RUN, "a.yaml", "frames.fps", "nan", files={"a.yaml": "frames: {fps: .nan}"}),
    bad(
        "a number without YAML's point",
        RUN,
        "tokenizer.learning_rate",
        "1.0e-4",
        files={"a.yaml": "tokenizer: {learning_rate: 1e-4}"},
    ),
    bad("a number for a section", RUN, "a.yaml", "reward", "5", files={"a.yaml": "reward: 5\n"}),
    bad("a section for a number", RUN, "a.yaml", "seed", files={"a.yaml": "seed: {a: 1}\n"}),
    bad("an unknown setting", RUN, "tokeniser", "did you mean tokenizer?", files={"a.yaml": "tokeniser: {}\n"}),
    bad("an unknown setting of a stage", RUN, "reward.epoch", "did you mean epochs?", files={"a.yaml": "reward: {epoch: 2}\n"}),
    bad("a choice that is none", RUN, "runs.source", "youtube", files={"a.yaml": "runs: {source: yuotube}\n"}),
    bad("a device that is none", RUN, "device", "gpu", "cuda", files={"a.yaml": "device: gpu\n"}),
    bad(
        "a GPU that is not there",
        "run runs tokenizer --config a.yaml --store store --set tokenizer.device=cuda:63",
        "cuda:63",
        "not available",
        files={"a.yaml": ""},
    ),
    bad("a base that is not there", RUN, "b.yaml", "no such file", files={"a.yaml": "base: b.yaml\n"}),
    bad("a base that is itself", RUN, "a.yaml", "base", files={"a.yaml": "base: a.yaml\n"}),
    bad("bases in a circle", RUN, "base", files={"a.yaml": "base: b.yaml\n", "b.yaml": "base: a.yaml\n"}),
    bad("a base that is a list", RUN, "a.yaml", "base", "list", files={"a.yaml": "base: [b.yaml]\n"}),
    bad("a base below a file", RUN, "b.yaml", files={"a.yaml": "base: b.yaml/c.yaml\n", "b.yaml": ""}),
    bad("a base with a NUL", RUN, "NUL", files={"a.yaml": 'base: "b\\0.yaml"\n'}),
    bad("a chain of fifteen hundred bases", "run tokenizer --config c0.yaml", "base", make=chain),
    bad("an override without its sign", f"{RUN} --set seed", "--set seed", "key=value", files={"a.yaml": ""}),
    bad("an override without its key", f"{RUN} --set =1", "--set =1", "key=value", files={"a.yaml": ""}),
    bad("an override of a whole section", f"{RUN} --set reward=5", "reward", "5", files={"a.yaml": ""}),
    bad("an override below a value", f"{RUN} --set seed.x=5 --set seed=1", "seed", files={"a.yaml": "seed: 1\n"}),
    bad(
        "an override that is not known",
        f"{RUN} --set reward.epoc=5",
        "reward.epoc",
        "did you mean epochs?",
        files={"a.yaml": ""},
    ),
    bad("an override out of range", f"{RUN} --set {{key}}={{value}}", "{key}", make=out_of_range, times=6, files={"a.yaml": ""}),
    bad(
        "a press longer than its action",
        "play --random --config a.yaml --steps 2",
        "emulator",
        "press_ticks is 8",
        "frame_skip",
        files={"a.yaml": "emulator: {frame_skip: 4, press_ticks: 8}\n"},
    ),
    *(
        bad(
            f"an action shorter than its press, played with {player}",
            f"play {player} --config a.yaml",
            "emulator.press_ticks is 8",
            "frame_skip",
            files={"a.yaml": "emulator: {frame_skip: 4}\n"},
        )
        for player in ("--random", "--bot")
    ),
]
