"""Draw a layout and encode it: RGB pictures from numpy and OpenCV, H.264 from the project's own ffmpeg."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from footage_game import RATE, playthrough, table
from footage_kinds import SCALERS, Layout, Screen

from emurl.cartridge.broadcast.look import look_of
from emurl.cartridge.broadcast.paint import camera_frame

RUNS = 3  # of the bot, from which the clips are taken


class Painter:
    """The pictures of one layout. `picture(t)` is RGB uint8 (height, width, 3) at `t` seconds; `ranks(t, clip)` the game then,
    which is all there is with `game_only`."""

    def __init__(self, layout: Layout, folder: Path, game_only: bool = False) -> None:
        self.layout = layout
        self.rng = np.random.default_rng([layout.seed, layout.number, 0xD4A])
        rng = self.rng
        self.clips = []
        need = int(layout.seconds * RATE) + 2
        for clip in range(4):
            run = playthrough(1 + (layout.number + clip) % RUNS, folder)
            first = int(rng.integers(150, len(run) - need))
            self.clips.append(run[first : first + need])
        if game_only:
            return
        self.ground = _ground(layout, rng)
        self.camera = _camera(layout, rng)
        self.tables = [table(palettes) for palettes in layout.palettes]
        self.card = cv2.GaussianBlur(self.ground, (0, 0), 25)
        _text(self.card, "Starting soon", (layout.size[0] // 2 - 200, layout.size[1] // 2), 2.0, (240, 240, 240))
        self.results = self.ground // 2
        for row in range(8):
            _text(self.results, f"{row + 1}.  Split {row}   {row}:{row * 7 % 60:02d}", (90, 100 + 70 * row), 1.4, (220, 220, 160))
        self.slides = [_slide(layout, rng) for _ in range(7)]
        self.others = _other_games(layout, self.clips, rng) if layout.expect == "none" and layout.screens else []

    def share(self, t: float) -> float:
        return t / self.layout.seconds

    def coded(self, t: float, clip: int = 0) -> np.ndarray:
        start, end = self.layout.still
        if start < self.share(t) < end:
            t = start * self.layout.seconds
        return self.clips[clip][int(t * RATE)]

    def ranks(self, t: float, clip: int = 0) -> np.ndarray:
        """What the grey console shows, uint8 (144, 160)."""
        ranks = self.coded(t, clip) & 3
        start, end = self.layout.dark
        return np.maximum(ranks.astype(np.int8) - 2, 0).astype(np.uint8) if start < self.share(t) < end else ranks

    def showing(self, t: float) -> Screen | None:
        """The screen that shows the game (of the side that is asked for) at `t`, None under a card."""
        before, after = self.layout.cards
        if not before <= self.share(t) < 1 - after:
            return None
        found = [s for s in self.layout.screens if s.start <= self.share(t) < s.end]
        return found[-1 if self.layout.side == "right" else 0] if found else None

    def picture(self, t: float) -> np.ndarray:
        layout, share = self.layout, self.share(t)
        before, after = layout.cards
        if share < before or share >= 1 - after:
            return self.card if share < before else self.results
        if layout.kind == "slides":
            return self.slides[int(share * 13) % len(self.slides)]
        if layout.kind == "desktop":
            return self._desktop(t)
        out = self.ground.copy()
        _paste(out, self.camera[int(t * 15) % len(self.camera)], layout.camera[:2])
        self._panel(out, t)
        for screen in layout.screens:
            if not screen.start <= share < screen.end:
                continue
            if self.others:
                _paste(out, self.others[int(t * 20) % len(self.others)], screen.rect[:2])
                continue
            code = (self.coded(t, screen.clip) & 12) | self.ranks(t, screen.clip)
            lut = self.tables[min(int(share * len(self.tables)), len(self.tables) - 1)]
            _paste(out, scaled(lut[code], screen), screen.rect[:2])
        for number, (x, y, w, h) in enumerate(layout.overlays):
            cv2.rectangle(out, (x, y), (x + w, y + h), (40 + 60 * number, 30, 80), -1)
            _text(out, f"{t:7.2f}", (x + 4, y + h // 2 + 6), 0.6, (250, 240, 200))
        if layout.tint != (1, 1, 1, 0):
            out = np.clip(out * np.array(layout.tint[:3], np.float32) + layout.tint[3], 0, 255).astype(np.uint8)
        return out

    def _panel(self, out: np.ndarray, t: float) -> None:
        x, y, w, h = self.layout.panel
        cv2.rectangle(out, (x, y), (x + w, y + h), (24, 24, 32), -1)
        _text(out, f"{int(t) // 60}:{t % 60:05.2f}", (x + 8, y + min(h - 8, 44)), 1.0, (255, 220, 120))
        for row in range(min(8, (h - 60) // 26)):
            _text(
                out,
                f"{'chat line' if row % 2 else 'split'} {(int(t / 2) + row) * 37 % 101}",
                (x + 8, y + 74 + 26 * row),
                0.55,
                (230, 230, 240),
            )

    def _desktop(self, t: float) -> np.ndarray:
        out = np.full((self.layout.size[1], self.layout.size[0], 3), (30, 32, 40), np.uint8)
        rng = np.random.default_rng(int(t / 3))
        for row in range(28):
            _text(out, "".join(chr(int(c)) for c in rng.integers(33, 120, 70)), (20, 24 * row + 20), 0.5, (180, 200, 180))
        return out


def scaled(picture: np.ndarray, screen: Screen) -> np.ndarray:
    """The game's picture at its size on the canvas."""
    size = screen.rect[2:]
    if screen.scaler == "twice":
        larger = tuple(int(np.ceil(side * 1.5)) for side in size)
        return cv2.resize(cv2.resize(picture, larger, interpolation=cv2.INTER_NEAREST), size, interpolation=cv2.INTER_AREA)
    return cv2.resize(picture, size, interpolation=SCALERS[screen.scaler])


