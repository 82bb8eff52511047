"""Listings that yt-dlp's own extractors read: searches, playlists, channels, collections, and the page of a single video.

Nothing is resolved that need not be: a listing is read page by page as far as it is asked for, and its videos are left as the page tells
them (what yt-dlp calls flat extraction), so that fifty videos of a search cost a few requests. https://github.com/yt-dlp/yt-dlp
"""

from __future__ import annotations

import datetime
import io
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import yt_dlp
from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.utils import YoutubeDLError

from emurl.core.errors import InputError, WorkError
from emurl.core.proxies import is_any_broken, require_usable
from emurl.footage.download.downloader import Silent, read_cookies
from emurl.footage.download.failures import causes, one_line, sort_failure, wait_for
from emurl.footage.leaderboard.links import canonical
from emurl.footage.sources.entries import Entry

LISTS = ("playlist", "multi_video", "compat_list")
LINKS = ("url", "url_transparent")
NESTED = (
    "YoutubeTab",
    "YoutubePlaylist",
    "TwitchCollection",
)  # extractors of listings that stand in a listing: tabs, collections
DEEPEST = 3  # listings in listings; a channel's tabs are one step
LONGEST_PAUSE_S = 30.0  # of our own; a site may ask for more
REDIRECTS = 5  # an address may lead to another, but not for ever
TAKEN_AWAY = {"[private video]": "private", "[deleted video]": "removed"}  # what a playlist calls videos that it cannot show
CLOSED = {
    "private": "private", "premium_only": "for paying members", "subscriber_only": "for members", "needs_auth": "needs a login",
}  # fmt: skip
OF_THE_ADDRESS = ("gone", "login", "private", "not_video")  # what trying again does not help


class Refused(Exception):
    """A site would not tell: `status` of `failures.STATUSES`, and why in words."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Listings:
    """Reads listings politely: `pause_s` seconds between two requests, `retries` with a growing pause or as long as the site asks.

    `requests` counts what was sent. `cookies` is a file in Netscape format, which is read and never written. Proxies are those of the
    environment.

    Raises:
        InputError: the cookies cannot be read.
    """

    def __init__(
        self,
        *,
        cookies: str | None = None,
        pause_s: float = 0.75,
        timeout_s: float = 30.0,
        retries: int = 3,
        sleep: Callable[[float], None] = time.sleep,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.timeout_s, self.retries, self.sleep, self.report, self.requests = timeout_s, retries, sleep, report, 0
        self._cookies = read_cookies(cookies, "runs.cookies") if cookies is not None else None
        self._options: dict[str, Any] = {
            "quiet": True, "no_warnings": True, "noprogress": True, "no_color": True, "logger": Silent(), "cachedir": False,
            "socket_timeout": timeout_s, "extractor_retries": min(retries, 1),
            "sleep_interval_requests": pause_s, "nocheckcertificate": False, "skip_download": True,
        }  # fmt: skip

    def entries(self, address: str, most: int) -> Iterator[Entry]:
        """The first `most` videos of the listing at `address` (what yt-dlp takes: a URL, or `ytsearch50:words`), as they are asked for.

        Raises:
            InputError: there is no such listing, or none that may be seen.
            WorkError: the site kept failing.
        """
        require_usable(address if "://" in address else "https://www.youtube.com")
        with _Patient(self) as session:
            try:
                for info in islice(self._videos(session, address, None, DEEPEST), most):
                    entry = self._entry(info)
                    if entry is not None:
                        yield entry
            except Refused as refused:
                raise self._failure(address, refused) from None

    def look(self, address: str) -> dict[str, Any]:
        """What the page at `address` tells of its video, or of its videos: yt-dlp's fields.

        Raises:
            Refused: it cannot be had, or not now.
        """
        require_usable(address)
        with _Patient(self) as session:
            return self._extract(session, address, None)

    def options(self) -> dict[str, Any]:
        """What yt-dlp is told; cookies are of one session, and what a site sets is forgotten with it."""
        return {
            **self._options, **({"proxy": ""} if is_any_broken() else {}),
            **({"cookiefile": io.StringIO(self._cookies)} if self._cookies is not None else {}),
        }  # fmt: skip

    def _videos(self, session: yt_dlp.YoutubeDL, address: str, extractor: str | None, depth: int) -> Iterator[dict[str, Any]]:
        info = self._extract(session, address, extractor)
        if info.get("_type", "video") not in LISTS:
            yield info
            return
        entries = iter(info.get("entries") or ())
        # A channel's list tells once whose it is.
        owner = player_of(info) or (info.get("id") if str(info.get("extractor_key")).startswith("TwitchVideos") else "")
        while True:
            try:
                one = next(entries, None)  # may ask for the next page
            except (YoutubeDLError, RequestError, OSError) as error:
                raise _refusal(error) from None
            except Exception as error:
                raise _surprise(error) from None
            if one is None:
                return
            if one.get("_type") in LISTS:
                yield from (inner for inner in one.get("entries") or () if inner)
            elif one.get("_type") in LINKS and one.get("ie_key") in NESTED:
                if depth:
                    yield from self._videos(session, one["url"], one["ie_key"], depth - 1)
            else:
                yield {"channel": owner, **one}

    def _extract(self, session: yt_dlp.YoutubeDL, address: str, extractor: str | None) -> dict[str, Any]:
        """What yt-dlp says of an address, behind the addresses that it leads to."""
        for _ in range(REDIRECTS):
            info = self._asked(session, address, extractor)
            if info.get("_type") not in LINKS:
                return info
            address, extractor = info["url"], info.get("ie_key")
        raise Refused("not_video", "leads from one address to another without end")

    def _asked(self, session: yt_dlp.YoutubeDL, address: str, extractor: str | None) -> dict[str, Any]:
        try:
            info: dict[str, Any] | None = session.extract_info(address, download=False, ie_key=extractor, process=False)
        except (YoutubeDLError, RequestError, OSError) as error:
            raise _refusal(error) from None
        except Exception as error:  # an extractor met a page its author never thought of
            raise _surprise(error) from None
        if info is None:
            raise Refused("not_video", "yt-dlp finds nothing there")
        return info

    def _entry(self, info: dict[str, Any]) -> Entry | None:
        """A video as its listing tells it; None for what has no address of its own."""
        address = info.get("url") if info.get("_type") in LINKS else info.get("webpage_url")
        url = canonical(str(address or ""))
        if url is None:
            return None
        return Entry(url, length_of(info), player_of(info), date_of(info), self._objection(info))

    def _objection(self, info: dict[str, Any]) -> str:
        title = str(info.get("title") or "").lower()
        closed = CLOSED.get(str(info.get("availability") or ""), "")
        if closed and self._cookies is not None:
            closed = ""  # the account may have what others do not; the download will tell
        return TAKEN_AWAY.get(title) or closed or live(info)

    def _failure(self, address: str, refused: Refused) -> InputError | WorkError:
        if refused.status in OF_THE_ADDRESS:
            return InputError(f"runs.query: {address}: {refused.reason} ({refused.status}), expected a listing that can be seen")
        if refused.status == "network":
            return WorkError(f"{address}: {refused.reason} (network); the same command tries again")
        return WorkError(f"{address}: {refused.reason} ({refused.status}); pip install -U yt-dlp may help")


class _Patient(yt_dlp.YoutubeDL):
    """Counts requests, and sends one again that failed on the network: an extractor that fails on its tenth page has forgotten nine."""

    def __init__(self, listings: Listings) -> None:
        super().__init__(listings.options())
        self._listings = listings

    def urlopen(self, req: Any) -> Any:
        """As yt-dlp's, with patience."""
        of = self._listings
        for number in range(of.retries + 1):
            of.requests += 1
            try:
                return super().urlopen(req)
            except RequestError as error:
                wait_s = _wait(error)
                if wait_s is None or number == of.retries:
                    raise
                if isinstance(error, HTTPError):
                    error.close()
                pause = max(min(0.5 * 2**number, LONGEST_PAUSE_S), wait_s)
                of.report(f"{one_line(str(error))}, trying again in {pause:.0f} s")
                of.sleep(pause)
        raise AssertionError("the last try returns or raises")


