"""Residual networks for one-channel frames (He et al., 1512.03385), in the 18- and 34-layer layouts and a small cheap one.

Normalization is by groups (1803.08494), not by batch: the same frame gets the same score whatever stands beside it, in training and in play.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from emurl.models.layers import TileStem, as_channels_last_frames, group_norm

LAYOUTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {  # arch: widths, blocks
    "small": ((32, 64, 128), (1, 1, 1)),
    "resnet18": ((64, 128, 256, 512), (2, 2, 2, 2)),
    "resnet34": ((64, 128, 256, 512), (3, 4, 6, 3)),
}


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; `stride` halves the picture in the first."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.norm1 = group_norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = group_norm(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), group_norm(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) to (B, width, H/stride, W/stride)."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class FrameStem(nn.Module):
    """The published stem: 7×7 convolution and max-pooling, frames (B, 144, 160, C) to (B, width, 36, 40)."""

    def __init__(self, width: int, shades: int, channels: int) -> None:
        super().__init__()
        self.middle = 0.5 * (shades - 1)
        self.conv = nn.Conv2d(channels, width, 7, 2, 3, bias=False)
        self.norm = group_norm(width)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        x = (frames.float() / self.middle - 1.0).permute(0, 3, 1, 2)
        return F.max_pool2d(F.relu(self.norm(self.conv(x))), 3, 2, 1)


class ResNet(nn.Module):
    """Frames uint8 (B, 144, 160[, 3]) to pooled features (B, `.width`).

    `arch` "small" has the 8×8 tile stem, so that two cores can train it in a minute; the others have the published one.
    """

    def __init__(self, arch: str, shades: int, channels: int) -> None:
        super().__init__()
        if arch not in LAYOUTS:
            raise ValueError(f"arch is {arch!r}, expected one of {', '.join(LAYOUTS)}")
        widths, blocks = LAYOUTS[arch]
        self.channels = channels
        stem = TileStem if arch == "small" else FrameStem
        self.stem = stem(widths[0], shades, channels)
        layers: list[nn.Module] = []
        inputs = widths[0]
        for level, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for number in range(count):
                layers.append(BasicBlock(inputs, width, 2 if level and not number else 1))
                inputs = width
        self.blocks = nn.Sequential(*layers)
        self.width = inputs

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.stem(as_channels_last_frames(frames, self.channels)))
        return x.mean(dim=(2, 3))
