"""One polite `requests` session: a descriptive name, at most 100 requests a minute, patience with a server that is not.

420 and 429 (too many requests), 5xx, timeouts and broken connections are tried again after a growing pause, or after as
long as the server asks (Retry-After). Everything else is the caller's to judge. Redirects are requests, too: the limit is
kept where requests leave, not where they are wished for.
"""

from __future__ import annotations

import email.utils
import math
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.utils import get_auth_from_url

from emurl import __version__
from emurl.core.errors import InputError, WorkError
from emurl.core.proxies import proxy_of, require_usable, without_user

USER_AGENT = f"emurl/{__version__} (learns Game Boy games from speedruns; python-requests)"
PER_MINUTE = 100
MINUTE_S = 60.5  # the server counts arrivals, we count departures: half a second for the way
TRIES = 6
TOO_MANY = (420, 429)
TOO_MANY_PAUSE_S = 15.0  # where no Retry-After is given: five of these outlast the minute the server counts
LONGEST_PAUSE_S = 120.0  # of our own; a server may ask for more
LONGEST_ASKED_S = 900.0  # who asks for more than this is given up
SPOKEN_PAUSE_S = 2.0  # a wait for our turn shorter than this is not worth a line


@dataclass(frozen=True)
class Reply:
    """What a server said: `data` is None for what it does not have (404) or for what has not changed (304, `unchanged`)."""

    data: dict[str, Any] | None
    etag: str | None = None
    unchanged: bool = False


class Session:
    """GET of JSON with rate limit and retries. `clock` and `sleep` are seconds, replaceable in tests.

    `requests` counts what was sent, redirects and failures included. `key` and `there` are what messages call the setting that an
    address comes from, and who is expected to answer.
    """

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
        key: str = "runs.api_base",
        there: str = "a leaderboard",
    ) -> None:
        self.key, self.there = key, there
        self.timeout_s, self.per_minute, self.tries, self.pause_s = timeout_s, per_minute, tries, pause_s
        self.clock, self.sleep, self.report = clock, sleep, report
        self.requests = 0
        self._answered = False
        self._recent: deque[float] = deque()
        self._session = _Own()
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _InTurn(self._wait_for_turn))

    def sign_in(self, url: str) -> str:
        """Send the user and the password that `url` holds, if any, with every request to its host, and to no other; returns it without."""
        user, password = get_auth_from_url(url)
        if user or password:
            self._session.home, self._session.auth_there = url, HTTPBasicAuth(user, password)
        return without_user(url)

    def get(self, url: str, params: dict[str, Any] | None = None, etag: str | None = None) -> Reply:
        """The JSON object at `url`, or that it is not there, or that it is still the one known by `etag`.

        Raises:
            InputError: nobody answers at that address, it refuses us (4xx), or what answers speaks no JSON.
            WorkError: the server kept failing, or asked for more patience than we have.
        """
        require_address(self.key, url)
        require_usable(url, "PySocks")
        shown, trouble = without_user(url), ""
        for number in range(self.tries):
            try:
                answer = self._session.get(
                    url, params=params, timeout=self.timeout_s, headers={"If-None-Match": etag} if etag else None
                )
            except requests.exceptions.TooManyRedirects as error:
                raise InputError(f"{self.key}: {shown}: leads on and on ({_short(error)}), expected {self.there} there") from None
            except requests.exceptions.SSLError as error:
                # Overloaded servers hang up in the middle of a handshake: somebody is there, and may have time for us later.
                if not _was_cut(error):
                    raise InputError(f"{self.key}: {shown}: {_distrust(error)} ({_short(error)})") from None
                self._answered, trouble = True, f"the TLS handshake was cut ({_short(error)})"
                self._pause(number, self._backoff(number), trouble)
                continue
            except requests.exceptions.ConnectionError as error:
                who = _by_way_of(error, url)
                # A host that was there a moment ago may come back; one that never answered will not. Who hangs up is there.
                self._answered |= any(isinstance(one, ConnectionResetError | BrokenPipeError) for one in _reasons(error))
                if not self._answered and number >= 1:
                    raise InputError(
                        f"{self.key}: {shown}: no answer{who} ({_short(error)}), expected {self.there} there"
                    ) from None
                trouble = f"no connection{who} ({_short(error)})"
                self._pause(number, self._backoff(number), trouble)
                continue
            except ValueError as error:  # of requests, too, and of the standard library, which reads redirects
                raise InputError(
                    f"{self.key}: {shown}: leads to no address ({_short(error)}), expected {self.there} there"
                ) from None
            except requests.exceptions.RequestException as error:
                trouble = _short(error)
                self._pause(number, self._backoff(number), trouble)
                continue
            self._answered = True
            if answer.status_code in TOO_MANY or answer.status_code >= 500:
                trouble = f"status {answer.status_code}"
                self._pause(number, self._asked(answer, number, shown), trouble)
                continue
            return _judged(answer, shown, self.key)
        if not self._answered:
            raise InputError(f"{self.key}: {shown}: {trouble}, expected {self.there} there")
        raise WorkError(f"{shown}: gave up after {self.tries} tries ({trouble})")

    def _backoff(self, number: int) -> float:
        return float(min(self.pause_s * 2**number, LONGEST_PAUSE_S))

    def _asked(self, answer: requests.Response, number: int, url: str) -> float:
        """Seconds to wait after a refusal: as long as the server asks, and never less than our own back-off."""
        pause, asked = self._backoff(number), answer.headers.get("Retry-After")
        if asked is None:
            return max(pause, TOO_MANY_PAUSE_S) if answer.status_code in TOO_MANY else pause
        wanted = seconds_of(asked)
        if wanted > LONGEST_ASKED_S:
            raise WorkError(f"{url}: status {answer.status_code}, the server asks to come back in {wanted / 60:.0f} minutes")
        return max(pause, wanted)

    def _wait_for_turn(self) -> None:
        """Called once a request, just before it leaves."""
        self.requests += 1
        now = self.clock()
        while self._recent and now - self._recent[0] >= MINUTE_S:
            self._recent.popleft()
        if len(self._recent) >= self.per_minute:
            wait = MINUTE_S - (now - self._recent.popleft())
            if wait > SPOKEN_PAUSE_S:
                self.report(f"{self.per_minute} requests in the last minute, waiting {wait:.0f} s for the next")
            self.sleep(wait)
        self._recent.append(self.clock())

    def _pause(self, number: int, pause: float, trouble: str) -> None:
        if number + 1 < self.tries:
            self.report(f"{trouble}, trying again in {pause:.0f} s")
            self.sleep(pause)


