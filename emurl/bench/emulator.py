"""`emurl bench emulator`: our vector environment against Gymnasium's AsyncVectorEnv and against ticking and nothing else."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from emurl.core.config import Config
from emurl.core.store import Store
from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.envs.gameboy.env import GameBoyEnv
from emurl.envs.gameboy.vector import ThreadedVectorEnv, cores
from emurl.games.mossdale import bot, symbols
from emurl.games.mossdale import rom_path as cartridge
from emurl.games.settings import rom_path

REPEATS = 5
SECONDS = 1.2  # a repeat of one contender
ENVS = 8
WARM_UP = 60  # steps: past the boot logo
STRETCH = 64  # frames walked one way, then the other: four cells
TOWN = 3  # the embedded game's map on which the walking is timed


def run(config: Config, store: Store | None = None) -> dict[str, Any]:
    """Steps per second of `ENVS` Game Boys, medians of alternating repeats, and our ratio to each peer.

    `async`: the same environment in Gymnasium's AsyncVectorEnv, a process each. `raw`: PyBoy ticking as many frames on as
    many threads with no buttons, frames or environment around it, which is the limit.
    `overworld_frames_per_second`: see `overworld`.
    """
    rom, skip, press = rom_path(config.emulator), config.emulator.frame_skip, config.emulator.press_ticks
    rng = np.random.default_rng(0)
    # The processes are forked before this one has threads.
    peer = AsyncVectorEnv([lambda: GameBoyEnv(rom, skip, press, facts=False)] * ENVS)
    ours = ThreadedVectorEnv(rom, ENVS, skip, press, facts=False, autoreset_mode=AutoresetMode.DISABLED, copy=False)
    raw = ThreadedVectorEnv(rom, ENVS, skip, press, facts=False, copy=False)
    pool = ThreadPoolExecutor(ours.threads)
    try:
        for envs in (peer, ours, raw):
            envs.reset(seed=0)
        for _ in range(WARM_UP):
            actions = rng.integers(0, 8, ENVS)
            peer.step(actions)
            ours.step(actions)
        for i in range(ENVS):
            raw.load_state(i, ours.save_state(i))

        def tick_stripe(first: int) -> None:
            for i in range(first, ENVS, ours.threads):
                raw.consoles[i].gameboy.tick(skip)

        contenders: dict[str, Callable[[], object]] = {
            "ours": lambda: ours.step(rng.integers(0, 8, ENVS)),
            "async": lambda: peer.step(rng.integers(0, 8, ENVS)),
            "raw": lambda: list(pool.map(tick_stripe, range(ours.threads))),
        }
        speeds = alternate(contenders, ENVS, REPEATS, SECONDS)
    finally:
        pool.shutdown()
        for envs in (ours, raw, peer):
            envs.close()
    return {
        "steps_per_second": speeds["ours"],
        "async_steps_per_second": speeds["async"],
        "raw_steps_per_second": speeds["raw"],
        "ratio_to_async": round(speeds["ours"] / speeds["async"], 3),
        "ratio_to_raw": round(speeds["ours"] / speeds["raw"], 3),
        "overworld_frames_per_second": overworld(),
        "rom": rom.name,
        "envs": ENVS,
        "frame_skip": skip,
        "threads": ours.threads,
        "cores": cores(),
    }


def overworld(repeats: int = REPEATS, seconds: float = SECONDS) -> float:
    """Frames a second that one core makes of the embedded game while the player walks to and fro in town, nothing drawn.

    The runner plays up to there. The median of `repeats` of `seconds` each.
    """
    console = GameBoy(cartridge())
    at = symbols()["wCurMap"]
    state: list[bytes] = []

    def look(gameboy: GameBoy) -> None:
        if not state and gameboy.read(at)[0] == TOWN:
            state.append(gameboy.save())
            raise _There

    try:
        with contextlib.suppress(_There):
            bot.play(console, 0, look, render_every=0, style=bot.Style.plain())
        console.load(state[0])
        for button in BUTTONS:
            console.release(button)
        console.tick(60, render=False)  # through the door and its fade

        def walk() -> None:
            for way in ("down", "up"):
                console.press(way)
                console.tick(STRETCH, render=False)
                console.release(way)

        return alternate({"overworld": walk}, 2 * STRETCH, repeats, seconds)["overworld"]
    finally:
        console.close()


class _There(Exception):
    """The runner has come far enough."""


def alternate(contenders: Mapping[str, Callable[[], object]], each: int, repeats: int, seconds: float) -> dict[str, float]:
    """Calls of every contender in turn for `seconds`, `repeats` times over; the median of `each` · calls a second, by name."""
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, call in contenders.items():
            calls, began = 0, time.perf_counter()
            while (passed := time.perf_counter() - began) < seconds:
                call()
                calls += 1
            speeds[name].append(each * calls / passed)
    return {name: round(statistics.median(found), 1) for name, found in speeds.items()}
