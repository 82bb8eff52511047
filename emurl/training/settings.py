"""Settings that every trained model shares: how long, how fast, with which optimizer, and the cadence of looking."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from emurl.core.settings import Device, Natural, NonNegative, Positive, Rate, Settings, Share

Fraction = Annotated[float, Field(ge=0, lt=1)]


class AdamSettings(Settings):
    """AdamW (Loshchilov & Hutter, 1711.05101)."""

    beta1: Fraction = 0.9  # decay of the mean of the gradients
    beta2: Fraction = 0.95  # decay of the mean of their squares
    eps: Rate = 1e-8  # added to the denominator


class MuonSettings(Settings):
    """Muon (Jordan 2024), its updates scaled to the size of AdamW's (2502.16982)."""

    momentum: Fraction = 0.95  # decay of the mean of the gradients
    iterations: Positive = 5  # Newton–Schulz steps of the orthogonalization
    update_rms: Rate = 0.2  # root mean square of an update's entries, over the learning rate


class ScheduleSettings(Settings):
    """The learning rate over the run: linear warm-up, then half a cosine."""

    min_lr_ratio: Share = 0.02  # of the peak that is left at the last step
    max_warmup_share: Share = 0.25  # of the run that warm-up may take, so that a run cut short still reaches its peak


class AugmentSettings(Settings):
    """Faults of a stream that are put on clean frames in training (`emurl.training.augment`)."""

    share: Share = 0.5  # of the frames that get faults
    max_shift: Natural = 1  # pixels each way by which the picture blended in is shifted
    max_blend: Annotated[int, Field(ge=0, le=8)] = 3  # eighths of the shifted picture, at most
    max_noise: Share = 0.004  # of the pixels that get a neighboring shade, at most


class PlaySettings(Settings):
    """How an agent chooses its actions in play."""

    temperature: NonNegative = 1.0  # of the sampling: below 1 the likelier are taken more often, at 0 always the likeliest
    restless: NonNegative = 0.0  # nats that an action loses for each time it was chosen in the same picture of this episode


def share_alone(value: Any) -> Any:
    """A number, where a section is expected, is the section's `share`: `augment: 0.3` is `augment: {share: 0.3}`."""
    return {"share": float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else value


Augment = Annotated[AugmentSettings, BeforeValidator(share_alone)]


class OptimizerSettings(Settings):
    """What every trained model shares: steps, batch, learning rate and the cadence of looking."""

    renamed: ClassVar[dict[str, str]] = {"optimiser": "optimizer"}

    seed: Natural = 0  # of every random draw
    device: Device = "auto"  # auto, cpu, cuda, cuda:N or mps
    steps: Positive = 20_000  # batches trained on
    batch_size: Positive = 64  # samples a batch
    learning_rate: Rate = 3e-4  # at its peak
    weight_decay: NonNegative = 0.01  # of matrices and kernels; biases and gains do not decay
    warmup_steps: Natural = 200  # until the learning rate is at its peak
    schedule: ScheduleSettings = ScheduleSettings()  # of the learning rate after that
    max_grad_norm: Rate = 1.0  # longer gradients are cut to this length
    eval_every: Positive = 500  # steps between evaluations on held-out data
    log_every: Positive = 20  # steps between looks at the loss (each makes a GPU wait)
    checkpoint_every: Positive = 200  # steps between checkpoints
    patience: Natural = 0  # evaluations on held-out videos without a new best before training stops; 0: never
    ema: Share = 0.0  # decay of the averaged weights that are kept instead of the last; 0: none
    ema_warmup: Positive = 10  # steps by which that decay lags: at step n it is at most (1 + n) / (this + n)
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for the matrices between hidden layers, AdamW for all else
    adam: AdamSettings = AdamSettings()  # of AdamW
    muon: MuonSettings = MuonSettings()  # of Muon
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 where it is quicker
