"""The contact sheet of the game: ``python -m emurl.games.mossdale.sheet docs/mossdale.png``.

Runners play whole games while the sheet waits for each kind of screen to come by: a good one, one that is beaten on the way
and one that takes care. Then the menus, and what none of them does, are shown from states saved on the way.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.envs.gameboy.memory_text import read_text
from emurl.games.mossdale import rom_path, symbols
from emurl.games.mossdale.bot import Style, play

RUNS: tuple[tuple[int, Style | None], ...] = ((1, replace(Style.plain(1), best_move=1.0)), (6, Style.plain(0)), (4, None))
"""The runs the sheet shows, by seed and person: each fills in what did not come by in those before."""

COLUMNS, SCALE, GAP = 6, 2, 4
_SETTLE = 6  # frames a screen must have stood before it is taken

See = Callable[[Callable[[str], int], str], bool]
"""Whether this is the screen waited for, from named bytes of memory and the text of the box."""


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


SCREENS: tuple[tuple[str, See], ...] = (
    ("title", _mode(1)), ("intro", _in("Warden")), ("mosslings", _in("Mosslings")), ("name", _menu(1)),
    ("task", _in("light its")), ("bedroom", _walks(1)), ("house", _walks(2)), ("town", _walks(3)), ("lodge", _walks(7)),
    ("nest", _menu(2)), ("partner", _in("partner now!")), ("gate", _walks(3, 14)), ("route", _walks(4)),
    ("grass", _walks(4, None, 31)),
    ("wild", _flows("comes closer!")), ("battle", _menu(3)), ("moves", _menu(4)), ("strong", _flows("hits home")),
    ("weak", _flows("hardly stings")), ("items", _menu(5)), ("balm", _flows("A BALM")), ("level", _flows("grows to")),
    ("faint", _flows("can not\ngo on!")), ("blackout", _in("hurries")), ("hearth", _walks(6)),
    ("seen", _in("I saw you!")), ("wren", _flows("out\nLAMPMOTH!")), ("points", _flows("points.")),
    ("hollow", _walks(4, 5, 8)), ("maze", _walks(8, 5, 5)), ("tower", _walks(4, 7, 4)), ("gym", _walks(9, None, 8)),
    ("lamp", _in("Click!")), ("open", _in("gate opens")), ("alder", _flows("out\nSNAILOR!")), ("owl", _flows("out\nGLOAMOWL!")),
    ("badge", _in("BADGE")), ("end", _mode(4)),
)  # fmt: skip
"""The screens of a run in the order they come by, each by a name and what tells it."""

_LEAF = (
    ("start menu", ("start",)), ("partner page", ("a",)), ("bag", ("b", "start", "down", "a")), ("bag in use", ("a",)),
    ("bestiary", ("b", "b", "start", "down", "down", "a")), ("bestiary, a friend", ("right",)),
    ("bestiary, seen", ("right", "right")), ("options", ("b", "start", "down", "down", "down", "a")),
)  # fmt: skip
"""Pages of the menu after the badge, each from the one before."""

_LEDGE = (5, 21)
"""A cell of the route above a ledge, which no runner takes: their way leads north."""

_MOVING = ("bedroom", "house", "town", "lodge", "gate", "route", "grass", "hollow", "maze", "tower", "gym", "hearth")


class _Search:
    """The screens still missing, those found (canonical frames by name), and the states saved on the way."""

    def __init__(self) -> None:
        self.address = symbols()
        self.waiting = dict(SCREENS)
        self.found: dict[str, np.ndarray] = {}
        self.states: dict[str, bytes] = {}
        self._stood: dict[str, int] = {}
        self._lit = [False, False]

    def look(self, console: GameBoy) -> None:
        """Once a frame of a run."""

        def at(name: str) -> int:
            return console.read(self.address[name])[0]

        box = read_text(console).text
        self._lit = [self._lit[1], console.read(0xFF47)[0] == 0xE4]  # the palette: is this picture in the midst of a fade
        for name in list(self.waiting):
            stands = all(self._lit) and self.waiting[name](at, box)
            self._stood[name] = self._stood.get(name, 0) + 1 if stands else 0
            if self._stood[name] >= (1 if name in _MOVING else 30 if name in ("title", "end") else _SETTLE):
                self.found[name] = console.frame()
                del self.waiting[name]
                if name in ("route", "hearth"):
                    self.states[name] = console.save()
        if "badge" in self.found and "badge" not in self.states and _walks(9)(at, box):
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
            if name == "hearth":  # whoever wakes up there looks at the nurse
                self.press(console, ("a",), 120)
                self.found["healed"] = self.press(console, ("a",), 150)
            elif name == "route":
                self.press(console, ("start", "down", "down", "down", "a"))
                console.memory[self.address["wXCoord"]], console.memory[self.address["wYCoord"]] = _LEDGE
                self.press(console, ("b",))
                self.found["ledge"] = self.press(console, ("down",), 1)
            else:
                for page, buttons in _LEAF:
                    self.found[page] = self.press(console, buttons, 30)


def screens() -> dict[str, np.ndarray]:
    """Every screen of the game by name: canonical frames uint8 (144, 160)."""
    search = _Search()
    for seed, style in RUNS:
        console = GameBoy(rom_path())
        play(console, seed, search.look, render_every=1, style=style)
        if (seed, style) == RUNS[-1]:
            search.leaf(console)
        console.close()
    order = [name for name, _ in SCREENS]
    order.insert(order.index("hearth") + 1, "healed")
    order.insert(order.index("grass") + 1, "ledge")
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
    options = parser.parse_args(arguments)
    from PIL import Image

    found = screens()
    missing = [name for name, _ in SCREENS if name not in found]
    Image.fromarray(sheet(list(found.values()))).save(options.file, optimize=True)
    print(f"{options.file}: {len(found)} screens" + (f", never seen: {', '.join(missing)}" if missing else ""))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
