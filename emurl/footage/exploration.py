"""Play without a goal, for frames whose buttons are known: what the inverse dynamics model learns from.

Game Boys are played by chance, in short episodes that begin at power-on or at a state kept because its screen looked new
(Go-Explore, 1901.10995, with its coarse picture as the key; nothing is read from the game's memory). Buttons are tapped as
the agent taps them and held as people hold them, and frames are taken at any offset to the presses, because a video's frames
are.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from emurl.core import interrupt
from emurl.core.recall import key_of
from emurl.core.settings import Natural, NonNegative, Positive, Rate, Settings, Share
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.footage.pairs import Pairs, changed
from emurl.footage.play_blocks import BLOCK, Blocks, Kept
from emurl.screen import ScreenSpec, encode
from emurl.training.checkpoint import dice as dice_of

# B often enough to be told from A: at 3 % the inverse model called nearly every B of the footage "A".
PROBABILITIES = {"a": 0.24, "b": 0.10, "up": 0.15, "down": 0.15, "left": 0.15, "right": 0.15, "start": 0.10, "select": 0.01}


class ExplorationSettings(Settings):
    """How the emulator is played to see what each button does."""

    consoles: Positive = 8  # Game Boys played side by side
    episode_length: Positive = 24  # actions from one start
    save_every: Positive = 8  # actions between looks at whether a place is worth keeping: a save costs as much as ten actions
    from_power_on: Share = 0.12  # episodes that begin at power-on once there are kept states to begin from
    # How often chance presses what: mostly walking and A, START often enough that no title holds it up.
    probabilities: dict[str, NonNegative] = PROBABILITIES  # button: weight
    idle: Share = 0.02  # actions on which nothing is pressed
    end_walk: Annotated[float, Field(gt=0, le=1)] = 0.35  # chance, after each action, that chance stops walking one way
    end_tapping: Annotated[float, Field(gt=0, le=1)] = 0.6  # and that it stops pressing another button again and again
    hold: Share = 0.5  # walks on which the button is held down as people hold it, not tapped as the agent does
    policy_share: Share = 0.7  # buttons the clone chooses in later rounds
    later_rounds: Rate = 0.5  # of `explore_steps`, what each round after the first takes
    latency: Natural = 2  # frames from a press to the first change on the screen
    ambiguous: Annotated[float, Field(ge=0, le=0.5)] = 0.15  # pairs with two buttons this near to half and half have no label
    min_changed_pixels: Positive = 24  # fewer differing pixels are noise of a stream, not an event

    @field_validator("probabilities")
    @classmethod
    def _buttons(cls, value: dict[str, float]) -> dict[str, float]:
        if set(value) - set(BUTTONS) or not sum(value.values()):
            raise ValueError(f"expected a weight for some of {', '.join(BUTTONS)}")
        return value

    @model_validator(mode="after")
    def _saved(self) -> Self:
        if self.save_every > self.episode_length:
            raise ValueError(f"save_every {self.save_every}, expected at most episode_length {self.episode_length}")
        return self


DEFAULT = ExplorationSettings()

Act = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Frames uint8 (n, 144, 160) and which of the n episodes just began (n,) bool, to actions (n,)."""


@dataclass
class _Hand:
    """What one console's player is doing: a button (-1 none), for so many more actions, tapped or held down."""

    button: int = -1
    left: int = 0
    hold: bool = False
    down: int = -1  # the button that is down at this moment


@dataclass
class _Episode:
    """One console's episode so far: frames with the tick each was taken at, and the button of each action."""

    phase: int
    frames: list[np.ndarray] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    buttons: list[int] = field(default_factory=list)


