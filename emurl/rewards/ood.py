"""How far a moment of play is from anything the footage shows: the tokenizer's misreading and the dynamics model's surprise.

Both are standardized by their mean and spread on held-out footage (`ood.json` in the dynamics artifact), so a score is in standard
deviations of ordinary play. A multiplier made of it may only ever shrink gains: one that also shrank penalties would pay
the agent for leaving the distribution.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emurl.core.errors import InputError
from emurl.core.store import Store, split_ref
from emurl.models.base import as_tensor
from emurl.models.dynamics import Dynamics
from emurl.models.tokenizer import Tokenizer
from emurl.screen import EMULATOR_THRESHOLDS, quantize

BATCH = 256
USUAL = "ood.json"
FIELDS = ("reconstruction_mean", "reconstruction_std", "surprise_mean", "surprise_std")
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@torch.inference_mode()
def signs(
    tokenizer: Tokenizer, dynamics: Dynamics, grids: Any, grids_next: Any, frames_next: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The two signs of being out of distribution, each float32 (N,): misreading in nats a pixel, surprise in nats a token.

    Args:
        grids, grids_next: tokens (N, 9, 10) of the frames before and after. frames_next: the frames after, uint8 (N, 144, 160[, 3]).
    """
    grids, grids_next = as_tensor(grids, tokenizer.device).long(), as_tensor(grids_next, tokenizer.device).long()
    misread = tokenizer.reconstruction_error(frames_next, grids_next).cpu().numpy()
    return misread, dynamics.nll(grids, grids_next).cpu().numpy()


def usual_statistics(misread: np.ndarray, surprise: np.ndarray) -> dict[str, float]:
    """What is usual, as `OODDetector` takes it: mean and standard deviation of both signs (N,) on held-out footage."""
    return {
        "reconstruction_mean": float(misread.mean()), "reconstruction_std": float(misread.std()),
        "surprise_mean": float(surprise.mean()), "surprise_std": float(surprise.std()),
    }  # fmt: skip


