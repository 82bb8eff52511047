"""The policy with a memory: token grids in, one after the other; logits of the actions and a value out.

A game shows the same town before and after an event and asks for two different things, so one frame is not enough
(docs/log.md has what that costs). The state of a GRU is carried over a whole episode.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from emurl.models.base import Metrics, Pretrained, as_tensor
from emurl.models.layers import COLUMNS, ROWS, TransformerBlock

GridEncoderName = Literal["transformer", "cnn"]


class PooledTransformer(nn.Module):
    """Token grids (B, 9, 10) to features (B, width): neighboring cells are joined, and a transformer reads the few that are left.

    Attention over all 90 tokens costs some thirty times as much; joined by 3×2 there are 15, and one token that gathers.
    """

    JOINED = (3, 2)  # rows and columns of tokens that become one

    def __init__(self, vocab: int, token_dim: int, dim: int, layers: int, heads: int, width: int) -> None:
        super().__init__()
        rows, columns = self.JOINED
        cells = (ROWS // rows) * (COLUMNS // columns)
        self.token = nn.Embedding(vocab, token_dim)
        self.join = nn.Linear(token_dim * rows * columns, dim)
        self.place = nn.Parameter(torch.randn(1, cells, dim) * 0.02)
        self.gather = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, width)
        nn.init.normal_(self.token.weight, std=0.5)

    def forward(self, grids: torch.Tensor) -> torch.Tensor:
        """Tokens long (B, 9, 10) to (B, width)."""
        b, (rows, columns) = len(grids), self.JOINED
        x = self.token(grids).unflatten(2, (COLUMNS // columns, columns)).unflatten(1, (ROWS // rows, rows))
        x = self.join(x.permute(0, 1, 3, 2, 4, 5).reshape(b, self.place.shape[1], -1)) + self.place
        x = torch.cat([x, self.gather.expand(b, -1, -1)], dim=1)
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, last=1 if number == len(self.blocks) else None)  # only the gathering token is read
        return F.relu(self.out(self.norm(x[:, -1])))


class TokenCNN(nn.Module):
    """Token grids (B, 9, 10) to features (B, width): two 3×3 convolutions over embedded tokens."""

    def __init__(self, vocab: int, token_dim: int, dim: int, width: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocab, token_dim)
        self.near, self.far = nn.Conv2d(token_dim, dim, 3, padding=1), nn.Conv2d(dim, dim, 3, stride=2, padding=1)
        self.out = nn.Linear(dim * ((ROWS + 1) // 2) * ((COLUMNS + 1) // 2), width)
        nn.init.normal_(self.token.weight, std=0.5)

    def forward(self, grids: torch.Tensor) -> torch.Tensor:
        """Tokens long (B, 9, 10) to (B, width)."""
        x = F.relu(self.near(self.token(grids).permute(0, 3, 1, 2)))
        return F.relu(self.out(F.relu(self.far(x)).flatten(1)))


class RecurrentPolicy(Pretrained):
    """Token grids long (T, B, 9, 10), a state (B, hidden) before them, to logits (T, B, actions), values (T, B) and the state after.

    Args:
        vocab: tokens there are. encoder: `transformer` over joined cells or `cnn` over embedded tokens.
        token_dim: width of a token's embedding. dim: of the encoder. layers, heads: of the transformer.
        width: of a grid's features. hidden: of the GRU's state. actions: how many there are.
    """

    def __init__(
        self, vocab: int = 512, encoder: GridEncoderName = "transformer", token_dim: int = 32, dim: int = 128, layers: int = 1,
        heads: int = 4, width: int = 256, hidden: int = 256, actions: int = 8,
    ) -> None:  # fmt: skip
        super().__init__(
            vocab=vocab, encoder=encoder, token_dim=token_dim, dim=dim, layers=layers, heads=heads, width=width, hidden=hidden,
            actions=actions,
        )  # fmt: skip
        self.vocab, self.hidden, self.actions, self.width = vocab, hidden, actions, width
        self.encoder: nn.Module
        if encoder == "cnn":
            self.encoder = TokenCNN(vocab, token_dim, dim, width)
        else:
            self.encoder = PooledTransformer(vocab, token_dim, dim, layers, heads, width)
        self.memory = nn.GRU(width, hidden)
        # Both heads read the frame besides the memory: what to do next is mostly seen.
        self.policy_head = nn.Linear(hidden + width, actions)
        self.value_head = nn.Linear(hidden + width, 1)
        for head, gain in ((self.policy_head, 0.01), (self.value_head, 1.0)):
            nn.init.orthogonal_(head.weight, gain=gain)
            nn.init.zeros_(head.bias)

    def features(self, grids: torch.Tensor) -> torch.Tensor:
        """Tokens long (B, 9, 10) to (B, width)."""
        return torch.as_tensor(self.encoder(grids))

    def remember(
        self, features: torch.Tensor, state: torch.Tensor, restarts: dict[int, tuple[torch.Tensor, torch.Tensor]] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (T, B, width) and a state (B, hidden) to what is remembered at each step (T, B, hidden), and the state after.

        Args:
            restarts: {t: (places long (K,), states (K, hidden))}: before step t, what is remembered in these places.
        """
        cuts = sorted(restarts or {})
        parts = []
        for begin, end in zip([0, *(t for t in cuts if t)], [*(t for t in cuts if t), len(features)], strict=True):
            if restarts is not None and begin in restarts:
                places, states = restarts[begin]
                state = state.index_copy(0, places, states)
            part, last = self.memory(features[begin:end], state[None])
            parts.append(part)
            state = last[0]
        return torch.cat(parts), state

    def heads(self, remembered: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(…, hidden) and (…, width) to logits (…, actions) and values (…,)."""
        both = torch.cat([remembered, features], dim=-1)
        return self.policy_head(both), self.value_head(both).squeeze(-1)

    def forward(
        self, grids: torch.Tensor, state: torch.Tensor, restarts: dict[int, tuple[torch.Tensor, torch.Tensor]] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens long (T, B, 9, 10) and a state (B, hidden) to logits (T, B, actions), values (T, B) and the state after.

        A grid that comes again is encoded once.
        """
        t, b = grids.shape[:2]
        flat, back = torch.unique(grids.flatten(0, 1).flatten(1), dim=0, return_inverse=True)
        features = self.features(flat.reshape(-1, *grids.shape[2:]))[back].reshape(t, b, -1)
        remembered, state = self.remember(features, state, restarts)
        return *self.heads(remembered, features), state

    def loss(self, batch: Any) -> tuple[torch.Tensor, Metrics]:
        """Behavior cloning of sequences: weighted cross-entropy of (tokens (T, B, 9, 10), actions (T, B), weights (T, B) ≥ 0, state).

        `state`, float32 (B, hidden), is what was remembered before; what is remembered afterwards is written into it, so that the
        next batch goes on from there (truncated backpropagation through time).
        """
        tokens, actions, weights = (as_tensor(part, self.device) for part in batch[:3])
        state = batch[3]
        logits, _, after = self(tokens.long(), as_tensor(state, self.device).clone())
        state.copy_(after.detach())
        wanted, weights = actions.long(), weights.float()
        each = F.cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), reduction="none").reshape(wanted.shape)
        right = (logits.detach().argmax(dim=-1) == wanted).float()
        total = weights.sum().clamp(min=1e-8)
        return (each * weights).sum() / total, {"accuracy": (right * weights).sum() / total}
