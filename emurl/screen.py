"""What a Game Boy screen is to emurl: one description that an emulator screen and a video crop are both mapped onto.

A *frame* is uint8 of shape (144, 160) whose values are brightness ranks, 0 dark … 3 light: the console's own four shades. On
the 0–1 scale used by metrics a frame is `rank / 3`. `channels=3` and `shades=256` stay possible for color games; then a
frame is (144, 160, 3) and values are 0 … 255.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np

from emurl.core.errors import InputError
from emurl.core.settings import Settings

HEIGHT, WIDTH = 144, 160
CELL = 16  # one walking step, one token
GRID = (HEIGHT // CELL, WIDTH // CELL)  # (9, 10)

# PyBoy draws the four shades as gray 0x00, 0x55, 0x99, 0xFF; these lie half-way between them.
EMULATOR_THRESHOLDS = (0x2A, 0x77, 0xCC)


class ScreenSettings(Settings):
    """What a frame holds: 1 channel of 4 shades by default."""

    channels: Literal[1, 3] = 1  # 1: gray, 3: color
    shades: Literal[4, 256] = 4  # of a channel; 4: the console's own, 256: any
    # How a video's grays become four shades: a gray console's game by the palette that is found, a color game by luminance.
    reading: Literal["palette", "luminance"] = "palette"

    @property
    def spec(self) -> ScreenSpec:
        """The frame."""
        return ScreenSpec(channels=self.channels, shades=self.shades)

    @property
    def by_palette(self) -> bool:
        """Whether frames of a video are read by a palette."""
        return self.spec == ScreenSpec() and self.reading == "palette"


@dataclass(frozen=True)
class ScreenSpec:
    """Size, channels and number of shades of a canonical frame; saved with every artifact that depends on it."""

    height: int = HEIGHT
    width: int = WIDTH
    channels: int = 1
    shades: int = 4

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one frame: (height, width), with a trailing 3 for color."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)

    @property
    def bits(self) -> int:
        """Bits a value takes on disk: 2 for the four shades, else 8."""
        return 2 if self.shades == 4 else 8

    @property
    def frame_bytes(self) -> int:
        """Bytes one frame takes on disk."""
        return self.height * self.width * self.channels * self.bits // 8

    def to_dict(self) -> dict[str, int]:
        """The description as JSON-ready numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ScreenSpec:
        """The inverse of `to_dict`."""
        return cls(**{name: int(values[name]) for name in ("height", "width", "channels", "shades")})

    def require(self, other: ScreenSpec, what: str) -> None:
        """Raise `InputError` unless `other`, the spec that `what` was made with, is this one."""
        if other != self:
            raise InputError(f"{what} was made for screen {other.to_dict()}, expected {self.to_dict()}")


def quantize(gray: np.ndarray, thresholds: tuple[float, ...] | np.ndarray) -> np.ndarray:
    """Brightness ranks of `gray` (any shape, 0–255): how many of the three ascending `thresholds` each value exceeds."""
    limits, table = _ranks(tuple(float(value) for value in thresholds))
    if gray.dtype == np.uint8:
        return look_up(gray, table)
    return (gray[..., None] > limits).sum(axis=-1).astype(np.uint8)


