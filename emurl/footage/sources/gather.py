"""One setting, many sources: which listing is meant by `runs.source` and what is asked of it, and the table that comes of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

from emurl.core.errors import InputError
from emurl.footage.leaderboard.http import Session
from emurl.footage.leaderboard.pages import Shelf
from emurl.footage.leaderboard.rows import Collected
from emurl.footage.sources import addresses, archive, folder
from emurl.footage.sources.entries import Bounds, Entry, collect
from emurl.footage.sources.listing import Listings

ASKED = ("youtube", "twitch", "archive")  # sources that `query` says what to look for in
READ = ("urls", "folder")  # sources that `path` names
_YOUTUBE = re.compile(r"(?:[\w-]+\.)?youtube\.com|youtu\.be", re.IGNORECASE)
_PLAYLIST = re.compile(r"(?:PL|UU|FL|OLAK5uy_)[\w-]{10,60}", re.ASCII)
_TWITCH = re.compile(r"(?:[\w-]+\.)?twitch\.tv", re.IGNORECASE)
_CHANNEL = re.compile(r"\w{2,25}", re.ASCII)
_HOST = re.compile(r"(?:[\w-]+\.)*[\w-]+\.[a-z]{2,}/\S*", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """What to gather: `query` of a site, or `path` of a file or a folder; at most `listed` entries are looked at."""

    source: str
    query: str
    path: str
    listed: int
    bounds: Bounds


def gather(wanted: Wanted, listings: Listings, shelf: Shelf, report: Callable[[str], None] = lambda line: None) -> Collected:
    """The rows of a source other than a leaderboard; `Listings.requests` counts what was asked of sites.

    Raises:
        InputError: the query or the path is none, or there is no such listing.
        WorkError: a site kept failing.
    """
    session = Session(listings.timeout_s, report=report, key="runs.source", there="the Internet Archive")
    category = wanted.query if wanted.source in ASKED else wanted.source
    found = collect(
        _entries(wanted, listings, session, shelf), category, wanted.bounds, f"{wanted.source} {wanted.query or wanted.path}"
    )
    listings.requests += session.requests
    return found


def _entries(wanted: Wanted, listings: Listings, session: Session, shelf: Shelf) -> Iterator[Entry]:
    match wanted.source:
        case "youtube":
            return listings.entries(youtube_address(wanted.query, wanted.listed), wanted.listed)
        case "twitch":
            return listings.entries(twitch_address(wanted.query), wanted.listed)
        case "archive":
            return archive.entries(wanted.query, wanted.listed, session, listings, shelf)
        case "urls":
            return addresses.entries(Path(wanted.path), listings, shelf)
        case "folder":
            return folder.entries(Path(wanted.path))
    raise ValueError(wanted.source)


def youtube_address(query: str, most: int) -> str:
    """What yt-dlp calls a search for `query`, or the playlist, channel or video that it is the address or the id of.

    Raises:
        InputError: it is an address of another site.
    """
    wanted = query.strip()
    if _PLAYLIST.fullmatch(wanted):
        return f"https://www.youtube.com/playlist?list={wanted}"
    if not _is_address(wanted):
        return f"ytsearch{most}:{wanted}"
    parts = _split(wanted)
    if parts is None or not _YOUTUBE.fullmatch(parts.hostname or "") or not (parts.path.strip("/") or parts.query):
        raise InputError(
            f"runs.query: {query}: is no address of YouTube, expected one of a playlist or a channel, or words to search for"
        )
    return parts.geturl()


def twitch_address(query: str) -> str:
    """The address of a channel's videos, or of the collection or video that `query` is the address of.

    Raises:
        InputError: it is neither a channel's name nor such an address.
    """
    wanted = query.strip().removeprefix("@")
    if _CHANNEL.fullmatch(wanted):
        return f"https://www.twitch.tv/{wanted.lower()}/videos?filter=all&sort=time"
    parts = _split(wanted) if _is_address(wanted) else None
    if parts is not None and _TWITCH.fullmatch(parts.hostname or ""):
        steps = [step for step in parts.path.split("/") if step]
        if len(steps) == 1 and _CHANNEL.fullmatch(steps[0]):
            return twitch_address(steps[0])
        if len(steps) >= 2 and (steps[0] in ("collections", "videos") or steps[1] in ("videos", "clips", "profile")):
            return f"https://www.twitch.tv/{'/'.join(steps)}" + (f"?{parts.query}" if parse_qs(parts.query) else "")
    raise InputError(
        f"runs.query: {query}: is no channel of Twitch, expected its name, https://www.twitch.tv/NAME/videos or …/collections/ID"
    )


def _is_address(text: str) -> bool:
    return "://" in text or _HOST.fullmatch(text) is not None


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        return parts if parts.scheme in ("http", "https") else None
    except ValueError:
        return None
