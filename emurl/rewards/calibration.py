"""What is usual: the signs of strangeness on held-out footage, kept as quantiles, and scores that are shares of that footage.

A score is the empirical distribution function at a sign: the share of held-out footage that is less strange. It needs no assumption on how
the signs are distributed, which are far from normal: most moments are foreseen well, and a few by no means.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emurl.core.errors import InputError
from emurl.core.files import write_atomically
from emurl.core.refusals import shortly
from emurl.core.settings import NonNegative, Positive, Settings, Share

SIGNS = ("reconstruction", "surprise", "novelty")
FRAME_SIGNS = ("reconstruction", "novelty")  # those of a single frame
COMBINED, FRAME = "combined", "frame"
MOST_FRAMES = 1_000_000  # between the two of a pair: more than any footage has
FIELDS = ("reconstruction_mean", "reconstruction_std", "surprise_mean", "surprise_std")


class OODSettings(Settings):
    """How strangeness is scored."""

    threshold: Share = (
        0.99  # score from which on something is called strange: all but 1 in 100 moments of held-out footage stay below
    )
    quantiles: Positive = 1001  # points of each sign's distribution that are kept
    patches: tuple[Positive, ...] = (2, 4, 6)  # sides, in cells, of the arrangements of tokens that are known from the footage
    known_grids: Positive = 100_000  # grids of the training footage, at most, whose arrangements are known
    reconstruction_weight: NonNegative = 0.1  # of how badly a frame is said in tokens, in scores made of several signs
    surprise_weight: NonNegative = 0.5  # of how little it was foreseen
    novelty_weight: NonNegative = 1.0  # of how much of it is arranged as the footage never shows

    def weights(self) -> dict[str, float]:
        """By the sign's name."""
        return {name: getattr(self, f"{name}_weight") for name in SIGNS}


Signs = dict[str, np.ndarray]
"""Of N moments, by name, each float (N,): reconstruction in nats a pixel, surprise in nats a token, novelty a share of patches."""


def usual_statistics(misread: np.ndarray, surprise: np.ndarray) -> dict[str, float]:
    """Mean and standard deviation of misreading and surprise (N,) on held-out footage."""
    return {
        "reconstruction_mean": float(misread.mean()), "reconstruction_std": float(misread.std()),
        "surprise_mean": float(surprise.mean()), "surprise_std": float(surprise.std()),
    }  # fmt: skip


