"""Tidewick's reader: the engine's RAM, with this world's milestones as event bits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from emurl.games.mossdale.memory import EngineReader

EVENTS: Mapping[str, int] = MappingProxyType(
    {
        "title": 0, "intro": 1, "cabin": 2, "ship": 3, "puzzle": 4, "partner": 5, "shore": 6, "cave": 7, "trainer": 8, "hall": 9,
        "badge": 10, "goal": 11,
    }
)  # fmt: skip
"""The milestones in the order of the road, with their bits in wEventFlags."""


class Tidewick(EngineReader):
    """Reader of the second open game that ships with emurl."""

    title = "TIDEWICK"
    events = EVENTS
    milestones: tuple[str, ...] = tuple(EVENTS)
    maps: Mapping[int, str] = MappingProxyType(
        {
            1: "cabin", 2: "ship", 3: "harbor", 4: "sluice", 5: "grotto", 6: "shore", 7: "cave", 8: "cliff", 9: "hall", 10: "inn",
            11: "belfry",
        }
    )  # fmt: skip
