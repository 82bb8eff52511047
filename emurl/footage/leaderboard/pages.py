"""Long lists read by their pages, and kept on disk, so that looking again costs one request and not all of them.

A list of runs is asked for oldest submission first: what is new comes last. So is what is old and went away: every run
behind it moves up one place. Looking at the *last* page again therefore tells whether any run has come or gone since, in
one request. What it does not tell is that an old run was edited in place (a mended link); kept pages are believed for
`max_age_s` and then asked for again, each with its ETag where the server gave one.

What is kept is of use, never needed: a missing, torn or foreign file is the same as none.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from requests import Request

from emurl.core.files import write_atomically
from emurl.footage.leaderboard.http import Session

SCHEMA = 1
PAGE = 200  # the most the API gives at once
DEEPEST = 10_000  # offset + max beyond this is refused
Runs = list[dict[str, Any]]


class Missing(Exception):
    """The server has no such list (404): a game or category of the query is not there any more."""


@dataclass(frozen=True)
class Kept:
    """What was kept, and since when (seconds of the wall clock)."""

    value: Any
    at: float


class Shelf:
    """Answers kept in `folder` (None: nothing is kept), at most `max_age_s` old by the wall clock `now`."""

    def __init__(self, folder: Path | None, max_age_s: float = 0.0, now: Callable[[], float] = time.time) -> None:
        self.folder, self.max_age_s, self.now = folder, max_age_s, now

    def load(self, key: str, stale: bool = False) -> Kept | None:
        """What was saved as `key`; None when there is nothing, or nothing young enough (`stale`: of any age)."""
        if self.folder is None:
            return None
        try:
            with gzip.open(self._path(key), "rt", encoding="utf-8") as file:
                found = json.load(file)
            kept = Kept(found["value"], float(found["at"]))
            fits = found["schema"] == SCHEMA and found["key"] == key
            return kept if fits and (stale or 0 <= self.now() - kept.at < self.max_age_s) else None
        except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def save(self, key: str, value: Any, at: float | None = None) -> None:
        """Keep `value` as `key`, known since `at` (None: now)."""
        if self.folder is None:
            return
        page = {"schema": SCHEMA, "key": key, "at": self.now() if at is None else at, "value": value}
        with write_atomically(self._path(key)) as aside, gzip.open(aside, "wt", encoding="utf-8", compresslevel=5) as file:
            json.dump(page, file)

    def forget(self, key: str) -> None:
        """Keep nothing as `key`."""
        if self.folder is not None:
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{hashlib.sha256(key.encode(errors='replace')).hexdigest()[:24]}.json.gz"


@dataclass
class Page:
    """One page: where it is, its ETag, its items, and where the next one is."""

    url: str
    etag: str | None
    runs: Runs
    next: str | None


class Pages:
    """Lists of a leaderboard. `slim` takes from an item what is worth keeping; `told` hears how many items were read."""

    def __init__(
        self,
        session: Session,
        shelf: Shelf,
        slim: Callable[[dict[str, Any]], dict[str, Any]],
        told: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.session, self.shelf, self.slim, self.told = session, shelf, slim, told

    def read(self, url: str, query: dict[str, Any], trust: bool = False) -> Runs:
        """Every item of the list at `url`, at most 20,000; with `trust`, young kept pages are not even looked at again.

        Raises:
            Missing: the server knows no such list.
        """
        first = _address(url, {**query, "direction": "asc", "max": PAGE})
        kept = self.shelf.load(first)
        pages, tail = _pages(kept)
        if kept is not None and pages:
            if trust:
                return _runs(pages)
            grown = self._grown(pages, tail)
            if grown is not None:
                if grown != pages:  # only the end was looked at: the rest is as old as it was
                    self._keep(first, grown, tail + len(grown) - len(pages), kept.at)
                return _runs(grown)
        known = {page.url: page for page in _pages(self.shelf.load(first, stale=True))[0]}
        pages = list(self._follow(first, known))
        tail = len(pages) - 1
        if _too_deep(pages[-1].next):  # the rest from the other end
            pages += self._backwards(_address(url, {**query, "direction": "desc", "max": PAGE}), known, pages)
            tail += 1
        self._keep(first, pages, tail)
        return _runs(pages)

    def _keep(self, first: str, pages: list[Page], tail: int, at: float | None = None) -> None:
        self.shelf.save(first, {"pages": [asdict(page) for page in pages], "tail": tail}, at)

    def newest(self, url: str, query: dict[str, Any]) -> Runs:
        """The last 200 items of a list, newest first. Raises `Missing`."""
        return self._page(_address(url, {**query, "direction": "desc", "max": PAGE}), None).runs

    def _grown(self, pages: list[Page], tail: int) -> list[Page] | None:
        """`pages` with what has come at the end since; None when more than that has changed."""
        old = pages[tail]
        new = self._page(old.url, old)
        names, now = [run.get("id") for run in old.runs], [run.get("id") for run in new.runs]
        if now == names and new.next == old.next:
            return [*pages[:tail], new, *pages[tail + 1 :]]
        if tail != len(pages) - 1 or old.next is not None or now[: len(names)] != names or _too_deep(new.next):
            return None
        grown = [*pages[:tail], new, *self._follow(new.next, {})]
        return None if _too_deep(grown[-1].next) else grown

    def _follow(self, url: str | None, known: dict[str, Page]) -> Iterator[Page]:
        """The page at `url` and all that come after, by the links the server gives, as deep as it lets us."""
        followed: set[str] = set()  # a server whose last page points at itself must not keep us for ever
        while url is not None and url not in followed and not _too_deep(url):
            followed.add(url)
            page = self._page(url, known.get(url))
            self.told(len(page.runs))
            yield page
            url = page.next if page.runs else None

    def _backwards(self, url: str, known: dict[str, Page], pages: list[Page]) -> list[Page]:
        seen = {run.get("id") for page in pages for run in page.runs}
        found = []
        for page in self._follow(url, known):
            found.append(page)
            if any(run.get("id") in seen for run in page.runs):
                return found
        self.session.report(f"{url}: more runs than the API lets anybody list; those in the middle are left out")
        return found

    def _page(self, url: str, old: Page | None) -> Page:
        reply = self.session.get(url, etag=old.etag if old is not None else None)
        if reply.unchanged and old is not None:
            return old
        if reply.data is None:
            raise Missing(url)
        items = reply.data.get("data")
        runs = [self.slim(run) for run in items if isinstance(run, dict)] if isinstance(items, list) else []
        return Page(url, reply.etag, runs, _next_page(reply.data, url))


def _runs(pages: list[Page]) -> Runs:
    """The items of all pages, each id once: a list that grows while it is read shows some twice."""
    found: dict[str, dict[str, Any]] = {}
    for page in pages:
        for run in page.runs:
            found.setdefault(str(run.get("id", f"nameless {len(found)}")), run)
    return list(found.values())


def _pages(kept: Kept | None) -> tuple[list[Page], int]:
    """Pages as they were kept, and which is looked at again; none when they cannot be read."""
    try:
        pages = [Page(**page) for page in kept.value["pages"]] if kept is not None else []
        tail = int(kept.value["tail"]) if kept is not None else 0
        return (pages, tail) if 0 <= tail < len(pages) else ([], 0)
    except (TypeError, KeyError, ValueError):
        return [], 0


def _next_page(answer: dict[str, Any], url: str) -> str | None:
    pagination = answer.get("pagination")
    links = pagination.get("links") if isinstance(pagination, dict) else None
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "next" and isinstance(link.get("uri"), str) and link["uri"]:
            return urljoin(url, link["uri"])
    return None


def _too_deep(url: str | None) -> bool:
    """Whether the server would refuse this page for its offset."""
    if url is None:
        return False
    query = parse_qs(urlsplit(url).query)
    try:
        return int(query.get("offset", ["0"])[0]) + int(query.get("max", ["20"])[0]) > DEEPEST
    except ValueError:
        return False


def _address(url: str, query: dict[str, Any]) -> str:
    return str(Request("GET", url, params=query).prepare().url)
