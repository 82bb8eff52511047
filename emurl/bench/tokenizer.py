"""`emurl bench tokenizer`: frames trained on a second, ours against the layout of the original, same batch, same machine."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from emurl.artifacts import Store
from emurl.bench.emulator import alternate
from emurl.bench.synthetic import synthetic_screens
from emurl.config import Config, TokenizerSettings
from emurl.models.base import parameter_count
from emurl.models.layers import ResidualBlock
from emurl.models.tokenizer import Tokenizer
from emurl.screen import to_grey
from emurl.training import resolve_device

BATCH = 16
REPEATS = 3
WIDTHS = (64, 96, 144, 168)


class OriginalLayout(nn.Module):
    """A VQ-VAE as the original's is described: colour frames, four stride-2 4×4 convolutions with a residual block each, 9×10 codes of
    192 numbers, 512 codes learnt by gradient (1711.00937), the mirror image as decoder, squared error. 3.85 M parameters.
    """

    def __init__(self, vocab: int = 512, code_dim: int = 192) -> None:
        super().__init__()
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for inputs, width in itertools.pairwise((3, *WIDTHS)):
            down += [nn.Conv2d(inputs, width, 4, 2, 1), nn.GELU(), ResidualBlock(width)]
            up = [ResidualBlock(width), nn.ConvTranspose2d(width, inputs, 4, 2, 1), nn.GELU(), *up]
        self.encoder = nn.Sequential(*down, nn.Conv2d(WIDTHS[-1], code_dim, 1))
        self.codes = nn.Embedding(vocab, code_dim)
        self.decoder = nn.Sequential(nn.Conv2d(code_dim, WIDTHS[-1], 1), *up[:-1])

    def loss(self, frames: torch.Tensor) -> torch.Tensor:
        """Colour frames uint8 (B, 3, 144, 160) to the training loss."""
        wanted = frames.float() / 255.0
        seen = self.encoder(wanted)
        flat = seen.permute(0, 2, 3, 1).flatten(0, 2)
        nearest = torch.cdist(flat.detach(), self.codes.weight.detach()).argmin(dim=1)
        codes = self.codes(nearest)
        commitment = F.mse_loss(codes, flat.detach()) + 0.25 * F.mse_loss(flat, codes.detach())
        through = (flat + (codes - flat).detach()).unflatten(0, (len(frames), 9, 10)).permute(0, 3, 1, 2)
        return F.mse_loss(self.decoder(through), wanted) + commitment


def run(config: Config, store: Store | None = None) -> dict[str, Any]:
    """Training frames per second of both at the original's size (and ours at the settings' size), medians of alternating repeats."""
    device = resolve_device(config.tokenizer.device)
    frames = np.stack(list(synthetic_screens(BATCH * 8, per_second=2.0)))[::8]
    ranks = torch.from_numpy(frames).to(device)
    colour = torch.from_numpy(to_grey(frames)).to(device)[:, None].expand(-1, 3, -1, -1).contiguous()
    size, chosen = TokenizerSettings(), config.tokenizer
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours = Tokenizer(dim=size.dim, depth=size.depth, vocab=size.vocab, code_dim=size.code_dim).to(device).train()
        small = Tokenizer(dim=chosen.dim, depth=chosen.depth, vocab=chosen.vocab, code_dim=chosen.code_dim).to(device).train()
        original = OriginalLayout().to(device).train()
        steps = {
            "ours": step_of(ours, lambda: ours.loss(ranks)[0]),
            "original": step_of(original, lambda: original.loss(colour)),
            "settings": step_of(small, lambda: small.loss(ranks)[0]),
        }
        for step in steps.values():
            step()  # warm
        speeds = alternate(steps, BATCH, REPEATS, seconds=0.5)
    return {
        "frames_per_second": speeds["ours"],
        "original_frames_per_second": speeds["original"],
        "ratio_to_original": round(speeds["ours"] / speeds["original"], 2),
        "settings_frames_per_second": speeds["settings"],
        "parameters": parameter_count(ours),
        "original_parameters": parameter_count(original),
        "settings_parameters": parameter_count(small),
        "batch": BATCH,
        "device": str(device),
        "torch_threads": torch.get_num_threads(),
    }


def step_of(model: nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    """One training step of `model` as a call."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4)

    def step() -> None:
        """Forward, backward, update; reading the loss makes a GPU finish."""
        value = loss()
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        float(value.detach())

    return step
