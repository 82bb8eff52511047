"""Rollouts from Game Boys: consoles step, a perception makes tokens of their screens, episodes begin at power-on or in the archive."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.rewards.base import Reward
from emurl.training.archive import StateArchive
from emurl.training.perception import Perception
from emurl.training.rollout import Rollout
from emurl.training.screen_source import ScreenSource


class ConsoleSource(ScreenSource):
    """Plays on `envs` (autoreset off, no step limit of its own), and begins episodes anew after `episode_steps`.

    An episode begins from the archive with probability `archive_share`, else at power-on. First episodes are cut short at
    random so that the consoles do not all end together.
    """

    keeps_raw = True

    def __init__(
        self,
        envs: ThreadedVectorEnv,
        agent: Any,
        num_steps: int,
        rng: np.random.Generator,
        reward: Reward,
        perception: Perception,
        *,
        episode_steps: int,
        archive: StateArchive,
        archive_share: float,
    ) -> None:
        self.archive = archive
        # Only what goes back further than the frames themselves is worth its place beside a state.
        self.remembers = bool(agent.network.recurrent)
        self.episode_steps, self.archive_share = episode_steps, archive_share
        super().__init__(envs, agent, num_steps, rng, perception, reward)
        self.tokens: np.ndarray = np.asarray(self.observation)
        n = self.n
        self.left = rng.integers(1, episode_steps + 1, n) if n > 1 else np.full(n, episode_steps)
        self.power_on = np.ones(n, bool)
        self.kept: list[tuple[bytes, int, int]] = []  # states put into the archive, to be scored: (key, time, console)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, Any]]:
        """As `VectorSource.step`; an episode that is over by its length begins anew."""
        frames, rewards, terminated, _, _ = self.consoles.step(actions)
        self.raw[:] = frames
        self.tokens = self.observation = self.observe(self.raw)
        self.left -= 1
        self.archive.earn(self.n)
        truncated = (self.left <= 0) & ~terminated
        last = {}
        for i in np.flatnonzero(terminated | truncated).tolist():
            last[i] = (self.raw[i].copy(), self.tokens[i].copy())
            self._begin(i)
        return np.asarray(rewards, np.float32), np.asarray(terminated), truncated, last

    def _final(self, last: Any) -> tuple[Any, Any]:
        return last[0], last[1]

    def _begin(self, i: int) -> None:
        """Start a new episode on console `i`."""
        entry = self.archive.choose(self.rng) if self.rng.random() < self.archive_share else None
        self.raw[i] = self.consoles.restart(i, None if entry is None else entry.state())
        self.tokens[i] = self.observe(self.raw[i : i + 1])[0]
        self.left[i], self.power_on[i] = self.episode_steps, entry is None
        if entry is not None and entry.carry:
            self.resume(i, entry.carry)

    def began_at_power_on(self, i: int) -> bool:
        """Whether the episode that is on began at power-on, and not in the archive."""
        return bool(self.power_on[i])

    def stepped(self, t: int, ended: np.ndarray) -> None:
        """Save the consoles whose screen the archive has not seen."""
        for i in self.rng.permutation(self.n).tolist():
            key = self.archive.key(self.tokens[i])
            if not ended[i] and self.archive.wants(key):
                carry = {name: value[i].copy() for name, value in self.carry.items()} if self.remembers else {}
                self.archive.add(key, self.consoles.save_state(i), 0.0, carry)
                self.kept.append((key, t + 1, i))

    def scored(self, rollout: Rollout) -> None:
        """Tell the archive how far its new states are."""
        progress = rollout.extras.get("progress")
        for key, t, i in self.kept:
            if progress is not None:
                self.archive.rescore(key, float(progress[t, i]))
        self.kept.clear()

    def tensors(self) -> dict[str, torch.Tensor]:
        """As `VectorSource.tensors`, with the archive; the perception forgets, because a resumed run's knows nothing either."""
        saved = super().tensors()
        self.perception.forget()
        arrays: dict[str, Any] = {"tokens": self.tokens, "left": self.left, "power_on": self.power_on}
        saved |= {name: torch.from_numpy(np.ascontiguousarray(array).copy()) for name, array in arrays.items()}
        return saved | {f"archive_{name}": tensor for name, tensor in self.archive.tensors().items()}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`."""
        super().restore(tensors)
        self.tokens = self.observation = tensors["tokens"].numpy().copy()
        self.left, self.power_on = tensors["left"].numpy().copy(), tensors["power_on"].numpy().copy()
        kept = {name.removeprefix("archive_"): tensor for name, tensor in tensors.items() if name.startswith("archive_")}
        self.archive.restore(kept)
        self.perception.forget()
