"""A peer of `emurl bench cnn`: PPO in one file, after `ppo_atari.py` of CleanRL (Huang et al. 2022, JMLR 23(274); MIT license).

Line by line what that script does on a CPU, on our environment in place of Atari's: Gymnasium's vector environment with episode statistics,
a buffer of float32 observations, the Nature CNN, minibatches drawn from a shuffled rollout, no KL limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from torch import nn, optim
from torch.distributions.categorical import Categorical

from emurl.agents.ppo.config import PPOConfig


def _layer(layer: Any, std: float = float(np.sqrt(2)), bias: float = 0.0) -> nn.Module:
    nn.init.orthogonal_(layer.weight, std)
    nn.init.constant_(layer.bias, bias)
    module: nn.Module = layer
    return module


class _Agent(nn.Module):
    def __init__(self, stack: int, height: int, width: int, actions: int) -> None:
        super().__init__()
        convolutions = nn.Sequential(
            _layer(nn.Conv2d(stack, 32, 8, stride=4)), nn.ReLU(), _layer(nn.Conv2d(32, 64, 4, stride=2)), nn.ReLU(),
            _layer(nn.Conv2d(64, 64, 3, stride=1)), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        size = convolutions(torch.zeros(1, stack, height, width)).shape[1]
        self.network = nn.Sequential(*convolutions, _layer(nn.Linear(size, 512)), nn.ReLU())
        self.actor, self.critic = _layer(nn.Linear(512, actions), 0.01), _layer(nn.Linear(512, 1), 1.0)

    def get_value(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.critic(self.network(x / 255.0)))

    def get_action_and_value(
        self, x: torch.Tensor, action: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        hidden = self.network(x / 255.0)
        probs = Categorical(logits=self.actor(hidden))
        action = probs.sample() if action is None else action
        return action, probs.log_prob(action), probs.entropy(), self.critic(hidden)


class SingleFilePPO:
    """PPO on `num_envs` environments that `make` makes; `update` plays one rollout and learns from it.

    Args:
        apart: a process for each environment (`AsyncVectorEnv`); otherwise one after the other in this one, as the script has it.
    """

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], num_envs: int, args: PPOConfig, apart: bool = False) -> None:
        kind: Any = AsyncVectorEnv if apart else SyncVectorEnv
        self.envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(
            kind([make] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        )
        space: Any = self.envs.single_observation_space
        buttons: Any = self.envs.single_action_space
        stack, height, width = space.shape
        self.args, self.agent = args, _Agent(stack, height, width, int(buttons.n))
        self.optimizer = optim.Adam(self.agent.parameters(), lr=args.learning_rate, eps=args.adam_eps)
        shape = (args.num_steps, num_envs)
        self.obs = torch.zeros(shape + space.shape)
        self.actions, self.logprobs, self.rewards, self.dones, self.values = (torch.zeros(shape) for _ in range(5))
        self.next_obs = torch.Tensor(self.envs.reset(seed=0)[0])
        self.next_done = torch.zeros(num_envs)

    def update(self) -> None:
        """One rollout, and the passes over it."""
        args = self.args
        for step in range(args.num_steps):
            self.obs[step], self.dones[step] = self.next_obs, self.next_done
            with torch.no_grad():
                action, logprob, _, value = self.agent.get_action_and_value(self.next_obs)
            self.values[step], self.actions[step], self.logprobs[step] = value.flatten(), action, logprob
            next_obs, reward, terminations, truncations, _ = self.envs.step(action.numpy())
            self.rewards[step] = torch.tensor(reward).view(-1)
            self.next_obs = torch.Tensor(next_obs)
            self.next_done = torch.Tensor(np.logical_or(terminations, truncations))
        advantages = self._advantages()
        returns = advantages + self.values
        b_obs, b_actions = self.obs.flatten(0, 1), self.actions.flatten()
        b_logprobs, b_values, b_advantages, b_returns = (
            each.flatten() for each in (self.logprobs, self.values, advantages, returns)
        )
        b_inds = np.arange(len(b_obs))
        for _ in range(args.update_epochs):
            np.random.shuffle(b_inds)  # noqa: NPY002  (as the script has it)
            for start in range(0, len(b_inds), args.minibatch_size):
                at = b_inds[start : start + args.minibatch_size]
                _, newlogprob, entropy, newvalue = self.agent.get_action_and_value(b_obs[at], b_actions.long()[at])
                ratio = (newlogprob - b_logprobs[at]).exp()
                mb = b_advantages[at]
                mb = (mb - mb.mean()) / (mb.std() + 1e-8)
                pg_loss = torch.max(-mb * ratio, -mb * torch.clamp(ratio, 1 - args.clip_coef, 1 + args.clip_coef)).mean()
                newvalue, old, target = newvalue.view(-1), b_values[at], b_returns[at]
                clipped = old + torch.clamp(newvalue - old, -args.clip_coef, args.clip_coef)
                v_loss = 0.5 * torch.max((newvalue - target) ** 2, (clipped - target) ** 2).mean()
                loss = pg_loss - args.ent_coef * entropy.mean() + v_loss * args.vf_coef
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.agent.parameters(), args.max_grad_norm)
                self.optimizer.step()

    @torch.no_grad()
    def _advantages(self) -> torch.Tensor:
        args, steps = self.args, self.args.num_steps
        next_value, lastgaelam = self.agent.get_value(self.next_obs).reshape(-1), torch.zeros_like(self.next_done)
        advantages = torch.zeros_like(self.rewards)
        for t in reversed(range(steps)):
            nonterminal = 1.0 - (self.next_done if t == steps - 1 else self.dones[t + 1])
            nextvalues = next_value if t == steps - 1 else self.values[t + 1]
            delta = self.rewards[t] + args.gamma * nextvalues * nonterminal - self.values[t]
            advantages[t] = lastgaelam = delta + args.gamma * args.gae_lambda * nonterminal * lastgaelam
        return advantages

    def close(self) -> None:
        """End the environments."""
        self.envs.close()
