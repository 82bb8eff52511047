"""Three hundred ways to set up a stream, drawn from a seed: what stands where, in which colours, for how long.

`KINDS` are videos that hold one screen, `WITHOUT` hold none, `AMBIGUOUS` hold more than one or only a part of one. Every video
also draws its place, scale, scaler, frame rate, bit rate and panel at random, whatever its kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from footage_game import GBC, SGB, Palette

from emurl.cartridge.broadcast.look import GAME_COLOURS
from emurl.screen import HEIGHT, WIDTH

Rect = tuple[int, int, int, int]

KINDS = (
    "plain", "integer", "aspect", "overlay", "camera", "dark", "menu", "cards", "switch", "tint", "gbc", "sgb", "variable",
    "portrait", "transcoded", "small", "race with a side named",
)  # fmt: skip
WITHOUT = ("camera only", "slides", "16-bit game", "advance game", "8-bit game", "3d game", "desktop")
AMBIGUOUS = ("race", "four players", "cut off", "mirror")

# What scales the game up before the stream is encoded; "twice" draws it at one size and scales that to another, as a capture
# at one resolution streamed at another does.
SCALERS = {
    "nearest": cv2.INTER_NEAREST,  # takes the source at a pixel's edge
    "point": cv2.INTER_NEAREST_EXACT,  # takes it at a pixel's middle
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}


@dataclass(frozen=True)
class Screen:
    """One game screen on the canvas between two shares of the video's time, showing the clip of player `clip`."""

    rect: Rect
    scaler: str
    start: float = 0.0
    end: float = 1.0
    clip: int = 0


@dataclass(frozen=True)
class Layout:
    """One video. `screens` are all game screens in it; `expect` is "screen", "none" or "ambiguous"."""

    number: int
    seed: int
    kind: str
    expect: str
    size: tuple[int, int]
    rate: int
    variable: bool
    seconds: float
    bit_rate: int  # kbit/s at 720p
    screens: tuple[Screen, ...]
    camera: Rect
    panel: Rect
    shake: float  # how wildly the camera moves, pixels
    palettes: tuple[tuple[Palette, ...], ...]  # one, or one after another
    tint: tuple[float, ...] = (1, 1, 1, 0)  # gains of red, green, blue, and an offset
    cards: tuple[float, float] = (0.0, 0.0)  # shares of the time before and after that show a card
    still: tuple[float, float] = (0.0, 0.0)  # between these shares the game stands still
    dark: tuple[float, float] = (0.0, 0.0)  # between these shares the game shows its darkest shades only
    overlays: tuple[Rect, ...] = ()
    side: str | None = None
    extra: dict[str, int] = field(default_factory=dict)

    @property
    def integer(self) -> bool:
        """Whether every source pixel became the same whole number of pixels."""
        return all(s.scaler in ("nearest", "point") and s.rect[2] % WIDTH == 0 and s.rect[3] % HEIGHT == 0 for s in self.screens)


