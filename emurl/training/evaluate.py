"""Whole episodes from power-on, played the same way by whoever plays: what trials, evaluation and pictures are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emurl.agents.base import Carry, Observation, length
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.training.perception import Perception

CHUNK = 64  # steps whose frames are kept until they are scored together
Place = tuple[int, int, int]
"""Map number, y and x in walking cells."""


@dataclass
class Record:
    """One episode. `reached` maps milestones to the step (1 …) that showed them first; games without a reader have none."""

    seed: int
    actions: list[int] = field(default_factory=list)
    progress: list[float] = field(default_factory=list)  # Φ of the first frame and after every step
    reached: dict[str, int] = field(default_factory=dict)
    places: Counter[Place] = field(default_factory=Counter)
    still: int = 0  # steps that changed nothing on the screen
    success: bool | None = None  # the last milestone was reached; None without a reader

    @property
    def steps(self) -> int:
        """Actions played: fewer than allowed if the goal was reached."""
        return len(self.actions)

    @property
    def gained(self) -> float:
        """Φ at the end less Φ at the beginning."""
        return self.progress[-1] - self.progress[0]


class RandomAgent:
    """Chance: every action is as likely as any other."""

    def __init__(self, actions: int) -> None:
        self.actions = actions

    def initial(self, n: int) -> Carry:
        """Nothing to remember."""
        return {}

    def act(
        self, carry: Carry, observation: Observation, mask: np.ndarray | None = None, noise: np.ndarray | None = None
    ) -> tuple[np.ndarray, Carry, dict[str, np.ndarray]]:
        """As `Agent.act`; without noise, the first action."""
        n = length(observation)
        logs = np.full((n, self.actions), -np.log(self.actions), np.float32)
        actions = np.argmax(logs if noise is None else logs + noise, axis=-1)
        return actions, carry, {"log_probs": logs, "values": np.zeros(n, np.float32)}


@dataclass(frozen=True)
class Player:
    """Somebody who plays, under a name: an agent that does not change meanwhile."""

    name: str
    agent: Any

    @property
    def blind(self) -> bool:
        """Chance needs no eyes."""
        return isinstance(self.agent, RandomAgent)


def play(
    envs: ThreadedVectorEnv,
    perception: Perception,
    player: Player,
    *,
    max_steps: int,
    seed: int,
    tick: Callable[[], object] | None = None,
) -> list[Record]:
    """One episode from power-on on every console, up to `max_steps` actions or the goal; sampled actions.

    Episode i draws from its own generator, made of `seed` and i, so that different players meet the same dice.
    `tick` is called once a step.
    """
    n = envs.num_envs
    dice = [np.random.default_rng([seed, i]) for i in range(n)]
    records = [Record(seed=i) for i in range(n)]
    readers = [console.reader for console in envs.consoles]
    frames = envs.reset()[0].copy()
    carry = player.agent.initial(n)
    seen = frames if player.blind else perception.encode(frames)
    playing = np.ones(n, bool)
    waiting: list[tuple[np.ndarray, np.ndarray]] = [(frames.copy(), playing.copy())]  # frames to score, and whose count
    for step in range(1, max_steps + 1):
        noise = np.stack([generator.gumbel(size=player.agent.actions) for generator in dice])
        actions, carry, _ = player.agent.act(carry, seen, None, noise)
        before, frames = frames, envs.step(actions)[0].copy()
        for i in np.flatnonzero(playing).tolist():
            records[i].actions.append(int(actions[i]))
            records[i].still += int(np.array_equal(before[i], frames[i]))
        waiting.append((frames, playing.copy()))
        for i in np.flatnonzero(playing).tolist():
            reader = readers[i]
            if reader is None:
                continue
            facts = envs.consoles[i].facts()
            for name in reader.reached(facts):
                records[i].reached.setdefault(name, step)
            if reader.walking(facts):
                records[i].places[int(facts["map"]), int(facts["y"]), int(facts["x"])] += 1
            playing[i] = reader.milestones[-1] not in records[i].reached
        if len(waiting) >= CHUNK:
            _score(waiting, records, perception)
        if tick is not None:
            tick()
        if not playing.any():
            break
        seen = frames if player.blind else perception.encode(frames)
    _score(waiting, records, perception)
    for record, reader in zip(records, readers, strict=True):
        record.success = None if reader is None else reader.milestones[-1] in record.reached
    return records


def _score(waiting: list[tuple[np.ndarray, np.ndarray]], records: list[Record], perception: Perception) -> None:
    """Φ of the frames waiting, added to the records they belong to."""
    if not waiting:
        return
    owners = [i for _, playing in waiting for i in np.flatnonzero(playing).tolist()]
    scores = perception.progress(np.concatenate([frames[playing] for frames, playing in waiting]))
    for i, score in zip(owners, scores.tolist(), strict=True):
        records[i].progress.append(score)
    waiting.clear()


@dataclass
class Moment:
    """A step of a replayed episode, for looking at it."""

    frame: np.ndarray  # uint8 (144, 160)
    probabilities: np.ndarray  # float32 (8,): of the buttons, before the step that follows
    action: int | None  # the button pressed next; None after the last step
    progress: float


def replay(
    envs: ThreadedVectorEnv, perception: Perception, player: Player, record: Record, start: int = 0, every: int = 1
) -> Iterator[Moment]:
    """The moments of a recorded episode again, on the first console: same power-on, same actions, same frames.

    Every `every`-th step from step `start` on, and the last one.
    """
    console = envs.consoles[0]
    frame = envs.restart(0).copy()
    carry = player.agent.initial(1)
    for step in range(record.steps + 1):
        action = record.actions[step] if step < record.steps else None
        seen = frame[None] if player.blind else perception.encode(frame[None])
        _, carry, extras = player.agent.act(carry, seen)
        if step >= start and (step % every == 0 or action is None):
            yield Moment(frame, np.exp(extras["log_probs"][0]), action, record.progress[step])
        if action is not None:
            console.play(action)
            frame = console.gameboy.frame()
