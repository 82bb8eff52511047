"""A run as the API tells it, made into rows of runs.parquet: one a video, or none and the reason."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from emurl.footage.leaderboard.links import video_id, video_links

_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True)
class RunVideo:
    """One video of one run: a row of runs.parquet. `part` counts from 1, `parts` are how many videos the run has.

    `time_of` says what `time_s` is the time of: `run`, as the leaderboard tells it, or `video`, its length, where nobody timed the
    run; NaN for a length that nobody tells before the video is there.
    """

    run_id: str
    category: str
    player: str
    time_s: float
    date: str | None
    url: str
    part: int
    parts: int
    video_id: str
    time_of: str = "run"


@dataclass(frozen=True)
class Dropped:
    """A run, or with `url` one video of it, that was left out, and why."""

    run_id: str
    category: str
    reason: str
    url: str | None = None


@dataclass
class Collected:
    """What came of reading a leaderboard: rows to keep, what was left out and why, and how many runs were read.

    `left_out` says in words which categories were not read.
    """

    rows: list[RunVideo]
    dropped: list[Dropped]
    runs: int
    game: str
    categories: list[str] = field(default_factory=list)
    left_out: str = ""


def slim(run: dict[str, Any]) -> dict[str, Any]:
    """What of a run is worth keeping: what `rows_of` reads, and the players as names."""
    times = run.get("times")
    return {
        **({"id": run["id"]} if "id" in run else {}),
        **{key: run.get(key) for key in ("category", "videos", "date", "submitted")},
        "times": {"primary_t": times.get("primary_t")} if isinstance(times, dict) else None,
        "players": _players(run.get("players")),
    }


def rows_of(run: dict[str, Any], category: str) -> tuple[list[RunVideo], str]:
    """One row a video of a run, and why there is none when there is none. Kept without a date and by guests."""
    name = str(run.get("id", ""))
    if not _ID.fullmatch(name):
        return [], "its id is none"
    time_s = _seconds(run.get("times"))
    if time_s is None:
        return [], "no time"
    videos = run.get("videos")
    links = video_links(videos)
    if not links:
        return [], "no video" if not videos else "no link to a video in the video field"
    return [
        RunVideo(
            run_id=name,
            category=clean(category),
            player=_players(run.get("players")),
            time_s=time_s,
            date=_date(run.get("date")) or _date(run.get("submitted")),
            url=link,
            part=part,
            parts=len(links),
            video_id=video_id(link),
        )
        for part, link in enumerate(links, start=1)
    ], ""


def _seconds(times: Any) -> float | None:
    value = times.get("primary_t") if isinstance(times, dict) else None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1e9 or not math.isfinite(value):
        return None
    return float(value)


def _date(value: Any) -> str | None:
    """The day of a date or a time as the API writes it, None for anything else."""
    found = _DATE.match(value) if isinstance(value, str) else None
    return found[0] if found else None


def _players(players: Any) -> str:
    """Names of a run's players, embedded or not, users or guests: `a, b`."""
    if isinstance(players, str):  # already so
        return clean(players) or "unknown"
    if isinstance(players, dict):
        players = players.get("data")
    names = []
    for player in players if isinstance(players, list) else []:
        if isinstance(player, dict):
            known = player.get("names")
            told = known.get("international") if isinstance(known, dict) else None
            names.append(clean(str(told or player.get("name") or player.get("id") or "?")))
    return ", ".join(names) or "unknown"


def clean(text: str) -> str:
    """`text` as one line that a terminal and a table can hold."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())[:200]
