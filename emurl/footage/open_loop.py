"""The fastest run of the footage as a list of buttons to press without looking: what knowing the route alone is worth.

If such a list wins, a game plays the same every time and a policy may win by rote. It is a baseline of `evaluation`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from emurl.core.files import write_json
from emurl.footage.dataset import FrameReader
from emurl.footage.sequences import labeled_actions

REPLAY = "replay.json"


@dataclass(frozen=True)
class OpenLoop:
    """A run as actions, one after the other, and how long runs are.

    Attributes:
        run: the run's id. videos: ids of its videos. actions: buttons, -1 (`NO_BUTTON`) where the footage shows no press.
        footage_steps: actions that each run of the footage takes, by its id. footage_median_steps: their median.
    """

    run: str
    videos: list[str]
    actions: list[int]
    footage_steps: dict[str, int]
    footage_median_steps: float

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> OpenLoop:
        """What `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def open_loop(labels: pd.DataFrame, reader: FrameReader, stride: int) -> OpenLoop | None:
    """The fastest run of the footage, of either split, by its labels; None where no frame is usable.

    A run is as long as its videos are from the first to the last usable frame. Actions begin at the first of these, one every
    `stride` frames; what is labeled between two of them is the same press seen again.

    Args:
        labels: video (its place in `reader.videos`), frame and action. stride: frames an action takes.
    """
    parts: dict[str, list[int]] = {}
    spans: dict[int, np.ndarray] = {}
    for place, video in enumerate(reader.videos):
        usable = reader.usable(place)
        if len(usable):
            parts.setdefault(video.run_id, []).append(place)
            spans[place] = np.arange(usable[0], usable[-1] + 1, stride)
    if not parts:
        return None
    steps = {run: sum(len(spans[place]) for place in places) for run, places in parts.items()}
    fastest = min(steps, key=lambda run: steps[run])
    actions: list[int] = []
    for place in parts[fastest]:
        actions += labeled_actions(labels, reader, place)[spans[place]].tolist()
    videos = [reader.videos[place].id for place in parts[fastest]]
    return OpenLoop(fastest, videos, actions, steps, float(np.median(list(steps.values()))))
