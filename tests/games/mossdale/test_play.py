"""`emurl play --bot` and `--random`: what they print, and the film."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emurl import cli
from emurl.footage.clock import clock_of
from emurl.footage.video import probe, sample
from emurl.games.mossdale import symbols
from emurl.games.mossdale.plot import plot
from emurl.games.settings import EmulatorSettings
from emurl.play_scripted import play_random
from tests.fixtures.rom import write_rom

FIELDS = {"finished", "frames", "steps", "milestones", "buttons_sha256"}


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert cli.main(["play", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_runner_by_command(capsys):
    runs = [printed(capsys, "--bot", "--seed", seed) for seed in ("1", "2", "1")]
    for run in runs:
        assert set(run) == FIELDS and run["finished"] is True
        assert sorted(run["milestones"], key=run["milestones"].__getitem__) == list(plot().milestones)
        assert run["milestones"]["goal"] < run["frames"] < 200 * 60 and run["steps"] > 50
    assert runs[0] == runs[2] and runs[0]["buttons_sha256"] != runs[1]["buttons_sha256"]


def test_chance_by_command(capsys):
    runs = [printed(capsys, "--random", "--seed", seed, "--steps", "300") for seed in ("1", "2", "1")]
    for run in runs:
        assert set(run) == FIELDS and run["finished"] is False
        assert (run["frames"], run["steps"]) == (300 * 16, 300)
        assert "title" in run["milestones"] and "badge" not in run["milestones"]
    assert runs[0] == runs[2] and runs[0]["buttons_sha256"] != runs[1]["buttons_sha256"]


def test_a_film_is_written(tmp_path):
    film = tmp_path / "chance.mp4"
    play_random(EmulatorSettings(), 3, 40, video=str(film))
    assert film.stat().st_size > 1000 and film.read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize("name", ["run:1.mp4", "-y.mp4", "a%d.mp4", "läuft 1.mp4"])
def test_a_film_may_have_any_name(capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    printed(capsys, "--random", "--steps", "10", f"--video={name}")
    assert [file.name for file in tmp_path.iterdir()] == [name] and probe(Path(name)).width == 480
    assert clock_of(Path(name), 60.0).held_s > 0 and len(sample(Path(name), 3).times)


def test_a_film_is_written_at_home(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert printed(capsys, "--random", "--steps", "10", "--video=~/chance.mp4")["steps"] == 10
    assert [file.name for file in tmp_path.iterdir()] == ["chance.mp4"]


@pytest.mark.parametrize("words", [("--video", "run.avi"), ("--video", "/nowhere/run.mp4")])
def test_a_film_that_cannot_be_is_refused(capsys, words):
    assert cli.main(["play", "--bot", *words]) == 2
    assert "--video" in capsys.readouterr().err


def test_the_bot_plays_without_a_settings_file(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert printed(capsys, "--bot", "--seed", "1")["finished"] is True


def test_a_game_without_a_bot_is_refused_in_one_line(capsys, tmp_path):
    assert cli.main(["play", "--bot", "--set", f"emulator.rom={write_rom(tmp_path, 'UNKNOWN')}"]) == 2
    said = capsys.readouterr().err.strip()
    assert "unknown.gb" in said and "has no bot" in said and "mossdale" in said and "\n" not in said


def test_both_players_at_once_are_refused():
    with pytest.raises(SystemExit):
        cli.main(["play", "--bot", "--random"])
    assert cli.main(["play", "--random", "--steps", "0"]) == 2


def test_our_own_symbols_are_where_the_notes_say():
    assert {"wMenu": 0xD908, "wLamps": 0xD907, "wTextStands": 0xD90F, "wEnemyMonHP": 0xCFE6}.items() <= symbols().items()
