"""One picture of an agent at work: screen | what it sees | progress | how likely each button was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emurl.envs.gameboy.console import BUTTONS
from emurl.screen import ScreenSpec, to_gray
from emurl.training.evaluate import Moment, Record

SCALE = 2
SIDE = 184  # px of the column with curve and bars
GAP = 8
INK, SOFT, GROUND, ACCENT, PRESSED = (35, 38, 31), (140, 144, 136), (251, 250, 247), (47, 125, 79), (208, 138, 29)


class Panel:
    """Draws moments; it remembers Φ so far for the curve. Pictures are uint8 (304, 848, 3) for a 160×144 screen.

    Args:
        steps: of the episode. progress: its Φ, of which the curve's range is; empty where nobody judged, and then there is no curve.
    """

    def __init__(self, spec: ScreenSpec, steps: int, progress: Sequence[float] = ()) -> None:
        self.spec, self.steps = spec, max(1, steps)
        self.low = min(progress, default=0.0)
        self.high = max(max(progress, default=0.0), self.low + 1e-6)
        self.curve: list[tuple[int, float]] = []
        self.font = ImageFont.load_default(11)
        wide, tall = spec.width * SCALE, spec.height * SCALE
        self.size = (2 * wide + SIDE + 4 * GAP, tall + 2 * GAP)

    @classmethod
    def of(cls, spec: ScreenSpec, record: Record) -> Self:
        """For the moments of an episode."""
        return cls(spec, record.steps, record.progress)

    def draw(self, moment: Moment, seen: np.ndarray, step: int) -> np.ndarray:
        """The panel of a moment at action number `step`, uint8 (H, W, 3); `seen`: what the agent sees of it, gray, uint8 of any size."""
        self.curve.append((step, moment.progress))
        picture = Image.new("RGB", self.size, GROUND)
        pen = ImageDraw.Draw(picture)
        wide = self.spec.width * SCALE
        for place, shown in enumerate((to_gray(moment.frame, self.spec), seen)):
            gray = Image.fromarray(shown).convert("RGB")
            picture.paste(
                gray.resize((wide, self.spec.height * SCALE), Image.Resampling.NEAREST), (GAP + place * (wide + GAP), GAP)
            )
        left = 3 * GAP + 2 * wide
        self._draw_curve(pen, left, GAP, SIDE, 116, moment.progress, step)
        self._draw_bars(pen, left, GAP + 132, moment)
        return np.asarray(picture)

    def _draw_curve(self, pen: ImageDraw.ImageDraw, x: int, y: int, wide: int, tall: int, progress: float, step: int) -> None:
        if not math.isnan(progress):
            pen.text((x, y), f"progress {progress:.3g}", fill=INK, font=self.font)
        pen.text((x + wide - GAP, y), f"action {step}", fill=SOFT, font=self.font, anchor="ra")
        if math.isnan(progress):
            return
        top, bottom, right = y + 18, y + tall, x + wide - GAP
        pen.line((x, bottom, right, bottom), fill=SOFT)
        points = [
            (x + (right - x) * at / self.steps, bottom - (bottom - top) * (phi - self.low) / (self.high - self.low))
            for at, phi in self.curve
        ]
        if len(points) > 1:
            pen.line(points, fill=ACCENT, width=2)
        px, py = points[-1]
        pen.ellipse((px - 3, py - 3, px + 3, py + 3), fill=ACCENT)

    def _draw_bars(self, pen: ImageDraw.ImageDraw, x: int, y: int, moment: Moment) -> None:
        for place, (name, chance) in enumerate(zip(BUTTONS, moment.probabilities.tolist(), strict=True)):
            top = y + place * 19
            pressed = place == moment.action
            pen.text((x, top), name, fill=INK if pressed else SOFT, font=self.font)
            room = SIDE - 44 - GAP
            pen.rectangle((x + 44, top + 2, x + 44 + max(1, round(room * chance)), top + 12), fill=PRESSED if pressed else ACCENT)
