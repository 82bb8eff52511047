"""Fetch one video through yt-dlp, say what came of it, and believe nothing before it has been probed.

The file's name comes from us alone. yt-dlp stays silent: its lines go to the tracker, it keeps no cache, looks for no
update, and asks no address but the one given. An interrupted download goes on where it stopped (`.part`, HTTP Range).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import yt_dlp
from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.utils import DownloadError, GeoRestrictedError, UnsupportedError

from emurl.errors import WorkError
from emurl.speedruns.video import NotAVideo, Probe, held_s, probe

STATUSES = ("ok", "gone", "login", "private", "network", "not_video", "too_short")
CONTAINERS = ("webm", "matroska", "flv", "avi", "mpegts")  # else mp4; only a suffix, nothing depends on it
SLACK_S, SLACK_SHARE = 5.0, 0.03


@dataclass(frozen=True)
class Download:
    """What came of one video: `status` of `STATUSES`, `reason` in words, and the file with its facts when it is ok."""

    status: str
    reason: str = ""
    path: Path | None = None
    facts: Probe | None = None


class Downloader:
    """Downloads into `folder`, one file a video, named `<name>.<container>`."""

    def __init__(
        self,
        folder: Path,
        *,
        max_height: int = 720,
        rate_limit: int = 0,
        cookies: str | None = None,
        retries: int = 3,
        say: Callable[[str], None] = lambda line: None,
        timeout_s: float = 60.0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.say, self.retries = folder, say, retries
        self._options: dict[str, Any] = {
            # Without sound where the site keeps it apart; never two streams that would have to be joined.
            "format": f"bestvideo[height<={max_height}]/best[height<={max_height}]/worstvideo/worst",
            "quiet": True, "no_warnings": True, "noprogress": True, "no_color": True, "logger": _Silent(say),
            "cachedir": False, "noplaylist": True, "playlist_items": "1", "continuedl": True, "part": True,
            "retries": retries, "fragment_retries": retries, "file_access_retries": 1, "socket_timeout": timeout_s,
            "retry_sleep_functions": {"http": _pause, "fragment": _pause}, "nocheckcertificate": False, "fixup": "never",
            "postprocessors": [], "ffmpeg_location": imageio_ffmpeg.get_ffmpeg_exe(), "updatetime": False, "overwrites": False,
            **({"ratelimit": rate_limit} if rate_limit else {}),
            **({"cookiefile": cookies} if cookies else {}),
        }  # fmt: skip

    def fetch(
        self,
        url: str,
        name: str,
        *,
        run_s: float = 0.0,
        parts: int = 1,
        progress: Callable[[int, int | None], None] = lambda done, total: None,
    ) -> Download:
        """Download `url` as `name` and probe it; `run_s` is the time of its run, which the video (or its `parts`) must hold.

        `progress` is told bytes so far and in all (None when unknown). Raises `WorkError` when the disk is full.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise ValueError(f"{name!r} is no safe file name")
        done = self._finished(name)
        if done is None:
            fetched = self.folder / f"{name}.video"
            if not fetched.exists():
                failure = self._download(url, fetched, progress)
                if failure is not None:
                    return failure
            done = fetched
        return self._judge(done, name, run_s, parts)

    def _finished(self, name: str) -> Path | None:
        for suffix in ("mp4", *CONTAINERS):
            path = self.folder / f"{name}.{suffix}"
            if path.exists():
                return path
        return None

    def _download(self, url: str, target: Path, progress: Callable[[int, int | None], None]) -> Download | None:
        """yt-dlp's part; None when `target` is there."""

        def hook(state: dict[str, Any]) -> None:
            progress(int(state.get("downloaded_bytes") or 0), state.get("total_bytes") or state.get("total_bytes_estimate"))

        options = {**self._options, "outtmpl": {"default": str(target).replace("%", "%%")}, "progress_hooks": [hook]}
        try:
            with yt_dlp.YoutubeDL(options) as youtube:
                youtube.download([url])
        except DownloadError as error:
            return self._failure(error)
        except OSError as error:
            _raise_when_full(error, self.folder)
            return Download("network", _line(str(error)))
        if not target.exists():
            return Download("not_video", "nothing was downloaded")
        return None

    def _failure(self, error: DownloadError) -> Download:
        cause: BaseException | None = error.exc_info[1] if error.exc_info else None
        chain = []
        while cause is not None and cause not in chain:
            chain.append(cause)
            inner = getattr(cause, "cause", None)
            cause = inner if isinstance(inner, BaseException) else cause.__cause__
        for one in chain:
            if isinstance(one, OSError):
                _raise_when_full(one, self.folder)
        text = _line(str(error))
        return Download(sort_failure(chain, text), text)

    def _judge(self, path: Path, name: str, run_s: float, parts: int) -> Download:
        try:
            facts = probe(path)
        except NotAVideo as error:
            path.unlink()
            return Download("not_video", str(error))
        held = held_s(path)
        needed = run_s * (1 - SLACK_SHARE) - SLACK_S if parts == 1 else 0.0
        if held < max(needed, 1.0, facts.duration_s * (1 - SLACK_SHARE) - SLACK_S):
            path.unlink()
            return Download(
                "too_short", f"{held:.1f} s of video (its header says {facts.duration_s:.1f} s) for a run of {run_s:.1f} s"
            )
        container = next((kind for kind in CONTAINERS if kind in facts.container), "mp4")
        final = self.folder / f"{name}.{container}"
        path.replace(final)
        return Download("ok", "", final, facts)


def sort_failure(chain: list[BaseException], text: str) -> str:
    """Which of `STATUSES` an exception's chain of causes, or else yt-dlp's own words, amount to."""
    low = text.lower()
    for one in chain:
        if isinstance(one, HTTPError):
            if one.status in (401, 403, 407):
                return "login"
            return "gone" if one.status in (404, 410, 451) else "network"
        if isinstance(one, UnsupportedError):
            return "not_video"
        if isinstance(one, GeoRestrictedError):
            return "private"
    for words, status in _WORDS:
        if any(word in low for word in words):
            return status
    if any(isinstance(one, (RequestError, OSError)) for one in chain):
        return "network"
    return "not_video" if "no video" in low or "unsupported" in low else "gone"


_WORDS = (
    (("sign in", "log in", "login", "cookies", "confirm your age", "members-only", "subscriber"), "login"),
    (("private", "drm", "not available in your country", "geo"), "private"),
    (("timed out", "timeout", "connection", "unable to download", "bytes read", "more expected", "reset by peer"), "network"),
    (("unavailable", "removed", "does not exist", "deleted", "terminated", "not found", "no longer"), "gone"),
    (("empty", "no video", "any data blocks", "unsupported url", "is not a valid url"), "not_video"),
)


class _Silent:
    """yt-dlp's logger: errors come back as exceptions, the rest is for nobody."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def debug(self, line: str) -> None:
        """Progress in words."""

    def info(self, line: str) -> None:
        """Progress in words."""

    def warning(self, line: str) -> None:
        """A worry of yt-dlp's; what matters of it comes back as a failure."""

    def error(self, line: str) -> None:
        """Raised as `DownloadError` as well."""


def _pause(n: int) -> float:
    return min(0.5 * 2**n, 30.0)


def _raise_when_full(error: OSError, folder: Path) -> None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise WorkError(f"videos: the disk of {folder} is full; free some and run again") from None


def _line(text: str) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("ERROR: ", "")
    return " ".join(text.split()).partition("; please report")[0].partition(" (caused by")[0][:200]
