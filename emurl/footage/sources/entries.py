"""What a listing says of its videos, made into rows of runs.parquet: the same table that a leaderboard gives.

Nobody timed these runs: a video is a run of one part, and its length stands for the run's time (`time_of: video`). The first
`max_runs` of the listing that can be had are taken, in the order of whoever made it (a search's relevance, a playlist's order); the
table itself is ordered as that of a leaderboard, shortest first, lengths that nobody tells last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from emurl.footage.leaderboard.links import video_id
from emurl.footage.leaderboard.rows import Collected, Dropped, RunVideo, clean

LONGEST_S = 1e9  # what claims to be longer is a mistake


@dataclass(frozen=True)
class Entry:
    """One video of a listing: its canonical address, its length in seconds (None: not told), and what else is known.

    `refused` is why it cannot be had, if it cannot: private, removed, live. `content` names a video by what it holds (hexadecimal) where that
    is known, so that two addresses of one are seen.
    """

    url: str
    length_s: float | None = None
    player: str = ""
    date: str | None = None
    refused: str = ""
    content: str = ""

    @property
    def name(self) -> str:
        """The `video_id`: of what it holds, or else of its address."""
        return self.content[:16] or video_id(self.url)


@dataclass(frozen=True)
class Bounds:
    """What is taken of a listing: at most `runs` videos, of `shortest_s` to `longest_s` seconds (None: of any length)."""

    runs: int
    shortest_s: float = 0.0
    longest_s: float | None = None

    def objection(self, length_s: float | None) -> str:
        """Why a video of this length is not taken; empty where it is. A length that is not told is no reason."""
        if length_s is None:
            return ""
        if length_s < self.shortest_s:
            return "shorter than runs.shortest_s"
        return "longer than runs.longest_s" if self.longest_s is not None and length_s > self.longest_s else ""


def collect(entries: Iterable[Entry], category: str, bounds: Bounds, title: str = "") -> Collected:
    """The first videos of a listing within `bounds`; everything before the last of them that is left out has its reason.

    Args:
        entries: in the order of the listing; no more of them are asked for than are needed.
        category: of all rows. title: what the listing is called in messages.
    """
    rows: dict[str, RunVideo] = {}
    dropped: list[Dropped] = []
    read = 0
    for entry in entries:
        read += 1
        length = _sound(entry.length_s)
        reason = entry.refused or ("listed twice" if entry.name in rows else "") or bounds.objection(length)
        if reason:
            dropped.append(Dropped(entry.name, category, reason, entry.url))
            continue
        rows[entry.name] = RunVideo(
            run_id=entry.name, category=clean(category), player=clean(entry.player) or "unknown",
            time_s=math.nan if length is None else length, date=entry.date, url=entry.url, part=1, parts=1, video_id=entry.name,
            time_of="video",
        )  # fmt: skip
        if len(rows) == bounds.runs:
            break
    full = f"the first {bounds.runs} that can be had were taken (runs.max_runs)" if len(rows) == bounds.runs else ""
    ordered = sorted(rows.values(), key=lambda row: (math.inf if math.isnan(row.time_s) else row.time_s, row.run_id))
    return Collected(ordered, dropped, read, title or category, [category], full)


def _sound(length_s: float | None) -> float | None:
    return length_s if length_s is not None and 0 < length_s < LONGEST_S else None
