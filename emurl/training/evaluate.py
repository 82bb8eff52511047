"""Whole episodes from power-on, played the same way by whoever plays: what trials, evaluation and pictures are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from emurl.agents.base import Carry, Observation, length
from emurl.core.recall import key_of
from emurl.envs.gameboy.console import NO_BUTTON
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.rewards.splits import SplitJudge
from emurl.training.perception import Perception
from emurl.training.restless import Chosen
from emurl.training.settings import PlaySettings

CHUNK = 64  # steps whose frames are kept until they are scored together
FAMILIAR = 8  # times a screen was seen before in the episode, from which on an action that ends on it goes round in a loop
WORLD = 0x3A17  # the dice of the world (wait, sticky actions), apart from those of the player
Place = tuple[int, int, int]
"""Map number, y and x in walking cells."""

Sees = Literal["tokens", "frames", "nothing"]


@dataclass
class Record:
    """One episode. `reached` maps milestones to the step (1 …) that showed them first; games without a reader have none."""

    seed: int
    actions: list[int] = field(default_factory=list)  # those that were played, which sticky ones are not as chosen
    progress: list[float] = field(default_factory=list)  # Φ of the first frame and after every step; empty without a judge
    reached: dict[str, int] = field(default_factory=dict)
    places: Counter[Place] = field(default_factory=Counter)
    wait: int = 0  # ticks from power-on to the first look
    still: int = 0  # steps that changed nothing on the screen
    loops: int = 0  # steps that ended on a screen seen `FAMILIAR` times before or more
    success: bool | None = None  # the last milestone was reached; None without a reader

    @property
    def steps(self) -> int:
        """Actions played: fewer than allowed if the goal was reached."""
        return len(self.actions)

    @property
    def gained(self) -> float:
        """Φ at the end less Φ at the beginning; 0 without a judge."""
        return self.progress[-1] - self.progress[0] if self.progress else 0.0

    def as_json(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        return {**asdict(self), "places": [[*place, count] for place, count in self.places.items()]}

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> Record:
        """The inverse of `as_json`."""
        return cls(**{**told, "places": Counter({(on, y, x): count for on, y, x, count in told["places"]})})


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


class ScriptAgent:
    """An open loop: a list of actions, one after the other whatever is seen, and after its end no button."""

    def __init__(self, script: Sequence[int], actions: int) -> None:
        self.script, self.actions = np.array([*script, NO_BUTTON], np.int64), actions

    def initial(self, n: int) -> Carry:
        """The beginning of the list."""
        return {"at": np.zeros(n, np.int64)}

    def act(
        self, carry: Carry, observation: Observation, mask: np.ndarray | None = None, noise: np.ndarray | None = None
    ) -> tuple[np.ndarray, Carry, dict[str, np.ndarray]]:
        """As `Agent.act`, but no dice are needed, and an action may be `NO_BUTTON`."""
        at = carry["at"]
        actions = self.script[np.minimum(at, len(self.script) - 1)]
        logs = np.where(actions[:, None] == np.arange(self.actions), 0.0, -np.inf).astype(np.float32)
        return actions, {"at": at + 1}, {"log_probs": logs, "values": np.zeros(len(at), np.float32)}


@dataclass(frozen=True)
class Player:
    """Somebody who plays, under a name: an agent that does not change meanwhile, and what it is shown of the screen."""

    name: str
    agent: Any
    sees: Sees = "tokens"  # of the perception; frames as they are; or nothing, for who looks at nothing
    how: PlaySettings = field(default_factory=PlaySettings)  # it chooses

    def look(self, frames: np.ndarray, perception: Perception | None) -> np.ndarray:
        """What the player is shown of frames (N, 144, 160)."""
        if self.sees != "tokens":
            return frames
        if perception is None:
            raise ValueError(f"{self.name} sees tokens, so a perception is needed")
        return perception.encode(frames)


def play(
    envs: ThreadedVectorEnv,
    perception: Perception | None,
    player: Player,
    *,
    max_steps: int,
    seed: int,
    wait_ticks: int = 0,
    sticky: float = 0.0,
    judge: SplitJudge | None = None,
    tick: Callable[[], object] | None = None,
) -> list[Record]:
    """One episode from power-on on every console, up to `max_steps` actions or the goal; sampled actions.

    Episode i draws from generators of its own, made of `seed` and i, so that different players meet the same dice: one for the
    actions that are sampled, one for the world.

    Args:
        perception: what makes tokens and, without a `judge`, tells progress; None: nobody does, and the player sees frames or nothing.
        wait_ticks: before its first look an episode waits a while, 0 to this many ticks, each as likely as any other.
        sticky: chance of a step that what is played is the action before and not the one chosen (1709.06009).
        judge: tells progress from the tokens of the whole episode, as a share of the course. An episode that has run it ends, where no
            reader knows better.
        tick: called once a step.
    """
    n = envs.num_envs
    dice = [np.random.default_rng([seed, i]) for i in range(n)]
    world = [np.random.default_rng([seed, i, WORLD]) for i in range(n)]
    records = [Record(seed=i, wait=int(world[i].integers(wait_ticks + 1))) for i in range(n)]
    readers = [console.reader for console in envs.consoles]
    envs.reset()
    frames = envs.wait(np.array([record.wait for record in records])).copy()
    seen = [Counter([key_of(frame)]) for frame in frames]
    chosen_in = [Chosen() for _ in range(n)]
    carry = player.agent.initial(n)
    shown = player.look(frames, perception)
    playing = np.ones(n, bool)
    played: np.ndarray | None = None
    scorer = _Nobody()
    if perception is not None:
        scorer = _Frames(perception, records) if judge is None else _Course(perception, judge, records)
    scorer.see(frames, playing)
    for step in range(1, max_steps + 1):
        noise = np.stack([generator.gumbel(size=player.agent.actions) for generator in dice])
        noise *= player.how.temperature
        if player.how.restless:
            for row, picture, known in zip(noise, shown, chosen_in, strict=True):
                row -= known.cost(picture, player.how.restless)
        chosen, carry, _ = player.agent.act(carry, shown, None, noise)
        if player.how.restless:
            for known, picture, action in zip(chosen_in, shown, chosen.tolist(), strict=True):
                known.count(picture, action, player.agent.actions)
        stuck = np.array([generator.random() < sticky for generator in world])
        played = np.asarray(chosen) if played is None else np.where(stuck, played, chosen)
        before, frames = frames, envs.step(played, playing)[0].copy()
        scorer.see(frames, playing)
        for i in np.flatnonzero(playing).tolist():
            records[i].actions.append(int(played[i]))
            records[i].still += int(np.array_equal(before[i], frames[i]))
            key = key_of(frames[i])
            records[i].loops += int(seen[i][key] >= FAMILIAR)
            seen[i][key] += 1
            reader = readers[i]
            if reader is None:
                playing[i] = not scorer.over(i)
                continue
            facts = envs.consoles[i].facts()
            for name in reader.reached(facts):
                records[i].reached.setdefault(name, step)
            if reader.walking(facts):
                records[i].places[int(facts["map"]), int(facts["y"]), int(facts["x"])] += 1
            playing[i] = reader.milestones[-1] not in records[i].reached
        if tick is not None:
            tick()
        if not playing.any():
            break
        shown = player.look(frames, perception)
    scorer.end()
    for record, reader in zip(records, readers, strict=True):
        record.success = None if reader is None else reader.milestones[-1] in record.reached
    return records


class _Nobody:
    """Tells no progress: what the others add to."""

    def see(self, frames: np.ndarray, playing: np.ndarray) -> None:
        """Look at the frames (N, 144, 160) of the episodes that are `playing`; nobody changes them afterwards."""

    def over(self, i: int) -> bool:
        """Whether episode `i` has run the course."""
        return False

    def end(self) -> None:
        """Write down what is still to be told."""


class _Frames(_Nobody):
    """Φ of every frame by itself, many frames at a time."""

    def __init__(self, perception: Perception, records: Sequence[Record]) -> None:
        self.perception, self.records = perception, records
        self.waiting: list[tuple[np.ndarray, np.ndarray]] = []  # frames, and whose count

    def see(self, frames: np.ndarray, playing: np.ndarray) -> None:
        self.waiting.append((frames, playing.copy()))
        if len(self.waiting) >= CHUNK:
            self.end()

    def end(self) -> None:
        if not self.waiting:
            return
        owners = [i for _, playing in self.waiting for i in np.flatnonzero(playing).tolist()]
        scores = self.perception.progress(np.concatenate([frames[playing] for frames, playing in self.waiting]))
        for i, score in zip(owners, scores.tolist(), strict=True):
            self.records[i].progress.append(score)
        self.waiting.clear()


class _Course(_Nobody):
    """The share of the course that lies behind each episode, by a judge that remembers it."""

    def __init__(self, perception: Perception, judge: SplitJudge, records: Sequence[Record]) -> None:
        self.perception, self.judge, self.records = perception, judge, records
        self.standings = [judge.begin() for _ in records]

    def see(self, frames: np.ndarray, playing: np.ndarray) -> None:
        here = np.flatnonzero(playing).tolist()
        self.judge.update([self.standings[i] for i in here], self.perception.encode(frames[here]))
        for i in here:
            self.records[i].progress.append(self.judge.progress(self.standings[i]))

    def over(self, i: int) -> bool:
        return self.judge.at_end(self.standings[i])


@dataclass
class Moment:
    """A step of a replayed episode, for looking at it."""

    frame: np.ndarray  # uint8 (144, 160)
    probabilities: np.ndarray  # float32 (8,): of the buttons, before the step that follows
    action: int | None  # the button pressed next, or `NO_BUTTON`; None after the last step
    progress: float  # not a number where nobody judged


def replay(
    envs: ThreadedVectorEnv, perception: Perception | None, player: Player, record: Record, start: int = 0, every: int = 1
) -> Iterator[Moment]:
    """The moments of a recorded episode again, on the first console: same power-on and wait, same actions, same frames.

    Every `every`-th step from step `start` on, and the last one.
    """
    console = envs.consoles[0]
    frame = envs.restart(0, wait=record.wait).copy()
    carry = player.agent.initial(1)
    for step in range(record.steps + 1):
        action = record.actions[step] if step < record.steps else None
        _, carry, extras = player.agent.act(carry, player.look(frame[None], perception))
        if step >= start and (step % every == 0 or action is None):
            progress = record.progress[step] if record.progress else float("nan")
            yield Moment(frame, np.exp(extras["log_probs"][0]), action, progress)
        if action is not None:
            console.play(action)
            frame = console.gameboy.frame()
