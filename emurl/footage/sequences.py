"""Labeled footage as long sequences, read window after window, so that what a policy remembers goes on from one to the next.

A stream reads a video from its beginning to its end, one frame an action, and then takes another video. Footage waits where an
agent presses: somebody reads a text, a menu draws itself. So unlabeled frames are left out of a sequence with a chance that is
drawn anew for each, and a policy cannot learn to count them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from emurl.envs.gameboy.console import NO_BUTTON
from emurl.footage.dataset import NOT_GAME, FrameReader
from emurl.footage.tokens import Tokens

UNLABELED = NO_BUTTON  # no press was seen


@dataclass(frozen=True)
class Sequence:
    """A video's frames of the game one action apart, int64 (n,), and the action after each or `UNLABELED`, int64 (n,)."""

    video: int
    frames: np.ndarray
    actions: np.ndarray


@dataclass
class Window:
    """T steps of B streams: grids int64 (T, B, 9, 10), actions int64 (T, B), weights float32 (T, B), 0 where there is no label."""

    grids: np.ndarray
    actions: np.ndarray
    weights: np.ndarray


def labeled_actions(labels: pd.DataFrame, reader: FrameReader, video: int) -> np.ndarray:
    """The action after every frame of a video, `UNLABELED` where there is no label: int64 (frames,)."""
    rows = labels[labels["video"] == video]
    actions = np.full(reader.videos[video].count, UNLABELED, np.int64)
    actions[rows["frame"].to_numpy()] = rows["action"].to_numpy()
    return actions


def labeled_sequences(labels: pd.DataFrame, tokens: Tokens, split: str, stride: int) -> list[Sequence]:
    """`stride` sequences of every video of a split that has a label: one that begins at each of its first `stride` frames.

    Args:
        labels: video, frame, action, split (`emurl.footage.inverse_labels.label`). stride: frames an action takes.
    """
    found = []
    known = labels[labels["split"] == split]
    for place in sorted(set(known["video"].tolist())):
        actions = labeled_actions(known, tokens.reader, place)
        game = tokens.reader.flags(place) & NOT_GAME == 0
        for phase in range(stride):
            frames = np.arange(phase, len(actions), stride)
            frames = frames[game[frames]]
            if (actions[frames] != UNLABELED).any():
                found.append(Sequence(place, frames, actions[frames]))
    return found


def thinned(sequence: Sequence, share: float, rng: np.random.Generator) -> Sequence:
    """The sequence with about `share` of its unlabeled frames."""
    kept = (sequence.actions != UNLABELED) | (rng.random(len(sequence.actions)) < share)
    return Sequence(sequence.video, sequence.frames[kept], sequence.actions[kept])


class Streams:
    """`count` streams over sequences, T steps at a time.

    Args:
        sequences: what is read. tokens: their grids. weights: of an action, float (A,). frame_weights: of each frame, by video.
        count: of the streams. length: T. hidden: size of what is remembered.

    Attributes:
        kept: everything a stream goes on from, tensors by name: `sequence`, `variant` (its dice), `at`, and `state` float32
            (count, hidden), which whoever learns writes into. Belongs into a checkpoint.
    """

    def __init__(
        self, sequences: list[Sequence], tokens: Tokens, weights: np.ndarray, frame_weights: dict[int, np.ndarray], count: int,
        length: int, hidden: int,
    ) -> None:  # fmt: skip
        self.sequences, self.tokens, self.length = sequences, tokens, length
        self.weights, self.frame_weights = weights, frame_weights
        self.kept = {
            "sequence": torch.full((count,), -1, dtype=torch.int64),
            "variant": torch.zeros(count, dtype=torch.int64),
            "at": torch.zeros(count, dtype=torch.int64),
            "state": torch.zeros(count, hidden),
        }
        self._open: dict[int, tuple[tuple[int, int], Sequence]] = {}

    def next(self, rng: np.random.Generator) -> Window:
        """The next window of every stream; `kept["state"]` is zero where a sequence begins."""
        count = len(self.kept["at"])
        window = Window(
            np.zeros((self.length, count, 9, 10), np.int64), np.zeros((self.length, count), np.int64),
            np.zeros((self.length, count), np.float32),
        )  # fmt: skip
        for stream in range(count):
            if int(self.kept["sequence"][stream]) < 0:
                self._begin(stream, rng)
            sequence, at = self._sequence(stream), int(self.kept["at"][stream])
            part = slice(at, at + self.length)
            frames, actions = sequence.frames[part], sequence.actions[part]
            n = len(frames)
            window.grids[:n, stream] = self.tokens.read(np.full(n, sequence.video), frames)
            labeled = actions != UNLABELED
            window.actions[:n, stream] = np.where(labeled, actions, 0)
            weights = self.weights[window.actions[:n, stream]] * self.frame_weights[sequence.video][frames]
            window.weights[:n, stream] = np.where(labeled, weights, 0.0)
            self.kept["at"][stream] = at + n
            if at + n >= len(sequence.frames):
                self.kept["sequence"][stream] = -1
        return window

    def _begin(self, stream: int, rng: np.random.Generator) -> None:
        """Take a new sequence. The first ones begin anywhere, or all streams would be at the title at the same time."""
        spread = int(self.kept["variant"][stream]) == 0
        self.kept["sequence"][stream] = int(rng.integers(len(self.sequences)))
        self.kept["variant"][stream] = int(rng.integers(1, 2**31))
        windows = max(1, len(self._sequence(stream).frames) // self.length)
        self.kept["at"][stream] = int(rng.integers(windows)) * self.length if spread else 0
        self.kept["state"][stream] = 0.0

    def _sequence(self, stream: int) -> Sequence:
        key = int(self.kept["sequence"][stream]), int(self.kept["variant"][stream])
        if self._open.get(stream, (None,))[0] != key:
            dice = np.random.default_rng(key[1])
            self._open[stream] = key, thinned(self.sequences[key[0]], float(dice.random()), dice)
        return self._open[stream][1]
