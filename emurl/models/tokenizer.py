"""The tokenizer: a VQ-VAE (1711.00937) that says a frame in 9×10 tokens of a small vocabulary, one a 16×16 cell.

The stem is the console's own 8×8 tile (space to depth), so nothing ever runs at full resolution, and all between it and the
pixels are matrix products over tiles and cells. With four shades the decoder classifies each pixel's shade, by two binary
decisions in Gray code; with 256 it regresses them.

Two encoders:
  context  a network over the grid, learned through the codes: what a token says may lean on the cells around it
  cells    each cell by itself: the main directions of its pixels, clustered, set from the footage before the first step. Only the
           decoder learns by gradient. A Game Boy screen is made of few different cells: in minutes of training this is far better, a
           token of a cell is the same wherever it stands, and scrolling moves tokens unchanged
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from emurl.models.base import Metrics, Pretrained, as_tensor
from emurl.models.cells import CellEncoder, distinct_cells
from emurl.models.codebook import Codebook, Kind
from emurl.models.layers import (
    COLUMNS,
    ROWS,
    TILE,
    CellBlock,
    CellMixer,
    as_channels_last_frames,
    from_tiles,
    merge_tiles,
    planes,
    shade_planes,
    split_cells,
    to_tiles,
)


class Encoder(nn.Module):
    """Tiles (B, 18, 20, 64·C) uint8 to cell vectors (B, 90, code_dim)."""

    def __init__(self, dim: int, depth: int, code_dim: int, shades: int, channels: int) -> None:
        super().__init__()
        self.shades = shades
        self.stem = nn.Linear(TILE * TILE * channels * planes(shades), dim // 2)
        self.merge = nn.Linear(4 * (dim // 2), dim)
        self.blocks = nn.Sequential(*(CellBlock(dim) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, code_dim)

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        x = F.gelu(self.stem(shade_planes(tiles, self.shades)))
        return self.out(self.norm(self.blocks(self.merge(merge_tiles(x))))).flatten(1, 2)


class Decoder(nn.Module):
    """Code vectors (B, 90, code_dim) to tiles (B, 18, 20, outputs). One mixer lets a cell know what far cells said.

    To what the network says of a code it adds what it has learned of that code alone: a vector at its entrance, and a picture at its end.
    """

    def __init__(self, vocab: int, dim: int, depth: int, code_dim: int, outputs: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocab, dim)
        self.picture = nn.Embedding(vocab, 4 * outputs)
        nn.init.zeros_(self.token.weight)
        nn.init.zeros_(self.picture.weight)
        self.into = nn.Linear(code_dim, dim)
        rest = (CellBlock(dim) for _ in range(depth - 1))
        self.blocks = nn.Sequential(CellBlock(dim), CellMixer(dim), *rest)
        self.norm = nn.LayerNorm(dim)
        self.split = nn.Linear(dim, 4 * dim)
        self.out = nn.Linear(dim, outputs)

    def forward(self, codes: torch.Tensor, tokens: torch.Tensor | None) -> torch.Tensor:
        """Codes (B, 90, code_dim) and their numbers `tokens` (B, 90), none where they are not of the codebook."""
        x = self.into(codes) if tokens is None else self.into(codes) + self.token(tokens)
        x = self.blocks(x.unflatten(1, (ROWS, COLUMNS)))
        said: torch.Tensor = self.out(F.gelu(split_cells(self.split(self.norm(x)))))
        return said if tokens is None else said + split_cells(self.picture(tokens).unflatten(1, (ROWS, COLUMNS)))


class Tokenizer(Pretrained):
    """Frames uint8 (B, 144, 160[, 3]) ↔ tokens long (B, 9, 10).

    Args:
        shades: 4 (the decoder classifies) or 256 (it regresses); channels: 1 or 3.
        dim: width on the 9×10 grid, and of the decoder's tiles; the encoder's tiles have half of it.
        depth: blocks of the encoder on the 9×10 grid; those of the decoder are decoder_depth (0: as many).
        vocab, code_dim, codebook, decay, commitment, dead_below, kmeans_iterations: see `Codebook`.
        encoder: context or cells, see above. One of cells has cosine codes, and is given footage by `start` before it is trained.
        unquantized: share of the steps, with an encoder of context, before the codebook comes in: by then there are features worth
            clustering. revive_until: share of the steps after which dead codes stay dead, so that the decoder knows every code.
        max_cells: different cells, at most, that `start` looks at. max_log_odds: largest that a code's picture starts with.
    """

    # What reads pixels and codes, and what says them: no matrices between two hidden layers.
    edges = ("encoder.stem", "encoder.out", "decoder.token", "decoder.picture", "decoder.into", "decoder.out")
    bf16_pays = True

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
        decoder_depth: int = 0,
        encoder: Literal["context", "cells"] = "context",
        commitment: float = 0.25,
        dead_below: float = 0.1,
        kmeans_iterations: int = 10,
        unquantized: float = 0.15,
        revive_until: float = 0.8,
        max_cells: int = 65_536,
        max_log_odds: float = 6.0,
    ) -> None:
        super().__init__(
            shades=shades, channels=channels, dim=dim, depth=depth, vocab=vocab, code_dim=code_dim, codebook=codebook,
            decay=decay, decoder_depth=decoder_depth, encoder=encoder, commitment=commitment, dead_below=dead_below,
            kmeans_iterations=kmeans_iterations, unquantized=unquantized, revive_until=revive_until, max_cells=max_cells,
            max_log_odds=max_log_odds,
        )  # fmt: skip
        self.unquantized, self.revive_until = unquantized, revive_until
        self.max_cells, self.max_log_odds = max_cells, max_log_odds
        if encoder not in ("context", "cells"):
            raise ValueError(f"encoder is {encoder!r}, expected context or cells")
        self.of_cells = encoder == "cells"
        if self.of_cells and codebook != "cosine":
            raise ValueError(f"codebook is {codebook}, expected cosine with the encoder of cells")
        self.shades, self.channels, self.vocab = shades, channels, vocab
        self.classifies = shades == 4
        self.quantizes = True
        self.encoder: Any = (
            CellEncoder(code_dim, shades, channels) if self.of_cells else Encoder(dim, depth, code_dim, shades, channels)
        )
        self.codebook = Codebook(vocab, code_dim, codebook, decay, commitment, dead_below, kmeans_iterations)
        outputs = TILE * TILE * channels * (2 if self.classifies else 1)
        self.decoder = Decoder(vocab, dim, decoder_depth or depth, code_dim, outputs)

    @torch.no_grad()
    def start(self, frames: Any) -> None:
        """Set what a tokenizer of cells does not learn by gradient, from frames uint8 (N, 144, 160[, 3]) drawn as training draws them.

        Directions by principal components, codes by k-means, each code's picture by what its cells are. Draws from torch's
        random state. A tokenizer with an encoder of context has nothing to set and is not started.
        """
        distinct, weights = distinct_cells(self._tiles(frames), self.max_cells)
        self.encoder.start(distinct, weights)
        tokens = self.codebook.cluster(self.encoder.project(distinct), weights)
        targets = torch.cat([self._targets(tile) for tile in distinct.chunk(4, dim=-1)], dim=-1)  # (N, 4·outputs)
        mean = targets.new_zeros(self.vocab, targets.shape[1]).index_add_(0, tokens, targets * weights[:, None])
        total = targets.new_zeros(self.vocab, 1).index_add_(0, tokens, weights[:, None])
        if self.classifies:  # log odds, as if each bit had been seen half a time more each way
            mean = torch.log((mean + 0.5) / (total - mean + 0.5)).clamp(-self.max_log_odds, self.max_log_odds)
        else:
            mean = mean / total.clamp(min=1.0)
        self.decoder.picture.weight.copy_(mean)
        # The network begins as nothing: it has only to learn what the pictures lack.
        nn.init.zeros_(self.decoder.out.weight)
        nn.init.zeros_(self.decoder.out.bias)

    def _tiles(self, frames: Any) -> torch.Tensor:
        return to_tiles(as_channels_last_frames(as_tensor(frames, self.device), self.channels))

    def _values(self, outputs: torch.Tensor) -> torch.Tensor:
        """Decoder outputs (B, 18, 20, ·) as tiles of shades (B, 18, 20, 64·C) uint8."""
        if self.classifies:
            light, middle = (outputs > 0).to(torch.uint8).chunk(2, dim=-1)
            return 2 * light + (light ^ middle)
        return ((outputs + 1.0) * (0.5 * (self.shades - 1))).round().clamp(0, self.shades - 1).to(torch.uint8)

    def _targets(self, tiles: torch.Tensor) -> torch.Tensor:
        """What the outputs should say of tiles (…, 64·C) of shades: float32 (…, outputs), the bits 0 or 1, or values in −1…1."""
        if self.classifies:
            return torch.cat([tiles >= 2, (tiles == 1) | (tiles == 2)], dim=-1).float()
        return tiles.float() / (0.5 * (self.shades - 1)) - 1.0

    def _error(self, outputs: torch.Tensor, tiles: torch.Tensor) -> torch.Tensor:
        """Reconstruction error of each frame (B,): cross-entropy in nats a pixel, or mean squared error in −1…1.

        Shades 0 1 2 3 are the bits (light?, middle?) 00 01 11 10: neighbors differ in one bit, and so do black and white,
        which text and outlines are made of. A pixel's cross-entropy is the sum of its bits', and costs half as much as one
        over four classes.
        """
        wanted = self._targets(tiles)
        if self.classifies:
            # Binary cross-entropy as softplus of the logit away from its bit: two thirds of the built-in's time on a CPU.
            wrong = outputs * (1.0 - 2.0 * wanted).to(outputs.dtype)
            return 2.0 * F.softplus(wrong.float()).flatten(1).mean(dim=1)
        return (outputs.float() - wanted).square().flatten(1).mean(dim=1)

    def _outputs(self, tokens: torch.Tensor) -> torch.Tensor:
        """Decoder outputs (B, 18, 20, ·) for tokens (B, 9, 10)."""
        return self.decoder(self.codebook.vectors(tokens).flatten(1, 2), tokens.flatten(1))

    @torch.no_grad()
    def encode(self, frames: Any) -> torch.Tensor:
        """Frames uint8 (B, 144, 160[, 3]) to tokens long (B, 9, 10)."""
        return self.codebook.nearest(self.encoder(self._tiles(frames))).reshape(-1, ROWS, COLUMNS)

    @torch.no_grad()
    def encode_cells(self, cells: Any) -> torch.Tensor:
        """Cells uint8 (N, 256·C), tile by tile, to tokens long (N,): a tokenizer of cells names each by itself."""
        return self.codebook.nearest(self.encoder.project(as_tensor(cells, self.device)))

    @torch.no_grad()
    def decode(self, tokens: Any) -> torch.Tensor:
        """Tokens long (B, 9, 10) to frames uint8 (B, 144, 160[, 3])."""
        frames = from_tiles(self._values(self._outputs(as_tensor(tokens, self.device))), self.channels)
        return frames[..., 0] if self.channels == 1 else frames

    @torch.no_grad()
    def reconstruction_error(self, frames: Any, tokens: torch.Tensor | None = None) -> torch.Tensor:
        """How badly each frame (B, …) is said in tokens: float32 (B,), nats a pixel (squared error for 256 shades)."""
        tokens = self.encode(frames) if tokens is None else tokens
        return self._error(self._outputs(tokens), self._tiles(frames))

    def loss(self, batch: Any) -> tuple[torch.Tensor, Metrics]:
        """Reconstruction plus commitment loss of `batch`: frames (B, 144, 160[, 3]), or (seen, wanted) frames.

        With a pair, `seen` (augmented) is encoded and `wanted` (clean) is what the decoder has to say.
        """
        seen, wanted = batch if isinstance(batch, tuple | list) else (batch, batch)
        vectors = self.encoder(self._tiles(seen))
        indices: torch.Tensor | None = None
        commitment = vectors.new_zeros(())
        if self.of_cells:
            indices = self.codebook.nearest(vectors)
            codes = self.codebook.vectors(indices)
        elif self.quantizes:
            codes, indices, commitment = self.codebook(vectors)
        else:
            codes = self.codebook.unquantized(vectors)
        outputs = self.decoder(codes, indices)
        tiles = self._tiles(wanted)
        reconstruction = self._error(outputs, tiles).mean()
        with torch.no_grad():
            metrics = {
                "reconstruction": reconstruction.detach(),
                "commitment": commitment.detach(),
                "pixel_accuracy": (self._values(outputs) == tiles).float().mean(),
            }
            if indices is not None:
                used = torch.zeros(self.vocab, device=self.device).index_fill_(0, indices.flatten(), 1.0)
                metrics["batch_codes"] = used.mean()
        return reconstruction + commitment, metrics

    def on_progress(self, done: float) -> None:
        """Told by the training loop which share of the steps is done.

        With an encoder of context the first `unquantized` of them train an autoencoder, and the codes start as clusters of what
        that has learned, not of what random weights say. Revival of dead codes ends at `revive_until`.

        Raises:
            RuntimeError: a tokenizer of cells has not been started.
        """
        if done == 0 and self.of_cells and not self.codebook.started:
            raise RuntimeError("a tokenizer of cells is trained before `start` has shown it any footage")
        self.quantizes = done >= self.unquantized or self.codebook.kind == "fsq"
        self.codebook.revive(done < self.revive_until)
