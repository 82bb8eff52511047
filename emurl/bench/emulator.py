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
from emurl.games.settings import EmulatorSettings, game_of, rom_path

REPEATS = 5
SECONDS = 1.2  # a repeat of one contender
ENVS = 8
WARM_UP = 60  # steps: past the boot logo
STRETCH = 64  # frames walked one way, then the other: four cells
PLACE = 3  # the walking is timed on the bot's third map of the embedded game: out of doors


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
    """Frames a second that one core makes of the embedded game while the player walks to and fro out of doors, nothing drawn.

    Its bot plays up to there. The median of `repeats` of `seconds` each.
    """
    embedded = EmulatorSettings()
    game = game_of(embedded)
    assert game is not None and game.bot is not None and game.reader is not None
    console, reader = GameBoy(rom_path(embedded)), game.reader()
    state: list[bytes] = []
    places: set[object] = set()

    def look(gameboy: GameBoy) -> None:
        facts = reader.read(gameboy)
        if reader.walking(facts):
            places.add(facts["map"])
        if len(places) == PLACE:
            state.append(gameboy.save())
            raise _There

    try:
        with contextlib.suppress(_There):
            game.bot(console, 0, look, render_every=0)
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
    """The bot has come far enough."""


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
