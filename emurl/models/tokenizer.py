"""The tokenizer: a VQ-VAE (1711.00937) that says a frame in 9×10 tokens of a small vocabulary, one a 16×16 cell.

The stem is the console's own 8×8 tile (space to depth), so no convolution ever runs at full resolution. With four shades the
decoder classifies each pixel's shade by cross-entropy; with 256 it regresses them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from emurl.models.base import Metrics, Pretrained, as_tensor
from emurl.models.codebook import Codebook, Kind
from emurl.models.layers import (
    COLUMNS,
    ROWS,
    TILE,
    ResidualBlock,
    TileStem,
    as_channels_last_frames,
    from_tiles,
    group_norm,
    to_tiles,
)


class Encoder(nn.Module):
    """Frames (B, 144, 160, C) uint8 to cell vectors (B, 90, code_dim)."""

    def __init__(self, dim: int, depth: int, code_dim: int, shades: int, channels: int) -> None:
        super().__init__()
        half = dim // 2
        self.stem = TileStem(half, shades, channels)
        self.tile_block = ResidualBlock(half)
        self.merge = nn.Conv2d(half, dim, 2, stride=2)  # four tiles make a cell
        self.cell_blocks = nn.Sequential(*(ResidualBlock(dim) for _ in range(depth)))
        self.norm = group_norm(dim)
        self.out = nn.Conv2d(dim, code_dim, 1)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        x = self.merge(self.tile_block(self.stem(frames)))
        x = self.out(F.gelu(self.norm(self.cell_blocks(x))))  # (B, code_dim, 9, 10)
        return x.flatten(2).transpose(1, 2)


class Decoder(nn.Module):
    """Code vectors (B, 90, code_dim) to tiles (B, 18, 20, outputs)."""

    def __init__(self, dim: int, depth: int, code_dim: int, outputs: int) -> None:
        super().__init__()
        half = dim // 2
        self.into = nn.Conv2d(code_dim, dim, 1)
        self.cell_blocks = nn.Sequential(*(ResidualBlock(dim) for _ in range(depth)))
        self.split = nn.ConvTranspose2d(dim, half, 2, stride=2)
        self.tile_block = ResidualBlock(half)
        self.norm = group_norm(half)
        self.out = nn.Linear(half, outputs)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        grid = codes.transpose(1, 2).reshape(codes.shape[0], -1, ROWS, COLUMNS)
        x = self.tile_block(self.split(self.cell_blocks(self.into(grid))))
        return self.out(F.gelu(self.norm(x)).permute(0, 2, 3, 1))


class Tokenizer(Pretrained):
    """Frames uint8 (B, 144, 160[, 3]) ↔ tokens long (B, 9, 10).

    Args:
        shades: 4 (the decoder classifies) or 256 (it regresses); channels: 1 or 3.
        dim: width on the 9×10 grid; half of it on the 18×20 tiles. depth: residual blocks a side on the 9×10 grid.
        vocab, code_dim, codebook: see `Codebook`.
        decay: what a batch leaves of the codes' moving averages.
    """

    def __init__(
        self,
        shades: int = 4,
        channels: int = 1,
        dim: int = 128,
        depth: int = 2,
        vocab: int = 512,
        code_dim: int = 64,
        codebook: Kind = "cosine",
        decay: float = 0.95,
    ) -> None:
        super().__init__(
            shades=shades, channels=channels, dim=dim, depth=depth, vocab=vocab, code_dim=code_dim, codebook=codebook,
            decay=decay,
        )  # fmt: skip
        self.shades, self.channels, self.vocab = shades, channels, vocab
        self.classifies = shades <= 8
        self.encoder = Encoder(dim, depth, code_dim, shades, channels)
        self.codebook = Codebook(vocab, code_dim, codebook, decay)
        self.decoder = Decoder(dim, depth, code_dim, TILE * TILE * channels * (shades if self.classifies else 1))

    def _input(self, frames: Any) -> torch.Tensor:
        return as_channels_last_frames(as_tensor(frames, self.device), self.channels)

    def _values(self, outputs: torch.Tensor) -> torch.Tensor:
        """Decoder outputs (B, 18, 20, ·) as tiles of shades (B, 18, 20, 64·C) uint8."""
        if self.classifies:
            # Over so few shades a chain of comparisons is twenty times faster than argmax on a CPU.
            logits = outputs.unflatten(-1, (self.shades, -1)).unbind(dim=-2)
            best, shade = logits[0], torch.zeros_like(logits[0], dtype=torch.uint8)
            for number, logit in enumerate(logits[1:], start=1):
                shade = torch.where(logit > best, shade.new_tensor(number), shade)
                best = torch.maximum(best, logit)
            return shade
        return ((outputs + 1.0) * (0.5 * (self.shades - 1))).round().clamp(0, self.shades - 1).to(torch.uint8)

    def _error(self, outputs: torch.Tensor, tiles: torch.Tensor) -> torch.Tensor:
        """Reconstruction error of each frame (B,): mean cross-entropy in nats a pixel, or mean squared error in −1…1."""
        if self.classifies:
            logits = outputs.float().unflatten(-1, (self.shades, -1)).flatten(0, 2)  # (B·360, shades, 64·C)
            nats = F.cross_entropy(logits, tiles.flatten(0, 2).long(), reduction="none")
            return nats.reshape(len(tiles), -1).mean(dim=1)
        wanted = tiles.float() / (0.5 * (self.shades - 1)) - 1.0
        return (outputs.float() - wanted).square().flatten(1).mean(dim=1)

    @torch.no_grad()
    def encode(self, frames: Any) -> torch.Tensor:
        """Frames uint8 (B, 144, 160[, 3]) to tokens long (B, 9, 10)."""
        return self.codebook.nearest(self.encoder(self._input(frames))).reshape(-1, ROWS, COLUMNS)

    @torch.no_grad()
    def decode(self, tokens: Any) -> torch.Tensor:
        """Tokens long (B, 9, 10) to frames uint8 (B, 144, 160[, 3])."""
        outputs = self.decoder(self.codebook.vectors(as_tensor(tokens, self.device)).flatten(1, 2))
        frames = from_tiles(self._values(outputs), self.channels)
        return frames[..., 0] if self.channels == 1 else frames

    @torch.no_grad()
    def reconstruction_error(self, frames: Any, tokens: torch.Tensor | None = None) -> torch.Tensor:
        """How badly each frame (B, …) is said in tokens: float32 (B,), nats a pixel (squared error for 256 shades)."""
        frames = self._input(frames)
        tokens = self.encode(frames) if tokens is None else tokens
        outputs = self.decoder(self.codebook.vectors(tokens).flatten(1, 2))
        return self._error(outputs, to_tiles(frames))

    def loss(self, batch: Any) -> tuple[torch.Tensor, Metrics]:
        """Reconstruction plus commitment loss of `batch`: frames (B, 144, 160[, 3]), or (seen, wanted) frames.

        With a pair, `seen` (augmented) is encoded and `wanted` (clean) is what the decoder has to say.
        """
        seen, wanted = batch if isinstance(batch, tuple | list) else (batch, batch)
        codes, indices, commitment = self.codebook(self.encoder(self._input(seen)))
        outputs = self.decoder(codes)
        tiles = to_tiles(self._input(wanted))
        reconstruction = self._error(outputs, tiles).mean()
        with torch.no_grad():
            right = (self._values(outputs) == tiles).float().mean()
            used = torch.zeros(self.vocab, device=self.device).index_fill_(0, indices.flatten(), 1.0).mean()
        metrics = {
            "reconstruction": reconstruction.detach(),
            "commitment": commitment.detach(),
            "pixel_accuracy": right,
            "batch_codes": used,
        }
        return reconstruction + commitment, metrics

    def on_progress(self, done: float) -> None:
        """Told by the training loop which share of the steps is done: revival of dead codes ends at 80 %."""
        self.codebook.revive(done < 0.8)
