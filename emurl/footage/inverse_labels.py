"""Naming the buttons of footage: an inverse dynamics model learns them from the emulator's presses (BCO, 1805.01954)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from emurl.core.errors import WorkError
from emurl.core.output import Output
from emurl.core.settings import Positive, Settings, Share
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.footage.dataset import CHUNK, FrameReader
from emurl.footage.exploration import Pairs, changed
from emurl.footage.transitions import transitions
from emurl.models.inverse import InverseModel
from emurl.models.layers import TILE, TILE_ROWS
from emurl.screen import ScreenSpec
from emurl.training.augment import stream_faults
from emurl.training.settings import Augment, AugmentSettings, OptimizerSettings
from emurl.training.supervised import FitResult, fit, seeded

ROLLED = TILE_ROWS // 2  # tiles, at most: half a screen
MIRRORED = np.array([BUTTONS.index({"left": "right", "right": "left"}.get(button, button)) for button in BUTTONS])


class InverseSettings(Settings):
    """The inverse dynamics model, and which of its answers are taken for labels."""

    dim: Positive = 32  # width of its first convolutions
    dropout: Share = 0.1  # on the features its head reads
    picture_dropout: Share = 0.5  # training samples of which it sees the motion alone, or it would learn places
    augment: Augment = AugmentSettings(share=0.3)  # stream-like faults on the frames it learns from
    mirror: Share = 0.5  # training samples seen in the mirror, where left is right
    roll: Share = 0.3  # training samples moved by whole tiles, around the edges: a menu's cursor is one wherever the menu stands
    held_out: Annotated[float, Field(gt=0, le=0.5)] = 0.1  # share of the explored episodes that are not learned from
    min_labels: Positive = 64  # the surest labels that are cloned even where the model is less confident than asked


def learn_inverse(
    settings: OptimizerSettings, inverse: InverseSettings, play: Pairs, *, steps: int, name: str, device: torch.device, output: Output,
    tracker: Tracker, before: InverseModel | None = None,
) -> tuple[InverseModel, FitResult]:  # fmt: skip
    """Train an inverse model on the play gathered so far.

    Args:
        settings: how it is optimized; inverse: what it is and sees. steps: batches. name: of the training run.
        before: a model of less play, to go on from.
    """
    learned = np.flatnonzero(~_held_out(play, inverse))

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        places = learned[rng.integers(0, len(learned), settings.batch_size)]
        frames = play.frames(places)
        faulty = stream_faults(frames.reshape(-1, *frames.shape[2:]), rng, inverse.augment, play.spec.shades).reshape(
            frames.shape
        )
        # Left in the mirror is right: twice the walks, and no side of the screen that belongs to a button.
        mirrored = rng.random(len(places)) < inverse.mirror
        faulty[mirrored] = np.flip(faulty[mirrored], axis=3)
        for place in np.flatnonzero(rng.random(len(places)) < inverse.roll):
            faulty[place] = np.roll(faulty[place], TILE * rng.integers(-ROLLED, ROLLED + 1, 2), (1, 2))
        actions = play.actions[places]
        return faulty, np.where(mirrored, MIRRORED[actions], actions)

    model: InverseModel = seeded(settings.seed, lambda: new_inverse_model(inverse, play.spec))
    if before is not None:
        model.load_state_dict(before.state_dict())
    result = fit(
        model, sample, settings, output=output, tracker=tracker, name=name, device=device, steps=steps,
        evaluate=lambda model: measure_inverse(model, play, inverse), best_by="-inverse_accuracy",
    )  # fmt: skip
    return model, result


def new_inverse_model(settings: InverseSettings, spec: ScreenSpec) -> InverseModel:
    """An untrained inverse model of these settings for this screen."""
    return InverseModel(len(BUTTONS), spec.shades, spec.channels, settings.dim, settings.dropout, settings.picture_dropout)


def _held_out(play: Pairs, inverse: InverseSettings) -> np.ndarray:
    """Which pairs (M,) are of episodes that are not learned from: every tenth episode for a share of 0.1."""
    chosen: np.ndarray = play.episode % round(1 / inverse.held_out) == 0
    return chosen


def measure_inverse(model: InverseModel, play: Pairs, inverse: InverseSettings) -> dict[str, float]:
    """inverse_accuracy: share of held-out presses named right; inverse_majority: always naming the commonest learned one."""
    held_out = _held_out(play, inverse)
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
    """The likeliest action, int64 (count,), and its probability, float32 (count,), of the pairs `read(slice)` gives, uint8 (n, 2, …)."""
    actions, confidence = np.zeros(count, np.int64), np.zeros(count, np.float32)
    for start in range(0, count, CHUNK):
        part = slice(start, min(start + CHUNK, count))
        with torch.no_grad():
            best = model(read(part)).float().softmax(dim=-1).max(dim=-1)
        actions[part], confidence[part] = best.indices.cpu().numpy(), best.values.cpu().numpy()
    return actions, confidence


def label(
    model: InverseModel, reader: FrameReader, stride: int, *, min_confidence: float, min_labels: int, min_changed_pixels: int,
    output: Output, tracker: Tracker,
) -> pd.DataFrame:  # fmt: skip
    """Name the buttons of the footage, where something changes within `stride` frames and the model is sure.

    Args:
        min_confidence: lower ones are no labels; it is lowered where fewer than `min_labels` of the train split are left.
        min_changed_pixels: fewer are no change.

    Returns:
        A row a label: video (its place in `reader.videos`), frame, action, confidence, split. `attrs` counts the transitions
        looked at, and those that show a change.

    Raises:
        WorkError: nothing in the footage of the train split ever changes.
    """
    tables = []
    eventful_ones = 0
    asked = {split: transitions(reader, split, stride) for split in ("train", "val")}
    looked_at = sum(len(video) for video, _ in asked.values())
    with tracker.progress(looked_at, "name the actions", "transitions") as bar:
        for split, (video, index) in asked.items():
            for start in range(0, len(video), CHUNK):
                part = slice(start, start + CHUNK)
                pair = np.stack([reader.gather(video[part], index[part] + k) for k in (0, stride)], axis=1)
                eventful = np.flatnonzero(changed(pair[:, 0], pair[:, 1], min_changed_pixels))
                eventful_ones += len(eventful)
                pair = pair[eventful]
                actions, confidence = name_actions(model, pair.__getitem__, len(pair))
                facts = {
                    "video": video[part][eventful],
                    "frame": index[part][eventful],
                    "action": actions,
                    "confidence": confidence,
                }
                tables.append(pd.DataFrame(facts).assign(split=split))
                bar.update(len(video[part]))
    every = pd.concat(tables, ignore_index=True)
    learned = every[every["split"] == "train"]["confidence"]
    if not len(learned):
        raise WorkError("behavior: nothing ever changes in the footage of the train split, so no action can be seen in it")
    if (learned >= min_confidence).sum() < min_labels:
        # A model this unsure is poor, but a clone of its best guesses is still more than nothing, as long as it is said.
        min_confidence = float(learned.nlargest(min_labels).min())
        output.note(f"hardly an action in the footage was named with confidence: those above {min_confidence:.2f} are cloned")
    sure = every[every["confidence"] >= min_confidence].reset_index(drop=True)
    sure.attrs = {"transitions": looked_at, "changed": eventful_ones}
    counts = sure["action"].value_counts()
    shown = ", ".join(f"{BUTTONS[action]} {counts[action]}" for action in sorted(counts.index))
    tracker.message(f"labels: {len(sure)} of {looked_at} transitions, {eventful_ones} of which show a change: {shown}")
    return sure
