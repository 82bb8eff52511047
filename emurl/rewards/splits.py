"""A judge that remembers: how far along the course that all runs share, told from everything seen since power-on.

A belief over positions is carried from frame to frame (the forward pass of a hidden Markov model, Rabiner 1989), and four things
keep it from being talked into progress that was not made:

- A frame that looks like none of the footage says nothing, and one that was seen before in this episode says nothing new: neither
  waiting nor walking to and fro moves the belief.
- A frame may be off the course altogether. Then the belief stays where it is.
- Positions are passed a few at a time, and each has to look possible.
- **Splits** are passed in their order, each by a frame that belongs there. The belief cannot go past one that was not passed. Who goes
  without several shows as many of the next ones instead: an odd run is not held up for good, and a single picture talks nobody ahead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from emurl.core.errors import InputError
from emurl.core.files import write_json
from emurl.core.recall import key_of, recall
from emurl.core.settings import Natural, NonNegative, Settings, Share
from emurl.models.position import PositionModel

MODEL, SPLITS, KNOWN = "positions", "splits.json", "known.npy"

Chances = Annotated[tuple[Share, ...], Field(strict=False, min_length=2)]


@dataclass(frozen=True)
class Split:
    """A moment of the course: its position, the least log-ratio that passes it, and when the runs pass it, in seconds of the median run."""

    position: int
    threshold: float
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def likeness(grids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Largest share of tokens that each grid (n, 9, 10) has in common with one of `known` (m, 9, 10): float32 (n,); 0 without any."""
    if not len(known):
        return np.zeros(len(grids), np.float32)
    # A token a row, so that the comparisons run along the many and not along the ninety.
    columns = np.ascontiguousarray(known.reshape(len(known), -1).T)
    asked, back = np.unique(grids.reshape(len(grids), -1).astype(columns.dtype), axis=0, return_inverse=True)
    best = np.zeros(len(asked), np.float32)
    for at, grid in enumerate(asked):
        equal = np.zeros(columns.shape[1], np.uint8)
        for row, token in zip(columns, grid, strict=True):
            equal += row == token
        best[at] = equal.max() / len(columns)
    return np.asarray(best[back.reshape(-1)])


class JudgeSettings(Settings):
    """How the belief moves."""

    advance: Chances = (0.6, 0.3, 0.06, 0.03, 0.01)  # chances that an action's frame is 0, 1, … positions further on
    off_course: Share = 0.135  # likelihood of a frame that is off the course, where on it the average is 1
    max_log_ratio: NonNegative = 2.0  # nats that one frame may speak for a position at most
    min_log_ratio: NonNegative = 14.0  # nats that it may speak against one at most
    skip: Natural = 2  # splits in a row that one may go without: a runner's own names and a quicker way hide what others saw
    confirmations: Natural = 1  # splits shown in their order that make up for one more gone without; 0: nothing makes up for it
    confidence: Share = 0.9  # a position counts as reached when the belief is this sure that it was


@dataclass
class Standing:
    """Where an episode stands: belief float64 (K,), splits passed, the furthest position reached, and the grids seen so far.

    `reached` is that position and, as a fraction, the chance at best that the next was reached, too. `lacking` says of splits shown too
    early how many confirmations they lack yet, by their places.
    """

    belief: np.ndarray
    passed: int = 0
    furthest: int = 0
    seen: set[bytes] = field(default_factory=set)
    reached: float = 0.0
    lacking: dict[int, int] = field(default_factory=dict)

    def copy(self) -> Standing:
        """One that moves on by itself."""
        return Standing(self.belief.copy(), self.passed, self.furthest, set(self.seen), self.reached, dict(self.lacking))


