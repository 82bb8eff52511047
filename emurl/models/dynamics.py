"""The dynamics model: which token grid comes next. A transformer over the 90 cells that predicts all of them in parallel (cf.
MaskGIT, 2202.04200, with everything masked), after a context of one to eight grids, optionally conditioned on the action taken.

Two things make scrolling easy to say, which a transformer over token numbers hardly learns from little footage: it is shown
which shift explains the last move best, and its output can point at a cell nearby ("what was there comes here"; pointer
networks, 1506.03134) instead of naming a token.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from emurl.models.base import Metrics, Pretrained, as_tensor
from emurl.models.layers import COLUMNS, ROWS, Conv3, TransformerBlock


def shifts_of(reach: int) -> list[tuple[int, int]]:
    """Every shift by at most `reach` cells each way, as (down, right)."""
    return [(down, right) for down in range(-reach, reach + 1) for right in range(-reach, reach + 1)]


def around(grids: torch.Tensor, reach: int) -> torch.Tensor:
    """Token grids (B, 9, 10) to what each of `shifts_of(reach)` would bring: (B, 9, 10, S); -1 from beyond the edge."""
    wide = F.pad(grids, (reach, reach, reach, reach), value=-1)
    shifted = [
        wide[:, reach - down : reach - down + ROWS, reach - right : reach - right + COLUMNS] for down, right in shifts_of(reach)
    ]
    return torch.stack(shifted, dim=-1)


class Dynamics(Pretrained):
    """Token grids (B, T, 9, 10) to logits of the next grid (B, 9, 10, vocab).

    Args:
        vocab: the tokenizer's; dim, layers, heads: the transformer; context: most frames seen (1 … 8).
        actions: how many actions the prediction may be conditioned on (0: none). `action_dropout`: share of the training samples
            that are not told theirs, so that the model also predicts without.
        reach: cells a pointer reaches each way. narrow: width in which a cell sees its neighbors' tokens.
        short_context: share of the training batches that see the newest grid alone, as callers may show no more.
    """

    edges = ("out", "point", "moved")
    bf16_pays = True

    def __init__(
        self, vocab: int = 512, dim: int = 192, layers: int = 3, heads: int = 4, context: int = 1, actions: int = 0,
        reach: int = 2, narrow: int = 32, short_context: float = 0.2, action_dropout: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__(
            vocab=vocab, dim=dim, layers=layers, heads=heads, context=context, actions=actions, reach=reach, narrow=narrow,
            short_context=short_context, action_dropout=action_dropout,
        )  # fmt: skip
        self.vocab, self.context, self.reach = vocab, context, reach
        self.short_context, self.action_dropout = short_context, action_dropout
        shifts = len(shifts_of(reach))
        # One cell, one position: the frames seen are added up, each with an embedding of its own age. Index `vocab` is no frame.
        self.token = nn.Embedding(context * (vocab + 1), dim)
        self.narrow = nn.Embedding(vocab + 1, narrow)
        self.neighbours = Conv3(context * narrow, dim)
        self.place = nn.Parameter(torch.randn(ROWS, COLUMNS, dim) * 0.02)
        self.moved = nn.Linear(2 * shifts, dim)
        self.action = nn.Embedding(actions + 1, dim) if actions else None  # the last: not told
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, vocab)
        self.point = nn.Linear(dim, shifts + context - 1)
        nn.init.normal_(self.token.weight, std=0.05)
        for part in (self.point.weight, self.point.bias):
            nn.init.zeros_(part)

    def forward(self, tokens: torch.Tensor, actions: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens long (B, T, 9, 10), T ≤ context, newest last, to logits (B, 9, 10, vocab).

        `actions` long (B,) are those taken now, for a model that takes them; None, and -1 in it, mean that they are not known.
        """
        b, t, rows, columns = tokens.shape
        if (rows, columns) != (ROWS, COLUMNS) or not 1 <= t <= self.context:
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}, expected (B, 1…{self.context}, {ROWS}, {COLUMNS})")
        seen = torch.cat([tokens.new_full((b, self.context - t, rows, columns), self.vocab), tokens], dim=1)
        ages = torch.arange(self.context, device=tokens.device).view(-1, 1, 1) * (self.vocab + 1)
        x = self.token(seen + ages).sum(dim=1) + self.place  # (B, 9, 10, D)
        x = x + self.neighbours(self.narrow(seen).permute(0, 2, 3, 1, 4).flatten(3)) + self._motion(tokens)
        if self.action is not None:
            taken = tokens.new_full((b,), -1) if actions is None else actions
            x = x + self.action(taken % self.action.num_embeddings)[:, None, None]
        elif actions is not None:
            raise ValueError("this dynamics model was made without actions: it cannot be told any")
        x = x.flatten(1, 2)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x).unflatten(1, (ROWS, COLUMNS))
        # A pointer adds to the logit of the token it points at: what stands nearby now, and what stood here before.
        targets = torch.cat([around(tokens[:, -1], self.reach), seen[:, :-1].permute(0, 2, 3, 1)], dim=-1)
        real = (targets >= 0) & (targets < self.vocab)
        scores = torch.where(real, self.point(x).float(), 0.0)
        return self.out(x).float().scatter_add(-1, torch.where(real, targets, 0), scores)

    def _motion(self, tokens: torch.Tensor) -> torch.Tensor:
        """What is seen of the last move (B, 9, 10, D): for each shift, whether it explains this cell, and how many of all."""
        if tokens.shape[1] == 1:
            return self.moved.weight.new_zeros(())
        same = (around(tokens[:, -2], self.reach) == tokens[:, -1, ..., None]).to(self.moved.weight.dtype)
        return self.moved(torch.cat([same, same.mean(dim=(1, 2), keepdim=True).expand_as(same)], dim=-1))

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

        `temperature` 0 takes the likeliest token everywhere.
        """
        seen = self._grids(tokens)
        dreamed = []
        for _ in range(steps):
            logits = self(seen[:, -self.context :]).float()
            if temperature > 0:
                probabilities = (logits / temperature).softmax(dim=-1).flatten(0, 2)
                grid = torch.multinomial(probabilities, 1, generator=generator).reshape(logits.shape[:3])
            else:
                grid = logits.argmax(dim=-1)
            dreamed.append(grid)
            seen = torch.cat([seen, grid[:, None]], dim=1)
        return torch.stack(dreamed, dim=1)

    def loss(self, batch: Any) -> tuple[torch.Tensor, Metrics]:
        """Cross-entropy of the last grid of `batch` after the ones before: tokens (B, T+1, 9, 10), or (tokens, actions (B,)).

        In training some batches see less than all: the newest grid alone, or a part of the actions.
        """
        tokens, actions = batch if isinstance(batch, tuple | list) else (batch, None)
        tokens = self._grids(tokens)
        actions = None if actions is None else as_tensor(actions, self.device).long()
        before, wanted = tokens[:, :-1], tokens[:, -1]
        if self.training and before.shape[1] > 1 and float(torch.rand(())) < self.short_context:
            before = before[:, -1:]
        if self.training and actions is not None:
            actions = torch.where(torch.rand(len(actions)).to(self.device) < self.action_dropout, -1, actions)
        logits = self(before, actions)
        loss = F.cross_entropy(logits.float().flatten(0, 2), wanted.flatten())
        with torch.no_grad():
            accuracy = (logits.argmax(dim=-1) == wanted).float().mean()
        return loss, {"accuracy": accuracy}
