"""Why a video could not be had: yt-dlp's exceptions and words, sorted into a few kinds that tell what to do about it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError

from emurl.footage.download import youtube
from emurl.footage.leaderboard.http import seconds_of

LONGEST_WAIT_S = 300.0  # who asks for more (Retry-After) is left for another day
# setup: something is missing on this machine; outdated: the site has changed and yt-dlp is behind; in both the video is there.
# too_short and too_long: a video, but not of the run it is said to be of.
STATUSES = ("ok", "gone", "login", "private", "network", "setup", "outdated", "not_video", "too_short", "too_long")

_LOGIN_PAGE = re.compile(r"/(?:log-?in|sign-?in|sso|auth|accounts?)(?:[/.?]|$)", re.IGNORECASE)
_SOURCE = re.compile(r"^\[[^\]]*\] [^ :]+: ")  # "[site] id: ", where the id may spell anything
_HTTP_ERROR = re.compile(r"http error (\d{3})")
EMPTY = ("file is empty", "any data blocks")
# What sites and extractors say, in lower case, the most telling first.
_WORDS = (
    (("ffmpeg exited with code", "ffmpeg not found", "ffprobe not found", "ffmpeg is not installed", "ffmpeg could not be found",
      "javascript runtime", "js runtime", "challenge solving failed"), "setup"),
    (("private video",), "private"),
    (("certificate",), "network"),
    (("sign in", "log in", "logged in", "login", "cookies", "confirm your age", "members-only", "members only", "join this channel",
      "subscriber", "age-restricted", "password", "authentication", "credentials"), "login"),
    (("private", "drm", "not available in your country", "geo restrict", "geo-restrict", "not made this video available"), "private"),
    (EMPTY, "network"),  # a site that hands out nothing throttles us; of a plain file see `Downloader`
    (("unable to extract", "failed to extract", "failed to parse", "page needs to be reloaded", "please report this issue",
      "latest version", "marked as broken", "update yt-dlp"), "outdated"),
    (("timed out", "timeout", "connection", "bytes read", "more expected", "reset by peer", "try again", "giving up after",
      "fragment", "temporarily", "too many requests", "rate limit"), "network"),
    (("unavailable", "removed", "does not exist", "doesn't exist", "deleted", "terminated", "not found", "no longer", "expired"), "gone"),
    (("empty", "no video", "incomplete youtube id", "looks truncated", "unsupported url", "is not a valid url",
      "requested format is not available",
      "live event", "premieres in", "unusual and will be skipped", "no media", "not currently live", "offline"), "not_video"),
    (("unable to download", "unable to connect", "failed to"), "network"),
)  # fmt: skip


def sort_failure(chain: list[BaseException], text: str) -> str:
    """Which of `STATUSES` an exception's chain of causes, or else yt-dlp's own words, amount to."""
    low = _SOURCE.sub("", text.lower().removeprefix("error: "))
    if (
        "[youtube" in text.lower() and "requested format is not available" in low
    ):  # that site has pictures, for who solves its challenges
        return "setup" if youtube.missing() else "outdated"
    if (
        "unable to download video data" in low and "http error 403" in low
    ):  # an address that was handed out has expired, or is throttled
        return "network"
    for one in chain:
        if isinstance(one, HTTPError):
            return _by_number(one.status)
        if isinstance(one, UnsupportedError):
            # A page in place of the video; where we were sent on to says whether it is there to log in.
            return "login" if _LOGIN_PAGE.search(urlsplit(str(one.url)).path) else "not_video"
        if isinstance(one, GeoRestrictedError):
            return "private"
    if "'file:" in low or low.startswith("file:"):  # a server that sends us to our own disk
        return "not_video"
    told = _HTTP_ERROR.search(low)  # yt-dlp's downloaders keep the words and lose the exception
    if told is not None:
        return _by_number(int(told[1]))
    for words, status in _WORDS:
        if any(word in low for word in words):
            return status
    if any(isinstance(one, (RequestError, OSError)) for one in chain):
        return "network"
    # What an extractor did not foresee is a change of the site.
    return "outdated" if any(isinstance(one, ExtractorError) and not one.expected for one in chain) else "gone"


def _by_number(http_status: int) -> str:
    if http_status in (401, 402, 403, 407):
        return "login"
    return "gone" if http_status in (404, 410, 451) else "network"


def wait_for(status: str, chain: list[BaseException], text: str) -> float | None:
    """Seconds after which another try may go better, at least; None when it will not."""
    if status != "network" or "certificate" in text.lower():
        return None
    for one in chain:
        if isinstance(one, HTTPError):
            asked = one.response.headers.get("Retry-After")
            wanted = seconds_of(asked) if asked else 0.0
            return wanted if wanted <= LONGEST_WAIT_S else None
    return 0.0


def causes(error: Exception) -> list[BaseException]:
    """What led to `error`, nearest first; an error of yt-dlp's network itself included."""
    cause: BaseException | None = error
    if isinstance(error, DownloadError):
        cause = error.exc_info[1] if error.exc_info else None
    chain: list[BaseException] = []
    while cause is not None and cause not in chain:
        chain.append(cause)
        inner = getattr(cause, "cause", None)
        cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
    return chain


def one_line(text: str) -> str:
    """yt-dlp's message without colors, advice and Python."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).replace("ERROR: ", "")
    text = re.sub(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]", "", text)
    return " ".join(text.split()).partition("; please report")[0].partition(" (caused by")[0][:200]
