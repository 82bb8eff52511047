"""Prefect, and nothing but Prefect: thin tasks and one flow over the table of stages."""

import os
import sys
from urllib.parse import urlsplit

from emurl.core.proxies import spare_loopback

# Prefect's own server would report to its makers, and complain when it cannot: quiet unless the user says otherwise.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
# Its own server takes half a minute to answer on a slow machine, and Prefect would wait twenty seconds.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
# Its server is on this machine, and no proxy knows that one.
spare_loopback()

# Prefect itself would show what its settings' checker thinks of this, in twenty lines, when it is imported.
try:
    urlsplit(os.environ.get("PREFECT_API_URL", ""))
except ValueError as error:
    print(
        f"emurl: PREFECT_API_URL: {os.environ['PREFECT_API_URL']}: no address ({error}), expected http://host:4200/api",
        file=sys.stderr,
    )
    sys.exit(2)
