"""Frames one action apart whose button is known: what the inverse dynamics model learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from emurl.core.files import write_atomically
from emurl.screen import ScreenSpec, decode, encode
from emurl.training.checkpoint import joined

PARTS = 3 * 4  # of the screen, by which kinds of changes are told apart


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
        """Write to `file` (npz), whole or not at all; packed, for frames of play are alike, and a bucket gets the file as well."""
        with write_atomically(file) as aside, aside.open("wb") as opened:
            np.savez_compressed(opened, packed=self.packed, actions=self.actions, episode=self.episode, moments=self.moments)

    @classmethod
    def load(cls, file: Path, spec: ScreenSpec) -> Pairs:
        """The inverse of `save`."""
        with np.load(file, allow_pickle=False) as found:
            return cls(found["packed"], found["actions"], found["episode"], found["moments"], spec)


class Collector:
    """Keeps pairs of somebody's play in which something changed, by the kind of change, so that walks do not crowd out the rest.

    A kind is which of the screen's 3×4 parts changed. Of one with more than `per_kind` pairs as many are kept, any of them.

    Args:
        min_pixels: fewer that differ are no change. block: actions of one console that count as an episode.
    """

    def __init__(self, spec: ScreenSpec, per_kind: int, min_pixels: int, rng: np.random.Generator, block: int) -> None:
        self.spec, self.per_kind, self.min_pixels, self.rng, self.block = spec, per_kind, min_pixels, rng, block
        self.kinds: dict[bytes, list[tuple[np.ndarray, int, int]]] = {}
        self.met: dict[bytes, int] = {}
        self.steps = 0

    def watch(self, before: np.ndarray, actions: np.ndarray, after: np.ndarray) -> None:
        """Frames (n, 144, 160[, 3]) before the actions (n,) of n consoles, and after them."""
        differs = (before != after).reshape(len(before), 3, before.shape[1] // 3, 4, -1)
        for i in np.flatnonzero(changed(before, after, self.min_pixels)):
            kind = differs[i].any(axis=(1, 3)).tobytes()
            self.met[kind] = met = self.met.get(kind, 0) + 1
            kept = self.kinds.setdefault(kind, [])
            place = len(kept) if len(kept) < self.per_kind else int(self.rng.integers(met))
            if place < self.per_kind:
                episode = i + len(before) * (self.steps // self.block)
                kept[place : place + 1] = [(encode(np.stack([before[i], after[i]]), self.spec), int(actions[i]), int(episode))]
        self.steps += 1

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything but the dice, for a checkpoint."""
        pairs = self.pairs()
        return {
            "kinds": joined(self.kinds).reshape(-1, PARTS),
            "sizes": torch.tensor([len(kept) for kept in self.kinds.values()], dtype=torch.int64),
            "met": torch.tensor([self.met[kind] for kind in self.kinds], dtype=torch.int64),
            "packed": torch.from_numpy(pairs.packed),
            "actions": torch.from_numpy(pairs.actions),
            "episode": torch.from_numpy(pairs.episode),
            "steps": torch.tensor(self.steps),
        }

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`."""
        rows = list(zip(tensors["packed"].numpy(), tensors["actions"].tolist(), tensors["episode"].tolist(), strict=True))
        self.kinds, self.met, self.steps, first = {}, {}, int(tensors["steps"]), 0
        for kind, size, met in zip(tensors["kinds"].numpy(), tensors["sizes"].tolist(), tensors["met"].tolist(), strict=True):
            key = kind.tobytes()
            self.kinds[key], self.met[key] = [(row.copy(), *rest) for row, *rest in rows[first : first + size]], met
            first += size

    def pairs(self) -> Pairs:
        """All that is kept."""
        rows = [row for kept in self.kinds.values() for row in kept]
        size = self.spec.frame_bytes
        packed = np.array([row[0] for row in rows], np.uint8).reshape(-1, 2, size)
        actions, episode = (np.array([row[part] for row in rows], np.int64) for part in (1, 2))
        return Pairs(packed, actions, episode, np.zeros((0, size), np.uint8), self.spec)


def changed(before: np.ndarray, after: np.ndarray, min_pixels: int) -> np.ndarray:
    """Whether at least `min_pixels` differ between frames (n, …) and frames (n, …): bool (n,)."""
    return (before != after).reshape(len(before), -1).sum(axis=1) >= min_pixels