def require_address(key: str, url: str) -> None:
    """Refuse what cannot be asked.

    Raises:
        InputError: `url` is no address of http(s).
    """
    try:
        requests.Request("GET", url).prepare()
        if urlsplit(url).scheme.lower() not in ("http", "https"):
            raise ValueError("another scheme")
    except ValueError as error:  # those of requests are such, too
        raise InputError(f"{key}: {without_user(url)} is no address ({_short(error)}), expected http(s)://host/api/v1") from None


class _Own(requests.Session):
    """A session that says no name but the one it was given, and that only at `home`: what ~/.netrc knows is not for a leaderboard, and a
    file that cannot be read no trouble.
    """

    def __init__(self) -> None:
        super().__init__()
        self.home = ""
        self.auth_there: HTTPBasicAuth | None = None
        self.auth = self._signed

    def _signed(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.auth_there is not None and not self.should_strip_auth(self.home, str(request.url)):
            self.auth_there(request)
        return request

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """A redirect may lead to where the name is not for."""
        prepared_request.headers.pop("Authorization", None)
        self._signed(prepared_request)


class _InTurn(HTTPAdapter):
    """Waits for its turn before every request that leaves, those that a redirect asks for included."""

    def __init__(self, turn: Callable[[], None]) -> None:
        super().__init__()
        self._turn = turn

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self._turn()
        return super().send(request, *args, **kwargs)


def _judged(answer: requests.Response, url: str, key: str) -> Reply:
    if answer.status_code == 304:
        return Reply(None, answer.headers.get("ETag"), unchanged=True)
    if answer.status_code == 404:
        return Reply(None)
    if answer.status_code != 200:
        raise InputError(f"{key}: {url}: status {answer.status_code}, expected 200")
    try:
        data = answer.json()
    except (ValueError, RecursionError) as error:
        kind = answer.headers.get("Content-Type", "nothing named")
        told = f"answers {kind}" if "json" not in kind.lower() else f"answers JSON that is broken ({_short(error)})"
        raise InputError(f"{key}: {url}: {told if answer.content else 'answers nothing'}, expected JSON of its API") from None
    if not isinstance(data, dict):
        raise InputError(f"{key}: {url}: answers a JSON {type(data).__name__}, expected an object")
    return Reply(data, answer.headers.get("ETag"))


def seconds_of(retry_after: str) -> float:
    """Retry-After as seconds: a number, or a date (RFC 9110, section 10.2.3); what is neither counts as nothing."""
    try:
        number = float(retry_after)
        return max(0.0, number) if math.isfinite(number) else 0.0
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _reasons(error: BaseException) -> list[BaseException]:
    """What a nest of network exceptions holds, the error itself first."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return found


def _was_cut(error: BaseException) -> bool:
    """Whether a TLS handshake ended in the middle, and not over what was said in it."""
    reasons = _reasons(error)
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in reasons):
        return False
    cut = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError, TimeoutError)
    return any(isinstance(one, cut) for one in reasons) or "EOF occurred" in str(error)


def _distrust(error: BaseException) -> str:
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in _reasons(error)):
        return "the certificate cannot be trusted"
    return "no TLS can be agreed on, expected an https:// server there"


def _by_way_of(error: BaseException, url: str) -> str:
    """The proxy that failed, for messages; empty where none did."""
    proxy = proxy_of(url)
    if proxy is None or not isinstance(error, requests.exceptions.ProxyError):
        return ""
    return f" through the proxy {without_user(proxy[1])} of {proxy[0]}"


def _short(error: Exception) -> str:
    """The innermost reason of a nest of network exceptions, in one line."""
    text = without_user(" ".join(str(error).split()))
    for known in ("Name or service not known", "Temporary failure in name resolution", "Connection refused", "timed out"):
        if known.lower() in text.lower():
            return known.lower()
    return text[:120] or type(error).__name__
