"""Naming the buttons of footage: an inverse dynamics model learns them from the emulator's presses (BCO, 1805.01954)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from emurl.core.errors import WorkError
from emurl.core.store import Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.footage.dataset import FrameReader
from emurl.footage.exploration import Pairs, changed
from emurl.footage.learning import CHUNK, train, transitions
from emurl.models.inverse import InverseModel
from emurl.pipelines.speedrun.behavior import BehaviorSettings
from emurl.training.augment import stream_faults
from emurl.training.supervised import FitResult, seeded

MIRROR = np.array([BUTTONS.index({"left": "right", "right": "left"}.get(button, button)) for button in BUTTONS])
HELD_OUT_STRETCHES = 10  # one stretch of play in ten is not learned from
LEAST_LABELS = 64


def learn_inverse(
    settings: BehaviorSettings, play: Pairs, device: torch.device, output: Output, tracker: Tracker, number: int
) -> tuple[InverseModel, FitResult]:
    """The inverse model of the play gathered so far."""
    learned = np.flatnonzero(play.stretch % HELD_OUT_STRETCHES != 0)

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        places = learned[rng.integers(0, len(learned), settings.batch_size)]
        frames = play.frames(places)
        faulty = stream_faults(frames.reshape(-1, *frames.shape[2:]), rng, 0.3, play.spec.shades).reshape(frames.shape)
        # Left in the mirror is right: twice the walks, and no side of the screen that belongs to a button.
        mirrored = rng.random(len(places)) < 0.5
        faulty[mirrored] = np.flip(faulty[mirrored], axis=3)
        actions = play.actions[places]
        return faulty, np.where(mirrored, MIRROR[actions], actions)

    model: InverseModel = seeded(
        settings.seed,
        lambda: InverseModel(len(BUTTONS), play.spec.shades, play.spec.channels),
    )
    result = train(
        model, sample, settings, device, output, tracker, f"inverse_{number}", steps=settings.inverse_steps,
        evaluate=lambda model: measure_inverse(model, play), best_by="-inverse_accuracy",
    )  # fmt: skip
    return model, result


def measure_inverse(model: InverseModel, play: Pairs) -> dict[str, float]:
    """inverse_accuracy: share of held-out presses named right; inverse_majority: always naming the commonest learned one."""
    held_out = play.stretch % HELD_OUT_STRETCHES == 0
    asked = np.flatnonzero(held_out)
    if not len(asked):
        return {"inverse_accuracy": 0.0, "inverse_majority": 0.0}
    named, _ = name_actions(model, lambda part: play.frames(asked[part]), len(asked))
    commonest = np.bincount(play.actions[~held_out], minlength=len(BUTTONS)).argmax()
    return {
        "inverse_accuracy": float((named == play.actions[asked]).mean()),
        "inverse_majority": float((play.actions[asked] == commonest).mean()),
    }


def name_actions(model: InverseModel, read: Callable[[slice], np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Actions (count,) and confidences (count,) of the pairs that `read(slice)` gives, uint8 (n, 2, …)."""
    actions, confidence = np.zeros(count, np.int64), np.zeros(count, np.float32)
    for start in range(0, count, CHUNK):
        part = slice(start, min(start + CHUNK, count))
        with torch.no_grad():
            best = model(read(part)).float().softmax(dim=-1).max(dim=-1)
        actions[part], confidence[part] = best.indices.cpu().numpy(), best.values.cpu().numpy()
    return actions, confidence


def label(
    model: InverseModel, reader: FrameReader, gap: int, min_confidence: float, output: Output, tracker: Tracker
) -> pd.DataFrame:
    """Buttons of the footage: video (row), frame, action, confidence, split; where something changed and the model is sure.

    Raises:
        WorkError: nothing in the footage of the train split ever changes.
    """
    tables = []
    looked_at = moved = 0
    for split in ("train", "val"):
        video, index = transitions(reader, split, gap)
        looked_at += len(video)
        for start in range(0, len(video), CHUNK):
            part = slice(start, start + CHUNK)
            pair = np.stack([reader.gather(video[part], index[part] + k) for k in (0, gap)], axis=1)
            eventful = np.flatnonzero(changed(pair[:, 0], pair[:, 1]))
            moved += len(eventful)
            pair = pair[eventful]
            actions, confidence = name_actions(model, pair.__getitem__, len(pair))
            facts = {"video": video[part][eventful], "frame": index[part][eventful], "action": actions, "confidence": confidence}
            tables.append(pd.DataFrame(facts).assign(split=split))
    every = pd.concat(tables, ignore_index=True)
    learned = every[every["split"] == "train"]["confidence"]
    if not len(learned):
        raise WorkError("behavior: nothing ever changes in the footage of the train split, so no action can be seen in it")
    if (learned >= min_confidence).sum() < LEAST_LABELS:
        # A model this unsure is poor, but a clone of its best guesses is still more than nothing, as long as it is said.
        min_confidence = float(learned.nlargest(LEAST_LABELS).min())
        output.note(f"hardly an action in the footage was named with confidence: those above {min_confidence:.2f} are cloned")
    sure = every[every["confidence"] >= min_confidence].reset_index(drop=True)
    sure.attrs = {"transitions": looked_at, "changed": moved}
    counts = sure["action"].value_counts()
    shown = ", ".join(f"{BUTTONS[action]} {counts[action]}" for action in sorted(counts.index))
    tracker.message(f"labels: {len(sure)} of {looked_at} transitions, {moved} of which show a change: {shown}")
    return sure
