"""Fetch one video through yt-dlp, say what came of it, and believe nothing before it has been probed.

The file's name comes from us alone. yt-dlp stays silent, keeps no cache, looks for no update, and asks no address but those
the given one leads to. An interrupted download goes on where it stopped (`.part`, HTTP Range).
"""

from __future__ import annotations

import contextlib
import errno
import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yt_dlp
from yt_dlp.cookies import CookieLoadError, YoutubeDLCookieJar
from yt_dlp.networking.exceptions import RequestError
from yt_dlp.utils import DownloadError

from emurl.core.errors import InputError, WorkError
from emurl.core.ffmpeg import ffmpeg_exe
from emurl.core.proxies import is_any_broken, require_usable
from emurl.footage.clock import clock_of
from emurl.footage.download import youtube
from emurl.footage.download.failures import EMPTY, causes, one_line, sort_failure, wait_for
from emurl.footage.video import DEFAULTS as SAMPLING
from emurl.footage.video import NotAVideo, Probe, probe

CONTAINERS = ("webm", "matroska", "flv", "avi", "mpegts")  # else mp4; only a suffix, nothing depends on it
SLACK_S, SLACK_SHARE = 5.0, 0.03  # a video may be this much shorter than its run
CUT_S, CUT_SHARE = 2.0, 0.02  # and its pictures so much shorter than its header says, which counts the sound too
LONGER_S, LONGER_TIMES = 900.0, 2.0  # and so much longer: twice the run and a quarter of an hour of talk
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Download:
    """What came of one video: `status` of `failures.STATUSES`, `reason` in words, and when it is ok the file, its facts and
    the seconds of pictures it really holds."""

    status: str
    reason: str = ""
    path: Path | None = None
    facts: Probe | None = None
    held_s: float = 0.0
    wait_s: float | None = None  # of a failure: seconds after which another try may go better


