"""What the doctor says of a ROM (one that is known, another of its name, half of one) and of a leaderboard."""

from pathlib import Path

import pytest

from emurl import doctor
from emurl.core.config import load_config
from emurl.games.mossdale import rom_path
from tests.fixtures.board import Board, a_run
from tests.fixtures.color_rom import write_color_rom
from tests.fixtures.http_server import Answer, scripted
from tests.fixtures.rom import clock_rom_bytes, rom_bytes


def checked(rom: Path) -> doctor.Check:
    return doctor._rom(load_config(None, [f"emulator.rom={rom}"]))


def test_the_game_in_the_package_is_sound():
    assert doctor.header_faults(rom_path().read_bytes()) == []
    check = checked(rom_path())
    assert check.verdict == "ok" and "milestones: title, intro" in check.seen


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rom: rom[: len(rom) // 2], "its header says 65536 bytes, the file has 32768"),
        (lambda rom: rom[:-1] + bytes([rom[-1] ^ 1]), "its checksum is"),
    ],
)
def test_a_damaged_rom_is_doubted(tmp_path, change, said):
    file = tmp_path / "damaged.gb"
    file.write_bytes(change(rom_path().read_bytes()))
    check = checked(file)
    assert check.verdict == "warning" and said in check.seen and "may be wrong" in check.mend


def test_another_rom_of_a_known_name_is_doubted(tmp_path):
    file = tmp_path / "red.gb"
    file.write_bytes(rom_bytes("POKEMON RED"))
    check = checked(file)
    assert check.verdict == "warning" and "MD5" in check.seen and "a6924ce1f9ad2228e1c6580779b23878" in check.seen


def test_a_color_game_read_by_a_palette_is_told(tmp_path):
    file = write_color_rom(tmp_path)
    check = checked(file)
    assert check.verdict == "warning" and "a color game" in check.seen and "screen.channels: 3" in check.mend
    for settings in ("screen.channels=3", "screen.reading=luminance"):
        assert doctor._rom(load_config(None, [f"emulator.rom={file}", settings])).verdict == "ok"


def test_a_game_nobody_described_runs(tmp_path):
    file = tmp_path / "tiny.gb"
    file.write_bytes(rom_bytes())
    check = checked(file)
    assert check.verdict == "warning" and "tiny.gb: runs; emurl cannot read its memory" in check.seen


def test_a_clock_that_stands_still_is_told(tmp_path):
    file = tmp_path / "clock.gb"
    file.write_bytes(clock_rom_bytes())
    assert "clock.gb: runs; its clock stands still" in checked(file).seen
    file.write_bytes(rom_bytes())
    assert "its clock" not in checked(file).seen


def test_a_size_that_no_header_can_say():
    rom = bytearray(rom_bytes())
    rom[0x148] = 0x52
    assert "an unknown size (0x52)" in doctor.header_faults(bytes(rom))[0]


def board(*overrides: str, answer=None) -> doctor.Check:
    with scripted(answer or Board([a_run(1)])) as server:
        config = load_config(None, [f"runs.api_base={server.origin}/api/v1", *overrides])
        return next(check for check in doctor.examine(config) if check.name == "leaderboard")


@pytest.mark.parametrize("game", ["46w22l6r", "pkmnredblue", "Pokémon Red/Blue", "pokemon red/blue"])
def test_a_game_is_known_by_all_that_the_stage_knows_it_by(game):
    check = board(f"runs.game={game}")
    assert check.verdict == "ok" and "knows Pokémon Red/Blue (46w22l6r), Any% Glitchless" in check.seen


@pytest.mark.parametrize(
    ("override", "told"),
    [("runs.game=nonsense", "knows no game 'nonsense'"), ("runs.categories=[Low%]", "runs.categories: no category 'Low%'")],
)
def test_a_game_or_a_category_that_is_not_there_is_missing(override, told):
    check = board(override)
    assert check.verdict == "missing" and told in check.seen


def test_a_leaderboard_that_is_none_is_missing():
    check = board(answer=lambda request: Answer(b"<html>", headers={"Content-Type": "text/html"}))
    assert check.verdict == "missing" and "runs.api_base" in check.seen


def test_a_prefect_server_that_is_named_and_not_there_is_told(monkeypatch):
    config = load_config(None, ["runs.api_base=http://127.0.0.1:9/api/v1"])
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert doctor._prefect(config).verdict == "ok"
    monkeypatch.setenv("PREFECT_API_URL", "http://me:secret@127.0.0.1:9/api")
    check = doctor._prefect(config)
    assert (
        check.verdict == "warning" and "http://127.0.0.1:9/api: no answer" in check.seen and "unset PREFECT_API_URL" in check.mend
    )
    with scripted(lambda request: Answer(b"true")) as server:
        monkeypatch.setenv("PREFECT_API_URL", f"{server.origin}/api")
        assert doctor._prefect(config).verdict == "ok" and server.requests[0].path == "/api/health"


def test_windows_is_said_to_be_untried(monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    check = doctor._python(load_config(None))
    assert check.verdict == "warning" and "Windows" in check.seen and "WSL" in check.mend
