"""Which frames of the footage a model looks at: every usable one of a split, seldom seen looks more often than common ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emurl.core.errors import InputError
from emurl.footage.dataset import CHUNK, FrameReader


def evenly_spread(count: int, total: int) -> np.ndarray:
    """At most `count` of the numbers 0 … total - 1, evenly spread, ascending: int64 (min(count, total),)."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)) if total else np.zeros(0, np.int64)


@dataclass(frozen=True)
class Catalog:
    """Usable frames of one split.

    Attributes:
        video: each frame's video, int32 (M,), as its place in `FrameReader.videos`. index: its number in that video, int64 (M,).
        repeats: how many frames of the split look the same, int64 (M,).
    """

    video: np.ndarray
    index: np.ndarray
    repeats: np.ndarray

    @classmethod
    def of(cls, reader: FrameReader, split: str) -> Catalog:
        """Look through the whole split once.

        Raises:
            InputError: the split has no usable frame.
        """
        videos, indices, looks = [], [], []
        for video in reader.split(split):
            usable = reader.usable(video)
            videos.append(np.full(len(usable), video, np.int32))
            indices.append(usable.astype(np.int64))
            looks += [_look(reader.read(video, usable[i : i + CHUNK])) for i in range(0, len(usable), CHUNK)]
        if not looks:
            raise InputError(f"frames: no usable frame in the {split} split, expected at least one video with some")
        _, kind, count = np.unique(np.concatenate(looks), return_inverse=True, return_counts=True)
        return cls(np.concatenate(videos), np.concatenate(indices), count[kind.reshape(-1)])

    def __len__(self) -> int:
        return len(self.video)

    def read(self, reader: FrameReader, places: np.ndarray) -> np.ndarray:
        """The frames at `places` (n,) of this catalog, in that order: uint8 (n, 144, 160[, 3])."""
        return reader.gather(self.video[places], self.index[places])

    def weights(self) -> np.ndarray:
        """Sampling probabilities (M,): n frames of the same look are seen √n times as often as one of a kind.

        Text boxes stand still for long, and would fill most batches otherwise.
        """
        weights = 1.0 / np.sqrt(self.repeats)
        return weights / weights.sum()


def _look(frames: np.ndarray) -> np.ndarray:
    """A number (N,) that frames have in common when their 8×8 tiles are, to a sixteenth of the brightness, the same."""
    n = len(frames)
    mean = frames.reshape(n, 18, 8, 20, -1).astype(np.float32).mean(axis=(2, 4)).reshape(n, -1)
    coarse = np.round(mean * (16 / 3 if frames.max(initial=0) < 4 else 16 / 255)).astype(np.int64)
    factors = np.random.default_rng(0).integers(1, 2**62, coarse.shape[1], dtype=np.int64)
    return (coarse * factors).sum(axis=1)  # wraps around: a hash
