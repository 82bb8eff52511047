"""What the judge makes of held-out runs, for the report: its progress over their time, and a contact sheet of the splits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from emurl.core.store import Output
from emurl.footage.alignment import AlignmentSettings
from emurl.footage.catalog import evenly_spread
from emurl.footage.dataset import NOT_GAME, FrameReader
from emurl.footage.split_times import Stopwatch
from emurl.footage.tokens import Tokens
from emurl.pipelines.speedrun.course import COURSE, watch
from emurl.report.splits_sheet import Shot, draw_sheet
from emurl.rewards.split_times import SplitTimes, median_runs
from emurl.rewards.splits import SplitJudge

WATCHED = f"{COURSE}/watched.json"
SHEET = "splits.png"
RUNS, POINTS = 4, 300  # curves that can be told apart, and points that a screen shows of each


def show_course(judge: SplitJudge, settings: AlignmentSettings, tokens: Tokens, stride: int, output: Output) -> None:
    """Write `course/watched.json`, `{splits, held_out, runs: [{run, seconds, progress, splits_passed}]}` of a few of the held-out runs,
    and `splits.png` of all of them.
    """
    reader = tokens.reader
    told: list[dict[str, Any]] = []
    times: list[SplitTimes] = []
    places: list[int] = []
    for place in reader.split("val"):
        video = reader.videos[place]
        game = np.flatnonzero(reader.flags(place) & NOT_GAME == 0)
        if not len(game):
            continue
        places.append(place)
        if judge.splits:
            stopwatch = Stopwatch(judge, settings)
            stopwatch.show(np.asarray(tokens.grids(place)[game], np.int64), game)
            times.append(stopwatch.read(video.run_id, video.fps))
        if len(told) == RUNS:
            continue
        seen = game[::stride]
        progress, passed, _ = watch(judge, np.asarray(tokens.grids(place)[seen], np.int64))
        shown = evenly_spread(POINTS, len(seen))
        told.append(
            {
                "run": video.run_id,
                "seconds": [round(float(seen[one]) / video.fps, 3) for one in shown],
                "progress": [round(float(progress[one]), 5) for one in shown],
                "splits_passed": int(passed[-1]),
            }
        )
    if times:
        _sheet(reader, places, times, output)
    document = {"splits": len(judge.splits), "held_out": len(places), "runs": told}
    output.path(WATCHED).write_text(json.dumps(document) + "\n", encoding="utf-8")


def _sheet(reader: FrameReader, places: Sequence[int], times: Sequence[SplitTimes], output: Output) -> None:
    """Of each split what the median of the runs shows in the middle of where it stands: the moment itself is often a fade, and one run
    has not a time for each."""
    shots = []
    for split, chosen in enumerate(median_runs(times)):
        frame = None if chosen is None else times[chosen].picture(split)
        if chosen is None or frame is None:
            shots.append(Shot(None, None))
        else:
            shots.append(Shot(reader.read(places[chosen], [frame])[0], times[chosen].seconds[split]))
    sheet = draw_sheet(f"{len(times)} held-out runs, the median one at each split", reader.spec, shots)
    sheet.quantize(64).save(output.path(SHEET), optimize=True)
