"""The words of the command line on stores that somebody has been at by hand, and with input that is wrong."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from emurl import cli
from emurl.cli import artifacts as words_of_artifacts
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


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("headline", ["a"], "headline"),
        ("created", 2026, "created"),
        ("duration_s", "long", "duration_s"),
        ("metrics", {"loss": [1]}, "metrics.loss"),
    ],
)
def test_what_a_manifest_says_in_another_type_is_one_line(store, artifacts, key, value, what):
    told = json.loads(manifest(store, 2).read_text())
    manifest(store, 2).write_text(json.dumps({**told, key: value}))
    code, out, err = artifacts("list")
    assert code == 2 and out == "" and f"v2/manifest.json: not a manifest (TypeError: {what} is" in err
    code, out, _ = artifacts("verify")
    assert code == 1 and f"{what} is" in out


def test_a_version_copied_by_hand_is_never_taken_for_the_other(store, artifacts):
    shutil.copytree(manifest(store, 1).parent, manifest(store, 9).parent)
    told = "v9/manifest.json: is the manifest of frames@v1, expected that of frames@v9"
    code, out, err = artifacts("gc", "--keep", "1")
    assert code == 2 and out == "" and told in err
    assert store.versions("speedrun", "frames") == [1, 2, 3, 4, 9]
    code, out, _ = artifacts("verify")
    assert code == 1 and told in out
    assert artifacts("show", "frames@v1")[0] == 0


def test_a_stray_file_among_leases_is_swept(store, artifacts):
    for name in ("g.part", "g1.json.bak", "good"):
        store.objects.put(f".leases/x/{name}", b"")
    assert artifacts("gc")[:2] == (0, "removed .leases/x: its process is gone\nremoved frames@v1\n")
    assert not list((store.root / ".leases").glob("x/*"))


def test_the_home_of_nobody_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = ("--config", str(Path(__file__).parents[1] / "configs/demo.yaml"))
    for words in (["artifacts", "list"], ["run", *config], ["artifacts", "gc"]):
        assert cli.main([*words, "--store", "~nobody-of-that-name/x"]) == 2
        assert "there is no user nobody-of-that-name, expected a path such as ~/data" in capsys.readouterr().err
    assert cli.main(["run", "--config", "~nobody-of-that-name/x.yaml"]) == 2
    assert "there is no user" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_one_line_in_any_word(capsys, monkeypatch):
    def full(args):
        with Path("/dev/full").open("w") as device:
            device.write("x" * 100_000)

    monkeypatch.setattr(words_of_artifacts, "_list", full)
    assert cli.main(["artifacts", "list"]) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "the disk is full ([Errno 28] No space left on device); free some and run again" in err

    def broken(args):
        raise OSError("3 requested and given")

    monkeypatch.setattr(words_of_artifacts, "_list", broken)
    with pytest.raises(OSError, match="requested and given"):
        cli.main(["artifacts", "list"])


def test_every_word_can_be_told_in_ascii(tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[1])}
    for words in (["run", "--help"], ["artifacts", "list", "--store", str(tmp_path / "größe")]):
        done = subprocess.run([sys.executable, "-m", "emurl", *words], env=environment, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
    assert done.stdout.decode("ascii") == f"no artifacts in {tmp_path}/gr??e\n"


def test_a_version_of_thousands_of_digits_is_not_there(artifacts):
    code, _, err = artifacts("show", "frames@v" + "9" * 5000)
    assert code == 2 and "holds no such version, expected one of v1, v2, v3, v4" in err


@pytest.mark.parametrize("player", [["--random"], ["--bot"], []])
@pytest.mark.parametrize("seed", ["-1", "9" * 25])
def test_a_seed_that_nothing_draws_from_is_one_line(capsys, player, seed):
    assert cli.main(["play", *player, "--seed", seed]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and f"--seed {seed}: expected a number ≥ 0 and below 2^63" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["play", "--bot", "--steps", "5"], "--steps 5: the bot plays to the end, expected no --steps with --bot"),
        (["play", "--random", "--sticky", "0.5"], "--sticky 0.5: only a policy is played with it"),
        (["artifacts", "verify", "--store", "nowhere"], "--store nowhere: no such folder, expected a store to verify"),
    ],
)
def test_what_would_be_ignored_is_refused(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and said in err


def test_gc_says_what_goes_with_the_work_of_an_interrupted_stage(tmp_path, capsys):
    store = Store(tmp_path)
    with suppress(KeyboardInterrupt), store.making("speedrun", "policy", "e" * 64) as output:
        (output.scratch / "checkpoint").write_text("much work")
        raise KeyboardInterrupt
    for words, word in ((["--dry-run"], "would remove"), ([], "removed")):
        assert cli.main(["artifacts", "gc", *words, "--store", str(tmp_path)]) == 0
        line = f"{word} .work/speedrun-policy-{'e' * 16}: a run that was interrupted would go on from it"
        assert capsys.readouterr().out.strip() == line