def layouts(count: int, seed: int) -> list[Layout]:
    """`count` layouts, two thirds of which hold one screen; the first ones go through all kinds in turn."""
    found = []
    for number in range(count):
        turn = number // 3
        if number % 3 == 2:
            pool = AMBIGUOUS if turn % 2 else WITHOUT
            found.append(layout(pool[turn // 2 % len(pool)], number, seed))
        else:
            found.append(layout(KINDS[(2 * turn + number % 3) % len(KINDS)], number, seed))
    return found


def layout(kind: str, number: int, seed: int) -> Layout:
    """One layout of a kind."""
    rng = np.random.default_rng([seed, number, 0xF007])
    portrait = kind == "portrait"
    size = (720, 1280) if portrait else (1280, 720)
    scale = float(rng.uniform(1.2, 4.5))
    scaler = str(rng.choice(["nearest", "point", "linear", "cubic", "lanczos"]))
    if kind == "integer" or (rng.random() < 0.35 and kind not in ("small", "aspect")):
        scale, scaler = float(rng.integers(2, 5)), "nearest"
    if kind == "small":
        scale = float(rng.uniform(1.2, 1.7))
    if kind == "transcoded":
        scaler = "twice"
    wide = 1.0 + (float(rng.uniform(0.005, 0.03)) * (1 if rng.random() < 0.5 else -1) if kind == "aspect" else 0.0)
    shape = (round(WIDTH * scale * wide), round(HEIGHT * scale))
    game = _somewhere(size, shape, rng)
    screens: tuple[Screen, ...] = (Screen(game, scaler),)
    camera, panel = _beside(size, game, rng)
    more: dict[str, object] = {}
    if kind == "switch":
        at = float(rng.uniform(0.4, 0.6))
        second = float(rng.uniform(1.4, 4.4))
        other = _somewhere(size, (round(WIDTH * second), round(HEIGHT * second)), rng)
        screens = (Screen(game, scaler, 0, at), Screen(other, str(rng.choice(list(SCALERS))), at, 1))
    elif kind == "overlay":
        more["overlays"] = _overlays(game, rng)
    elif kind == "camera":
        more["shake"] = float(rng.uniform(15, 40))
    elif kind == "dark":
        start = float(rng.uniform(0.1, 0.35))
        more["dark"] = (start, start + float(rng.uniform(0.4, 0.6)))
    elif kind == "menu":
        start = float(rng.uniform(0.1, 0.3))
        more["still"] = (start, start + float(rng.uniform(0.5, 0.65)))
    elif kind == "cards":
        more["cards"] = (float(rng.uniform(0.1, 0.25)), float(rng.uniform(0.1, 0.25)))
    elif kind == "tint":
        gains = rng.uniform(0.65, 1.0, 3)
        more["tint"] = (*(float(g) for g in gains), float(rng.uniform(0, 30)))
    elif kind in ("race", "race with a side named", "mirror"):
        screens = _two(size, scaler, rng, kind == "mirror")
        camera, panel = (20, 20, 200, 110), (size[0] - 420, 20, 400, 110)
        more["side"] = str(rng.choice(["left", "right"])) if kind == "race with a side named" else None
    elif kind == "four players":
        scale = float(rng.uniform(1.5, 2.3))
        w, h = round(WIDTH * scale), round(HEIGHT * scale)
        places = [(x, y) for y in (20, 700 - h) for x in (120, 1160 - w)]
        screens = tuple(Screen((x, y, w, h), scaler, clip=n) for n, (x, y) in enumerate(places))
        camera, panel = (560, 280, 160, 160), (520, 20, 230, 200)
    elif kind == "cut off":
        scale = float(rng.uniform(2.5, 4.5))
        w, h = round(WIDTH * scale), round(HEIGHT * scale)
        lost = float(rng.uniform(0.15, 0.4))
        x = -round(w * lost) if rng.random() < 0.5 else size[0] - round(w * (1 - lost))
        screens = (Screen((x, max(0, (720 - h) // 2), w, h), scaler),)
        camera, panel = _beside(size, (max(0, x), 0, w - round(w * lost), 720), rng)
    elif kind in WITHOUT:
        screens = (Screen(game, scaler),) if kind.endswith("game") else ()
    expect = "none" if kind in WITHOUT else "ambiguous" if kind in AMBIGUOUS else "screen"
    return Layout(
        number=number, seed=seed, kind=kind, expect=expect, size=size,
        rate=int(rng.choice([50, 60] if kind == "variable" else [25, 30, 30, 30, 60])), variable=kind == "variable",
        seconds=float(rng.integers(23, 28)), bit_rate=int(rng.integers(4000, 6001)), screens=screens, camera=camera, panel=panel,
        palettes=_colours(kind, rng), **{"shake": float(rng.uniform(0, 8)), **more},  # type: ignore[arg-type]
    )  # fmt: skip


def _somewhere(size: tuple[int, int], shape: tuple[int, int], rng: np.random.Generator) -> Rect:
    width, height = min(shape[0], size[0]), min(shape[1], size[1])
    snug = rng.random() < 0.2  # in a corner
    x = int(rng.choice([0, size[0] - width])) if snug else int(rng.integers(0, size[0] - width + 1))
    y = int(rng.choice([0, size[1] - height])) if snug else int(rng.integers(0, size[1] - height + 1))
    return x, y, width, height


def _beside(size: tuple[int, int], game: Rect, rng: np.random.Generator) -> tuple[Rect, Rect]:
    """Camera and panel in the largest strips that the game leaves: they may touch it, or be covered by it."""
    x, y, width, height = game
    strips = [(0, 0, x, size[1]), (x + width, 0, size[0] - x - width, size[1])]
    strips += [(0, 0, size[0], y), (0, y + height, size[0], size[1] - y - height)]
    strips.sort(key=lambda s: -min(s[2], 2 * s[3]) * s[3])
    left, top, w, h = strips[0]
    gap = 0 if rng.random() < 0.3 else int(rng.integers(4, 20))
    w, h = max(w - 2 * gap, 48), max(h - 2 * gap, 48)
    cut = int(h * rng.uniform(0.35, 0.6))
    camera, panel = (left + gap, top + gap, w, cut), (left + gap, top + gap + cut, w, h - cut)
    return (
        (camera, panel)
        if rng.random() < 0.5
        else ((*camera[:1], camera[1] + h - cut, *camera[2:]), (left + gap, top + gap, w, h - cut))
    )


def _two(size: tuple[int, int], scaler: str, rng: np.random.Generator, mirror: bool) -> tuple[Screen, ...]:
    scale = float(rng.uniform(2.2, 3.7))
    w, h = round(WIDTH * scale), round(HEIGHT * scale)
    y = int(rng.integers(140, size[1] - h + 1)) if size[1] - h > 140 else size[1] - h
    gap = (size[0] - 2 * w) // 3
    return Screen((gap, y, w, h), scaler), Screen((2 * gap + w, y, w, h), scaler, clip=0 if mirror else 1)


def _overlays(game: Rect, rng: np.random.Generator) -> tuple[Rect, ...]:
    """Boxes that touch the game's border or reach a few game pixels over it."""
    x, y, width, height = game
    boxes = []
    for side in rng.permutation(4)[: int(rng.integers(1, 3))]:
        over = int(rng.integers(0, max(2, height // 24)))
        long, thick = int(width * rng.uniform(0.2, 0.6)), int(rng.integers(24, 60))
        along_x, along_y = x + int(rng.uniform(0, width - long)), y + int(rng.uniform(0, max(1, height - long)))
        boxes.append(
            [(along_x, y - thick + over, long, thick), (along_x, y + height - over, long, thick),
             (x - thick + over, along_y, thick, long), (x + width - over, along_y, thick, long)][side]
        )  # fmt: skip
    return tuple(boxes)


def _colours(kind: str, rng: np.random.Generator) -> tuple[tuple[Palette, ...], ...]:
    if kind == "gbc":
        return (GBC[str(rng.choice(list(GBC)))],)
    if kind == "sgb":
        return tuple((SGB[i],) for i in rng.choice(len(SGB), int(rng.integers(3, 6)), replace=False))
    return ((GAME_COLOURS[str(rng.choice(["grey", "grey", *GAME_COLOURS]))],),)
