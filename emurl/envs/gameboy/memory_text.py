"""Text in work RAM, in Pokémon Red's encoding: what stands on the screen, in the box at its foot, and in the buffers."""

from __future__ import annotations

from dataclasses import dataclass

from emurl.envs.gameboy.memory import Memory

TILE_MAP, COLUMNS, ROWS = 0xC3A0, 20, 18
FONT_LOADED = 0xCFC4
TEXT_BOX_ID = 0xD125
BUFFERS, BUFFER_LENGTH = (0xCD3D, 0xCE9D), 20

END = 0x50
_BLANK, _MORE = 0x7F, 0xEE  # a space; the arrow that asks for a button
_BOX_ROWS = range(13, 17)


def _alphabet() -> dict[int, str]:
    letters = {0x80 + i: chr(ord("A") + i) for i in range(26)}
    letters |= {0xA0 + i: chr(ord("a") + i) for i in range(26)}
    letters |= {0xF6 + i: str(i) for i in range(10)}
    letters |= {_BLANK: " ", 0x75: "…", 0x9A: "(", 0x9B: ")", 0x9C: ":", 0x9D: ";", 0x9E: "[", 0x9F: "]", 0xBA: "é"}
    # One tile holds an apostrophe together with the letter after it, or two small capitals.
    letters |= {0xBB: "'d", 0xBC: "'l", 0xBD: "'s", 0xBE: "'t", 0xBF: "'v", 0xE4: "'r", 0xE5: "'m", 0xE1: "PK", 0xE2: "MN"}
    letters |= {0xE0: "'", 0xE3: "-", 0xE6: "?", 0xE7: "!", 0xE8: ".", 0xEF: "♂"}
    return letters | {0xF0: "¥", 0xF1: "×", 0xF2: ".", 0xF3: "/", 0xF4: ",", 0xF5: "♀"}


ALPHABET = _alphabet()
"""Tiles of the font to text (`charmap.asm` of the public disassembly); anything else on the screen is a picture."""

WORDS = {0x4A: "PKMN", 0x54: "POKé", 0x56: "……", 0x5B: "PC", 0x5C: "TM", 0x5D: "TRAINER", 0x5E: "ROCKET"}
"""Codes that stand for a word in a stored text and are spelled out when it is printed. On the screen the same numbers are pictures."""

_STORED = ALPHABET | WORDS


@dataclass(frozen=True)
class TextBox:
    """What a player reads.

    `up`: a text box is up. `id`: the last box's number. `text`: what stands in the box at the foot of the screen, a line
    for a row that is not empty ("" without a box). `waits`: the arrow asks for a button. `buffers`: the words last filled
    in. `codes`: the box's rows as they lie in memory, 4 × 18 codes.
    """

    up: bool
    id: int
    text: str
    waits: bool
    buffers: tuple[str, ...]
    codes: bytes


def read_text(gameboy: Memory) -> TextBox:
    """The text of this moment."""
    up = bool(gameboy.read(FONT_LOADED)[0] & 1)
    tiles = gameboy.read(TILE_MAP, COLUMNS * ROWS)
    codes = b"".join(tiles[row * COLUMNS + 1 : (row + 1) * COLUMNS - 1] for row in _BOX_ROWS)
    return TextBox(
        up=up,
        id=gameboy.read(TEXT_BOX_ID)[0],
        text=decode_box(tiles) if up else "",
        waits=up and _MORE in codes,
        buffers=tuple(decode_text(gameboy.read(address, BUFFER_LENGTH)) for address in BUFFERS),
        codes=codes,
    )


def decode_text(codes: bytes) -> str:
    """Text up to the end mark (0x50); codes that are no letters become spaces, runs of spaces one."""
    text = "".join(_STORED.get(code, " ") for code in codes.split(bytes([END]), 1)[0])
    return " ".join(text.split())


def decode_rows(tiles: bytes) -> list[str]:
    """The whole screen as 18 lines of text, from the 20x18 bytes of the tile map; pictures and borders become spaces."""
    rows = (tiles[row * COLUMNS : (row + 1) * COLUMNS] for row in range(ROWS))
    return [" ".join("".join(ALPHABET.get(code, " ") for code in row).split()) for row in rows]


def decode_box(tiles: bytes) -> str:
    """The text in the box at the foot of the screen, from the 20x18 bytes of the tile map; lines joined by newlines."""
    lines = []
    for row in _BOX_ROWS:
        codes = tiles[row * COLUMNS + 1 : (row + 1) * COLUMNS - 1]
        line = "".join(ALPHABET.get(code, " ") for code in codes if code != _MORE)
        lines.append(" ".join(line.split()))
    return "\n".join(line for line in lines if line)
