"""What every model is: a module that saves and loads itself, weights and constructor arguments in one folder.

    <folder>/model.safetensors   every parameter and buffer
    <folder>/config.json         {"class": name, "config": constructor arguments}

No pickle is read or written.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from emurl.core.errors import InputError
from emurl.core.files import write_atomically

WEIGHTS = "model.safetensors"
CONFIG = "config.json"

Metrics = dict[str, torch.Tensor]


class Pretrained(nn.Module):
    """A module that remembers its constructor's arguments as `config`, and saves and loads itself."""

    edges: tuple[str, ...] = ()
    """Names of the layers whose matrices stand at an end of the network: Muon leaves them to AdamW."""

    bf16_pays = False
    """Whether training in bf16 is quicker on a CPU that has instructions for it."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config: dict[str, Any] = config

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def loss(self, batch: Any) -> tuple[torch.Tensor, Metrics]:
        """The training loss of `batch` (a scalar, with gradient) and further scalars worth a look, by name."""
        raise TypeError(f"{type(self).__name__} has no loss: a model defines its own")

    def save_pretrained(self, folder: str | os.PathLike[str]) -> Path:
        """Write weights and configuration into `folder` (made if missing); each file appears whole or not at all.

        Returns:
            The folder.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.state_dict().items()}
        with write_atomically(folder / WEIGHTS) as aside:
            save_file(tensors, aside)
        described = {"class": type(self).__name__, "config": self.config}
        with write_atomically(folder / CONFIG) as aside:
            aside.write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return folder

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], device: str | torch.device = "cpu") -> Self:
        """The model saved in `folder`, in evaluation mode on `device`.

        Raises:
            InputError: a file is missing, damaged, or belongs to another class of model, or a weight is not finite.
        """
        folder = Path(folder)
        name, config = _described(folder)
        if name != cls.__name__:
            raise InputError(f"{folder}: holds a {name}, expected a {cls.__name__}")
        try:
            model = cls(**config)
            weights = load_file(folder / WEIGHTS)
            model.load_state_dict(weights)
        except FileNotFoundError:
            raise InputError(f"{folder}: no {WEIGHTS}, expected a folder written by save_pretrained") from None
        # A wrong argument fails where it is first used, as anything: a division by zero, a missing key, a shape.
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:240]
            raise InputError(f"{folder}: not a {cls.__name__} of this version ({reason})") from None
        for name, tensor in weights.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise InputError(f"{folder / WEIGHTS}: {name} is not finite, expected weights of a model that has learned")
        return model.to(device).eval()


def class_saved_in(folder: str | os.PathLike[str]) -> str:
    """The name of the class of model that `save_pretrained` wrote into `folder`.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    return _described(Path(folder))[0]


def _described(folder: Path) -> tuple[str, dict[str, Any]]:
    try:
        described = json.loads((folder / CONFIG).read_text(encoding="utf-8"), parse_constant=_no_number)
        return str(described["class"]), dict(described["config"])
    except FileNotFoundError:
        raise InputError(f"{folder}: no {CONFIG}, expected a folder written by save_pretrained") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{folder / CONFIG}: cannot be read ({error})") from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def parameter_count(*modules: nn.Module) -> int:
    """How many numbers `modules` learn: parameters, and codebooks that are learned by moving averages; each counted once."""
    seen: dict[int, int] = {}
    for module in modules:
        for parameter in module.parameters():
            seen[id(parameter)] = parameter.numel()
        for part in module.modules():
            learned = getattr(part, "learned_buffers", None)
            for buffer in learned() if callable(learned) else ():
                seen[id(buffer)] = buffer.numel()
    return sum(seen.values())


def as_tensor(array: Any, device: torch.device) -> torch.Tensor:
    """`array` (numpy or tensor) on `device`, type kept."""
    return torch.as_tensor(array).to(device, non_blocking=True)
