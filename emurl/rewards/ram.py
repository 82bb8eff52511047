"""Reward from the game's memory: badges, new places, levels, and what public experiments add to them.

The first three are those that Pokémon Red is usually paid by (Whidden 2023, https://github.com/PWhiddy/PokemonRedExperiments; Pleines et
al. 2025, 2502.19920). A term pays what is new in an episode, so that nothing can be earned twice: the most badges, levels or events so
far, each walking cell once; health alone may be lost and given back again. Nothing is paid before the player walks, where memory means
nothing yet.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated

import numpy as np
from pydantic import Field

from emurl.core.settings import Positive, Settings

BATTLES = (1, 2)  # values of `in_battle` that mean one is on
Numbers = Mapping[str, np.ndarray]
"""Numbers of n consoles by name, as `emurl.envs.gameboy.memory_layout.read_many` gives them."""


Amount = Annotated[float, Field(ge=0, le=1e6)]


class RamRewardSettings(Settings):
    """What is paid; 0 leaves a term out."""

    badge_reward: Amount = 4.0  # a badge
    explore_reward: Amount = 0.01  # a walking cell (map, x, y) that is new in the episode
    level_reward: Amount = 0.01  # a level of the party's sum, above its highest so far
    event_reward: Amount = 0.0  # an event flag
    pokedex_reward: Amount = 0.0  # a species caught
    seen_reward: Amount = 0.0  # a species seen
    heal_reward: Amount = 0.0  # the whole party's health given back; a part of it pays that part
    opponent_level_reward: Amount = 0.0  # a level of the strongest opponent met, above the highest so far
    stuck_penalty: Amount = 0.0  # cost of a step in a cell in which more than `stuck_after` steps of the episode have ended
    stuck_after: Positive = 600  # steps


TERMS = ("badge", "explore", "level", "event", "pokedex", "seen", "heal", "opponent_level", "stuck")
"""The terms, each `<term>_reward` of the settings; `stuck` is a penalty."""

_MOST = {"badge": "badges", "event": "events", "pokedex": "pokedex_owned", "seen": "pokedex_seen"}
"""Terms paid by the most so far, and the number each is of."""


@dataclass
class _Account:
    """What one episode was paid for."""

    most: dict[str, float] = field(default_factory=dict)  # the most so far, by term
    visits: Counter[tuple[int, int, int]] = field(default_factory=Counter)  # steps that ended in a cell (map, x, y)
    health: float = 0.0  # share of the party's health, at the last step
    most_health: float = 0.0  # all that the party can have, at the last step


class RamReward:
    """Pays `n` consoles step by step.

    Args:
        settings: what is paid.
    """

    def __init__(self, settings: RamRewardSettings, n: int) -> None:
        self.settings, self.n = settings, n
        self.rates = {term: float(getattr(settings, f"{term}_reward")) for term in TERMS[:-1]}
        self._accounts = [_Account() for _ in range(n)]

    def begin(self, i: int, numbers: Numbers, walking: bool) -> None:
        """Console `i` begins an episode; what it has already, at a saved state, is not paid.

        Args:
            numbers: of all n consoles. walking: the player stands somewhere.
        """
        self._accounts[i] = _Account()
        if walking:
            self._terms(i, numbers)

    def pay(self, numbers: Numbers, walking: np.ndarray) -> dict[str, np.ndarray]:
        """What each term pays for the step that led here: {term: float32 (n,)}; the reward is their sum.

        Args:
            walking: bool (n,), the player stands somewhere.
        """
        paid = {term: np.zeros(self.n, np.float32) for term in TERMS}
        for i in np.flatnonzero(walking).tolist():
            for term, amount in self._terms(i, numbers).items():
                paid[term][i] = amount
        return paid

    def _terms(self, i: int, numbers: Numbers) -> dict[str, float]:
        """What is new on console `i`, which from now on is not."""
        account, settings = self._accounts[i], self.settings
        now = {term: float(numbers[name][i]) for term, name in _MOST.items()}
        now["level"] = float(numbers["party_levels"][i].sum())
        now["opponent_level"] = float(numbers["opponent_level"][i]) if int(numbers["in_battle"][i]) in BATTLES else 0.0
        terms = {}
        for term, value in now.items():
            before = account.most.get(term, 0.0)
            account.most[term] = max(before, value)
            terms[term] = self.rates[term] * max(0.0, value - before)
        cell = int(numbers["map"][i]), int(numbers["x"][i]), int(numbers["y"][i])
        account.visits[cell] += 1
        terms["explore"] = self.rates["explore"] * (account.visits[cell] == 1)
        terms["stuck"] = -settings.stuck_penalty * (account.visits[cell] > settings.stuck_after)
        terms["heal"] = self.rates["heal"] * self._healed(account, numbers, i)
        return terms

    def _healed(self, account: _Account, numbers: Numbers, i: int) -> float:
        """Share of the party's health given back; a member or a level more gives none, and neither does waking up after a defeat."""
        most = float(numbers["party_max_hp"][i].sum())
        health = float(numbers["party_hp"][i].sum()) / most if most else 0.0
        gained = health - account.health if most == account.most_health and account.health > 0 else 0.0
        account.health, account.most_health = health, most
        return max(0.0, gained)

    def save(self, i: int) -> bytes:
        """The account of console `i`, for `load`."""
        told = asdict(self._accounts[i])
        told["visits"] = [[*cell, count] for cell, count in self._accounts[i].visits.items()]
        return json.dumps(told).encode()

    def load(self, i: int, saved: bytes) -> None:
        """The inverse of `save`."""
        told = json.loads(saved)
        visits = Counter({(cell[0], cell[1], cell[2]): cell[3] for cell in told.pop("visits")})
        self._accounts[i] = _Account(**told, visits=visits)
