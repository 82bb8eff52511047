"""When every run of the footage passes the splits that they have in common."""

from __future__ import annotations

import numpy as np

from emurl.core.tracking import Tracker
from emurl.footage.dataset import CHUNK, NOT_GAME
from emurl.footage.tokens import Tokens
from emurl.rewards.split_times import SplitTimes, Stopwatch
from emurl.rewards.splits import SplitJudge


def footage_times(judge: SplitJudge, tokens: Tokens, tracker: Tracker) -> list[SplitTimes]:
    """The times of every video of the footage, in its order; a run is called by its id, or by its video's where it has several."""
    videos = tokens.reader.videos
    runs = [video.run_id for video in videos]
    times = []
    with tracker.progress(sum(video.count for video in videos), "splits of the footage", "frames") as bar:
        for place, video in enumerate(videos):
            watch, done = Stopwatch(judge), 0
            game = np.flatnonzero(tokens.reader.flags(place) & NOT_GAME == 0)
            grids = tokens.grids(place)
            for first in range(0, len(game), CHUNK):
                part = game[first : first + CHUNK]
                watch.show(np.asarray(grids[part], np.int64), part)
                bar.update(len(part))
                done += len(part)
                if watch.finished:
                    break
            bar.update(video.count - done)
            times.append(watch.read(video.run_id if runs.count(video.run_id) == 1 else video.id, video.fps))
    return times
