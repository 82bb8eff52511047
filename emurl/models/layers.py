"""Building blocks the models share: console tiles in and out, transformer blocks.

Letters in comments: B batch, T frames, N tokens (90 a frame), D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

TILE = 8  # the console's own tile, and the stem's
ROWS, COLUMNS = 9, 10  # the token grid: one token a 16×16 cell
TILE_ROWS, TILE_COLUMNS = 18, 20


def as_channels_last_frames(frames: torch.Tensor, channels: int) -> torch.Tensor:
    """Frames (B, 144, 160) or (B, 144, 160, 3) as (B, 144, 160, channels), checked."""
    if channels == 1 and frames.ndim == 3:
        frames = frames[..., None]
    if frames.ndim != 4 or frames.shape[-1] != channels:
        raise ValueError(f"frames have shape {tuple(frames.shape)}, expected (B, 144, 160{', 3' if channels == 3 else ''})")
    return frames


def shade_planes(values: torch.Tensor, shades: int) -> torch.Tensor:
    """Shades (…, K) as network input (…, K·P) float32.

    Four shades become three planes each (is it 1, 2, 3? none of them means 0), 256 shades one plane from -1 to 1.
    """
    if shades > 8:
        return values.float() / (0.5 * (shades - 1)) - 1.0
    return torch.cat([values == shade for shade in range(1, shades)], dim=-1).float()


def planes(shades: int) -> int:
    """Input planes a pixel takes in `shade_planes`."""
    return 1 if shades > 8 else shades - 1


def to_tiles(frames: torch.Tensor) -> torch.Tensor:
    """Space to depth: frames (B, 144, 160, C) to tiles (B, 18, 20, 64·C), type kept."""
    b, _, _, c = frames.shape
    cut = frames.reshape(b, TILE_ROWS, TILE, TILE_COLUMNS, TILE, c).permute(0, 1, 3, 2, 4, 5)
    return cut.reshape(b, TILE_ROWS, TILE_COLUMNS, TILE * TILE * c)


def from_tiles(tiles: torch.Tensor, channels: int) -> torch.Tensor:
    """Depth to space, the inverse of `to_tiles`: (B, 18, 20, 64·C) to (B, 144, 160, C)."""
    b = tiles.shape[0]
    cut = tiles.reshape(b, TILE_ROWS, TILE_COLUMNS, TILE, TILE, channels).permute(0, 1, 3, 2, 4, 5)
    return cut.reshape(b, TILE_ROWS * TILE, TILE_COLUMNS * TILE, channels)


class TileStem(nn.Module):
    """Frames uint8 to features (B, width, 18, 20): space to depth by 8×8 and one linear map."""

    def __init__(self, width: int, shades: int, channels: int, frames: int = 1) -> None:
        super().__init__()
        self.shades, self.channels = shades, channels
        self.linear = nn.Linear(TILE * TILE * channels * frames * planes(shades), width)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames (B, 144, 160, channels·frames) uint8 to (B, width, 18, 20), channels last in memory."""
        return self.linear(shade_planes(to_tiles(frames), self.shades)).permute(0, 3, 1, 2)


def group_norm(width: int) -> nn.GroupNorm:
    """Normalization that knows no batch: what the agent's frames look like never moves the model's statistics."""
    return nn.GroupNorm(next(groups for groups in (8, 4, 2, 1) if width % groups == 0), width)


class Conv3(nn.Module):
    """A 3×3 convolution of channels-last grids, with its kernel kept as one matrix.

    As a matrix (out, 9·in) it is a thing Muon can orthogonalize; channels last it needs no copy between linear layers, and
    in bf16 it is four times as fast as in fp32 where the processor multiplies bf16 matrices.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.weight = nn.Parameter(torch.empty(outputs, 9 * inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        bound = (9 * inputs) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, inputs) to (B, H, W, outputs); the edge is padded with zeros."""
        kernel = self.weight.reshape(-1, 3, 3, self.inputs).permute(0, 3, 1, 2)
        return F.conv2d(x.permute(0, 3, 1, 2), kernel, self.bias, padding=1).permute(0, 2, 3, 1)