class SplitJudge:
    """Progress of episodes, from their token grids in the order they were seen.

    Args:
        model: of positions. splits: in their order. known: the footage's grids, (m, 9, 10). min_likeness: share of tokens a frame must
            have in common with one of them.
    """

    def __init__(
        self, model: PositionModel, splits: Sequence[Split], known: np.ndarray, min_likeness: float, settings: JudgeSettings
    ) -> None:
        self.model, self.splits, self.known, self.min_likeness, self.settings = model, list(splits), known, min_likeness, settings
        self.positions = model.positions
        self._at = np.array([split.position for split in splits], np.int64)
        self._least = np.array([split.threshold for split in splits])
        self._looks: dict[bytes, np.ndarray | None] = {}

    @classmethod
    def from_folder(cls, folder: Path, device: str | torch.device = "cpu") -> SplitJudge:
        """The judge that `save` wrote into `folder`.

        Raises:
            InputError: there is none, or a file is damaged.
        """
        model = PositionModel.from_pretrained(folder / MODEL, device)
        try:
            told = json.loads((folder / SPLITS).read_text(encoding="utf-8"))
            splits = [Split(**one) for one in told["splits"]]
            known = np.load(folder / KNOWN, allow_pickle=False)
            settings = JudgeSettings(**told["judge"])
            least = float(told["min_likeness"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder}: holds no judge that can be read ({error}); run the reward stage again") from None
        return cls(model, splits, known, least, settings)

    def save(self, folder: Path, **more: Any) -> None:
        """Write model, splits and known grids into `folder`; `more` goes into splits.json."""
        self.model.save_pretrained(folder / MODEL)
        np.save(folder / KNOWN, self.known, allow_pickle=False)
        told = {
            "splits": [split.as_json() for split in self.splits],
            "positions": self.positions,
            "min_likeness": self.min_likeness,
            "judge": self.settings.model_dump(mode="json"),
            **more,
        }
        write_json(folder / SPLITS, told)

    def begin(self) -> Standing:
        """An episode at power-on."""
        belief = np.zeros(self.positions)
        belief[0] = 1.0
        return Standing(belief)

    def update(self, standings: Sequence[Standing], grids: np.ndarray) -> np.ndarray:
        """Show each episode its next grid, (n, 9, 10); returns which of them got further, positions gained int64 (n,)."""
        gained = np.zeros(len(grids), np.int64)
        keys = [key_of(grid) for grid in np.ascontiguousarray(grids, np.int16)]
        for i, (standing, key, ratio) in enumerate(zip(standings, keys, self._look(keys, grids), strict=True)):
            if ratio is None or key in standing.seen:
                continue
            standing.seen.add(key)
            before = standing.furthest
            self._move(standing, ratio)
            gained[i] = standing.furthest - before
        return gained

    def look(self, grids: np.ndarray) -> np.ndarray:
        """Look at grids (n, 9, 10) together and remember what they say: quicker than one by one in `update`.

        Returns:
            Their log-ratios, float64 (n, K), of those as well that look like nothing of the footage.
        """
        ratios = self.model.log_ratios(grids)
        keys = [key_of(grid) for grid in np.ascontiguousarray(grids, np.int16)]
        recall(self._looks, keys, lambda places: self._trusted(grids[places], ratios[places]))
        return ratios

    def progress(self, standing: Standing) -> float:
        """Share of the course that lies behind, 0 … 1; it never falls."""
        return standing.reached / (self.positions - 1)

    @property
    def goal(self) -> int:
        """The position at which the course is run: the last but one, because many runs end before the last picture of others."""
        return self.positions - 2

    def at_end(self, standing: Standing) -> bool:
        """Whether an episode has run the course."""
        return standing.furthest >= self.goal

    def _move(self, standing: Standing, ratio: np.ndarray) -> None:
        settings, belief = self.settings, standing.belief
        self._pass(standing, ratio[self._at] >= self._least)
        moved = np.zeros_like(belief)
        for advance, chance in enumerate(settings.advance):
            moved[advance:] += belief[: len(belief) - advance] * chance
        moved *= np.exp(np.clip(ratio, -settings.min_log_ratio, settings.max_log_ratio))
        moved += settings.off_course * belief
        if standing.passed < len(self._at):
            moved[self._at[standing.passed] :] = 0.0
        total = moved.sum()
        if total > 0:
            standing.belief = moved / total
        at_least = np.cumsum(standing.belief[::-1])[::-1]
        standing.furthest = max(standing.furthest, int((at_least > settings.confidence).sum()) - 1)
        ahead = float(at_least[standing.furthest + 1]) if standing.furthest + 1 < self.positions else 0.0
        standing.reached = max(standing.reached, standing.furthest + ahead)

    def _pass(self, standing: Standing, shown: np.ndarray) -> None:
        """Pass the splits that a frame is allowed to, where `shown`, bool (splits,), says which ones it belongs to.

        Who goes without more splits in a row than `skip` lacks as many confirmations for each of them. A split that follows one shown
        before (again without more than `skip` in between) confirms it; where none is lacking any more, all of them lie behind.
        """
        skip, each = self.settings.skip, self.settings.confirmations
        while True:
            passed, before = standing.passed, standing.lacking
            further = next((split for split in range(passed, min(passed + 1 + skip, len(shown))) if shown[split]), None)
            if further is None and each:
                lacking = dict(before)
                for split in (int(one) for one in np.flatnonzero(shown[passed:]) + passed):
                    chains = [before[one] - 1 for one in range(split - 1 - skip, split) if one in before]
                    lacking[split] = min([(split - passed - skip) * each, before.get(split, len(shown) * each), *chains])
                standing.lacking = lacking
                further = max((split for split, number in lacking.items() if number <= 0), default=None)
            if further is None:
                return
            standing.passed = further + 1
            standing.lacking = {}

    def _look(self, keys: list[bytes], grids: np.ndarray) -> list[np.ndarray | None]:
        """The log-ratios of grids (n, 9, 10) by their keys; None of one that looks like nothing of the footage."""
        return recall(self._looks, keys, lambda places: self._trusted(grids[places], self.model.log_ratios(grids[places])))

    def _trusted(self, grids: np.ndarray, ratios: np.ndarray) -> list[np.ndarray | None]:
        familiar = likeness(grids, self.known) >= self.min_likeness
        return [ratio if known else None for known, ratio in zip(familiar, ratios, strict=True)]
