"""The PPO agent: acts by a network, learns from a rollout (1707.06347, "The 37 implementation details of PPO")."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from emurl.agents.base import Carry, Observation, flatten, length, tree_map
from emurl.agents.distributions import entropy, kl_divergence, masked_log_probs, sample
from emurl.agents.ppo.buffer import RolloutBuffer
from emurl.agents.ppo.config import PPOConfig
from emurl.agents.ppo.losses import clipped_surrogate, clipped_value_loss
from emurl.agents.ppo.networks import ActorCritic, FeedForward, Network, rows, unroll
from emurl.core.recall import key_of, recall

COLUMNS = ("actions", "log_probs", "values", "advantages", "returns", "masks", "kept")  # of a buffer, that a loss is made of
BATCH = 256  # inputs evaluated at once: enough to keep a GPU busy, small enough for a laptop's memory

REFERENCE = "reference_"  # begins the names of what a reference remembers

REMEMBERED = 20_000  # inputs

Known = dict[bytes, tuple[np.ndarray, np.float32]]
"""Log-probabilities and value by the key of an input."""


class PPOAgent:
    """PPO over a `Network`.

    Args:
        network: what acts and is trained. config: how it is trained.
        rng: orders the minibatches. reference: a network it is held near to (`kl_coef`), such as a cloned policy; it reads the
            same inputs as `network`.

    A recurrent reference remembers on its own: its state is a part of the carry, under names that begin with `reference_`.
    """

    def __init__(
        self,
        network: Network,
        config: PPOConfig | None = None,
        rng: np.random.Generator | None = None,
        reference: Any = None,
    ) -> None:
        self.network: Any = network  # a FeedForward or a Recurrent
        self.config, self.reference = config or PPOConfig(), reference
        self.rng = rng or np.random.default_rng(self.config.seed)
        self.actions = network.actions
        self.optimizer = torch.optim.Adam(network.module.parameters(), lr=self.config.learning_rate, eps=self.config.adam_eps)
        self._known: Known = {}  # since the last update

    # --- acting --------------------------------------------------------------------------------------------------

    def initial(self, n: int) -> Carry:
        """The memory of `n` environments whose episodes have not begun."""
        carry = self.network.initial(n)
        if self._remembers is not None:
            carry |= {REFERENCE + name: value for name, value in self._remembers.initial(n).items()}
        return carry

    @property
    def _remembers(self) -> Any:
        """The reference, if it has a state of its own."""
        return self.reference if self.reference is not None and self.reference.recurrent else None

    def act(
        self, carry: Carry, observation: Observation, mask: np.ndarray | None = None, noise: np.ndarray | None = None
    ) -> tuple[np.ndarray, Carry, dict[str, np.ndarray]]:
        """As `Agent.act`."""
        if self.network.recurrent:
            with torch.inference_mode():
                logits, value, after = self.network.step(own_carry(carry), observation)
                logs, values = torch.log_softmax(logits, dim=-1).cpu().numpy(), value.cpu().numpy()
                if self._remembers is not None:
                    others = self._remembers.step(reference_carry(carry), observation)[2]
                    after |= {REFERENCE + name: value for name, value in others.items()}
            carry = after
        else:
            inputs, carry = self.network.inputs(carry, observation)
            logs, values = evaluate_once(self.network, inputs, self._known)
        if mask is not None:
            logs = masked_log_probs(torch.from_numpy(logs), torch.from_numpy(mask)).numpy()
        actions = np.argmax(logs, axis=-1) if noise is None else sample(logs, noise)
        return actions, carry, {"log_probs": logs, "values": values}

    # --- learning ------------------------------------------------------------------------------------------------

    def learn(self, batch: RolloutBuffer) -> dict[str, float]:
        """Learn from one rollout.

        Returns:
            Means over the minibatches used: policy_loss, value_loss, entropy (nats), approx_kl (Schulman's estimator), clipfrac,
            gradient_norm, reference_kl (nats) where there is a reference, and `epochs`, the passes begun before the KL limit.
        """
        config, done = self.config, batch.progress
        module = self.network.module
        warming = done < config.value_warmup
        moving = list(module.value_head.parameters() if warming else module.parameters())  # type: ignore[union-attr, operator]
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * (1.0 - (1.0 - config.learning_rate_final) * done)
        samples = _Recurrent(self, batch) if self.network.recurrent else _Flat(self, batch)
        sums: dict[str, float] = {}
        passes = batches = 0
        far = False  # from the policy that collected
        while passes < config.update_epochs and not far:
            passes += 1
            for chunk in samples.chunks(self.rng):
                loss, seen = self._loss(samples.take(chunk), done)
                far = seen["approx_kl"] > 1.5 * config.target_kl
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                if warming:
                    _forget_other_gradients(module, moving)
                seen["gradient_norm"] = float(nn.utils.clip_grad_norm_(moving, config.max_grad_norm))
                for name, value in seen.items():
                    sums[name] = sums.get(name, 0.0) + value
                batches += 1
                if far:
                    break  # without this step
                self.optimizer.step()
        self.forget()
        return {name: value / batches for name, value in sums.items()} | {"epochs": float(passes)}

    def forget(self) -> None:
        """To be called when the weights have changed otherwise than by `learn`: what the old ones said of an input is no longer true."""
        self._known.clear()
        self.network.forget()

    def _loss(self, part: dict[str, Any], done: float) -> tuple[torch.Tensor, dict[str, float]]:
        config, device = self.config, self.network.module.device
        at = {name: torch.from_numpy(part[name]).to(device) for name in (*COLUMNS, "reference") if part.get(name) is not None}
        logits, values = part["outputs"]()
        logs = masked_log_probs(logits, at.get("masks"))
        log_ratio = logs.gather(1, at["actions"][:, None])[:, 0] - at["log_probs"]
        ratio = log_ratio.exp()
        kept = at.get("kept", torch.ones_like(ratio, dtype=torch.bool))
        advantages = at["advantages"][kept]
        if config.norm_adv and len(advantages):
            advantages = (advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-8)
        clip = config.clip_coef if config.clip_vloss else None
        value_loss = clipped_value_loss(values, at["values"], at["returns"], clip)
        policy_loss = clipped_surrogate(ratio[kept], advantages, config.clip_coef) if len(advantages) else 0.0 * ratio.sum()
        spread = entropy(logs, at.get("masks")).mean()
        loss = config.vf_coef * value_loss + policy_loss - config.ent_coef * spread
        seen = {
            "policy_loss": float(policy_loss.detach()),
            "value_loss": float(value_loss.detach()),
            "entropy": float(spread.detach()),
            "approx_kl": float(((ratio - 1.0) - log_ratio).mean().detach()),  # Schulman's estimator: never below 0
            "clipfrac": float(((ratio - 1.0).abs() > config.clip_coef).float().mean().detach()),
        }
        if "reference" in at:
            others = at["reference"] if "masks" not in at else masked_log_probs(at["reference"], at["masks"])
            distance = kl_divergence(logs, others, at.get("masks"))
            loss = loss + config.kl_coef * (1.0 - (1.0 - config.kl_coef_final) * done) * distance
            seen["reference_kl"] = float(distance.detach())
        return loss, seen

    # --- keeping -------------------------------------------------------------------------------------------------

    def parts(self) -> dict[str, Any]:
        """The network as `policy`, and its `optimizer`."""
        return {"policy": self.network.module, "optimizer": self.optimizer}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the network's weights (safetensors) and config.json into `folder`."""
        self.network.module.save_pretrained(folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu", config: PPOConfig | None = None) -> PPOAgent:
        """The agent over an `ActorCritic` saved in `folder`.

        Raises:
            InputError: there is none, or it is damaged.
        """
        return cls(ActorCritic.from_pretrained(folder, device), config)


class _Flat:
    """Steps in any order: for networks that are not recurrent."""

    def __init__(self, agent: PPOAgent, batch: RolloutBuffer) -> None:
        self.agent = agent
        self.inputs = flatten(unroll(agent.network, batch.carry, batch.observations, batch.episode_starts))
        self.columns = {name: batch.flat(name) for name in COLUMNS}
        reference = agent.reference
        if reference is not None and agent.config.kl_coef > 0:
            self.columns["reference"] = evaluate_once(reference, self.inputs, {})[0]

    def chunks(self, rng: np.random.Generator) -> Iterable[np.ndarray]:
        order = rng.permutation(length(self.columns["actions"]))
        size = self.agent.config.minibatch_size
        return (order[at : at + size] for at in range(0, len(order), size))

    def take(self, chunk: np.ndarray) -> dict[str, Any]:
        columns = {name: None if column is None else column[chunk] for name, column in self.columns.items()}
        return columns | {"outputs": lambda: self.agent.network.evaluate(rows(self.inputs, chunk))}


class _Recurrent:
    """Whole sequences in any order: for recurrent networks. A minibatch is of as many as make up `minibatch_size` steps."""

    def __init__(self, agent: PPOAgent, batch: RolloutBuffer) -> None:
        self.agent, self.batch = agent, batch
        self.steps, self.envs = batch.actions.shape
        self.reference: np.ndarray | None = None
        remembers = agent._remembers
        if remembers is not None and agent.config.kl_coef > 0:
            begun = {where: reference_carry(one) for where, one in batch.begun.items()}
            with torch.inference_mode():
                logits, _ = remembers.sequence(reference_carry(batch.carry), batch.observations, batch.episode_starts, begun)
                self.reference = torch.log_softmax(logits, dim=-1).cpu().numpy()

    def chunks(self, rng: np.random.Generator) -> Iterable[np.ndarray]:
        order = rng.permutation(self.envs)
        size = max(1, self.agent.config.minibatch_size // self.steps)
        return (order[at : at + size] for at in range(0, len(order), size))

    def take(self, chunk: np.ndarray) -> dict[str, Any]:
        batch = self.batch

        def column(name: str) -> Any:
            value = self.reference if name == "reference" else getattr(batch, name)
            return None if value is None else value[:, chunk].reshape(-1, *value.shape[2:])

        def outputs() -> tuple[torch.Tensor, torch.Tensor]:
            seen = tree_map(lambda array: array[:, chunk], batch.observations)
            place_of = {int(env): place for place, env in enumerate(chunk)}
            begun = {(t, place_of[env]): own_carry(one) for (t, env), one in batch.begun.items() if env in place_of}
            carry = own_carry(rows(batch.carry, chunk))
            logits, values = self.agent.network.sequence(carry, seen, batch.episode_starts[:, chunk], begun)
            return logits.reshape(-1, logits.shape[-1]), values.reshape(-1)

        return {name: column(name) for name in (*COLUMNS, "reference")} | {"outputs": outputs}


def own_carry(carry: Carry) -> Carry:
    """What the network itself remembers."""
    return {name: value for name, value in carry.items() if not name.startswith(REFERENCE)}


def reference_carry(carry: Carry) -> Carry:
    """What the reference remembers, under the names it knows."""
    return {name.removeprefix(REFERENCE): value for name, value in carry.items() if name.startswith(REFERENCE)}


@torch.inference_mode()
def evaluate(network: FeedForward, inputs: Any) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities float32 (B, A) and values (B,) of a network that is not recurrent, in batches."""
    logs, values = [], []
    for at in range(0, length(inputs), BATCH):
        logits, value = network.evaluate(rows(inputs, np.arange(at, min(at + BATCH, length(inputs)))))
        logs.append(torch.log_softmax(logits, dim=-1).cpu())
        values.append(value.cpu())
    return torch.cat(logs).numpy(), torch.cat(values).numpy()


def evaluate_once(network: FeedForward, inputs: Any, known: Known) -> tuple[np.ndarray, np.ndarray]:
    """As `evaluate`, but what is `known` (some `REMEMBERED` at most) is not evaluated again: screens come again, and in a game most do."""
    if not isinstance(inputs, np.ndarray):
        return evaluate(network, inputs)
    if len(known) > REMEMBERED:
        known.clear()
    keys = [key_of(one) for one in inputs]
    found = recall(known, keys, lambda places: zip(*evaluate(network, inputs[places]), strict=True))
    return np.stack([logs for logs, _ in found]), np.array([value for _, value in found], np.float32)


def _forget_other_gradients(module: nn.Module, moving: list[nn.Parameter]) -> None:
    kept = {id(parameter) for parameter in moving}
    for parameter in module.parameters():
        if id(parameter) not in kept:
            parameter.grad = None
