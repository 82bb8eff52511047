"""The dynamics model set free: it goes on from held-out footage by itself, and a film shows what it makes up beside what happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from emurl.models.dynamics import Dynamics
from emurl.models.tokenizer import Tokenizer
from emurl.report.film import write_gif
from emurl.screen import ScreenSpec, to_gray


def dream_film(
    path: Path, model: Dynamics, tokenizer: Tokenizer, before: np.ndarray, after: np.ndarray, spec: ScreenSpec,
    milliseconds: int, temperature: float,
) -> None:  # fmt: skip
    """Write an endless GIF: above what happened, below what the model dreamed from the same start.

    Args:
        before: token grids (n, T, 9, 10) the model is shown. after: the frames (n, steps, 144, 160[, 3]) that came next.
        milliseconds: how long each picture stays. temperature: of the draws; 0 takes the likeliest token everywhere.
    """
    generator = torch.Generator(model.device).manual_seed(0)
    with torch.no_grad():
        dreamed = model.dream(before, after.shape[1], generator, temperature)
    said = np.stack([tokenizer.decode(grids).cpu().numpy() for grids in dreamed])  # (n, steps, 144, 160)
    write_gif(path, (_picture(after[:, step], said[:, step], spec) for step in range(after.shape[1])), milliseconds)


def _picture(happened: np.ndarray, dreamed: np.ndarray, spec: ScreenSpec) -> np.ndarray:
    """Frames (n, 144, 160) above frames (n, 144, 160), with a gap between: uint8 RGB."""
    rows = [np.concatenate(list(to_gray(frames, spec)), axis=1) for frames in (happened, dreamed)]
    gap = np.full_like(rows[0][:6], 128)
    whole = np.concatenate([rows[0], gap, rows[1]])
    return whole if whole.ndim == 3 else np.repeat(whole[..., None], 3, axis=2)
