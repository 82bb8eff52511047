"""One checkpoint file: every tensor of a training run, and its counters as JSON in the header. Written aside, then renamed.

One file and one rename, because two files could be of two different moments after a kill.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn


def write_checkpoint(file: Path, parts: dict[str, Any], state: dict[str, Any], signature: dict[str, Any]) -> None:
    """Write `parts` (modules, an optimizer, dicts of tensors, None) and `state` to `file`, whole or not at all."""
    tensors: dict[str, torch.Tensor] = {}
    for part, value in parts.items():
        for key, tensor in _tensors(value).items():
            tensors[f"{part}/{key}"] = tensor.detach().cpu().contiguous().clone()
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.part")
    save_file(tensors, aside, metadata={"state": json.dumps(state), "signature": json.dumps(signature, sort_keys=True)})
    with aside.open("rb") as written:
        os.fsync(written.fileno())
    os.replace(aside, file)


def read_checkpoint(file: Path, parts: dict[str, Any], signature: dict[str, Any]) -> dict[str, Any] | None:
    """Load `file` into `parts` and return its state; None if there is none, or it is of another run, or damaged."""
    try:
        with safe_open(str(file), framework="pt") as opened:
            header = opened.metadata()
            if header["signature"] != json.dumps(signature, sort_keys=True):
                return None
            groups: dict[str, dict[str, torch.Tensor]] = {}
            for name in opened.keys():  # noqa: SIM118  (not a mapping)
                part, key = name.split("/", 1)
                groups.setdefault(part, {})[key] = opened.get_tensor(name)
    except (FileNotFoundError, SafetensorError, KeyError, TypeError, OSError):
        return None
    for part, value in parts.items():
        found = groups.get(part, {})
        if isinstance(value, nn.Module):
            value.load_state_dict(found)
        elif isinstance(value, torch.optim.Optimizer):
            _load_optimizer(value, found)
        elif isinstance(value, dict):
            for key, tensor in found.items():
                value[key] = tensor.to(value[key].device) if key in value else tensor
    if "rng" in groups:
        parts["rng"] = groups["rng"]
    return dict(json.loads(header["state"]))


def _tensors(value: Any) -> dict[str, torch.Tensor]:
    if isinstance(value, nn.Module):
        return dict(value.state_dict())
    if isinstance(value, torch.optim.Optimizer):
        return {
            f"{number}/{key}": torch.as_tensor(tensor)
            for number, slots in value.state_dict()["state"].items()
            for key, tensor in slots.items()
        }
    return dict(value or {})


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split("/", 1)
        slots.setdefault(int(number), {})[key] = tensor
    # The groups (learning rate, decay) are the new optimizer's own: the loop sets them at every step.
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
