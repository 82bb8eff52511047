"""From the planes of a video to frames that no palette reads: in color, or by luminance.

The luma plane goes back to 160×144 the way it came (see `resample`), which is where a picture's detail is. Chroma is half as fine
in nearly every video, so that its planes are averaged over what they show of each pixel's middle; then colors are the standard's matrix
away. What a stream tints stays tinted: without a palette nothing says what white was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emurl.footage.screen_finder.resample import Box, Resampler, resampler
from emurl.footage.video import Coding
from emurl.screen import EMULATOR_THRESHOLDS, HEIGHT, WIDTH, ScreenSpec, by_luminance, quantize

LUMA, CHROMA = (16, 219), 224  # of limited range: black, and how far it is to white; how far from one end of chroma to the other
NEUTRAL = 128
SPARSE = 7  # of so many pixels one says which color is usual


@dataclass(frozen=True)
class Layout:
    """How the window of a picture lies in the pipe: a luma plane, and with `step` two chroma planes, one number for step² pixels.

    `x`, `y`, `width` and `height` are the window's, in pixels of the video; with chroma all are multiples of `step`.
    """

    x: int
    y: int
    width: int
    height: int
    step: int = 0  # 0: luma alone

    @classmethod
    def around(cls, windows: Sequence[tuple[int, int, int, int]], spec: ScreenSpec, coding: Coding) -> Layout:
        """The smallest that holds `windows` (x, y, width, height), with what `spec` needs to know."""
        boxes = np.array(windows)
        low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
        step = coding.step if spec.channels == 3 else 0
        if step > 1:
            # A picture of odd size has a last chroma number of its own.
            low, high = low // step * step, np.minimum(-(-high // step) * step, coding.size)
        (x, y), (width, height) = low.tolist(), (high - low).tolist()
        return cls(x, y, width, height, step)

    @property
    def half(self) -> tuple[int, int]:
        """Width and height of a chroma plane."""
        return -(-self.width // max(1, self.step)), -(-self.height // max(1, self.step))

    @property
    def size(self) -> int:
        """Bytes of a picture."""
        return self.width * self.height + (2 * self.half[0] * self.half[1] if self.step else 0)

    def planes(self, pictures: np.ndarray) -> list[np.ndarray]:
        """Pictures uint8 (n, size) as their planes, uint8 (n, height, width) each: luma, then blue and red chroma."""
        count, luma, (wide, high) = len(pictures), self.width * self.height, self.half
        found = [pictures[:, :luma].reshape(count, self.height, self.width)]
        if self.step:
            chroma = pictures[:, luma:].reshape(count, 2, high, wide)
            found += [chroma[:, 0], chroma[:, 1]]
        return found


@dataclass(frozen=True)
class Reading:
    """How the screen at one place of a video becomes frames of `spec`, one that no palette reads.

    `chroma` leads from the chroma planes of `layout` to 160×144; None where frames are gray. Luminances that are less than `noise`
    apart are one.
    """

    spec: ScreenSpec
    coding: Coding
    noise: int
    chroma: Resampler | None

    @classmethod
    def of(cls, spec: ScreenSpec, coding: Coding, noise: int, layout: Layout, rect: Box) -> Reading:
        """For the screen at `rect`."""
        if spec.channels == 1:
            return cls(spec, coding, noise, None)
        x, y, width, height = rect
        step = layout.step
        place = (x - layout.x) / step, (y - layout.y) / step, width / step, height / step
        return cls(spec, coding, noise, resampler(place, layout.half, "middle"))

    def frames(self, gray: np.ndarray, chroma: Sequence[np.ndarray]) -> np.ndarray:
        """Frames uint8 (n, *spec.shape) of luma uint8 (n, 144, 160), already at their size, and the two chroma planes."""
        black, span = (0, 255) if self.coding.full_range else LUMA
        light = (gray.astype(np.float32) - black) * (255.0 / span)
        if self.chroma is None:
            whole = _rounded(light)
            return whole if self.spec.shades == 256 else np.stack([by_luminance(one, self.noise) for one in whole])
        reach = 255.0 / (255 if self.coding.full_range else CHROMA)
        blue, red = ((self.chroma(self.chroma.cut(plane)).astype(np.float32) - NEUTRAL) * reach for plane in chroma)
        kr, kb = self.coding.weights
        kg = 1.0 - kr - kb
        out = np.empty((*gray.shape, 3), np.float32)
        out[..., 0] = light + 2 * (1 - kr) * red
        out[..., 1] = light - (2 * kb * (1 - kb) / kg) * blue - (2 * kr * (1 - kr) / kg) * red
        out[..., 2] = light + 2 * (1 - kb) * blue
        color = _rounded(out)
        return color if self.spec.shades == 256 else quantize(color, EMULATOR_THRESHOLDS)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def is_plain(frames: np.ndarray, same_levels: int, share: float) -> np.ndarray:
    """Whether more than a share of the pixels of each frame (n, 144, 160[, 3]) has about its usual color: bool (n,)."""
    flat = frames.reshape(len(frames), HEIGHT * WIDTH, -1)
    usual = np.median(flat[:, ::SPARSE], axis=1, keepdims=True).astype(np.uint8)
    return np.asarray((~differing(flat, usual, same_levels)).mean(axis=1) > share)


def differing(one: np.ndarray, other: np.ndarray, same_levels: int) -> np.ndarray:
    """Where any channel of uint8 (…, channels) is more than `same_levels` apart: bool (…)."""
    return np.asarray((np.maximum(one, other) - np.minimum(one, other) > same_levels).any(axis=-1))
