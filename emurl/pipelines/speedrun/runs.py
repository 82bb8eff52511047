"""`runs`: read a leaderboard, or another place where videos are. One row a video, fastest runs first.

runs.parquet   run_id, category, player, time_s, date, url, part, parts, video_id, time_of
dropped.json   the runs, and the single videos, that were left out: run_id, category, reason, url

Of a leaderboard (`source: speedrun.com`) every verified run with a video is read, and `time_s` is the run's time (`time_of: run`).
Elsewhere nobody timed the runs: a video is a run, its length stands for the time (`time_of: video`; NaN where no page tells it), and
what shows no game is left to the screen finder of `frames`.

Pages of the leaderboard, and what single videos' pages told, are kept beside the store (`Output.cache`): a rerun, forced or not, asks
for little.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pandas as pd
from pydantic import Field, field_serializer, model_validator

from emurl.core.errors import InputError
from emurl.core.proxies import without_user
from emurl.core.settings import NOT_IN_FINGERPRINT, Natural, NonNegative, PathText, Positive, Rate, Settings
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.footage.leaderboard.http import Session, require_address
from emurl.footage.leaderboard.pages import Shelf
from emurl.footage.leaderboard.rows import Collected, RunVideo
from emurl.footage.leaderboard.speedrun_com import Leaderboard, collect
from emurl.footage.sources import folder
from emurl.footage.sources.entries import Bounds
from emurl.footage.sources.gather import ASKED, READ, Wanted, gather
from emurl.footage.sources.listing import Listings
from emurl.games.settings import PORT, BroadcastSettings

DAY_S = 86_400.0
SPEAK_EVERY = 1000  # runs

METRICS: dict[str, str] = {
    "videos": "videos that the chosen runs link to, a row each",
    "runs": "runs with at least one video; beside `runs_read`",
    "runs_read": "verified runs of the chosen categories, or videos of the listing that were looked at",
    "dropped": "runs left out altogether; dropped.json says why",
    "requests": "requests to the leaderboard or the site; pages kept from before cost none",
    "fastest_s": "time of the fastest run, in seconds; of the shortest video where lengths stand for times",
}


class RunsSettings(Settings):
    """`runs`: where the runs are."""

    # A leaderboard (`api_base`, `game`, `categories`); what `query` says of YouTube, Twitch or the Internet Archive; the file of addresses
    # or the folder of videos at `path`.
    source: Literal["speedrun.com", "youtube", "twitch", "archive", "urls", "folder"] = "speedrun.com"
    # YouTube: words to search for, or the address of a playlist or a channel. Twitch: a channel, or the address of its videos or of
    # a collection. Archive: the name or the address of a collection or an item, or a search as it is written there.
    query: str = ""
    # `urls`: a file of addresses, one a line. `folder`: a folder of videos, which are used where they are. What they hold decides.
    path: Annotated[PathText | None, Field(json_schema_extra=NOT_IN_FINGERPRINT)] = None
    # The leaderboard's API. A user and a password in it (`http://me:secret@host/api/v1`) are sent there, and recorded nowhere.
    api_base: str = "https://www.speedrun.com/api/v1"
    game: str = "46w22l6r"  # id or abbreviation of the game on the leaderboard
    # Names or ids. Empty: the glitchless ones where a game has such (a glitch's order is not progress), else every one;
    # never those the site calls miscellaneous.
    categories: list[str] = Field(default_factory=list)
    max_runs: Positive = 50  # runs to take: of a leaderboard the fastest, else the first of the listing that can be had
    max_listed: Positive = 1000  # videos of a site's listing that are looked at to find them; of the Archive, items
    shortest_s: NonNegative = 0.0  # where a video's length stands for a time: seconds below which it is left out
    longest_s: Rate | None = None  # and above which
    timeout_s: Rate = 30.0  # seconds to wait for an answer
    # Seconds between two requests to a site that yt-dlp reads; a leaderboard and the Archive's search are asked 100 times a minute at most.
    pause_s: NonNegative = Field(default=0.75, json_schema_extra=NOT_IN_FINGERPRINT)
    retries: Natural = Field(
        default=3, json_schema_extra=NOT_IN_FINGERPRINT
    )  # of a request of yt-dlp's that failed on the network
    # Of a site that shows some lists only to who is logged in: a file in Netscape format, never written to.
    cookies: PathText | None = Field(default=None, json_schema_extra=NOT_IN_FINGERPRINT)
    # Pages once read are kept beside the store; this many days later even old runs are looked at again. 0: always.
    recheck_days: Annotated[float, Field(ge=0, json_schema_extra=NOT_IN_FINGERPRINT)] = 7.0
    broadcast: BroadcastSettings | None = None  # the demo leaderboard that is read, where it is not a real site

    @model_validator(mode="after")
    def _of_one_leaderboard(self) -> Self:
        """Refuse an `api_base` that is no address, and one that would not be read, for the demo leaderboard is."""
        if self.broadcast is not None and "api_base" in self.model_fields_set and not self.broadcast.is_at(self.api_base):
            raise InputError(
                f"runs.api_base: {without_user(self.api_base)} would not be read, the demo leaderboard of `broadcast` would; "
                f"expected http://127.0.0.1:{self.broadcast.port or PORT}/api/v1, or broadcast: null"
            )
        if self.source == "speedrun.com":
            require_address("runs.api_base", self.api_base)
        return self

    @model_validator(mode="after")
    def _of_one_source(self) -> Self:
        """Refuse a source without what it needs, and what the source would not read."""
        for key, given, readers, example in (
            ("query", self.query.strip(), ASKED, "what to look for there"),
            ("path", self.path, READ, "a file of addresses" if self.source == "urls" else "a folder of videos"),
        ):
            if self.source in readers and not given:
                raise InputError(f"runs.{key}: not given, expected {example} (runs.source: {self.source})")
            if self.source not in readers and given:
                raise InputError(f"runs.{key}: {given} would not be read, expected runs.source: {one_of(readers)}")
        if self.source != "speedrun.com" and self.broadcast is not None:
            raise InputError(
                f"runs.source: {self.source} would not be read, the demo leaderboard of `broadcast` would; expected broadcast: null"
            )
        if self.longest_s is not None and self.longest_s < self.shortest_s:
            raise InputError(
                f"runs.longest_s: {self.longest_s:g} is below runs.shortest_s, expected at least {self.shortest_s:g}"
            )
        return self

    def files(self) -> dict[str, Path]:
        """The file of addresses: what it says decides, not where it lies."""
        return {"path": Path(self.path)} if self.source == "urls" and self.path is not None else {}

    @field_serializer("api_base")
    def _as_recorded(self, api_base: str) -> str:
        """An artifact's manifest and a tracker say where the runs were read, and not by whose password."""
        return without_user(api_base)

    def fingerprint_values(self) -> dict[str, Any]:
        """The address without user and password. With a folder: where it lies, for the table names its files, and what each video holds.

        Raises:
            InputError: there is no such folder, or no video in it.
        """
        values = super().fingerprint_values() | {"api_base": without_user(self.api_base)}
        if self.source == "folder" and self.path is not None:
            at = Path(self.path)
            values |= {"folder": folder.place(at), "contents": folder.contents(at)}
        return values