@lru_cache(maxsize=4096)
def _ranks(thresholds: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The thresholds, float32 (3,), and the rank of every gray, uint8 (256,)."""
    limits = np.array(thresholds, dtype=np.float32)
    if limits.shape != (3,) or not (np.diff(limits) >= 0).all():
        raise InputError(f"shade thresholds are {limits.tolist()}, expected three ascending numbers")
    return limits, (np.arange(256)[:, None] > limits).sum(axis=1).astype(np.uint8)


def look_up(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """`table[values]` for uint8 values and a table (256,): ten times as fast as indexing, which turns every value into
    eight bytes first."""
    if not values.size:
        return np.zeros(values.shape, table.dtype)
    return cv2.LUT(np.ascontiguousarray(values).reshape(-1, values.shape[-1]), table).reshape(values.shape)


def from_emulator(rgba: np.ndarray, spec: ScreenSpec | None = None) -> np.ndarray:
    """The canonical frame of an emulator screen, uint8 (144, 160, 3 or 4).

    With one channel it shows the luminance, as a video's pictures do (BT.601); a gray console's own grays stay what they are. A
    screen of several luminances that would all be one shade, such as dark blues on black, is spread over the four: footage, too,
    is read by the palette that is shown.
    """
    spec = spec or ScreenSpec()
    if spec.channels == 3:
        color = rgba[..., :3]
        return color.copy() if spec.shades == 256 else quantize(color, EMULATOR_THRESHOLDS)
    gray = cv2.cvtColor(rgba, cv2.COLOR_RGBA2GRAY if rgba.shape[-1] == 4 else cv2.COLOR_RGB2GRAY)
    return gray if spec.shades == 256 else by_luminance(gray)


def by_luminance(gray: np.ndarray, noise: int = 0) -> np.ndarray:
    """Brightness ranks of a screen's luminance, uint8 (144, 160); a screen whose luminances are less than `noise` apart is of one."""
    ranks = quantize(gray, EMULATOR_THRESHOLDS)
    low, high = int(gray.min()), int(gray.max())
    # Never so on a gray console, whose four grays are four shades.
    if low + noise < high and ranks.min() == ranks.max():
        return quantize(((gray - float(low)) * (255 / (high - low))).astype(np.uint8), EMULATOR_THRESHOLDS)
    return ranks


def to_gray(frames: np.ndarray, spec: ScreenSpec | None = None) -> np.ndarray:
    """Frames for looking at: uint8 0–255 of the same shape."""
    shades = (spec or ScreenSpec()).shades
    return frames if shades == 256 else (frames * np.uint8(255 // (shades - 1))).astype(np.uint8)


def pack(frames: np.ndarray) -> np.ndarray:
    """Four-shade frames (N, 144, 160) packed four pixels a byte, first pixel in the low bits: uint8 (N, 5760)."""
    size = math.prod(frames.shape[1:]) // 4
    # Four pixels as one number of 32 bits; shifts bring their pairs of bits together in its lowest byte.
    fours = np.ascontiguousarray(frames, dtype=np.uint8).reshape(-1).view("<u4").reshape(len(frames), size)
    return (fours | fours >> 6 | fours >> 12 | fours >> 18).astype(np.uint8)


_FOURS = ((np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3).astype(np.uint8).view(np.int32).ravel()


def unpack(packed: np.ndarray, spec: ScreenSpec | None = None) -> np.ndarray:
    """The inverse of `pack`: uint8 (N, 5760) to frames (N, 144, 160)."""
    shape = (spec or ScreenSpec()).shape
    # One look-up a byte writes four pixels at once.
    return look_up(packed, _FOURS).view(np.uint8).reshape(len(packed), *shape)


def encode(frames: np.ndarray, spec: ScreenSpec) -> np.ndarray:
    """Frames (N, *spec.shape) as bytes on disk: uint8 (N, spec.frame_bytes)."""
    if frames.shape[1:] != spec.shape or frames.dtype != np.uint8:
        raise InputError(f"frames of shape {frames.shape[1:]} and type {frames.dtype}, expected {spec.shape} uint8")
    if spec.bits == 8:
        return frames.reshape(len(frames), spec.frame_bytes)
    if frames.size and frames.max() > 3:
        raise InputError(f"frames with values up to {frames.max()}, expected brightness ranks 0 … 3")
    return pack(frames)


def decode(data: np.ndarray, spec: ScreenSpec) -> np.ndarray:
    """The inverse of `encode`: uint8 (N, *spec.shape)."""
    if spec.bits == 2:
        return unpack(data, spec)
    return np.ascontiguousarray(data).reshape(len(data), *spec.shape)
