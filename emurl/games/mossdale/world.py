"""The cartridge's maps as data, parsed from the same ASCII sources the ROM is built from.

A map file is lines of settings, the word ``cells``, then the map with one character a 16×16 cell. The legend is the
tileset: ``game/tiles/<tileset>.txt`` names every character. Settings:

    id 3
    tileset outdoor
    border T                                            the cell outside the map
    warp 6,14 house 3,6 up [event]                      stepping on 6,14 leads to the house, cell 3,6, looking up
    thing 4,4 keeper down talk_keeper [kind [of]]       a sprite (or ``sign``: drawn in the map), its text, what else it does
    patch 4,1 S badge                                   the cell becomes S once the event has happened
    wild TWIGGET 3                                      one of four monsters, with its level, that its tall grass hides
    start 2,5 down                                      where the game begins
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from emurl.core.errors import InputError
from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge
from emurl.games.mossdale.drawing import Group, Pixels, cut, read_groups
from emurl.games.mossdale.plot import Cell, plot

FACINGS = {"down": 0, "up": 4, "left": 8, "right": 12}
STEPS: Mapping[str, tuple[int, int]] = {"down": (0, 1), "up": (0, -1), "left": (-1, 0), "right": (1, 0)}
KINDS = ("talk", "heal", "nest", "trainer", "guard", "lever", "gift")
"""What a thing does besides talking: heals the party; offers the species named; fights as the trainer named; stands in the
way until the event named; is the lamp of that number (0-2); gives a balm once, setting the event named."""


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
    kind: str = "talk"
    of: str = ""


@dataclass(frozen=True)
class Patch:
    """The cell ``at`` becomes ``char`` once ``event`` has happened."""

    at: Cell
    char: str
    event: str


@dataclass(frozen=True)
class Map:
    """One map: ``rows`` of legend characters, what is on it, and which cells can be walked from the beginning.

    ``ledges`` are not among the walkable cells: they can be stepped on and left downwards only.
    """

    name: str
    id: int
    tileset: str
    border: str
    rows: tuple[str, ...]
    warps: tuple[Warp, ...]
    things: tuple[Thing, ...]
    start: tuple[Cell, str] | None
    walkable: frozenset[Cell]
    ledges: frozenset[Cell] = frozenset()
    grass: frozenset[Cell] = frozenset()
    patches: tuple[Patch, ...] = ()
    wild: tuple[tuple[str, int], ...] = ()
    legend: Mapping[str, Block] = field(default_factory=dict, compare=False, repr=False)

    def open_after(self, events: Collection[str], things: Collection[Cell] | None = None) -> frozenset[Cell]:
        """The walkable cells once these events have happened: patches laid, guards and gifts gone.

        ``things`` says where people and signs stand now, for maps on which somebody has moved.
        """
        legend = self.legend
        if things is None:
            gone = {thing.at for thing in self.things if thing.kind in ("guard", "gift") and thing.of in events}
            things = {thing.at for thing in self.things} - gone
        laid = {patch.at: patch.char for patch in self.patches if patch.event in events}
        return frozenset(
            (x, y)
            for y, row in enumerate(self.rows)
            for x, char in enumerate(row)
            if not legend[laid.get((x, y), char)].flags & {"solid", "ledge"} and (x, y) not in things
        )

    @property
    def width(self) -> int:
        """Cells from left to right."""
        return len(self.rows[0])

    @property
    def height(self) -> int:
        """Cells from top to bottom."""
        return len(self.rows)


@lru_cache
def tileset(name: str, of: Cartridge = MOSSDALE) -> dict[str, Block]:
    """The legend of a tileset by character, in the order of the file."""
    blocks: dict[str, Block] = {}
    for group in read_groups(of.source("tiles", f"{name}.txt")):
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
def load_map(name: str, of: Cartridge = MOSSDALE) -> Map:
    """One map by name.

    Raises:
        InputError: an unknown setting, rows of unequal width, a character outside the legend.
    """
    path = of.source("maps", f"{name}.txt")
    settings: dict[str, str] = {}
    warps: list[Warp] = []
    things: list[Thing] = []
    patches: list[Patch] = []
    wild: list[tuple[str, int]] = []
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
            case ["thing", at, sprite, facing, text, *more] if not more or more[0] in KINDS:
                things.append(Thing(_cell(at), sprite, facing, text, *more))
            case ["patch", at, char, event]:
                patches.append(Patch(_cell(at), char, event))
            case ["wild", species, level]:
                wild.append((species, int(level)))
            case ["start", at, facing]:
                start = (_cell(at), facing)
            case _:
                raise InputError(f"{path.name}: {line!r} is none of id, tileset, border, warp, thing, patch, wild, start, cells")
    rows = tuple(line for line in lines if line)
    legend = tileset(settings["tileset"], of)
    for row in rows:
        if len(row) != len(rows[0]) or not set(row) <= set(legend):
            raise InputError(f"{path.name}: {row!r} is not {len(rows[0])} characters of the {settings['tileset']} legend")
    blocked = {thing.at for thing in things}

    def flagged(flag: str) -> frozenset[Cell]:
        return frozenset((x, y) for y, row in enumerate(rows) for x, char in enumerate(row) if flag in legend[char].flags)

    every = frozenset((x, y) for y, row in enumerate(rows) for x in range(len(row)))
    return Map(
        name, int(settings["id"]), settings["tileset"], settings["border"], rows, tuple(warps), tuple(things), start,
        every - flagged("solid") - flagged("ledge") - blocked, flagged("ledge"), flagged("tall"), tuple(patches), tuple(wild),
        legend,
    )  # fmt: skip


@lru_cache
def maps(of: Cartridge = MOSSDALE) -> tuple[Map, ...]:
    """All maps, by id from 1; the goal's number is not among them."""
    goal = plot(of).goal[1]
    found = sorted((load_map(path.stem, of) for path in of.source("maps").glob("*.txt")), key=lambda each: each.id)
    if sorted([*(each.id for each in found), goal]) != list(range(1, len(found) + 2)):
        raise InputError(f"the maps' ids must count up from 1, {goal} left out")
    return tuple(found)


def find_path(
    walkable: Collection[Cell],
    start: Cell,
    goals: Collection[Cell],
    avoid: Collection[Cell] = (),
    order: Iterable[str] = tuple(STEPS),
    ledges: Collection[Cell] = (),
) -> list[str]:
    """The directions of a shortest way from ``start`` to the nearest of ``goals``, stepping on none of ``avoid``.

    Of equally short ways the one that begins with the directions first in ``order`` is taken. ``ledges`` are entered and
    left downwards only.

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
            if direction != "down" and (cell in ledges or beside in ledges):
                continue
            if (beside in walkable or beside in ledges) and beside not in came and (beside not in avoid or beside in goals):
                came[beside] = (cell, direction)
                queue.append(beside)
    raise ValueError(f"no way from {start} to {sorted(goals)}")
