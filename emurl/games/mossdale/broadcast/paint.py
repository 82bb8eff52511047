"""The still parts of a stream: drawn background, panel, clock digits, and the cartoon in the camera box.

All drawing is done once a video, so it may take its time; `compose` then only copies patches. Pictures are uint8 RGB.
The font is the one Pillow carries inside itself: no font files to look for.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from emurl.games.mossdale.broadcast.look import Color, Look, Rect

CAMERA_FRAMES, CAMERA_FPS = 96, 30  # pictures of the cartoon, after which it repeats, and how many a second
ROW = 32  # height of a line of the splits list, on a canvas of 720 lines as all lengths here
SMALLEST = 9  # pixels of a letter that can still be read


@cache
def font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font at a size in pixels of the video."""
    return ImageFont.load_default(size=max(SMALLEST, pixels))


def clock(seconds: float) -> str:
    """Seconds as a speedrun timer shows them: `0:07.3`, `1:02.45` cut to hundredths, `1:00:00.00`."""
    hundredths = max(0, int(seconds * 100 + 1e-6))
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes}:{rest // 100:02d}.{rest % 100:02d}"
    return f"{hours}:{minutes:02d}:{text.partition(':')[2]}" if hours else text


def mix(a: Color, b: Color, share: float) -> Color:
    """`a` where share is 0, `b` where it is 1."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def background(look: Look) -> np.ndarray:
    """The whole canvas without anything that changes: gradient, pattern, frame of the game, empty panel."""
    (width, height), px = look.size, look.px
    top, bottom, accent, _ = look.theme
    ramp = np.linspace(0, 1, height)[:, None, None]
    picture = (np.array(top) * (1 - ramp) + np.array(bottom) * ramp).repeat(width, axis=1)
    canvas = Image.fromarray(picture.round().astype(np.uint8)).resize((width * 2, height * 2))
    _pattern(canvas, look)
    canvas = canvas.resize((width, height), Image.Resampling.LANCZOS).convert("RGBA")
    shade = Image.new("RGBA", look.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(shade)
    for rect in (look.game, look.panel):
        pen.rounded_rectangle(_box(rect, px(9)), px(12), fill=(0, 0, 0, 150))
    canvas.alpha_composite(shade.filter(ImageFilter.GaussianBlur(px(9))))
    glass = Image.new("RGBA", look.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(glass)
    pen.rounded_rectangle(
        _box(look.panel, 0), px(14), fill=(*mix(top, (8, 8, 14), 0.7), 214), outline=(*accent, 255), width=px(2)
    )
    pen.rounded_rectangle(
        _box(look.game, px(6)), px(8), fill=(*mix(bottom, (14, 14, 18), 0.75), 255), outline=(*accent, 255), width=px(3)
    )
    canvas.alpha_composite(glass)
    canvas.paste((6, 6, 8), _box(look.game, 0))
    return np.array(canvas.convert("RGB"))


def panel(look: Look, title: str, category: str, splits: list[tuple[str, float]], reached: int) -> np.ndarray:
    """The panel as it looks after `reached` splits: RGB crop of `look.panel`, without clock digits and camera.

    `splits` are (name, seconds since power-on).
    """
    picture = Image.fromarray(background_cached(look)).crop(_box(look.panel, 0))
    pen = ImageDraw.Draw(picture, "RGBA")
    _, _, accent, ink = look.theme
    dim, width, px = mix(ink, (90, 90, 96), 0.6), look.panel[2], look.px
    large, medium, small = (font(px(size)) for size in (30, 19, 18))
    y = px(14) + (look.camera[3] + px(14) if look.camera_first else 0)
    pen.text((px(20), y), look.runner, font=large, fill=ink, stroke_width=round(look.unit), stroke_fill=ink)
    pen.text((px(20), y + px(38)), _fit(f"{title} · {category}", width - px(40), small), font=small, fill=accent)
    pen.line((px(18), y + px(68), width - px(18), y + px(68)), fill=(*accent, 160), width=px(2))
    y, row = y + px(78), px(ROW)
    rows = max(1, (clock_place(look)[1] - look.panel[1] - y - px(6)) // row)
    first = max(0, min(reached - rows // 2, len(splits) - rows))
    for number, (name, seconds) in enumerate(splits[first : first + rows], start=first):
        line = y + (number - first) * row
        if number == reached:
            pen.rounded_rectangle((px(12), line - px(3), width - px(12), line + row - px(5)), px(6), fill=(*accent, 60))
        done = number < reached
        pen.text((px(22), line), _fit(name, width - px(120), medium), font=medium, fill=ink if number <= reached else dim)
        shown = clock(seconds)[:-1] if done else "-"
        pen.text((width - px(22), line), shown, font=medium, fill=accent if done else dim, anchor="ra")
    return np.array(picture)


def clock_place(look: Look) -> Rect:
    """Where the clock's digits stand: x, y, width, height in video pixels."""
    x, y, width, height = look.panel
    bottom = y + height - look.px(14) if look.camera_first else look.camera[1] - look.px(10)
    return (x + look.px(14), bottom - look.px(64), width - 2 * look.px(14), look.px(64))


def glyphs(look: Look, running: bool) -> dict[str, np.ndarray]:
    """One RGB patch a clock character, all of one height; narrow for punctuation. Green once the run is over."""
    accent = look.theme[2] if running else (120, 235, 140)
    x, y, across, height = clock_place(look)
    ground = tuple(int(v) for v in background_cached(look)[y + look.px(20), x + look.px(20)])
    cell = min(look.px(38), (across - look.px(8)) // 8)
    letters = font(int(cell * 1.6))
    patches = {}
    for character in "0123456789:.":
        width = cell if character.isdigit() else cell // 2
        patch = Image.new("RGB", (width // 2 * 2, height), ground)
        pen = ImageDraw.Draw(patch)
        stroke = round(look.unit)
        pen.text(
            (width // 2, look.px(50)), character, font=letters, fill=accent, anchor="ms", stroke_width=stroke, stroke_fill=accent
        )
        patches[character] = np.array(patch)
    return patches


def camera_frame(look: Look, number: int) -> np.ndarray:
    """The camera box at picture `number` of the cartoon: a room, and somebody who nods and blinks."""
    width, height = look.camera[2:]
    unit = look.unit
    rng = np.random.default_rng([look.seed, 1])
    wall, lamp, hair, skin, shirt = ((int(r), int(g), int(b)) for r, g, b in rng.integers(40, 200, (5, 3)))
    skin = mix((236, 188, 150), (120, 78, 52), float(rng.random()))
    hair = mix(hair, (30, 20, 16), 0.6)
    turn = 2 * math.pi * number / CAMERA_FRAMES
    big = 2
    picture = Image.new("RGB", (width * big, height * big), mix(wall, (20, 20, 30), 0.5))
    pen = ImageDraw.Draw(picture)
    glow = 0.25 + 0.1 * math.sin(3 * turn)
    pen.rectangle((0, int(height * big * 0.72), width * big, height * big), fill=mix(wall, (10, 8, 8), 0.75))
    pen.ellipse(_at(width * 0.83, height * 0.25, 26 * unit, big), fill=mix(lamp, (255, 240, 190), glow + 0.4))
    pen.rectangle(
        (int(width * 0.1), int(height * 0.2), int(width * 0.5), int(height * 0.8)), fill=mix(lamp, (255, 255, 255), 0.3)
    )
    x = width / 2 + unit * (9 * math.sin(turn) + 3 * math.sin(5 * turn))
    y = height * 0.5 + 4 * unit * math.sin(2 * turn + 1)
    head = height * 0.24
    pen.rounded_rectangle(_span(x, height * 1.05, head * 1.7, head * 1.3, big), int(head), fill=mix(shirt, (90, 90, 140), 0.3))
    pen.ellipse(_span(x, y - head * 0.18, head * 1.1, head * 1.12, big), fill=hair)
    pen.ellipse(_span(x, y, head * 0.92, head, big), fill=skin)
    look_x = head * 0.12 * math.sin(turn + 2)
    blinking = number % 48 in (0, 1, 2) or number % 48 == 30
    for side in (-1, 1):
        eye = x + side * head * 0.36 + look_x
        opening = head * (0.02 if blinking else 0.17)
        pen.ellipse(_span(eye, y - head * 0.1, head * 0.15, opening, big), fill=(250, 250, 250))
        pen.ellipse(_span(eye + look_x * 0.5, y - head * 0.1, head * 0.08, min(opening, head * 0.09), big), fill=(30, 24, 24))
    mouth = head * (0.06 + 0.14 * max(0.0, math.sin(7 * turn)) * (1 if number % 64 < 40 else 0.2))
    pen.ellipse(_span(x + look_x, y + head * 0.48, head * 0.26, mouth, big), fill=(120, 40, 46))
    pen.arc(_span(x, y - head * 0.1, head * 1.2, head * 1.25, big), 180, 360, fill=(40, 40, 46), width=int(head * 0.16))
    for side in (-1, 1):
        pen.ellipse(_span(x + side * head * 1.12, y, head * 0.2, head * 0.32, big), fill=(54, 54, 64))
    small = np.array(picture.resize((width, height), Image.Resampling.BILINEAR)).astype(np.int16)
    grain = np.random.default_rng([look.seed, 2, number]).normal(0, 1.5, (height, width, 1))  # no camera is quiet
    return np.clip(small + grain, 0, 255).astype(np.uint8)


def card(look: Look, title: str) -> np.ndarray:
    """The "starting soon" card that covers the whole canvas: RGB (height, width, 3)."""
    _, _, accent, ink = look.theme
    px, middle = look.px, look.size[0] // 2
    picture = Image.fromarray(background_cached(look)).filter(ImageFilter.GaussianBlur(px(40)))
    pen = ImageDraw.Draw(picture)
    pen.text((middle, px(330)), "Starting soon", font=font(px(72)), fill=ink, anchor="mm", stroke_width=px(1), stroke_fill=ink)
    pen.text((middle, px(410)), f"{look.runner} runs {title}", font=font(px(32)), fill=accent, anchor="mm")
    return np.array(picture)


@lru_cache(maxsize=4)
def background_cached(look: Look) -> np.ndarray:
    """`background`, drawn once for each look."""
    return background(look)


def _pattern(canvas: Image.Image, look: Look) -> None:
    """Draw the look's pattern over a gradient canvas of twice the video's size."""
    pen = ImageDraw.Draw(canvas, "RGBA")
    width, height = canvas.size
    rng = np.random.default_rng([look.seed, 3])
    light, dark = (255, 255, 255, 22), (0, 0, 0, 34)
    unit = look.unit
    step = int(rng.integers(70, 150) * unit)
    match look.pattern:
        case "stripes":
            for x in range(-height, width, 2 * step):
                pen.polygon([(x, height), (x + height, 0), (x + height + step, 0), (x + step, height)], fill=light)
        case "dots":
            for row, y in enumerate(range(0, height + step, step)):
                for x in range(row % 2 * step // 2, width + step, step):
                    pen.ellipse((x - step // 5, y - step // 5, x + step // 5, y + step // 5), fill=light if row % 3 else dark)
        case "checks":
            for row, y in enumerate(range(0, height, step)):
                for x in range(row % 2 * step, width, 2 * step):
                    pen.rectangle((x, y, x + step, y + step), fill=dark)
        case "hexes":
            for row, y in enumerate(range(0, height + step, int(step * 0.87))):
                for x in range(row % 2 * step // 2, width + step, step):
                    pen.regular_polygon(
                        (x, y, step * 0.52),
                        6,
                        rotation=30,
                        outline=(255, 255, 255, 40),
                        fill=light if (x * 7 + row) % 3 else dark,
                    )
        case "stars":
            for x, y, size in zip(
                rng.integers(0, width, 340), rng.integers(0, height, 340), rng.exponential(3.5 * unit, 340), strict=True
            ):
                pen.ellipse((x - size, y - size, x + size, y + size), fill=(255, 255, 255, int(rng.integers(60, 220))))
        case "waves":
            for level, y in enumerate(range(height // 5, height + round(200 * unit), step * 2)):
                points = [(x, y + step * math.sin(x / (2.2 * step) + level)) for x in range(0, width + 8, 8)]
                pen.polygon([*points, (width, height), (0, height)], fill=(0, 0, 0, 26))
        case "hills":
            for level in range(4):
                base = height * (0.45 + 0.14 * level)
                a, b, c = rng.uniform(0.6, 1.6, 3)
                points = []
                for x in range(0, width + 8, 8):
                    u = x / unit
                    wave = 90 * math.sin(u / (340 * a)) + 60 * math.sin(u / (170 * b) + c) + 16 * math.sin(u / 47 + level)
                    points.append((x, base - unit * wave))
                pen.polygon([*points, (width, height), (0, height)], fill=(10, 14, 26, 62))
            left, top, size = width * 0.7, height * 0.08, 200 * unit
            pen.ellipse((left, top, left + size, top + size), fill=(255, 246, 214, 130))
        case "rays":
            center, reach = (width * 0.5, height * 1.1), 2 * width
            for ray in range(0, 36, 2):
                a, b = (math.pi * (ray + k) / 36 + math.pi for k in (0, 1))
                pen.polygon(
                    [center, *[(center[0] + reach * math.cos(t), center[1] + reach * math.sin(t)) for t in (a, b)]], fill=light
                )


def _fit(text: str, width: int, letters: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    while len(text) > 4 and letters.getlength(text) > width:
        text = text[:-2].rstrip() + "…"
    return text


def _box(rect: Rect, grow: int) -> tuple[int, int, int, int]:
    x, y, width, height = rect
    return (x - grow, y - grow, x + width + grow, y + height + grow) if grow else (x, y, x + width, y + height)


def _span(x: float, y: float, half_width: float, half_height: float, big: int) -> tuple[float, float, float, float]:
    return ((x - half_width) * big, (y - half_height) * big, (x + half_width) * big, (y + half_height) * big)


def _at(x: float, y: float, radius: float, big: int) -> tuple[float, float, float, float]:
    return _span(x, y, radius, radius, big)
