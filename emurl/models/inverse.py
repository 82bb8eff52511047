"""The inverse dynamics model: which button turned one frame into the next (BCO, 1805.01954; VPT, 2206.11795)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from emurl.models.base import Metrics, Pretrained, as_tensor
from emurl.models.layers import TILE, TILE_COLUMNS, TILE_ROWS, as_channels_last_frames, planes, shade_planes, to_tiles
from emurl.models.resnet import BasicBlock
from emurl.screen import CELL

REACH = CELL  # pixels: one walking step
MOVES = (
    (0, 0),
    *((sign * step * down, sign * step * (1 - down)) for down in (1, 0) for sign in (1, -1) for step in (4, 8, 12, 16)),
)
EACH_BYTE = 0x0101010101010101  # a product with it has the sum of a number's eight bytes as its highest


def explained(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Share of each 8×8 tile of `after` that `before` shows when moved by each of `MOVES` (down, right): (B, 18, 20, 17).

    Frames uint8 (B, 144, 160, C). What a move uncovers counts as not explained.
    """
    count, height, width, channels = after.shape
    padded = F.pad(before, (0, 0, REACH, REACH, REACH, REACH), value=255)
    shares = torch.empty(count, TILE_ROWS, TILE_COLUMNS, len(MOVES), device=after.device)
    for number, (down, right) in enumerate(MOVES):
        moved = padded[:, REACH - down : REACH - down + height, REACH - right : REACH - right + width]
        # Eight pixels that are equal or not are eight bytes, and are added up as one number: a ninth of the time that floats take.
        rows = (moved == after).reshape(count, height, -1).contiguous().view(torch.uint8).view(torch.int64)
        sums = rows.reshape(count, TILE_ROWS, TILE, TILE_COLUMNS, channels).sum(dim=(2, 4))
        shares[..., number] = ((sums * EACH_BYTE) >> 56) & 0xFF  # the sum of the eight bytes: at most 192
    return shares / (TILE * TILE * channels)


class InverseModel(Pretrained):
    """Two frames uint8 (B, 2, 144, 160[, 3]) one action apart to logits over the buttons (B, actions).

    Two looks at 8×8 tiles are added up. The *motion*: how well each tile is explained by the first frame moved by so many pixels (a
    correlation layer as in FlowNet, 1504.06852), here and over the whole screen. The *picture*: both frames' shades and where they
    differ. A walk scrolls the screen whatever is drawn on it, so motion holds where play never went; in training some of
    the pictures are left out, or the model would learn places instead. Then residual convolutions and a flattened
    5×5 grid, because where something changed matters (a text box is at the bottom, the player in the middle).

    Beside it the *change*: both frames' shades in the tiles that differ, and nothing else, through two convolutions, pooled over those
    tiles. A menu's cursor is two tiles of 360, lost among all the others; here it is all there is, wherever the menu stands.

    Args:
        actions: how many buttons there are; shades, channels: of the frames; dim: width of the first convolutions.
        dropout: on the features the head reads. picture_dropout: share of the training samples whose picture is left out.
    """

    def __init__(
        self,
        actions: int = 8,
        shades: int = 4,
        channels: int = 1,
        dim: int = 32,
        dropout: float = 0.1,
        picture_dropout: float = 0.5,
    ) -> None:
        super().__init__(
            actions=actions, shades=shades, channels=channels, dim=dim, dropout=dropout, picture_dropout=picture_dropout
        )
        self.shades, self.channels, self.picture_dropout = shades, channels, picture_dropout
        self.motion = nn.Linear(2 * len(MOVES), dim)
        self.picture = nn.Linear(TILE * TILE * channels * (2 * planes(shades) + 1), dim)
        self.blocks = nn.Sequential(
            BasicBlock(dim, dim), BasicBlock(dim, 2 * dim, 2), BasicBlock(2 * dim, 2 * dim, 2)
        )  # (B, 2·dim, 5, 5)
        self.change = nn.Linear(TILE * TILE * channels * 2 * planes(shades), dim)
        self.around = nn.Sequential(nn.Conv2d(dim, dim, 5, 1, 2), nn.ReLU(), nn.Conv2d(dim, 2 * dim, 3, 1, 1), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * dim * 25 + 2 * 2 * dim, actions)

    def forward(self, frames: Any) -> torch.Tensor:
        """Frames uint8 (B, 2, 144, 160[, 3]) to logits (B, actions)."""
        frames = as_tensor(frames, self.device)
        whole = [as_channels_last_frames(frames[:, i], self.channels) for i in (0, 1)]
        here = explained(*whole)  # (B, 18, 20, moves)
        screen = here.mean(dim=(1, 2), keepdim=True)
        behind = (8.0 * (screen - screen.amax(dim=-1, keepdim=True))).clamp(min=-2.0)  # 0 for the move that fits best
        motion = torch.cat([2.0 * (here - here.mean(dim=-1, keepdim=True)), behind.expand_as(here)], dim=-1)
        before, after = (to_tiles(frame) for frame in whole)
        shades = torch.cat([shade_planes(before, self.shades), shade_planes(after, self.shades)], dim=-1)
        picture = self.picture(torch.cat([shades, (before != after).float()], dim=-1))
        if self.training:
            kept = torch.rand(len(picture), 1, 1, 1, device=picture.device) < 1.0 - self.picture_dropout
            picture = picture * kept
        x = self.blocks((self.motion(motion) + picture).permute(0, 3, 1, 2))
        differs = (before != after).any(dim=-1, keepdim=True).float()
        change = self.around((self.change(shades) * differs).permute(0, 3, 1, 2)) * differs.permute(0, 3, 1, 2)
        mean = change.sum(dim=(2, 3)) / differs.sum(dim=(1, 2)).clamp(min=1.0)
        return self.head(self.dropout(torch.cat([x.flatten(1), mean, change.amax(dim=(2, 3))], dim=-1)))

    def loss(self, batch: Any) -> tuple[torch.Tensor, Metrics]:
        """Cross-entropy of (frames uint8 (B, 2, 144, 160[, 3]), actions long (B,)[, weights (B,)])."""
        frames, actions, *weights = batch
        logits = self(frames).float()
        wanted = as_tensor(actions, self.device).long()
        each = F.cross_entropy(logits, wanted, reduction="none")
        share = as_tensor(weights[0], self.device).float() if weights else torch.ones_like(each)
        accuracy = (logits.detach().argmax(dim=-1) == wanted).float().mean()
        return (each * share).sum() / share.sum().clamp(min=1e-8), {"accuracy": accuracy}
