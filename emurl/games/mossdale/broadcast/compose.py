"""Compose a stream and encode it: still background, then game, clock, splits and camera copied in, frame by frame.

Everything is held as planar YUV 4:2:0, the very layout the encoder wants: a frame is one buffer of width·height·3/2 bytes of
which a few patches change, and nothing is converted on the way. Measured on one core this is what makes the encoder, not
Python, the slowest part.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from emurl.core.errors import WorkError
from emurl.core.ffmpeg import ffmpeg_exe
from emurl.core.files import write_atomically
from emurl.games.mossdale.broadcast import paint
from emurl.games.mossdale.broadcast.look import HD, SMOOTHING, Look, Rect, look_of

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


class Canvas:
    """One YUV 4:2:0 video frame in a flat buffer, with its planes as views."""

    def __init__(self, picture: np.ndarray) -> None:
        height, width = picture.shape[:2]
        self.buffer = np.ascontiguousarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420))
        chroma = self.buffer[height:].reshape(2, height // 2, width // 2)
        self.planes: Planes = (self.buffer[:height], chroma[0], chroma[1])

    def put(self, patch: Planes, x: int, y: int) -> None:
        """Copy a patch in with its top left corner at (x, y); chroma lands on the even position below."""
        for plane, part, half in zip(self.planes, patch, (1, 2, 2), strict=True):
            plane[y // half : y // half + part.shape[0], x // half : x // half + part.shape[1]] = part


def patch_of(picture: np.ndarray) -> Planes:
    """An RGB picture as the three planes of a patch (edge repeated where a side is odd)."""
    height, width = picture.shape[:2]
    even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    flat = cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420)
    rows, columns = even.shape[:2]
    chroma = flat[rows:].reshape(2, rows // 2, columns // 2)
    return flat[:height, :width], chroma[0], chroma[1]


class GamePainter:
    """Scales a screen to its place on the canvas: four shades in the runner's colors, or a color screen as it is."""

    def __init__(self, look: Look) -> None:
        self.look = look
        flat = cv2.cvtColor(np.array(look.colors, np.uint8)[None], cv2.COLOR_RGB2YUV)[0]
        # cv2's YUV is full range for single pixels; video is 16…235 and 16…240.
        self.luma = _limited(flat[:, 0], 16, 219)
        self.chroma = _limited(flat[:, 1:], 128, 224, 128)
        self.tinted = bool((self.chroma != 128).any())
        x, y, self.width, self.height = look.game
        self.half = ((x + self.width + 1) // 2 - x // 2, (y + self.height + 1) // 2 - y // 2)
        self._last: np.ndarray | None = None

    def paint(self, canvas: Canvas, screen: np.ndarray) -> None:
        """Draw `screen`, uint8 (144, 160) ranks or (144, 160, 3) RGB; nothing to do when it is the one drawn last."""
        if self._last is not None and np.array_equal(screen, self._last):
            return
        self._last = screen.copy()
        how = SMOOTHING[self.look.smoothing]
        if screen.ndim == 3:
            flat = cv2.cvtColor(screen, cv2.COLOR_RGB2YUV)
            levels, hues, tinted = _limited(flat[..., 0], 16, 219), _limited(flat[..., 1:], 128, 224, 128), True
        else:
            levels, hues, tinted = self.luma[screen], self.chroma[screen], self.tinted
        luma = cv2.resize(levels, (self.width, self.height), interpolation=how)
        x, y = self.look.game[:2]
        canvas.planes[0][y : y + self.height, x : x + self.width] = luma
        for number, plane in enumerate(canvas.planes[1:]):
            place = plane[y // 2 : y // 2 + self.half[1], x // 2 : x // 2 + self.half[0]]
            place[:] = cv2.resize(hues[..., number], self.half, interpolation=cv2.INTER_AREA) if tinted else 128

    def switch_off(self, canvas: Canvas) -> None:
        """The dark glass of a console without power."""
        x, y = self.look.game[:2]
        canvas.planes[0][y : y + self.height, x : x + self.width] = 18
        for plane in canvas.planes[1:]:
            plane[y // 2 : y // 2 + self.half[1], x // 2 : x // 2 + self.half[0]] = 128
        self._last = None


def _limited(values: np.ndarray, start: int, span: int, zero: int = 0) -> np.ndarray:
    """Full-range values as video has them: `zero` becomes `start`, 255 of them `span`."""
    return np.round(start + (values.astype(np.float32) - zero) * (span / 255)).astype(np.uint8)


@dataclass(frozen=True)
class Show:
    """What is told beside the game: names, and (split, seconds since power-on). The clock stops at `run_s` seconds."""

    title: str
    category: str
    run_s: float
    splits: list[tuple[str, float]]


def stream(look: Look, show: Show, screens: Iterable[np.ndarray]) -> Iterator[Canvas]:
    """The stream's pictures, `look.format.fps` a second: first a card and a console without power, then one for each of `screens`.

    `screens` are uint8 (144, 160) ranks or (144, 160, 3) RGB, one for each video frame since power-on. Every picture is the
    same object, changed.
    """
    canvas = Canvas(paint.background_cached(look))
    camera = [patch_of(paint.camera_frame(look, number)) for number in range(0, paint.CAMERA_FRAMES, 2)]  # half as many will do
    count = range(len(show.splits) + 1)
    panels = [patch_of(paint.panel(look, show.title, show.category, show.splits, reached)) for reached in count]
    digits = [{c: patch_of(p) for c, p in paint.glyphs(look, running).items()} for running in (False, True)]
    place = paint.clock_place(look)
    game = GamePainter(look)
    fps, before = look.format.fps, look.power_on
    cards = round(look.card_s * fps)
    if cards:
        card = Canvas(paint.card(look, show.title))
        yield from (card for _ in range(cards))
    game.switch_off(canvas)
    shown = -1
    for number, screen in enumerate(chain([None] * max(0, before - cards), screens), start=cards):
        seconds = (number - before) / fps
        reached = sum(at <= seconds for _, at in show.splits)
        if reached != shown:
            canvas.put(panels[reached], look.panel[0], look.panel[1])
            shown = reached
        if screen is not None:
            game.paint(canvas, screen)
        canvas.put(camera[number * paint.CAMERA_FPS // (2 * fps) % len(camera)], look.camera[0], look.camera[1])
        _put_clock(canvas, place, digits[seconds < show.run_s], paint.clock(min(max(seconds, 0.0), show.run_s)))
        yield canvas


def render(path: Path, look: Look, show: Show, screens: Iterable[np.ndarray], *, preset: str = "ultrafast") -> int:
    """Encode a `stream` to `path` (H.264) and return its number of pictures.

    Written aside and renamed, so a file at `path` is always whole. Raises `WorkError` when ffmpeg fails.
    """
    with write_atomically(path) as aside:
        process = subprocess.Popen(_command(aside, look, preset), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        pipe = process.stdin
        assert pipe is not None
        count = 0
        try:
            for canvas in stream(look, show, screens):
                pipe.write(canvas.buffer.data)
                count += 1
        except BrokenPipeError:
            pass  # ffmpeg says why on its way out
        except BaseException:
            process.kill()
            process.communicate()
            raise
        _, complaint = process.communicate()
        if process.returncode:
            raise WorkError(f"rendering {path.name}: ffmpeg failed: {complaint.decode(errors='replace').strip()[-300:]}")
    return count


def film(path: Path, seconds: float, screens: Callable[[int], Iterable[np.ndarray]]) -> None:
    """Render `seconds` of given screens as the first runner's stream shows them; `screens(count)` gives so many."""
    render(path, look_of(0, 0, HD), Show("Measured", "Any%", seconds, [("End", seconds)]), screens(round(seconds * HD.fps)))


def _put_clock(canvas: Canvas, place: Rect, digits: dict[str, Planes], text: str) -> None:
    x = place[0] + place[2]
    for character in reversed(text):
        patch = digits[character]
        x -= patch[0].shape[1]
        canvas.put(patch, x // 2 * 2, place[1])


def _command(path: Path, look: Look, preset: str) -> list[str]:
    width, height = look.size
    fps = look.format.fps
    return [
        ffmpeg_exe(), "-v", "error", "-hide_banner", "-y",
        "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-r", str(fps), "-i", "pipe:0",
        # Two seconds between key frames is what streaming sites ask for; one thread makes the bytes repeatable.
        "-c:v", "libx264", "-preset", preset, "-crf", str(look.quality),
        "-g", str(2 * fps), "-pix_fmt", "yuv420p", "-color_range", "tv", "-threads", "1", "-movflags", "+faststart", f"file:{path}",
    ]  # fmt: skip
