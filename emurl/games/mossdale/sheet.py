"""The contact sheet of the game: ``python -m emurl.games.mossdale.sheet docs/mossdale.png``.

Runners play whole games while the sheet waits for each kind of screen to come by: a good one, one that is beaten on the way
and one that takes care. Then the menus, and what none of them does, are shown from states saved on the way.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emurl.core.errors import InputError
from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.envs.gameboy.memory_text import read_text
from emurl.games.mossdale.bot import Style, play
from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge, find_cartridge
from emurl.games.mossdale.plot import plot
from emurl.games.mossdale.world import maps

COLUMNS, SCALE, GAP = 6, 2, 4
_SETTLE = 6  # frames a screen must have stood before it is taken

See = Callable[[Callable[[str], int], str], bool]
"""Whether this is the screen waited for, from named bytes of memory and the text of the box."""


Screen = tuple[str, See]
"""A screen's name, and what tells it."""


def _in(text: str) -> See:
    return lambda at, box: text in box and bool(at("wTextWaiting"))


def _flows(text: str) -> See:
    return lambda at, box: text in box and bool(at("wTextStands"))


def _walks(place: int, x: int | None = None, y: int | None = None) -> See:
    def see(at: Callable[[str], int], box: str) -> bool:
        if at("wGameMode") != 3 or at("wFading") or at("wFontLoaded") or at("wStepLeft") or at("wCurMap") != place:
            return False
        return (x is None or at("wXCoord") == x) and (y is None or at("wYCoord") == y)

    return see


def _menu(kind: int) -> See:
    return lambda at, box: at("wMenu") == kind


def _mode(mode: int) -> See:
    return lambda at, box: at("wGameMode") == mode


@dataclass(frozen=True)
class Wanted:
    """A cartridge's ``sheet.txt``.

    Attributes:
        screens: of a run, in the order they come by. healed_after, ledge_after: the screens after which two others are shown.
        ledge: the map, and a cell of it above a ledge, which no runner takes.
        beaten: seed and partner of somebody who is beaten on the way.
        careful: the seed of somebody who takes care, for what the good and the beaten run do not show.
    """

    screens: tuple[Screen, ...]
    healed_after: str
    ledge_after: str
    ledge: tuple[str, tuple[int, int]]
    beaten: tuple[int, int] = (6, 0)
    careful: int = 4


def wanted(of: Cartridge) -> Wanted:
    """The screens a cartridge's sheet shows, a line each, parted by ``|``: name, then one of

    ``mode N``, ``menu N`` (wGameMode, wMenu), ``walks MAP [X|-] [Y|-]``, ``in TEXT`` (a page that waits), ``flows TEXT`` (one
    that goes on by itself; ``/`` is a line's end). ``ledge MAP X,Y NAME`` and ``healed NAME`` say what the other two screens
    come after, ``beaten SEED PARTNER`` and ``careful SEED`` who shows the rest.

    Raises:
        InputError: a line of another form.
    """
    numbers = {each.name: each.id for each in maps(of)}
    screens: list[Screen] = []
    healed, ledge, beaten, careful = "", ("", "", (0, 0)), (6, 0), 4
    for number, line in enumerate(of.source("sheet.txt").read_text(encoding="ascii").splitlines(), start=1):
        name, _, rest = (part.strip() for part in line.partition("|"))
        kind, _, what = rest.partition(" ")
        match (kind, *what.split()):
            case ("",) if not name or name.startswith("#"):
                continue
            case ("ledge", place, at, after):
                x, _, y = at.partition(",")
                ledge = (after, place, (int(x), int(y)))
            case ("healed", after):
                healed = after
            case ("beaten", seed, partner):
                beaten = (int(seed), int(partner))
            case ("careful", seed):
                careful = int(seed)
            case ("in" | "flows", *words) if words:
                screens.append((name, (_in if kind == "in" else _flows)(what.replace("/", "\n"))))
            case ("mode", value):
                screens.append((name, _mode(int(value))))
            case ("menu", value):
                screens.append((name, _menu(int(value))))
            case ("walks", place, *cell) if place in numbers and len(cell) <= 2:
                column, row = (None if each == "-" else int(each) for each in [*cell, "-", "-"][:2])
                screens.append((name, _walks(numbers[place], column, row)))
            case _:
                raise InputError(
                    f"sheet.txt:{number}: {line!r} is none of mode, menu, walks, in, flows, ledge, healed, beaten, careful"
                )
    return Wanted(tuple(screens), healed, ledge[0], ledge[1:], beaten, careful)


_LEAF = (
    ("start menu", ("start",)), ("partner page", ("a",)), ("bag", ("b", "start", "down", "a")), ("bag in use", ("a",)),
    ("bestiary", ("b", "b", "start", "down", "down", "a")), ("bestiary, a friend", ("right",)),
    ("bestiary, seen", ("right", "right")), ("options", ("b", "start", "down", "down", "down", "a")),
)  # fmt: skip
"""Pages of the menu after the badge, each from the one before."""


