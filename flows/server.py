"""Whether the Prefect server that the environment or the profile names is there, asked before any work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings

from emurl.core.errors import InputError, WorkError
from emurl.core.proxies import require_proxy, variables, without_password


def require_server() -> None:
    """Ask a server that is named whether it is there; where none is named, the flow starts its own.

    Raises:
        InputError: it does not answer, its address is none, or the environment names a proxy that Prefect cannot use.
    """
    for name, value in variables().items():
        require_proxy(name, value, "socksio")  # Prefect reads them all, needed or not
    url = str(get_current_settings().api.url or "")
    if not url:
        return
    name = "PREFECT_API_URL" if os.environ.get("PREFECT_API_URL") else "PREFECT_API_URL of the Prefect profile"
    shown, expected = (
        without_password(url),
        "a Prefect server there (prefect server start), or no PREFECT_API_URL: a flow starts its own",
    )
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise InputError(f"{name}: {shown}: no address, expected http://host:4200/api, or none: a flow starts its own server")
    with get_client(sync_client=True) as client:
        failure = client.api_healthcheck()
    if failure is not None:
        raise InputError(f"{name}: {shown}: no answer ({' '.join(str(failure).split())[:120]}), expected {expected}")


@contextmanager
def told_when_it_goes() -> Iterator[None]:
    """One line where the server does not come up, or goes away while a flow runs; no stage asks anybody through httpx."""
    try:
        yield
    except httpx.HTTPError as error:
        raise WorkError(
            f"the Prefect server has gone ({type(error).__name__}: {error}); the same command goes on from here"
        ) from None
    except RuntimeError as error:
        if not any(words in str(error) for words in ("Failed to reach API", "ephemeral Prefect API server")):
            raise
        raise WorkError(f"the Prefect server does not answer ({error}); the same command goes on from here") from None
