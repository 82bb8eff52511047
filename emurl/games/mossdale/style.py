"""Who plays: the habits that make every seed of the runner another person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Style:
    """One person's habits: times in ticks, the rest as chances."""

    reaction: float
    pause: float
    wrong_turn: float
    overshoot: float
    idle_press: float
    detour: float
    chat: float
    leaf: float
    """That often the menu is opened for a look."""
    heal_below: float
    """Share of hit points below which a balm is used in a battle; 0: never."""
    flee: float
    best_move: float
    """That often the best move is taken, else the first one."""
    visit_hearth: float
    name: int
    partner: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Style:
        """Anything from a practiced runner to somebody who is there for the first time."""
        care = rng.uniform(0.2, 1.1)  # one number, so that a slow reader is also the one who gets lost
        greed = rng.uniform(0.0, 1.0)
        return cls(
            reaction=6 + 13 * care * rng.uniform(0.6, 1.4),
            pause=0.022 * care * rng.uniform(0.5, 1.5),
            wrong_turn=0.020 * care * rng.uniform(0.4, 1.6),
            overshoot=0.12 * care * rng.uniform(0.4, 1.6),
            idle_press=0.012 * care * rng.uniform(0.4, 1.6),
            detour=0.22 * care,
            chat=0.18 * care,
            leaf=0.10 * care,
            heal_below=0.15 if greed > 0.85 else rng.uniform(0.25, 0.5),
            flee=(0.0, 0.3, 0.8)[int(rng.integers(3))] * (1 - greed),
            best_move=rng.uniform(0.6, 1.0),
            visit_hearth=0.25 * (1 - greed),
            name=int(rng.integers(4)),
            partner=int(rng.integers(3)),
        )

    @classmethod
    def plain(cls, partner: int = 0) -> Style:
        """Somebody who goes straight on, never heals, never flees, and always takes the first move."""
        return cls(10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, partner)