class CellBlock(nn.Module):
    """x + mlp(norm(x + depthwise conv3(x))) on channels-last grids (ConvNeXt, 2201.03545): what a cell learns of its neighbors.

    The MLP's second layer starts at zero. Half the products of two full 3×3 convolutions.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, width) to the same shape."""
        near = self.around(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.down(F.gelu(self.up(self.norm(x + near))))


class CellMixer(nn.Module):
    """All 90 cells look at each other, then each thinks for itself (MLP-Mixer, 2105.01601). Both parts start at zero.

    On a CPU a fifth of what attention over so few cells costs.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        cells = ROWS * COLUMNS
        self.norm_cells, self.norm_width = nn.LayerNorm(width), nn.LayerNorm(width)
        self.spread, self.gather = nn.Linear(cells, 2 * cells), nn.Linear(2 * cells, cells)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for last in (self.gather, self.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 9, 10, width) to the same shape."""
        across = self.norm_cells(x).flatten(1, 2).transpose(1, 2)  # (B, width, 90)
        x = x + self.gather(F.gelu(self.spread(across))).transpose(1, 2).reshape(x.shape)
        return x + self.down(F.gelu(self.up(self.norm_width(x))))


def merge_tiles(tiles: torch.Tensor) -> torch.Tensor:
    """Tile features (B, 18, 20, D) to cell features (B, 9, 10, 4·D): four tiles make a cell."""
    b, _, _, d = tiles.shape
    return tiles.reshape(b, ROWS, 2, COLUMNS, 2, d).permute(0, 1, 3, 2, 4, 5).reshape(b, ROWS, COLUMNS, 4 * d)


def split_cells(cells: torch.Tensor) -> torch.Tensor:
    """The inverse of `merge_tiles`: (B, 9, 10, 4·D) to (B, 18, 20, D)."""
    b, _, _, d = cells.shape
    cut = cells.reshape(b, ROWS, COLUMNS, 2, 2, d // 4).permute(0, 1, 3, 2, 4, 5)
    return cut.reshape(b, TILE_ROWS, TILE_COLUMNS, d // 4)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(q·kᵀ / √d)·v of heads (B, H, N, d). On a CPU by plain products: PyTorch's fused kernel takes four times as long in bf16."""
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v)
    heads = q.shape[:2]
    q, k, v = (part.flatten(0, 1) for part in (q, k, v))
    scores = torch.baddbmm(q.new_zeros(1), q, k.transpose(1, 2), beta=0.0, alpha=q.shape[-1] ** -0.5)
    return (scores.softmax(dim=-1) @ v).unflatten(0, heads)


class TransformerBlock(nn.Module):
    """Pre-norm self-attention without mask and a 4× MLP ("Attention is all you need", 1706.03762; pre-norm 2002.04745)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is no multiple of heads {heads}")
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: torch.Tensor, last: int | None = None) -> torch.Tensor:
        """(B, N, D) to (B, N, D); with `last`, only the last so many positions are computed and returned."""
        b, n, d = x.shape
        q, k, v = self.qkv(self.norm_attention(x)).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if last is not None:
            q, x = q[:, :, -last:], x[:, -last:]
        x = x + self.out(attend(q, k, v).transpose(1, 2).reshape(b, q.shape[2], d))
        return x + self.down(F.gelu(self.up(self.norm_mlp(x))))


class TokenEmbedding(nn.Module):
    """Token grids (B, T, 9, 10) to (B, T·90, D): token + row + column + age of the frame, and a 3×3 look at the neighbors.

    The depthwise 3×3 convolution (conditional positional encoding, 2102.10882) makes "the cell to my left" a thing one
    layer can say, which is what a scrolling map asks for.
    """

    def __init__(self, vocab: int, dim: int, context: int) -> None:
        super().__init__()
        self.context = context
        self.token = nn.Embedding(vocab, dim)
        self.row = nn.Parameter(torch.randn(ROWS, 1, dim) * 0.02)
        self.column = nn.Parameter(torch.randn(1, COLUMNS, dim) * 0.02)
        self.age = nn.Parameter(torch.randn(context, 1, 1, dim) * 0.02)  # [-1] is the newest frame
        self.neighbours = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)  # the key of weights that are already saved
        nn.init.normal_(self.token.weight, std=0.05)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens long (B, T, 9, 10), T ≤ context, newest last, to (B, T·90, D)."""
        b, t, rows, columns = tokens.shape
        if (rows, columns) != (ROWS, COLUMNS) or not 1 <= t <= self.context:
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}, expected (B, 1…{self.context}, {ROWS}, {COLUMNS})")
        x = self.token(tokens) + self.row + self.column + self.age[-t:]  # (B, T, 9, 10, D)
        d = x.shape[-1]
        grid = x.reshape(b * t, rows, columns, d).permute(0, 3, 1, 2)
        return (grid + self.neighbours(grid)).permute(0, 2, 3, 1).reshape(b, t * rows * columns, d)
