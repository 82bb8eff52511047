"""The committed ROM: its header, that its source gives it byte for byte, and what it shows when it is played."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from emurl.core.errors import InputError, WorkError
from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.games.mossdale import TITLE, build, rom_path, symbols
from emurl.games.mossdale.cartridge import MOSSDALE
from emurl.games.mossdale.plot import plot

GOLDEN = Path(__file__).parent / "golden.txt"


def golden() -> tuple[int, dict[int, str | None], dict[int, str]]:
    """A whole game: its ticks, what is held from which tick on, and hashes of the screens at some ticks."""
    ticks, presses, screens = 0, {}, {}
    for line in GOLDEN.read_text("ascii").splitlines():
        match line.split():
            case ["ticks", number]:
                ticks = int(number)
            case ["screen", tick, digest]:
                screens[int(tick)] = digest
            case [tick, button] if tick.isdigit():
                presses[int(tick)] = None if button == "-" else button
    return ticks, presses, screens


def replay(console: GameBoy, look: dict[int, str]) -> dict[int, str]:
    """Play the golden game; the hashes of the screens at the ticks in `look`."""
    ticks, presses, _ = golden()
    held, seen = None, {}
    for tick in range(ticks):
        if tick in presses:
            if held:
                console.release(held)
            if presses[tick]:
                console.press(presses[tick])
            held = presses[tick]
        console.tick(1, render=tick + 1 in look)
        if tick + 1 in look:
            seen[tick + 1] = hashlib.sha256(console.frame().tobytes()).hexdigest()[:16]
    return seen


def test_the_header_is_a_game_boy_header_without_a_logo():
    rom = rom_path().read_bytes()
    assert len(rom) == 0x10000
    assert rom[0x104:0x134] == bytes(48), "the logo is not ours to ship"
    assert rom[0x134:0x144] == TITLE.encode().ljust(16, b"\0")
    assert rom[0x147:0x149] == b"\1\1", "64 KiB, MBC1"
    assert rom[0x14D] == (-sum(rom[0x134:0x14D]) - 25) & 0xFF
    assert int.from_bytes(rom[0x14E:0x150], "big") == (sum(rom) - sum(rom[0x14E:0x150])) & 0xFFFF


@pytest.fixture(scope="module")
def built() -> tuple[bytes, str]:
    if reason := build.missing_compiler():
        pytest.skip(reason)
    return build.build()


def test_the_source_gives_the_committed_rom(built):
    rom, listing = built
    assert rom == rom_path().read_bytes()
    assert listing == rom_path().with_suffix(".sym").read_text()


def test_check_tells_another_rom_from_the_built_one(built, tmp_path: Path, monkeypatch, capsys):
    other = replace(MOSSDALE, folder=tmp_path).rom
    other.write_bytes(b"\0" + rom_path().read_bytes()[1:])
    other.with_suffix(".sym").write_bytes(rom_path().with_suffix(".sym").read_bytes())
    monkeypatch.setattr(build, "build", lambda of: built)
    assert build.main(["--check"]) == 0
    monkeypatch.setattr(build, "find_cartridge", lambda name: replace(MOSSDALE, folder=tmp_path))
    assert build.main(["--check"]) == 1
    assert "differs" in capsys.readouterr().out


def test_a_missing_compiler_and_a_mistake_in_the_source_are_told_apart(monkeypatch, capsys, tmp_path):
    if build.missing_compiler() is None:
        with pytest.raises(WorkError, match="syntax error"):
            (tmp_path / "bad.c").write_text("void f(void) { 1 + ; }")
            build._call(tmp_path, "sdcc", "-msm83", "-c", "bad.c")
    monkeypatch.setattr(build.shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="not installed"):
        build.build()
    assert build.main([]) == 2
    assert "sdcc 4.2 is not installed" in capsys.readouterr().err


def test_the_symbols_name_work_ram_where_the_reader_expects_it():
    found = symbols()
    expected = {"wTileMap": 0xC3A0, "wFontLoaded": 0xCFC4, "wCurMap": 0xD35E, "wYCoord": 0xD361, "wXCoord": 0xD362}
    assert expected.items() <= found.items()
    assert 0x150 <= found["main"] < 0x8000


def test_a_whole_game_shows_the_same_screens_as_ever():
    console = GameBoy(rom_path())
    screens = golden()[2]
    assert len(screens) >= 10
    assert replay(console, screens) == screens
    events = int.from_bytes(console.read(symbols()["wEventFlags"], 2), "little")
    assert all(events >> plot().events.index(name) & 1 for name in plot().milestones)


def test_start_at_the_end_is_a_new_power_on():
    console = GameBoy(rom_path())
    address = symbols()
    replay(console, {})
    clock = console.read(address["wPlayTimeMinutes"], 3)
    console.tick(300, render=False)
    assert console.read(address["wGameMode"]) == b"\4"
    assert console.read(address["wPlayTimeMinutes"], 3) == clock, "the clock stops at the goal"
    console.step(BUTTONS.index("start"), 80)
    assert console.read(address["wGameMode"]) == b"\1"
    assert console.read(address["wEventFlags"], 320) == bytes(320)
    fresh = GameBoy(rom_path())
    while fresh.read(address["wGameMode"]) != b"\1":
        fresh.tick()
    for both in (console, fresh):
        both.tick(80)
    assert (console.frame() == fresh.frame()).all()
