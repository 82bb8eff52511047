"""The console: what a press is, that states bring everything back, that a bad ROM is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emurl.core.errors import InputError
from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.envs.gameboy.env import GameBoyEnv
from emurl.screen import ScreenSpec, from_emulator
from tests.fixtures import rom as emulator_rom

BOOT = 100  # ticks after which the tiny ROM listens


@pytest.fixture
def rom(tmp_path: Path) -> Path:
    return emulator_rom.write_rom(tmp_path)


@pytest.fixture
def gameboy(rom: Path):
    with GameBoy(rom) as console:
        console.tick(BOOT)
        yield console


def place(gameboy: GameBoy) -> tuple[int, int, int]:
    x, y, presses = (gameboy.read(a)[0] for a in (emulator_rom.X, emulator_rom.Y, emulator_rom.PRESSES))
    return x, y, presses


def test_every_button_is_pressed_once_a_step(gameboy: GameBoy) -> None:
    for name in BUTTONS:
        gameboy.step(BUTTONS.index(name), 16)
    assert gameboy.read(emulator_rom.PRESSES)[0] == len(BUTTONS)
    assert gameboy.read(emulator_rom.STARTED)[0] == 1
    assert gameboy.read(emulator_rom.HELD)[0] == 0


def test_the_same_button_twice_is_two_presses_and_held_is_one(gameboy: GameBoy) -> None:
    right = BUTTONS.index("right")
    gameboy.step(right, 16)
    gameboy.step(right, 16)
    assert place(gameboy) == (2, 0, 2)
    gameboy.press("right")
    gameboy.tick(16)
    gameboy.tick(16)
    assert place(gameboy) == (3, 0, 3)


def test_the_press_lasts_press_ticks(gameboy: GameBoy) -> None:
    held = []
    gameboy.press("a")
    for _ in range(3):
        gameboy.tick(1)
        held.append(gameboy.read(emulator_rom.HELD)[0])
    gameboy.release("a")
    for _ in range(2):
        gameboy.tick(1)
        held.append(gameboy.read(emulator_rom.HELD)[0])
    assert sum(held) == 3 and held[-1] == 0


def test_a_step_is_exactly_its_ticks_and_no_press_presses_nothing(gameboy: GameBoy) -> None:
    gameboy.step(None, 16)
    gameboy.step(3, 24)
    assert gameboy.frames == BOOT + 16 + 24
    assert place(gameboy) == (0, 1, 1)


@pytest.mark.parametrize("press", [0, 16, 17])
def test_a_press_that_does_not_end_within_its_step_is_refused(gameboy: GameBoy, press: int) -> None:
    with pytest.raises(ValueError, match="press_ticks"):
        gameboy.step(0, 16, press)


def test_an_unknown_button_is_refused(gameboy: GameBoy) -> None:
    with pytest.raises(ValueError):
        gameboy.press("turbo")


def test_the_frame_shows_the_tile_where_memory_says_it_is(gameboy: GameBoy) -> None:
    for button in ("right", "right", "down"):
        gameboy.step(BUTTONS.index(button), 16)
    frame = gameboy.frame()
    expected = np.full((144, 160), 3, np.uint8)
    expected[8:16, 16:24] = 0
    assert frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize(
    "spec", [ScreenSpec(), ScreenSpec(shades=256), ScreenSpec(channels=3), ScreenSpec(channels=3, shades=256)]
)
def test_a_frame_is_what_the_screen_room_makes_of_the_pixels(rom: Path, spec: ScreenSpec) -> None:
    with GameBoy(rom, spec) as gameboy:
        gameboy.tick(30)  # half-way through the boot logo: both shades on the screen
        gameboy.pixels[...] = np.random.default_rng(0).integers(0, 256, gameboy.pixels.shape, np.uint8)
        out = np.empty(spec.shape, np.uint8)
        gameboy.frame(out=out)
        np.testing.assert_array_equal(out, from_emulator(gameboy.pixels, spec))
        np.testing.assert_array_equal(gameboy.frame(), out)


def test_a_saved_state_brings_back_frames_and_buttons(gameboy: GameBoy) -> None:
    gameboy.press("down")
    gameboy.tick(3)
    state = gameboy.save()
    runs = []
    for _ in range(2):
        gameboy.load(state)
        frames = []
        for action in (4, 4, 0, 2):
            gameboy.step(action, 12)
            frames.append(gameboy.frame())
        runs.append((place(gameboy), np.stack(frames)))
        gameboy.press("up")  # must not leak into the next load
    assert runs[0][0] == runs[1][0]
    np.testing.assert_array_equal(runs[0][1], runs[1][1])


def test_a_state_travels_to_another_console(gameboy: GameBoy, rom: Path) -> None:
    gameboy.step(BUTTONS.index("right"), 16)
    with GameBoy(rom) as other:
        other.load(gameboy.save())
        assert place(other) == place(gameboy)
        other.tick(1)
        gameboy.tick(1)
        np.testing.assert_array_equal(other.frame(), gameboy.frame())


@pytest.mark.parametrize("state", [b"", b"short", bytes([250]) * 1000])
def test_bytes_that_are_no_state_are_refused(gameboy: GameBoy, state: bytes) -> None:
    with pytest.raises(ValueError, match="save state"):
        gameboy.load(state)


def test_a_state_of_another_cartridge_is_refused(gameboy: GameBoy, tmp_path: Path) -> None:
    with GameBoy(emulator_rom.write_rom(tmp_path, "OTHER")) as other:  # the same program and memory; only the name is another
        other.tick(BOOT)
        foreign = other.save()
    with pytest.raises(ValueError, match=r"save state of this cartridge was expected \(TINY\): .* another ROM"):
        gameboy.load(foreign)
    with pytest.raises(ValueError, match="another ROM"):
        GameBoyEnv(gameboy.rom, 16).reset(options={"state": foreign})


def test_a_state_that_is_refused_leaves_the_console_as_it_was(gameboy: GameBoy) -> None:
    state = gameboy.save()
    whole = gameboy.memory[0x0000:0x10000]
    gameboy.press("right")
    for damaged in (state[:-1], state + b"x", state[: len(state) // 2], state[:-9] + bytes([state[-9] ^ 1]) + state[-8:]):
        with pytest.raises(ValueError, match="save state of this cartridge was expected: this one is damaged or cut off"):
            gameboy.load(damaged)
    assert gameboy.memory[0x0000:0x10000] == whole
    gameboy.tick(2)
    assert place(gameboy)[2] == 1  # not even the press that waited is lost


def test_nothing_is_written_beside_the_rom(tmp_path: Path) -> None:
    data = bytearray(emulator_rom.rom_bytes())
    data[0x147], data[0x149] = 0x03, 0x02  # MBC1 with battery-backed RAM: what PyBoy would save
    data[0x14D] = -sum(byte + 1 for byte in data[0x134:0x14D]) & 0xFF
    rom = tmp_path / "battery.gb"
    rom.write_bytes(data)
    with GameBoy(rom) as gameboy:
        gameboy.tick(BOOT)
    assert [path.name for path in tmp_path.iterdir()] == ["battery.gb"]


def test_what_is_played_does_not_depend_on_when(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cartridge's clock follows the machine's in the emulator, and goes on while a state lies on disk."""
    path = tmp_path / "clock.gb"
    path.write_bytes(emulator_rom.clock_rom_bytes())
    with GameBoy(path) as gameboy:
        start, runs = gameboy.save(), []
        for _ in range(2):
            frames = []
            for number in range(30):
                gameboy.tick(16)
                frames.append(gameboy.frame())
                if number == 14:
                    middle = gameboy.save()
            assert gameboy.read(emulator_rom.CLOCK, 4) == bytes(4)  # eight seconds later
            runs.append(np.stack(frames))
            gameboy.load(start)
        gameboy.load(middle)
        again = []
        for _ in range(15):
            gameboy.tick(16)
            again.append(gameboy.frame())
        np.testing.assert_array_equal(runs[0], runs[1])
        np.testing.assert_array_equal(runs[0][15:], np.stack(again))
        gameboy._pyboy.rtc_lock_experimental(False)  # a clock that goes is seen
        seen = []
        for _ in range(30):
            gameboy.tick(16)
            seen.append(gameboy.frame())
        assert gameboy.read(emulator_rom.CLOCK)[0] > 0 and (np.stack(seen) != again[-1]).any()
    assert capsys.readouterr().out == ""  # nor does it speak of a file for the time, where a program reads JSON


def _bad(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "bad.gb"
    data = bytearray(emulator_rom.rom_bytes())
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a game")
    elif kind == "odd":
        path.write_bytes(data + b"x")
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(1).bytes(0x8000))
    elif kind == "checksum":
        data[0x14D] ^= 1
        path.write_bytes(data)
    elif kind == "mapper":
        data[0x147] = 0xEE
        data[0x14D] = -sum(byte + 1 for byte in data[0x134:0x14D]) & 0xFF
        path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "odd", "noise", "checksum", "mapper"])
def test_a_bad_rom_gets_one_line_that_names_the_file(tmp_path: Path, kind: str) -> None:
    path = _bad(tmp_path, kind)
    with pytest.raises(InputError) as caught:
        GameBoy(path)
    message = str(caught.value)
    assert str(path) in message and "expected" in message and "\n" not in message


def test_closing_twice_is_harmless(rom: Path) -> None:
    gameboy = GameBoy(rom)
    gameboy.close()
    gameboy.close()
