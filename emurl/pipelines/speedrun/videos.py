"""`videos`: download what the runs link to, through yt-dlp; some failing is normal, all failing is not.

videos/<video_id>.mp4   one file a video that was downloaded and probed, and holds its run
videos.parquet          every row of runs.parquet with status (ok gone login private network setup outdated not_video
                        too_short too_long), reason, file, width, height, fps, duration_s, held_s, codec, bytes;
                        where a length stands for a run's time (time_of: video), time_s is the measured one

Videos of a local folder are taken where they are: the artifact holds a second name of each file (a hard link), and a copy only where
the disk of the store is another. They are never moved, changed or removed.

What was downloaded stays beside the store (`Output.cache`, hard links: it costs no room while an artifact holds it), so that
a rerun, forced or with other settings, fetches only what is not there. `emurl artifacts gc` clears what no artifact holds.
"""

from __future__ import annotations

import math
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import Field

from emurl.core.errors import InputError, WorkError
from emurl.core.lease import hold_folder
from emurl.core.progress import Progress
from emurl.core.proxies import without_user
from emurl.core.settings import NOT_IN_FINGERPRINT, Natural, PathText, Positive, Rate, Settings
from emurl.core.store import Artifact, Output
from emurl.core.threads import Stop, each
from emurl.core.tracking import Tracker
from emurl.footage.download import local
from emurl.footage.download.downloader import Download, Downloader, container_of, whole_runs
from emurl.footage.download.youtube import INSTALL
from emurl.footage.tables import with_columns
from emurl.games.base import DemoLeaderboard
from emurl.games.settings import BroadcastSettings

METRICS: dict[str, str] = {
    "downloaded": "↑ videos downloaded, probed and found to hold their run; beside `failed`",
    "failed": "↓ videos that are of no use; videos.parquet says why",
    "status_*": "videos by what became of them: ok, gone, login, private, network, setup (something is missing here), "
    "outdated (yt-dlp is), not_video, too_short, too_long",
    "hours": "length of the downloaded videos, in hours",
    "megabytes": "size of the downloaded videos, in megabytes",
}


class VideosSettings(Settings):
    """`videos`: how to download."""

    max_height: Positive = 720  # pixels; the best quality up to it is downloaded
    max_videos: Positive = 50  # videos to download, those of the fastest runs first
    parallel: Positive = Field(default=2, json_schema_extra=NOT_IN_FINGERPRINT)  # downloads at the same time
    rate_limit: Natural = Field(default=0, json_schema_extra=NOT_IN_FINGERPRINT)  # bytes a second of all together, 0 for none
    cookies: PathText | None = Field(
        default=None, json_schema_extra=NOT_IN_FINGERPRINT
    )  # a file in Netscape format, never written to
    retries: Natural = Field(default=3, json_schema_extra=NOT_IN_FINGERPRINT)  # of a download that failed on the network
    longest_gap_s: Rate = 60.0  # between two pictures; in a longer one the file's clock was set, and no time passed
    broadcast: BroadcastSettings | None = None

    def settled(self, inputs: Mapping[str, Artifact]) -> Self:
        """As they are, where the runs are of the leaderboard whose videos are to be had.

        Raises:
            InputError: one of the two is the demo leaderboard, and the other is not.
        """
        runs = inputs["runs"]
        told = runs.manifest["settings"]
        if "broadcast" in told and (told["broadcast"] is None) != (self.broadcast is None):
            theirs, expected = "the demo leaderboard", "its broadcast, or runs of a site"
            if self.broadcast is not None:
                theirs = without_user(str(told.get("api_base")))
                if told.get("source", "speedrun.com") != "speedrun.com":
                    theirs = str(told["source"])
                expected = "broadcast: null, or runs of the demo leaderboard"
            raise InputError(f"videos.broadcast: {runs.ref} was read from {theirs}, expected {expected} (run runs)")
        return self