def share_below(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Share of an ascending table (M,) that lies below each value: float64 of the values' shape, 0 … 1."""
    return np.searchsorted(table, np.asarray(values, np.float64), side="left") / len(table)


@dataclass(frozen=True)
class Calibration:
    """Distributions of the signs on held-out footage.

    Attributes:
        tables: quantiles by sign, and of the two scores made of several (`frame`, `combined`), each ascending float64 (M,). Empty for
            artifacts made before there were quantiles: signs then count as normally distributed with `statistics`, which calls more of
            the footage strange than the threshold says, and there is no novelty.
        weights: of the signs in scores made of several. threshold: score from which on something is strange.
        statistics: means and standard deviations, the footage's frame_stride and fps.
    """

    tables: dict[str, np.ndarray]
    weights: dict[str, float]
    threshold: float
    statistics: dict[str, Any]

    @classmethod
    def of(cls, signs: Signs, settings: OODSettings, **more: Any) -> Calibration:
        """From the signs of held-out moments; `more` goes into the statistics."""
        levels = np.linspace(0.0, 1.0, settings.quantiles)
        tables = {name: np.quantile(np.asarray(values, np.float64), levels) for name, values in signs.items()}
        told = {**usual_statistics(signs["reconstruction"], signs["surprise"]), **more}
        first = cls(tables, settings.weights(), settings.threshold, told)
        tables |= {
            name: np.quantile(first._evidence(signs, parts), levels) for name, parts in ((FRAME, FRAME_SIGNS), (COMBINED, SIGNS))
        }
        return first

    @classmethod
    def from_dict(cls, told: Mapping[str, Any], where: str) -> Calibration:
        """From what `to_dict` gives, or the statistics alone, as older artifacts have them.

        Raises:
            InputError: a number is missing, of another kind or out of range; `where` names it.
        """
        missing = [name for name in FIELDS if not isinstance(told.get(name), int | float)]
        if missing:
            raise InputError(f"{where}: has no number {missing[0]}, expected {', '.join(FIELDS)}")
        _require_numbers(told, where)
        usual = OODSettings()
        try:
            tables = {str(name): np.asarray(table, np.float64) for name, table in told.get("quantiles", {}).items()}
            weights = {**usual.weights(), **{str(name): float(value) for name, value in told.get("weights", {}).items()}}
            threshold = float(told.get("threshold", usual.threshold))
            needed = {"reconstruction", "surprise", FRAME, COMBINED}
            if tables and not (needed <= tables.keys() and all(table.ndim == 1 and len(table) for table in tables.values())):
                raise ValueError(f"quantiles of {', '.join(sorted(tables))}")
            for name, table in tables.items():
                if not np.isfinite(table).all() or (np.diff(table) < 0).any():
                    raise ValueError(f"those of {name} are not finite and ascending")
            if not all(math.isfinite(weight) and weight >= 0 for weight in weights.values()):
                raise ValueError("a weight is not finite or below 0")
            if not 0 <= threshold <= 1:
                raise ValueError(f"threshold is {threshold}, no score from 0 to 1")
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{where}: its quantiles cannot be read ({error}); run dynamics again, or --calibrate") from None
        rest = {name: value for name, value in told.items() if name not in ("quantiles", "weights", "threshold")}
        return cls(tables, weights, threshold, rest)

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Calibration:
        """From a file.

        Raises:
            InputError: it cannot be read or lacks a number.
        """
        try:
            told = json.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: cannot be read ({error})") from None
        return cls.from_dict(told if isinstance(told, dict) else {}, str(file))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        tables = {name: table.tolist() for name, table in self.tables.items()}
        return {**self.statistics, "quantiles": tables, "weights": self.weights, "threshold": self.threshold}

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write it to `file`."""
        with write_atomically(Path(file)) as aside:
            aside.write_text(json.dumps(self.to_dict(), sort_keys=True) + "\n", encoding="utf-8")

    @property
    def knows_patches(self) -> bool:
        """Whether novelty is one of the signs."""
        return "novelty" in self.tables

    def score(self, name: str, values: np.ndarray) -> np.ndarray:
        """Scores float32 (N,) of one sign's values (N,), 0 … 1."""
        if self.tables:
            return share_below(self.tables[name], values).astype(np.float32)
        return torch.special.ndtr(torch.from_numpy(self._standardized(name, values))).numpy().astype(np.float32)

    def frame_score(self, signs: Signs) -> np.ndarray:
        """Scores float32 (N,) of the signs that a single frame has, 0 … 1."""
        return self._several(FRAME, FRAME_SIGNS, signs)

    def combined_score(self, signs: Signs) -> np.ndarray:
        """Scores float32 (N,) of all signs, 0 … 1."""
        return self._several(COMBINED, SIGNS, signs)

    def _several(self, name: str, parts: tuple[str, ...], signs: Signs) -> np.ndarray:
        if self.tables:
            return share_below(self.tables[name], self._evidence(signs, parts)).astype(np.float32)
        # Without distributions: Stouffer's sum of standardized signs, which is as usual as a normal variable.
        there = [part for part in parts if part in signs and f"{part}_mean" in self.statistics]
        total = np.sum([self.weights[part] * self._standardized(part, signs[part]) for part in there], axis=0)
        spread = np.sqrt(sum(self.weights[part] ** 2 for part in there)) or 1.0
        return torch.special.ndtr(torch.from_numpy(total / spread)).numpy().astype(np.float32)

    def _evidence(self, signs: Signs, parts: tuple[str, ...]) -> np.ndarray:
        """Weighted sum of −log(share of the footage at least as strange), float64 (N,): Fisher's method of combining tests, whose
        distribution is read off the footage too, because the signs are not independent."""
        total = np.zeros(len(signs["reconstruction"]))
        for part in parts:
            if part in self.tables:
                table = self.tables[part]
                above = len(table) * (1.0 - share_below(table, signs[part]))
                total -= self.weights[part] * np.log((above + 1.0) / (len(table) + 1.0))
        return total

    def _standardized(self, name: str, values: np.ndarray) -> np.ndarray:
        mean, std = self.statistics[f"{name}_mean"], self.statistics[f"{name}_std"]
        return (np.asarray(values, np.float64) - mean) / max(std, 1e-6)


def is_count(value: object) -> bool:
    """Whether what a JSON file says is a number of frames."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_FRAMES


def _require_numbers(told: Mapping[str, Any], where: str) -> None:
    """Refuse statistics by which nothing can be scored: every comparison with NaN is false, and nothing would be strange."""
    for name in (*FIELDS, "fps"):
        value = told.get(name)
        if value is None:  # an older artifact does not tell the fps
            continue
        # A spread of 0 is that of a single pair, or of footage that never changes.
        least = -math.inf if name.endswith("_mean") else 0.0
        if not _is_finite(value) or value < least or (name == "fps" and value == 0):
            bound = {"mean": "", "std": ", 0 or above", "fps": " above 0"}[name.rpartition("_")[2]]
            raise InputError(f"{where}: {name} is {shortly(value)}, expected a finite number{bound}")
    for name in ("frame_stride", "gap"):
        if told.get(name) is not None and not is_count(told[name]):
            raise InputError(f"{where}: {name} is {shortly(told[name])}, expected a number of frames ≥ 1")


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def scores_of_others(signs: Signs, groups: np.ndarray, settings: OODSettings) -> tuple[np.ndarray, np.ndarray]:
    """Frame and combined scores, each float32 (N,), of held-out moments by the distributions of the other groups of them.

    By its own distribution footage is called strange as often as the threshold says, whatever the detector is worth.

    Args:
        groups: the videos of the moments, (N,), in their order; those of a single video are parted in the middle.
    """
    groups = np.asarray(groups)
    if len(np.unique(groups)) < 2:
        groups = np.arange(len(groups)) * 2 // max(1, len(groups))
    frame, combined = np.zeros(len(groups), np.float32), np.zeros(len(groups), np.float32)
    for group in np.unique(groups):
        mine = groups == group
        if mine.all():  # a single moment
            continue
        calibration = Calibration.of({name: values[~mine] for name, values in signs.items()}, settings)
        own = {name: values[mine] for name, values in signs.items()}
        frame[mine], combined[mine] = calibration.frame_score(own), calibration.combined_score(own)
    return frame, combined
