"""`emurl bench ood`: pairs scored a second, against encoding the same frames with the tokenizer and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from emurl.bench.emulator import alternate
from emurl.bench.synthetic import in_screen, synthetic_screens
from emurl.core.config import Config
from emurl.core.store import Store
from emurl.models.dynamics import Dynamics
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun.dynamics import new_dynamics
from emurl.pipelines.speedrun.tokenizer import new_tokenizer
from emurl.rewards.ood import OODDetector
from emurl.screen import ScreenSpec
from emurl.training.supervised import resolve_device, seeded

BATCH = 64
REPEATS = 5


def run(config: Config, store: Store | None = None) -> dict[str, Any]:
    """Scores per second with the networks that the settings describe, untrained; `ratio_to_encode` is to the bare tokenizer.

    A score needs two frames encoded, one decoded and one foreseen, so the ratio cannot pass 0.5.
    """
    device = resolve_device(config.tokenizer.device)
    spec = ScreenSpec(channels=config.screen.channels, shades=config.screen.shades)
    frames = in_screen(np.stack(list(synthetic_screens(BATCH * 8, per_second=2.0))), spec)
    now, later = frames[::8], frames[1::8]
    tokenizer: Tokenizer = seeded(0, lambda: new_tokenizer(config.tokenizer, spec, lambda: frames))
    dynamics: Dynamics = seeded(0, lambda: new_dynamics(config.dynamics, config.tokenizer.vocab))
    usual = {"reconstruction_mean": 0.0, "reconstruction_std": 1.0, "surprise_mean": 0.0, "surprise_std": 1.0}
    detector = OODDetector(tokenizer.to(device).eval(), dynamics.to(device).eval(), usual)
    contenders = {
        "scores": lambda: detector.compute_combined_ood_scores(now, later),
        "encode": lambda: tokenizer.encode(now).cpu(),
    }
    for call in contenders.values():
        call()  # warm
    speeds = alternate(contenders, BATCH, REPEATS, seconds=0.5)
    return {
        "scores_per_second": speeds["scores"],
        "encode_frames_per_second": speeds["encode"],
        "ratio_to_encode": round(speeds["scores"] / speeds["encode"], 3),
        "batch": BATCH,
        "device": str(device),
        "torch_threads": torch.get_num_threads(),
    }
