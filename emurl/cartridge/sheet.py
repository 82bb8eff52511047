"""The contact sheet of the game: ``python -m emurl.cartridge.sheet docs/mossdale.png``.

A runner plays a whole game while the sheet waits for each kind of screen to come by, then the menus are leafed through
from a state saved on the way.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from emurl.cartridge import rom_path, symbols
from emurl.cartridge.bot import Style, play
from emurl.emulator.console import BUTTONS, GameBoy
from emurl.emulator.games.text import read_text

SEED = 1
"""The run the sheet shows."""

COLUMNS, SCALE, GAP = 5, 2, 4
_SETTLE = 6  # frames a screen must have stood before it is taken

See = Callable[[Callable[[str], int], str], bool]
"""Whether this is the screen waited for, from named bytes of memory and the text of the box."""


def _in(text: str) -> See:
    return lambda at, box: text in box and bool(at("wTextWaiting"))


def _flows(text: str) -> See:
    return lambda at, box: text in box


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
    ("seen", _in("I saw you!")), ("wren", _flows("out\nLAMPMOTH!")), ("points", _flows("points.")),
    ("hollow", _walks(4, 5, 8)), ("maze", _walks(8, 5, 5)), ("tower", _walks(4, 7, 4)), ("gym", _walks(9, None, 8)),
    ("lamp", _in("Click!")), ("open", _in("gate opens")), ("alder", _flows("out\nSNAILOR!")), ("owl", _flows("out\nGLOAMOWL!")),
    ("badge", _in("BADGE")), ("end", _mode(4)),
)  # fmt: skip
"""The screens of a run in the order they come by, each by a name and what tells it."""

_LEAF = (
    ("start menu", ("start",)), ("partner page", ("a",)), ("bag", ("b", "start", "down", "a")),
    ("bestiary", ("b", "start", "down", "down", "a")), ("bestiary", ("right", "right", "right")),
    ("options", ("b", "start", "down", "down", "down", "a")),
)  # fmt: skip


def screens(seed: int = SEED) -> dict[str, np.ndarray]:
    """Every screen of the game by name: canonical frames uint8 (144, 160)."""
    address = symbols()
    found: dict[str, np.ndarray] = {}
    waiting = dict(SCREENS)
    stood: dict[str, int] = {}
    state: list[bytes] = []
    lit = [False]

    def look(console: GameBoy) -> None:
        def at(name: str) -> int:
            return console.read(address[name])[0]

        box = read_text(console).text
        lit.append(console.read(0xFF47)[0] == 0xE4)  # the palette, and so whether this picture is in the midst of a fade
        for name in list(waiting):
            stood[name] = stood.get(name, 0) + 1 if all(lit[-2:]) and waiting[name](at, box) else 0
            moves = name in ("bedroom", "house", "town", "lodge", "gate", "route", "grass", "hollow", "maze", "tower", "gym")
            if stood[name] >= (1 if moves else 30 if name in ("title", "end") else _SETTLE):
                found[name] = console.frame()
                del waiting[name]
        if not state and "badge" in found and _walks(9)(at, box):
            state.append(console.save())

    console = GameBoy(rom_path())
    style = replace(Style.plain(seed % 3), best_move=1.0)
    play(console, seed, look, render_every=1, style=style)
    found = {name: found[name] for name, _ in SCREENS if name in found}
    if state:
        console.load(state[0])
        for button in BUTTONS:
            console.release(button)
        console.tick(40)
        for name, buttons in _LEAF:
            for button in buttons:
                console.step(BUTTONS.index(button), 16)
                console.tick(30)
            found[f"{name} {len(found)}" if name in found else name] = console.frame()
    console.close()
    return found


def sheet(frames: list[np.ndarray]) -> np.ndarray:
    """Frames side by side, enlarged: uint8 (H, W) grey."""
    rows = -(-len(frames) // COLUMNS)
    high, wide = 144 + GAP, 160 + GAP
    canvas = np.full((rows * high + GAP, COLUMNS * wide + GAP), 128, np.uint8)
    for number, frame in enumerate(frames):
        y, x = GAP + number // COLUMNS * high, GAP + number % COLUMNS * wide
        canvas[y : y + 144, x : x + 160] = frame * 85
    return canvas.repeat(SCALE, 0).repeat(SCALE, 1)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 1 where a screen never came by."""
    parser = argparse.ArgumentParser(prog="python -m emurl.cartridge.sheet", description=__doc__)
    parser.add_argument("file", type=Path, help="the .png to write")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    from PIL import Image

    found = screens(options.seed)
    missing = [name for name, _ in SCREENS if name not in found]
    Image.fromarray(sheet(list(found.values()))).save(options.file, optimize=True)
    print(f"{options.file}: {len(found)} screens" + (f", never seen: {', '.join(missing)}" if missing else ""))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
