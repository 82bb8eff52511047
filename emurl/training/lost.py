"""Where episodes got lost: the newest ends, with what the agent remembered, for others to go on from."""

from __future__ import annotations

import zlib
from collections import deque
from typing import NamedTuple

import numpy as np
import torch

from emurl.agents.base import Carry
from emurl.rewards.splits import Standing
from emurl.training.checkpoint import joined, parted
from emurl.training.ways import Place, pack, unpack


class Lost(NamedTuple):
    """The end of an episode that got no further: the console's state, zlib-packed, where it stands, a carry without its first axis."""

    packed: bytes
    standing: Standing
    carry: Carry

    def state(self) -> bytes:
        """The console's state."""
        return zlib.decompress(self.packed)


class LostEnds:
    """The `most` newest of them."""

    def __init__(self, most: int) -> None:
        self.ends: deque[Lost] = deque(maxlen=most)

    def add(self, state: bytes, standing: Standing, carry: Carry) -> None:
        """Keep one; the oldest makes room."""
        self.ends.append(Lost(zlib.compress(state, 1), standing.copy(), {name: value.copy() for name, value in carry.items()}))

    def choose(self, rng: np.random.Generator) -> Lost:
        """One of them, each as likely as any other."""
        return self.ends[int(rng.integers(len(self.ends)))]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything, for a checkpoint."""
        carries = {name: np.stack([end.carry[name] for end in self.ends]) for name in (self.ends[0].carry if self.ends else {})}
        return {
            "states": joined(end.packed for end in self.ends),
            "sizes": torch.tensor([len(end.packed) for end in self.ends], dtype=torch.int64),
            **{f"stands_{name}": tensor for name, tensor in pack_standings([end.standing for end in self.ends]).items()},
            **{f"carry_{name}": torch.from_numpy(value) for name, value in carries.items()},
        }

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`."""
        carries = within(tensors, "carry_")
        standings = unpack_standings(within(tensors, "stands_"))
        self.ends.clear()
        for at, (packed, standing) in enumerate(zip(parted(tensors["states"], tensors["sizes"]), standings, strict=True)):
            self.ends.append(Lost(packed, standing, {name: value[at].numpy().copy() for name, value in carries.items()}))


def pack_standings(standings: list[Standing]) -> dict[str, torch.Tensor]:
    """Standings as tensors."""
    none = np.zeros(0, np.int64)
    grids, bools = np.zeros((0, 9, 10), np.int16), none.astype(bool)
    return pack([Place(b"", standing, None, grids, none, none, none, bools, 0) for standing in standings])[0]


def unpack_standings(tensors: dict[str, torch.Tensor]) -> list[Standing]:
    """The inverse of `pack_standings`."""
    return [place.standing for place in unpack(tensors)]


def within(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Those whose name begins so, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
