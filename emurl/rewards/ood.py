"""How far a moment of play is from anything the footage shows, told by three signs:

reconstruction  how badly a frame is said in tokens (nats a pixel): another game, a damaged picture
surprise        how little it was foreseen from the frame before (nats a token; the dynamics model): a move the game does not make
novelty         how much of it is arranged as the footage never shows (share of patches of tokens): a place no runner visits

Scores are shares of held-out footage that is less strange, 0 … 1 (`emurl.rewards.calibration`); several signs are combined by Fisher's
method (Fisher 1925, "Statistical Methods for Research Workers"). A multiplier made of them may only ever shrink gains: one that also
shrank penalties would pay the agent for leaving the distribution.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emurl.core.errors import InputError
from emurl.core.store import Store, split_ref
from emurl.models.base import as_tensor
from emurl.models.dynamics import Dynamics
from emurl.models.tokenizer import Tokenizer
from emurl.rewards.calibration import Calibration, Signs
from emurl.rewards.calibration import usual_statistics as usual_statistics
from emurl.rewards.novelty import KnownPatches
from emurl.screen import EMULATOR_THRESHOLDS, quantize

BATCH = 256
USUAL = "ood.json"
CALIBRATED = "ood_calibrated.json"  # beside `USUAL`, and before it: written by hand, so that the artifact stays as it was made
LEAST_WORTH = 1e-3  # of a gain at a score that no footage reaches
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def patches_file(usual: Path) -> Path:
    """Where the known patches lie that belong to a file of what is usual."""
    return usual.with_suffix(".npz")


@torch.inference_mode()
def signs(
    tokenizer: Tokenizer, dynamics: Dynamics, grids: Any, grids_next: Any, frames_next: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The two signs that the networks give, each float32 (N,): misreading in nats a pixel, surprise in nats a token.

    Args:
        grids, grids_next: tokens (N, 9, 10) of the frames before and after. frames_next: the frames after, uint8 (N, 144, 160[, 3]).
    """
    grids, grids_next = as_tensor(grids, tokenizer.device).long(), as_tensor(grids_next, tokenizer.device).long()
    misread = tokenizer.reconstruction_error(frames_next, grids_next).cpu().numpy()
    return misread, dynamics.nll(grids, grids_next).cpu().numpy()


