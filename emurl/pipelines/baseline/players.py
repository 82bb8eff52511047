"""Who plays in the baseline: the network of an artifact, and what it sees."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from emurl.agents.ppo.agent import PPOAgent
from emurl.agents.ppo.pixel_networks import PixelPolicy
from emurl.core.config import Config
from emurl.core.store import Artifact, Store
from emurl.pipelines.baseline.settings import EnvSettings
from emurl.pipelines.shared.playing import Seen, Stand, emulator_of, play_settings_of
from emurl.screen import ScreenSpec
from emurl.training.evaluate import Player

POLICY = "policy"  # the folder in the artifact
PLAYERS = ("cnn",)  # stages that play


def stand(config: Config, artifact: Artifact, store: Store, device: torch.device) -> Stand:
    """What the artifact is watched with, on the ROM of the settings; of another pipeline's, on the ROM it was trained on."""
    own = config.pipeline == artifact.pipeline
    env = config.cnn.env if own else EnvSettings.model_validate(artifact.settings["env"])
    player, spec = player_of(artifact.stage, artifact, device), ScreenSpec()
    return Stand(player, emulator_of(artifact, env.emulator, "env.rom_path"), spec, sight(player, spec))


def player_of(name: str, artifact: Artifact, device: torch.device) -> Player:
    """The network of a `cnn` artifact, played as it is to be.

    Raises:
        InputError: it cannot be read.
    """
    policy = PixelPolicy.from_pretrained(artifact.path(POLICY), device)
    return Player(name, PPOAgent(policy), sees="frames", how=play_settings_of(artifact))


def sight(player: Player, spec: ScreenSpec) -> Seen:
    """What the player sees of frames uint8 (N, 144, 160): gray pictures uint8 (N, 144, 160), scaled down and up again."""
    policy = player.agent.network

    def seen(frames: np.ndarray) -> np.ndarray:
        return np.stack(
            [cv2.resize(one, (spec.width, spec.height), interpolation=cv2.INTER_NEAREST) for one in policy.scaled(frames)]
        )

    return seen
