"""One Game Boy as a Gymnasium environment: canonical frames in, eight buttons out, no reward of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from emurl.core.errors import InputError
from emurl.envs.gameboy.console import BUTTONS, FRAMES_PER_SECOND, NO_BUTTON, PRESS_TICKS, GameBoy
from emurl.envs.gameboy.memory import reader_for_title
from emurl.screen import ScreenSpec, to_gray


def observation_space(spec: ScreenSpec) -> spaces.Box:
    """The space of canonical frames: uint8 of the spec's shape, 0 … shades - 1."""
    return spaces.Box(0, spec.shades - 1, spec.shape, np.uint8)


def check_timing(frame_skip: int, press_ticks: int) -> None:
    """Raise `InputError` unless a button is let go before the step ends (or the next press of it would be lost)."""
    if frame_skip < 2:
        raise InputError(f"emulator.frame_skip is {frame_skip}, expected at least 2: a press, and its end")
    if not 0 < press_ticks < frame_skip:
        raise InputError(f"emulator.press_ticks is {press_ticks}, expected 1 to {frame_skip - 1} (emulator.frame_skip - 1)")


class GameBoyEnv(gymnasium.Env[np.ndarray, np.int64]):
    """`gymnasium.make("emurl/GameBoy-v0", rom=…)`.

    Observation: the canonical frame after the step, uint8 (144, 160), 0 dark … 3 light. Action: index into
    `emurl.envs.gameboy.console.BUTTONS`, pressed for `press_ticks` of the `frame_skip` frames (1/59.7 s each) of a step;
    -1 (`NO_BUTTON`), which is not in the action space, presses nothing.
    Reward: always 0.0, because progress is judged from pictures elsewhere. The game never terminates an episode;
    `max_steps` truncates it (None: never). `info` holds the facts of the game's RAM where it is a game we can read,
    else nothing. `render_mode="rgb_array"` gives uint8 (144, 160, 3); `metadata["render_fps"]` is the steps in a second of
    game time, 59.7275 / frame_skip, so that a recording runs at the speed of the game.

    `reset` goes back to power-on, or to the save state in `options={"state": bytes}`. The console has no dice of its
    own: same start and same actions give the same frames whatever the seed.
    Raises `InputError` for a bad ROM or timing.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SECOND}  # noqa: RUF012  (an instance variable to Gymnasium)

    def __init__(
        self,
        rom: str | Path,
        frame_skip: int = 30,
        press_ticks: int = PRESS_TICKS,
        max_steps: int | None = None,
        spec: ScreenSpec | None = None,
        render_mode: str | None = None,
        facts: bool = True,
    ) -> None:
        check_timing(frame_skip, press_ticks)
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode is {render_mode!r}, expected None or 'rgb_array'")
        self.frame_skip, self.press_ticks, self.max_steps = frame_skip, press_ticks, max_steps
        self.render_mode = render_mode
        self.metadata = {**GameBoyEnv.metadata, "render_fps": round(FRAMES_PER_SECOND / frame_skip, 2)}
        self.screen = spec or ScreenSpec()
        self.gameboy = GameBoy(rom, self.screen)
        self.reader = reader_for_title(self.gameboy.title) if facts else None
        self.observation_space = observation_space(self.screen)
        self.action_space = spaces.Discrete(len(BUTTONS))
        self._power_on = self.gameboy.save()
        self._steps = 0

    @property
    def milestones(self) -> tuple[str, ...]:
        """Names of the game's milestones in order; empty for a game without a reader."""
        return self.reader.milestones if self.reader else ()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Switch the console off and on, or load `options["state"]`; returns the first frame and the facts."""
        super().reset(seed=None if seed is None else int(seed))  # Gymnasium takes no whole number of NumPy's
        self.restart((options or {}).get("state"))
        return self.gameboy.frame(), self.facts()

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Press button `action`; returns (frame, 0.0, False, whether `max_steps` are over, facts)."""
        self.play(int(action))
        return self.gameboy.frame(), 0.0, False, self.over, self.facts()

    def restart(self, state: bytes | None = None) -> None:
        """`reset` without building its answer: power-on, or the given save state, and one tick to have a picture."""
        self.gameboy.load(self._power_on if state is None else state)
        self.gameboy.tick(1)
        self._steps = 0

    def play(self, action: int) -> None:
        """`step` without building its answer.

        Raises:
            IndexError: there is no such button.
        """
        if action != NO_BUTTON and not 0 <= action < len(BUTTONS):
            raise IndexError(
                f"action {action}: there is no such button, expected 0 to {len(BUTTONS) - 1}, or {NO_BUTTON} for none"
            )
        self.gameboy.step(None if action == NO_BUTTON else action, self.frame_skip, self.press_ticks)
        self._steps += 1

    def wait(self, ticks: int) -> None:
        """Let `ticks` frames (1/59.7 s each) pass without a button; no step of the episode."""
        if ticks > 0:
            self.gameboy.tick(ticks)

    @property
    def over(self) -> bool:
        """Whether the episode has reached `max_steps`."""
        return self.max_steps is not None and self._steps >= self.max_steps

    def facts(self) -> dict[str, Any]:
        """The facts of the game's RAM at this moment; empty for a game without a reader."""
        return self.reader.read(self.gameboy) if self.reader else {}

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """The screen in gray, uint8 (144, 160, 3); None unless made with `render_mode="rgb_array"`."""
        if self.render_mode is None:
            return None
        gray = to_gray(self.gameboy.frame(), self.screen)
        return np.repeat(gray[..., None], 3, axis=2) if gray.ndim == 2 else gray.copy()

    def save_state(self) -> bytes:
        """The console as it stands, for `load_state` or `reset(options={"state": …})`."""
        return self.gameboy.save()

    def load_state(self, state: bytes) -> None:
        """Put the console into a saved state without ending the episode; the step count goes on."""
        self.gameboy.load(state)

    def close(self) -> None:
        """Switch the console off."""
        self.gameboy.close()
