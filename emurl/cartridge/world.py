"""The cartridge's maps as data, parsed from the same ASCII sources the ROM is built from.

A map file is lines of settings, the word ``cells``, then the map with one character a 16×16 cell. The legend is the
tileset: ``game/tiles/<tileset>.txt`` names every character. Settings:

    id 3
    tileset outdoor
    border T                                            the cell outside the map
    warp 6,14 house 3,6 up [event]                      stepping on 6,14 leads to the house, cell 3,6, looking up
    thing 4,4 keeper down talk_keeper                   a sprite (or ``sign``: drawn in the map) and its text
    start 2,5 down                                      where the game begins
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from emurl.cartridge.drawing import Group, Pixels, cut, read_groups
from emurl.errors import InputError

GAME = Path(__file__).resolve().parent / "game"
"""The folder of the game's source."""

TILESETS = ("outdoor", "indoor")
FACINGS = {"down": 0, "up": 4, "left": 8, "right": 12}
STEPS: Mapping[str, tuple[int, int]] = {"down": (0, 1), "up": (0, -1), "left": (-1, 0), "right": (1, 0)}
EVENTS = ("title", "intro", "bedroom", "house", "route", "goal")
"""Event bits 0.. of wEventFlags, which are the milestones in order."""

GOAL_MAP = ("tower", 5)
"""The map that ends the game: it has a number, but no cells."""

Cell = tuple[int, int]
"""(x, y) in 16×16 cells."""


@dataclass(frozen=True)
class Block:
    """One 16×16 cell picture of a tileset. ``flags`` may hold ``solid`` (nobody walks here) and ``tall``."""

    char: str
    name: str
    flags: frozenset[str]
    pixels: Pixels = field(compare=False, repr=False)


@dataclass(frozen=True)
class Warp:
    """Stepping on ``at`` leads to ``cell`` of ``map``, looking ``facing``; ``event`` is set, if any."""

    at: Cell
    map: str
    cell: Cell
    facing: str
    event: str | None


@dataclass(frozen=True)
class Thing:
    """Something at ``at`` that shows the text ``text`` on A; ``sprite`` is ``sign`` where the map draws it."""

    at: Cell
    sprite: str
    facing: str
    text: str


@dataclass(frozen=True)
class Map:
    """One map: ``rows`` of legend characters, what is on it, and which cells can be walked."""

    name: str
    id: int
    tileset: str
    border: str
    rows: tuple[str, ...]
    warps: tuple[Warp, ...]
    things: tuple[Thing, ...]
    start: tuple[Cell, str] | None
    walkable: frozenset[Cell]

    @property
    def width(self) -> int:
        """Cells from left to right."""
        return len(self.rows[0])

    @property
    def height(self) -> int:
        """Cells from top to bottom."""
        return len(self.rows)


@lru_cache
def tileset(name: str) -> dict[str, Block]:
    """The legend of a tileset by character, in the order of the file."""
    blocks: dict[str, Block] = {}
    for group in read_groups(GAME / "tiles" / f"{name}.txt"):
        for block in _blocks(group):
            if block.char in blocks:
                raise InputError(f"{group.place}: the character {block.char!r} stands for two blocks")
            blocks[block.char] = block
    return blocks


def _blocks(group: Group) -> Iterable[Block]:
    """``= .=grass T=tree:solid``, or, for a drawing of many cells, ``= ab/cd=tower:solid!d``; ``!`` excepts cells."""
    if len(group.words) != len(group.drawings):
        raise InputError(f"{group.place}: {len(group.words)} names over {len(group.drawings)} drawings")
    for word, drawing in zip(group.words, group.drawings, strict=True):
        chars, _, rest = word.partition("=")
        name, *flags = rest.split(":")
        cells = [cell for row in cut(drawing, 16, 16) for cell in row]
        letters = chars.replace("/", "") if len(chars) > 1 else chars
        if len(letters) != len(cells):
            raise InputError(f"{group.place}: {name} has {len(cells)} cells, {len(letters)} characters")
        for letter, pixels in zip(letters, cells, strict=True):
            kept = (flag.partition("!")[0] for flag in flags if letter not in flag.partition("!")[2])
            yield Block(letter, name, frozenset(kept), pixels)


def _cell(word: str) -> Cell:
    x, y = word.split(",")
    return int(x), int(y)


@lru_cache
def load_map(name: str) -> Map:
    """One map by name.

    Raises:
        InputError: an unknown setting, rows of unequal width, a character outside the legend.
    """
    path = GAME / "maps" / f"{name}.txt"
    settings: dict[str, str] = {}
    warps: list[Warp] = []
    things: list[Thing] = []
    start: tuple[Cell, str] | None = None
    lines = iter(path.read_text(encoding="ascii").splitlines())
    for line in lines:
        words = line.split()
        match words:
            case []:
                continue
            case ["cells"]:
                break
            case ["id" | "tileset" | "border" as key, value]:
                settings[key] = value
            case ["warp", at, target, cell, facing, *event]:
                warps.append(Warp(_cell(at), target, _cell(cell), facing, event[0] if event else None))
            case ["thing", at, sprite, facing, text]:
                things.append(Thing(_cell(at), sprite, facing, text))
            case ["start", at, facing]:
                start = (_cell(at), facing)
            case _:
                raise InputError(f"{path.name}: {line!r} is none of id, tileset, border, warp, thing, start, cells")
    rows = tuple(line for line in lines if line)
    legend = tileset(settings["tileset"])
    for row in rows:
        if len(row) != len(rows[0]) or not set(row) <= set(legend):
            raise InputError(f"{path.name}: {row!r} is not {len(rows[0])} characters of the {settings['tileset']} legend")
    blocked = {thing.at for thing in things}
    walkable = frozenset(
        (x, y)
        for y, row in enumerate(rows)
        for x, char in enumerate(row)
        if "solid" not in legend[char].flags and (x, y) not in blocked
    )
    return Map(
        name, int(settings["id"]), settings["tileset"], settings["border"], rows, tuple(warps), tuple(things), start, walkable
    )


@lru_cache
def maps() -> tuple[Map, ...]:
    """All maps, by id from 1."""
    found = sorted((load_map(path.stem) for path in (GAME / "maps").glob("*.txt")), key=lambda each: each.id)
    if [each.id for each in found] != list(range(1, len(found) + 1)):
        raise InputError("the maps' ids must count up from 1")
    return tuple(found)


def find_path(
    walkable: Collection[Cell],
    start: Cell,
    goals: Collection[Cell],
    avoid: Collection[Cell] = (),
    order: Iterable[str] = tuple(STEPS),
) -> list[str]:
    """The directions of a shortest way from ``start`` to the nearest of ``goals``, stepping on none of ``avoid``.

    Of equally short ways the one that begins with the directions first in ``order`` is taken.

    Raises:
        ValueError: there is no way.
    """
    steps = [(direction, *STEPS[direction]) for direction in order]
    came: dict[Cell, tuple[Cell, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        cell = queue.popleft()
        if cell in goals:
            way: list[str] = []
            while (step := came[cell]) is not None:
                cell = step[0]
                way.append(step[1])
            return way[::-1]
        for direction, dx, dy in steps:
            beside = (cell[0] + dx, cell[1] + dy)
            if beside in walkable and beside not in came and (beside not in avoid or beside in goals):
                came[beside] = (cell, direction)
                queue.append(beside)
    raise ValueError(f"no way from {start} to {sorted(goals)}")
