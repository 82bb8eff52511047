"""What the judge makes of held-out runs, for the report: its progress over their time, and a contact sheet of the splits."""

from __future__ import annotations

import json

import numpy as np

from emurl.core.store import Output
from emurl.footage.alignment import AlignmentSettings
from emurl.footage.catalog import evenly_spread
from emurl.footage.dataset import NOT_GAME
from emurl.footage.split_times import Stopwatch
from emurl.footage.tokens import Tokens
from emurl.pipelines.speedrun.course import COURSE, watch
from emurl.report.splits_sheet import Shot, draw_sheet
from emurl.rewards.splits import SplitJudge

WATCHED = f"{COURSE}/watched.json"
SHEET = "splits.png"
RUNS, POINTS = 4, 300  # curves that can be told apart, and points that a screen shows of each


def show_course(judge: SplitJudge, settings: AlignmentSettings, tokens: Tokens, stride: int, output: Output) -> None:
    """Write `course/watched.json`, [{run, seconds, progress, splits}] of a few held-out runs, and `splits.png` of the first of them."""
    reader, told = tokens.reader, []
    for number, place in enumerate(reader.split("val")[:RUNS]):
        video = reader.videos[place]
        game = np.flatnonzero(reader.flags(place) & NOT_GAME == 0)
        if not len(game):
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
        if number == 0 and judge.splits:
            _sheet(judge, settings, tokens, place, game, output)
    output.path(WATCHED).write_text(json.dumps({"splits": len(judge.splits), "runs": told}) + "\n", encoding="utf-8")


def _sheet(judge: SplitJudge, settings: AlignmentSettings, tokens: Tokens, place: int, game: np.ndarray, output: Output) -> None:
    reader, stopwatch = tokens.reader, Stopwatch(judge, settings)
    stopwatch.show(np.asarray(tokens.grids(place)[game], np.int64), game)
    video = reader.videos[place]
    times = stopwatch.read(video.run_id, video.fps)
    pictures = [times.picture(split) for split in range(len(judge.splits))]
    shots = [
        Shot(None if frame is None else reader.read(place, [frame])[0], seconds)
        for frame, seconds in zip(pictures, times.seconds, strict=True)
    ]
    sheet = draw_sheet(f"{video.run_id}, held out: the moments that every run has in common", reader.spec, shots)
    sheet.quantize(64).save(output.path(SHEET), optimize=True)
