"""The embedded game's own pictures with what colour consoles need to know: which layer drew each pixel.

A Game Boy Color gives an old cartridge three palettes: one for the background, two for the sprites. Told to use palettes
that are codes, the emulator shows layer and shade of every pixel; any colouring of any console can be painted from that, and
the shade alone is the very frame the grey console shows.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from pyboy import PyBoy

from emurl import cartridge
from emurl.cartridge import bot
from emurl.emulator.console import GameBoy
from emurl.screen import HEIGHT, WIDTH

TICKS = 2  # a picture is kept every second tick
RATE = 4194304 / 70224 / TICKS  # pictures a second
GREYS = (0xFF, 0x99, 0x55, 0x00)
CODES = [[grey << 16 | layer << 8 for grey in GREYS] for layer in range(3)]  # background, first and second sprite palette

Colour = tuple[int, int, int]
Palette = tuple[Colour, Colour, Colour, Colour]  # dark to light


class ColourConsole(GameBoy):
    """A console whose red is the grey console's grey, and whose green is the layer."""

    def __init__(self) -> None:
        super().__init__(cartridge.rom_path())
        self._pyboy.stop(save=False)
        self._pyboy = PyBoy(
            io.BytesIO(self.rom.read_bytes()), window="null", sound_emulated=False, no_input=True, log_level="CRITICAL",
            cgb=True, cgb_color_palette=CODES,
        )  # fmt: skip
        self._pyboy.set_emulation_speed(0)

    def coded(self) -> np.ndarray:
        """uint8 (144, 160): 4 · layer + brightness rank."""
        return self._pyboy.screen.ndarray[..., 1] * np.uint8(4) + self.frame()


def playthrough(seed: int, folder: Path) -> np.ndarray:
    """One whole run of the bot, `RATE` pictures a second since power-on: coded uint8 (n, 144, 160), read from a file in `folder`."""
    file = folder / f"run{seed}.npy"
    if not file.exists():
        with ColourConsole() as console:
            record = bot.play(console, seed, render_every=0, end_ticks=0)
        assert record.finished, f"the bot does not finish seed {seed} on a colour console"
        presses, held = list(record.presses), None
        out = np.lib.format.open_memmap(file.with_suffix(".part"), "w+", np.uint8, (record.ticks // TICKS, HEIGHT, WIDTH))
        with ColourConsole() as console:
            for number in range(len(out)):
                goal = (number + 1) * TICKS
                while presses and presses[0][0] < goal:
                    tick, button = presses.pop(0)
                    if tick > console.frames:
                        console.tick(tick - console.frames, render=False)
                    if held:
                        console.release(held)
                    if button:
                        console.press(button)
                    held = button
                if goal > console.frames:
                    console.tick(goal - console.frames)
                out[number] = console.coded()
        out.flush()
        file.with_suffix(".part").rename(file)
    return np.load(file, mmap_mode="r")


def _rgb(text: str) -> Colour:
    return int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)


def _palette(text: str) -> Palette:
    light_first = [_rgb(part) for part in text.split()]
    return light_first[3], light_first[2], light_first[1], light_first[0]


# Background, sprites 0, sprites 1 of the colour console's built-in palettes (Pan Docs, "Compatibility palettes"), light first.
GBC = {
    name: tuple(_palette(part) for part in text.split(","))
    for name, text in {
        "red": "FFFFFF FF8484 943A3A 000000,FFFFFF 7BFF31 008400 000000,FFFFFF FF8484 943A3A 000000",
        "blue": "FFFFFF 63A5FF 0000FF 000000,FFFFFF FF8484 943A3A 000000,FFFFFF 7BFF31 008400 000000",
        "green": "FFFFFF 7BFF31 008400 000000,FFFFFF FF8484 943A3A 000000,FFFFFF FF8484 943A3A 000000",
        "brown": "FFFFFF FFAD63 843100 000000,FFFFFF FF8484 943A3A 000000,FFFFFF 63A5FF 0000FF 000000",
        "dark brown": "FFE6C5 CE9C84 846B29 5A3108,FFFFFF FFAD63 843100 000000,FFFFFF FFAD63 843100 000000",
        "pastel": "FFFFA5 FF9494 9494FF 000000,FFFFA5 FF9494 9494FF 000000,FFFFA5 FF9494 9494FF 000000",
        "yellow": "FFFFFF FFFF00 7B4A00 000000,FFFFFF 63A5FF 0000FF 000000,FFFFFF 7BFF31 008400 000000",
        "orange": "FFFFFF FFFF00 FF0000 000000,FFFFFF FFFF00 FF0000 000000,FFFFFF FFFF00 FF0000 000000",
    }.items()
}  # fmt: skip

# What a Super Game Boy shows from town to town: paper and ink stay, the two shades between change.
SGB = tuple(
    _palette(f"FFEFFF {middle} 181010")
    for middle in (
        "F7B58C 84739C", "A5D6FF 5A8CC6", "D6E78C 5A9C4A", "DEB5E7 8C5AA5", "F7DE73 B58421", "F7A5A5 BD4A52", "9CDECE 428C84",
        "CECECE 7B7B84", "E7C6A5 946B4A",
    )
)  # fmt: skip


def table(layers: tuple[Palette, ...]) -> np.ndarray:
    """RGB of every code, uint8 (12, 3); one palette stands for all three layers."""
    three = layers * 3 if len(layers) == 1 else layers
    return np.array([colour for palette in three for colour in palette], np.uint8)
