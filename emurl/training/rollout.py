"""Gathering experience: consoles step, eyes look, the policy acts, and every step is paid.

Letters in comments: T steps, N consoles, C frames of context, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.models.policy import Policy
from emurl.training.archive import StateArchive
from emurl.training.perception import Eyes, Memory, Mind, draw
from emurl.training.returns import step_rewards

GainMultiplier = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Frames before and after (B, 144, 160) each, to how familiar the step looks (B,), 0 … 1."""


@dataclass
class Episode:
    """A finished episode: what it was paid (units of Φ), its length in steps, whether it began at power-on."""

    paid: float
    steps: int
    power_on: bool


@dataclass
class Rollout:
    """T steps of N consoles. `next_values` are of the state a step led to, also where that ended its episode."""

    contexts: np.ndarray  # int16 (T, N, C, 9, 10)
    actions: np.ndarray  # int64 (T, N)
    log_probs: np.ndarray  # float32 (T, N)
    values: np.ndarray  # float32 (T, N)
    next_values: np.ndarray  # float32 (T, N)
    rewards: np.ndarray  # float32 (T, N), in units of Φ
    progress: np.ndarray  # float32 (T, N): Φ before the step
    ended: np.ndarray  # bool (T, N)
    episodes: list[Episode]


class Collector:
    """Plays `policy` on `envs` (autoreset off, no step limit of its own), and begins episodes anew after `episode_steps`.

    An episode begins from the archive with probability `archive_share`, else at power-on. First episodes are cut short at
    random so that the consoles do not all end together.
    """

    def __init__(
        self,
        envs: ThreadedVectorEnv,
        eyes: Eyes,
        context: int,
        *,
        episode_steps: int,
        time_penalty: float,
        archive: StateArchive,
        archive_share: float,
        rng: np.random.Generator,
        gain_multiplier: GainMultiplier | None = None,
    ) -> None:
        self.envs, self.eyes, self.archive, self.rng = envs, eyes, archive, rng
        self.episode_steps, self.time_penalty, self.archive_share = episode_steps, time_penalty, archive_share
        self.gain_multiplier = gain_multiplier
        n = envs.num_envs
        self.frames, _ = envs.reset()
        self.frames = self.frames.copy()  # (N, 144, 160): what every console shows now
        self.memory = Memory(n, context)
        for i, tokens in enumerate(eyes.tokens(self.frames)):
            self.memory.begin(i, tokens)
        self.left = rng.integers(1, episode_steps + 1, n) if n > 1 else np.full(n, episode_steps)
        self.lengths = np.zeros(n, np.int64)
        self.paid = np.zeros(n)
        self.power_on = np.ones(n, bool)

    def collect(self, policy: Policy, steps: int) -> Rollout:
        """Play `steps` actions on every console."""
        n = self.envs.num_envs
        seen = np.empty((steps + 1, n, *self.frames.shape[1:]), np.uint8)
        contexts = np.empty((steps, *self.memory.contexts.shape), np.int16)
        actions = np.empty((steps, n), np.int64)
        log_probs, values = np.empty((steps, n), np.float32), np.empty((steps, n), np.float32)
        ended = np.zeros((steps, n), bool)
        last_frames: dict[tuple[int, int], np.ndarray] = {}  # of episodes that ended: what their last step led to
        last_contexts: dict[tuple[int, int], np.ndarray] = {}
        power_on: dict[tuple[int, int], bool] = {}
        kept: list[tuple[bytes, int, int]] = []  # states put into the archive, to be scored below
        mind = Mind(policy)
        for t in range(steps):
            seen[t], contexts[t] = self.frames, self.memory.contexts
            logs, values[t] = mind.odds(contexts[t])
            actions[t] = draw(logs, self.rng.gumbel(size=logs.shape))
            log_probs[t] = np.take_along_axis(logs, actions[t][:, None], axis=1)[:, 0]
            self.frames[:] = self.envs.step(actions[t])[0]
            self.memory.push(self.eyes.tokens(self.frames))
            self.left -= 1
            self.archive.earn(n)
            for i in np.flatnonzero(self.left <= 0).tolist():
                ended[t, i], power_on[t, i] = True, bool(self.power_on[i])
                last_frames[t, i], last_contexts[t, i] = self.frames[i].copy(), self.memory.contexts[i].copy()
                self._begin(i)
            kept += self._keep(t, ended[t])
        seen[steps] = self.frames

        progress = self.eyes.progress(seen.reshape(-1, *seen.shape[2:])).reshape(steps + 1, n)
        _, final_values = mind.odds(self.memory.contexts)
        after, next_values = progress[1:].copy(), np.concatenate([values[1:], final_values[None]])
        multiplier = self._familiarity(seen, last_frames)
        if last_frames:
            where = tuple(np.array(list(last_frames)).T)
            after[where] = self.eyes.progress(np.stack(list(last_frames.values())))
            next_values[where] = mind.odds(np.stack(list(last_contexts.values())))[1]
        for key, t, i in kept:
            self.archive.rescore(key, float(progress[t, i]))
        rewards = step_rewards(progress[:-1], after, self.time_penalty, multiplier)
        episodes = self._account(rewards, power_on)
        return Rollout(contexts, actions, log_probs, values, next_values, rewards, progress[:-1], ended, episodes)

    def _begin(self, i: int) -> None:
        """Start a new episode on console `i`."""
        state = self.archive.choose(self.rng) if self.rng.random() < self.archive_share else None
        self.frames[i] = self.envs.restart(i, state)
        self.memory.begin(i, self.eyes.tokens(self.frames[i : i + 1])[0])
        self.left[i], self.power_on[i] = self.episode_steps, state is None

    def _keep(self, t: int, just_ended: np.ndarray) -> list[tuple[bytes, int, int]]:
        """Save the consoles whose screen the archive has not seen; returns (key, time of the frame, console)."""
        kept = []
        for i in self.rng.permutation(self.envs.num_envs).tolist():
            key = self.archive.key(self.memory.contexts[i, -1])
            if not just_ended[i] and self.archive.wants(key):
                self.archive.add(key, self.envs.save_state(i), 0.0)
                kept.append((key, t + 1, i))
        return kept

    def _familiarity(self, seen: np.ndarray, last_frames: dict[tuple[int, int], np.ndarray]) -> np.ndarray | None:
        if self.gain_multiplier is None:
            return None
        after = seen[1:].copy()
        for where, frame in last_frames.items():
            after[where] = frame
        flat = self.gain_multiplier(seen[:-1].reshape(-1, *seen.shape[2:]), after.reshape(-1, *seen.shape[2:]))
        return np.asarray(flat, np.float32).reshape(seen.shape[0] - 1, seen.shape[1])

    def _account(self, rewards: np.ndarray, power_on: dict[tuple[int, int], bool]) -> list[Episode]:
        """Add up what episodes were paid, over rollouts; returns those that ended: `power_on` by their (step, console)."""
        episodes = []
        for t, paid in enumerate(rewards):
            self.paid += paid
            self.lengths += 1
            for i in range(len(paid)):
                if (t, i) in power_on:
                    episodes.append(Episode(float(self.paid[i]), int(self.lengths[i]), power_on[t, i]))
                    self.paid[i], self.lengths[i] = 0.0, 0
        return episodes

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything a rollout goes on from, consoles included, for a checkpoint.

        The consoles are put back into the states just saved and the eyes forget, so that a run that was killed here and one
        that was not go on from the very same bytes.
        """
        states = [self.envs.save_state(i) for i in range(self.envs.num_envs)]
        for i, state in enumerate(states):
            self.envs.load_state(i, state)
        self.eyes.forget()
        arrays: dict[str, Any] = {
            "frames": self.frames, "contexts": self.memory.contexts, "left": self.left, "lengths": self.lengths,
            "paid": self.paid, "power_on": self.power_on,
        }  # fmt: skip
        saved = {name: torch.from_numpy(np.ascontiguousarray(array).copy()) for name, array in arrays.items()}
        return saved | {f"console_{i}": torch.frombuffer(bytearray(state), dtype=torch.uint8) for i, state in enumerate(states)}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`."""
        self.frames = tensors["frames"].numpy().copy()
        self.memory.contexts = tensors["contexts"].numpy().copy()
        self.left, self.lengths = tensors["left"].numpy().copy(), tensors["lengths"].numpy().copy()
        self.paid, self.power_on = tensors["paid"].numpy().copy(), tensors["power_on"].numpy().copy()
        for i in range(self.envs.num_envs):
            self.envs.load_state(i, tensors[f"console_{i}"].numpy().tobytes())
        self.eyes.forget()