class OODDetector:
    """Scores pairs of frames one action apart.

    Args:
        tokenizer, dynamics: the trained models, in evaluation mode.
        usual: reconstruction_mean, reconstruction_std (nats a pixel), surprise_mean, surprise_std (nats a token) on
            held-out footage.
        free: scores up to here (standard deviations) cost nothing; softness: standard deviations beyond it that halve a gain
            once more.

    Raises:
        InputError: `usual` lacks a number, or the models have different vocabularies.
    """

    def __init__(
        self, tokenizer: Tokenizer, dynamics: Dynamics, usual: dict[str, float], free: float = 2.0, softness: float = 2.0
    ) -> None:
        missing = [name for name in FIELDS if not isinstance(usual.get(name), int | float)]
        if missing:
            raise InputError(f"{USUAL}: has no number {missing[0]}, expected {', '.join(FIELDS)}")
        if dynamics.vocab != tokenizer.vocab:
            raise InputError(f"dynamics: speaks {dynamics.vocab} tokens, expected {tokenizer.vocab}, as the tokenizer does")
        self.tokenizer, self.dynamics, self.usual = tokenizer, dynamics, dict(usual)
        self.free, self.softness = free, softness

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: str | os.PathLike[str],
        dynamics: str | os.PathLike[str],
        store: str | os.PathLike[str] = "data",
        device: str | torch.device = "cpu",
        free: float = 2.0,
        softness: float = 2.0,
    ) -> OODDetector:
        """The detector over two artifacts, each named by a ref (`tokenizer`, `tokenizer@v3`) in `store` or by its folder.

        A folder may be the artifact's, or the `model` folder in it.

        Raises:
            InputError: one of them is not there or is of another kind, or `ood.json` is missing.
        """
        sight, foresight = _folder(tokenizer, store), _folder(dynamics, store)
        models = Tokenizer.from_pretrained(sight, device), Dynamics.from_pretrained(foresight, device)
        file = next((folder / USUAL for folder in (foresight.parent, foresight) if (folder / USUAL).exists()), None)
        if file is None:
            raise InputError(f"{foresight.parent / USUAL}: no such file, expected the dynamics artifact to hold it")
        try:
            usual = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: cannot be read ({error})") from None
        return cls(*models, usual=usual, free=free, softness=softness)

    @property
    def frame_stride(self) -> int:
        """Footage frames between the two of a pair, as the dynamics model learned it; 1 where `usual` does not tell."""
        return int(self.usual.get("frame_stride") or self.usual.get("gap") or 1)  # `gap`: in artifacts of an older emurl

    def compute_combined_ood_scores(self, frames_t: np.ndarray, frames_t1: np.ndarray) -> np.ndarray:
        """Scores float32 (N,) of frames and those one action later; higher is stranger, 0 is ordinary.

        Frames are canonical, uint8 (N, 144, 160) with ranks 0–3, or RGB, uint8 (N, 144, 160, 3) with 0–255. The score is the mean of
        two standardized signs: how badly `frames_t1` is said in tokens, and how little it was foreseen from `frames_t`.

        Raises:
            ValueError: the shapes differ or are neither of these, or the values are not uint8.
        """
        before, after = self._canonical(frames_t, "frames_t"), self._canonical(frames_t1, "frames_t1")
        if before.shape != after.shape:
            raise ValueError(f"frames_t has shape {np.shape(frames_t)} and frames_t1 {np.shape(frames_t1)}, expected the same")
        parts = [self._scores(before[i : i + BATCH], after[i : i + BATCH]) for i in range(0, len(before), BATCH)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def get_reward_multiplier(self, scores: np.ndarray) -> np.ndarray:
        """What a gain is worth at scores (N,): 1 up to `free`, then halved every `softness`; float32 (N,) in (0, 1]."""
        beyond = np.clip((np.asarray(scores, np.float32) - self.free) / self.softness, 0.0, 60.0)
        return np.exp2(-beyond).astype(np.float32)

    @staticmethod
    def shrink_gains(rewards: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
        """Rewards (N,) with gains times `multiplier` (N,) and losses as they were."""
        rewards = np.asarray(rewards)
        return np.where(rewards > 0, rewards * multiplier, rewards)

    @torch.inference_mode()
    def _scores(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        grids = self.tokenizer.encode(before), self.tokenizer.encode(after)
        misread, surprise = signs(self.tokenizer, self.dynamics, *grids, after)
        usual = self.usual
        standardized = (
            (misread - usual["reconstruction_mean"]) / max(usual["reconstruction_std"], 1e-6),
            (surprise - usual["surprise_mean"]) / max(usual["surprise_std"], 1e-6),
        )
        return (0.5 * (standardized[0] + standardized[1])).astype(np.float32)

    def _canonical(self, frames: np.ndarray, name: str) -> np.ndarray:
        frames = np.asarray(frames)
        color, shades = self.tokenizer.channels == 3, self.tokenizer.shades
        if frames.dtype != np.uint8 or frames.shape[1:] not in ((144, 160), (144, 160, 3)):
            raise ValueError(
                f"{name} is {frames.dtype} of shape {frames.shape}, expected uint8 (N, 144, 160) or RGB (N, 144, 160, 3)"
            )
        if color != (frames.ndim == 4):
            if color:
                raise ValueError(f"{name} has shape {frames.shape}, expected (N, 144, 160, 3): this tokenizer reads color")
            gray = frames.astype(np.float32) @ LUMINANCE
            if shades == 256:
                return np.rint(gray).astype(np.uint8)
            return quantize(gray, EMULATOR_THRESHOLDS)  # these also part the grays that `to_gray` shows
        if len(frames) and int(frames.max()) >= shades:
            raise ValueError(f"{name} has the value {frames.max()}, expected ranks 0 to {shades - 1}: see emurl.screen")
        return frames


def _folder(where: str | os.PathLike[str], store: str | os.PathLike[str]) -> Path:
    """The `model` folder of an artifact named by a folder or a ref."""
    path = Path(where)
    if path.is_dir():
        return path / "model" if (path / "model").is_dir() else path
    if isinstance(where, str) and _is_ref(where):
        artifact = Store(store).get(where)
        with contextlib.suppress(InputError):  # a tokenizer has none
            artifact.path(USUAL)  # lies beside the model; a remote store's files are there once they are asked for
        return artifact.path("model")
    raise InputError(f"{where}: no such folder, expected an artifact's folder or a ref such as tokenizer@v3")


def _is_ref(text: str) -> bool:
    try:
        split_ref(text)
    except InputError:
        return False
    return True


def describe(detector: OODDetector, frames_t: np.ndarray, frames_t1: np.ndarray) -> dict[str, Any]:
    """Scores and multipliers of pairs in a few numbers, JSON-ready."""
    scores = detector.compute_combined_ood_scores(frames_t, frames_t1)
    multiplier = detector.get_reward_multiplier(scores)
    return {
        "pairs": len(scores),
        "score_mean": float(scores.mean()),
        "score_p95": float(np.quantile(scores, 0.95)),
        "multiplier_mean": float(multiplier.mean()),
        "strange": float((multiplier < 0.5).mean()),
    }
