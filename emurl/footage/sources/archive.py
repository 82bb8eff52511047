"""A collection of the Internet Archive, or a search in it: which items there are is asked of the Archive, what they hold of yt-dlp.

The search is https://archive.org/advancedsearch.php, oldest first, so that what comes later changes nothing that was there. An item may hold
several videos; each is a run of its own, for nothing says that they belong together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from yt_dlp.utils import MEDIA_EXTENSIONS, determine_ext

from emurl.core.errors import InputError, WorkError
from emurl.footage.leaderboard.http import Session
from emurl.footage.leaderboard.pages import Shelf
from emurl.footage.sources.entries import Entry
from emurl.footage.sources.listing import LISTS, Listings, Refused, date_of, length_of, player_of

ORIGIN = "https://archive.org"
PAGE = 100  # items a request
DEEPEST = 10_000  # the search gives no more
PICTURES = {*MEDIA_EXTENSIONS.common_video, *MEDIA_EXTENSIONS.video, "ogv"}
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{2,99}", re.ASCII)


def search_of(query: str) -> str:
    """The search that `query` means: the name or the address of a collection or an item, or else a search as the Archive writes it.

    Raises:
        InputError: it is an address of another site, or of another page of the Archive.
    """
    wanted = query.strip()
    if "://" in wanted or wanted.startswith(("archive.org/", "www.archive.org/")):
        parts = urlsplit(wanted if "://" in wanted else f"https://{wanted}")
        kind, _, rest = parts.path.strip("/").partition("/")
        wanted = unquote(rest.partition("/")[0])
        if (
            (parts.hostname or "").removeprefix("www.") != "archive.org"
            or kind not in ("details", "embed")
            or not _NAME.fullmatch(wanted)
        ):
            raise InputError(
                f"runs.query: {query} is no address of a collection, expected https://archive.org/details/NAME, or NAME"
            )
    if _NAME.fullmatch(wanted):
        wanted = f'collection:"{wanted}" OR identifier:"{wanted}"'
    return f"({wanted}) AND mediatype:movies"


def entries(query: str, most: int, session: Session, listings: Listings, shelf: Shelf) -> Iterator[Entry]:
    """The videos of the first `most` items, as they are asked for; what an item holds is kept on `shelf`.

    Raises:
        InputError: the search is none, or nobody answers.
        WorkError: the Archive kept failing.
    """
    for item in _items(query, most, session):
        url = f"{ORIGIN}/details/{item}"
        kept = shelf.load(f"item {url}")
        if kept is None:
            try:
                held = [vars(entry) for entry in _videos(item, listings.look(url))]
            except Refused as refused:
                if refused.status == "network":  # the next would fail as well, and what is left out for that stays out
                    raise WorkError(f"{url}: {refused.reason} (network); the same command goes on from there") from None
                yield Entry(url, refused=f"{refused.status}: {refused.reason}")
                continue
            shelf.save(f"item {url}", held)
        else:
            held = kept.value
        yield from (Entry(**one) for one in held)
        if not held:
            yield Entry(url, refused="holds no video that is open to all")


def _items(query: str, most: int, session: Session) -> Iterator[str]:
    asked = {
        "q": search_of(query),
        "fl[]": "identifier",
        "sort[]": ["publicdate asc", "identifier asc"],
        "rows": PAGE,
        "output": "json",
    }
    seen: set[str] = set()
    for page in range(1, DEEPEST // PAGE + 1):
        data = session.get(f"{ORIGIN}/advancedsearch.php", {**asked, "page": page}).data or {}
        if "error" in data or not isinstance(data.get("response"), dict):
            told = " ".join(str(data.get("error", "no answer to it")).split())[:200]
            raise InputError(
                f"runs.query: {query}: the Internet Archive says: {told}; expected a collection's name or a search of its"
            )
        docs = data["response"].get("docs")
        named = [str(doc.get("identifier", "")) for doc in docs if isinstance(doc, dict)] if isinstance(docs, list) else []
        for name in named:
            if _NAME.fullmatch(name) and name not in seen:
                seen.add(name)
                yield name
                if len(seen) == most:
                    return
        if len(named) < PAGE:
            return


def _videos(item: str, info: dict[str, Any]) -> Iterator[Entry]:
    """The videos of an item, in its order."""
    several = info.get("_type") in LISTS
    for held in info.get("entries") or () if several else (info,):
        if not any(determine_ext(str(one.get("url", ""))) in PICTURES for one in held.get("formats") or ()):
            continue
        file = str(held.get("id", "")).partition("/")[2]
        url = f"{ORIGIN}/details/{item}" + (f"/{quote(file)}" if several and file else "")
        yield Entry(url, length_of(held), player_of(info) or player_of(held), date_of(info) or date_of(held))
