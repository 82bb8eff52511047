"""`emurl bench tokenizer`: frames trained on a second, and what is reconstructed after equal time: ours against the layout of the
original, same batch, same machine."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from emurl.bench.emulator import alternate
from emurl.bench.synthetic import in_screen, synthetic_screens
from emurl.core.config import Config
from emurl.core.store import Store
from emurl.models.base import parameter_count
from emurl.models.layers import group_norm
from emurl.pipelines.speedrun.tokenizer import TokenizerSettings, new_tokenizer
from emurl.screen import ScreenSpec, to_gray
from emurl.training.optimizers import bf16_is_quicker, learning_rate_at, make_optimizers
from emurl.training.supervised import resolve_device, seeded

BATCH = 16
REPEATS = 3
SCREENS = 2000
SECONDS = 30.0  # each is trained, to compare what it then reconstructs
RATE = 6e-3  # ours at the original's size, at its peak
WIDTHS = (64, 96, 144, 168)


class ResidualBlock(nn.Module):
    """x + conv3(gelu(conv3(gelu(norm x)))): pre-activation, width kept; the second convolution starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = group_norm(width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, width, H, W) to the same shape."""
        return x + self.second(F.gelu(self.first(F.gelu(self.norm(x)))))


class OriginalLayout(nn.Module):
    """A VQ-VAE as the original's is described: color frames, four stride-2 4×4 convolutions with a residual block each, 9×10 codes of
    192 numbers, 512 codes learned by gradient (1711.00937), the mirror image as decoder, squared error. 3.85 M parameters.
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
        """Color frames uint8 (B, 3, 144, 160) to the training loss."""
        wanted = frames.float() / 255.0
        flat, codes = self._codes(wanted)
        commitment = F.mse_loss(codes, flat.detach()) + 0.25 * F.mse_loss(flat, codes.detach())
        return F.mse_loss(self._decode(flat + (codes - flat).detach()), wanted) + commitment

    def reconstruct(self, frames: torch.Tensor) -> torch.Tensor:
        """Color frames uint8 (B, 3, 144, 160) as the codes say them, in 0…1."""
        return self._decode(self._codes(frames.float() / 255.0)[1])

    def _codes(self, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = self.encoder(wanted).permute(0, 2, 3, 1).flatten(0, 2)
        return flat, self.codes(torch.cdist(flat.detach(), self.codes.weight.detach()).argmin(dim=1))

    def _decode(self, flat: torch.Tensor) -> torch.Tensor:
        decoded: torch.Tensor = self.decoder(flat.unflatten(0, (-1, 9, 10)).permute(0, 3, 1, 2))
        return decoded


def run(config: Config, store: Store | None = None) -> dict[str, Any]:
    """Ours (at the original's size, and as the settings describe it) beside the original's layout: frames trained on a second, medians
    of alternating repeats, then the error on held-out screens after each was trained for the same time."""
    device = resolve_device(config.tokenizer.device)
    screens = np.stack(list(synthetic_screens(SCREENS, per_second=2.0)))
    unseen = screens[np.arange(SCREENS) % 200 >= 160]  # whole stretches of the walk
    known = screens[np.arange(SCREENS) % 200 < 160]
    chosen, spec = config.tokenizer, ScreenSpec(channels=config.screen.channels, shades=config.screen.shades)
    size = TokenizerSettings(learning_rate=RATE, optimizer=chosen.optimizer)
    contenders: dict[str, Contender] = {
        "ours": Ours(size, ScreenSpec(), device, known),
        "original": Original(device),
        "settings": Ours(chosen, spec, device, known),
    }
    rng = np.random.default_rng(0)

    def step(contender: Contender) -> None:
        contender.step(known[rng.integers(0, len(known), BATCH)])

    for contender in contenders.values():
        step(contender)  # warm
    speeds = alternate({name: partial(step, one) for name, one in contenders.items()}, BATCH, REPEATS, seconds=0.5)
    for contender in contenders.values():
        began = time.perf_counter()
        contender.start()
        while (passed := time.perf_counter() - began) < SECONDS:
            contender.progress(passed / SECONDS)
            step(contender)
    errors = {name: round(contender.error(unseen), 5) for name, contender in contenders.items()}
    return {
        "frames_per_second": speeds["ours"],
        "original_frames_per_second": speeds["original"],
        "ratio_to_original": round(speeds["ours"] / speeds["original"], 2),
        "settings_frames_per_second": speeds["settings"],
        "settings_ratio_to_original": round(speeds["settings"] / speeds["original"], 2),
        "recon_mse": errors["ours"],
        "original_recon_mse": errors["original"],
        "settings_recon_mse": errors["settings"],
        "seconds_trained": SECONDS,
        **{
            f"{prefix}parameters": parameter_count(contenders[name].model)
            for prefix, name in (("", "ours"), ("original_", "original"), ("settings_", "settings"))
        },
        "batch": BATCH,
        "device": str(device),
        "torch_threads": torch.get_num_threads(),
    }


class Contender(ABC):
    """A model and its optimizers; a step takes frames uint8 (B, 144, 160) of four shades."""

    model: Any

    @abstractmethod
    def start(self) -> None:
        """Begin anew, with the weights of the first moment."""

    @abstractmethod
    def progress(self, done: float) -> None:
        """Told before each step which share of its time has gone."""

    @abstractmethod
    def step(self, frames: np.ndarray) -> None:
        """Forward, backward, update."""

    @abstractmethod
    def error(self, frames: np.ndarray) -> float:
        """Mean squared error on the 0–1 scale."""


class Ours(Contender):
    """The tokenizer, trained as the stage trains it: mixed precision where it pays, its own optimizers, cosine schedule."""

    def __init__(self, settings: TokenizerSettings, spec: ScreenSpec, device: torch.device, known: np.ndarray) -> None:
        self.settings, self.spec, self.device, self.known = settings, spec, device, known
        self.start()

    def start(self) -> None:
        """Begin anew, with the weights of the first moment."""
        self.model = seeded(0, lambda: new_tokenizer(self.settings, self.spec, lambda: in_screen(self.known, self.spec)))
        self.model.to(self.device).train()
        self.optimizers = make_optimizers(self.model, self.settings)
        self.half = bf16_is_quicker(self.model, self.device)

    def progress(self, done: float) -> None:
        """Schedule of the learning rate and of the codebook."""
        self.model.on_progress(done)
        rate = learning_rate_at(int(1000 * done), 1000, self.settings.learning_rate, 20, self.settings.schedule)
        for one in self.optimizers.values():
            for group in one.param_groups:
                group["lr"] = rate

    def step(self, frames: np.ndarray) -> None:
        """Forward, backward, update."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss, _ = self.model.loss(in_screen(frames, self.spec))
        update(self.model, loss, self.optimizers.values())

    def error(self, frames: np.ndarray) -> float:
        """Mean squared error on the 0–1 scale."""
        self.model.eval()
        wanted = in_screen(frames, self.spec)
        said = self.model.decode(self.model.encode(wanted)).cpu().numpy()
        self.model.train()
        return float(np.square((said.astype(np.float32) - wanted) / (self.spec.shades - 1)).mean())


class Original(Contender):
    """The original's layout with AdamW, in single precision."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.start()

    def start(self) -> None:
        """Begin anew, with the weights of the first moment."""
        self.model = seeded(0, OriginalLayout).to(self.device).train()
        self.optimizers = [torch.optim.AdamW(self.model.parameters(), lr=3e-4)]

    def progress(self, done: float) -> None:
        """Its learning rate stays."""

    def _color(self, frames: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(to_gray(frames)).to(self.device)[:, None].expand(-1, 3, -1, -1).contiguous()

    def step(self, frames: np.ndarray) -> None:
        """Forward, backward, update."""
        update(self.model, self.model.loss(self._color(frames)), self.optimizers)

    @torch.no_grad()
    def error(self, frames: np.ndarray) -> float:
        """Mean squared error on the 0–1 scale."""
        parts = [self.model.reconstruct(self._color(frames[i : i + BATCH])) for i in range(0, len(frames), BATCH)]
        return float(np.square(torch.cat(parts).mean(dim=1).clamp(0, 1).cpu().numpy() - to_gray(frames) / 255.0).mean())


def update(model: nn.Module, loss: torch.Tensor, optimizers: Iterable[torch.optim.Optimizer]) -> None:
    """Backward and one step of each optimizer; reading the loss makes a GPU finish."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for one in optimizers:
        one.step()
    float(loss.detach())
