"""How an agent is played, written beside its weights and obeyed by whoever plays it; and the consoles it is played on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium.vector import AutoresetMode

from emurl.core.artifact import MANIFEST
from emurl.core.errors import InputError
from emurl.core.files import write_json
from emurl.core.refusals import one_line
from emurl.core.store import Artifact, Output, sha256_of_file
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.games.settings import EmulatorSettings, rom_path
from emurl.rewards.splits import SplitJudge
from emurl.screen import ScreenSpec
from emurl.training.evaluate import Player
from emurl.training.perception import Perception
from emurl.training.settings import PlaySettings

Seen = Callable[[np.ndarray], np.ndarray]
"""Frames uint8 (N, 144, 160) to gray pictures uint8 (N, H, W) of what an agent sees of them."""

PLAY = "play.json"
CADENCE = ("frame_skip", "press_ticks")


@dataclass(frozen=True)
class Stand:
    """Everything that an artifact's player is watched with.

    Attributes:
        player: who plays. emulator: the game and its cadence. seen: what the player sees of frames.
        perception: what makes tokens; None for who sees frames. judge: tells progress; None where nobody does.
    """

    player: Player
    emulator: EmulatorSettings
    spec: ScreenSpec
    seen: Seen
    perception: Perception | None = None
    judge: SplitJudge | None = None


def write_play(output: Output, emulator: EmulatorSettings, spec: ScreenSpec, how: PlaySettings) -> None:
    """`play.json`: how the agent in this artifact is to be played: cadence, choice of actions, screen, and the ROM by its content."""
    told = {
        "frame_skip": emulator.frame_skip,
        "press_ticks": emulator.press_ticks,
        **how.model_dump(),
        "screen": spec.to_dict(),
        "rom_sha256": sha256_of_file(rom_path(emulator)),
    }
    write_json(output.path(PLAY), told)


def holds(artifact: Artifact, name: str) -> bool:
    """Whether a file is part of an artifact: older ones lack some."""
    return any(file["name"] == name for file in artifact.manifest["files"]) or (artifact.local / name).exists()


def how_to_play(artifact: Artifact) -> dict[str, object]:
    """What `write_play` wrote; of an artifact made before, what its settings say."""
    if holds(artifact, PLAY):
        return artifact.read(PLAY, _read_play)
    try:
        emulator = _checked(artifact.settings.get("emulator", {}))
    except (ValueError, TypeError) as error:
        where = f"{artifact.ref}: {MANIFEST}: settings.emulator"
        raise InputError(f"{where} cannot be read ({one_line(error)}); run {artifact.stage} again") from None
    return {key: emulator[key] for key in CADENCE if key in emulator}


def play_settings_of(artifact: Artifact) -> PlaySettings:
    """How the agent in this artifact chooses its actions."""
    told = how_to_play(artifact)
    return PlaySettings.model_validate({key: told[key] for key in PlaySettings.model_fields if key in told})


def _read_play(file: Path) -> dict[str, object]:
    return _checked(json.loads(file.read_text(encoding="utf-8")))


def _checked(told: object) -> dict[str, object]:
    if not isinstance(told, dict):
        raise TypeError(f"a JSON {type(told).__name__}, expected an object")
    for section in (EmulatorSettings, PlaySettings):
        section.model_validate({key: told[key] for key in section.model_fields if key in told})
    return told


def emulator_of(artifact: Artifact, emulator: EmulatorSettings, rom_key: str = "emulator.rom") -> EmulatorSettings:
    """How `artifact` is to be played, on the ROM of `emulator`: the artifact says it, and the settings may not say otherwise.

    What the settings leave unsaid is the artifact's. `rom_key`: what they call the ROM.

    Raises:
        InputError: `emulator` says another cadence than the one it was trained at, or has another ROM.
    """
    told, section = how_to_play(artifact), rom_key.partition(".")[0]
    for key in CADENCE:
        if key in told and told[key] != getattr(emulator, key) and key in emulator.model_fields_set:
            raise InputError(
                f"{section}.{key}: the settings say {getattr(emulator, key)}, expected {told[key]}, which {artifact.ref} was trained at"
            )
    if "rom_sha256" in told and told["rom_sha256"] != sha256_of_file(rom_path(emulator, rom_key)):
        raise InputError(f"{rom_key}: {emulator.rom} is another ROM than {artifact.ref} was trained on, expected the same")
    return emulator.model_copy(update={key: told[key] for key in CADENCE if key in told})


def consoles(emulator: EmulatorSettings, spec: ScreenSpec, number: int, facts: bool = False) -> ThreadedVectorEnv:
    """`number` Game Boys as the stages want them: no limit of steps, no reset of their own, one shared buffer.

    With `facts` each console can be asked what its game's memory means.
    """
    return ThreadedVectorEnv(
        rom_path(emulator), number, emulator.frame_skip, emulator.press_ticks, spec=spec, facts="asked" if facts else False,
        autoreset_mode=AutoresetMode.DISABLED, copy=False,
    )  # fmt: skip
