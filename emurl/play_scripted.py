"""Play a game without anything learned, from power-on: its own bot, or chance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emurl.core.errors import InputError
from emurl.core.refusals import require_file
from emurl.core.registry import discover
from emurl.envs.gameboy.console import BUTTONS, FRAMES_PER_SECOND, GameBoy
from emurl.envs.gameboy.memory import reader_for_title
from emurl.games.settings import EmulatorSettings, game_of, rom_path
from emurl.report.film import write_mp4
from emurl.screen import to_gray

STEP_TICKS = 16  # of a random action: one cell of walking
VIDEO_EVERY = 2  # of the console's frames, one is filmed


def sha256(presses: Sequence[object]) -> str:
    """What identifies a run: the hash of its presses as JSON."""
    return hashlib.sha256(json.dumps(presses, separators=(",", ":")).encode()).hexdigest()


def play_bot(emulator: EmulatorSettings, seed: int, video: str | None = None) -> dict[str, Any]:
    """A run of the bot of the game that `emulator.rom` means: `{finished, frames, steps, milestones, buttons_sha256}`.

    Args:
        seed: the same seed gives the same run. video: an .mp4 to write.

    Returns:
        frames: of the console, up to the end of the run; steps: presses of a button; milestones: names with the frame that
        reached them; buttons_sha256: of (frame, button) for every change of what is held.

    Raises:
        InputError: the game has no bot, or the film cannot be written there.
    """
    require_file("--video", video, ".mp4")
    rom, game = rom_path(emulator), game_of(emulator)
    if game is None or game.bot is None:
        having = ", ".join(name for name, one in discover("games").items() if one.bot is not None)
        name = rom.name if game is None else game.name
        raise InputError(f"play --bot: emulator.rom is {name}, which has no bot, expected a game that has one: {having}")
    seen: list[np.ndarray] = []
    console = GameBoy(rom)
    try:

        def look(gameboy: GameBoy) -> None:
            if gameboy.frames % VIDEO_EVERY == 0:
                seen.append(_shown(gameboy))

        record = game.bot(console, seed, look if video else None, render_every=VIDEO_EVERY if video else 0)
    finally:
        console.close()
    if video:
        write_mp4(Path(video), _large(seen), FRAMES_PER_SECOND / VIDEO_EVERY)
    return {
        "finished": record.finished,
        "frames": record.ticks,
        "steps": sum(button is not None for _, button in record.presses),
        "milestones": record.milestones,
        "buttons_sha256": sha256(record.presses),
    }


def play_random(emulator: EmulatorSettings, seed: int, steps: int, video: str | None = None) -> dict[str, Any]:
    """Buttons drawn at random, one every 16 frames, for `steps` actions or until the last milestone; as `play_bot`.

    A game without a reader has no milestones and is never finished.

    Raises:
        InputError: `steps` is less than 1, the ROM is none, or the film cannot be written there.
    """
    require_file("--video", video, ".mp4")
    if steps < 1:
        raise InputError(f"--steps {steps}: expected a number of actions ≥ 1")
    seen: list[np.ndarray] = []
    rng = np.random.default_rng(seed)
    console = GameBoy(rom_path(emulator))
    reader = reader_for_title(console.title)
    reached: dict[str, int] = {}
    pressed: list[str] = []
    try:
        for action in rng.integers(len(BUTTONS), size=steps).tolist():
            console.step(action, STEP_TICKS)
            pressed.append(BUTTONS[action])
            if video:
                seen.append(_shown(console))
            if reader:
                for name in reader.reached(reader.read(console)):
                    reached.setdefault(name, console.frames)
                if reader.milestones[-1] in reached:
                    break
        frames = console.frames
    finally:
        console.close()
    if video:
        write_mp4(Path(video), _large(seen), FRAMES_PER_SECOND / STEP_TICKS)
    return {
        "finished": reader is not None and reader.milestones[-1] in reached,
        "frames": frames,
        "steps": len(pressed),
        "milestones": reached,
        "buttons_sha256": sha256(pressed),
    }


def _shown(console: GameBoy) -> np.ndarray:
    """The screen as it is, uint8 (144, 160, 3) of a color game, else (144, 160)."""
    return console.pixels[..., :3].copy() if console.color else to_gray(console.frame())


def _large(pictures: Iterable[np.ndarray], times: int = 3) -> Iterator[np.ndarray]:
    """Screens as uint8 (H, W, 3), enlarged."""
    for picture in pictures:
        large = picture.repeat(times, 0).repeat(times, 1)
        yield large if large.ndim == 3 else np.repeat(large[..., None], 3, axis=2)
