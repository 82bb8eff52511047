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

from emurl.core import interrupt
from emurl.core.settings import Natural, Positive
from emurl.core.store import Artifact
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.footage.pairs import Collector
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.pipelines.speedrun.exploring import remembering
from emurl.pipelines.speedrun.players import agent_of
from emurl.rewards.splits import SplitJudge
from emurl.training.checkpoint import Saved, dice, read_checkpoint, write_checkpoint
from emurl.training.explore import Explorer
from emurl.training.perception import Perception
from emurl.training.phases import ArchiveSettings, FirstPhaseSettings
from emurl.training.ways import Place, unpack

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
    collector: Collector, seed: int, tracker: Tracker, known: Mapping[str, torch.Tensor] | None = None, file: Path | None = None,
    saved: Saved | None = None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """Explore with the judge; returns all places that an `Explorer` keeps, as its `tensors`.

    Args:
        envs: the consoles that explore. collector: shown every action on the way. known: places to go on from, as this returns them.
        file: where it is kept when somebody asks to end, and gone on from. saved: called with it.
    """
    explorer = Explorer(envs, perception, judge, settings.archive, np.random.default_rng([seed, 0x5C0]))
    rngs = {"explorer": explorer.rng, "collector": collector.rng}
    parts: dict[str, dict[str, torch.Tensor]] = {"explorer": {}, "collector": {}}
    signature = {"seed": seed, **settings.fingerprint_values()}
    state = None if file is None else read_checkpoint(file, parts, signature)
    if state is not None:
        explorer.restore(parts["explorer"])
        collector.restore(parts["collector"])
        for name, rng in rngs.items():
            rng.bit_generator.state = state[name]
    elif known is not None:
        explorer.restore(known)

    def pause() -> None:
        if not asked():
            return
        if file is not None:
            told = {name: dice(rng) for name, rng in rngs.items()}
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
    return explorer.tensors()


def states_of(places: Mapping[str, torch.Tensor], per_position: int) -> list[bytes]:
    """States of the emulator from all over what was reached, zlib-packed: of each position's places so many."""
    kept = unpack(places)
    by_position: dict[int, list[Place]] = {}
    for position, number in places["in_pool"].tolist():
        by_position.setdefault(position, []).append(kept[number])
    saved = [place.from_saved()[0] for group in by_position.values() for place in group[:per_position]]
    return [place.packed for place in {id(place): place for place in saved}.values()]


def write_scouted(
    file: Path, places: dict[str, torch.Tensor], inputs: Mapping[str, Artifact], collector: Collector | None = None,
    saved: Saved | None = None,
) -> None:  # fmt: skip
    """Write what `scout` kept, for whoever sees and judges by the same artifacts; with what was collected, if it is given."""
    pairs = {} if collector is None else collector.tensors()
    write_checkpoint(file, {"places": places, "collector": pairs}, {}, _seen_by(inputs), saved)


def read_scouted(
    file: Path, inputs: Mapping[str, Artifact], collector: Collector | None = None
) -> dict[str, torch.Tensor] | None:  # fmt: skip
    """The inverse of `write_scouted`; None if there is no such file, or it was made by another tokenizer or judge."""
    parts: dict[str, dict[str, torch.Tensor]] = {"places": {}, "collector": {}}
    if read_checkpoint(file, parts, _seen_by(inputs)) is None:
        return None
    if collector is not None:
        collector.restore(parts["collector"])
    return parts["places"]


def _seen_by(inputs: Mapping[str, Artifact]) -> dict[str, str]:
    return {name: inputs[name].digest for name in ("tokenizer", "reward")}
