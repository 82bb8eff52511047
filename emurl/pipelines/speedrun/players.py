"""What the stages that play need: frozen models off artifacts, consoles, and a check that they fit together."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from emurl.agents.ppo.agent import PPOAgent
from emurl.agents.ppo.token_networks import TokenPolicy, token_network
from emurl.core.artifact import MANIFEST
from emurl.core.errors import InputError
from emurl.core.refusals import one_line
from emurl.core.store import Artifact, Output, sha256_of_file
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.games.settings import EmulatorSettings, rom_path
from emurl.models.base import class_saved_in
from emurl.models.policy import Policy
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.models.reward import RewardModel
from emurl.models.tokenizer import Tokenizer
from emurl.rewards.progress import GainMultiplier
from emurl.screen import ScreenSpec
from emurl.training.evaluate import Player
from emurl.training.perception import Perception
from emurl.training.settings import PlaySettings

PLAY = "play.json"
CADENCE = ("frame_skip", "press_ticks")


def write_play(output: Output, emulator: EmulatorSettings, spec: ScreenSpec, how: PlaySettings) -> None:
    """`play.json`: how the agent in this artifact is to be played: cadence, choice of actions, screen, and the ROM by its content."""
    told = {
        "frame_skip": emulator.frame_skip,
        "press_ticks": emulator.press_ticks,
        **how.model_dump(),
        "screen": spec.to_dict(),
        "rom_sha256": sha256_of_file(rom_path(emulator)),
    }
    output.path(PLAY).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


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


def _read_play(file: Path) -> dict[str, object]:
    return _checked(json.loads(file.read_text(encoding="utf-8")))


def _checked(told: object) -> dict[str, object]:
    if not isinstance(told, dict):
        raise TypeError(f"a JSON {type(told).__name__}, expected an object")
    for section in (EmulatorSettings, PlaySettings):
        section.model_validate({key: told[key] for key in section.model_fields if key in told})
    return told


def emulator_of(artifact: Artifact, emulator: EmulatorSettings) -> EmulatorSettings:
    """How `artifact` is to be played, on the ROM of `emulator`: the artifact says it, and the settings may not say otherwise.

    What the settings leave unsaid is the artifact's.

    Raises:
        InputError: `emulator` says another cadence than the one it was trained at, or has another ROM.
    """
    told = how_to_play(artifact)
    for key in CADENCE:
        if key in told and told[key] != getattr(emulator, key) and key in emulator.model_fields_set:
            raise InputError(
                f"emulator.{key}: the settings say {getattr(emulator, key)}, expected {told[key]}, which {artifact.ref} was trained at"
            )
    if "rom_sha256" in told and told["rom_sha256"] != sha256_of_file(rom_path(emulator)):
        raise InputError(f"emulator.rom: {emulator.rom} is another ROM than {artifact.ref} was trained on, expected the same")
    return emulator.model_copy(update={key: told[key] for key in CADENCE if key in told})


def load_policy(artifact: Artifact, perception: Perception, device: torch.device) -> TokenPolicy:
    """The policy in a `behavior` or `policy` artifact.

    Raises:
        InputError: it reads another vocabulary than the tokenizer of `perception` writes.
    """
    policy = read_policy(artifact.path("policy"), device)
    vocab = getattr(perception.tokenizer, "vocab", policy.vocab)
    if policy.vocab != vocab:
        raise InputError(f"{artifact.ref}: its policy reads {policy.vocab} tokens, expected {vocab}, as the tokenizer has")
    return policy


def read_policy(folder: Path, device: torch.device) -> TokenPolicy:
    """The policy in a folder, of whichever kind it is."""
    if class_saved_in(folder) == RecurrentPolicy.__name__:
        return RecurrentPolicy.from_pretrained(folder, device)
    return Policy.from_pretrained(folder, device)


def memory_of(policy: TokenPolicy) -> str:
    """What a policy remembers, as `behavior.memory` says it."""
    if isinstance(policy, RecurrentPolicy):
        return "recurrent"
    return "frames" if policy.context > 1 else "none"


def player_of(name: str, artifact: Artifact, perception: Perception, device: torch.device) -> Player:
    """The policy in a `behavior` or `policy` artifact, played as it is to be."""
    told = how_to_play(artifact)
    how = PlaySettings.model_validate({key: told[key] for key in PlaySettings.model_fields if key in told})
    return Player(name, agent_of(load_policy(artifact, perception, device)), how=how)


def agent_of(policy: TokenPolicy) -> PPOAgent:
    """A policy as an agent that remembers what it is built to."""
    return PPOAgent(token_network(policy))


def load_perception(inputs: Mapping[str, Artifact], device: torch.device) -> tuple[Perception, ScreenSpec]:
    """The frozen tokenizer and reward model of `inputs` on `device`, and the screen both were made for.

    Raises:
        InputError: they were made for different screens.
    """
    tokenizer = Tokenizer.from_pretrained(inputs["tokenizer"].path("model"), device)
    reward = RewardModel.from_pretrained(inputs["reward"].path("model"), device)
    spec = ScreenSpec(channels=tokenizer.channels, shades=tokenizer.shades)
    seen = ScreenSpec(channels=reward.config["channels"], shades=reward.config["shades"])
    spec.require(seen, inputs["reward"].ref)
    return Perception(tokenizer, reward, device), spec


def consoles(emulator: EmulatorSettings, spec: ScreenSpec, number: int, facts: bool = False) -> ThreadedVectorEnv:
    """`number` Game Boys as the stages want them: no limit of steps, no reset of their own, one shared buffer.

    With `facts` each console can be asked what its game's memory means.
    """
    return ThreadedVectorEnv(
        rom_path(emulator), number, emulator.frame_skip, emulator.press_ticks, spec=spec, facts="asked" if facts else False,
        autoreset_mode=AutoresetMode.DISABLED, copy=False,
    )  # fmt: skip


def familiarity(inputs: Mapping[str, Artifact], device: torch.device) -> GainMultiplier:
    """How much of a gain is believed, from the OOD detector over tokenizer and dynamics."""
    from emurl.rewards.ood import USUAL, OODDetector, patches_file

    sight, foresight = inputs["tokenizer"].path("model"), inputs["dynamics"].path("model")
    usual = inputs["dynamics"].path(USUAL)  # and nothing that was calibrated by hand: the settings tell what a run gave
    with contextlib.suppress(InputError):  # artifacts of an older emurl know no patches
        inputs["dynamics"].path(patches_file(Path(USUAL)).name)
    detector = OODDetector.from_tokenizer(sight, foresight, device=device, calibration=usual)

    def multiplier(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        scores = detector.compute_combined_ood_scores(before, after)
        return np.asarray(detector.get_reward_multiplier(scores), np.float32)

    return multiplier
