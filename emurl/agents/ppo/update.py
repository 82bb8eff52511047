"""One PPO update (1707.06347), with the details that matter ("The 37 implementation details of PPO") and a leash to the clone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from emurl.models.policy import Policy

VALUE_WEIGHT = 0.5
GRADIENT_NORM = 0.5
TARGET_KL = 0.02
"""An update stops where a minibatch is 1.5 times this approximate KL from the policy that gathered the experience."""


@dataclass
class Experience:
    """M steps, flat: what a rollout becomes before it is learned from. `returns` = advantages + values, on the reward's scale."""

    contexts: np.ndarray  # int16 (M, C, 9, 10)
    actions: np.ndarray  # int64 (M,)
    log_probs: np.ndarray  # float32 (M,): of the actions, when they were taken
    values: np.ndarray  # float32 (M,): predicted then
    advantages: np.ndarray  # float32 (M,)
    returns: np.ndarray  # float32 (M,)
    clone: np.ndarray | None = None  # float32 (M, A): log-probabilities of the cloned policy; None without a leash


@dataclass(frozen=True)
class Knobs:
    """How far an update goes: see `PolicySettings`."""

    epochs: int
    minibatch: int
    clip: float
    entropy: float
    leash: float
    learning_rate: float
    values_only: bool = False  # learn the value head alone: the policy stays as it is, to the last bit


def clipped_surrogate(ratio: torch.Tensor, advantages: torch.Tensor, clip: float) -> torch.Tensor:
    """The pessimistic policy loss, mean of −min(ratio·A, clip(ratio)·A), of (M,) each."""
    return -torch.min(ratio * advantages, ratio.clamp(1.0 - clip, 1.0 + clip) * advantages).mean()


def clipped_value_loss(values: torch.Tensor, old: torch.Tensor, returns: torch.Tensor, clip: float) -> torch.Tensor:
    """Half the mean of the larger of the squared errors of `values` and of `values` kept within ±clip of `old`; (M,) each."""
    kept = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.max((values - returns).square(), (kept - returns).square()).mean()


def kl_divergence(logs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Mean KL(p ‖ q) in nats of log-probabilities (M, A) each."""
    return (logs.exp() * (logs - others)).sum(dim=-1).mean()


def make_optimizer(policy: Policy, learning_rate: float) -> torch.optim.Adam:
    """Adam with ε 1e-5."""
    return torch.optim.Adam(policy.parameters(), lr=learning_rate, eps=1e-5)


def update(
    policy: Policy, optimizer: torch.optim.Optimizer, experience: Experience, knobs: Knobs, rng: np.random.Generator
) -> dict[str, float]:
    """Learn from one rollout; returns policy_loss, value_loss, entropy (nats), approx_kl, clipfrac, leash_kl, gradient_norm.

    Means over the minibatches used; `epochs` says how many passes were made before the KL limit stopped them. Advantages are
    normalized within a minibatch. With `values_only` only `policy.value_head` moves.
    """
    device = next(policy.parameters()).device
    moving = list(policy.value_head.parameters() if knobs.values_only else policy.parameters())
    for group in optimizer.param_groups:
        group["lr"] = knobs.learning_rate
    sums: dict[str, float] = {}
    passes = batches = 0
    far = False  # from the policy that gathered the experience
    while passes < knobs.epochs and not far:
        passes += 1
        order = rng.permutation(len(experience.actions))
        for at in range(0, len(order), knobs.minibatch):
            loss, seen = _losses(policy, experience, order[at : at + knobs.minibatch], knobs, device)
            far = seen["approx_kl"] > 1.5 * TARGET_KL
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if knobs.values_only:
                _forget_other_gradients(policy, moving)
            seen["gradient_norm"] = float(nn.utils.clip_grad_norm_(moving, GRADIENT_NORM))
            for name, value in seen.items():
                sums[name] = sums.get(name, 0.0) + value
            batches += 1
            if far:
                break  # without this step
            optimizer.step()
    return {name: value / batches for name, value in sums.items()} | {"epochs": float(passes)}


def _losses(
    policy: Policy, experience: Experience, chunk: np.ndarray, knobs: Knobs, device: torch.device
) -> tuple[torch.Tensor, dict[str, float]]:
    def on_device(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array[chunk]).to(device)

    logits, values = policy(on_device(experience.contexts).long())
    logs = torch.log_softmax(logits.float(), dim=-1)
    log_ratio = logs.gather(1, on_device(experience.actions)[:, None])[:, 0] - on_device(experience.log_probs)
    ratio = log_ratio.exp()
    advantages = on_device(experience.advantages)
    advantages = (advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-8)
    value_loss = clipped_value_loss(values.float(), on_device(experience.values), on_device(experience.returns), knobs.clip)
    policy_loss = clipped_surrogate(ratio, advantages, knobs.clip)
    entropy = -(logs.exp() * logs).sum(dim=-1).mean()
    loss = VALUE_WEIGHT * value_loss + policy_loss - knobs.entropy * entropy
    seen = {
        "policy_loss": float(policy_loss.detach()),
        "value_loss": float(value_loss.detach()),
        "entropy": float(entropy.detach()),
        "approx_kl": float(((ratio - 1.0) - log_ratio).mean().detach()),  # Schulman's estimator: never below 0
        "clipfrac": float(((ratio - 1.0).abs() > knobs.clip).float().mean().detach()),
    }
    if experience.clone is not None:
        leash = kl_divergence(logs, on_device(experience.clone))
        loss = loss + knobs.leash * leash
        seen["leash_kl"] = float(leash.detach())
    return loss, seen


def _forget_other_gradients(policy: Policy, moving: list[nn.Parameter]) -> None:
    kept = {id(parameter) for parameter in moving}
    for parameter in policy.parameters():
        if id(parameter) not in kept:
            parameter.grad = None
