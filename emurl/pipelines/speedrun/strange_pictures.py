"""How strange the OOD detector finds a held-out run, for the report."""

from __future__ import annotations

import numpy as np

from emurl.core.store import Output
from emurl.footage.catalog import evenly_spread
from emurl.footage.dataset import CHUNK, FrameReader
from emurl.footage.transitions import transitions
from emurl.report.strip import strip_chart
from emurl.rewards.ood import OODDetector
from emurl.screen import to_gray

STRIP = "strangeness.png"
MOMENTS = 250  # that a strip of its width shows


def show_strangeness(detector: OODDetector, reader: FrameReader, stride: int, output: Output) -> None:
    """Write `strangeness.png`: the scores over the time of the first held-out run that has any."""
    video, index = transitions(reader, "val", stride)
    if not len(video):
        return
    index = index[video == video[0]]
    index = index[evenly_spread(MOMENTS, len(index))]
    place = int(video[0])
    found: dict[str, list[np.ndarray]] = {"frame": [], "temporal": [], "combined": []}
    for start in range(0, len(index), CHUNK):
        now = reader.read(place, index[start : start + CHUNK])
        later = reader.read(place, index[start : start + CHUNK] + stride)
        signs, usual = detector.signs(now, later), detector.calibration
        found["frame"].append(usual.frame_score(signs))
        found["temporal"].append(usual.score("surprise", signs["surprise"]))
        found["combined"].append(usual.combined_score(signs))
    scores = {name: np.concatenate(parts) for name, parts in found.items()}
    shown = reader.videos[place]
    table = detector.calibration.tables.get("combined")
    finest = 1.0 / len(table) if table is not None and len(table) else 1e-4
    chart = strip_chart(
        (index + stride) / shown.fps, scores, detector.is_strange(scores["combined"]),
        to_gray(reader.read(place, index + stride), reader.spec), detector.threshold, finest, f"{shown.run_id}, held out",
    )  # fmt: skip
    chart.quantize(128).save(output.path(STRIP), optimize=True)
