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
