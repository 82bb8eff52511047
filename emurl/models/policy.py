"""The policy: token grids in, logits of the actions and a value out. The same network is cloned from footage and trained by PPO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from emurl.models.base import Metrics, Pretrained, as_tensor, parameter_count
from emurl.models.layers import TokenEmbedding, TransformerBlock

if TYPE_CHECKING:
    from emurl.models.tokenizer import Tokenizer


class Policy(Pretrained):
    """Token grids long (B, C, 9, 10), newest last, to (logits (B, actions), value (B,)).

    A transformer over all C·90 tokens and one token of its own that gathers what the two heads read. Orthogonal
    initialization, 0.01 for the policy head, so that the first policy is near to uniform ("The 37 implementation details of
    PPO"). C may be less than `context`: fewer frames are known.

    It reads tokens, so the frame encoder and the codebook it needs are the tokenizer's, shared and not stored twice; the
    original counts them as the policy's own, and so does `agent_parameter_count`.
    """

    def __init__(
        self, vocab: int = 512, dim: int = 64, layers: int = 2, heads: int = 4, context: int = 2, actions: int = 8
    ) -> None:
        super().__init__(vocab=vocab, dim=dim, layers=layers, heads=heads, context=context, actions=actions)
        self.vocab, self.context, self.actions = vocab, context, actions
        self.embed = TokenEmbedding(vocab, dim, context)
        self.gather = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.policy_head = nn.Linear(dim, actions)
        self.value_head = nn.Linear(dim, 1)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, gain=1.0)
                nn.init.zeros_(module.bias)
        for head, gain in ((self.policy_head, 0.01), (self.value_head, 1.0)):
            nn.init.orthogonal_(head.weight, gain=gain)
            nn.init.zeros_(head.bias)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens long (B, C, 9, 10) to (logits (B, actions), value (B,))."""
        x = self.embed(tokens)
        x = torch.cat([x, self.gather.expand(len(x), -1, -1)], dim=1)
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, last=1 if number == len(self.blocks) else None)  # only the gathering token is read
        gathered = self.norm(x[:, -1])
        return self.policy_head(gathered), self.value_head(gathered).squeeze(-1)

    def loss(self, batch: Any) -> tuple[torch.Tensor, Metrics]:
        """Behavior cloning: weighted cross-entropy of (tokens (B, C, 9, 10), actions (B,), weights (B,) ≥ 0)."""
        tokens, actions, weights = (as_tensor(part, self.device) for part in batch)
        logits, _ = self(tokens.long())
        wanted, weights = actions.long(), weights.float()
        each = F.cross_entropy(logits.float(), wanted, reduction="none")
        accuracy = (logits.detach().argmax(dim=-1) == wanted).float().mean()
        return (each * weights).sum() / weights.sum().clamp(min=1e-8), {"accuracy": accuracy}


def agent_parameter_count(policy: Policy, tokenizer: Tokenizer) -> int:
    """Numbers learned between a frame and a button: the policy's, the frame encoder's and the codebook's."""
    return parameter_count(policy, tokenizer.encoder, tokenizer.codebook)
