"""Places all over the game to play from, so that the inverse model learns what presses look like there, too.

Chance gets no further than the first rooms, and an inverse model that learned from chance alone names one in thirty presses of A at
the lamps of the embedded game's gym, so nobody clones them. The clone explores with the judge, which gets further, and chance plays
on from where it got to: BCO(α) (1805.01954) over an archive (1901.10995). What the clone pressed on the way is known as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from emurl.core import interrupt
from emurl.core.settings import Natural, Positive
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.footage.pairs import Collector
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.pipelines.speedrun.exploring import remembering
from emurl.pipelines.speedrun.players import agent_of
from emurl.rewards.splits import SplitJudge
from emurl.training.checkpoint import read_checkpoint, write_checkpoint
from emurl.training.explore import Explorer
from emurl.training.perception import Perception
from emurl.training.phases import ArchiveSettings, FirstPhaseSettings


class ScoutSettings(FirstPhaseSettings):
    """How the clone looks for places."""

    steps: Natural = 40_000
    enough: Natural = 5
    trials: Natural = 0
    consoles: Positive = 24  # that explore side by side
    archive: ArchiveSettings = ArchiveSettings()
    per_position: Positive = 4  # places that are played from
    per_kind: Positive = 300  # pairs that are kept of a kind of change (which parts of the screen)


def scout(
    policy: RecurrentPolicy, envs: ThreadedVectorEnv, perception: Perception, judge: SplitJudge, settings: ScoutSettings, *,
    collector: Collector, seed: int, tracker: Tracker, file: Path | None = None, saved: Callable[[Path], None] | None = None,
) -> list[bytes]:  # fmt: skip
    """Explore with the judge; returns states of the emulator from all over what was reached, zlib-packed.

    Args:
        envs: the consoles that explore. collector: shown every action on the way.
        file: where it is kept when somebody asks to end, and gone on from. saved: called with it.
    """
    explorer = Explorer(envs, perception, judge, settings.archive, np.random.default_rng([seed, 0x5C0]))
    dice = {"explorer": explorer.rng, "collector": collector.rng}
    parts: dict[str, dict[str, torch.Tensor]] = {"explorer": {}, "collector": {}}
    signature = {"seed": seed, **settings.fingerprint_values()}
    state = None if file is None else read_checkpoint(file, parts, signature)
    if state is not None:
        explorer.restore(parts["explorer"])
        collector.restore(parts["collector"])
        for name, rng in dice.items():
            rng.bit_generator.state = state[name]

    def pause() -> None:
        if not asked():
            return
        if file is not None:
            told = {name: json.loads(json.dumps(rng.bit_generator.state)) for name, rng in dice.items()}
            write_checkpoint(file, {"explorer": explorer.tensors(), "collector": collector.tensors()}, told, signature, saved)
            assert explorer.under_way is not None
            tracker.message(f"scout: saved after {explorer.under_way.turns * explorer.n} of {settings.steps} actions")
        interrupt.leave()

    with interrupt.saving() as asked, tracker.progress(settings.steps, "scout", "actions") as bar:
        if explorer.under_way is not None:
            bar.start_at(explorer.under_way.turns * explorer.n)
            tracker.message(f"scout: goes on from {explorer.under_way.turns * explorer.n} of {settings.steps} actions")
        explorer.explore(
            agent_of(policy), settings, remembering(policy), lambda steps: bar.update(steps, frontier=explorer.frontier),
            collector.watch, pause,
        )  # fmt: skip
    reached = [place.from_saved()[0] for places in explorer.pool.values() for place in places[: settings.per_position]]
    return [place.packed for place in {id(place): place for place in reached}.values()]
