"""What the learning stages share: which frames of the footage to look at, the footage as tokens, and its screen."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from emurl.core.errors import InputError
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.footage.dataset import NOT_GAME, FrameReader
from emurl.models.base import Pretrained
from emurl.models.tokenizer import Tokenizer
from emurl.screen import ScreenSpec, to_gray
from emurl.training.settings import OptimizerSettings
from emurl.training.supervised import Evaluate, FitResult, Picture, fit

CHUNK = 256  # frames looked at a time


def train(
    model: Pretrained, sample: Any, settings: OptimizerSettings, device: torch.device, output: Output, tracker: Tracker, name: str,
    *, steps: int | None = None, evaluate: Evaluate | None = None, best_by: str | None = None, picture: Picture | None = None,
    eval_every: int | None = None, seed: int | None = None,
) -> FitResult:  # fmt: skip
    """`fit` with what the settings of every learning stage say; the weights of the best evaluation are kept only with patience."""
    return fit(
        model, sample,
        steps=steps or settings.steps, learning_rate=settings.learning_rate, device=device,
        seed=settings.seed if seed is None else seed, scratch=output.scratch, tracker=tracker, name=name,
        warmup_steps=settings.warmup_steps, weight_decay=settings.weight_decay, ema=settings.ema,
        evaluate=evaluate, eval_every=eval_every or settings.eval_every, picture=picture,
        best_by=best_by if settings.patience else None, patience=settings.patience or None,
        checkpoint_every=settings.checkpoint_every, precision=settings.precision, optimizer=settings.optimizer,
    )  # fmt: skip


def write_history(output: Output, **results: FitResult) -> None:
    """`history.json`: every training run of the stage by name, as lists of {step, name: value}."""
    rows = {name: result.history for name, result in results.items()}
    output.path("history.json").write_text(json.dumps(rows, indent=0), encoding="utf-8")


def write_screen(output: Output, spec: ScreenSpec) -> None:
    """`screen.json`: the screen this artifact was made for."""
    output.path("screen.json").write_text(json.dumps(spec.to_dict()), encoding="utf-8")


def require_screen(artifact: Artifact, spec: ScreenSpec) -> None:
    """Raise `InputError` unless `artifact` was made for the screen `spec`."""
    ScreenSpec.from_dict(json.loads(artifact.path("screen.json").read_text(encoding="utf-8"))).require(spec, artifact.ref)


def write_picture(output: Output, name: str, picture: np.ndarray) -> None:
    """A picture uint8 (H, W) or RGB (H, W, 3) as PNG."""
    if not cv2.imwrite(str(output.path(name)), picture[..., ::-1] if picture.ndim == 3 else picture):
        raise InputError(f"{output.path(name)}: cannot be written, expected room for a picture")


def side_by_side(left: np.ndarray, right: np.ndarray, spec: ScreenSpec) -> np.ndarray:
    """Frames (N, 144, 160[, 3]) in N rows of two, for looking at: uint8 (N·144, 320[, 3])."""
    return np.concatenate([np.concatenate(list(to_gray(frames, spec))) for frames in (left, right)], axis=1)


def spread(count: int, total: int) -> np.ndarray:
    """At most `count` of the numbers 0 … total - 1, evenly spread."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)) if total else np.zeros(0, np.int64)


@dataclass(frozen=True)
class Catalog:
    """Usable frames of one split: video and frame number of each (M,), and how often its like is seen."""

    video: np.ndarray
    index: np.ndarray
    repeats: np.ndarray  # how many frames of the split look the same

    @classmethod
    def of(cls, reader: FrameReader, split: str) -> Catalog:
        """Look through the whole split once.

        Raises:
            InputError: the split has no usable frame.
        """
        videos, indices, looks = [], [], []
        for video in reader.split(split):
            usable = reader.usable(video)
            videos.append(np.full(len(usable), video, np.int32))
            indices.append(usable.astype(np.int64))
            looks += [_look(reader.read(video, usable[i : i + CHUNK])) for i in range(0, len(usable), CHUNK)]
        if not looks:
            raise InputError(f"frames: no usable frame in the {split} split, expected at least one video with some")
        _, kind, count = np.unique(np.concatenate(looks), return_inverse=True, return_counts=True)
        return cls(np.concatenate(videos), np.concatenate(indices), count[kind.reshape(-1)])

    def __len__(self) -> int:
        return len(self.video)

    def read(self, reader: FrameReader, places: np.ndarray) -> np.ndarray:
        """The frames at `places` (n,) of this catalog: (n, 144, 160), in that order."""
        return reader.gather(self.video[places], self.index[places])

    def weights(self) -> np.ndarray:
        """Odds (M,) that see n frames of the same look √n times as often as one of a kind: text boxes stand still for long."""
        odds = 1.0 / np.sqrt(self.repeats)
        return odds / odds.sum()