class OODDetector:
    """Scores frames, and pairs of frames one action apart. Everywhere frames are canonical, uint8 (N, 144, 160) with ranks 0–3, or RGB,
    uint8 (N, 144, 160, 3) with 0–255.

    Args:
        tokenizer, dynamics: the trained models, in evaluation mode.
        usual: what is usual on held-out footage, a `Calibration` or what its file says. Where that has no quantiles (an artifact of an
            older emurl) signs count as normally distributed with its means and deviations, and novelty is left out.
        free: scores up to here cost nothing (None: up to the threshold); softness: how slowly gains shrink beyond it, 1 in proportion to
            the share of footage that is as strange, larger slower.
        known: the footage's patches; needed where `usual` has a distribution of novelty.

    Raises:
        InputError: `usual` lacks something, `free` or `softness` is out of range, or the models have different vocabularies.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        dynamics: Dynamics,
        usual: Calibration | Mapping[str, Any],
        free: float | None = None,
        softness: float = 1.0,
        known: KnownPatches | None = None,
    ) -> None:
        self.calibration = usual if isinstance(usual, Calibration) else Calibration.from_dict(usual, USUAL)
        if self.calibration.knows_patches and known is None:
            raise InputError(f"{USUAL}: speaks of novelty, and no known patches are given; run dynamics again, or --calibrate")
        if dynamics.vocab != tokenizer.vocab:
            raise InputError(f"dynamics: speaks {dynamics.vocab} tokens, expected {tokenizer.vocab}, as the tokenizer does")
        self.tokenizer, self.dynamics, self.known = tokenizer, dynamics, known
        self.free = self.threshold if free is None else free
        self.softness = softness
        if not 0 <= self.free < 1:
            raise InputError(f"free is {self.free}, expected a score from 0 to below 1: a share of held-out footage")
        if softness <= 0:
            raise InputError(f"softness is {softness}, expected more than 0")

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: str | os.PathLike[str],
        dynamics: str | os.PathLike[str],
        store: str | os.PathLike[str] = "data",
        device: str | torch.device = "cpu",
        free: float | None = None,
        softness: float = 1.0,
        calibration: str | os.PathLike[str] | None = None,
    ) -> OODDetector:
        """The detector over two artifacts, each named by a ref (`tokenizer`, `tokenizer@v3`) in `store` or by its folder.

        A folder may be the artifact's, or the `model` folder in it. What is usual is read from `calibration`, or else from beside the
        dynamics model: `ood_calibrated.json` (written by `tools/ood_detector.py --calibrate`) before `ood.json` (by the stage).

        Raises:
            InputError: one of them is not there or is of another kind, or what is usual is missing or damaged.
        """
        models = load_models(tokenizer, dynamics, store, device)
        foresight = model_folder(dynamics, store)
        places = [folder / name for name in (CALIBRATED, USUAL) for folder in (foresight.parent, foresight)]
        file = Path(calibration) if calibration is not None else next((place for place in places if place.exists()), None)
        if file is None:
            raise InputError(
                f"{foresight.parent / USUAL}: no such file, expected the dynamics artifact to hold it, or --calibrate to write it"
            )
        usual = Calibration.load(file)
        known = KnownPatches.load(patches_file(file)) if usual.knows_patches else None
        return cls(*models, usual=usual, free=free, softness=softness, known=known)

    @property
    def usual(self) -> dict[str, Any]:
        """Means and deviations of the signs, and the footage's frame_stride and fps."""
        return dict(self.calibration.statistics)

    @property
    def threshold(self) -> float:
        """Score from which on something is called strange."""
        return self.calibration.threshold

    @property
    def frame_stride(self) -> int:
        """Footage frames between the two of a pair, as the dynamics model learned it; 1 where `usual` does not tell."""
        usual = self.calibration.statistics
        return int(usual.get("frame_stride") or usual.get("gap") or 1)  # `gap`: in artifacts of an older emurl

    def signs(self, frames_t: np.ndarray, frames_t1: np.ndarray) -> Signs:
        """The signs of pairs as they are measured, each float (N,); novelty only where patches are known.

        Raises:
            ValueError: the shapes differ or are no frames', or the values are not uint8.
        """
        before, after = self._canonical(frames_t, "frames_t"), self._canonical(frames_t1, "frames_t1")
        if before.shape != after.shape:
            raise ValueError(f"frames_t has shape {np.shape(frames_t)} and frames_t1 {np.shape(frames_t1)}, expected the same")
        return self._signs(after, before)

    def compute_ood_scores(self, frames: np.ndarray) -> np.ndarray:
        """Scores float32 (N,) of frames by themselves, 0 … 1: share of held-out footage that is said better in tokens and more familiar.

        Raises:
            ValueError: the shape is no frames', or the values are not uint8.
        """
        return self.calibration.frame_score(self._signs(self._canonical(frames, "frames")))

    def compute_temporal_ood_scores(self, frames_t: np.ndarray, frames_t1: np.ndarray) -> np.ndarray:
        """Scores float32 (N,) of what followed one action after `frames_t`, 0 … 1: share of held-out footage that surprises less.

        Raises:
            ValueError: the shapes differ or are no frames', or the values are not uint8.
        """
        return self.calibration.score("surprise", self.signs(frames_t, frames_t1)["surprise"])

    def compute_combined_ood_scores(self, frames_t: np.ndarray, frames_t1: np.ndarray) -> np.ndarray:
        """Scores float32 (N,) of frames one action after `frames_t`, by all signs, 0 … 1: share of held-out footage that is less strange.

        Raises:
            ValueError: the shapes differ or are no frames', or the values are not uint8.
        """
        return self.calibration.combined_score(self.signs(frames_t, frames_t1))

    def is_strange(self, scores: np.ndarray) -> np.ndarray:
        """Whether scores (N,) of any kind reach the threshold: bool (N,)."""
        return np.asarray(scores) >= self.threshold

    def get_reward_multiplier(self, scores: np.ndarray) -> np.ndarray:
        """What a gain is worth at scores (N,): float32 (N,), 1 up to `free`, from there down to a thousandth at score 1.

        Never to 0: a gain stays a gain.
        """
        left = np.clip((1.0 - np.asarray(scores, np.float64)) / (1.0 - self.free), 0.0, 1.0)
        return np.maximum(np.power(left, 1.0 / self.softness), LEAST_WORTH).astype(np.float32)

    @staticmethod
    def shrink_gains(rewards: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
        """Rewards (N,) with gains times `multiplier` (N,) and losses as they were."""
        rewards = np.asarray(rewards)
        return np.where(rewards > 0, rewards * multiplier, rewards)

    @torch.inference_mode()
    def _signs(self, after: np.ndarray, before: np.ndarray | None = None) -> Signs:
        """The signs of frames, with surprise where those before them are given."""
        parts: dict[str, list[np.ndarray]] = {"reconstruction": [], "novelty": [], "surprise": []}
        for start in range(0, len(after), BATCH):
            frames = after[start : start + BATCH]
            grids = self.tokenizer.encode(frames)
            if before is None:
                misread = self.tokenizer.reconstruction_error(frames, grids).cpu().numpy()
            else:
                earlier = self.tokenizer.encode(before[start : start + BATCH])
                misread, surprise = signs(self.tokenizer, self.dynamics, earlier, grids, frames)
                parts["surprise"].append(surprise)
            parts["reconstruction"].append(misread)
            if self.known is not None:
                parts["novelty"].append(self.known.novelty(grids.cpu().numpy()))
        there = [
            "reconstruction",
            *(["novelty"] if self.known is not None else []),
            *(["surprise"] if before is not None else []),
        ]
        return {name: np.concatenate(parts[name]) if parts[name] else np.zeros(0, np.float32) for name in there}

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


def load_models(
    tokenizer: str | os.PathLike[str],
    dynamics: str | os.PathLike[str],
    store: str | os.PathLike[str],
    device: str | torch.device = "cpu",
) -> tuple[Tokenizer, Dynamics]:
    """The two models, each named by a ref in `store` or by its folder.

    Raises:
        InputError: one of them is not there or is of another kind.
    """
    return (
        Tokenizer.from_pretrained(model_folder(tokenizer, store), device),
        Dynamics.from_pretrained(model_folder(dynamics, store), device),
    )


def model_folder(where: str | os.PathLike[str], store: str | os.PathLike[str]) -> Path:
    """The `model` folder of an artifact named by a folder or by a ref in `store`.

    Raises:
        InputError: there is none.
    """
    path = Path(where)
    if path.is_dir():
        return path / "model" if (path / "model").is_dir() else path
    if isinstance(where, str) and _is_ref(where):
        artifact = Store(store).get(where)
        for name in (USUAL, patches_file(Path(USUAL)).name):
            with contextlib.suppress(InputError):  # a tokenizer has none
                artifact.path(name)  # lies beside the model; a remote store's files are there once they are asked for
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
    return {
        "pairs": len(scores),
        "score_mean": float(scores.mean()),
        "score_p95": float(np.quantile(scores, 0.95)),
        "multiplier_mean": float(detector.get_reward_multiplier(scores).mean()),
        "strange": float(detector.is_strange(scores).mean()),
    }
