"""How weights are moved: who trains which of them, how fast at which step, and in which precision it pays to compute."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from emurl.models.base import Pretrained
from emurl.models.layers import Conv3


def learning_rate_at(step: int, steps: int, peak: float, warmup: int) -> float:
    """Linear warm-up over `warmup` steps, then half a cosine down to 2 % of `peak` at `steps`."""
    warmup = min(warmup, max(1, steps // 4))  # a run cut short still reaches its peak
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done))))


def make_optimisers(model: Pretrained, kind: str, learning_rate: float, weight_decay: float) -> dict[str, torch.optim.Optimizer]:
    """The optimisers of `model` by name. Matrices and kernels decay; biases, gains and position vectors do not.

    `muon` takes the weight matrices of linear layers and `Conv3` that are not `model.edges`; its updates have the size of AdamW's
    (`match_rms_adamw`), so that one learning rate serves both.
    """
    hidden: list[nn.Parameter] = []
    if kind == "muon":
        layers = (module for name, module in model.named_modules() if not name.startswith(model.edges or ("/",)))
        hidden = [layer.weight for layer in layers if isinstance(layer, nn.Linear | Conv3)]
    taken = {id(parameter) for parameter in hidden}
    rest = [parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    made: dict[str, torch.optim.Optimizer] = {"optimiser": torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95))}
    if hidden:
        made["muon"] = torch.optim.Muon(hidden, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
    return made


def bf16_is_quicker(model: Pretrained, device: torch.device) -> bool:
    """Always on CUDA; on a CPU for models made of large matrix products, where it has instructions for them."""
    if device.type != "cpu":
        return device.type == "cuda"
    able: Any = getattr(torch.cpu, "get_capabilities", dict)()
    return model.bf16_pays and bool(able.get("amx_bf16") or able.get("avx512_bf16"))
