"""How strange the OOD detector finds a held-out run, for the report."""

from __future__ import annotations

import numpy as np

from emurl.core.store import Output
from emurl.footage.dataset import FrameReader
from emurl.report.strip import strip_chart
from emurl.rewards.calibration import Signs
from emurl.rewards.ood import OODDetector
from emurl.screen import to_gray

STRIP = "strangeness.png"


def show_strangeness(
    detector: OODDetector, own: Signs, video: np.ndarray, index: np.ndarray, reader: FrameReader, stride: int, output: Output
) -> None:
    """Write `strangeness.png`: the scores over the time of the first held-out run that has any.

    Args:
        own: signs of held-out pairs, (N,) each, that begin with frames `index` (N,) of videos `video` (N,), in order.
    """
    if not len(video):
        return
    place = int(video[0])
    first = video == place
    index, usual = index[first], detector.calibration
    signs = {name: values[first] for name, values in own.items()}
    scores = {
        "frame": usual.frame_score(signs),
        "temporal": usual.score("surprise", signs["surprise"]),
        "combined": usual.combined_score(signs),
    }
    shown = reader.videos[place]
    table = detector.calibration.tables.get("combined")
    finest = 1.0 / len(table) if table is not None and len(table) else 1e-4
    chart = strip_chart(
        (index + stride) / shown.fps, scores, detector.is_strange(scores["combined"]),
        to_gray(reader.read(place, index + stride), reader.spec), detector.threshold, finest, f"{shown.run_id}, held out",
    )  # fmt: skip
    chart.quantize(128).save(output.path(STRIP), optimize=True)
