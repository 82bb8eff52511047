"""Ways: what led to a place, kept as a tree. Places that share a beginning share it in memory, too."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from emurl.rewards.splits import Standing
from emurl.training.checkpoint import joined, parted

KEY = 16  # bytes that stand for a grid in `Standing.seen`


@dataclass(eq=False)
class Place:
    """A state of the emulator, where the judge says it stands, and the steps from the place before it (None: power-on).

    Attributes:
        packed: the state, zlib-packed; empty where it was not saved, because it takes longer than to play again what led there.
        grids: what was seen before each action, int16 (n, 9, 10). actions: those chosen, int64 (n,). played: those the console got,
            int64 (n,). progress: the furthest position then, int64 (n,). meant: which of the actions chosen are to be learned, bool (n,).
        steps: actions from power-on.
        begun, led: episodes that began here, and those of them that passed a split; what is older counts less.
        beyond: splits that the furthest way through here has passed.
        lost: the steps from the place before it led nowhere. Who goes on from here may remember them, and nobody is to learn them.
    """

    packed: bytes
    standing: Standing
    parent: Place | None
    grids: np.ndarray
    actions: np.ndarray
    played: np.ndarray
    progress: np.ndarray
    meant: np.ndarray
    steps: int
    begun: float = 0.0
    led: float = 0.0
    beyond: int = 0
    lost: bool = False

    @property
    def promise(self) -> float:
        """Share of the episodes from here that pass a split, with one that did and one that did not besides."""
        return (self.led + 1.0) / (self.begun + 2.0)

    @property
    def ends_way(self) -> bool:
        """Whether it was kept the moment a split was passed."""
        return self.standing.passed > (0 if self.parent is None else self.parent.standing.passed)

    def line(self) -> Iterator[Place]:
        """This place and all before it, back to power-on."""
        here: Place | None = self
        while here is not None:
            yield here
            here = here.parent

    def from_saved(self) -> tuple[Place, list[int]]:
        """The nearest place that was saved, here or before, and the actions to be played from there."""
        played: list[int] = []
        for place in self.line():
            if place.packed:
                return place, played
            played = [*place.played.tolist(), *played]
        raise ValueError("no place on the way was saved")

    def state(self) -> tuple[bytes, list[int]]:
        """The state of the nearest place that was saved, and the actions to be played from there."""
        place, played = self.from_saved()
        return zlib.decompress(place.packed), played

    @property
    def unsaved(self) -> int:
        """Actions since the nearest place that was saved."""
        return len(self.from_saved()[1])

    @property
    def recovers(self) -> bool:
        """Whether the way here, since it passed the split before, got lost and went on."""
        for place in self.line():
            if place.lost:
                return True
            if place is not self and place.ends_way:
                break
        return False

    def way(self) -> Way:
        """Everything from power-on to here."""
        parts = [*self.line()][::-1]
        return Way(
            np.concatenate([part.grids for part in parts]),
            np.concatenate([part.actions for part in parts]),
            np.concatenate([part.progress for part in parts]),
            np.concatenate([np.full(len(part.actions), part.lost) for part in parts]),
            np.concatenate([part.meant & (not part.lost) for part in parts]),
        )


class Way(NamedTuple):
    """Steps, one after the other: grids int16 (N, 9, 10), actions int64 (N,), progress int64 (N,); which led nowhere and which are to be
    learned, bool (N,)."""

    grids: np.ndarray
    actions: np.ndarray
    progress: np.ndarray
    lost: np.ndarray
    meant: np.ndarray


def without_loops(way: Way) -> Way:
    """A way without what lies between two visits of the same picture at the same progress: what was done there led nowhere.

    Of a picture that was seen twice the later action is kept. What got lost stays, and so does what led there: the same picture
    asks for something else after it.
    """
    kept: list[int] = []
    where: dict[tuple[int, bytes], int] = {}
    keys = [(int(at), grid.tobytes()) for at, grid in zip(way.progress, np.ascontiguousarray(way.grids), strict=True)]
    for step, key in enumerate(keys):
        if way.lost[step]:
            where.clear()
        elif key in where:
            cut = where[key]
            for undone in kept[cut:]:
                where.pop(keys[undone], None)
            del kept[cut:]
        if not way.lost[step]:
            where[key] = len(kept)
        kept.append(step)
    return Way(*(part[kept] for part in way))


def pack(places: Iterable[Place]) -> tuple[dict[str, torch.Tensor], dict[int, int]]:
    """Places with all that lies before them, as tensors, and the number of each by its `id`."""
    order: list[Place] = []
    number: dict[int, int] = {}
    for place in places:
        line: list[Place] = []
        here: Place | None = place
        while here is not None and id(here) not in number:
            line.append(here)
            here = here.parent
        for one in reversed(line):
            number[id(one)] = len(order)
            order.append(one)
    seen = [b"".join(sorted(one.standing.seen)) for one in order]

    def numbers(values: Iterable[int]) -> torch.Tensor:
        return torch.tensor(list(values), dtype=torch.int64)

    def stacked(parts: Sequence[np.ndarray], empty: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([empty, *parts]))

    return {
        "parent": numbers(-1 if one.parent is None else number[id(one.parent)] for one in order),
        "packed": joined([one.packed for one in order]),
        "packed_size": numbers(len(one.packed) for one in order),
        "seen": joined(seen),
        "seen_size": numbers(len(part) for part in seen),
        "belief": torch.from_numpy(np.stack([one.standing.belief for one in order])) if order else torch.zeros(0, 0),
        "passed": numbers(one.standing.passed for one in order),
        "furthest": numbers(one.standing.furthest for one in order),
        "reached": torch.tensor([one.standing.reached for one in order], dtype=torch.float64),
        "lacking": torch.tensor([pair for one in order for pair in one.standing.lacking.items()], dtype=torch.int64).reshape(
            -1, 2
        ),
        "lacking_size": numbers(len(one.standing.lacking) for one in order),
        "length": numbers(len(one.actions) for one in order),
        "grids": stacked([one.grids for one in order], np.zeros((0, 9, 10), np.int16)),
        "actions": stacked([one.actions for one in order], np.zeros(0, np.int64)),
        "played": stacked([one.played for one in order], np.zeros(0, np.int64)),
        "progress": stacked([one.progress for one in order], np.zeros(0, np.int64)),
        "meant": stacked([one.meant for one in order], np.zeros(0, bool)),
        "steps": numbers(one.steps for one in order),
        "beyond": numbers(one.beyond for one in order),
        "lost": numbers(int(one.lost) for one in order),
        "record": torch.tensor([(one.begun, one.led) for one in order], dtype=torch.float64).reshape(-1, 2),
    }, number


def unpack(tensors: Mapping[str, torch.Tensor]) -> list[Place]:
    """The inverse of `pack`: places by their numbers."""
    packed, seen = (parted(tensors[name], tensors[f"{name}_size"]) for name in ("packed", "seen"))
    ends = {name: np.cumsum([0, *tensors[name].tolist()]) for name in ("lacking_size", "length")}
    grids, actions, played, progress, meant = (
        tensors[name].numpy() for name in ("grids", "actions", "played", "progress", "meant")
    )
    places: list[Place] = []
    for at in range(len(tensors["parent"])):
        first, last = (int(end) for end in ends["length"][at : at + 2])
        lacks, known = ends["lacking_size"], seen[at]
        standing = Standing(
            tensors["belief"][at].numpy().copy(), int(tensors["passed"][at]), int(tensors["furthest"][at]),
            {known[i : i + KEY] for i in range(0, len(known), KEY)}, float(tensors["reached"][at]),
            dict(tensors["lacking"][lacks[at] : lacks[at + 1]].tolist()),
        )  # fmt: skip
        parent = int(tensors["parent"][at])
        begun, led = tensors["record"][at].tolist()
        places.append(
            Place(
                packed[at], standing, places[parent] if parent >= 0 else None, grids[first:last].copy(),
                actions[first:last].copy(), played[first:last].copy(), progress[first:last].copy(), meant[first:last].copy(),
                int(tensors["steps"][at]), begun, led, int(tensors["beyond"][at]), bool(tensors["lost"][at]),
            )
        )  # fmt: skip
    return places
