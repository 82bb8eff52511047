"""Play without a goal, for frames whose buttons are known: what the inverse dynamics model learns from.

Game Boys are played by chance, in short stretches that begin at power-on or at a state kept because its screen looked new
(Go-Explore, 1901.10995, with its coarse picture as the key; nothing is read from the game's memory). Buttons are tapped as
the agent taps them and held as people hold them, and frames are taken at any offset to the presses, because a video's frames
are.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.footage.dataset import decode, encode
from emurl.screen import ScreenSpec

# How often chance presses what: mostly walking and A, START often enough that no title holds it up.
ODDS = {"a": 0.24, "b": 0.03, "up": 0.15, "down": 0.15, "left": 0.15, "right": 0.15, "start": 0.10, "select": 0.01}
IDLE = 0.02
STRETCH = 24  # actions from one start
SAVE_EVERY = 8  # actions between looks at whether this place is worth keeping: a save costs as much as ten actions
FROM_POWER_ON = 0.12  # share of stretches once there are kept states
LATENCY = 2  # frames from a press to the first change on the screen
CHANGED_PIXELS = 24  # fewer differing pixels are noise of a stream, not an event

Act = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Frames uint8 (n, 144, 160) and which of the n stretches just began (n,) bool, to actions (n,)."""


@dataclass
class Kept:
    """A state worth returning to: its bytes, packed, and how often it was begun from or met again."""

    packed: bytes
    count: int = 1


@dataclass
class Pairs:
    """Frames one action apart, packed, uint8 (M, 2, ·); the button in between (M,); the stretch each is from (M,).

    `moments`, packed uint8 (K, ·), are some frames as an agent meets them: when an action is over and the next is due.
    """

    packed: np.ndarray
    actions: np.ndarray
    stretch: np.ndarray
    moments: np.ndarray
    spec: ScreenSpec

    def __len__(self) -> int:
        return len(self.actions)

    def frames(self, places: np.ndarray) -> np.ndarray:
        """The pairs at `places` (n,): uint8 (n, 2, 144, 160[, 3])."""
        packed = self.packed[places]
        return decode(packed.reshape(-1, packed.shape[-1]), self.spec).reshape(len(packed), 2, *self.spec.shape)

    def moment_frames(self) -> np.ndarray:
        """All `moments`: uint8 (K, 144, 160[, 3])."""
        return decode(self.moments, self.spec)

    def join(self, other: Pairs) -> Pairs:
        """Both, the other's stretches counted on."""
        first = int(self.stretch.max(initial=-1)) + 1
        return Pairs(
            np.concatenate([self.packed, other.packed]),
            np.concatenate([self.actions, other.actions]),
            np.concatenate([self.stretch, other.stretch + first]),
            np.concatenate([self.moments, other.moments]),
            self.spec,
        )

    def save(self, file: Path) -> None:
        """Write to `file` (npz), whole or not at all."""
        aside = file.with_suffix(".part")
        with aside.open("wb") as opened:
            np.savez(opened, packed=self.packed, actions=self.actions, stretch=self.stretch, moments=self.moments)
        os.replace(aside, file)

    @classmethod
    def load(cls, file: Path, spec: ScreenSpec) -> Pairs:
        """The inverse of `save`."""
        with np.load(file) as found:
            return cls(found["packed"], found["actions"], found["stretch"], found["moments"], spec)


@dataclass
class _Hand:
    """What one console's player is doing: a button (-1 none), for so many more actions, tapped or held down."""

    button: int = -1
    left: int = 0
    hold: bool = False
    down: int = -1  # the button that is down at this moment


@dataclass
class _Stretch:
    """One console's stretch so far: frames with the tick each was taken at, and the button of each action."""

    phase: int
    frames: list[np.ndarray] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    buttons: list[int] = field(default_factory=list)