def render(layout: Layout, path: Path, folder: Path) -> Path:
    """Encode `layout` to `path` (H.264, a key frame a second) unless it is there; game clips come from `folder`."""
    if path.exists():
        return path
    painter, aside = Painter(layout, folder), path.with_suffix(".part.mp4")
    process = subprocess.Popen(_command(layout, aside), stdin=subprocess.PIPE)
    assert process.stdin is not None
    with process.stdin as pipe:
        for number in range(round(layout.seconds * layout.rate)):
            pipe.write(cv2.cvtColor(painter.picture(number / layout.rate), cv2.COLOR_RGB2YUV_I420).data)
    assert process.wait() == 0, "ffmpeg failed"
    aside.rename(path)
    return path


def _command(layout: Layout, path: Path) -> list[str]:
    # Streams of variable rate drop pictures and keep the times of the others.
    variable = ["-vf", f"select='gt(random({layout.seed}),0.35)'", "-fps_mode", "vfr"] if layout.variable else []
    return [
        imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p",
        "-s", f"{layout.size[0]}x{layout.size[1]}", "-r", str(layout.rate), "-i", "pipe:0", *variable,
        "-c:v", "libx264", "-preset", "ultrafast", "-b:v", f"{layout.bit_rate}k", "-maxrate", f"{layout.bit_rate}k",
        "-bufsize", f"{layout.bit_rate}k", "-force_key_frames", "expr:gte(t,n_forced)", "-threads", "1", str(path),
    ]  # fmt: skip


