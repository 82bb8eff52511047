"""Reads the cartridge's ASCII drawings: text files of pixel rows become arrays of shades.

A drawing file holds groups. A group is a header line that starts with ``=``, then rows of pixels; several drawings may
stand side by side, parted by spaces. ``#`` at the very start of a line, followed by a space, is a comment.

Pixels: ``.`` white, ``-`` light, ``+`` dark, ``#`` black, ``_`` see-through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emurl.core.errors import InputError

CLEAR = -1
"""The shade of a see-through pixel; the others are 0 white, 1 light, 2 dark, 3 black, as in the console's palette."""

_SHADES = {"_": CLEAR, ".": 0, "-": 1, "+": 2, "#": 3}

Pixels = list[list[int]]
"""A drawing: rows of shades, -1..3."""


@dataclass(frozen=True)
class Group:
    """One header with what stands below it: ``words`` of the header line, ``drawings`` from left to right."""

    words: tuple[str, ...]
    drawings: tuple[Pixels, ...]
    place: str
    """File and line, for error messages."""


def read_groups(path: Path) -> Iterator[Group]:
    """The groups of a drawing file in order.

    Raises:
        InputError: a row of another width than its neighbors, or a pixel that is none of ``. - + # _``.
    """
    header: tuple[tuple[str, ...], str] | None = None
    rows: list[list[str]] = []
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), start=1):
        if line.startswith("# ") or not line.strip():
            continue
        if line.startswith("= "):
            if header:
                yield _group(header, rows)
            header, rows = (tuple(line[2:].split()), f"{path.name}:{number}"), []
        else:
            rows.append(line.split())
    if header:
        yield _group(header, rows)


def _group(header: tuple[tuple[str, ...], str], rows: Sequence[Sequence[str]]) -> Group:
    words, place = header
    drawings: list[Pixels] = []
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]) or any(len(part) != len(first) for part, first in zip(row, rows[0], strict=True)):
            raise InputError(f"{place}: row {number + 1} is not as wide as the first one: {' '.join(row)}")
    for column in range(len(rows[0]) if rows else 0):
        try:
            drawings.append([[_SHADES[pixel] for pixel in row[column]] for row in rows])
        except KeyError as error:
            raise InputError(f"{place}: {error} is not a pixel, expected one of . - + # _") from None
    return Group(words, tuple(drawings), place)


def cut(pixels: Pixels, width: int, height: int) -> list[list[Pixels]]:
    """Rows of rectangles of ``width`` × ``height`` pixels, which must divide the drawing."""
    return [
        [[row[x : x + width] for row in pixels[y : y + height]] for x in range(0, len(pixels[0]), width)]
        for y in range(0, len(pixels), height)
    ]


def stamp(canvas: Pixels, pixels: Pixels, x: int, y: int) -> None:
    """Put a drawing on a canvas in place; see-through pixels leave it as it is, what sticks out is cut off."""
    for dy, row in enumerate(pixels):
        for dx, shade in enumerate(row):
            if shade != CLEAR and 0 <= y + dy < len(canvas) and 0 <= x + dx < len(canvas[0]):
                canvas[y + dy][x + dx] = shade


def two_bits(tile: Pixels) -> bytes:
    """An 8×8 tile as the console keeps it: per row a byte of low bits, a byte of high bits; see-through is 0."""
    packed = bytearray()
    for row in tile:
        packed.append(sum((max(shade, 0) & 1) << (7 - x) for x, shade in enumerate(row)))
        packed.append(sum((max(shade, 0) >> 1) << (7 - x) for x, shade in enumerate(row)))
    return bytes(packed)


def one_bit(tile: Pixels) -> bytes:
    """An 8×8 tile with black as 1 and everything else as 0, a byte a row."""
    return bytes(sum((shade == 3) << (7 - x) for x, shade in enumerate(row)) for row in tile)


class TileBank:
    """Tiles without repetition, in the order they were first asked for."""

    def __init__(self, limit: int, name: str) -> None:
        self.tiles: list[bytes] = []
        self.limit = limit
        self.name = name

    def add(self, tile: Pixels) -> int:
        """The number of this tile, a new one where it was not there yet."""
        packed = two_bits(tile)
        if packed not in self.tiles:
            if len(self.tiles) == self.limit:
                raise InputError(f"{self.name}: more than {self.limit} different 8x8 tiles")
            self.tiles.append(packed)
        return self.tiles.index(packed)

    def add_all(self, pixels: Pixels) -> list[int]:
        """The numbers of all tiles of a drawing, row by row."""
        return [self.add(tile) for row in cut(pixels, 8, 8) for tile in row]
