"""The settings of PPO, by their usual names (CleanRL's; "The 37 implementation details of PPO")."""

from __future__ import annotations

from typing import ClassVar

from emurl.agents.base import OnPolicySettings
from emurl.core.settings import NonNegative, Positive, Rate, Share


class PPOConfig(OnPolicySettings):
    """PPO (1707.06347): how much is collected, how it is learned from, and when the run is not worth going on with."""

    renamed: ClassVar[dict[str, str]] = {
        "envs": "num_envs", "rollout": "num_steps", "epochs": "update_epochs", "minibatch": "minibatch_size",
        "clip": "clip_coef", "entropy": "ent_coef", "leash": "kl_coef",
    }  # fmt: skip

    update_epochs: Positive = 3  # passes over what was collected
    minibatch_size: Positive = 512  # steps a gradient is of; with a recurrent network, of whole sequences
    learning_rate: Rate = 2.5e-4  # at the start
    learning_rate_final: Share = 0.1  # share of the learning rate at the end; it falls linearly
    adam_eps: Rate = 1e-5  # added to the denominator
    clip_coef: Rate = 0.2  # range of the probability ratio
    clip_vloss: bool = True  # clip the value's change, too
    norm_adv: bool = True  # normalize advantages within a minibatch
    ent_coef: NonNegative = 0.01  # weight of the entropy bonus
    vf_coef: NonNegative = 0.5  # weight of the value loss
    max_grad_norm: Rate = 0.5  # longer gradients are cut to this length
    target_kl: Rate = 0.02  # an update ends where a minibatch is 1.5 times this approximate KL from the policy that collected
    kl_coef: NonNegative = 0.0  # weight of KL(policy ‖ reference policy), where there is one
    kl_coef_final: Share = 0.5  # share of it at the end; let go wholly, a policy fell behind the clone again
    value_warmup: Share = 0.0  # share of the updates that teach the value head alone: an untaught value misleads a cloned policy


class RecurrentPPOConfig(PPOConfig):
    """PPO with a GRU."""

    hidden: Positive = 128  # size of the GRU's state
