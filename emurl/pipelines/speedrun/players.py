"""What the stages that play need: frozen models off artifacts, consoles, and a check that they fit together."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from emurl.agents.ppo.agent import PPOAgent
from emurl.agents.ppo.token_networks import TokenPolicy, token_network
from emurl.core.config import Config
from emurl.core.errors import InputError
from emurl.core.store import Artifact, Store
from emurl.games.settings import EmulatorSettings
from emurl.models.base import class_saved_in
from emurl.models.policy import Policy
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.models.reward import RewardModel
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.shared.playing import Stand, emulator_of, play_settings_of
from emurl.rewards.progress import GainMultiplier
from emurl.screen import ScreenSpec, to_gray
from emurl.training.evaluate import Player
from emurl.training.perception import Perception

PLAYERS = ("policy", "behavior")  # stages that play


def stand(config: Config, artifact: Artifact, store: Store, device: torch.device) -> Stand:
    """What the artifact is watched with: the tokenizer it was made with, and the reward model that steered it (the newest, if none did)."""
    from emurl.pipelines.speedrun.course import judge_in

    emulator = config.policy.emulator if config.pipeline == artifact.pipeline else EmulatorSettings()
    models = {
        "tokenizer": store.get(artifact.parent("tokenizer")),
        "reward": store.get(artifact.parents.get("reward", "reward")),
    }
    perception, spec = load_perception(models, device)
    return Stand(
        player_of(artifact.stage, artifact, perception, device),
        emulator_of(artifact, emulator),
        spec,
        lambda frames: to_gray(perception.reconstruct(frames), spec),
        perception,
        judge_in(models, device),
    )


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
    return Player(name, agent_of(load_policy(artifact, perception, device)), how=play_settings_of(artifact))


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
