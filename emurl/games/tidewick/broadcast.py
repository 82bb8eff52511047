"""Tidewick's demo leaderboard: runs of its bot, shown as Mossdale's are."""

from __future__ import annotations

from emurl.games.mossdale.broadcast import Broadcast
from emurl.games.settings import BroadcastSettings
from emurl.games.tidewick import TIDEWICK


def leaderboard(settings: BroadcastSettings) -> Broadcast:
    """The leaderboard on loopback, not served yet."""
    return Broadcast(settings, of=TIDEWICK)
