"""Frames one action apart whose button is known: what the inverse dynamics model learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emurl.core.files import write_atomically
from emurl.screen import ScreenSpec, decode


@dataclass
class Pairs:
    """Frames one action apart, packed, uint8 (M, 2, ·); the button in between (M,); the episode each is from (M,).

    `moments`, packed uint8 (K, ·), are some frames as an agent meets them: when an action is over and the next is due.
    """

    packed: np.ndarray
    actions: np.ndarray
    episode: np.ndarray
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
        """Both, the other's episodes counted on."""
        first = int(self.episode.max(initial=-1)) + 1
        return Pairs(
            np.concatenate([self.packed, other.packed]),
            np.concatenate([self.actions, other.actions]),
            np.concatenate([self.episode, other.episode + first]),
            np.concatenate([self.moments, other.moments]),
            self.spec,
        )

    def save(self, file: Path) -> None:
        """Write to `file` (npz), whole or not at all."""
        with write_atomically(file) as aside, aside.open("wb") as opened:
            np.savez(opened, packed=self.packed, actions=self.actions, episode=self.episode, moments=self.moments)

    @classmethod
    def load(cls, file: Path, spec: ScreenSpec) -> Pairs:
        """The inverse of `save`."""
        with np.load(file, allow_pickle=False) as found:
            return cls(found["packed"], found["actions"], found["episode"], found["moments"], spec)


def changed(before: np.ndarray, after: np.ndarray, min_pixels: int) -> np.ndarray:
    """Whether at least `min_pixels` differ between frames (n, …) and frames (n, …): bool (n,)."""
    return (before != after).reshape(len(before), -1).sum(axis=1) >= min_pixels
