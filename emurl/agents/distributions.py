"""Categorical distributions over the actions that are allowed: log-probabilities, entropy, samples."""

from __future__ import annotations

import numpy as np
import torch


def masked_log_probs(logits: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Log-probabilities of logits (…, A); −inf where `mask`, bool (…, A), is False.

    A masked logit gets no gradient, and the others are normalized among themselves, as in "A Closer Look at Invalid Action Masking"
    (2006.14171). Every row must allow at least one action.
    """
    if mask is None:
        return torch.log_softmax(logits, dim=-1)
    return torch.log_softmax(logits.masked_fill(~mask, -torch.inf), dim=-1)


def entropy(log_probs: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Entropy in nats (…,) of log-probabilities (…, A); an action that is not allowed adds nothing, and no NaN to a gradient."""
    if mask is None:
        return -(log_probs.exp() * log_probs).sum(dim=-1)
    return -(log_probs.exp() * log_probs.masked_fill(~mask, 0.0)).sum(dim=-1)


def kl_divergence(log_probs: torch.Tensor, others: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Mean KL(p ‖ q) in nats of log-probabilities (M, A) each, over the actions that are allowed."""
    if mask is None:
        return (log_probs.exp() * (log_probs - others)).sum(dim=-1).mean()
    difference = log_probs.masked_fill(~mask, 0.0) - others.masked_fill(~mask, 0.0)
    return (log_probs.exp() * difference).sum(dim=-1).mean()


def sample(log_probs: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Actions (B,) drawn from log-probabilities (B, A) by the Gumbel-max trick; `noise` (B, A) is standard Gumbel."""
    return np.argmax(log_probs + noise, axis=-1)
