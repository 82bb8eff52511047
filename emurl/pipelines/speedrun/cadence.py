"""How many frames of the footage an action of the emulator takes."""

from __future__ import annotations

from emurl.envs.gameboy.console import FRAMES_PER_SECOND


def frames_per_action(frame_skip: int, fps: float) -> int:
    """How many footage frames an action takes, at least 1."""
    return max(1, round(frame_skip / FRAMES_PER_SECOND * fps))
