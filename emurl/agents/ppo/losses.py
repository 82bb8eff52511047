"""The losses of PPO (1707.06347)."""

from __future__ import annotations

import torch


def clipped_surrogate(ratio: torch.Tensor, advantages: torch.Tensor, clip: float) -> torch.Tensor:
    """The pessimistic policy loss, mean of −min(ratio·A, clip(ratio)·A), of (M,) each."""
    return -torch.min(ratio * advantages, ratio.clamp(1.0 - clip, 1.0 + clip) * advantages).mean()


def clipped_value_loss(values: torch.Tensor, old: torch.Tensor, returns: torch.Tensor, clip: float | None) -> torch.Tensor:
    """Half the mean of the larger of the squared errors of `values` and of `values` kept within ±clip of `old`; (M,) each.

    Without a `clip`, half the mean squared error.
    """
    if clip is None:
        return 0.5 * (values - returns).square().mean()
    kept = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.max((values - returns).square(), (kept - returns).square()).mean()
