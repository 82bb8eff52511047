"""`runs`: read a leaderboard. Every verified run with a video, one row a video, fastest runs first.

runs.parquet   run_id, category, player, time_s, date, url, part, parts, video_id
dropped.json   the runs, and the single videos, that were left out: run_id, category, reason, url

Pages of the leaderboard are kept beside the store (`Output.cache`), so that a rerun, forced or not, asks for little.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict
from typing import Annotated, Self

import pandas as pd
from pydantic import Field, model_validator

from emurl.core.errors import InputError
from emurl.core.settings import NOT_IN_FINGERPRINT, Positive, Rate, Settings
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.footage.leaderboard.http import Session
from emurl.footage.leaderboard.pages import Shelf
from emurl.footage.leaderboard.rows import RunVideo
from emurl.footage.leaderboard.speedrun_com import Leaderboard, collect
from emurl.games.settings import PORT, BroadcastSettings

DAY_S = 86_400.0
SPEAK_EVERY = 1000  # runs

METRICS: dict[str, str] = {
    "videos": "videos that the chosen runs link to, a row each",
    "runs": "runs with at least one video; beside `runs_read`",
    "runs_read": "verified runs of the chosen categories",
    "dropped": "runs left out altogether; dropped.json says why",
    "requests": "requests to the leaderboard; pages kept from before cost none",
    "fastest_s": "time of the fastest run, in seconds",
}


class RunsSettings(Settings):
    """`runs`: which leaderboard to read."""

    api_base: str = "https://www.speedrun.com/api/v1"  # the leaderboard's API
    game: str = "46w22l6r"  # id or abbreviation of the game on the leaderboard
    # Names or ids. Empty: the glitchless ones where a game has such (a glitch's order is not progress), else every one;
    # never those the site calls miscellaneous.
    categories: list[str] = Field(default_factory=list)
    max_runs: Positive = 50  # runs to take, the fastest first
    timeout_s: Rate = 30.0  # seconds to wait for an answer
    # Pages once read are kept beside the store; this many days later even old runs are looked at again. 0: always.
    recheck_days: Annotated[float, Field(ge=0, json_schema_extra=NOT_IN_FINGERPRINT)] = 7.0
    broadcast: BroadcastSettings | None = None  # the demo leaderboard that is read, where it is not a real site

    @model_validator(mode="after")
    def _of_one_leaderboard(self) -> Self:
        """Refuse an `api_base` that would not be read, for the demo leaderboard is."""
        if self.broadcast is not None and "api_base" in self.model_fields_set and not self.broadcast.is_at(self.api_base):
            raise InputError(
                f"runs.api_base: {self.api_base} would not be read, the demo leaderboard of `broadcast` would; "
                f"expected http://127.0.0.1:{self.broadcast.port or PORT}/api/v1, or broadcast: null"
            )
        return self


def run(settings: RunsSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Read the leaderboard at `settings.api_base`; with `settings.broadcast` a game's demo leaderboard is on meanwhile.

    Raises:
        InputError: nobody answers there, the game or a category is unknown, or no run has a video.
        WorkError: the leaderboard kept failing.
    """
    read = 0

    def told(count: int) -> None:
        nonlocal read
        before, read = read, read + count
        if before // SPEAK_EVERY != read // SPEAK_EVERY:
            tracker.message(f"{read} runs read, {session.requests} requests")

    with nullcontext() if settings.broadcast is None else settings.broadcast.open() as demo:
        base = settings.api_base if demo is None else demo.here(settings.api_base)
        session = Session(settings.timeout_s, report=tracker.message)
        shelf = Shelf(output.cache, settings.recheck_days * DAY_S)
        found = collect(Leaderboard(base, session, shelf, told), settings.game, settings.categories, settings.max_runs)
    tracker.message(
        f"{found.runs} runs in {', '.join(found.categories)}: {session.requests} requests, {found.runs - read} known from before"
    )
    if not found.rows:
        raise InputError(
            f"runs.game: {found.game} at {base} has {found.runs} verified runs in {', '.join(found.categories)}, "
            "none with a video; expected at least one"
        )
    columns = list(RunVideo.__dataclass_fields__)
    pd.DataFrame([asdict(row) for row in found.rows], columns=columns).to_parquet(output.path("runs.parquet"), index=False)
    dropped = [asdict(one) for one in found.dropped]
    output.path("dropped.json").write_text(json.dumps(dropped, indent=1), encoding="utf-8")
    output.metrics["videos"] = len(found.rows)
    output.metrics["runs"] = len({row.run_id for row in found.rows})
    output.metrics["runs_read"] = found.runs
    output.metrics["dropped"] = len({one.run_id for one in found.dropped} - {row.run_id for row in found.rows})
    output.metrics["requests"] = session.requests
    output.metrics["fastest_s"] = found.rows[0].time_s
    if found.left_out:
        output.note(found.left_out)
    reasons = Counter(
        one.reason if not one.reason.startswith("its video belongs") else "a video of another run" for one in found.dropped
    )
    if reasons:
        output.note(
            "left out: " + ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(4)) + "; see dropped.json"
        )
