"""The committed ROM: its header, that its source gives it byte for byte, and what it shows when it is played."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from emurl.cartridge import TITLE, build, rom_path, symbols
from emurl.emulator.console import BUTTONS, GameBoy
from emurl.errors import InputError, WorkError

LETTERS = {"A": "a", "B": "b", "U": "up", "D": "down", "L": "left", "R": "right", "S": "start", ".": None}

# A whole game at one action every 16 ticks: letter and how often. The sign in town and the aunt are talked to.
WHOLE_GAME = (
    ".8 S1 .2 A1 .3 A1 .2 A1 .2 A1 U1 R1 U1 R6 U2 .1 D3 L2 U1 A1 .1 A1 .2 A1 D1 L2 D1 .1 R3 A1 .1 A1 D2 R10 U6 L6 U3 L6 "
    "U3 R9 U3 R2 U1 .1 U4 R3 U5 L3 U6 R5 U6 L8 U5 R6 U4 L4 U4 R2 U1 .7"
)
GOLDEN: dict[int, str] = {
    8: "d09e4379c393929b",
    14: "ceaed1db3ecdd105",
    21: "b2a1846bf95506da",
    27: "161d3a4264510a09",
    37: "b66cfcdfa5a63faf",
    46: "6f66a95d93a50155",
    62: "5ae968b6bc5f9a76",
    82: "d62e75dd17cbc022",
    112: "12bdea75e608aab3",
    128: "fe2fef9f2a381731",
    150: "97428e8091e6ec54",
    170: "a06eed03cfcf2b4a",
    174: "d2d06bf3843b0b47",
    182: "2686325bc3bd3b00",
}


def actions() -> list[str | None]:
    """WHOLE_GAME written out."""
    return [LETTERS[word[0]] for word in WHOLE_GAME.split() for _ in range(int(word[1:]))]


def test_the_header_is_a_game_boy_header_without_a_logo():
    rom = rom_path().read_bytes()
    assert len(rom) == 0x8000
    assert rom[0x104:0x134] == bytes(48), "the logo is not ours to ship"
    assert rom[0x134:0x144] == TITLE.encode().ljust(16, b"\0")
    assert rom[0x147:0x149] == b"\0\0", "32 KiB, no mapper"
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
    other = tmp_path / "mossdale.gb"
    other.write_bytes(b"\0" + rom_path().read_bytes()[1:])
    other.with_suffix(".sym").write_bytes(rom_path().with_suffix(".sym").read_bytes())
    monkeypatch.setattr(build, "build", lambda: built)
    assert build.main(["--check"]) == 0
    monkeypatch.setattr(build, "rom_path", lambda: other)
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
    seen = {}
    for number, action in enumerate(actions(), start=1):
        console.step(None if action is None else BUTTONS.index(action), 16)
        if number in GOLDEN:
            seen[number] = hashlib.sha256(console.frame().tobytes()).hexdigest()[:16]
    assert console.read(symbols()["wEventFlags"]) == b"\x3f"
    assert seen == GOLDEN


def test_start_at_the_end_is_a_new_power_on():
    console = GameBoy(rom_path())
    address = symbols()
    for action in actions():
        console.step(None if action is None else BUTTONS.index(action), 16)
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
