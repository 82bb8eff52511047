"""How one runner's stream looks: where the game, the camera and the panel stand, in which colors, and how it is scaled.

No two runners set their stream up alike, which is the whole difficulty of finding the screen: 360 or 480 lines, 15 to 60 pictures a
second, scales from 1.75 to 3, integer and fractional, nearest or smoothed, gray or tinted, left or right. Everything follows
from (seed, number of the runner).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emurl.screen import HEIGHT, WIDTH

Rect = tuple[int, int, int, int]  # x, y, width, height in video pixels
Color = tuple[int, int, int]  # red, green, blue

RUNNERS = (
    "Fernwick", "mossbyte", "Tildebrook", "ottoline_", "QuietHarrow", "pixelpear", "Brindleroot", "sundial9",
    "Marrowmint", "zephyrkin", "LanternJo", "cobblewisp", "Thistledown", "bramble_bea", "Nettleford", "oakenshoe",
    "Pipistrel", "wrenlock", "GingerHollow", "lumen_tea",
)  # fmt: skip


@dataclass(frozen=True)
class Format:
    """What a stream is sent as: `width` and `height` in pixels, `fps` pictures a second."""

    width: int
    height: int
    fps: int


HD = Format(1280, 720, 30)
_SMALL, _MIDDLE = Format(640, 360, 15), Format(854, 480, 15)
# Of twenty runners in turn. Most send little: a picture costs its pixels, to whoever draws it and to whoever decodes it.
FORMATS = (
    _SMALL, _MIDDLE, Format(640, 360, 30), _SMALL, _SMALL, Format(854, 480, 30), _SMALL, Format(640, 360, 25), _SMALL, _MIDDLE,
    _SMALL, _SMALL, Format(640, 360, 60), _SMALL, _MIDDLE, _SMALL, Format(640, 360, 30), _SMALL, _SMALL, _SMALL,
)  # fmt: skip
QUALITIES = (24, 26, 28)  # constant rate factors of H.264: the higher, the rougher
# By the lines of the format; as many as have no factor in common with the formats, so that all of them meet.
SCALES = {
    360: (2.0, 2.25, 2.0, 1.75, 2.0, 2.2, 1.8, 2.0, 2.1),
    480: (3.0, 2.5, 2.0, 2.8, 3.0, 2.25, 2.6),
    720: (4.0, 3.5, 3.0, 2.5, 4.5, 2.0, 3.25, 3.75, 4.0, 2.8, 3.0, 3.6, 2.25, 4.2),
}
SMOOTHING = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
PATTERNS = ("stripes", "dots", "hills", "stars", "checks", "waves", "hexes", "rays")

# Four colors from dark to light. Streams show the console's gray, its pea-green glass, or what a capture card makes of them.
GAME_COLORS: dict[str, tuple[Color, Color, Color, Color]] = {
    "gray": ((0, 0, 0), (85, 85, 85), (153, 153, 153), (255, 255, 255)),
    "soft": ((24, 24, 28), (92, 92, 96), (166, 166, 168), (236, 236, 232)),
    "glass": ((15, 56, 15), (48, 98, 48), (139, 172, 15), (175, 205, 60)),
    "paper": ((28, 22, 18), (104, 88, 70), (178, 160, 128), (246, 236, 208)),
    "dusk": ((18, 18, 40), (74, 78, 128), (142, 156, 200), (238, 244, 255)),
}

# Background top, background bottom, accent, ink on the panel.
THEMES: tuple[tuple[Color, Color, Color, Color], ...] = (
    ((34, 40, 84), (96, 52, 110), (255, 196, 84), (240, 240, 250)),
    ((18, 62, 70), (26, 110, 96), (250, 224, 120), (232, 248, 244)),
    ((70, 26, 44), (150, 62, 60), (255, 208, 150), (255, 240, 232)),
    ((24, 26, 34), (54, 60, 78), (122, 200, 255), (230, 236, 244)),
    ((52, 74, 40), (128, 146, 70), (255, 244, 170), (244, 250, 232)),
    ((30, 48, 96), (74, 130, 178), (255, 170, 110), (236, 246, 255)),
    ((64, 40, 90), (186, 96, 140), (150, 240, 210), (252, 240, 250)),
    ((58, 42, 30), (142, 104, 66), (150, 220, 190), (250, 242, 230)),
)


@dataclass(frozen=True)
class Look:
    """One runner's stream. Rectangles are in video pixels; `game` is where the 160×144 screen is drawn."""

    runner: str
    format: Format
    game: Rect
    scale: float
    smoothing: str
    colors: tuple[Color, Color, Color, Color]
    theme: tuple[Color, Color, Color, Color]
    pattern: str
    panel: Rect
    camera: Rect
    camera_first: bool
    before_s: float  # seconds of stream before the console is switched on
    card_s: float  # of which a "starting soon" card covers the picture
    after_s: float  # seconds after the final split
    seed: int
    quality: int  # the encoder's constant rate factor

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the video in pixels."""
        return self.format.width, self.format.height

    @property
    def power_on(self) -> int:
        """The picture of the video at which the console is switched on."""
        return round(self.before_s * self.format.fps)

    @property
    def unit(self) -> float:
        """Lengths are thought of on a canvas of 720 lines; this canvas over that one."""
        return self.format.height / HD.height

    def px(self, length: float) -> int:
        """A length on a canvas of 720 lines, in whole pixels of this one."""
        return max(1, round(length * self.unit))


def look_of(seed: int, number: int, sent: Format | None = None) -> Look:
    """The stream of runner `number` (0, 1, …) of the broadcast with this seed; `sent`: in another format than the runner's own."""
    rng = np.random.default_rng([seed, number, 0x57])
    shuffle = np.random.default_rng([seed, 0x58])
    names = [RUNNERS[i] for i in shuffle.permutation(len(RUNNERS))]
    turn = int(shuffle.integers(1000))
    sent = sent or FORMATS[(number + turn) % len(FORMATS)]
    scales = SCALES[sent.height]
    scale = scales[(number + turn) % len(scales)]
    whole = float(scale).is_integer()
    smoothing = str(rng.choice(["nearest", "nearest", "linear"] if whole else ["linear", "cubic", "cubic"]))
    width, height = round(WIDTH * scale), round(HEIGHT * scale)
    margin, inset, wide, tall = (round(length * sent.height / HD.height) for length in (28, 14, 430, 210))
    panel_width = min(wide, sent.width - width - 3 * margin)
    panel_x = margin if rng.random() < 0.5 else sent.width - margin - panel_width
    panel = (panel_x, margin, panel_width, sent.height - 2 * margin)
    # The game stands anywhere in what the panel leaves, near the middle; odd positions are as common as even ones.
    left = margin + (panel_width + margin if panel_x == margin else 0)
    space_x = sent.width - panel_width - 3 * margin - width
    space_y = sent.height - 2 * margin - height
    game_x = left + int(space_x * rng.uniform(0.25, 0.75)) if space_x > 0 else left
    game_y = margin + int(space_y * rng.uniform(0.25, 0.75)) if space_y > 0 else (sent.height - height) // 2
    camera_first = bool(rng.random() < 0.4)
    camera_height = int(min(tall, panel_width * 0.6))
    camera_y = panel[1] + inset if camera_first else panel[1] + panel[3] - inset - camera_height
    name = names[number % len(names)] + ("" if number < len(names) else str(number // len(names) + 1))
    return Look(
        runner=name,
        format=sent,
        game=(game_x, game_y, width, height),
        scale=scale,
        smoothing=smoothing,
        colors=GAME_COLORS[str(rng.choice(["gray", "gray", "gray", "soft", "glass", "paper", "dusk"]))],
        theme=THEMES[(number * 3 + int(shuffle.integers(len(THEMES)))) % len(THEMES)],
        pattern=PATTERNS[(number * 5 + int(shuffle.integers(len(PATTERNS)))) % len(PATTERNS)],
        panel=panel,
        camera=(panel[0] + inset, camera_y, panel_width - 2 * inset, camera_height),
        camera_first=camera_first,
        before_s=round(float(rng.uniform(1.0, 3.0)), 2),
        card_s=round(float(rng.uniform(0.5, 0.9)), 2) if rng.random() < 0.4 else 0.0,
        after_s=round(float(rng.uniform(2.0, 3.5)), 2),
        seed=int(rng.integers(2**31)),
        quality=int(rng.choice(QUALITIES)),
    )
