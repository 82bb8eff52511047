"""The Prefect server: whether the one that is named is there, or one of a flow's own that ends with the flow.

python -m flows.server [--within SECONDS]     wait until the server that PREFECT_API_URL names answers
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import prefect
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings

from emurl.core import log
from emurl.core.arguments import Parser
from emurl.core.errors import EmurlError, InputError, WorkError
from emurl.core.proxies import require_proxy, variables, without_user


def require_server(within_s: float = 0.0) -> str:
    """Ask a server that is named whether it is there; where none is named, the flow starts its own.

    Args:
        within_s: how long it is waited for.

    Returns:
        its address; empty where none is named.

    Raises:
        InputError: it does not answer, its address is none, or the environment names a proxy that Prefect cannot use.
    """
    deadline = time.monotonic() + within_s
    for name, value in variables().items():
        require_proxy(name, value, "socksio")  # Prefect reads them all, needed or not
    url = str(get_current_settings().api.url or "")
    if not url:
        return ""
    name = "PREFECT_API_URL" if os.environ.get("PREFECT_API_URL") else "PREFECT_API_URL of the Prefect profile"
    shown, expected = (
        without_user(url),
        "a Prefect server there (prefect server start), or no PREFECT_API_URL: a flow starts its own",
    )
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise InputError(f"{name}: {shown}: no address, expected http://host:4200/api, or none: a flow starts its own server")
    with get_client(sync_client=True) as client:
        while (failure := client.api_healthcheck()) is not None and time.monotonic() < deadline:
            time.sleep(0.5)
    if failure is not None:
        raise InputError(f"{name}: {shown}: no answer ({' '.join(str(failure).split())[:120]}), expected {expected}")
    return shown


@contextmanager
def leashed_server() -> Iterator[None]:
    """Let Prefect take a server that ends with this process where it would start a temporary one; none, where one is named.

    Prefect itself ends it on the way out alone, and its children share nothing with it that would tell them. Ctrl-C in a terminal goes to
    all of a session's foreground: in a session of its own the server is still there for the flow to say how it ended.
    """
    if get_current_settings().api.url:
        yield
        return
    from prefect.server.api.server import SubprocessASGIServer  # all of the server, which nobody else here needs

    class Leashed(SubprocessASGIServer):
        def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
            words = ["--app-dir", str(Path(prefect.__file__).parent), "--factory", "prefect.server.api.server:create_app"]
            words += ["--host", "127.0.0.1", "--port", str(self.port), "--log-level", "error", "--lifespan", "on"]
            told = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
            return subprocess.Popen(
                [sys.executable, "-m", "flows.leash", str(os.getpid()), "uvicorn", *words],
                env=os.environ | told | get_current_settings().to_environment_variables(exclude_unset=True),
                start_new_session=True,
            )

    Leashed()  # made once, Prefect takes it for its own, and starts it when it first needs one
    yield


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


def main(argv: list[str] | None = None) -> int:
    """Wait for the server that is named, and say where it is."""
    parser = Parser(
        prog="python -m flows.server", description="Wait until the Prefect server that PREFECT_API_URL names answers."
    )
    parser.add_argument("--within", type=float, default=180.0, metavar="SECONDS", help="give up after so long (default: 180)")
    args = parser.parse_args(argv)
    log.start()
    try:
        url = require_server(args.within)
        if not url:
            raise InputError("PREFECT_API_URL: not set, expected http://127.0.0.1:4200/api, for example")
    except EmurlError as error:
        log.failed(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    print(f"a Prefect server answers at {url}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
