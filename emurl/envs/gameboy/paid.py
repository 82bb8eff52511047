"""Game Boys paid from the game's memory: one as people wrap them, many as training wants them.

`emurl/GameBoyRam-v0` shows what most people's networks read, stacked 84×84 gray frames, made by Gymnasium's own wrappers. Training
(`PaidVectorEnv`) shows the canonical frame alone: the network stacks and scales by itself (`emurl.agents.ppo.pixel_networks`), to
the very same pictures, and a rollout holds each frame once.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import FrameStackObservation, ResizeObservation

from emurl.core.config import settings_from
from emurl.core.errors import InputError
from emurl.envs.gameboy.console import PRESS_TICKS
from emurl.envs.gameboy.env import GameBoyEnv
from emurl.envs.gameboy.memory import GameReader
from emurl.envs.gameboy.memory_layout import read_many
from emurl.envs.gameboy.vector import Arrays, ThreadedVectorEnv
from emurl.rewards.ram import TERMS, RamReward, RamRewardSettings
from emurl.screen import ScreenSpec, to_gray

FRAME_SKIP = 24  # emulator frames an action takes: 0.4 s of game time
MAX_STEPS = 4096


@dataclass
class Totals:
    """What came of an episode: what it was paid, also by term, its steps, the badges at its end, the milestones reached, and whether the
    last one was.
    """

    paid: float = 0.0
    steps: int = 0
    badges: int = 0
    terms: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TERMS, 0.0))
    reached: list[str] = field(default_factory=list)
    finished: bool = False


class _Meter:
    """Pays consoles and keeps count of their episodes."""

    def __init__(self, consoles: Sequence[GameBoyEnv], settings: RamRewardSettings) -> None:
        self.consoles = consoles
        self.readers = [reader_of(console) for console in consoles]
        self.reward = RamReward(settings, len(consoles))
        self.totals = [Totals() for _ in consoles]

    def begin(self, places: Sequence[int]) -> None:
        """Episodes begin on these consoles, as they stand."""
        numbers, walking, _ = self._read()
        for i in places:
            self.totals[i] = Totals()
            self.reward.begin(i, numbers, bool(walking[i]))

    def pay(self) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Rewards float32 (n,) of the step that led here, bool (n,), whether the last milestone is reached, and the terms of the rewards."""
        numbers, walking, facts = self._read()
        terms = self.reward.pay(numbers, walking)
        rewards = np.stack([*terms.values()]).sum(axis=0)
        for i, (total, reader) in enumerate(zip(self.totals, self.readers, strict=True)):
            total.paid += float(rewards[i])
            total.steps += 1
            total.badges = int(numbers["badges"][i]) if walking[i] else total.badges
            for term, paid in terms.items():
                total.terms[term] += float(paid[i])
            total.reached += [name for name in reader.reached(facts[i]) if name not in total.reached]
            total.finished = reader.milestones[-1] in total.reached
        return rewards, np.array([total.finished for total in self.totals]), terms

    def _read(self) -> tuple[dict[str, np.ndarray], np.ndarray, list[dict[str, Any]]]:
        facts = [console.facts() for console in self.consoles]
        walking = np.array([reader.walking(one) for reader, one in zip(self.readers, facts, strict=True)])
        return read_many([console.gameboy for console in self.consoles]), walking, facts

    def save(self, i: int) -> bytes:
        """The account and the totals of console `i`."""
        return _joined(self.reward.save(i), json.dumps(self.totals[i].__dict__).encode())

    def load(self, i: int, saved: bytes) -> None:
        """The inverse of `save`."""
        account, totals = _parted(saved)
        self.reward.load(i, account)
        self.totals[i] = Totals(**json.loads(totals))


def reader_of(console: GameBoyEnv) -> GameReader:
    """The reader of the game that is played.

    Raises:
        InputError: nobody reads this game's memory, so nobody can pay for it.
    """
    if console.reader is None:
        raise InputError(f"{console.gameboy.title or 'this ROM'}: no reader of its memory, expected a game that has one")
    return console.reader