def _look(frames: np.ndarray) -> np.ndarray:
    """A number (N,) that frames have in common when their 8×8 tiles are, to a sixteenth of the brightness, the same."""
    n = len(frames)
    mean = frames.reshape(n, 18, 8, 20, -1).astype(np.float32).mean(axis=(2, 4)).reshape(n, -1)
    coarse = np.round(mean * (16 / 3 if frames.max(initial=0) < 4 else 16 / 255)).astype(np.int64)
    factors = np.random.default_rng(0).integers(1, 2**62, coarse.shape[1], dtype=np.int64)
    return (coarse * factors).sum(axis=1)  # wraps around: a hash


class TokenStore:
    """The whole footage as tokens, computed once a tokenizer and kept in the stage's scratch: `grids(video)` is (N, 9, 10)."""

    def __init__(self, reader: FrameReader, tokenizer: Tokenizer, scratch: Path, tracker: Tracker, made_by: str) -> None:
        self.reader, self.vocab, self.folder = reader, tokenizer.vocab, scratch / "tokens" / made_by[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._grids: dict[int, np.ndarray] = {}
        missing = [video for video in range(len(reader.videos)) if not self._file(video).exists()]
        with tracker.progress(sum(reader.videos[v].count for v in missing), "tokens of the footage", "frames") as bar:
            for video in missing:
                count = reader.videos[video].count
                grids = np.empty((count, 9, 10), np.uint16)
                for start in range(0, count, CHUNK):
                    part = np.arange(start, min(start + CHUNK, count))
                    grids[part] = tokenizer.encode(reader.read(video, part)).cpu().numpy()
                    bar.update(len(part))
                aside = self._file(video).with_suffix(".part")
                with aside.open("wb") as file:
                    np.save(file, grids)
                os.replace(aside, self._file(video))

    def _file(self, video: int) -> Path:
        return self.folder / f"{video}.npy"

    def grids(self, video: int) -> np.ndarray:
        """Every frame of a video as tokens: uint16 (N, 9, 10), memory-mapped."""
        if video not in self._grids:
            self._grids[video] = np.load(self._file(video), mmap_mode="r")
        return self._grids[video]

    def read(self, video: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Grids int64 of frames `index` (n, …) of videos `video` (n,): (n, …, 9, 10)."""
        found = np.empty((*index.shape, 9, 10), np.int64)
        for one in np.unique(video):
            here = np.flatnonzero(video == one)
            found[here] = self.grids(int(one))[index[here]]
        return found


def transitions(reader: FrameReader, split: str, gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Every (video (M,), index (M,)) of a split whose frame and the one `gap` frames later both show the game.

    Blank frames count: a press of START is seen as a picture that fades to nothing.

    Raises:
        InputError: there are none.
    """
    videos, indices = [], []
    for video in reader.split(split):
        game = reader.flags(video) & NOT_GAME == 0
        here = np.flatnonzero(game[: max(0, len(game) - gap)] & game[gap:])
        videos.append(np.full(len(here), video, np.int64))
        indices.append(here.astype(np.int64))
    if not sum(len(part) for part in indices):
        raise InputError(f"frames: no two frames {gap} apart in the {split} split, expected footage longer than that")
    return np.concatenate(videos), np.concatenate(indices)


def past(index: np.ndarray, context: int, gap: int) -> np.ndarray:
    """Frames a model sees before and at `index` (n,): (n, context), `gap` apart, newest last, the first repeated."""
    return np.maximum(index[:, None] - gap * np.arange(context)[::-1], index[:, None] % gap)
