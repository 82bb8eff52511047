"""The one training loop. Every model answers `loss(batch)`, so one function trains them all.

A run is counted in steps, never in seconds, and every random draw comes from the seed: on a CPU the same call gives the same weights,
bit for bit. State is written to `scratch` now and then (one file, one rename) and only read back when the process was
killed: a checkpoint changes nothing of what is computed, so a killed and resumed run ends where an unkilled one does. Who is asked to
end (Ctrl-C, SIGTERM) writes one first. On a remote store each checkpoint is uploaded, so the run may go on on another machine.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from emurl.core import interrupt
from emurl.core.errors import InputError, WorkError
from emurl.core.output import Output
from emurl.core.tracking import Tracker
from emurl.models.base import Pretrained
from emurl.training.checkpoint import dice, read_checkpoint, write_checkpoint
from emurl.training.optimizers import bf16_is_quicker, learning_rate_at, make_optimizers
from emurl.training.settings import OptimizerSettings

Evaluate = Callable[[Any], dict[str, float]]
Picture = Callable[[Any], dict[str, np.ndarray]]


@dataclass
class FitResult:
    """What a training run did. `history` holds {"step": …, name: value} rows, without anything that depends on the clock."""

    history: list[dict[str, float]]
    steps: int
    seconds: float  # spent training, in all tries
    frames: int  # samples seen
    best_step: int  # whose weights the model has

    @property
    def frames_per_second(self) -> float:
        """Samples trained on a second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


@dataclass
class _State:
    """Everything of a run that is no tensor."""

    step: int = 0
    frames: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    stopped: bool = False
    history: list[dict[str, float]] = field(default_factory=list)
    since_best: int = 0  # evaluations
    due: bool = False  # the evaluation of this step was broken off, and is to be made when the run goes on
    rng: dict[str, Any] = field(default_factory=dict)


def resolve_device(name: str) -> torch.device:
    """The device a setting means: `auto` is CUDA where there is one, else the CPU.

    Raises:
        InputError: the name is unknown, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise InputError(f"device: {name!r} is no device, expected auto, cpu, cuda, cuda:N or mps") from None
    available = {
        "cpu": device.index in (None, 0),
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if device.type not in available:
        raise InputError(f"device: {name!r} is no device emurl trains on, expected auto, cpu, cuda, cuda:N or mps")
    if not available[device.type]:
        raise InputError(f"device: {name!r} is not available on this machine, expected auto or cpu")
    return device


@contextlib.contextmanager
def reproducible(device: torch.device, seed: int) -> Iterator[None]:
    """Torch's global random state is ours inside, and as before afterwards; kernels on the CPU are deterministic ones."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # type: ignore[attr-defined]
    filling = memory.fill_uninitialized_memory
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(device.type == "cpu")
        memory.fill_uninitialized_memory = False  # a tenth of the time, for memory nobody reads
        try:
            yield
        finally:
            memory.fill_uninitialized_memory = filling
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def seeded(seed: int, build: Callable[[], nn.Module]) -> Any:
    """What `build()` makes when torch draws from `seed`; torch's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def fit(
    model: Pretrained,
    sample: Callable[[np.random.Generator], Any],
    settings: OptimizerSettings,
    *,
    output: Output,
    tracker: Tracker,
    name: str = "model",
    device: torch.device | str | None = None,
    steps: int | None = None,
    evaluate: Evaluate | None = None,
    eval_every: int | None = None,
    best_by: str | None = None,
    picture: Picture | None = None,
    carried: dict[str, torch.Tensor] | None = None,
) -> FitResult:
    """Train `model` in place; afterwards it is in evaluation mode and holds the final (or best) weights.

    Args:
        sample: draws one batch for `model.loss` from the generator it is given, and from nothing else but `carried`.
        settings: the optimizer's and the loop's. steps, eval_every, device: where they are not the settings' own.
        output: its scratch holds `<name>.safetensors`, the checkpoint this run resumes from if there is one.
        evaluate: metrics of a model on held-out data, every `eval_every` steps and at the end. best_by: where `settings.patience`
            is set, keep the weights of the evaluation at which this metric was lowest (`-name`: highest).
        picture: pictures (H, W[, 3]) uint8 by name for the tracker, at each evaluation.
        carried: what `sample` and the loss hand on from batch to batch besides the generator; kept with every checkpoint.

    Returns:
        The numbers of the run, and which step's weights the model has.

    Raises:
        WorkError: the loss or the gradient is no longer a number, or the disk is full.
    """
    device = resolve_device(settings.device) if device is None else torch.device(device)
    steps, eval_every = steps or settings.steps, eval_every or settings.eval_every
    best_by = best_by if settings.patience else None
    half = settings.precision == "bf16" or (settings.precision == "auto" and bf16_is_quicker(model, device))
    model.to(device).train()
    optimizers = make_optimizers(model, settings)
    average = copy.deepcopy(model).eval().requires_grad_(False) if settings.ema else None
    best = {} if best_by is None else {key: value.clone() for key, value in model.state_dict().items()}
    file = output.scratch / f"{name}.safetensors"
    signature = {
        **settings.fingerprint_values(),
        "steps": steps,
        "class": type(model).__name__,
        "config": model.config,
        "bf16": half,
    }
    rng = np.random.default_rng([settings.seed, 0x7E])
    state = _State()
    parts: dict[str, Any] = {"model": model, **optimizers, "average": average, "best": best}
    if carried:
        parts["carried"] = carried

    with (
        reproducible(device, settings.seed),
        interrupt.saving() as asked,
        tracker.progress(steps, f"train {name}", "steps") as bar,
    ):
        saved = read_checkpoint(file, parts, signature)
        if saved is not None:
            state = _State(**saved)
            _restore_rng(rng, device, state.rng, parts)
            tracker.message(f"train {name}: goes on from step {state.step} of {steps}")
            bar.start_at(state.step)
        seen = average if average is not None else model
        began = time.monotonic()

        def save() -> None:
            nonlocal began
            now = time.monotonic()
            state.seconds, began = state.seconds + now - began, now
            state.rng = _save_rng(rng, device, parts)
            write_checkpoint(file, parts, asdict(state), signature, output.scratch_saved)

        def look_at_held_out() -> None:
            if evaluate is None:
                return
            rows = len(state.history)
            try:
                _evaluate(seen, evaluate, picture, state, tracker, device)
            except BaseException as error:
                if interrupt.asks_to_end(error):  # nothing of the run has changed since the step
                    del state.history[rows:]
                    state.due = True
                    save()
                raise
            state.due = False
            _judge(seen, best, best_by, settings.patience, state)
            model.train()

        if state.due:
            look_at_held_out()
        while state.step < steps and not state.stopped:
            if asked():
                save()
                tracker.message(f"train {name}: saved at step {state.step} of {steps}")
                interrupt.leave()
            rate = learning_rate_at(state.step, steps, settings.learning_rate, settings.warmup_steps, settings.schedule)
            for one in optimizers.values():
                for group in one.param_groups:
                    group["lr"] = rate
            on_progress: Any = getattr(model, "on_progress", None)
            if on_progress is not None:
                on_progress(state.step / steps)
            batch = sample(rng)
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                loss, metrics = model.loss(batch)
            model.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            for one in optimizers.values():
                one.step()
            if average is not None:
                _follow(average, model, min(settings.ema, (1 + state.step) / (settings.ema_warmup + state.step)))
            state.step += 1
            state.frames += _length(batch)
            bar.update(1)

            last = state.step == steps
            if state.step % settings.log_every == 0 or last:
                _look(name, state, loss, norm, rate, metrics, tracker, bar, state.seconds + time.monotonic() - began)
            if state.step % eval_every == 0 or last:
                look_at_held_out()
            if state.step % settings.checkpoint_every == 0 or last or state.stopped:
                save()

    if best and state.best is not None:
        model.load_state_dict(best)
    elif average is not None:
        model.load_state_dict(average.state_dict())
    model.eval()
    return FitResult(state.history, state.step, state.seconds, state.frames, state.best_step if best else state.step)


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights a step towards the model's; counters and codebooks are copied."""
    learned = dict(model.named_parameters())
    for key, value in average.state_dict().items():
        if key in learned:
            value.lerp_(learned[key], 1.0 - decay)
        else:
            value.copy_(model.state_dict()[key])


