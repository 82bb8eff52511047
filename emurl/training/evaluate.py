"""Whole episodes from power-on, played the same way by whoever plays: what trials, evaluation and pictures are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from emurl.envs.gameboy.console import BUTTONS
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.models.policy import Policy
from emurl.training.perception import Eyes, Memory, Mind, draw

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


class Player:
    """Someone who plays: a policy that reads `context` grids, or chance if `policy` is None. The policy must not change."""

    def __init__(self, name: str, policy: Policy | None, context: int = 1) -> None:
        self.name, self.policy, self.context = name, policy, context
        self._mind = None if policy is None else Mind(policy)

    def log_probs(self, contexts: np.ndarray) -> np.ndarray:
        """Log-probabilities of the buttons, float32 (B, 8), for contexts int16 (B, C, 9, 10)."""
        if self._mind is None:
            return np.full((len(contexts), len(BUTTONS)), -np.log(len(BUTTONS)), np.float32)
        return self._mind.odds(contexts[:, -self.context :])[0]


def play(
    envs: ThreadedVectorEnv, eyes: Eyes, player: Player, *, max_steps: int, seed: int, tick: Callable[[], object] | None = None
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
    memory = Memory(n, player.context)
    blind = player.policy is None  # chance needs no eyes
    if not blind:
        for i, tokens in enumerate(eyes.tokens(frames)):
            memory.begin(i, tokens)
    playing = np.ones(n, bool)
    waiting: list[tuple[np.ndarray, np.ndarray]] = [(frames.copy(), playing.copy())]  # frames to score, and whose count
    for step in range(1, max_steps + 1):
        logs = player.log_probs(memory.contexts)
        actions = draw(logs, np.stack([generator.gumbel(size=len(BUTTONS)) for generator in dice]))
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
            _score(waiting, records, eyes)
        if tick is not None:
            tick()
        if not playing.any():
            break
        if not blind:
            memory.push(eyes.tokens(frames))
    _score(waiting, records, eyes)
    for record, reader in zip(records, readers, strict=True):
        record.success = None if reader is None else reader.milestones[-1] in record.reached
    return records


def _score(waiting: list[tuple[np.ndarray, np.ndarray]], records: list[Record], eyes: Eyes) -> None:
    """Φ of the frames waiting, added to the records they belong to."""
    if not waiting:
        return
    owners = [i for _, playing in waiting for i in np.flatnonzero(playing).tolist()]
    scores = eyes.progress(np.concatenate([frames[playing] for frames, playing in waiting]))
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
    envs: ThreadedVectorEnv, eyes: Eyes, player: Player, record: Record, start: int = 0, every: int = 1
) -> Iterator[Moment]:
    """The moments of a recorded episode again, on the first console: same power-on, same actions, same frames.

    Every `every`-th step from step `start` on, and the last one.
    """
    console = envs.consoles[0]
    frame = envs.restart(0).copy()
    memory = Memory(1, player.context)
    memory.begin(0, eyes.tokens(frame[None])[0])
    for step in range(record.steps + 1):
        action = record.actions[step] if step < record.steps else None
        if step >= start and (step % every == 0 or action is None):
            chances = np.exp(player.log_probs(memory.contexts)[0])
            yield Moment(frame, chances, action, record.progress[step])
        if action is not None:
            console.play(action)
            frame = console.gameboy.frame()
            memory.push(eyes.tokens(frame[None]))
