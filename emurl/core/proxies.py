"""Proxies that the environment names (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY), for every library at once.

Each library reads these variables in its own way. What is the same for all: this machine is reached without a proxy, and a proxy that
is none is said to be the trouble, not the site behind it.
"""

from __future__ import annotations

import importlib.util
import os
import re
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from emurl.core.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def spare_loopback() -> None:
    """Let this process and those it starts reach this machine without a proxy: the demo leaderboard and Prefect's server are here."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in named.split(",") if host.strip()]
    missing = [host for host in LOOPBACK if host not in hosts]
    if not missing or "*" in hosts or not variables():
        return
    for name in ("no_proxy", "NO_PROXY"):  # some libraries read one, some the other
        os.environ[name] = ",".join([*hosts, *missing])


def variables() -> dict[str, str]:
    """The variables that name a proxy, and what they say."""
    found = {name: value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy", "all_proxy")}
    return {name: value for name, value in found.items() if value}


def proxy_of(url: str) -> tuple[str, str] | None:
    """The variable whose proxy stands before `url`, and what it says; None where there is none, and where `url` is no address."""
    from requests.utils import should_bypass_proxies

    try:
        known, scheme = getproxies_environment(), urlsplit(url).scheme.lower()
    except ValueError:
        return None
    kind = next((kind for kind in (scheme, "all") if known.get(kind)), None)
    if kind is None or should_bypass_proxies(url, no_proxy=None):
        return None
    # In both spellings the small one counts.
    name = next(name for name in (f"{kind}_proxy", f"{kind}_proxy".upper(), *variables()) if name in os.environ)
    return name, known[kind]


def require_usable(url: str, socks: str | None = None) -> None:
    """Refuse a proxy before `url` that is none.

    Args:
        socks: the package without which the one who asks knows no SOCKS; None: it needs none.

    Raises:
        InputError: the line names the variable.
    """
    proxy = proxy_of(url)
    if proxy is not None:
        require_proxy(*proxy, socks)


def require_proxy(name: str, value: str, socks: str | None = None) -> None:
    """Refuse the proxy that the variable `name` says, if it is none. See `require_usable`."""
    shown, expected = without_user(value), "a proxy such as http://host:3128"
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"{name}: {shown}: no address ({error}), expected {expected}") from None
    if not host or parts.scheme.lower() not in SCHEMES:
        raise InputError(f"{name}: {shown}: no address of a proxy, expected {expected}")
    if parts.scheme.lower().startswith("socks") and socks is not None and importlib.util.find_spec(_MODULES[socks]) is None:
        raise InputError(
            f"{name}: {shown}: a SOCKS proxy needs the package {socks}, expected that (pip install {socks}) or {expected}"
        )


def is_any_broken() -> bool:
    """Whether a variable names a proxy that is none, needed or not: some libraries read them all before they look at a URL."""
    for name, value in variables().items():
        try:
            require_proxy(name, value)
        except InputError:
            return True
    return False


_MODULES = {"PySocks": "socks", "socksio": "socksio"}
# What stands before the last @ of a host, and a password that holds what no host can (`me:se/cret@host`): what follows a colon is a port
# only where it is a number.
_USER = re.compile(r"(^|://)(?:[^/?#\s]*|[^/?#\s:\[]*:(?!//|\d*(?:[/?#\s]|$))\S*)@")


def without_user(text: str) -> str:
    """A text as it may be shown: the addresses in it without user and password."""
    return _USER.sub(r"\1", text)