def _ground(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    """A still background: two colours running into one another, shapes, names, and sometimes a frame around the game."""
    width, height = layout.size
    ramp = np.linspace(0, 1, height)[:, None, None]
    low, high = rng.integers(10, 130, (2, 3))
    out = (low * (1 - ramp) + high * ramp).repeat(width, axis=1).astype(np.uint8)
    for _ in range(int(rng.integers(0, 40))):
        place, colour = (int(rng.integers(width)), int(rng.integers(height))), [int(c) for c in rng.integers(0, 200, 3)]
        if rng.random() < 0.5:
            cv2.circle(out, place, int(rng.integers(5, 90)), colour, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(
                out,
                place,
                (place[0] + int(rng.integers(300)), place[1] + int(rng.integers(200))),
                colour,
                int(rng.integers(1, 5)),
            )
    for screen in layout.screens:
        x, y, w, h = screen.rect
        if rng.random() < 0.5 and len({s.start for s in layout.screens}) == 1:
            thick = int(rng.integers(1, 9))
            cv2.rectangle(
                out,
                (x - thick, y - thick),
                (x + w + thick - 1, y + h + thick - 1),
                [int(c) for c in rng.integers(0, 256, 3)],
                thick,
            )
    return out


def _camera(layout: Layout, rng: np.random.Generator) -> list[np.ndarray]:
    """Somebody in a room with grain, who moves as much as `shake` says; as large as the camera's box."""
    x, y, w, h = layout.camera if layout.kind != "camera only" else (0, 0, min(640, layout.size[0]), 576)
    look = replace(look_of(layout.seed, layout.number), camera=(0, 0, max(w, 48), max(h, 48)))
    frames = []
    for number in range(0, 48, 2):
        face = camera_frame(look, number)
        dx, dy = rng.normal(0, layout.shake, 2)
        face = cv2.warpAffine(face, np.array([[1, 0, dx], [0, 1, dy]]), face.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
        if layout.shake > 12:
            face = np.clip(face * rng.uniform(0.7, 1.2) + rng.normal(0, 10, face.shape), 0, 255).astype(np.uint8)
        frames.append(face)
    return frames


def _slide(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    out = np.full((layout.size[1], layout.size[0], 3), rng.integers(200, 255, 3), np.uint8)
    _text(out, f"Agenda {int(rng.integers(100))}", (80, 120), 2.2, (30, 30, 90))
    for row in range(int(rng.integers(2, 7))):
        _text(out, "- " + "words " * int(rng.integers(2, 7)), (100, 220 + 70 * row), 1.2, (40, 40, 40))
    if rng.random() < 0.6:
        bars = rng.integers(40, 380, 6)
        for n, bar in enumerate(bars):
            cv2.rectangle(out, (760 + 70 * n, 650 - int(bar)), (810 + 70 * n, 650), [int(c) for c in rng.integers(0, 200, 3)], -1)
    return out


def _other_games(layout: Layout, clips: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Games of other consoles at the place of the screen, scrolling: tiles of many colours at their own resolution."""
    rect = layout.screens[0].rect
    if layout.kind == "3d game":
        noise = rng.integers(0, 255, (60, 80, 3)).astype(np.uint8)
        world = cv2.GaussianBlur(cv2.resize(noise, (1600, 1200), interpolation=cv2.INTER_CUBIC), (0, 0), 1.5)
        return [world[n * 5 : n * 5 + rect[3], n * 9 : n * 9 + rect[2]][: rect[3], : rect[2]] for n in range(60)]
    width, height = {"16-bit game": (256, 224), "advance game": (240, 160), "8-bit game": (256, 240)}[layout.kind]
    # Drawn as pixel art is, by taking the embedded game's tiles and giving each cell one of many palettes.
    far = np.concatenate([np.concatenate([clips[c][40 * r + 90 * c] & 3 for c in range(3)], 1) for r in range(2)])
    palettes = rng.integers(0, 256, (4 if layout.kind == "8-bit game" else 12, 4, 3)).astype(np.uint8)
    cells = np.kron(rng.integers(0, len(palettes), (18, 30)), np.ones((16, 16), int))
    world = palettes[cells, far]
    tall = min(rect[3], round(rect[2] * height / width))
    shape = (round(tall * width / height), tall)
    sprite = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    frames = []
    for n in range(60):
        view = world[:height, 2 * n : 2 * n + width].copy()
        view[100:116, 40 + n : 56 + n] = sprite
        frames.append(cv2.resize(view, shape, interpolation=SCALERS[layout.screens[0].scaler]))
    return frames


def _paste(out: np.ndarray, patch: np.ndarray, place: tuple[int, ...]) -> None:
    """Copy as much of `patch` as falls onto the canvas."""
    x, y = place
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + patch.shape[1], out.shape[1]), min(y + patch.shape[0], out.shape[0])
    if x1 > x0 and y1 > y0:
        out[y0:y1, x0:x1] = patch[y0 - y : y1 - y, x0 - x : x1 - x]


def _text(out: np.ndarray, text: str, place: tuple[int, int], size: float, colour: tuple[int, int, int]) -> None:
    cv2.putText(out, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, max(1, round(size * 1.6)), cv2.LINE_AA)
