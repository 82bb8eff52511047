"""After exploring: PPO, paid by the judge, from places on the ways that were found.

Cloning ways learns what was done where it went well; it cannot tell a choice that wins nine times of ten from one that wins seven, when
hardly anybody makes the better one. PPO can: it learns from what went wrong as well, and begins where that happens.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from emurl.agents.base import Carry
from emurl.agents.ppo.agent import REFERENCE, PPOAgent
from emurl.agents.ppo.config import PPOConfig
from emurl.agents.ppo.token_networks import TokenMemory
from emurl.core.output import Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.rewards.splits import SplitJudge
from emurl.training.on_policy import Selection, State, train
from emurl.training.perception import Perception
from emurl.training.practice import PracticeSettings, PracticeSource
from emurl.training.ways import Place


def practice(
    policy: RecurrentPolicy, ways: Mapping[int, Sequence[Place]], envs: ThreadedVectorEnv, perception: Perception, judge: SplitJudge,
    settings: PracticeSettings, ppo: PPOConfig, *, wait_ticks: int, trial: Callable[[RecurrentPolicy], float], trials: int,
    output: Output, tracker: Tracker, signature: dict[str, Any],
) -> State:  # fmt: skip
    """Train `policy` in place, held near to what it was; afterwards it has the weights whose trial was best.

    Args:
        ways: ends of ways, by the split they passed last. ppo: how it learns; its `total_steps` are `settings.steps`.
        trial: plays a policy and says how well it did, at `trials` moments, the first before any update.
    """
    rng = np.random.default_rng([ppo.seed, 0x9AC7])
    network, reference = TokenMemory(policy), TokenMemory(copy.deepcopy(policy))
    agent = PPOAgent(network, ppo, rng, reference=reference)
    remember = WayMemory(network, reference, settings.burn_in)
    source = PracticeSource(envs, agent, ppo.num_steps, rng, perception, judge, ways, remember, settings, wait_ticks)

    return train(
        agent, source, ppo.model_copy(update={"total_steps": settings.steps}), tracker=tracker, scratch=output.scratch,
        saved=output.scratch_saved, signature=signature, name="practice",
        selection=Selection(lambda candidate: trial(candidate.network.module), trials, source.forget),
    )  # fmt: skip


class WayMemory:
    """What a policy and its reference remember at a place, of the way there.

    The reference never changes, so it reads each way once. The policy goes on from what the reference remembers some steps before the
    place and reads these itself: a state that other weights made would mislead it (R2D2, Kapturowski et al. 2019), and reading the whole
    way before every episode would take longer than to play it.
    """

    def __init__(self, network: TokenMemory, reference: TokenMemory, burn_in: int) -> None:
        self.network, self.reference, self.burn_in = network, reference, burn_in
        self._known: dict[int, tuple[np.ndarray, Carry, Carry]] = {}

    def forget(self) -> None:
        """Forget what was read."""
        self.network.forget()
        self.reference.forget()
        self._known.clear()

    @torch.inference_mode()
    def __call__(self, place: Place) -> Carry:
        """The memory of both, a carry without its first axis."""
        if id(place) not in self._known:
            grids = place.way().grids[:, None]
            cut = max(0, len(grids) - self.burn_in)
            middle = self.reference.after(self.reference.initial(1), grids[:cut])
            self._known[id(place)] = grids[cut:], middle, self.reference.after(middle, grids[cut:])
        grids, middle, end = self._known[id(place)]
        own = self.network.after(middle, grids)
        return {"state": own["state"][0], f"{REFERENCE}state": end["state"][0]}