def length_of(info: dict[str, Any]) -> float | None:
    """Seconds of a video as its page tells them; None when it does not."""
    length = info.get("duration")
    return float(length) if isinstance(length, (int, float)) and not isinstance(length, bool) and length > 0 else None


def player_of(info: dict[str, Any]) -> str:
    """Who shows the video."""
    creators = info.get("creators")
    named = creators if isinstance(creators, list) else []
    names = [info.get("channel"), *named, info.get("uploader"), info.get("uploader_id")]
    return next((name for name in names if isinstance(name, str) and name.strip()), "")


def date_of(info: dict[str, Any]) -> str | None:
    """The day of the video, `YYYY-MM-DD`; None when its page does not tell."""
    day = info.get("upload_date") or info.get("release_date")
    if isinstance(day, str) and len(day) == 8 and day.isdigit():
        return f"{day[:4]}-{day[4:6]}-{day[6:]}"
    moment = info.get("timestamp")
    if not isinstance(moment, (int, float)) or not 0 < moment < 32e9:
        return None
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).date().isoformat()


def live(info: dict[str, Any]) -> str:
    """Whether a video goes on while it is looked at, or has not begun: why it is no recording."""
    if info.get("is_live") or info.get("live_status") == "is_live":
        return "live"
    if info.get("live_status") == "is_upcoming":
        return "not begun yet"
    # How Twitch's lists show a broadcast that is still being recorded: a picture that is not there yet.
    return "live" if "/404_processing_" in str(info.get("thumbnail") or "") else ""


def _refusal(error: Exception) -> Refused:
    chain = causes(error)
    return Refused(sort_failure(chain, str(error)), one_line(str(error)))


def _surprise(error: Exception) -> Refused:
    return Refused("outdated", f"yt-dlp cannot read it ({type(error).__name__}: {one_line(str(error))})")


def _wait(error: Exception) -> float | None:
    chain = causes(error)
    return wait_for(sort_failure(chain, str(error)), chain, str(error))
