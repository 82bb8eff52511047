"""How weights are moved: who trains which of them, how fast at which step, and in which precision it pays to compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from emurl.models.base import Pretrained
from emurl.models.layers import Conv3
from emurl.training.settings import MuonSettings, OptimizerSettings, ScheduleSettings

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan's quintic: steep at zero, and near one close enough
SCHEDULE = ScheduleSettings()


def learning_rate_at(step: int, steps: int, peak: float, warmup: int, schedule: ScheduleSettings = SCHEDULE) -> float:
    """Linear warm-up over `warmup` steps, then half a cosine down to `schedule.min_lr_ratio` of `peak` at `steps`."""
    warmup = min(warmup, max(1, int(steps * schedule.max_warmup_share)))
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    rest = schedule.min_lr_ratio
    return peak * (rest + (1.0 - rest) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done))))


def orthogonalized(matrices: torch.Tensor, iterations: int) -> torch.Tensor:
    """Matrices (K, n, m) with all their singular values brought near one (0.7 … 1.2), by Newton–Schulz iteration.

    Each iteration multiplies by a polynomial of the Gram matrix, and polynomials of one matrix commute: they can be multiplied up as
    small n×n matrices, and the large one is touched twice instead of twice a step.
    """
    if matrices.shape[-2] > matrices.shape[-1]:
        return orthogonalized(matrices.mT, iterations).mT
    scaled = matrices / matrices.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    gram = scaled @ scaled.mT
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    whole = identity
    a, b, c = NEWTON_SCHULZ
    for _ in range(iterations):
        polynomial = a * identity + b * gram + c * (gram @ gram)
        whole = polynomial @ whole
        gram = polynomial @ gram @ polynomial
    return whole @ scaled


class Muon(torch.optim.Optimizer):
    """Muon (Jordan 2024; scaled to the size of AdamW's updates, 2502.16982): momentum, orthogonalized. For matrices only.

    `torch.optim.Muon` iterates in bf16, matrix by matrix: where a processor has no instructions for bf16 it takes four fifths of a
    training step. This one stays in fp32 and takes matrices of one shape together.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float, settings: MuonSettings) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": settings.momentum})
        self.settings = settings

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape.setdefault(matrix.shape, []).append(matrix)
            for shape, matrices in by_shape.items():
                directions = []
                for matrix in matrices:
                    slots = self.state[matrix]
                    if "momentum_buffer" not in slots:
                        slots["momentum_buffer"] = torch.zeros_like(matrix)
                    gradient, mean = matrix.grad, slots["momentum_buffer"]
                    assert gradient is not None
                    mean.lerp_(gradient, 1.0 - group["momentum"])
                    directions.append(gradient.lerp(mean, group["momentum"]))  # Nesterov's
                rate = self.settings.update_rms * math.sqrt(max(shape)) * group["lr"]
                moves = orthogonalized(torch.stack(directions), self.settings.iterations)
                for matrix, direction in zip(matrices, moves, strict=True):
                    matrix.mul_(1.0 - group["lr"] * group["weight_decay"]).sub_(rate * direction)


def make_optimizers(model: Pretrained, settings: OptimizerSettings) -> dict[str, torch.optim.Optimizer]:
    """The optimizers of `model` by name. Matrices and kernels decay; biases, gains and position vectors do not.

    With `optimizer: muon` the weight matrices of linear layers and `Conv3` that are not `model.edges` are Muon's; its updates have the
    size of AdamW's, so that one learning rate serves both.
    """
    hidden: list[Any] = []
    if settings.optimizer == "muon":
        for name, layer in model.named_modules():
            if isinstance(layer, nn.Linear | Conv3) and not name.startswith(model.edges or ("/",)):
                hidden.append(layer.weight)
    taken = {id(parameter) for parameter in hidden}
    rest = [parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    adam = settings.adam
    made: dict[str, torch.optim.Optimizer] = {
        "optimizer": torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(adam.beta1, adam.beta2), eps=adam.eps)
    }
    if hidden:
        made["muon"] = Muon(hidden, settings.learning_rate, settings.weight_decay, settings.muon)
    return made


def bf16_is_quicker(model: Pretrained, device: torch.device) -> bool:
    """Always on CUDA; on a CPU for models made of large matrix products, where it has instructions for them."""
    if device.type != "cpu":
        return device.type == "cuda"
    able: Any = getattr(torch.cpu, "get_capabilities", dict)()
    return model.bf16_pays and bool(able.get("amx_bf16") or able.get("avx512_bf16"))
