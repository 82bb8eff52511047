"""Pokémon Red's work RAM: the layout the embedded cartridge follows too, and the milestones of Pokémon Red (US).

Addresses are facts of the public disassembly's symbol file (https://github.com/pret/pokered, `pokered.sym`); so are the
map numbers and the number of the Pokédex event.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from emurl.emulator.games.base import Fact, Facts, Memory

TILE_MAP, COLUMNS, ROWS = 0xC3A0, 20, 18
FONT_LOADED = 0xCFC4
IN_BATTLE = 0xD057
PLAYER_NAME, NAME_LENGTH = 0xD158, 11
PARTY_COUNT = 0xD163
FIRST_LEVEL, PARTY_STRIDE = 0xD18C, 0x2C
POKEDEX_OWNED, POKEDEX_SEEN, POKEDEX_BYTES = 0xD2F7, 0xD30A, 19
BAG_ITEMS = 0xD31D
MONEY = 0xD347
BADGES = 0xD356
MAP, Y, X = 0xD35E, 0xD361, 0xD362
EVENT_FLAGS, EVENT_BYTES = 0xD747, 0xD887 - 0xD747
PLAY_TIME = 0xDA41  # hours, then (not used here) whether they overflowed, minutes, seconds

END = 0x50
_MORE = 0xEE  # the arrow that asks for a button
_TEXT_ROWS = range(13, 17)


def _alphabet() -> dict[int, str]:
    letters = {0x80 + i: chr(ord("A") + i) for i in range(26)}
    letters |= {0xA0 + i: chr(ord("a") + i) for i in range(26)}
    letters |= {0xF6 + i: str(i) for i in range(10)}
    marks = {0x7F: " ", 0x9C: ":", 0xBA: "é", 0xE6: "?", 0xE7: "!", 0xE8: ".", 0xF4: ",", 0xE0: "'", 0xE3: "-", 0x54: "POKé"}
    return letters | marks


ALPHABET = _alphabet()
"""Character codes to text; anything else on the screen is a picture."""


def decode_text(codes: bytes) -> str:
    """Text up to the end mark (0x50); codes that are no letters become spaces, runs of spaces one."""
    text = "".join(ALPHABET.get(code, " ") for code in codes.split(bytes([END]), 1)[0])
    return " ".join(text.split())


def decode_box(tiles: bytes) -> str:
    """The text in the box at the foot of the screen, from the 20×18 bytes of the tile map; lines joined by newlines."""
    lines = []
    for row in _TEXT_ROWS:
        codes = tiles[row * COLUMNS + 1 : (row + 1) * COLUMNS - 1]
        line = "".join(ALPHABET.get(code, " ") for code in codes if code != _MORE)
        lines.append(" ".join(line.split()))
    return "\n".join(line for line in lines if line)


def decimal(digits: bytes) -> int:
    """Binary-coded decimal, most significant byte first. Nibbles above 9, as in RAM not yet set, count as they are."""
    value = 0
    for byte in digits:
        value = value * 100 + (byte >> 4) * 10 + (byte & 0xF)
    return value


def bits(data: bytes) -> int:
    """How many bits are set."""
    return int.from_bytes(data, "big").bit_count()


def has_event(facts: Facts, number: int) -> bool:
    """Whether event `number` (0-2559) is set in the fact `event_flags`."""
    flags = facts["event_flags"]
    return isinstance(flags, bytes) and bool(flags[number >> 3] >> (number & 7) & 1)


def read_layout(gameboy: Memory) -> dict[str, Fact]:
    """The facts both games keep at the same addresses.

    map, y, x (16×16 cells), badges and events (how many), party_count, level (of the first of the party), pokedex_owned,
    pokedex_seen, bag_items, money, in_battle (0 no, 1 wild, 2 trainer, 255 lost), text_box, text ("" without a box),
    player_name, play_time_s, event_flags (320 bytes).
    """
    y_x = gameboy.read(Y, 2)
    hours, _, minutes, seconds = gameboy.read(PLAY_TIME, 4)
    flags = gameboy.read(EVENT_FLAGS, EVENT_BYTES)
    text_box = bool(gameboy.read(FONT_LOADED)[0] & 1)
    return {
        "map": gameboy.read(MAP)[0],
        "y": y_x[0],
        "x": y_x[1],
        "badges": bits(gameboy.read(BADGES)),
        "events": bits(flags),
        "party_count": gameboy.read(PARTY_COUNT)[0],
        "level": gameboy.read(FIRST_LEVEL)[0],
        "pokedex_owned": bits(gameboy.read(POKEDEX_OWNED, POKEDEX_BYTES)),
        "pokedex_seen": bits(gameboy.read(POKEDEX_SEEN, POKEDEX_BYTES)),
        "bag_items": gameboy.read(BAG_ITEMS)[0],
        "money": decimal(gameboy.read(MONEY, 3)),
        "in_battle": gameboy.read(IN_BATTLE)[0],
        "text_box": text_box,
        "text": decode_box(gameboy.read(TILE_MAP, COLUMNS * ROWS)) if text_box else "",
        "player_name": decode_text(gameboy.read(PLAYER_NAME, NAME_LENGTH)),
        "play_time_s": hours * 3600 + minutes * 60 + seconds,
        "event_flags": flags,
    }


_GOT_POKEDEX = 0x25
_PALLET, _VIRIDIAN, _PEWTER, _ROUTE_1, _HOUSE = 0x00, 0x01, 0x02, 0x0C, 0x25


class PokemonRed:
    """Reader of Pokémon Red and Blue (US)."""

    title = "POKEMON RED"
    milestones: tuple[str, ...] = (
        "title",
        "intro",
        "downstairs",
        "outside",
        "starter",
        "route_1",
        "viridian",
        "pokedex",
        "pewter",
        *(f"badge_{number}" for number in range(1, 9)),
    )
    maps: Mapping[int, str] = MappingProxyType(
        {
            0x00: "Pallet Town",
            0x01: "Viridian City",
            0x02: "Pewter City",
            0x0C: "Route 1",
            0x25: "house",
            0x26: "bedroom",
            0x28: "lab",
        }
    )

    def read(self, gameboy: Memory) -> dict[str, Fact]:
        """The facts of this moment: see `read_layout`."""
        return read_layout(gameboy)

    def walking(self, facts: Facts) -> bool:
        """The play-time clock starts when control is given over; before that map 0 is not Pallet Town."""
        return int(facts["play_time_s"]) > 0

    def reached(self, facts: Facts) -> list[str]:
        """The milestones these facts show, in order. The player gets a name when a new game begins."""
        walking = self.walking(facts)
        place = facts["map"] if walking else None
        shown = {
            "title": facts["player_name"] != "",
            "intro": walking,
            "downstairs": place == _HOUSE,
            "outside": place == _PALLET,
            "starter": int(facts["party_count"]) > 0,
            "route_1": place == _ROUTE_1,
            "viridian": place == _VIRIDIAN,
            "pokedex": has_event(facts, _GOT_POKEDEX),
            "pewter": place == _PEWTER,
        }
        shown |= {f"badge_{number}": int(facts["badges"]) >= number for number in range(1, 9)}
        return [name for name in self.milestones if shown[name]]