class Downloader:
    """Downloads into `folder`, one file a video, named `<name>.<container>`.

    At most `max_height` lines where the site offers a choice (of a portrait video, columns); `rate_limit` bytes a second of
    one download, 0 for none; `cookies` a file in Netscape format, which is read and never written.

    Raises:
        InputError: the cookies cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_height: int = 720,
        rate_limit: int = 0,
        cookies: str | None = None,
        retries: int = 3,
        timeout_s: float = 60.0,
        longest_gap_s: float = SAMPLING.longest_gap_s,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.retries, self.sleep, self.longest_gap_s = folder, retries, sleep, longest_gap_s
        self._cookies = read_cookies(cookies, "videos.cookies") if cookies is not None else None
        self._options: dict[str, Any] = {
            # One stream with pictures, never two that would have to be joined: as near to max_height as can be from below,
            # then without sound, then no more pictures than are looked at, then what is cheap to decode.
            "format": "bestvideo*", "format_sort": [f"res:{max_height}", "+hasaud", "fps:30", "vcodec:h264"],
            "quiet": True, "no_warnings": True, "noprogress": True, "no_color": True, "logger": Silent(),
            "cachedir": False, "noplaylist": True, "playlist_items": "1", "continuedl": True, "part": True,
            "retries": retries, "fragment_retries": retries, "file_access_retries": 1, "socket_timeout": timeout_s,
            "skip_unavailable_fragments": False,  # a video with holes is none
            "extractor_retries": min(retries, 3), "hls_prefer_native": True,
            "retry_sleep_functions": {"http": _pause, "fragment": _pause, "extractor": _pause}, "nocheckcertificate": False,
            "ffmpeg_location": ffmpeg_exe(),  # for streams that yt-dlp does not read itself
            "fixup": "never", "postprocessors": [], "updatetime": False, "overwrites": False,
            **({"ratelimit": rate_limit} if rate_limit else {}),
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

        `progress` is told bytes so far and in all (None when unknown). Raises `WorkError` when the disk is full, `InputError` when the
        environment names a proxy that is none.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise ValueError(f"{name!r} is no safe file name")
        try:
            done = self._finished(name)
            if done is None:
                done = self.folder / f"{name}.video"
                if not done.exists():
                    require_usable(url)
                    failure = self._patiently(url, done, run_s, progress)
                    if failure is not None:
                        return failure
            return self._judge(done, name, run_s, parts)
        except OSError as error:
            _raise_when_full(error, self.folder)
            return Download("network", one_line(str(error)))

    def _patiently(self, url: str, target: Path, run_s: float, progress: Callable[[int, int | None], None]) -> Download | None:
        """`_download`, again where the network failed: yt-dlp itself has no patience with a site that refuses its first look."""
        for number in range(self.retries + 1):
            failure = self._download(url, target, run_s, progress)
            if failure is None or failure.wait_s is None or number == self.retries:
                return failure
            self.sleep(max(_pause(number), failure.wait_s))
        raise AssertionError("the last try returns")

    def _finished(self, name: str) -> Path | None:
        for suffix in ("mp4", *CONTAINERS):
            path = self.folder / f"{name}.{suffix}"
            if path.exists():
                return path
        return None

    def _download(self, url: str, target: Path, run_s: float, progress: Callable[[int, int | None], None]) -> Download | None:
        """yt-dlp's part; None when `target` is there."""
        refused: list[Download] = []
        plain = False

        def look(info: dict[str, Any], *, incomplete: bool = False) -> str | None:
            """Refuse, before a byte of it is fetched, what its page says cannot be the run."""
            nonlocal plain
            plain = info.get("extractor_key") == "Generic"
            if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
                refused.append(Download("not_video", "a live stream, not a recording"))
            elif isinstance(length := info.get("duration"), (int, float)) and length > _longest(run_s):
                refused.append(_too_long(length, run_s))
            elif "format_id" in info:  # asked a second time, when the format has been chosen
                _begin_anew_unless(target, info)
            return refused[0].reason if refused else None

        def hook(state: dict[str, Any]) -> None:
            progress(int(state.get("downloaded_bytes") or 0), state.get("total_bytes") or state.get("total_bytes_estimate"))

        options = {
            **self._options, "outtmpl": {"default": str(target).replace("%", "%%")}, "progress_hooks": [hook],
            "match_filter": look, **({"proxy": ""} if is_any_broken() else {}),  # `url` needs none, see `fetch`
            # Each download has cookies of its own: yt-dlp writes back what servers set, and not into the user's file.
            **({"cookiefile": io.StringIO(self._cookies)} if self._cookies is not None else {}),
        }  # fmt: skip
        try:
            with yt_dlp.YoutubeDL(options) as youtube:
                youtube.download([url])
        except (DownloadError, RequestError) as error:
            failure = self._failure(error)
            if plain and any(words in failure.reason.lower() for words in EMPTY):
                return Download("not_video", failure.reason)
            return failure
        except OSError:
            raise
        except Exception as error:  # an extractor met a page its author never thought of; that is this video's fault alone
            return Download("not_video", f"yt-dlp cannot read it ({type(error).__name__}: {one_line(str(error))})")
        target.with_suffix(".format").unlink(missing_ok=True)
        if not target.exists():
            return refused[0] if refused else Download("not_video", "nothing was downloaded")
        return None

    def _failure(self, error: DownloadError | RequestError) -> Download:
        chain = causes(error)
        for one in chain:
            if isinstance(one, OSError):
                _raise_when_full(one, self.folder)
        text = one_line(str(error))
        status = sort_failure(chain, str(error))  # with yt-dlp's advice, which says whose fault it thinks it is
        if "requested format is not available" in text.lower():
            if status == "not_video":
                return Download(status, "no format with pictures is offered, at most audio")
            lacking = " and ".join(youtube.missing())
            text = f"YouTube offers no format, for {lacking} is missing ({youtube.INSTALL})" if lacking else text
        return Download(status, text, wait_s=wait_for(status, chain, text))

    def _judge(self, path: Path, name: str, run_s: float, parts: int) -> Download:
        got = judged(path, run_s, parts, self.longest_gap_s)
        if got.facts is None:
            path.unlink()
            return got
        return replace(got, path=path.replace(self.folder / f"{name}.{container_of(got.facts)}"))


def judged(path: Path, run_s: float, parts: int, longest_gap_s: float) -> Download:
    """Whether the file at `path` is a video that holds its run (`run_s` seconds, 0 when unknown, in `parts` videos); it is only read."""
    try:
        facts = probe(path)
    except NotAVideo as error:
        return Download("not_video", re.sub(r": '/[^')]*'?", "", str(error)))  # where it lay is nobody's concern
    clock = clock_of(path, longest_gap_s)
    held = clock.held_s
    facts = replace(facts, duration_s=clock.duration_s(facts.duration_s))
    if held < max(shortest(run_s) if parts == 1 else 0.0, 1.0, facts.duration_s * (1 - CUT_SHARE) - CUT_S):
        told = f"{held:.1f} s of video (its header says {facts.duration_s:.1f} s) for a run of {run_s:.1f} s"
        return Download("too_short", told)
    if run_s and facts.duration_s > _longest(run_s):
        return _too_long(facts.duration_s, run_s)
    return Download("ok", "", path, facts, held)


