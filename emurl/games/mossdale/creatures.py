"""The cartridge's monsters, moves and opponents as data, parsed from ``game/creatures.txt``.

One line a thing, parted by spaces:

    type leaf LEAF tide                                  its name on the screen, and what it beats
    move BRAMBLE leaf 45 hit                             type, power, effect: hit, weaken (the foe's blows), mend (oneself)
    species MOSSLING leaf 22 11 11 10 28 BUMP BRAMBLE GLARE MEND     hit points, attack, defense, speed, experience, moves
    trainer wren trainer 4 80 TWIGGET:4                  event when beaten, cells it sees, prize, monsters with levels
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from emurl.core.errors import InputError
from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge
from emurl.games.mossdale.plot import plot

EFFECTS = ("hit", "weaken", "mend")


@dataclass(frozen=True)
class Kind:
    """A type: its name on the screen and the type it beats ("" for none)."""

    name: str
    title: str
    beats: str


@dataclass(frozen=True)
class Move:
    """One move; ``effect`` is one of `EFFECTS`."""

    name: str
    kind: str
    power: int
    effect: str


@dataclass(frozen=True)
class Species:
    """One species: ``numbers`` are hit points, attack, defense, speed at level 0 and the experience it is worth."""

    name: str
    kind: str
    numbers: tuple[int, int, int, int, int]
    moves: tuple[str, str, str, str]


@dataclass(frozen=True)
class Trainer:
    """An opponent: the event of beating it, how many cells it sees, prize money and up to two monsters with levels."""

    name: str
    event: str
    sight: int
    prize: int
    monsters: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Creatures:
    """Everything in ``creatures.txt`` by name, in the order of the file; species count from 1 in the game."""

    kinds: dict[str, Kind]
    moves: dict[str, Move]
    species: dict[str, Species]
    trainers: dict[str, Trainer]

    def number(self, species: str) -> int:
        """The game's number of a species."""
        return list(self.species).index(species) + 1


@lru_cache
def creatures(of: Cartridge = MOSSDALE) -> Creatures:
    """The parsed file of a cartridge.

    Raises:
        InputError: a line of another form, or a name nothing stands for.
    """
    found = Creatures({}, {}, {}, {})
    for number, line in enumerate(of.source("creatures.txt").read_text(encoding="ascii").splitlines(), start=1):
        try:
            _line(found, line.split(), plot(of).events)
        except (ValueError, KeyError) as error:
            raise InputError(f"creatures.txt:{number}: {line!r} is none of type, move, species, trainer ({error})") from None
    return found


def _line(found: Creatures, words: list[str], events: tuple[str, ...]) -> None:
    match words:
        case [] | ["#", *_]:
            return
        case ["type", name, title, *beats]:
            found.kinds[name] = Kind(name, title, beats[0] if beats else "")
        case ["move", name, kind, power, effect]:
            EFFECTS.index(effect)
            found.moves[name] = Move(name, found.kinds[kind].name, int(power), effect)
        case ["species", name, kind, hp, attack, defense, speed, worth, a, b, c, d]:
            numbers = (int(hp), int(attack), int(defense), int(speed), int(worth))
            moves = (found.moves[a].name, found.moves[b].name, found.moves[c].name, found.moves[d].name)
            found.species[name] = Species(name, found.kinds[kind].name, numbers, moves)
        case ["trainer", name, event, sight, prize, *monsters]:
            events.index(event)
            team = tuple((found.species[each.split(":")[0]].name, int(each.split(":")[1])) for each in monsters)
            found.trainers[name] = Trainer(name, event, int(sight), int(prize), team)
        case _:
            raise ValueError("unknown word")
