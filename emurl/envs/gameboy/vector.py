"""Many Game Boys on a few threads, as a Gymnasium vector environment.

PyBoy releases the interpreter lock while it ticks, so threads run consoles at once, and every frame is written straight
into one shared buffer: no processes, no pipes, no copies between them. Threads take the next waiting console when they
are done with one, so a slow console holds nobody up.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from emurl.envs.gameboy.console import PRESS_TICKS
from emurl.envs.gameboy.env import GameBoyEnv
from emurl.screen import ScreenSpec

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


def cores() -> int:
    """Processor cores this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ThreadedVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` Game Boys with one ROM, stepped on `threads` threads (None: one a core, at most one a console).

    Observations are uint8 (num_envs, 144, 160); with `copy=False` the buffer itself is handed out and the next step
    overwrites it. `autoreset_mode` is Gymnasium's: NEXT_STEP (default), SAME_STEP (the last frame of an episode goes to
    `infos["final_obs"]`) or DISABLED (reset with `options={"reset_mask": …}`). `infos` holds one array a fact and its
    mask `_fact`; `facts=False` leaves the RAM alone, `facts="asked"` reads it for who asks a console, not for `infos`.
    Other arguments as in `GameBoyEnv`.
    """

    def __init__(
        self,
        rom: str | Path,
        num_envs: int = 8,
        frame_skip: int = 30,
        press_ticks: int = PRESS_TICKS,
        max_steps: int | None = None,
        spec: ScreenSpec | None = None,
        render_mode: str | None = None,
        facts: bool | Literal["asked"] = True,
        threads: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        copy: bool = True,
    ) -> None:
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.num_envs, self.copy, self.render_mode = num_envs, copy, render_mode
        self._tells = facts is True
        read = bool(facts)
        self.consoles = [GameBoyEnv(rom, frame_skip, press_ticks, max_steps, spec, render_mode, read) for _ in range(num_envs)]
        first = self.consoles[0]
        self.metadata = {**first.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space, self.single_action_space = first.observation_space, first.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.frames = np.zeros((num_envs, *first.screen.shape), np.uint8)
        """The shared buffer: the frame of every console as it stands."""
        self._over = np.zeros(num_envs, bool)
        self.threads = max(1, min(num_envs, threads or cores()))
        # The calling thread works too, so one fewer is hired.
        self._pool = ThreadPoolExecutor(self.threads - 1, "gameboy") if self.threads > 1 else None

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset all consoles, or those of the boolean `options["reset_mask"]`; other options as in `GameBoyEnv.reset`.

        An integer seed gives console i the seed + i; a sequence gives each its own.
        """
        if seed is None or isinstance(seed, int | np.integer):
            super().reset(seed=None if seed is None else int(seed))
            seeds: list[int | None] = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = list(seed)
            if len(seeds) != self.num_envs:
                raise ValueError(f"{len(seeds)} seeds were given, expected {self.num_envs}")
        options = dict(options or {})
        mask = np.asarray(options.pop("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise ValueError(f"reset_mask must be {self.num_envs} booleans of which one is true, not {mask!r}")
        chosen = np.flatnonzero(mask).tolist()

        def work(i: int) -> None:
            self.consoles[i].reset(seed=seeds[i], options=options)
            self._look(i)

        self._each(work, chosen)
        self._over[mask] = False
        return self._observations(), self._infos(chosen)

    def step(self, actions: np.ndarray, playing: np.ndarray | None = None) -> Arrays:
        """Play one action (num_envs,) on every console; frames, zeros, never, whether over, facts.

        An action of -1 presses nothing. Consoles that are False in `playing`, bool (num_envs,), stand still and tell no
        facts.
        """
        if len(actions) != self.num_envs:
            raise ValueError(f"{len(actions)} actions were given, expected {self.num_envs}")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._over.any():
            raise ValueError(f"consoles {np.flatnonzero(self._over).tolist()} are over and were not reset")
        resting = self._over.copy() if self.autoreset_mode is AutoresetMode.NEXT_STEP else np.zeros_like(self._over)
        presses = [int(action) for action in actions]

        def work(i: int) -> None:
            if resting[i]:
                self.consoles[i].restart()
            else:
                self.consoles[i].play(presses[i])
            self._look(i)

        moving = range(self.num_envs) if playing is None else np.flatnonzero(playing).tolist()
        self._each(work, moving)
        over = np.array([console.over for console in self.consoles])
        infos: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP and over.any():
            ended = np.flatnonzero(over).tolist()
            for i in ended:
                last = {"final_obs": self.frames[i].copy(), "final_info": self._told(i)}
                infos = self._add_info(infos, last, i)
            for i in ended:
                self.restart(i)
            self._over[:] = False
        else:
            self._over = over
        infos |= self._infos(moving)
        zeros = np.zeros(self.num_envs)
        return self._observations(), zeros, np.zeros(self.num_envs, bool), over.copy(), infos

    def restart(self, i: int, state: bytes | None = None, played: Iterable[int] = (), wait: int = 0) -> np.ndarray:
        """Begin a new episode on console `i` from power-on or a save state, or from where `played` actions and `wait` frames without a
        button lead from there; returns its first frame (a view).
        """
        self.consoles[i].restart(state)
        for action in played:
            self.consoles[i].play(action)
        self.consoles[i].wait(wait)
        self._over[i] = False
        return self._look(i)

    def wait(self, ticks: np.ndarray) -> np.ndarray:
        """Let `ticks[i]` frames (1/59.7 s each) pass on console i without a button; returns the frames, as `reset` does."""

        def work(i: int) -> None:
            self.consoles[i].wait(int(ticks[i]))
            self._look(i)

        self._each(work, range(self.num_envs))
        return self._observations()

    def save_state(self, i: int) -> bytes:
        """Console `i` as it stands."""
        return self.consoles[i].save_state()

    def load_state(self, i: int, state: bytes) -> None:
        """Put console `i` into a saved state without ending its episode. Its frame is seen after the next step."""
        self.consoles[i].load_state(state)

    def facts(self) -> list[dict[str, Any]]:
        """The facts of every console as it stands."""
        return [console.facts() for console in self.consoles]

    def render(self) -> tuple[np.ndarray, ...] | None:  # type: ignore[override]
        """Every console's screen, uint8 (144, 160, 3); None unless made with `render_mode="rgb_array"`."""
        pictures = [console.render() for console in self.consoles]
        return None if self.render_mode is None else tuple(p for p in pictures if p is not None)

    def close_extras(self, **kwargs: Any) -> None:
        """Switch the consoles off and send the threads home."""
        if self._pool:
            self._pool.shutdown()
        for console in self.consoles:
            console.close()

    def _look(self, i: int) -> np.ndarray:
        return self.consoles[i].gameboy.frame(out=self.frames[i])

    def _observations(self) -> np.ndarray:
        return self.frames.copy() if self.copy else self.frames

    def _infos(self, chosen: Iterable[int]) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for i in chosen:
            infos = self._add_info(infos, self._told(i), i)
        return infos

    def _told(self, i: int) -> dict[str, Any]:
        return self.consoles[i].facts() if self._tells else {}

    def _each(self, work: Callable[[int], Any], chosen: Sequence[int]) -> None:
        """Run `work(i)` for every chosen console on all threads; raises what a console raised."""
        waiting = itertools.count()  # `next` on it is atomic under the interpreter lock: a queue without a lock

        def labor() -> None:
            while (place := next(waiting)) < len(chosen):
                work(chosen[place])

        hired = [self._pool.submit(labor) for _ in range(self.threads - 1)] if self._pool else []
        try:
            labor()
        finally:
            for hand in hired:  # also when this thread failed: nobody may tick on behind the caller's back
                hand.exception()
        for hand in hired:
            hand.result()
