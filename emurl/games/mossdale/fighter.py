"""The runner in a battle: answers the menus by what it reads of both sides."""

from __future__ import annotations

from emurl.games.mossdale import hands
from emurl.games.mossdale.creatures import Creatures
from emurl.games.mossdale.hands import Hands


class Fighter:
    """One person's way of fighting: see `emurl.games.mossdale.bot.Style`."""

    def __init__(self, own: Hands, beings: Creatures, heal_below: float, flee: float, best_move: float) -> None:
        self.hands = own
        self.beings = beings
        self.heal_below = heal_below
        self.flee = flee
        self.best_move = best_move
        self._fleeing = False

    def act(self) -> None:
        """One decision, or a tick of waiting while texts run."""
        own = self.hands
        menu = own.read("wMenu")
        if menu == hands.FIGHT:
            own.wait(0.6)
            self._choose()
        elif menu == hands.MOVES:
            own.wait(0.5)
            own.choose(self._move())
        elif menu == hands.ITEMS:
            own.wait(0.5)
            own.choose(0)
        elif own.chance(0.01):
            own.tap("a")  # hurrying the text along
        else:
            own.tick(2)

    def _choose(self) -> None:
        own = self.hands
        wild = own.read("wIsInBattle") == 1
        first = own.read("wEnemyMon", 2) == own.read("wEnemyMon", 16)  # nobody has hit it yet
        if first:
            self._fleeing = wild and own.chance(self.flee)
        share = own.read("wPartyMons", 2) / max(1, own.read("wPartyMons", 35))
        if share < self.heal_below and own.read("wNumBagItems"):
            own.choose(1)
        elif wild and (self._fleeing or (self.heal_below and share < 0.25)):
            own.choose(2)
        else:
            own.choose(0)

    def _move(self) -> int:
        """The line of the move that does most, most of the time."""
        own = self.hands
        if not own.chance(self.best_move):
            return 0
        beings = self.beings
        kinds, moves = list(beings.kinds), list(beings.moves.values())
        mine, foe = (kinds[own.read(name, 5)] for name in ("wPartyMons", "wEnemyMon"))
        worth = []
        for line in range(4):
            move = moves[own.read("wPartyMons", 8 + line)]
            power = move.power * (1.5 if move.kind == mine else 1.0)
            if beings.kinds[move.kind].beats == foe:
                power *= 2
            elif beings.kinds[foe].beats == move.kind or move.kind == foe != "plain":
                power /= 2
            worth.append(power)
        return worth.index(max(worth))
