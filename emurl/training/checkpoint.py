"""One checkpoint file: every tensor of a training run, and its counters as JSON in the header. Written aside, then renamed.

One file and one rename, because two files could be of two different moments after a kill.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from emurl.core.errors import WorkError
from emurl.core.files import is_disk_full, write_atomically

Saved = Callable[[Path], None]
"""Told which file of the scratch folder is new: `Output.scratch_saved`, by which another machine can go on from it."""


def write_checkpoint(
    file: Path, parts: dict[str, Any], state: dict[str, Any], signature: dict[str, Any], saved: Saved | None = None
) -> None:
    """Write `parts` and `state` to `file`, whole or not at all, and then call `saved(file)`.

    Args:
        parts: modules, optimizers, dicts of tensors or None, by name. state: everything else, JSON-ready.
        signature: which run it is, JSON-ready; `read_checkpoint` takes no other run's.

    Raises:
        WorkError: the disk is full.
    """
    tensors: dict[str, torch.Tensor] = {}
    for part, value in parts.items():
        for key, tensor in _tensors(value).items():
            tensors[f"{part}/{key}"] = tensor.detach().cpu().contiguous().clone()
    # safetensors writes several notes in any order: without a state there is one, and the same content is the same bytes.
    notes = {"signature": json.dumps(signature, sort_keys=True)} | ({"state": json.dumps(state)} if state else {})
    try:
        with write_atomically(file, sync=True) as aside:
            save_file(tensors, aside, metadata=notes)
    except (OSError, SafetensorError) as error:
        if not is_disk_full(error):
            raise
        raise WorkError(f"{file}: the disk is full, so no checkpoint can be kept; free some and run again") from None
    if saved is not None:
        saved(file)


def read_checkpoint(file: Path, parts: dict[str, Any], signature: dict[str, Any]) -> dict[str, Any] | None:
    """Load `file` into `parts` and return its state.

    Args:
        parts: as for `write_checkpoint`; modules, optimizers and tensors are filled in place, and `parts["rng"]` is set.

    Returns:
        The state, or None if there is no such file, it is of another run (`signature`), or damaged.
    """
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
    return dict(json.loads(header.get("state", "{}")))


def dice(rng: np.random.Generator) -> dict[str, Any]:
    """The state of `rng`, JSON-ready and its own; given to `rng.bit_generator.state` it is gone on from."""
    state: dict[str, Any] = json.loads(json.dumps(rng.bit_generator.state))
    return state


def joined(parts: Iterable[bytes]) -> torch.Tensor:
    """Bytes one after the other, uint8 (N,); how long each was has to be kept beside them."""
    return torch.from_numpy(np.frombuffer(b"".join(parts), np.uint8).copy())


def parted(together: torch.Tensor, sizes: torch.Tensor) -> list[bytes]:
    """The inverse of `joined`, for parts of `sizes` (n,)."""
    data, ends = together.numpy().tobytes(), np.cumsum([0, *sizes.tolist()]).tolist()
    return [data[first:last] for first, last in itertools.pairwise(ends)]


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
