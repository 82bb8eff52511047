"""The reward model: how far into the game a frame is, learned from nothing but which of two frames came later."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from emurl.models.base import Metrics, Pretrained, as_tensor
from emurl.models.resnet import ResNet


class RewardModel(Pretrained):
    """Frames uint8 (B, 144, 160[, 3]) to progress Φ (B,).

    Trained by Bradley–Terry (Bradley & Terry 1952): P(b later than a) = σ(s(b) − s(a)) for raw scores s. What `forward` gives
    is Φ = (s − offset) · scale; `calibrate` sets both so that Φ reads in seconds of a speedrun, as far as the raw score
    is linear in time. Before that Φ = s.

    Args:
        arch: small | resnet18 | resnet34; shades, channels: of the frames; dropout: on the pooled features, in training.
    """

    offset: torch.Tensor
    scale: torch.Tensor

    def __init__(self, arch: str = "small", shades: int = 4, channels: int = 1, dropout: float = 0.1) -> None:
        super().__init__(arch=arch, shades=shades, channels=channels, dropout=dropout)
        self.trunk = ResNet(arch, shades, channels)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.trunk.width, 1, bias=False)  # pairs say nothing of a constant: `calibrate` sets it
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def raw(self, frames: Any) -> torch.Tensor:
        """The uncalibrated score s of frames uint8 (B, 144, 160[, 3]): (B,), in Bradley–Terry logits."""
        return self.head(self.dropout(self.trunk(as_tensor(frames, self.device)))).squeeze(-1)

    def forward(self, frames: Any) -> torch.Tensor:
        """Progress Φ of frames uint8 (B, 144, 160[, 3]): (B,) float32."""
        return (self.raw(frames) - self.offset) * self.scale

    def calibrate(self, scores: torch.Tensor, seconds: torch.Tensor) -> None:
        """Set scale and offset so that Φ best says `seconds` (N,) from the raw `scores` (N,): least squares of s on t.

        The slope of s on t, not of t on s, is inverted: noise in s must not shrink Φ. A model that found no trend keeps
        scale 1.
        """
        scores, seconds = scores.double(), seconds.double()
        centered = seconds - seconds.mean()
        slope = (centered * (scores - scores.mean())).sum() / centered.square().sum().clamp(min=1e-12)
        if slope > 1e-6:
            self.scale.fill_(float(1.0 / slope))
            self.offset.fill_(float(scores.mean() - slope * seconds.mean()))

    def loss(self, batch: Any) -> tuple[torch.Tensor, Metrics]:
        """Bradley–Terry loss of (earlier, later), frames uint8 (B, …) each: −log σ(s(later) − s(earlier)), mean."""
        earlier, later = (as_tensor(frames, self.device) for frames in batch[:2])
        scores = self.raw(torch.cat([earlier, later]))
        ahead = scores[len(earlier) :] - scores[: len(earlier)]
        return bradley_terry(ahead), {"pairwise_accuracy": (ahead.detach() > 0).float().mean()}


def bradley_terry(ahead: torch.Tensor) -> torch.Tensor:
    """Mean −log σ(d) of the leads d (B,) of the truly later frames; its gradient in d is −σ(−d)/B."""
    return -F.logsigmoid(ahead.float()).mean()