class _Search:
    """The screens still missing, those found (canonical frames by name), and the states saved on the way."""

    def __init__(self, of: Cartridge, screens: Wanted) -> None:
        self.address = of.symbols()
        self.screens = screens
        self.gym = next(each.id for each in maps(of) if any(thing.of == plot(of).leader for thing in each.things))
        self.waiting = dict(screens.screens)
        self.found: dict[str, np.ndarray] = {}
        self.states: dict[str, bytes] = {}
        self._stood: dict[str, int] = {}
        self._lit = [False, False]
        self._moving = {name for name, see in screens.screens if see.__name__ == "see"}

    def look(self, console: GameBoy) -> None:
        """Once a frame of a run."""

        def at(name: str) -> int:
            return console.read(self.address[name])[0]

        box = read_text(console).text
        self._lit = [self._lit[1], console.read(0xFF47)[0] == 0xE4]  # the palette: is this picture in the midst of a fade
        for name in list(self.waiting):
            stands = all(self._lit) and self.waiting[name](at, box)
            self._stood[name] = self._stood.get(name, 0) + 1 if stands else 0
            if self._stood[name] >= (1 if name in self._moving else 30 if name in ("title", "end") else _SETTLE):
                self.found[name] = console.frame()
                del self.waiting[name]
                if name == self.screens.healed_after:
                    self.states["healed"] = console.save()
                if name == self.screens.ledge[0]:
                    self.states["ledge"] = console.save()
        if "badge" in self.found and "badge" not in self.states and _walks(self.gym)(at, box):
            self.states["badge"] = console.save()

    def press(self, console: GameBoy, buttons: Sequence[str], ticks: int = 40) -> np.ndarray:
        """Buttons one after another; what the screen shows then."""
        for button in buttons:
            console.step(BUTTONS.index(button), 16)
            console.tick(ticks)
        return console.frame()

    def leaf(self, console: GameBoy) -> None:
        """From the saved states: the hearth's nurse, a ledge, the menu's pages."""
        for name, state in self.states.items():
            console.load(state)
            for button in BUTTONS:
                console.release(button)
            console.tick(40)
            if name == "healed":  # whoever wakes up there looks at the nurse
                self.press(console, ("a",), 120)
                self.found["healed"] = self.press(console, ("a",), 150)
            elif name == "ledge":
                self.press(console, ("start", "down", "down", "down", "a"))
                console.memory[self.address["wXCoord"]], console.memory[self.address["wYCoord"]] = self.screens.ledge[1]
                self.press(console, ("b",))
                self.found["ledge"] = self.press(console, ("down",), 1)
            else:
                for page, buttons in _LEAF:
                    self.found[page] = self.press(console, buttons, 30)


def screens(of: Cartridge = MOSSDALE) -> dict[str, np.ndarray]:
    """Every screen of the game by name: canonical frames uint8 (144, 160)."""
    shown = wanted(of)
    search = _Search(of, shown)
    good, plain = replace(Style.plain(1), best_move=1.0), Style.plain(shown.beaten[1])
    runs: tuple[tuple[int, Style | None], ...] = ((1, good), (shown.beaten[0], plain), (shown.careful, None))
    for seed, style in runs:
        console = GameBoy(of.rom)
        play(console, seed, search.look, render_every=1, style=style, of=of)
        if (seed, style) == runs[-1]:
            search.leaf(console)
        console.close()
    order = [name for name, _ in shown.screens]
    order.insert(order.index(shown.healed_after) + 1, "healed")
    order.insert(order.index(shown.ledge_after) + 1, "ledge")
    order += [name for name, _ in _LEAF]
    return {name: search.found[name] for name in order if name in search.found}


def sheet(frames: list[np.ndarray]) -> np.ndarray:
    """Frames side by side, enlarged: uint8 (H, W) gray."""
    rows = -(-len(frames) // COLUMNS)
    high, wide = 144 + GAP, 160 + GAP
    canvas = np.full((rows * high + GAP, COLUMNS * wide + GAP), 128, np.uint8)
    for number, frame in enumerate(frames):
        y, x = GAP + number // COLUMNS * high, GAP + number % COLUMNS * wide
        canvas[y : y + 144, x : x + 160] = frame * 85
    return canvas.repeat(SCALE, 0).repeat(SCALE, 1)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 1 where a screen never came by."""
    parser = argparse.ArgumentParser(prog="python -m emurl.games.mossdale.sheet", description=__doc__)
    parser.add_argument("file", type=Path, help="the .png to write")
    parser.add_argument("--game", default=MOSSDALE.name, help="which game of this engine (default: %(default)s)")
    options = parser.parse_args(arguments)
    from PIL import Image

    of = find_cartridge(options.game)
    found = screens(of)
    missing = [name for name, _ in wanted(of).screens if name not in found]
    Image.fromarray(sheet(list(found.values()))).save(options.file, optimize=True)
    print(f"{options.file}: {len(found)} screens" + (f", never seen: {', '.join(missing)}" if missing else ""))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
