"""Which game is played, how an action is played, and the demo leaderboard that a game may have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from emurl.core.errors import InputError
from emurl.core.proxies import spare_loopback
from emurl.core.registry import discover, module_of
from emurl.core.settings import NOT_IN_FINGERPRINT, Natural, PathText, Positive, Settings
from emurl.games import game_of_title
from emurl.games.base import DemoLeaderboard, Game

EMBEDDED = "mossdale"  # what `embedded` means
PORT = 8571  # of the demo leaderboard; an address with it means that one, also where another port is set


class EmulatorSettings(Settings):
    """Which ROM, and how an action is played. The content of the ROM decides the result, not its path."""

    # A path, `embedded`, or the name of a game that ships with its ROM.
    rom: Annotated[PathText, Field(json_schema_extra=NOT_IN_FINGERPRINT)] = "embedded"
    frame_skip: Positive = 30  # emulator frames an action takes
    press_ticks: Positive = 8  # of which the button is held down

    @model_validator(mode="after")
    def _released_in_time(self) -> Self:
        """Refuse a press that its own action does not see the end of. What is not said here may be said by what was trained."""
        if {"frame_skip", "press_ticks"} <= self.model_fields_set and self.press_ticks >= self.frame_skip:
            raise ValueError(f"press_ticks is {self.press_ticks}, expected fewer than the {self.frame_skip} of frame_skip")
        return self

    def files(self) -> dict[str, Path]:
        """The ROM."""
        return {"rom": rom_path(self)}

    def modules(self) -> tuple[str, ...]:
        """The module of the game, which reads its memory."""
        game = game_of(self)
        return (module_of(game.reader),) if game is not None and game.reader is not None else ()


class BroadcastSettings(Settings):
    """The demo leaderboard on loopback, of a game that has one; absent when a real site is read."""

    game: str = EMBEDDED  # the game whose recorded runs are shown
    port: Annotated[int, Field(ge=0, le=65535)] = PORT  # of the leaderboard on this machine; 0: any free one
    runs: Positive = 12  # runs on the leaderboard
    # The folder of the rendered videos.
    cache: Annotated[PathText, Field(json_schema_extra=NOT_IN_FINGERPRINT)] = "data/.broadcast"
    seed: Natural = 0  # of the runs and of how their videos look

    def files(self) -> dict[str, Path]:
        """The ROM that is played on it."""
        game = broadcasting(self)
        return {} if game.rom is None else {"rom": game.rom()}

    def modules(self) -> tuple[str, ...]:
        """The modules of the leaderboard, with the bot whose runs it shows, and of the font that its videos are read by."""
        game = broadcasting(self)
        return tuple(module_of(made) for made in (game.leaderboard, game.bot, game.font) if made is not None)

    def is_at(self, url: str) -> bool:
        """Whether `url` can only mean this leaderboard."""
        try:
            parts = urlsplit(url)
            return parts.scheme == "http" and parts.hostname == "127.0.0.1" and parts.port in (self.port, PORT)
        except ValueError:
            return False

    def open(self) -> DemoLeaderboard:
        """The leaderboard, not served yet: `with settings.open() as leaderboard` serves it.

        Raises:
            InputError: there is no such game, or it has no demo leaderboard.
        """
        made = broadcasting(self).leaderboard
        assert made is not None
        spare_loopback()
        return made(self)


def rom_path(emulator: EmulatorSettings, key: str = "emulator.rom") -> Path:
    """The ROM that `emulator.rom` means: a path, or the name of a game that ships with its own. `key`: what the settings call it.

    Raises:
        InputError: there is no such file.
    """
    name = EMBEDDED if emulator.rom == "embedded" else emulator.rom
    game = discover("games").get(name)
    if game is not None and game.rom is not None:
        shipped: Path = game.rom()
        return shipped
    path = Path(emulator.rom)
    if not path.is_file():
        named = ", ".join(sorted(["embedded", *(name for name, game in discover("games").items() if game.rom is not None)]))
        raise InputError(f"{key}: {path}: no such file, expected a Game Boy ROM (.gb), or one of {named}")
    return path


def game_of(emulator: EmulatorSettings) -> Game | None:
    """The game on the cartridge that `emulator.rom` means; None for one nobody has described.

    Raises:
        InputError: there is no such ROM, or it is none.
    """
    from emurl.envs.gameboy.console import read_rom, rom_title

    return game_of_title(rom_title(read_rom(rom_path(emulator))))


def broadcasting(settings: BroadcastSettings) -> Game:
    """The game whose demo leaderboard is meant.

    Raises:
        InputError: there is no such game, or it has no demo leaderboard.
    """
    having: dict[str, Game] = {name: game for name, game in discover("games").items() if game.leaderboard is not None}
    if settings.game not in having:
        raise InputError(f"broadcast.game: {settings.game!r} has no demo leaderboard, expected one of {', '.join(having)}")
    return having[settings.game]
