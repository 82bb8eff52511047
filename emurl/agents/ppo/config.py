"""The settings of PPO, by their usual names (CleanRL's; "The 37 implementation details of PPO")."""

from __future__ import annotations

from typing import ClassVar, Literal

from emurl.core.settings import Device, Natural, NonNegative, Positive, Rate, Settings, Share


class PPOConfig(Settings):
    """PPO (1707.06347): how much is collected, how it is learned from, and when the run is not worth going on with."""

    renamed: ClassVar[dict[str, str]] = {
        "envs": "num_envs", "rollout": "num_steps", "epochs": "update_epochs", "minibatch": "minibatch_size",
        "clip": "clip_coef", "entropy": "ent_coef", "leash": "kl_coef",
    }  # fmt: skip

    seed: Natural = 0  # of every random draw
    device: Device = "auto"  # auto, cpu, cuda, cuda:N or mps
    total_steps: Positive = 2_000_000  # environment steps of all environments together
    num_envs: Positive = 16  # environments played side by side
    num_steps: Positive = 128  # steps of each environment between two updates
    update_epochs: Positive = 3  # passes over what was collected
    minibatch_size: Positive = 512  # steps a gradient is of; with a recurrent network, of whole sequences
    learning_rate: Rate = 2.5e-4  # at the start
    learning_rate_final: Share = 0.1  # share of the learning rate at the end; it falls linearly
    adam_eps: Rate = 1e-5  # added to the denominator
    gamma: Share = 0.99  # discount a step
    gae_lambda: Share = 0.95  # of generalized advantage estimation (1506.02438)
    clip_coef: Rate = 0.2  # range of the probability ratio
    clip_vloss: bool = True  # clip the value's change, too
    norm_adv: bool = True  # normalize advantages within a minibatch
    norm_reward: bool = True  # divide rewards by the running deviation of the discounted return
    ent_coef: NonNegative = 0.01  # weight of the entropy bonus
    vf_coef: NonNegative = 0.5  # weight of the value loss
    max_grad_norm: Rate = 0.5  # longer gradients are cut to this length
    target_kl: Rate = 0.02  # an update ends where a minibatch is 1.5 times this approximate KL from the policy that collected
    kl_coef: NonNegative = 0.0  # weight of KL(policy ‖ reference policy), where there is one
    kl_coef_final: Share = 0.5  # share of it at the end; let go wholly, a policy fell behind the clone again
    value_warmup: Share = 0.0  # share of the updates that teach the value head alone: an untaught value misleads a cloned policy
    alarm: Literal["stop", "warn"] = "stop"  # what an alarm does
    alarm_warmup: Share = 0.2  # share of the updates before alarms are listened to
    alarm_entropy: Share = 0.98  # of the largest entropy there is: above it, the policy presses at random
    alarm_explained_variance: float = 0.05  # below it, the value predicts nothing
    alarm_patience: Positive = 3  # updates in a row before that is an alarm
    checkpoint_every: Positive = 4  # updates; consoles go on from their saved states, so it is part of the result


class RecurrentPPOConfig(PPOConfig):
    """PPO with a GRU."""

    hidden: Positive = 128  # size of the GRU's state