class PaidGameBoyEnv(GameBoyEnv):
    """One Game Boy that shows gray frames, uint8 (144, 160), 0 … 255, and pays from memory.

    `terminated`: the game's last milestone is reached. `info` holds the facts of the game's memory and `reward_terms`.
    Arguments as in `GameBoyEnv`; `reward` are settings of `RamRewardSettings` by name.
    """

    def __init__(
        self, rom: str | Path, frame_skip: int = FRAME_SKIP, press_ticks: int = PRESS_TICKS, max_steps: int | None = MAX_STEPS,
        spec: ScreenSpec | None = None, render_mode: str | None = None, reward: Mapping[str, Any] | RamRewardSettings | None = None,
    ) -> None:  # fmt: skip
        super().__init__(rom, frame_skip, press_ticks, max_steps, spec, render_mode)
        if not isinstance(reward, RamRewardSettings):
            reward = settings_from(RamRewardSettings, dict(reward or {}), (), "reward")
        self.observation_space = spaces.Box(0, 255, self.screen.shape, np.uint8)
        self._meter = _Meter([self], reward)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """As `GameBoyEnv.reset`."""
        frame, info = super().reset(seed=seed, options=options)
        self._meter.begin([0])
        return to_gray(frame, self.screen), info

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Press button `action`; returns (gray frame, reward, whether the game is over, whether `max_steps` are, facts)."""
        frame, _, _, over, info = super().step(action)
        rewards, finished, terms = self._meter.pay()
        info["reward_terms"] = {term: float(paid[0]) for term, paid in terms.items()}
        return to_gray(frame, self.screen), float(rewards[0]), bool(finished[0]), over, info


def stacked(
    rom: str | Path, obs_height: int = 84, obs_width: int = 84, frame_stack: int = 4, **arguments: Any
) -> gymnasium.Env[Any, Any]:
    """`gymnasium.make("emurl/GameBoyRam-v0", rom=…)`: observations uint8 (frame_stack, obs_height, obs_width), as Atari's.

    Args:
        arguments: of `PaidGameBoyEnv`.
    """
    env = ResizeObservation(PaidGameBoyEnv(rom, **arguments), (obs_height, obs_width))
    return FrameStackObservation(env, frame_stack)


class PaidVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many Game Boys on a few threads that show canonical frames and pay from memory; an episode begins anew in the step that ends it.

    Args:
        rom, num_envs, frame_skip, press_ticks, spec, threads: as in `ThreadedVectorEnv`. max_steps: steps until an episode is truncated.
        reward: what is paid.

    Attributes:
        ended: totals of the episodes that ended, in order; whoever reads them takes them out.
    """

    def __init__(
        self, rom: str | Path, num_envs: int, frame_skip: int = FRAME_SKIP, press_ticks: int = PRESS_TICKS,
        max_steps: int = MAX_STEPS, spec: ScreenSpec | None = None, reward: RamRewardSettings | None = None, threads: int | None = None,
    ) -> None:  # fmt: skip
        self.envs = ThreadedVectorEnv(
            rom, num_envs, frame_skip, press_ticks, None, spec, facts="asked", threads=threads,
            autoreset_mode=AutoresetMode.DISABLED, copy=False,
        )  # fmt: skip
        self.num_envs, self.max_steps = num_envs, max_steps
        self.metadata = {**self.envs.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space, self.single_action_space = (
            self.envs.single_observation_space,
            self.envs.single_action_space,
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = self.envs.action_space
        self.ended: list[Totals] = []
        try:
            self._meter = _Meter(self.envs.consoles, reward or RamRewardSettings())
        except InputError:
            self.envs.close()
            raise

    @property
    def totals(self) -> list[Totals]:
        """Of the episode that is on, on each console."""
        return self._meter.totals

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Switch all consoles off and on."""
        frames, _ = self.envs.reset(seed=seed)
        self._meter.begin(range(self.num_envs))
        return frames.copy(), {}

    def step(self, actions: np.ndarray) -> Arrays:
        """One action everywhere: frames, rewards float32, whether the game is over, whether `max_steps` are; `final_obs` in the infos."""
        self.envs.step(actions)
        rewards, terminated, _ = self._meter.pay()
        truncated = ~terminated & (np.array([total.steps for total in self.totals]) >= self.max_steps)
        infos: dict[str, Any] = {}
        over = np.flatnonzero(terminated | truncated).tolist()
        for i in over:
            infos = self._add_info(infos, {"final_obs": self.envs.frames[i].copy()}, i)
            self.ended.append(self.totals[i])
            self.envs.restart(i)
        if over:
            self._meter.begin(over)
        return self.envs.frames.copy(), rewards, terminated, truncated, infos

    def save_state(self, i: int) -> bytes:
        """Console `i` as it stands, with what its episode was paid."""
        return _joined(self._meter.save(i), self.envs.save_state(i))

    def load_state(self, i: int, state: bytes) -> None:
        """The inverse of `save_state`."""
        account, console = _parted(state)
        self._meter.load(i, account)
        self.envs.load_state(i, console)

    def close_extras(self, **kwargs: Any) -> None:
        """Switch all consoles off."""
        self.envs.close()


def _joined(first: bytes, second: bytes) -> bytes:
    return struct.pack("<Q", len(first)) + first + second


def _parted(both: bytes) -> tuple[bytes, bytes]:
    (size,) = struct.unpack("<Q", both[:8])
    return both[8 : 8 + size], both[8 + size :]