def _length(batch: Any) -> int:
    return len(batch[0]) if isinstance(batch, tuple | list) else len(batch)


def _look(
    name: str, state: _State, loss: torch.Tensor, norm: torch.Tensor, rate: float, metrics: dict[str, Any], tracker: Tracker,
    bar: Any, seconds: float,
) -> None:  # fmt: skip
    """Read the numbers of this step: stop if they are none, log them if they are."""
    values = {"loss": float(loss.detach()), "gradient_norm": float(norm)}
    if not all(math.isfinite(value) for value in values.values()):
        raise WorkError(
            f"{name}: the loss is {values['loss']:g} and its gradient {values['gradient_norm']:g} at step {state.step}, "
            f"expected finite numbers; a learning_rate below {rate:.2g} may help"
        )
    values |= {key: float(value) for key, value in metrics.items()}
    state.history.append({"step": state.step, **{key: float(f"{value:.6g}") for key, value in values.items()}})
    clocked = {"learning_rate": rate, "frames_per_second": state.frames / max(seconds, 1e-9)}
    tracker.log({f"{name}/{key}": value for key, value in (values | clocked).items()}, state.step)
    bar.update(0, loss=values["loss"])


def _evaluate(
    seen: Any, evaluate: Evaluate, picture: Picture | None, state: _State, tracker: Tracker, device: torch.device
) -> None:
    """Held-out metrics of the model in evaluation mode, on random numbers of their own, into history and tracker."""
    seen.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        values = evaluate(seen)
        pictures = picture(seen) if picture is not None else {}
    held_out = {f"val_{key}": float(f"{value:.6g}") for key, value in values.items()}
    state.history.append({"step": state.step, **held_out})
    tracker.log(held_out, state.step)
    for name, array in pictures.items():
        tracker.image(name, array, state.step)


def _judge(seen: nn.Module, best: dict[str, torch.Tensor], best_by: str | None, patience: int, state: _State) -> None:
    """Keep the weights if they are the best so far; stop if none were for `patience` evaluations."""
    if best_by is None:
        return
    sign = -1.0 if best_by.startswith("-") else 1.0
    value = sign * state.history[-1][f"val_{best_by.removeprefix('-')}"]
    if state.best is None or value < state.best:
        state.best, state.best_step = value, state.step
        for key, tensor in seen.state_dict().items():
            best[key].copy_(tensor)
        state.since_best = 0
        return
    state.since_best += 1
    state.stopped = state.since_best >= patience


def _save_rng(rng: np.random.Generator, device: torch.device, parts: dict[str, Any]) -> dict[str, Any]:
    parts["rng"] = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        parts["rng"]["cuda"] = torch.cuda.get_rng_state(device)
    return {"numpy": dice(rng)}


def _restore_rng(rng: np.random.Generator, device: torch.device, saved: dict[str, Any], parts: dict[str, Any]) -> None:
    rng.bit_generator.state = saved["numpy"]
    torch.set_rng_state(parts["rng"]["torch"])
    if device.type == "cuda" and "cuda" in parts["rng"]:
        torch.cuda.set_rng_state(parts["rng"]["cuda"], device)
