"""`videos`: download what the leaderboard links to, through yt-dlp; some failing is normal, all failing is not.

videos/<video_id>.mp4   one file a video that was downloaded and probed
videos.parquet          every row of runs.parquet with status (ok gone login private network not_video too_short),
reason, file, width,
                        height, fps, duration_s, codec, bytes
"""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

from emurl.artifacts import Artifact, Output
from emurl.cartridge.broadcast import Broadcast, serving
from emurl.config import VideosSettings
from emurl.errors import InputError, WorkError
from emurl.speedruns.download import Downloader
from emurl.tracking import Tracker

CODE_VERSION = 1


def run(settings: VideosSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Download the first `settings.max_videos` videos of the runs artifact; finished files survive a kill in scratch.

    Raises:
        InputError: the cookies file is missing, or the broadcast's port is taken.
        WorkError: not one video could be had, or the disk is full.
    """
    if settings.cookies is not None and not Path(settings.cookies).is_file():
        raise InputError(f"videos.cookies: {settings.cookies}: no such file, expected cookies in Netscape format")
    table = pd.read_parquet(inputs["runs"].path("runs.parquet")).head(settings.max_videos)
    rows: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    downloader = Downloader(
        output.scratch / "videos", max_height=settings.max_height, rate_limit=settings.rate_limit,
        cookies=settings.cookies, retries=settings.retries,
    )  # fmt: skip
    with nullcontext() if settings.broadcast is None else serving(settings.broadcast) as broadcast:
        if broadcast is not None:
            _render(broadcast, [row["url"] for row in rows], tracker)
        with tracker.progress(len(rows), "downloading", "videos") as bar:
            count = _Count()

            def one(row: dict[str, Any]) -> dict[str, Any]:
                url = row["url"] if broadcast is None else broadcast.here(row["url"])
                got = downloader.fetch(
                    url, row["video_id"], run_s=row["time_s"], parts=row["parts"],
                    progress=lambda done, _: bar.update(0, MB=count.told(row["video_id"], done) / 1e6),
                )  # fmt: skip
                bar.update(1)
                if got.status != "ok":
                    tracker.message(f"{row['url']}: {got.status}: {got.reason}")
                return {**row, **_facts(got.path, got), "status": got.status, "reason": got.reason}

            with ThreadPoolExecutor(settings.parallel) as pool:
                rows = list(pool.map(one, rows))
    good = [row for row in rows if row["status"] == "ok"]
    reasons = pd.Series([row["status"] for row in rows]).value_counts()
    if not good:
        told = ", ".join(f"{number} {status}" for status, number in reasons.items())
        raise WorkError(f"videos: none of {len(rows)} videos could be downloaded ({told}); the first: {rows[0]['reason']}")
    for row in good:
        keep(downloader.folder / row["file"], output.path(f"videos/{row['file']}"))
    pd.DataFrame(rows).to_parquet(output.path("videos.parquet"), index=False)
    output.metrics["downloaded"] = len(good)
    output.metrics["failed"] = len(rows) - len(good)
    for status, number in reasons.items():
        output.metrics[f"status_{status}"] = int(number)
    output.metrics["hours"] = round(sum(row["duration_s"] for row in good) / 3600, 4)
    output.metrics["megabytes"] = round(sum(row["bytes"] for row in good) / 1e6, 2)
    if len(good) < len(rows):
        output.note(f"{len(rows) - len(good)} of {len(rows)} videos failed; videos.parquet says why")


def _render(broadcast: Broadcast, urls: list[str], tracker: Tracker) -> None:
    """Have the broadcast's videos ready before anybody asks, with a bar: a first request would wait for minutes else."""
    missing = broadcast.missing(urls)
    if missing:
        with tracker.progress(len(missing), "rendering the broadcast", "videos") as bar:
            broadcast.render(missing, lambda entry: bar.update(1))


def _facts(path: Path | None, got: Any) -> dict[str, Any]:
    facts = got.facts
    return {
        "file": path.name if path else None,
        "width": facts.width if facts else None,
        "height": facts.height if facts else None,
        "fps": facts.fps if facts else None,
        "duration_s": facts.duration_s if facts else None,
        "codec": facts.codec if facts else None,
        "bytes": path.stat().st_size if path else None,
    }


def keep(source: Path, target: Path) -> None:
    """A second name for a finished file, so that a kill before publishing costs no download; a copy where links are unknown."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


class _Count:
    """Bytes of all downloads together."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()

    def told(self, name: str, done: int) -> int:
        """`name` has `done` bytes; returns the sum over all names."""
        with self._lock:
            self._done[name] = done
            return sum(self._done.values())
