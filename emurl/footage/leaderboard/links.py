"""Where a run's videos are: links out of what people typed, one spelling for each video, and safe names of our own."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

_YOUTUBE = ("youtube.com", "m.youtube.com", "music.youtube.com", "gaming.youtube.com", "youtube-nocookie.com")
_TWITCH = ("twitch.tv", "m.twitch.tv", "go.twitch.tv", "secure.twitch.tv", "player.twitch.tv")
# Hosts that people name without saying http.
_KNOWN = r"(?:[a-z0-9-]+\.)?(?:youtube\.com|youtu\.be|twitch\.tv|vimeo\.com|nicovideo\.jp|hitbox\.tv|dailymotion\.com)"
_LINK = re.compile(rf"(?:https?://|(?<![\w./@-])(?={_KNOWN}/))[^\s<>\"'\])]+", re.IGNORECASE)
_BARE = re.compile(rf"{_KNOWN}/", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]")
_TRACKING = re.compile(r"utm_\w+|si|feature|fbclid|gclid", re.IGNORECASE)
LONGEST = 2000  # characters of an address; longer ones are nobody's video


def video_links(videos: Any) -> list[str]:
    """The distinct videos of a run's `videos` field, in the order given; text is searched when no link field helps.

    `videos` is null, or {text?, links?: [{uri}]}; a text may hold several parts ("Part 1: … Part 2: …").
    """
    if not isinstance(videos, dict):
        return []
    listed = videos.get("links")
    named = [link["uri"] for link in listed if isinstance(link, dict) and isinstance(link.get("uri"), str)] if isinstance(
        listed, list
    ) else []  # fmt: skip
    text = videos.get("text")
    written = [match.rstrip(".,;:!?") for match in _LINK.findall(text)] if isinstance(text, str) else []
    return _distinct(named) or _distinct(written)


def _distinct(links: list[str]) -> list[str]:
    kept: dict[str, str] = {}
    for link in links:
        spelling = canonical(link)
        if spelling is not None:
            kept.setdefault(video_id(spelling), spelling)
    return list(kept.values())


def canonical(link: str) -> str | None:
    """One spelling for every way to write a video's address; None when it is no http(s) address of a video.

    A channel, a playlist or a site's front page is none: what they show tomorrow is not the run.
    """
    link = link.strip()
    if len(link) > LONGEST or _UNPRINTABLE.search(link):
        return None
    try:
        parts = urlsplit(f"https://{link}" if _BARE.match(link) else link)
        host, port = (parts.hostname or "").lower().removeprefix("www."), parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https") or not host:
        return None
    path = parts.path.rstrip("/")
    first, _, rest = path.strip("/").partition("/")
    query = parse_qs(parts.query)
    if host == "youtu.be" or host in _YOUTUBE:
        return _youtube(first if host == "youtu.be" else "", query, first, rest)
    if host in _TWITCH:
        return _twitch(path, query)
    if host in ("vimeo.com", "player.vimeo.com") and (number := re.search(r"/(\d+)(?:/|$)", f"{path}/")):
        return f"https://vimeo.com/{number[1]}"
    if host in ("nicovideo.jp", "sp.nicovideo.jp", "nico.ms") and (name := re.search(r"/((?:sm|nm|so)?\d+)$", path)):
        return f"https://www.nicovideo.jp/watch/{name[1]}"
    if not path:
        return None
    place = f"{host}:{port}" if port and (scheme, port) not in (("http", 80), ("https", 443)) else host
    asked = [one for one in parts.query.split("&") if one and not _TRACKING.fullmatch(one.partition("=")[0])]
    return urlunsplit((scheme, place, path, "&".join(asked), ""))


def _youtube(short: str, query: dict[str, list[str]], first: str, rest: str) -> str | None:
    name = short or query.get("v", query.get("vi", [""]))[0]
    if not name and first in ("embed", "v", "vi", "shorts", "live", "e", "watch"):
        name = rest
    if not name and first == "attribution_link":  # how the site once shared its own videos
        return canonical("https://www.youtube.com" + query["u"][0]) if query.get("u", [""])[0].startswith("/watch") else None
    # People put a time behind the name as if it were the first question: ?v=NAME?t=30.
    name = re.split(r"[?&#/\s]", name, maxsplit=1)[0]
    return f"https://www.youtube.com/watch?v={name}" if re.fullmatch(r"[\w-]{1,64}", name, re.ASCII) else None


def _twitch(path: str, query: dict[str, list[str]]) -> str | None:
    # /c/N and /b/N are of justin.tv's time: those videos are gone, and today's number N is another person's.
    number = re.search(r"/(?:videos?|v)/v?(\d+)(?:/|$)", path) or re.fullmatch(r"v?(\d+)", query.get("video", [""])[0])
    if number:
        return f"https://www.twitch.tv/videos/{number[1]}"
    # A name alone is a channel: yt-dlp would record whatever is live there, for as long as it lasts. A collection may be another tomorrow.
    return f"https://www.twitch.tv{path}" if re.fullmatch(r"(?:/\w+)?/clip/[\w-]+", path, re.ASCII) else None


def video_id(link: str) -> str:
    """A name for a video: hexadecimal, from the address alone, safe as a file name whatever the address says.

    The port is left out, so that a server on loopback may move; so is the scheme.
    """
    parts = urlsplit(link)
    place = parts.hostname or ""
    return hashlib.sha256(f"{place}{parts.path}?{parts.query}".encode(errors="replace")).hexdigest()[:16]
