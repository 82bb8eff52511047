"""The game's words: the text sources and their encoding, which is Pokémon Red's."""

from __future__ import annotations

from collections.abc import Sequence

from emurl.core.errors import InputError
from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge

_PUNCTUATION = {
    " ": 0x7F, ":": 0x9C, "'": 0xE0, "-": 0xE3, "?": 0xE6, "!": 0xE7, ".": 0xE8, ",": 0xF4, "/": 0xF3, ">": 0xED, "*": 0xF1,
}  # fmt: skip
CODES = {"{name}": 0x52, "{a}": 0x53, "{b}": 0x59, "{c}": 0x5A}
"""Words filled in while a text is printed: the player's name and the three text buffers, with their codes."""

LINE, PAGE, END = 0x4F, 0x51, 0x50
"""Codes inside a text: next line, next page, end."""

LONGEST_NAME = 7
"""Letters of a player's name; a filled-in word of the game itself has up to 8."""

PAGE_BYTES = 192
"""A text, encoded, fits in this many bytes: it is copied to work RAM before it is printed."""


def encode(text: str) -> bytes:
    """Letters in Pokémon Red's encoding; ``{name}`` is the player's name, ``{a}`` to ``{c}`` the text buffers.

    Raises:
        InputError: a character the font does not have.
    """
    out = bytearray()
    while text:
        for word, code in CODES.items():
            if text.startswith(word):
                out.append(code)
                text = text[len(word) :]
                break
        else:
            out.append(char_code(text[0]))
            text = text[1:]
    return bytes(out)


def char_code(char: str) -> int:
    """The tile id of one character."""
    if "A" <= char <= "Z":
        return 0x80 + ord(char) - ord("A")
    if "a" <= char <= "z":
        return 0xA0 + ord(char) - ord("a")
    if "0" <= char <= "9":
        return 0xF6 + ord(char) - ord("0")
    if char not in _PUNCTUATION:
        raise InputError(f"text: the font has no {char!r}")
    return _PUNCTUATION[char]


def texts(of: Cartridge = MOSSDALE) -> dict[str, list[list[str]]]:
    """All texts by name: pages of one or two lines, from ``game/text.txt``.

    A text starts with ``[name]``; a blank line parts pages. Lines hold at most 18 and 17 letters (the arrow needs
    the last place); ``{name}`` counts as 7, a text buffer as 8.
    """
    found: dict[str, list[list[str]]] = {}
    pages: list[list[str]] = []
    for number, raw in enumerate(of.source("text.txt").read_text(encoding="ascii").splitlines(), start=1):
        line = raw.rstrip()
        if line.startswith("# "):
            continue
        if line.startswith("["):
            pages = found.setdefault(line.strip("[]"), [])
            pages.append([])
        elif not line:
            if pages and pages[-1]:
                pages.append([])
        else:
            pages[-1].append(line)
            if len(pages[-1]) > 2 or _width(line) > 19 - len(pages[-1]):
                raise InputError(f"text.txt:{number}: a page has two lines of at most 18 and 17 letters")
    return {name: [page for page in pages if page] for name, pages in found.items()}


def _width(line: str) -> int:
    line = line.replace("{name}", "n" * LONGEST_NAME)
    for word in CODES:
        line = line.replace(word, "w" * 8)
    return len(line)


def text_bytes(pages: Sequence[Sequence[str]]) -> bytes:
    """Pages of lines as the game keeps them: lines parted by `LINE`, pages by `PAGE`, then `END`.

    Raises:
        InputError: more than `PAGE_BYTES`.
    """
    data = bytes([PAGE]).join(bytes([LINE]).join(encode(line) for line in page) for page in pages) + bytes([END])
    if len(data) > PAGE_BYTES:
        raise InputError(f"text.txt: {pages[0][0]!r} and what follows is longer than {PAGE_BYTES} bytes")
    return data
