"""The dynamics model: which token grid comes next. A transformer that predicts all 90 tokens in parallel (cf. MaskGIT, 2202.04200,
with everything masked), after a context of one to eight grids, optionally told the action taken.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from emurl.models.base import Metrics, Pretrained, as_tensor
from emurl.models.layers import COLUMNS, ROWS, TokenEmbedding, TransformerBlock


class Dynamics(Pretrained):
    """Token grids (B, T, 9, 10) to logits of the next grid (B, 9, 10, vocab).

    Args:
        vocab: the tokenizer's; dim, layers, heads: the transformer; context: most frames seen (1 … 8).
        actions: how many actions the prediction may be told (0: none).
    """

    def __init__(
        self, vocab: int = 512, dim: int = 192, layers: int = 3, heads: int = 4, context: int = 1, actions: int = 0
    ) -> None:
        super().__init__(vocab=vocab, dim=dim, layers=layers, heads=heads, context=context, actions=actions)
        self.vocab, self.context = vocab, context
        self.embed = TokenEmbedding(vocab, dim, context)
        self.action = nn.Embedding(actions, dim) if actions else None
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, vocab)

    def forward(self, tokens: torch.Tensor, actions: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens long (B, T, 9, 10), newest last, and actions long (B,) if the model takes them, to (B, 9, 10, vocab)."""
        x = self.embed(tokens)
        if self.action is not None:
            if actions is None:
                raise ValueError("this dynamics model was made with actions: give the action taken")
            x = x + self.action(actions)[:, None]
        cells = ROWS * COLUMNS
        for number, block in enumerate(self.blocks, start=1):
            # Only the newest frame's positions say what comes next: the last layer computes no others.
            x = block(x, last=cells if number == len(self.blocks) else None)
        return self.out(self.norm(x[:, -cells:])).reshape(-1, ROWS, COLUMNS, self.vocab)

    def _grids(self, tokens: Any) -> torch.Tensor:
        tokens = as_tensor(tokens, self.device).long()
        return tokens[:, None] if tokens.ndim == 3 else tokens

    @torch.no_grad()
    def nll(self, tokens: Any, tokens_next: Any, actions: torch.Tensor | None = None) -> torch.Tensor:
        """Surprise at `tokens_next` (B, 9, 10) after `tokens` (B, 9, 10) or (B, T, 9, 10): float32 (B,), mean nats a token."""
        logits = self(self._grids(tokens), actions).float()
        wanted = as_tensor(tokens_next, self.device).long()
        return F.cross_entropy(logits.permute(0, 3, 1, 2), wanted, reduction="none").mean(dim=(1, 2))

    @torch.no_grad()
    def dream(self, tokens: Any, steps: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> torch.Tensor:
        """Roll the model forward from `tokens` (B, T, 9, 10): (B, steps, 9, 10), each grid drawn after the ones before.

        `temperature` 0 takes the likeliest token everywhere. Models that take actions do not dream without them.
        """
        seen = self._grids(tokens)
        dreamt = []
        for _ in range(steps):
            logits = self(seen[:, -self.context :]).float()
            if temperature > 0:
                odds = (logits / temperature).softmax(dim=-1).flatten(0, 2)
                grid = torch.multinomial(odds, 1, generator=generator).reshape(logits.shape[:3])
            else:
                grid = logits.argmax(dim=-1)
            dreamt.append(grid)
            seen = torch.cat([seen, grid[:, None]], dim=1)
        return torch.stack(dreamt, dim=1)

    def loss(self, batch: Any) -> tuple[torch.Tensor, Metrics]:
        """Cross-entropy of the last grid of `batch` after the ones before: tokens (B, T+1, 9, 10), or (tokens, actions (B,))."""
        tokens, actions = batch if isinstance(batch, tuple | list) else (batch, None)
        tokens = self._grids(tokens)
        actions = None if actions is None else as_tensor(actions, self.device).long()
        before, wanted = tokens[:, :-1], tokens[:, -1]
        logits = self(before, actions)
        loss = F.cross_entropy(logits.float().flatten(0, 2), wanted.flatten())
        with torch.no_grad():
            accuracy = (logits.argmax(dim=-1) == wanted).float().mean()
        return loss, {"accuracy": accuracy}