class Explorer:
    """`consoles` Game Boys on as many threads as there are cores; everything it does follows from `seed`.

    `frame_skip`, `press_ticks`: as the agent plays. `samples`: frames taken per action, as many as the footage has.
    """

    def __init__(
        self, rom: Path, frame_skip: int, press_ticks: int, samples: int, seed: int, spec: ScreenSpec, consoles: int = 8
    ) -> None:
        self.frame_skip, self.press_ticks, self.samples = frame_skip, press_ticks, max(1, samples)
        self.consoles = [GameBoy(rom, spec) for _ in range(consoles)]
        self.dice = [np.random.default_rng([seed, number]) for number in range(consoles)]
        self.rng = np.random.default_rng([seed, 0xE])
        self.spec = spec
        self.power_on = self.consoles[0].save()
        self.kept: dict[bytes, Kept] = {}
        self._moments: list[np.ndarray] = []
        self._pool = ThreadPoolExecutor(min(consoles, os.cpu_count() or 1))

    def close(self) -> None:
        """Switch the consoles off."""
        self._pool.shutdown()
        for console in self.consoles:
            console.close()

    def gather(self, actions: int, tracker: Tracker, act: Act | None = None, act_share: float = 0.7) -> Pairs:
        """Play about `actions` actions and return the pairs in which something changed.

        With `act`, it chooses `act_share` of the buttons (tapped, as the agent does) and chance the others.
        """
        parts: list[Pairs] = []
        self._moments = []
        rounds = max(1, round(actions / (STRETCH * len(self.consoles))))
        with tracker.progress(rounds * STRETCH * len(self.consoles), "explore", "actions") as bar:
            for _ in range(rounds):
                parts += [self._pairs(stretch, len(parts) + place) for place, stretch in enumerate(self._round(act, act_share))]
                bar.update(STRETCH * len(self.consoles), places=len(self.kept))
        return Pairs(
            np.concatenate([part.packed for part in parts]),
            np.concatenate([part.actions for part in parts]),
            np.concatenate([part.stretch for part in parts]),
            encode(np.stack(self._moments), self.spec),
            self.spec,
        )

    def _round(self, act: Act | None, act_share: float) -> list[_Stretch]:
        count = len(self.consoles)
        starts = [self._start() for _ in range(count)]
        list(self._pool.map(self._begin, range(count), starts))
        stretches = [_Stretch(int(dice.integers(self.frame_skip))) for dice in self.dice]
        hands = [_Hand() for _ in range(count)]
        for number in range(STRETCH):
            chosen = None
            if act is not None:
                frames = np.stack([console.frame() for console in self.consoles])
                chosen = act(frames, np.full(count, number == 0))
            for i in range(count):
                self._choose(hands[i], self.dice[i], None if chosen is None else int(chosen[i]), act_share)
            list(self._pool.map(self._play, range(count), hands, stretches))
            if (number + 1) % SAVE_EVERY == 0:
                self._keep()
        return stretches

    def _start(self) -> bytes:
        """Power-on, or a kept state, seldom used ones more likely."""
        if not self.kept or self.rng.random() < FROM_POWER_ON:
            return self.power_on
        entries = list(self.kept.values())
        weights = 1.0 / np.sqrt([entry.count for entry in entries])
        entry = entries[int(self.rng.choice(len(entries), p=weights / weights.sum()))]
        entry.count += 1
        return zlib.decompress(entry.packed)

    def _begin(self, i: int, state: bytes) -> None:
        self.consoles[i].load(state)
        # Long enough for what was going on to end: a step still under way would shift every effect against its press.
        self.consoles[i].tick(self.frame_skip + int(self.dice[i].integers(self.frame_skip)))

    def _keep(self) -> None:
        """Save the consoles whose screens look new."""
        for console in self.consoles:
            frame = console.frame().copy()
            self._moments.append(frame)
            key = place_key(frame)
            if key in self.kept:
                self.kept[key].count += 1
            else:
                self.kept[key] = Kept(zlib.compress(console.save(), 1))

    def _choose(self, hand: _Hand, dice: np.random.Generator, wished: int | None, act_share: float) -> None:
        """Go on with what the hand does, or begin something new."""
        if wished is not None and dice.random() < act_share:
            hand.button, hand.left, hand.hold = wished, 0, False
            return
        if hand.left > 0:
            hand.left -= 1
            return
        if dice.random() < IDLE:
            hand.button, hand.left, hand.hold = -1, 0, False
            return
        hand.button = int(dice.choice(len(BUTTONS), p=_CHANCES))
        walks = BUTTONS[hand.button] in ("up", "down", "left", "right")
        hand.left = int(dice.geometric(0.35 if walks else 0.6)) - 1
        hand.hold = walks and bool(dice.random() < 0.5)

    def _play(self, i: int, hand: _Hand, stretch: _Stretch) -> None:
        """One action: press or go on holding, let go, take the frames that fall into it."""
        console = self.consoles[i]
        if hand.down != -1 and (hand.down != hand.button or not hand.hold):
            console.release(BUTTONS[hand.down])
            hand.down = -1
        if hand.button != -1 and hand.down == -1:
            console.press(BUTTONS[hand.button])
            hand.down = hand.button
        first = len(stretch.buttons) * self.frame_skip
        takes = {(stretch.phase + k * self.frame_skip // self.samples) % self.frame_skip + 1 for k in range(self.samples)}
        stops = sorted(takes | {self.frame_skip} | (set() if hand.hold else {self.press_ticks}))
        now = 0
        for stop in stops:
            if stop > now:
                console.tick(stop - now, render=stop in takes or stop == self.frame_skip)
                now = stop
                if stop in takes:
                    stretch.frames.append(console.frame().copy())
                    stretch.ticks.append(first + stop)
            if stop == self.press_ticks and not hand.hold and hand.down != -1:
                console.release(BUTTONS[hand.down])
                hand.down = -1
        stretch.buttons.append(hand.button)

    def _pairs(self, stretch: _Stretch, number: int) -> Pairs:
        """Pairs of frames one action apart in which something changed, with the button that explains it."""
        at = {tick: place for place, tick in enumerate(stretch.ticks)}
        frames, actions = [], []
        for tick, place in at.items():
            later = at.get(tick + self.frame_skip)
            first, part = divmod(tick - LATENCY, self.frame_skip)  # two actions share this time
            if later is None or not 0 <= first < len(stretch.buttons) - 1:
                continue
            two = stretch.buttons[first : first + 2]
            share = part / self.frame_skip  # of the second
            if two[0] != two[1] and 0.35 < share < 0.65:
                continue  # neither explains what is seen
            button = two[share >= 0.5]
            if button == -1:
                continue
            before, after = stretch.frames[place], stretch.frames[later]
            if changed(before[None], after[None])[0]:
                frames += [before, after]
                actions.append(button)
        packed = encode(np.stack(frames), self.spec) if frames else np.zeros(0, np.uint8)
        return Pairs(
            packed.reshape(len(actions), 2, self.spec.frame_bytes), np.array(actions, np.int64),
            np.full(len(actions), number, np.int64), np.zeros((0, self.spec.frame_bytes), np.uint8), self.spec,
        )  # fmt: skip


_CHANCES = np.array([ODDS[button] for button in BUTTONS]) / sum(ODDS.values())


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Whether more than a stream's noise differs between frames (n, …) and frames (n, …): bool (n,)."""
    return (before != after).reshape(len(before), -1).sum(axis=1) >= CHANGED_PIXELS


def place_key(frame: np.ndarray) -> bytes:
    """16 bytes that stand for a coarse look of a frame: the mean of each 16×16 cell, in quarters of its range."""
    means = frame.reshape(9, 16, 10, -1).mean(axis=(1, 3))
    top = 3.0 if frame.max(initial=0) <= 3 else 255.0
    return hashlib.blake2b(np.round(means * (4 / top)).astype(np.uint8).tobytes(), digest_size=16).digest()
