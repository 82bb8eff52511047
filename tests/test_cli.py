"""The words of the command line on stores that somebody has been at by hand, and with input that is wrong."""

import json
from pathlib import Path

import pytest

from emurl import cli
from emurl.core.store import Store
from tests.fixtures.store import put


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    for text in "abcd":
        put(store, "frames", text)
    return store


@pytest.fixture
def artifacts(store, capsys):
    """`emurl artifacts WORDS` on the store: the exit code, what it prints, and its line on stderr."""

    def say(*words):
        code = cli.main(["artifacts", *words, "--store", str(store.root)])
        out, err = capsys.readouterr()
        assert len(err.splitlines()) <= 1
        return code, out, err

    return say


def manifest(store: Store, number: int) -> Path:
    return store.root / "speedrun" / "frames" / f"v{number}" / "manifest.json"


def test_a_damaged_manifest_hides_no_other_problem(store, artifacts):
    manifest(store, 2).write_text("")
    (manifest(store, 3).parent / "deep/file.txt").write_text("harmed")
    code, out, _ = artifacts("verify")
    assert code == 1 and "v2/manifest.json: not a manifest" in out and "frames@v3: deep/file.txt has 6 bytes" in out
    code, out, _ = artifacts("verify", "--json")
    told = json.loads(out)
    assert code == 1 and told["artifacts"] == 4 and len(told["problems"]) == 2


@pytest.mark.parametrize("key", ["created", "duration_s", "headline"])
def test_what_a_manifest_does_not_say_is_left_out_of_the_list(store, artifacts, key):
    told = json.loads(manifest(store, 2).read_text())
    told.pop(key)
    manifest(store, 2).write_text(json.dumps(told))
    assert artifacts("list")[0] == artifacts("list", "--json")[0] == artifacts("verify")[0] == 0


@pytest.mark.parametrize(("key", "value"), [("headline", ["a"]), ("created", 2026), ("duration_s", "long")])
def test_what_a_manifest_says_in_another_type_is_one_line(store, artifacts, key, value):
    told = json.loads(manifest(store, 2).read_text())
    manifest(store, 2).write_text(json.dumps({**told, key: value}))
    code, out, err = artifacts("list")
    assert code == 2 and out == "" and f"v2/manifest.json: not a manifest (TypeError: {key} is" in err
    code, out, _ = artifacts("verify")
    assert code == 1 and f"{key} is" in out
