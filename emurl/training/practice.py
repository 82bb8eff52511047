"""Rollouts for practice: episodes begin just before what sometimes fails, on ways that exploring found, and end soon after it.

What is always passed teaches nothing any more, and what never is nothing yet: a split is chosen by p (1 − p) of the chance p that an
episode there passes it ("learnability", 2408.15099). Who passes a split is paid the way to it, by the judge, and who ends the course more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch

from emurl.agents.base import Carry
from emurl.core.settings import Natural, NonNegative, Positive, Rate, Settings, Share
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.rewards.splits import SplitJudge, Standing
from emurl.training.perception import Perception
from emurl.training.rollout import Rollout
from emurl.training.screen_source import ScreenSource
from emurl.training.ways import Place, pack, unpack

NEVER = 1_000_000  # splits: more than there are
KEPT = ("since", "until", "played", "tried", "passed")  # arrays of a source that a rollout goes on from


class PracticeSettings(Settings):
    """PPO after exploring, from places on the ways that were found."""

    steps: Natural = 0  # environment steps of all consoles together; 0: no practice
    from_power_on: Share = 0.1  # episodes that begin there, and go on to the end
    back: Natural = 1  # splits before the one to be practiced, at most, from which the others begin
    ahead: Natural = 1  # splits after it that are passed before such an episode ends
    focus: NonNegative = 2.0  # splits are chosen by their p (1 - p) to the power of this; 0: all alike
    least: Rate = 0.02  # p (1 - p) that every split counts as, at least
    forgets: Share = 0.9  # share of what is known of success that is kept from update to update
    patience: Positive = 90  # steps without progress after which an episode is lost
    relief: Natural = 45  # steps by which progress short of a split puts that off
    sticky: Share = 0.05  # chance that what is played is the action before, in trials, too
    # What is paid: every position that the judge believes in, or those up to a split when it is passed. Between splits a belief can be
    # talked ahead, by a town that looks the same before an errand and after it.
    paid: Literal["positions", "splits"] = "splits"
    finish: NonNegative = 12.0  # positions that the end of the course is worth besides
    pace: NonNegative = 0.1  # positions that a step costs
    burn_in: Positive = 64  # steps before a place that the network reads again to remember the way there (R2D2's burn-in)


class Memory(Protocol):
    """What the agent remembers at a place, of the way there."""

    def __call__(self, place: Place) -> Carry:
        """A carry without its first axis."""
        ...

    def forget(self) -> None:
        """Forget what was computed for it."""
        ...


class PracticeSource(ScreenSource):
    """Plays on `envs` (no reset of their own, no limit of steps).

    Args:
        ways: ends of ways, by the split they passed last. remember: what the agent remembers at such a place. wait_ticks: an episode from
            power-on waits up to so many.
    """

    def __init__(
        self, envs: ThreadedVectorEnv, agent: Any, num_steps: int, rng: np.random.Generator, perception: Perception, judge: SplitJudge,
        ways: Mapping[int, Sequence[Place]], remember: Memory, settings: PracticeSettings, wait_ticks: int,
    ) -> None:  # fmt: skip
        self.judge, self.settings, self.wait_ticks, self.remember = judge, settings, wait_ticks, remember
        self.ways = {split: list(places) for split, places in sorted(ways.items()) if places}
        super().__init__(envs, agent, num_steps, rng, perception)
        # Of the episodes that stood before each split, how many there were and how many passed it; what is older counts less.
        self.tried, self.passed = (np.zeros(len(judge.splits) + 1) for _ in range(2))
        self.standings = [judge.begin() for _ in range(self.n)]
        self.since, self.until, self.played = np.zeros(self.n, np.int64), np.zeros(self.n, np.int64), np.full(self.n, -1)
        for i in range(self.n):
            self._begin(i)

    def success(self) -> np.ndarray:
        """Chance to pass each split, float64 (splits + 1,), the last being the end; with one success and one failure besides."""
        return (self.passed + 1.0) / (self.tried + 2.0)

    def _choose(self) -> tuple[Place | None, int]:
        """Where an episode begins (None: power-on), and the splits passed at which it ends."""
        settings = self.settings
        chance = self.success()
        weights = np.maximum(chance * (1.0 - chance), settings.least) ** settings.focus
        split = int(self.rng.choice(len(weights), p=weights / weights.sum()))
        first = split - int(self.rng.integers(settings.back + 1))
        before = [passed for passed in self.ways if passed < first]
        if not before or self.rng.random() < settings.from_power_on:
            return None, NEVER
        places = self.ways[before[-1]]
        return places[int(self.rng.integers(len(places)))], split + 1 + settings.ahead

    def _begin(self, i: int) -> None:
        """Start a new episode on console `i`."""
        place, self.until[i] = self._choose()
        if place is None:
            self.raw[i] = self.consoles.restart(i, wait=int(self.rng.integers(self.wait_ticks + 1)))
            self.standings[i] = self.judge.begin()
        else:
            self.raw[i] = self.consoles.restart(i, *place.state())
            self.standings[i] = place.standing.copy()
            self.resume(i, self.remember(place))
        self.observation[i] = self.observe(self.raw[i : i + 1])[0]
        self.since[i], self.played[i] = 0, -1
        if place is None:
            self.judge.update([self.standings[i]], self.observation[i : i + 1])

    def began_at_power_on(self, i: int) -> bool:
        """Whether the episode that is on began at power-on."""
        return bool(self.until[i] == NEVER)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, Any]]:
        """As `ScreenSource.step`. Who is lost has ended: what could still come of it would take more time than a game has."""
        settings = self.settings
        stuck = (self.rng.random(self.n) < settings.sticky) & (self.played >= 0)
        self.played = np.where(stuck, self.played, actions)
        self.raw[:] = self.consoles.step(self.played)[0]
        self.observation = self.observe(self.raw)
        before = [(standing.passed, standing.reached, self._worth(standing)) for standing in self.standings]
        self.judge.update(self.standings, self.observation)
        rewards = np.full(self.n, -settings.pace, np.float32)
        terminated, truncated = np.zeros(self.n, bool), np.zeros(self.n, bool)
        last = {}
        self.since += 1
        for i, (standing, (passed, reached, worth)) in enumerate(zip(self.standings, before, strict=True)):
            rewards[i] += self._worth(standing) - worth
            if standing.passed > passed:
                self._count(passed, standing.passed, success=True)
                self.since[i] = 0
            elif standing.reached > reached:
                self.since[i] = max(0, self.since[i] - settings.relief)
            if self.judge.at_end(standing):
                terminated[i] = True
                rewards[i] += settings.finish
                self._count(standing.passed, len(self.tried), success=True)
            elif self.since[i] > settings.patience:
                terminated[i] = True
                self._count(standing.passed, standing.passed + 1, success=False)
            else:
                truncated[i] = standing.passed >= self.until[i]
            if terminated[i] or truncated[i]:
                last[i] = self.observation[i].copy()
                self._begin(i)
        return rewards, terminated, truncated, last

    def _worth(self, standing: Standing) -> float:
        """The positions that are paid for by now."""
        if self.settings.paid == "positions":
            return standing.reached
        return float(self.judge.splits[standing.passed - 1].position) if standing.passed else 0.0

    def _count(self, first: int, last: int, success: bool) -> None:
        self.tried[first:last] += 1.0
        self.passed[first:last] += float(success)

    def scored(self, rollout: Rollout) -> None:
        """What is known of success counts less from update to update."""
        self.tried *= self.settings.forgets
        self.passed *= self.settings.forgets

    def tensors(self) -> dict[str, torch.Tensor]:
        """As `ScreenSource.tensors`, with where the episodes stand; what was looked at is forgotten: a resumed run knows nothing either."""
        saved = super().tensors()
        self.forget()
        saved |= {name: torch.from_numpy(getattr(self, name).copy()) for name in KEPT}
        return saved | {f"stands_{name}": tensor for name, tensor in pack(map(_nowhere, self.standings))[0].items()}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`."""
        super().restore(tensors)
        for name in KEPT:
            setattr(self, name, tensors[name].numpy().copy())
        kept = {name.removeprefix("stands_"): tensor for name, tensor in tensors.items() if name.startswith("stands_")}
        self.standings = [place.standing for place in unpack(kept)]
        self.forget()

    def forget(self) -> None:
        """Forget what was made of frames and of ways: in another batch a network rounds a little differently."""
        self.perception.forget()
        self.remember.forget()


def _nowhere(standing: Standing) -> Place:
    """A standing alone, as a place without a way, which can be packed."""
    none = np.zeros(0, np.int64)
    return Place(b"", standing, None, np.zeros((0, 9, 10), np.int16), none, none, none, none.astype(bool), 0)
