"""Pokémon Red (US): its milestones, from badges, event flags and where the player stands.

Map and event numbers are facts of the public disassembly (https://github.com/pret/pokered: `constants/map_constants.asm`,
`constants/event_constants.asm`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from emurl.envs.gameboy.memory import Fact, Facts, Memory
from emurl.envs.gameboy.memory_layout import has_event, read_layout
from emurl.games.base import Game

_GOT_STARTER, _GOT_POKEDEX, _OAK_GOT_PARCEL, _GOT_PARCEL = 0x22, 0x25, 0x38, 0x39
_PALLET, _VIRIDIAN, _PEWTER, _ROUTE_1, _HOUSE, _HALL_OF_FAME = 0x00, 0x01, 0x02, 0x0C, 0x25, 0x76

LEADERS = ("brock", "misty", "surge", "erika", "koga", "sabrina", "blaine", "giovanni")
"""Gym leaders by the bit of their badge in wObtainedBadges."""


class PokemonRed:
    """Reader of Pokémon Red and Blue (US)."""

    title = "POKEMON RED"
    milestones: tuple[str, ...] = (
        "title",
        "intro",
        "downstairs",
        "outside",
        "starter",
        "route_1",
        "viridian",
        "parcel",
        "parcel_delivered",
        "pokedex",
        "pewter",
        *LEADERS,
        "hall_of_fame",
    )
    maps: Mapping[int, str] = MappingProxyType(
        {
            0x00: "Pallet Town",
            0x01: "Viridian City",
            0x02: "Pewter City",
            0x0C: "Route 1",
            0x25: "house",
            0x26: "bedroom",
            0x28: "lab",
            0x76: "Hall of Fame",
        }
    )

    def read(self, gameboy: Memory) -> dict[str, Fact]:
        """The facts of this moment: those of `read_layout` and `badge_bits`."""
        return {**read_layout(gameboy), "badge_bits": gameboy.read(0xD356)[0]}

    def walking(self, facts: Facts) -> bool:
        """The play-time clock starts when control is given over; before that map 0 is not Pallet Town."""
        return facts["play_time_s"] != 0

    def reached(self, facts: Facts) -> list[str]:
        """The milestones these facts show, in order. The player gets a name when a new game begins."""
        walking = self.walking(facts)
        place = facts["map"] if walking else None
        badges = facts["badge_bits"]
        assert isinstance(badges, int)
        shown = {
            "title": facts["player_name"] != "",
            "intro": walking,
            "downstairs": place == _HOUSE,
            "outside": place == _PALLET,
            "starter": facts["party_count"] != 0 or has_event(facts, _GOT_STARTER),
            "route_1": place == _ROUTE_1,
            "viridian": place == _VIRIDIAN,
            "parcel": has_event(facts, _GOT_PARCEL),
            "parcel_delivered": has_event(facts, _OAK_GOT_PARCEL),
            "pokedex": has_event(facts, _GOT_POKEDEX),
            "pewter": place == _PEWTER,
            "hall_of_fame": place == _HALL_OF_FAME,
        }
        shown |= {leader: bool(badges >> bit & 1) for bit, leader in enumerate(LEADERS)}
        return [name for name in self.milestones if shown[name]]


GAME = Game(
    name="pokemon_red",
    title=PokemonRed.title,
    md5=("a6924ce1f9ad2228e1c6580779b23878",),
    reader=PokemonRed,
)
