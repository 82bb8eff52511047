"""One polite `requests` session: a descriptive name, at most 100 requests a minute, patience with a server that is not.

420 and 429 (too many requests), 5xx and broken connections are tried again after a growing pause, or after as long as the
server asks (Retry-After). Everything else is the caller's to judge.
"""

from __future__ import annotations

import email.utils
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import requests

from emurl import __version__
from emurl.errors import InputError, WorkError

USER_AGENT = f"emurl/{__version__} (learns Game Boy games from speedruns; python-requests)"
PER_MINUTE = 100
TRIES = 6
TOO_MANY = (420, 429)
LONGEST_PAUSE_S = 120.0


class Session:
    """GET of JSON with rate limit and retries. `clock` and `sleep` are seconds, replaceable in tests."""

    def __init__(
        self,
        timeout_s: float = 30.0,
        *,
        per_minute: int = PER_MINUTE,
        tries: int = TRIES,
        pause_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.timeout_s, self.per_minute, self.tries, self.pause_s = timeout_s, per_minute, tries, pause_s
        self.clock, self.sleep, self.report = clock, sleep, report
        self.requests = 0
        self._recent: deque[float] = deque()
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})

    def get(self, url: str, params: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """The JSON object at `url`; None for a 404.

        Raises:
            InputError: nobody answers at that address, it refuses us (4xx), or what answers speaks no JSON.
            WorkError: the server kept failing.
        """
        trouble = ""
        for number in range(self.tries):
            self._wait_for_turn()
            try:
                answer = self._session.get(url, params=params, timeout=self.timeout_s)
            except (requests.exceptions.MissingSchema, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
                raise InputError(f"runs.api_base: {url} is no address, expected http(s)://host/api/v1") from None
            except requests.exceptions.SSLError as error:
                raise InputError(f"runs.api_base: {url}: the certificate cannot be trusted ({_short(error)})") from None
            except requests.exceptions.ConnectionError as error:
                # A host that was there a moment ago may come back; one that never answered will not.
                if self.requests == 0 and number >= 1:
                    raise InputError(f"runs.api_base: {url}: no answer ({_short(error)}), expected a leaderboard there") from None
                trouble = f"no connection ({_short(error)})"
                self._pause(number, None, trouble)
                continue
            except requests.exceptions.RequestException as error:
                trouble = _short(error)
                self._pause(number, None, trouble)
                continue
            self.requests += 1
            if answer.status_code in TOO_MANY or answer.status_code >= 500:
                trouble = f"status {answer.status_code}"
                self._pause(number, answer.headers.get("Retry-After"), trouble)
                continue
            if answer.status_code == 404:
                return None
            if answer.status_code != 200:
                raise InputError(f"runs.api_base: {url}: status {answer.status_code}, expected 200")
            try:
                data = answer.json()
            except ValueError:
                kind = answer.headers.get("Content-Type", "nothing named")
                raise InputError(f"runs.api_base: {url}: answers {kind}, expected JSON of the speedrun.com API") from None
            if not isinstance(data, dict):
                raise InputError(f"runs.api_base: {url}: answers a JSON {type(data).__name__}, expected an object with `data`")
            return data
        if self.requests == 0:
            raise InputError(f"runs.api_base: {url}: {trouble}, expected a leaderboard there")
        raise WorkError(f"{url}: gave up after {self.tries} tries ({trouble})")

    def _wait_for_turn(self) -> None:
        now = self.clock()
        while self._recent and now - self._recent[0] >= 60:
            self._recent.popleft()
        if len(self._recent) >= self.per_minute:
            self.sleep(60 - (now - self._recent.popleft()))
        self._recent.append(self.clock())

    def _pause(self, number: int, asked: str | None, trouble: str) -> None:
        if number + 1 >= self.tries:
            return
        pause = self.pause_s * 2**number
        if asked is not None:
            pause = max(pause, _seconds(asked))
        self.report(f"{trouble}, trying again in {min(pause, LONGEST_PAUSE_S):.0f} s")
        self.sleep(min(pause, LONGEST_PAUSE_S))


def _seconds(retry_after: str) -> float:
    """Retry-After as seconds: a number, or a date (RFC 9110)."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _short(error: Exception) -> str:
    """The innermost reason of a nest of network exceptions, in one line."""
    text = " ".join(str(error).split())
    for known in ("Name or service not known", "Temporary failure in name resolution", "Connection refused", "timed out"):
        if known.lower() in text.lower():
            return known.lower()
    return text[:120] or type(error).__name__
