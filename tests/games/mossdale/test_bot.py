"""The runner finishes, each seed in its own way, and what it records can be played again."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.games.mossdale import rom_path, symbols
from emurl.games.mossdale.bot import RunRecord, Style, play
from emurl.games.mossdale.plot import plot

SEEDS = (0, 6, 14, 17, 30, 48)


@pytest.fixture(scope="module")
def runs() -> dict[int, RunRecord]:
    return {seed: play(GameBoy(rom_path()), seed, render_every=0) for seed in SEEDS}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_runner_finishes_in_a_person_s_time(runs, seed):
    run = runs[seed]
    assert run.finished
    assert list(run.milestones) == list(plot().milestones)
    assert sorted(run.milestones.values()) == list(run.milestones.values())
    assert 100 * 60 < run.milestones["goal"] < 180 * 60


def test_no_two_seeds_press_alike_and_one_seed_always_does(runs):
    assert len({tuple(run.presses) for run in runs.values()}) == len(SEEDS)
    assert len({run.ticks for run in runs.values()}) > 3
    again = play(GameBoy(rom_path()), SEEDS[0], render_every=0)
    assert again == runs[SEEDS[0]]


def test_presses_are_those_of_hands(runs):
    for run in runs.values():
        ticks = [tick for tick, _ in run.presses]
        assert ticks == sorted(ticks)
        assert {button for _, button in run.presses if button} <= set(BUTTONS)
        held = [(button, after - tick) for (tick, button), (after, _) in zip(run.presses, run.presses[1:], strict=False)]
        assert all(4 <= length <= 8 for button, length in held if button in ("a", "b", "start"))
        assert max(length for button, length in held if button in ("up", "down", "left", "right")) >= 5 * 16


def test_recorded_presses_replay_to_the_same_screens():
    frames: list[str] = []

    def look(console: GameBoy) -> None:
        if console.frames % 2 == 0:
            frames.append(hashlib.sha256(console.frame().tobytes()).hexdigest())

    run = play(GameBoy(rom_path()), 3, look, render_every=2, end_ticks=20)
    assert len(frames) == run.ticks // 2
    assert len(set(frames)) > 300
    console = GameBoy(rom_path())
    presses = dict(run.presses)
    held = None
    for tick in range(run.ticks):
        if tick in presses:
            if held:
                console.release(held)
            if presses[tick]:
                console.press(presses[tick])
            held = presses[tick]
        console.tick(1, render=tick % 64 == 63)
        if tick % 64 == 63:
            assert hashlib.sha256(console.frame().tobytes()).hexdigest() == frames[tick // 2]
    assert console.read(symbols()["wEventFlags"])[0] & 0x3F == 0x3F


def test_every_frame_of_a_run_is_drawn_within_vertical_blank():
    lines: set[int] = set()
    address = symbols()

    def look(console: GameBoy) -> None:
        lines.add(console.read(address["wBusyLine"])[0])

    console = GameBoy(rom_path())
    play(console, 6, look, render_every=0)
    assert lines <= {0, *range(144, 154)}, "0 is the value before the first step"
    assert console.read(address["wLagFrames"]) == b"\0"


def test_a_run_that_gets_stuck_is_given_up(monkeypatch):
    import emurl.games.mossdale.hands as hands

    monkeypatch.setattr(hands, "TICK_LIMIT", 500)
    run = play(GameBoy(rom_path()), 1, render_every=0)
    assert (run.finished, run.ticks) == (False, 500)
    assert "goal" not in run.milestones


def test_unrendered_runs_are_the_same_runs(runs):
    rendered = play(GameBoy(rom_path()), SEEDS[0], lambda _: None, render_every=1)
    assert rendered == runs[SEEDS[0]]


@pytest.mark.parametrize("seed", range(12))
def test_somebody_who_never_heals_and_takes_the_first_move_gets_there_too(seed):
    run = play(GameBoy(rom_path()), seed, render_every=0, style=Style.plain(seed % 3))
    assert run.finished


def test_styles_differ_in_name_and_partner():
    styles = [Style.draw(np.random.default_rng([seed, 0x6D6F7373])) for seed in range(50)]
    assert {style.partner for style in styles} == {0, 1, 2}
    assert {style.name for style in styles} == {0, 1, 2, 3}
    assert min(style.heal_below for style in styles) < 0.2 < 0.4 < max(style.heal_below for style in styles)
