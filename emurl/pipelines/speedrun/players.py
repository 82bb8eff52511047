"""What the stages that play need: frozen models off artifacts, consoles, and a check that they fit together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from emurl.core.errors import InputError
from emurl.core.store import Artifact
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.games.settings import EmulatorSettings, rom_path
from emurl.models.policy import Policy
from emurl.models.reward import RewardModel
from emurl.models.tokenizer import Tokenizer
from emurl.screen import ScreenSpec
from emurl.training.perception import Eyes
from emurl.training.rollout import GainMultiplier


def load_policy(artifact: Artifact, eyes: Eyes, device: torch.device) -> Policy:
    """The policy in a `behavior` or `policy` artifact.

    Raises:
        InputError: it reads another vocabulary than the tokenizer of `eyes` writes.
    """
    policy = Policy.from_pretrained(artifact.path("policy"), device)
    vocab = getattr(eyes.tokenizer, "vocab", policy.vocab)
    if policy.vocab != vocab:
        raise InputError(f"{artifact.ref}: its policy reads {policy.vocab} tokens, expected {vocab}, as the tokenizer has")
    return policy


def load_eyes(inputs: Mapping[str, Artifact], device: torch.device) -> tuple[Eyes, ScreenSpec]:
    """The frozen tokenizer and reward model of `inputs` on `device`, and the screen both were made for.

    Raises:
        InputError: they were made for different screens.
    """
    tokenizer = Tokenizer.from_pretrained(inputs["tokenizer"].path("model"), device)
    reward = RewardModel.from_pretrained(inputs["reward"].path("model"), device)
    spec = ScreenSpec(channels=tokenizer.channels, shades=tokenizer.shades)
    seen = ScreenSpec(channels=reward.config["channels"], shades=reward.config["shades"])
    spec.require(seen, inputs["reward"].ref)
    return Eyes(tokenizer, reward, device), spec


def consoles(emulator: EmulatorSettings, spec: ScreenSpec, number: int, facts: bool = False) -> ThreadedVectorEnv:
    """`number` Game Boys as the stages want them: no limit of steps, no reset of their own, one shared buffer."""
    return ThreadedVectorEnv(
        rom_path(emulator), number, emulator.frame_skip, emulator.press_ticks, spec=spec, facts=facts,
        autoreset_mode=AutoresetMode.DISABLED, copy=False,
    )  # fmt: skip


def familiarity(inputs: Mapping[str, Artifact], device: torch.device) -> GainMultiplier:
    """How much of a gain is believed, from the OOD detector over tokenizer and dynamics."""
    from emurl.rewards.ood import OODDetector

    detector = OODDetector.from_tokenizer(inputs["tokenizer"].folder, inputs["dynamics"].folder, device=device)

    def multiplier(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        scores = detector.compute_combined_ood_scores(before, after)
        return np.asarray(detector.get_reward_multiplier(scores), np.float32)

    return multiplier
