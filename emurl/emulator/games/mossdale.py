"""The embedded cartridge: Pokémon Red's RAM layout, with its milestones as the first event bits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from emurl.emulator.games.base import Fact, Facts, Memory
from emurl.emulator.games.pokemon_red import has_event, read_layout

GAME_MODE = 0xD900  # 0 boot, 1 title, 2 introduction, 3 walking, 4 end screen; frames left of the step; facing


class Mossdale:
    """Reader of the open game in `emurl/cartridge`."""

    title = "MOSSDALE"
    milestones: tuple[str, ...] = ("title", "intro", "bedroom", "house", "route", "goal")
    maps: Mapping[int, str] = MappingProxyType({1: "bedroom", 2: "house", 3: "town", 4: "route", 5: "tower"})

    def read(self, gameboy: Memory) -> dict[str, Fact]:
        """The common facts (`read_layout`) and `mode`, `step_left` (frames) and `facing` (0 down, 4 up, 8 left, 12 right)."""
        mode, step_left, facing = gameboy.read(GAME_MODE, 3)
        return {**read_layout(gameboy), "mode": mode, "step_left": step_left, "facing": facing}

    def walking(self, facts: Facts) -> bool:
        """Map 0 is nowhere: title and introduction."""
        return facts["map"] != 0

    def reached(self, facts: Facts) -> list[str]:
        """The milestones these facts show: the game itself keeps them as events 0 … 5."""
        return [name for event, name in enumerate(self.milestones) if has_event(facts, event)]
