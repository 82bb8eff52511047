"""Places all over the game to play from, so that the inverse model learns what presses look like there, too.

Chance gets no further than the first rooms, and an inverse model that learned from chance alone names one in thirty presses of A at
the lamps of the embedded game's gym, so nobody clones them. The clone explores with the judge, which gets further, and chance plays
on from where it got to: BCO(α) (1805.01954) over an archive (1901.10995). What the clone pressed on the way is known as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from emurl.core.settings import Natural, Positive
from emurl.core.store import Artifact
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.pipelines.speedrun.exploring import remembering
from emurl.pipelines.speedrun.players import agent_of
from emurl.rewards.splits import SplitJudge
from emurl.training.checkpoint import Saved, read_checkpoint, write_checkpoint
from emurl.training.explore import Explorer, Watch
from emurl.training.perception import Perception
from emurl.training.phases import ArchiveSettings, FirstPhaseSettings

FILE = "scouted.safetensors"  # in a behavior artifact


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
    watch: Watch, seed: int, tracker: Tracker, known: Mapping[str, torch.Tensor] | None = None,
) -> tuple[list[bytes], dict[str, torch.Tensor]]:  # fmt: skip
    """Explore with the judge.

    Args:
        envs: the consoles that explore. watch: shown every action on the way. known: places to go on from, as this returns them.

    Returns:
        States of the emulator from all over what was reached, zlib-packed; and all places that an `Explorer` keeps, as its `tensors`.
    """
    explorer = Explorer(envs, perception, judge, settings.archive, np.random.default_rng([seed, 0x5C0]))
    if known is not None:
        explorer.restore(known)
    with tracker.progress(settings.steps, "scout", "actions") as bar:
        explorer.explore(
            agent_of(policy), settings, remembering(policy), lambda steps: bar.update(steps, frontier=explorer.frontier),
            watch,
        )  # fmt: skip
    saved = [place.from_saved()[0] for places in explorer.pool.values() for place in places[: settings.per_position]]
    return [place.packed for place in {id(place): place for place in saved}.values()], explorer.tensors()


def write_scouted(
    file: Path, places: dict[str, torch.Tensor], inputs: Mapping[str, Artifact], saved: Saved | None = None
) -> None:
    """Write what `scout` kept, for whoever sees and judges by the same artifacts."""
    write_checkpoint(file, {"places": places}, {}, _seen_by(inputs), saved)


def read_scouted(file: Path, inputs: Mapping[str, Artifact]) -> dict[str, torch.Tensor] | None:
    """The inverse of `write_scouted`; None if there is no such file, or it was made by another tokenizer or judge."""
    places: dict[str, torch.Tensor] = {}
    found = read_checkpoint(file, {"places": places}, _seen_by(inputs))
    return None if found is None else places


def _seen_by(inputs: Mapping[str, Artifact]) -> dict[str, str]:
    return {name: inputs[name].digest for name in ("tokenizer", "reward")}
