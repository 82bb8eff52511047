"""Games: one row each (`GAME`, see `base.Game`) that says what a game has: a ROM, a reader of its memory, maps, a demo leaderboard."""

from __future__ import annotations

from emurl.envs.gameboy.memory import row_for_title
from emurl.games.base import Game

__all__ = ["Game", "game_of_title"]


def game_of_title(title: str) -> Game | None:
    """The game whose cartridge has this header title; None for a game nobody has described.

    Raises:
        InputError: two are described.
    """
    found: Game | None = row_for_title(title)
    return found
