"""`runs`: read a leaderboard. Every verified run with a video, one row a video, fastest runs first.

runs.parquet   run_id, category, player, time_s, date, url, part, parts, video_id
dropped.json   the runs left out, each with the reason
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict

import pandas as pd

from emurl.artifacts import Artifact, Output
from emurl.cartridge.broadcast import serving
from emurl.config import RunsSettings
from emurl.errors import InputError
from emurl.speedruns.http import Session
from emurl.speedruns.leaderboard import Leaderboard, RunVideo, collect
from emurl.tracking import Tracker

CODE_VERSION = 1


def run(settings: RunsSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Read the leaderboard at `settings.api_base`; with `settings.broadcast` the embedded game's own is on meanwhile.

    Raises:
        InputError: nobody answers there, the game or a category is unknown, or no run has a video.
        WorkError: the leaderboard kept failing.
    """
    with nullcontext() if settings.broadcast is None else serving(settings.broadcast) as broadcast:
        base = settings.api_base if broadcast is None else broadcast.here(settings.api_base)
        session = Session(settings.timeout_s, report=tracker.message)
        with tracker.progress(settings.max_runs, "runs read", "runs") as bar:
            found = collect(Leaderboard(base, session), settings.game, settings.categories, settings.max_runs, bar.update)
    if not found.rows:
        raise InputError(
            f"runs.game: {settings.game} at {base} has {found.runs} verified runs, none with a video; expected at least one"
        )
    columns = list(RunVideo.__dataclass_fields__)
    pd.DataFrame([asdict(row) for row in found.rows], columns=columns).to_parquet(output.path("runs.parquet"), index=False)
    dropped = [{"run_id": run_id, "reason": reason} for run_id, reason in found.dropped]
    output.path("dropped.json").write_text(json.dumps(dropped, indent=1), encoding="utf-8")
    output.metrics["videos"] = len(found.rows)
    output.metrics["runs"] = len({row.run_id for row in found.rows})
    output.metrics["runs_read"] = found.runs
    output.metrics["dropped"] = len(found.dropped)
    output.metrics["requests"] = session.requests
    output.metrics["fastest_s"] = found.rows[0].time_s
