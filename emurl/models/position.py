"""The position model: where on the course that all runs share a frame may have been taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from emurl.models.base import Metrics, Pretrained, as_tensor
from emurl.models.recurrent_policy import TokenCNN

BATCH = 512  # grids looked at at once


class PositionModel(Pretrained):
    """Token grids long (B, 9, 10) to logits over the K positions of the course (B, K).

    A classifier, and so its answers are ambiguous where the game is: a town that is crossed twice gets two peaks. Which of them is
    meant is for whoever knows what came before (`emurl.rewards.splits`).

    Args:
        vocab: tokens there are. positions: K. token_dim: width of a token's embedding. dim: of the first
            convolution. width: of a grid's features.
        smoothing: share of the label that is spread over all positions in training.
    """

    log_prior: torch.Tensor

    def __init__(
        self, vocab: int = 512, positions: int = 128, token_dim: int = 32, dim: int = 32, width: int = 128, smoothing: float = 0.05
    ) -> None:  # fmt: skip
        super().__init__(
            vocab=vocab, positions=positions, token_dim=token_dim, dim=dim, width=width, smoothing=smoothing
        )  # fmt: skip
        self.vocab, self.positions, self.smoothing = vocab, positions, smoothing
        self.encoder = TokenCNN(vocab, token_dim, dim, width)
        self.head = nn.Linear(width, positions)
        self.register_buffer("log_prior", torch.full((positions,), -float(torch.tensor(positions).log())))

    def forward(self, grids: Any) -> torch.Tensor:
        """Tokens long (B, 9, 10) to logits (B, K)."""
        return self.head(self.encoder(as_tensor(grids, self.device).long()))

    def log_ratio(self, grids: Any) -> torch.Tensor:
        """How much likelier than on average each grid is at each position, log p(k | grid) − log p(k) less the mean's: (B, K).

        The emission of a hidden Markov model whose states are positions, up to a factor a grid (a scaled likelihood, Bourlard
        & Morgan 1994). 0: as likely there as anywhere.
        """
        ratio = torch.log_softmax(self(grids).float(), dim=-1) - self.log_prior
        return ratio - torch.logsumexp(ratio, dim=-1, keepdim=True) + torch.tensor(float(self.positions)).log()

    @torch.no_grad()
    def log_ratios(self, grids: np.ndarray) -> np.ndarray:
        """`log_ratio` of grids (N, 9, 10), float64 (N, K); a grid that comes again is looked at once."""
        flat, back = np.unique(grids.reshape(len(grids), -1), axis=0, return_inverse=True)
        flat = flat.reshape(-1, *grids.shape[1:]).astype(np.int64)
        parts = [self.log_ratio(flat[at : at + BATCH]).double().cpu().numpy() for at in range(0, len(flat), BATCH)]
        return np.asarray(np.concatenate(parts)[back.reshape(-1)])

    def set_prior(self, counts: torch.Tensor) -> None:
        """Say how many of the frames it learned from are at each position, (K,) > 0."""
        self.log_prior.copy_((counts.double() / counts.double().sum()).log())

    def loss(self, batch: Any) -> tuple[torch.Tensor, Metrics]:
        """Cross-entropy of (tokens (B, 9, 10), positions long (B,))."""
        logits = self(batch[0]).float()
        wanted = as_tensor(batch[1], self.device).long()
        accuracy = (logits.detach().argmax(dim=-1) == wanted).float().mean()
        return F.cross_entropy(logits, wanted, label_smoothing=self.smoothing), {"accuracy": accuracy}
