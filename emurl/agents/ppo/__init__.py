"""Proximal policy optimization (1707.06347): one implementation for every network, with memory or without."""

from __future__ import annotations

from typing import Any

from emurl.agents.base import AgentRow


def _build(observation_space: Any, action_space: Any, config: Any, rng: Any) -> Any:
    import torch

    from emurl.agents.ppo.agent import PPOAgent
    from emurl.agents.ppo.networks import ActorCritic, space_to_json

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = ActorCritic(space_to_json(observation_space), int(action_space.n), getattr(config, "hidden", 0))
    return PPOAgent(network, config, rng)


def plain_config() -> Any:
    """The settings class of `ppo`."""
    from emurl.agents.ppo.config import PPOConfig

    return PPOConfig


def recurrent_config() -> Any:
    """The settings class of `recurrent_ppo`."""
    from emurl.agents.ppo.config import RecurrentPPOConfig

    return RecurrentPPOConfig


AGENT = (
    AgentRow("ppo", "PPO without memory", plain_config, _build),
    AgentRow("recurrent_ppo", "PPO with a GRU", recurrent_config, _build),
)
