"""Where a run's videos are: links out of what people typed, one spelling for each video, and safe names of our own."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

_LINK = re.compile(r"https?://[^\s<>\"'\])]+", re.IGNORECASE)
_YOUTUBE = ("youtube.com", "m.youtube.com", "music.youtube.com", "youtube-nocookie.com")


def video_links(videos: dict[str, Any] | None) -> list[str]:
    """The distinct links of a run's `videos` field, in the order given; text is searched when no link field helps.

    `videos` is null, or {text?, links?: [{uri}]}; a text may hold several parts ("Part 1: … Part 2: …").
    """
    if not isinstance(videos, dict):
        return []
    listed = videos.get("links")
    found = (
        [str(link["uri"]) for link in listed if isinstance(link, dict) and link.get("uri")] if isinstance(listed, list) else []
    )
    if not found and isinstance(videos.get("text"), str):
        found = [match.rstrip(".,;:!?") for match in _LINK.findall(videos["text"])]
    kept: dict[str, str] = {}
    for link in found:
        spelling = canonical(link)
        if spelling is not None:
            kept.setdefault(spelling, spelling)
    return list(kept)


def canonical(link: str) -> str | None:
    """One spelling for every way to write a video's address; None when it is no http(s) address of anything."""
    try:
        parts = urlsplit(link.strip())
        host, port = (parts.hostname or "").lower().removeprefix("www."), parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not host:
        return None
    path = parts.path.rstrip("/")
    query = parse_qs(parts.query)
    if host == "youtu.be" and len(path) > 1:
        return f"https://www.youtube.com/watch?v={path.split('/')[1]}"
    if host in _YOUTUBE:
        name = query.get("v", [""])[0]
        first, _, rest = path.strip("/").partition("/")
        if not name and first in ("embed", "v", "shorts", "live"):
            name = rest.split("/")[0]
        return f"https://www.youtube.com/watch?v={name}" if name else None
    if host in ("twitch.tv", "m.twitch.tv", "go.twitch.tv", "secure.twitch.tv"):
        number = re.search(r"/(?:videos?|v|b|c)/(\d+)", path)
        return f"https://www.twitch.tv/videos/{number[1]}" if number else (f"https://www.twitch.tv{path}" if path else None)
    if not path:
        return None
    place = f"{host}:{port}" if port else host
    return urlunsplit((parts.scheme.lower(), place, path, parts.query, ""))


def video_id(link: str) -> str:
    """A name for a video: hexadecimal, from the address alone, safe as a file name whatever the address says.

    The port is left out, so that a server on loopback may move.
    """
    parts = urlsplit(link)
    place = parts.hostname or ""
    return hashlib.sha256(f"{place}{parts.path}?{parts.query}".encode()).hexdigest()[:16]
