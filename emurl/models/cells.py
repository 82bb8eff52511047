"""Cells by themselves: a fixed linear encoder of 16×16 pixels, and the different cells of footage that it is set by."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from emurl.models.layers import TILE, merge_tiles

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
