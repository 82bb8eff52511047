"""From an observation to features: one row an encoder, chosen by the observation space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

from emurl.core.errors import InputError

LARGEST = 2**16
"""Whole numbers that may be larger are no quantities: they are left as they are."""


def layer(module: nn.Linear | nn.Conv2d, gain: float = float(np.sqrt(2.0))) -> nn.Linear | nn.Conv2d:
    """Orthogonal weights and no bias ("The 37 implementation details of PPO")."""
    nn.init.orthogonal_(module.weight, gain)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


class MLPEncoder(nn.Module):
    """Vectors (B, …), divided by `scale`, to features (B, width): two layers with tanh."""

    def __init__(self, size: int, width: int = 64, scale: float = 1.0) -> None:
        super().__init__()
        self.width, self.scale = width, scale
        self.body = nn.Sequential(layer(nn.Linear(size, width)), nn.Tanh(), layer(nn.Linear(width, width)), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Numbers (B, …) to (B, width)."""
        return torch.as_tensor(self.body(x.float().flatten(1) / self.scale))


class OneHotEncoder(nn.Module):
    """Whole numbers (B,) below `count` to features (B, width)."""

    def __init__(self, count: int, start: int = 0, width: int = 64) -> None:
        super().__init__()
        self.width, self.start = width, start
        self.body = nn.Embedding(count, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Long (B,) to (B, width)."""
        return torch.tanh(self.body(x.long().reshape(len(x)) - self.start))


class CNNEncoder(nn.Module):
    """Pictures uint8 (B, H, W), (B, H, W, C) or (B, C, H, W) to features (B, width): the network of Nature DQN (2015)."""

    def __init__(self, shape: tuple[int, ...], width: int = 512) -> None:
        super().__init__()
        self.width, self.shape = width, shape
        # A trailing 1 or 3 is a picture's channels; otherwise a third axis is a stack of pictures.
        self.last = len(shape) == 3 and shape[-1] in (1, 3)
        channels = 1 if len(shape) == 2 else shape[-1] if self.last else shape[0]
        convolutions = [
            layer(nn.Conv2d(channels, 32, 8, 4)), nn.ReLU(True), layer(nn.Conv2d(32, 64, 4, 2)), nn.ReLU(True),
            layer(nn.Conv2d(64, 64, 3, 1)), nn.ReLU(True), nn.Flatten(),
        ]  # fmt: skip
        self.body = nn.Sequential(*convolutions)
        with torch.no_grad():
            size = self.body(self._planes(torch.zeros(1, *shape))).shape[1]
        self.head = nn.Sequential(layer(nn.Linear(size, width)), nn.ReLU(True))
        # A third faster on a CPU, the same numbers but for rounding.
        self.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _planes(self, x: torch.Tensor) -> torch.Tensor:
        if len(self.shape) == 2:
            return x[:, None]
        return x.permute(0, 3, 1, 2) if self.last else x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Numbers 0 … 255 (B, …) to (B, width)."""
        pictures = self._planes(x.to(torch.float32, copy=True).div_(255.0))
        # Laid as the weights are, once: otherwise the first convolution does it again on its way back.
        return torch.as_tensor(self.head(self.body(pictures.contiguous(memory_format=torch.channels_last))))


class DictEncoder(nn.Module):
    """A mapping of observations to the features of all of them, side by side: (B, sum of widths)."""

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(dict(parts))
        self.width = int(sum(int(part.width) for part in parts.values()))  # type: ignore[arg-type, misc]

    def forward(self, x: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """{name: (B, …)} to (B, width)."""
        return torch.cat([part(x[name]) for name, part in self.parts.items()], dim=-1)


def largest(space: gymnasium.spaces.Box) -> int:
    """The largest number that a space of whole numbers holds, by which they are brought to 0 … 1; 1 where there is nothing to bring."""
    high = int(np.max(space.high)) if np.issubdtype(space.dtype, np.integer) else 1
    return high if 1 <= high <= LARGEST else 1


def build_encoder(space: gymnasium.Space[Any], where: str = "observation") -> nn.Module:
    """The encoder that fits an observation space: pictures by CNN, vectors by MLP, whole numbers by embedding, Dict by its parts.

    Raises:
        InputError: a space of another kind, or a picture smaller than the network's field of view (36×36).
    """
    if isinstance(space, gymnasium.spaces.Dict):
        return DictEncoder({name: build_encoder(part, f"{where}.{name}") for name, part in space.spaces.items()})
    if isinstance(space, gymnasium.spaces.Discrete):
        return OneHotEncoder(int(space.n), int(space.start))
    if isinstance(space, gymnasium.spaces.Box):
        if space.dtype == np.uint8 and len(space.shape) in (2, 3) and min(sorted(space.shape)[-2:]) >= 36:
            return CNNEncoder(space.shape)
        return MLPEncoder(int(np.prod(space.shape)), scale=float(largest(space)))
    if isinstance(space, gymnasium.spaces.MultiBinary | gymnasium.spaces.MultiDiscrete):
        return MLPEncoder(int(np.prod(space.shape)))
    raise no_encoder(space, where)


def no_encoder(space: gymnasium.Space[Any], where: str) -> InputError:
    """The refusal of a space of a kind that nothing here reads."""
    kind = type(space).__name__
    return InputError(f"{where}: a space of kind {kind}, expected Box, Discrete, MultiBinary, MultiDiscrete or a Dict of them")
