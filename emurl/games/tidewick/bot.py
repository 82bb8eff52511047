"""Tidewick's runner: the engine's, which finds its way by this world's plot."""

from __future__ import annotations

from collections.abc import Callable

from emurl.envs.gameboy.console import GameBoy
from emurl.games.mossdale import bot
from emurl.games.mossdale.bot import RunRecord, Style
from emurl.games.tidewick import TIDEWICK


def play(
    gameboy: GameBoy,
    seed: int,
    on_tick: Callable[[GameBoy], None] | None = None,
    *,
    render_every: int = 2,
    end_ticks: int = 150,
    style: Style | None = None,
) -> RunRecord:
    """Play a run of this world: see `emurl.games.mossdale.bot.play`."""
    return bot.play(gameboy, seed, on_tick, render_every=render_every, end_ticks=end_ticks, style=style, of=TIDEWICK)