def run(settings: VideosSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Download the first `settings.max_videos` videos of the runs artifact; what is there survives a kill.

    Raises:
        InputError: the cookies are none, the demo leaderboard's port is taken, or not one video is of any use.
        WorkError: the network kept us from having any, or the disk is full.
    """
    table = inputs["runs"].read("runs.parquet", with_columns("video_id", "url", "time_s", "parts")).head(settings.max_videos)
    rows: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    with _folder(settings, output) as folder:
        _download(settings, rows, folder, output, tracker)


def _download(settings: VideosSettings, rows: list[dict[str, Any]], folder: Path, output: Output, tracker: Tracker) -> None:
    downloader = Downloader(
        folder, max_height=settings.max_height, cookies=settings.cookies, retries=settings.retries,
        rate_limit=-(-settings.rate_limit // settings.parallel), longest_gap_s=settings.longest_gap_s,
    )  # fmt: skip
    with nullcontext() if settings.broadcast is None else settings.broadcast.open() as demo:
        if demo is not None:
            _render(demo, [row["url"] for row in rows], tracker)
        with tracker.progress(len(rows), "downloading", "videos") as bar:
            shown = _Shown(bar)

            def one(row: dict[str, Any], stop: Stop) -> Download:
                name = row["video_id"]

                def told(done: int, _: int | None) -> None:
                    stop.check()
                    shown.bytes(name, done)

                if local.is_local(row["url"]):
                    got = local.take(
                        row["url"], name, run_s=_run_s(row), parts=row["parts"], longest_gap_s=settings.longest_gap_s
                    )
                else:
                    got = downloader.fetch(
                        row["url"] if demo is None else demo.here(row["url"]), name, run_s=_run_s(row), parts=row["parts"],
                        progress=told,
                    )  # fmt: skip
                shown.done(got.status)
                if got.status != "ok":
                    tracker.message(f"{row['url']}: {got.status}: {got.reason}")
                return got

            found = each(one, rows, settings.parallel)
    found = whole_runs([(row["run_id"], _run_s(row), row["parts"]) for row in rows], found)
    rows = [{**row, **_facts(got, row)} for row, got in zip(rows, found, strict=True)]
    good = [row for row in rows if row["status"] == "ok"]
    reasons = pd.Series([row["status"] for row in rows]).value_counts()
    if not good:
        raise _nothing(rows, reasons, output.scratch / "reasons.csv")
    for row, got in zip(rows, found, strict=True):
        if got.path is not None and row["status"] == "ok":
            keep(got.path, output.path(f"videos/{row['file']}"))
    pd.DataFrame(rows).to_parquet(output.path("videos.parquet"), index=False)
    output.metrics["downloaded"] = len(good)
    output.metrics["failed"] = len(rows) - len(good)
    for status, number in reasons.items():
        output.metrics[f"status_{status}"] = int(number)
    output.metrics["hours"] = round(sum(row["duration_s"] for row in good) / 3600, 4)
    output.metrics["megabytes"] = round(sum(row["bytes"] for row in good) / 1e6, 2)
    if len(good) < len(rows):
        told = ", ".join(f"{number} {status}" for status, number in reasons.items() if status != "ok")
        output.note(f"{len(rows) - len(good)} of {len(rows)} videos failed ({told}); videos.parquet says why")


@contextmanager
def _folder(settings: VideosSettings, output: Output) -> Iterator[Path]:
    """Where downloads go: beside the store, or into scratch while another run of the stage is at work there.

    A demo leaderboard is at hand and its videos may have been rendered anew: they are always fetched.
    """
    scratch = output.scratch / "videos"
    if output.cache is None or settings.broadcast is not None:
        yield scratch
        return
    with hold_folder(output.cache, "videos: the downloads beside the store") as ours:
        yield output.cache / "files" / f"{settings.max_height}p" if ours else scratch


def _nothing(rows: list[dict[str, Any]], reasons: pd.Series, table: Path) -> InputError | WorkError:
    """What to say when no video is left: where the network had a part in it trying again may help, else the links are bad."""
    pd.DataFrame(rows)[["run_id", "video_id", "url", "status", "reason"]].to_csv(table, index=False)
    told = ", ".join(f"{number} {status}" for status, number in reasons.items())
    line = f"videos: none of {len(rows)} videos could be used ({told}); the first: {rows[0]['reason']}; every reason: {table}"
    if "network" in reasons.index:
        return WorkError(f"{line}; the same command tries again")
    if reasons.index.isin(["setup", "outdated"]).any():
        return WorkError(f"{line}; {INSTALL} brings what yt-dlp needs, emurl doctor says what that is")
    return InputError(f"{line}; expected at least one video of a run (runs.source, runs.game, runs.categories, videos.cookies)")


def _render(demo: DemoLeaderboard, urls: list[str], tracker: Tracker) -> None:
    """Have the demo leaderboard's videos ready before anybody asks, with a bar: a first request would wait for minutes else."""
    missing = demo.missing(urls)
    if missing:
        with tracker.progress(len(missing), "rendering the demo leaderboard", "videos") as bar:
            demo.render(missing, lambda entry: bar.update(1))


def _run_s(row: dict[str, Any]) -> float:
    """The time of a row's run in seconds; 0 where it is not known."""
    return 0.0 if math.isnan(row["time_s"]) else float(row["time_s"])


def _facts(got: Download, row: dict[str, Any]) -> dict[str, Any]:
    facts, path = got.facts, got.path
    measured = {"time_s": facts.duration_s} if facts and row.get("time_of") == "video" else {}
    return measured | {
        "status": got.status,
        "reason": got.reason,
        "file": f"{row['video_id']}.{container_of(facts)}" if facts else None,
        "width": facts.width if facts else None,
        "height": facts.height if facts else None,
        "fps": facts.fps if facts else None,
        "duration_s": facts.duration_s if facts else None,
        "held_s": round(got.held_s, 3) if facts else None,
        "codec": facts.codec if facts else None,
        "bytes": path.stat().st_size if path else None,
    }


def keep(source: Path, target: Path) -> None:
    """A second name for a finished file, so that a kill before publishing costs no download; a copy where links are unknown."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


class _Shown:
    """All downloads in one bar: videos done of all, megabytes of all together, how many failed."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._lock = bar, threading.Lock()
        self._bytes: dict[str, int] = {}
        self._failed = 0

    def bytes(self, name: str, done: int) -> None:
        """`name` has `done` bytes."""
        with self._lock:
            self._bytes[name] = done
            self._bar.update(0, MB=sum(self._bytes.values()) / 1e6, failed=self._failed)

    def done(self, status: str) -> None:
        """One more is settled."""
        with self._lock:
            self._failed += status != "ok"
            self._bar.update(1, failed=self._failed)