def container_of(facts: Probe) -> str:
    """The suffix of a video's file."""
    return next((kind for kind in CONTAINERS if kind in facts.container), "mp4")


def whole_runs(rows: list[tuple[str, float, int]], found: list[Download]) -> list[Download]:
    """Judge the parts of each run together; `rows` are (run id, time of the run in seconds, how many parts it has).

    Parts that together are shorter than the run are too short, all of them. Where a part could not be had, the others are
    kept (what they show is the run) and say so.
    """
    judged = list(found)
    runs: dict[str, list[int]] = {}
    for place, (run_id, _, _) in enumerate(rows):
        runs.setdefault(run_id, []).append(place)
    for places in runs.values():
        _, run_s, parts = rows[places[0]]
        good = [place for place in places if found[place].status == "ok"]
        if parts == 1 or not good:
            continue
        held = sum(found[place].held_s for place in good)
        for place in good:
            if len(good) < parts:
                judged[place] = replace(
                    found[place], reason=f"kept, though only {len(good)} of the run's {parts} parts are there"
                )
            elif held < shortest(run_s):
                judged[place] = Download("too_short", f"its {parts} parts hold {held:.1f} s for a run of {run_s:.1f} s")
    return judged


def _begin_anew_unless(target: Path, info: dict[str, Any]) -> None:
    """Drop what there is of `target` unless it is of the format that was chosen now.

    A site may offer other formats than when the download was interrupted; the second half of one is no end for the first
    half of another. yt-dlp would tell them apart by names that the server has a say in; ours do not.
    """
    chosen = repr([info.get(key) for key in ("format_id", "ext", "width", "height", "vcodec", "acodec", "filesize")])
    memo = target.with_suffix(".format")
    if memo.exists() and memo.read_text(encoding="utf-8") != chosen:
        for left in target.parent.glob(f"{target.name}.*"):  # .part, its fragments, and the list of them
            left.unlink()
    memo.write_text(chosen, encoding="utf-8")


def shortest(run_s: float) -> float:
    """Seconds of pictures that a recording of `run_s` seconds must hold."""
    return run_s * (1 - SLACK_SHARE) - SLACK_S


def _longest(run_s: float) -> float:
    return run_s * LONGER_TIMES + LONGER_S if run_s else float("inf")


def _too_long(length: float, run_s: float) -> Download:
    return Download("too_long", f"{length:.0f} s of video for a run of {run_s:.0f} s: most of it would be something else")


def read_cookies(file: str, key: str) -> str:
    """Cookies in Netscape format, as text; `key` is the setting that names the file.

    Raises:
        InputError: they are none.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")  # editors of Windows put a mark before the first line
        jar = YoutubeDLCookieJar(io.StringIO(text))
        with contextlib.redirect_stderr(io.StringIO()):  # where yt-dlp would tell of each line that it skips
            jar.load()
    except FileNotFoundError:
        raise InputError(f"{key}: {file}: no such file, expected cookies in Netscape format") from None
    except (OSError, ValueError, CookieLoadError) as error:  # LoadError is an OSError, UnicodeDecodeError a ValueError
        told = re.sub(
            r"'?<_io\.\w+ [^>]*>'?", "it", one_line(str(error))
        )  # yt-dlp names what it reads from, which is no file here
        raise InputError(f"{key}: {file}: {told}, expected cookies in Netscape format") from None
    if not len(jar):
        raise InputError(f"{key}: {file}: holds no cookie, expected cookies in Netscape format")
    return text


class Silent:
    """yt-dlp's logger: failures come back as exceptions, the rest is for nobody."""

    def debug(self, line: str) -> None:
        """Progress in words."""

    info = warning = error = debug


def _pause(n: int) -> float:
    return float(min(0.5 * 2**n, 30.0))


def _raise_when_full(error: OSError, folder: Path) -> None:
    if error.errno in FULL:
        raise WorkError(f"videos: the disk of {folder} is full; free some and run again") from None
