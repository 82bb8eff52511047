"""Prefect, and nothing but Prefect: thin tasks and one flow over the table of stages."""

import os

# Prefect's own server would report to its makers, and complain when it cannot: quiet unless the user says otherwise.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
