"""Cells by themselves: a fixed linear encoder of 16×16 pixels, the different cells of footage that it is set by, and those it has named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from emurl.core.recall import recall
from emurl.models.layers import COLUMNS, ROWS, TILE, merge_tiles

PIXELS = 4 * TILE * TILE  # of a cell


class CellEncoder(nn.Module):
    """Tiles (B, 18, 20, 64·C) uint8 to cell vectors (B, 90, code_dim): a fixed linear map of each cell's pixels, of length one or so.

    The last number is the same for all cells, so that normalized vectors of cells near the mean still lie near each other.
    """

    directions: torch.Tensor
    offset: torch.Tensor

    def __init__(self, code_dim: int, shades: int, channels: int) -> None:
        super().__init__()
        pixels = PIXELS * channels
        if not 2 <= code_dim <= pixels:
            raise ValueError(f"code_dim is {code_dim}, expected 2 … {pixels} with the encoder of cells")
        self.scale = 1.0 / (shades - 1)
        self.register_buffer("directions", torch.zeros(pixels, code_dim))
        self.register_buffer("offset", torch.zeros(code_dim))

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        return self.project(merge_tiles(tiles).flatten(1, 2))

    def project(self, cells: torch.Tensor) -> torch.Tensor:
        """Cells (…, 256·C) uint8, tile by tile, to vectors (…, code_dim)."""
        return (cells.float() * self.scale) @ self.directions + self.offset

    @torch.no_grad()
    def start(self, cells: torch.Tensor, weights: torch.Tensor) -> None:
        """Take the principal directions of cells (N, 256·C) uint8, each there `weights` (N,) times; their spread becomes one."""
        values = cells.float() * self.scale
        share = (weights / weights.sum())[:, None]
        mean = (values * share).sum(dim=0)
        spread, axes = torch.linalg.eigh(((values - mean) * share).T @ (values - mean))
        count = len(self.offset) - 1
        axes = axes[:, -count:] / spread[-count:].sum().clamp(min=1e-9).sqrt()
        # Which way an eigenvector points is chance: its largest number is made positive.
        axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
        self.directions.copy_(torch.cat([axes, torch.zeros(len(mean), 1, device=axes.device)], dim=1))
        self.offset.copy_(torch.cat([-mean @ axes, torch.ones(1, device=axes.device)]))


def distinct_cells(tiles: torch.Tensor, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The different cells in tiles (B, 18, 20, 64·C) uint8, (N, 256·C), and how often each is there, float32 (N,).

    Of more than `most` that many are drawn, from torch's random state.
    """
    cells = merge_tiles(tiles).flatten(0, 2).cpu().numpy()
    # Compared as strings of bytes: hundreds of thousands of cells in a second or two.
    _, first, count = np.unique(cells.view(f"V{cells.shape[1]}")[:, 0], return_index=True, return_counts=True)
    if len(first) > most:
        some = np.sort(torch.randperm(len(first))[:most].numpy())
        first, count = first[some], count[some]
    return torch.from_numpy(cells[first]).to(tiles.device), torch.from_numpy(count).float().to(tiles.device)


class NamedCells:
    """Tokens of frames, where a token is of its cell alone: every different cell is named once, and remembered.

    A game shows few different cells and many different frames, so a new frame is mostly made of cells that were seen before.

    Args:
        name: cells uint8 (N, 256·C), tile by tile, to tokens (N,). most: cells that are remembered; past it, all are forgotten.
    """

    def __init__(self, name: Callable[[np.ndarray], np.ndarray], most: int = 100_000) -> None:
        self.name, self.most = name, most
        self._known: dict[bytes, int] = {}

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (B, 144, 160[, 3]) to tokens int16 (B, 9, 10)."""
        cells = cells_of(frames)
        size, data = cells.shape[1], cells.tobytes()
        if len(self._known) > self.most:
            self._known.clear()
        keys = [data[at : at + size] for at in range(0, len(data), size)]
        tokens = recall(self._known, keys, lambda places: self.name(cells[places]).tolist())
        return np.array(tokens, np.int16).reshape(-1, ROWS, COLUMNS)

    def forget(self) -> None:
        """Remember nothing."""
        self._known.clear()


def cells_of(frames: np.ndarray) -> np.ndarray:
    """Frames uint8 (B, 144, 160[, 3]) to their cells (B·90, 256·C), tile by tile, as `merge_tiles` has them."""
    tiles = frames.reshape(len(frames), ROWS, 2, TILE, COLUMNS, 2, TILE, -1).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    return np.ascontiguousarray(tiles).reshape(len(frames) * ROWS * COLUMNS, -1)
