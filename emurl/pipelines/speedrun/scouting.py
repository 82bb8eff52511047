"""Places all over the game to play from, so that the inverse model learns what presses look like there, too.

Chance gets no further than the first rooms, and an inverse model that learned from chance alone names one in thirty presses of A at
the lamps of the embedded game's gym, so nobody clones them. The clone explores with the judge, which gets further, and chance plays
on from where it got to: BCO(α) (1805.01954) over an archive (1901.10995). What the clone pressed on the way is known as well.
"""

from __future__ import annotations

import numpy as np

from emurl.core.settings import Natural, Positive
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.pipelines.speedrun.exploring import remembering
from emurl.pipelines.speedrun.players import agent_of
from emurl.rewards.splits import SplitJudge
from emurl.training.explore import Explorer, Watch
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
    watch: Watch, seed: int, tracker: Tracker,
) -> list[bytes]:  # fmt: skip
    """Explore with the judge; returns states of the emulator from all over what was reached, zlib-packed.

    Args:
        envs: the consoles that explore. watch: shown every action on the way.
    """
    explorer = Explorer(envs, perception, judge, settings.archive, np.random.default_rng([seed, 0x5C0]))
    with tracker.progress(settings.steps, "scout", "actions") as bar:
        explorer.explore(
            agent_of(policy), settings, remembering(policy), lambda steps: bar.update(steps, frontier=explorer.frontier),
            watch,
        )  # fmt: skip
    saved = [place.from_saved()[0] for places in explorer.pool.values() for place in places[: settings.per_position]]
    return [place.packed for place in {id(place): place for place in saved}.values()]
