"""Mossdale's reader: Pokémon Red's RAM layout, with its milestones as event bits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from emurl.envs.gameboy.memory import Fact, Facts, Memory
from emurl.envs.gameboy.memory_layout import has_event, read_layout

GAME_MODE = 0xD900  # 0 boot, 1 title, 2 introduction, 3 walking, 4 end screen, 5 battle, 6 page; frames left of the step; facing
MENU = 0xD908  # which menu waits for a choice, 0 none

EVENTS: Mapping[str, int] = MappingProxyType(
    {
        "title": 0, "intro": 1, "bedroom": 2, "house": 3, "partner": 6, "route": 4, "trainer": 7, "maze": 8, "gym": 9,
        "puzzle": 10, "badge": 11, "goal": 5,
    }
)  # fmt: skip
"""The milestones in the order of the road, with their bits in wEventFlags."""


class EngineReader:
    """What the readers of all this engine's games share: they differ in `title`, `events` (name: bit), `milestones` and `maps`."""

    events: Mapping[str, int]

    def read(self, gameboy: Memory) -> dict[str, Fact]:
        """The common facts (`read_layout`), `mode`, `step_left` (frames), `facing` (0 down, 4 up, 8 left, 12 right), `menu`."""
        mode, step_left, facing = gameboy.read(GAME_MODE, 3)
        menu = gameboy.read(MENU)[0]
        return {**read_layout(gameboy), "mode": mode, "step_left": step_left, "facing": facing, "menu": menu}

    def walking(self, facts: Facts) -> bool:
        """Map 0 is nowhere: title and introduction."""
        return facts["map"] != 0

    def reached(self, facts: Facts) -> list[str]:
        """The milestones these facts show: the game itself keeps them as events."""
        return [name for name, event in self.events.items() if has_event(facts, event)]


class Mossdale(EngineReader):
    """Reader of the open game that ships with emurl."""

    title = "MOSSDALE"
    events = EVENTS
    milestones: tuple[str, ...] = tuple(EVENTS)
    maps: Mapping[int, str] = MappingProxyType(
        {
            1: "bedroom", 2: "house", 3: "town", 4: "route", 5: "tower", 6: "hearth", 7: "lodge", 8: "maze", 9: "gym",
        }
    )  # fmt: skip
