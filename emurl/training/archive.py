"""Where episodes begin besides power-on: emulator states kept along the way (Go-Explore 1901.10995; 1812.03381).

A state is kept under what its frame looks like in tokens, never under anything read from the game's memory. Seldom used and
far advanced states are begun from more often. Saving takes a console about 13 ms and loading 4, so states are saved now and
then and not at every step.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import torch

from emurl.agents.base import Carry
from emurl.core.recall import key_of
from emurl.training.checkpoint import joined, parted


@dataclass
class Entry:
    """A kept state: zlib-packed bytes (a tenth of 150 KB), Φ of its frame, how often an episode began there.

    `carry` is what the agent remembered on the way there, without the first axis; empty: nothing that goes back so far.
    """

    packed: bytes
    progress: float
    chosen: int = 0
    carry: Carry = field(default_factory=dict)

    def state(self) -> bytes:
        """The emulator's state."""
        return zlib.decompress(self.packed)


class StateArchive:
    """At most `capacity` emulator states by the token grid of their frame; a save is granted every `save_every` steps."""

    def __init__(self, capacity: int = 256, save_every: int = 64) -> None:
        self.capacity, self.save_every = capacity, save_every
        self.entries: dict[bytes, Entry] = {}
        self._allowance = 0.0

    def __len__(self) -> int:
        return len(self.entries)

    @staticmethod
    def key(tokens: np.ndarray) -> bytes:
        """16 bytes that stand for a token grid."""
        return key_of(np.asarray(tokens, np.int16))

    def earn(self, steps: int) -> None:
        """`steps` environment steps have passed: saves are earned by them, and not hoarded."""
        self._allowance = min(self._allowance + steps / self.save_every, 4.0)

    def wants(self, key: bytes) -> bool:
        """Whether a state under this key is new and a save has been earned."""
        return self._allowance >= 1.0 and key not in self.entries

    def add(self, key: bytes, state: bytes, progress: float, carry: Carry | None = None) -> None:
        """Keep a state; when the archive is full, the one least likely to be begun from makes room."""
        self._allowance -= 1.0
        if len(self.entries) >= self.capacity:
            keys = list(self.entries)
            del self.entries[keys[int(np.argmin(self._weights()))]]
        self.entries[key] = Entry(zlib.compress(state, 1), progress, carry=carry or {})

    def rescore(self, key: bytes, progress: float) -> None:
        """Set Φ of a kept state, if it is still there."""
        if key in self.entries:
            self.entries[key].progress = progress

    def choose(self, rng: np.random.Generator) -> Entry | None:
        """A state to begin an episode from; None while there is none."""
        if not self.entries:
            return None
        weights = self._weights()
        place = int(rng.choice(len(weights), p=weights / weights.sum()))
        entry = list(self.entries.values())[place]
        entry.chosen += 1
        return entry

    def _weights(self) -> np.ndarray:
        """1/√(1 + times chosen), times 0.5 … 1.5 by the rank of Φ."""
        entries = list(self.entries.values())
        ranks = np.argsort(np.argsort([entry.progress for entry in entries], kind="stable"), kind="stable")
        seldom = 1.0 / np.sqrt(1.0 + np.array([entry.chosen for entry in entries]))
        return seldom * (0.5 + ranks / max(1, len(entries) - 1))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything, for a checkpoint."""
        entries = list(self.entries.values())
        return {
            "states": joined(entry.packed for entry in entries),
            "sizes": torch.tensor([len(entry.packed) for entry in entries], dtype=torch.int64),
            "keys": joined(self.entries).reshape(-1, 16),
            "progress": torch.tensor([entry.progress for entry in entries], dtype=torch.float64),
            "chosen": torch.tensor([entry.chosen for entry in entries], dtype=torch.int64),
            "allowance": torch.tensor(self._allowance, dtype=torch.float64),
            **{
                f"carry_{name}": torch.from_numpy(np.stack([entry.carry[name] for entry in entries]))
                for name in (entries[0].carry if entries else {})
            },
        }

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`."""
        keys = [bytes(key) for key in tensors["keys"].numpy()]
        columns = (keys, parted(tensors["states"], tensors["sizes"]), tensors["progress"].tolist(), tensors["chosen"].tolist())
        self.entries = {key: Entry(packed, progress, chosen) for key, packed, progress, chosen in zip(*columns, strict=True)}
        for name, rows in tensors.items():
            if name.startswith("carry_"):
                for entry, row in zip(self.entries.values(), rows.numpy(), strict=True):
                    entry.carry[name.removeprefix("carry_")] = row.copy()
        self._allowance = float(tensors["allowance"])
