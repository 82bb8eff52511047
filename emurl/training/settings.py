"""Settings that every trained model shares."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from emurl.core.settings import Device, Natural, Positive, Rate, Settings, Share


class OptimizerSettings(Settings):
    """What every trained model shares: steps, batch, learning rate and the cadence of looking."""

    renamed: ClassVar[dict[str, str]] = {"optimiser": "optimizer"}

    seed: Natural = 0
    device: Device = "auto"
    steps: Positive = 20_000
    batch_size: Positive = 64
    learning_rate: Rate = 3e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup_steps: Natural = 200
    eval_every: Positive = 500
    checkpoint_every: Positive = 200
    patience: Natural = 0  # evaluations on held-out videos without a new best before training stops; 0: never
    ema: Share = 0.0  # decay of the averaged weights that are kept instead of the last; 0: none
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for the matrices between hidden layers, AdamW for all else
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 where it is quicker