class Explorer:
    """Game Boys on as many threads as there are cores; everything it does follows from `seed`.

    Args:
        frame_skip, press_ticks: as the agent plays. samples: frames taken per action, as many as the footage has.
        settings: how it plays.

    Raises:
        InputError: `rom` is no Game Boy ROM.
    """

    def __init__(
        self, rom: Path, frame_skip: int, press_ticks: int, samples: int, seed: int, spec: ScreenSpec,
        settings: ExplorationSettings = DEFAULT,
    ) -> None:  # fmt: skip
        self.frame_skip, self.press_ticks, self.samples = frame_skip, press_ticks, max(1, samples)
        self.settings, self.spec = settings, spec
        self.consoles = [GameBoy(rom, spec) for _ in range(settings.consoles)]
        self.rngs = [np.random.default_rng([seed, number]) for number in range(settings.consoles)]
        self.rng = np.random.default_rng([seed, 0xE])
        self.power_on = self.consoles[0].save()
        self.kept: dict[bytes, Kept] = {}
        self._moments: list[np.ndarray] = []
        self._pool = ThreadPoolExecutor(min(settings.consoles, os.cpu_count() or 1))
        weights = np.array([settings.probabilities.get(button, 0.0) for button in BUTTONS])
        self._probabilities = weights / sum(settings.probabilities.values())

    def begin_from(self, states: Iterable[bytes]) -> None:
        """Begin episodes from zlib-packed states, too."""
        self.kept |= {key_of(np.frombuffer(packed, np.uint8)): Kept(packed) for packed in states}

    def close(self) -> None:
        """Switch the consoles off."""
        self._pool.shutdown()
        for console in self.consoles:
            console.close()

    def gather(
        self, actions: int, tracker: Tracker, act: Act | None = None, *, scratch: Path | None = None,
        dice: np.random.Generator | None = None, saved: Callable[[Path], None] | None = None,
    ) -> Pairs:  # fmt: skip
        """Play about `actions` actions and return the pairs in which something changed.

        With `act`, it chooses `policy_share` of the buttons (tapped, as the agent does) and chance the others.

        Args:
            scratch: folder where what was played is kept as it goes, and gone on from; the result is the same. dice: `act`'s.
            saved: called with each file that is new there.
        """
        parts: list[Pairs] = []
        self._moments = []
        length = self.settings.episode_length
        a_round = length * len(self.consoles)
        rounds = max(1, round(actions / a_round))
        rngs = [self.rng, *self.rngs, *([] if dice is None else [dice])]
        signature = {"actions": actions, "act": act is not None, **self.settings.fingerprint_values()}
        blocks = None if scratch is None else Blocks(scratch, signature, self.spec, saved)
        with interrupt.saving() as asked, tracker.progress(rounds * a_round, "explore", "actions") as bar:
            first = 0 if blocks is None else blocks.take_up(parts, self._moments, self.kept, rngs)
            bar.start_at(first * a_round)
            if first:
                tracker.message(f"explore: goes on from {first * a_round} actions")
            for number in range(first, rounds):
                before = (
                    [dice_of(rng) for rng in rngs],
                    dict(self.kept),
                    [one.count for one in self.kept.values()],
                    len(self._moments),
                )
                episodes = self._round(act, asked)
                if episodes is None:
                    if blocks is not None:
                        self._go_back(rngs, *before)
                        blocks.put_down(number, parts, self._moments, self.kept, rngs)
                        tracker.message(f"explore: saved after {number * a_round} actions")
                    interrupt.leave()
                parts += [self._pairs(episode, len(parts) + place) for place, episode in enumerate(episodes)]
                bar.update(a_round, places=len(self.kept))
                if blocks is not None and (number + 1 - blocks.rounds) * a_round >= BLOCK:
                    blocks.put_down(number + 1, parts, self._moments, self.kept, rngs)
        return Pairs(
            np.concatenate([part.packed for part in parts]),
            np.concatenate([part.actions for part in parts]),
            np.concatenate([part.episode for part in parts]),
            encode(np.stack(self._moments), self.spec),
            self.spec,
        )

    def _go_back(
        self,
        rngs: list[np.random.Generator],
        dice: list[dict[str, Any]],
        kept: dict[bytes, Kept],
        counts: list[int],
        moments: int,
    ) -> None:
        """Be where a round began that was broken off."""
        for rng, told in zip(rngs, dice, strict=True):
            rng.bit_generator.state = told
        self.kept = kept
        for one, count in zip(kept.values(), counts, strict=True):
            one.count = count
        del self._moments[moments:]

    def _round(self, act: Act | None, asked: Callable[[], bool]) -> list[_Episode] | None:
        """An episode on every console; None as soon as somebody asks to end: a slow machine's round takes longer than Ctrl-C waits."""
        count, settings = len(self.consoles), self.settings
        starts = [self._start() for _ in range(count)]
        list(self._pool.map(self._begin, range(count), starts))
        episodes = [_Episode(int(rng.integers(self.frame_skip))) for rng in self.rngs]
        hands = [_Hand() for _ in range(count)]
        for number in range(settings.episode_length):
            if asked():
                return None
            chosen = None
            if act is not None:
                frames = np.stack([console.frame() for console in self.consoles])
                chosen = act(frames, np.full(count, number == 0))
            for i in range(count):
                self._choose(hands[i], self.rngs[i], None if chosen is None else int(chosen[i]))
            list(self._pool.map(self._play, range(count), hands, episodes))
            if (number + 1) % settings.save_every == 0:
                self._keep()
        return episodes

    def _start(self) -> bytes:
        """Power-on, or a kept state, seldom used ones more likely."""
        if not self.kept or self.rng.random() < self.settings.from_power_on:
            return self.power_on
        entries = list(self.kept.values())
        weights = 1.0 / np.sqrt([entry.count for entry in entries])
        entry = entries[int(self.rng.choice(len(entries), p=weights / weights.sum()))]
        entry.count += 1
        return zlib.decompress(entry.packed)

    def _begin(self, i: int, state: bytes) -> None:
        self.consoles[i].load(state)
        # Long enough for what was going on to end: a step still under way would shift every effect against its press.
        self.consoles[i].tick(self.frame_skip + int(self.rngs[i].integers(self.frame_skip)))

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

    def _choose(self, hand: _Hand, rng: np.random.Generator, wished: int | None) -> None:
        """Go on with what the hand does, or begin something new."""
        settings = self.settings
        if wished is not None and rng.random() < settings.policy_share:
            hand.button, hand.left, hand.hold = wished, 0, False
            return
        if hand.left > 0:
            hand.left -= 1
            return
        if rng.random() < settings.idle:
            hand.button, hand.left, hand.hold = -1, 0, False
            return
        hand.button = int(rng.choice(len(BUTTONS), p=self._probabilities))
        walks = BUTTONS[hand.button] in ("up", "down", "left", "right")
        hand.left = int(rng.geometric(settings.end_walk if walks else settings.end_tapping)) - 1
        hand.hold = walks and bool(rng.random() < settings.hold)

    def _play(self, i: int, hand: _Hand, episode: _Episode) -> None:
        """One action: press or go on holding, let go, take the frames that fall into it."""
        console = self.consoles[i]
        if hand.down != -1 and (hand.down != hand.button or not hand.hold):
            console.release(BUTTONS[hand.down])
            hand.down = -1
        if hand.button != -1 and hand.down == -1:
            console.press(BUTTONS[hand.button])
            hand.down = hand.button
        first = len(episode.buttons) * self.frame_skip
        takes = {(episode.phase + k * self.frame_skip // self.samples) % self.frame_skip + 1 for k in range(self.samples)}
        stops = sorted(takes | {self.frame_skip} | (set() if hand.hold else {self.press_ticks}))
        now = 0
        for stop in stops:
            if stop > now:
                console.tick(stop - now, render=stop in takes or stop == self.frame_skip)
                now = stop
                if stop in takes:
                    episode.frames.append(console.frame().copy())
                    episode.ticks.append(first + stop)
            if stop == self.press_ticks and not hand.hold and hand.down != -1:
                console.release(BUTTONS[hand.down])
                hand.down = -1
        episode.buttons.append(hand.button)

    def _pairs(self, episode: _Episode, number: int) -> Pairs:
        """Pairs of frames one action apart in which something changed, with the button that explains it."""
        at = {tick: place for place, tick in enumerate(episode.ticks)}
        frames, actions = [], []
        for tick, place in at.items():
            later = at.get(tick + self.frame_skip)
            first, part = divmod(tick - self.settings.latency, self.frame_skip)  # two actions share this time
            if later is None or not 0 <= first < len(episode.buttons) - 1:
                continue
            two = episode.buttons[first : first + 2]
            share = part / self.frame_skip  # of the second
            if two[0] != two[1] and 0.5 - self.settings.ambiguous < share < 0.5 + self.settings.ambiguous:
                continue  # neither explains what is seen
            button = two[share >= 0.5]
            if button == -1:
                continue
            before, after = episode.frames[place], episode.frames[later]
            if changed(before[None], after[None], self.settings.min_changed_pixels)[0]:
                frames += [before, after]
                actions.append(button)
        packed = encode(np.stack(frames), self.spec) if frames else np.zeros(0, np.uint8)
        return Pairs(
            packed.reshape(len(actions), 2, self.spec.frame_bytes), np.array(actions, np.int64),
            np.full(len(actions), number, np.int64), np.zeros((0, self.spec.frame_bytes), np.uint8), self.spec,
        )  # fmt: skip


def place_key(frame: np.ndarray) -> bytes:
    """16 bytes that stand for a coarse look of a frame: the mean of each 16×16 cell, in quarters of its range."""
    means = frame.reshape(9, 16, 10, -1).mean(axis=(1, 3))
    top = 3.0 if frame.max(initial=0) <= 3 else 255.0
    return key_of(np.round(means * (4 / top)).astype(np.uint8))
