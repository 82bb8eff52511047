"""Which arrangements of tokens does the footage never show? Square patches of token grids, remembered by their hashes.

A place that no runner visits is drawn with the game's own cells, so it is said well in tokens; what is new is which cells stand side by
side. That is told as intruders are told by calls they make in an order never seen before (short sequences in a table of the normal ones;
Forrest et al. 1996, "A sense of self for Unix processes"), with patches of a picture in place of sequences.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emurl.core.errors import InputError
from emurl.core.files import write_atomically

_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # of FNV-1a, 64 bits
_SHIFT = np.uint64(32)


def patch_hashes(grids: np.ndarray, size: int) -> np.ndarray:
    """Hashes of all patches of `size` × `size` tokens in grids (N, 9, 10): uint64 (N, (10 − size) · (11 − size))."""
    grids = np.asarray(grids).astype(np.uint64)
    rows, columns = grids.shape[1] - size + 1, grids.shape[2] - size + 1
    hashes = np.full((len(grids), rows, columns), _OFFSET)
    for down in range(size):
        for right in range(size):
            hashes = (hashes ^ grids[:, down : down + rows, right : right + columns]) * _PRIME
            hashes ^= hashes >> _SHIFT  # tokens are small numbers: the high bits have to come down to be mixed again
    return hashes.reshape(len(grids), rows * columns)


class KnownPatches:
    """The patches that footage shows.

    Args:
        hashes: by the patches' size in cells (1 … 9), ascending uint64 (M,).
    """

    def __init__(self, hashes: Mapping[int, np.ndarray]) -> None:
        self.hashes = dict(hashes)

    @classmethod
    def of(cls, grids: np.ndarray, sizes: Sequence[int]) -> KnownPatches:
        """Those in grids (N, 9, 10), of each of `sizes`."""
        grids = np.unique(np.asarray(grids), axis=0)
        return cls({size: np.unique(patch_hashes(grids, size)) for size in sizes})

    def novelty(self, grids: np.ndarray) -> np.ndarray:
        """Share of each grid's patches that are not known, mean over the sizes: float64 (N,), 0 … 1."""
        grids = np.asarray(grids)
        shares = [~np.isin(patch_hashes(grids, size), known) for size, known in self.hashes.items()]
        return np.mean([share.mean(axis=1) for share in shares], axis=0) if shares else np.zeros(len(grids))

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write them to `file` (.npz)."""
        with write_atomically(Path(file)) as aside, aside.open("wb") as out:
            arrays: dict[str, Any] = {str(size): known for size, known in self.hashes.items()}
            np.savez_compressed(out, **arrays)

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> KnownPatches:
        """Those that `save` wrote.

        Raises:
            InputError: the file is not there or damaged.
        """
        try:
            with np.load(file, allow_pickle=False) as found:
                return cls({int(name): found[name] for name in found.files})
        except Exception as error:  # zipfile, zlib and numpy each have their own for a damaged file
            raise InputError(f"{file}: known patches cannot be read ({error}); run dynamics again, or --calibrate") from None
