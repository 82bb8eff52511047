"""What memory means: facts read from known bytes, text decoded, milestones in order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emurl.core.errors import InputError
from emurl.envs.gameboy.memory import reader_for, reader_for_title
from emurl.envs.gameboy.memory_layout import decimal, has_event, read_many
from emurl.envs.gameboy.memory_text import ALPHABET, decode_box, decode_rows, decode_text, read_text
from emurl.games import game_of_title
from emurl.games.mossdale import world
from emurl.games.mossdale.memory import EVENTS, GAME_MODE, Mossdale
from emurl.games.mossdale.plot import plot
from emurl.games.pokemon_red import PokemonRed
from tests.fixtures import rom as emulator_rom
from tests.fixtures.beside import beside

CODES = {letter: code for code, letter in ALPHABET.items() if len(letter) == 1}


class FakeMemory:
    """64 KiB to write facts into."""

    def __init__(self) -> None:
        self.bytes = bytearray(0x10000)

    def put(self, address: int, *values: int) -> None:
        self.bytes[address : address + len(values)] = bytes(values)

    def read(self, address: int, count: int = 1) -> bytes:
        return bytes(self.bytes[address : address + count])


def encode(text: str) -> list[int]:
    return [CODES[letter] for letter in text]


def test_facts_from_the_documented_addresses() -> None:
    memory = FakeMemory()
    memory.put(0xD35E, 12)
    memory.put(0xD361, 7, 9)
    memory.put(0xD356, 0b1011)
    memory.put(0xD163, 2)
    memory.put(0xD18C, 14)
    memory.put(0xD2F7, 0b11, 0x80)
    memory.put(0xD30A, 0xFF)
    memory.put(0xD31D, 5)
    memory.put(0xD347, 0x01, 0x23, 0x45)
    memory.put(0xD057, 2)
    memory.put(0xD158, *encode("Ash"), 0x50, 0x81)
    memory.put(0xDA41, 3, 0, 4, 5)
    memory.put(0xD747 + 4, 0b100000)
    facts = PokemonRed().read(memory)
    expected = {
        "map": 12, "y": 7, "x": 9, "badges": 3, "party_count": 2, "level": 14, "pokedex_owned": 3, "pokedex_seen": 8,
        "bag_items": 5, "money": 12345, "in_battle": 2, "text_box": False, "text": "", "player_name": "Ash",
        "play_time_s": 3 * 3600 + 4 * 60 + 5, "events": 1,
    }  # fmt: skip
    assert {name: facts[name] for name in expected} == expected
    assert has_event(facts, 37) and not has_event(facts, 36)


def test_a_text_box_is_read_off_the_tile_map() -> None:
    memory = FakeMemory()
    tiles = [0x7F] * 360
    for row, line in ((14, "Hello, world!"), (16, "It's 9:05?")):
        tiles[row * 20 + 1 : row * 20 + 1 + len(line)] = encode(line)
    tiles[16 * 20 + 18] = 0xEE
    memory.put(0xC3A0, *tiles)
    assert PokemonRed().read(memory)["text"] == ""
    memory.put(0xCFC4, 1)
    facts = PokemonRed().read(memory)
    assert facts["text_box"] is True and facts["text"] == "Hello, world!\nIt's 9:05?"


@given(st.text(alphabet="".join(sorted(CODES)), max_size=18))
def test_text_survives_the_encoding(text: str) -> None:
    assert decode_text(bytes([*encode(text), 0x50, 0x80])) == " ".join(text.split())
    tiles = bytes(14 * 20 + 1) + bytes(encode(text)) + bytes(360)
    assert decode_box(tiles[:360]) == " ".join(text.split())


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        # As the game's own character map has it, with its tiles of two letters.
        ("88B3 BD 7F B2B4AFA4B1 E7", "It's super!"),
        ("98AEB4 7F A2A0AD BE", "You can't"),
        ("88 BC AB 7F 87A4 BB 7F 98AEB4 E4 A4 7F 88 E5", "I'll He'd You're I'm"),
        ("88 BF A4 7F 87A4 E0 A3", "I've He'd"),
        ("8D8883 EF 7F 8D8883 F5", "NID♂ NID♀"),
        ("E1E2 7F 93918088", "PKMN TRAI"),
        ("F0 F9F6F6 7F F1 F7F8", "¥300 ×12"),
        ("9A 8280 9D 82 9B 9E 9F", "(CA;C)[]"),
        ("8E808A 9C 7F 75", "OAK: …"),
        ("F7 F2 FB 7F 80 E8 8B", "1.5 A.L"),
    ],
)
def test_every_letter_of_the_font_is_read(codes: str, text: str) -> None:
    stored = bytes.fromhex(codes)
    assert decode_text(stored + b"\x50") == text
    tiles = bytes([0x7F] * (14 * 20 + 1)) + stored + bytes([0x7F] * (360 - 281 - len(stored)))
    assert decode_box(tiles) == text and decode_rows(tiles)[14] == text


def test_words_stand_in_stored_text_only() -> None:
    codes = bytes([0x54, 0x83, 0x84, 0x97, 0x7F, 0x5B, 0x7F, 0x5C, 0x7F, 0x4A, 0x7F, 0x5D, 0x7F, 0x5E, 0x56])
    assert decode_text(codes + b"\x50") == "POKéDEX PC TM PKMN TRAINER ROCKET……"
    assert decode_rows(codes + bytes(345))[0] == "DEX", "on the screen these numbers are pieces of the map"


@given(st.integers(0, 999_999))
def test_money_is_decimal(value: int) -> None:
    assert decimal(bytes.fromhex(f"{value:06d}")) == value


@given(st.lists(st.binary(min_size=665, max_size=665), min_size=1, max_size=4))
def test_many_consoles_are_read_as_one_is(contents: list[bytes]) -> None:
    consoles = []
    for content in contents:
        memory = FakeMemory()
        memory.put(0xD163, *content[:100])
        memory.put(0xD2F7, *content[100:140])
        memory.put(0xD340, *content[140:190])
        memory.put(0xD747, *content[190:510])
        memory.put(0xCFE0, *content[510:530])
        consoles.append(memory)
    many = read_many(consoles)
    for number, memory in enumerate(consoles):
        one = PokemonRed().read(memory)
        for name, values in many.items():
            if values.ndim == 1:
                assert values[number] == one[name]
        assert one["events"] == sum(bin(byte).count("1") for byte in contents[number][190:510])
        assert many["event_flags"][number].tobytes() == one["event_flags"]


def test_every_member_of_the_party_is_read() -> None:
    memory = FakeMemory()
    memory.put(0xD163, 2)
    for member, (level, hp, most) in enumerate(((14, 300, 310), (9, 21, 40), (7, 5, 6))):
        memory.put(0xD16C + 44 * member, hp >> 8, hp & 255)
        memory.put(0xD18C + 44 * member, level, most >> 8, most & 255)
    facts = read_many([memory])
    assert facts["party_levels"].tolist() == [[14, 9, 0, 0, 0, 0]], "the third is not in the party"
    assert facts["party_hp"].tolist() == [[300, 21, 0, 0, 0, 0]]
    assert facts["party_max_hp"].tolist() == [[310, 40, 0, 0, 0, 0]]
    assert {"level": 14, "hp": 300, "max_hp": 310}.items() <= PokemonRed().read(memory).items()


def test_the_text_reader_knows_buffers_and_the_arrow() -> None:
    memory = FakeMemory()
    memory.put(0xC3A0, *([0x7F] * 360))
    memory.put(0xC3A0 + 16 * 20 + 18, 0xEE)
    memory.put(0xCD3D, *encode("BUMP"), 0x50, 0x80)
    memory.put(0xCE9D, *encode("owl"), 0x50)
    memory.put(0xD125, 7)
    assert not read_text(memory).waits
    memory.put(0xCFC4, 1)
    box = read_text(memory)
    assert (box.up, box.waits, box.id, box.text, box.buffers) == (True, True, 7, "", ("BUMP", "owl"))


def test_mossdale_keeps_its_milestones_as_events() -> None:
    memory, reader = FakeMemory(), Mossdale()
    assert reader.reached(reader.read(memory)) == []
    memory.put(GAME_MODE, 3, 9, 8)
    flags = 0
    for number, bit in enumerate(EVENTS.values()):
        flags |= 1 << bit
        memory.put(0xD747, *flags.to_bytes(2, "little"))
        assert reader.reached(reader.read(memory)) == list(reader.milestones[: number + 1])
    assert {"mode": 3, "step_left": 9, "facing": 8}.items() <= reader.read(memory).items()
    assert list(EVENTS) == list(plot().milestones) and all(plot().events[bit] == name for name, bit in EVENTS.items())
    assert {each.id: each.name for each in world.maps()} | {5: "tower"} == dict(reader.maps)


def test_pokemon_red_does_not_believe_the_map_before_the_clock_runs() -> None:
    memory, reader = FakeMemory(), PokemonRed()

    def reached() -> list[str]:
        return reader.reached(reader.read(memory))

    assert reached() == []  # memory of zeros says map 0, which is a real town
    memory.put(0xD158, *encode("NINTEN"), 0x50)
    memory.put(0xD35E, 0x26)
    assert reached() == ["title"]
    memory.put(0xDA44, 1)
    assert reached() == ["title", "intro"]
    memory.put(0xD35E, 0x00)
    assert reached() == ["title", "intro", "outside"]
    memory.put(0xD163, 1)
    memory.put(0xD35E, 0x01)
    memory.put(0xD74B, 1 << 5)
    memory.put(0xD356, 0b11)
    assert reached() == ["title", "intro", "starter", "viridian", "pokedex", "brock", "misty"]


def test_two_games_of_one_title_are_refused_where_it_is_played(tmp_path: Path) -> None:
    with beside(tmp_path) as add:
        add("games", "aaa", "from emurl.games.base import Game\nGAME = Game(name='aaa', title='MOSSDALE')\n")
        for ask in (reader_for_title, game_of_title):
            with pytest.raises(InputError, match="games: aaa and mossdale have the same header title 'MOSSDALE', expected"):
                ask("MOSSDALE")
            assert ask("POKEMON RED") is not None and ask("OTHER") is None


def test_readers_are_found_by_the_header_title(tmp_path: Path) -> None:
    assert isinstance(reader_for(emulator_rom.write_rom(tmp_path, "POKEMON RED")), PokemonRed)
    assert isinstance(reader_for(emulator_rom.write_rom(tmp_path, "MOSSDALE")), Mossdale)
    assert reader_for(emulator_rom.write_rom(tmp_path, "OTHER")) is None
    assert reader_for_title("") is None
    with pytest.raises(InputError):
        reader_for(tmp_path / "missing.gb")