def run(settings: RunsSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Read the source; with `settings.broadcast` a game's demo leaderboard is on meanwhile.

    Raises:
        InputError: nobody answers there, the game, a category or a listing is unknown, a file or a folder is none, or no run has a video.
        WorkError: the leaderboard or the site kept failing.
    """
    shelf = Shelf(output.cache, settings.recheck_days * DAY_S)
    if settings.source == "speedrun.com":
        found, requests = _leaderboard(settings, shelf, tracker)
    else:
        found, requests = _elsewhere(settings, shelf, tracker)
    columns = list(RunVideo.__dataclass_fields__)
    pd.DataFrame([asdict(row) for row in found.rows], columns=columns).to_parquet(output.path("runs.parquet"), index=False)
    dropped = [asdict(one) for one in found.dropped]
    output.path("dropped.json").write_text(json.dumps(dropped, indent=1), encoding="utf-8")
    output.metrics["videos"] = len(found.rows)
    output.metrics["runs"] = len({row.run_id for row in found.rows})
    output.metrics["runs_read"] = found.runs
    output.metrics["dropped"] = len({one.run_id for one in found.dropped} - {row.run_id for row in found.rows})
    output.metrics["requests"] = requests
    if not math.isnan(found.rows[0].time_s):
        output.metrics["fastest_s"] = found.rows[0].time_s
    if found.left_out:
        output.note(found.left_out)
    if reasons := _reasons(found):
        output.note(f"left out: {reasons}; see dropped.json")


def one_of(names: Sequence[str]) -> str:
    """Names as a sentence has them: `a, b or c`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def listings_of(settings: RunsSettings, tracker: Tracker) -> Listings:
    """How the sites that yt-dlp reads are asked.

    Raises:
        InputError: the cookies cannot be read.
    """
    return Listings(
        cookies=settings.cookies, pause_s=settings.pause_s, timeout_s=settings.timeout_s, retries=settings.retries,
        report=tracker.message,
    )  # fmt: skip


def wanted_of(settings: RunsSettings) -> Wanted:
    """What is gathered where no leaderboard is read."""
    bounds = Bounds(settings.max_runs, settings.shortest_s, settings.longest_s)
    return Wanted(settings.source, settings.query, settings.path or "", settings.max_listed, bounds)


def _elsewhere(settings: RunsSettings, shelf: Shelf, tracker: Tracker) -> tuple[Collected, int]:
    listings = listings_of(settings, tracker)
    found = gather(wanted_of(settings), listings, shelf)
    tracker.message(f"{found.runs} videos of {found.game}: {len(found.rows)} taken, {listings.requests} requests")
    if not found.rows:
        key = "runs.query" if settings.source in ASKED else "runs.path"
        why = f" ({_reasons(found)})" if found.dropped else ""
        raise InputError(f"{key}: {found.game}: {found.runs} videos listed, none can be had{why}; expected at least one")
    return found, listings.requests


def _leaderboard(settings: RunsSettings, shelf: Shelf, tracker: Tracker) -> tuple[Collected, int]:
    read = 0

    def told(count: int) -> None:
        nonlocal read
        before, read = read, read + count
        if before // SPEAK_EVERY != read // SPEAK_EVERY:
            tracker.message(f"{read} runs read, {session.requests} requests")

    with nullcontext() if settings.broadcast is None else settings.broadcast.open() as demo:
        base = settings.api_base if demo is None else demo.here(settings.api_base)
        session = Session(settings.timeout_s, report=tracker.message)
        found = collect(Leaderboard(base, session, shelf, told), settings.game, settings.categories, settings.max_runs)
    tracker.message(
        f"{found.runs} runs in {', '.join(found.categories)}: {session.requests} requests, {found.runs - read} known from before"
    )
    if not found.rows:
        raise InputError(
            f"runs.game: {found.game} at {without_user(base)} has {found.runs} verified runs in {', '.join(found.categories)}, "
            "none with a video; expected at least one"
        )
    return found, session.requests


def _reasons(found: Collected) -> str:
    """How many were left out for which reasons, the most frequent first."""
    reasons = Counter(
        one.reason if not one.reason.startswith("its video belongs") else "a video of another run" for one in found.dropped
    )
    return ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(4))
