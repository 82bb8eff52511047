"""Play under way, kept block by block: whoever presses Ctrl-C waits a second, and all of it may be a gigabyte.

Every round of play begins with loading states, so no console need be kept: what was played, the places and the dice are all there is.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emurl.footage.pairs import Pairs
from emurl.screen import ScreenSpec, decode, encode
from emurl.training.checkpoint import dice, joined, parted, read_checkpoint, write_checkpoint

BLOCK = 1024  # actions after which a block is written: a second and a half of play, in forty milliseconds


@dataclass
class Kept:
    """A state worth returning to: its bytes, packed, and how often it was begun from or met again."""

    packed: bytes
    count: int = 1


class Blocks:
    """The files of one play in `folder`, each named by the round it begins with, so that none can be taken for another.

    Args:
        signature: which play it is; another one's blocks are not taken up. saved: called with each file.
    """

    def __init__(self, folder: Path, signature: dict[str, Any], spec: ScreenSpec, saved: Callable[[Path], None] | None) -> None:
        self.folder, self.signature, self.spec, self.saved = folder, signature, spec, saved
        self.rounds = 0  # that are in files
        self._episodes = self._moments = self._places = 0  # and how many of each are

    def put_down(
        self, rounds: int, parts: list[Pairs], moments: list[np.ndarray], kept: dict[bytes, Kept], rngs: list[np.random.Generator]
    ) -> None:  # fmt: skip
        """Write what is new since the last block, after so many rounds; nothing where nothing is.

        Args:
            parts: the pairs of each episode. moments: frames (144, 160[, 3]). kept: all places in the order they were found.

        Raises:
            WorkError: the disk is full.
        """
        if rounds == self.rounds:
            return
        new, looks = parts[self._episodes :], moments[self._moments :]
        places = list(kept.items())[self._places :]
        texts = {
            "packed": b"".join(part.packed.tobytes() for part in new),
            "moments": encode(np.stack(looks), self.spec).tobytes() if looks else b"",
        }
        tensors = {name: joined([zlib.compress(data, 1)]) for name, data in texts.items()}
        tensors |= {
            "actions": torch.from_numpy(np.concatenate([part.actions for part in new])),
            "sizes": torch.tensor([len(part) for part in new]),
            "keys": joined(key for key, _ in places),
            "states": joined(place.packed for _, place in places),
            "state_sizes": torch.tensor([len(place.packed) for _, place in places], dtype=torch.int64),
            "counts": torch.tensor([place.count for place in kept.values()], dtype=torch.int64),
        }
        told = {"rounds": rounds, "rngs": [dice(rng) for rng in rngs]}
        write_checkpoint(self._file(), {"play": tensors}, told, self.signature, self.saved)
        self._know(rounds, parts, moments, kept)

    def take_up(
        self, parts: list[Pairs], moments: list[np.ndarray], kept: dict[bytes, Kept], rngs: list[np.random.Generator]
    ) -> int:  # fmt: skip
        """Be where the blocks end: `parts`, `moments`, `kept` and the dice are filled; returns the rounds that were played."""
        while True:
            play: dict[str, torch.Tensor] = {}
            found = read_checkpoint(self._file(), {"play": play}, self.signature)
            if found is None:
                return self.rounds
            size = self.spec.frame_bytes
            packed = _unpacked(play["packed"]).reshape(-1, 2, size)
            actions = play["actions"].numpy().copy()
            for first, last in itertools.pairwise(np.cumsum([0, *play["sizes"].tolist()]).tolist()):
                episode = np.full(last - first, len(parts), np.int64)
                parts.append(Pairs(packed[first:last], actions[first:last], episode, np.zeros((0, size), np.uint8), self.spec))
            moments += list(decode(_unpacked(play["moments"]).reshape(-1, size), self.spec))
            keys = [bytes(key) for key in play["keys"].reshape(-1, 16).numpy()]
            if not self.rounds:
                kept.clear()
            kept |= {key: Kept(state) for key, state in zip(keys, parted(play["states"], play["state_sizes"]), strict=True)}
            for place, count in zip(kept.values(), play["counts"].tolist(), strict=True):
                place.count = count
            for rng, one in zip(rngs, found["rngs"], strict=True):
                rng.bit_generator.state = one
            self._know(int(found["rounds"]), parts, moments, kept)

    def _file(self) -> Path:
        return self.folder / f"round_{self.rounds:06d}.safetensors"

    def _know(self, rounds: int, parts: list[Pairs], moments: list[np.ndarray], kept: dict[bytes, Kept]) -> None:
        self.rounds, self._episodes, self._moments, self._places = rounds, len(parts), len(moments), len(kept)


def _unpacked(data: torch.Tensor) -> np.ndarray:
    return np.frombuffer(zlib.decompress(data.numpy().tobytes()), np.uint8)
