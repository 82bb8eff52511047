"""Which game, ROM and demo leaderboard settings mean, and what code of a game decides a result."""

from pathlib import Path

import pytest

from emurl.core import code_digest
from emurl.core.code_digest import closure
from emurl.core.errors import InputError
from emurl.games import mossdale
from emurl.games.settings import BroadcastSettings, EmulatorSettings, broadcasting, game_of, rom_path
from tests.fixtures.rom import write_rom

BOT = "emurl.games.mossdale.bot"


@pytest.mark.parametrize("name", ["embedded", "mossdale"])
def test_a_game_that_ships_with_its_rom_is_called_by_name(name):
    assert rom_path(EmulatorSettings(rom=name)) == mossdale.rom_path()
    assert game_of(EmulatorSettings(rom=name)) is mossdale.GAME


def test_a_rom_is_known_by_its_title_or_not_at_all(tmp_path):
    known = game_of(EmulatorSettings(rom=str(write_rom(tmp_path, "POKEMON RED"))))
    assert known is not None and known.name == "pokemon_red"
    assert game_of(EmulatorSettings(rom=str(write_rom(tmp_path, "UNKNOWN")))) is None
    with pytest.raises(InputError, match=r"emulator.rom: .*none.gb: no such file.* one of embedded, mossdale, tidewick"):
        rom_path(EmulatorSettings(rom=str(tmp_path / "none.gb")))


def test_a_game_without_a_demo_leaderboard_is_refused():
    with pytest.raises(InputError, match="'pokemon_red' has no demo leaderboard, expected one of mossdale, tidewick"):
        broadcasting(BroadcastSettings(game="pokemon_red"))


def test_the_bot_decides_the_demo_leaderboard_and_nothing_that_only_plays():
    assert BOT in closure(BroadcastSettings().modules())
    played = closure(EmulatorSettings().modules())
    assert BOT not in played and "emurl.games.mossdale.memory" in played


def test_the_data_of_a_game_decides_what_its_code_decides():
    data = dict(line.split() for line in code_digest._data(mossdale.rom_path().parent))
    assert {"mossdale.gb", "mossdale.sym", "game/font.txt", "game/text.txt", "game/maps/route.txt"} <= set(data)
    assert not [name for name in data if name.endswith((".py", ".md", ".c"))]


def test_where_things_lie_is_not_in_the_fingerprint_but_the_rom_is(tmp_path):
    settings = EmulatorSettings(rom=str(write_rom(tmp_path)))
    assert "rom" not in settings.fingerprint_values()
    assert settings.files() == {"rom": Path(settings.rom)}
    assert "cache" not in BroadcastSettings().fingerprint_values() and "rom" in BroadcastSettings().files()
