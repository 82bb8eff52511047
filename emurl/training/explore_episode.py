"""What goes on while somebody explores: an episode on each console, and how a phase that is not over is kept and taken up again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field

import numpy as np
import torch

from emurl.rewards.splits import Standing
from emurl.training.checkpoint import joined, parted
from emurl.training.restless import Chosen
from emurl.training.ways import Place

GRID = 9 * 10 * 2  # bytes of a grid, int16


@dataclass
class Ended:
    """An episode: whether it was a trial, whether from power-on, share of actions left to chance, where it got, and whether to the end."""

    trial: bool
    from_power_on: bool
    chance: float
    furthest: int
    passed: int
    steps: int
    finished: bool


@dataclass
class Episode:
    """What goes on on one console."""

    start: Place | None
    place: Place | None
    standing: Standing
    steps: int
    chance: float
    patience: int
    since: int = 0  # steps without progress
    begun_at: int = 0  # position at the last split, or at the beginning
    trial: bool = False
    grids: list[np.ndarray] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    played: list[int] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)
    meant: list[bool] = field(default_factory=list)
    restless: float = 0.0  # nats that an action loses for each time it was chosen in the same picture
    chosen: Chosen = field(default_factory=Chosen)

    def place_after(self, count: int, packed: bytes = b"") -> Place:
        """The place that the first `count` steps since the last one led to."""
        return Place(
            packed, self.standing.copy(), self.place, np.array(self.grids[:count], np.int16).reshape(-1, 9, 10),
            np.array(self.actions[:count], np.int64), np.array(self.played[:count], np.int64),
            np.array(self.progress[:count], np.int64), np.array(self.meant[:count], bool), self.steps - len(self.actions) + count,
        )  # fmt: skip


@dataclass
class UnderWay:
    """A phase that is not over: what every console shows, uint8 (n, 144, 160[, 3]), and did last, int64 (n,); turns that were played."""

    episodes: list[Episode]
    frames: np.ndarray
    ended: list[Ended] = field(default_factory=list)
    played: np.ndarray | None = None
    turns: int = 0
    states: list[bytes] = field(default_factory=list)  # of the consoles, where it was kept
    heads: list[Place] = field(default_factory=list)  # where the episodes stand, while it is kept

    def keep(self, states: Sequence[bytes]) -> None:
        """Make it ready for `places` and `tensors`, with the states of the consoles."""
        self.states = list(states)
        self.heads = [episode.place_after(len(episode.actions)) for episode in self.episodes]

    def places(self) -> Iterator[Place]:
        """The places that it is about."""
        for episode, head in zip(self.episodes, self.heads, strict=True):
            yield head
            if episode.start is not None:
                yield episode.start

    def tensors(self, number: dict[int, int]) -> dict[str, torch.Tensor]:
        """Everything but the places, which are told by their `number`."""
        rows = [
            (
                -1.0 if one.start is None else float(number[id(one.start)]), float(number[id(head)]), one.chance,
                float(one.patience), float(one.since), float(one.begun_at), float(one.trial), one.restless, float(len(one.chosen)),
            )
            for one, head in zip(self.episodes, self.heads, strict=True)
        ]  # fmt: skip
        chosen = [item for one in self.episodes for item in one.chosen.items()]
        ended = [tuple(float(value) for value in astuple(one)) for one in self.ended]
        saved = {
            "episodes": torch.tensor(rows, dtype=torch.float64).reshape(-1, 9),
            "chosen_in": joined(key for key, _ in chosen),
            "chosen": torch.from_numpy(np.stack([counts for _, counts in chosen])) if chosen else torch.zeros(0, 0),
            "ended": torch.tensor(ended, dtype=torch.float64).reshape(-1, 7),
            "frames": torch.from_numpy(self.frames.copy()),
            "turns": torch.tensor(self.turns),
            "states": joined(self.states),
            "state_sizes": torch.tensor([len(state) for state in self.states], dtype=torch.int64),
        }
        if self.played is not None:
            saved["played_last"] = torch.from_numpy(np.asarray(self.played, np.int64))
        return saved

    @classmethod
    def of(cls, tensors: dict[str, torch.Tensor], places: Sequence[Place]) -> UnderWay:
        """The inverse of `tensors`."""
        pictures, counts = tensors["chosen_in"].numpy().tobytes(), tensors["chosen"].numpy()
        episodes, at = [], 0
        for row in tensors["episodes"].tolist():
            start, head, chance, patience, since, begun_at, trial, restless, many = row
            here = places[int(head)]
            chosen = Chosen()
            for i in range(at, at + int(many)):
                chosen[pictures[i * GRID : (i + 1) * GRID]] = counts[i].copy()
            at += int(many)
            episodes.append(
                Episode(
                    places[int(start)] if start >= 0 else None, here.parent, here.standing, here.steps, chance, int(patience),
                    int(since), int(begun_at), bool(trial), list(here.grids), here.actions.tolist(), here.played.tolist(),
                    here.progress.tolist(), here.meant.tolist(), restless, chosen,
                )
            )  # fmt: skip
        ended = [
            Ended(bool(trial), bool(power_on), chance, int(furthest), int(passed), int(steps), bool(finished))
            for trial, power_on, chance, furthest, passed, steps, finished in tensors["ended"].tolist()
        ]
        states = parted(tensors["states"], tensors["state_sizes"])
        played = tensors["played_last"].numpy().copy() if "played_last" in tensors else None
        return cls(episodes, tensors["frames"].numpy().copy(), ended, played, int(tensors["turns"]), states)
