"""Explore, then learn from it: the clone explores, and learns from the ways that passed splits and from the footage, round after round.

Ways are learned whole, from power-on: a memory that was kept beside a piece of one is last round's network's, and learning from it
teaches a policy not to trust its memory. The states are begun from with a memory computed anew for the same reason. Exploring
and imitating what was found is Go-Explore (1901.10995); round after round, with the learner exploring, it is expert iteration (1705.08439).
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from emurl.agents.ppo.token_networks import TokenMemory
from emurl.core import interrupt
from emurl.core.output import Output
from emurl.core.settings import Natural, Positive, Rate, Settings, Share
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.footage.sequences import Streams, labeled_sequences
from emurl.footage.tokens import Tokens
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.pipelines.speedrun.players import agent_of
from emurl.rewards.splits import SplitJudge
from emurl.training.augment import wrong_tokens
from emurl.training.checkpoint import dice, read_checkpoint, write_checkpoint
from emurl.training.explore import Explorer
from emurl.training.explore_episode import Ended
from emurl.training.perception import Perception
from emurl.training.phases import ArchiveSettings, FirstPhaseSettings, PhaseSettings
from emurl.training.settings import OptimizerSettings, PlaySettings
from emurl.training.supervised import fit
from emurl.training.ways import Place, Way, without_loops

FILE = "explore.safetensors"


class WaysSettings(OptimizerSettings):
    """What a round learns."""

    steps: Positive = 240  # batches a round
    batch_size: Positive = 16  # sequences side by side
    learning_rate: Rate = 2e-3  # at its peak, each round anew
    warmup_steps: int = 15
    eval_every: Positive = 1_000_000
    window: Positive = 64  # actions through which gradients flow back
    ways: Positive = 12  # shortest ways past each split
    recovered: Natural = 6  # and of those that got lost and went on
    of_newest: Positive = 30  # among so many newest
    footage: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share of the batches that are of the footage
    token_noise: Share = 0.1  # tokens that are wrong in training, on average


class ExploreSettings(Settings):
    """`policy.method: explore`."""

    rounds: Natural = 6  # of learning and exploring again; 0: nothing is learned from the ways that the first phase found
    first: FirstPhaseSettings = FirstPhaseSettings()  # how the clone explores
    later: PhaseSettings = PhaseSettings()  # how the policy of each round does
    archive: ArchiveSettings = ArchiveSettings()  # what is kept
    learn: WaysSettings = WaysSettings()  # what is learned from
    consoles: Positive = 24  # that explore side by side
    scouted: bool = True  # go on from where the clone got to while it was made, if the same judge looked on
    wait_ticks: Natural = 120  # an episode from power-on begins after a wait of up to so many emulator frames


@dataclass
class Explored:
    """What came of it. `rounds` is one row a round; `trials` the `trial_return` of the policy before any round and after each.

    `finished_ways` to the end are kept, and `frontier` is the share of the course that anybody got to. `learned` is of a round that
    explores: what it learned from before, and its last loss.
    """

    rounds: list[dict[str, float]] = field(default_factory=list)
    trials: list[float] = field(default_factory=list)
    best: float = -1.0
    best_round: int = 0
    steps: int = 0
    seconds: float = 0.0
    finished_ways: int = 0
    frontier: float = 0.0
    learned: dict[str, float] = field(default_factory=dict)


def explore(
    policy: RecurrentPolicy, envs: ThreadedVectorEnv, perception: Perception, judge: SplitJudge, tokens: Tokens, labels: pd.DataFrame,
    stride: int, settings: ExploreSettings, *, how: PlaySettings, seed: int, device: torch.device, output: Output, tracker: Tracker,
    signature: dict[str, Any], known: Mapping[str, torch.Tensor] | None = None,
) -> tuple[Explored, dict[int, list[Place]]]:  # fmt: skip
    """Train `policy` in place; afterwards it has the weights of the round whose trial was best. Returns the ends of ways by split, too.

    A killed run goes on from the last whole phase, to the same weights; one that was asked to end (Ctrl-C, SIGTERM) from where it was,
    with nothing lost, to weights that are as good but not the same: what networks made of frames is made anew, in other batches.

    Args:
        envs: the consoles that explore. labels: of the footage, as `label` gives them. stride: footage frames an action takes.
        how: actions are chosen in trials. signature: which run it is. known: places to go on from, as `Explorer.tensors` gives them.
    """
    rng = np.random.default_rng([seed, 0xE59])
    explorer = Explorer(envs, perception, judge, settings.archive, rng, settings.wait_ticks, how)
    best = copy.deepcopy(policy.state_dict())
    places: dict[str, torch.Tensor] = {}
    parts: dict[str, Any] = {"policy": policy, "best": best, "places": places}
    told = Explored()
    found = read_checkpoint(output.scratch / FILE, parts, signature)
    if found is not None:
        explorer.restore(places)
        rng.bit_generator.state = found.pop("rng")
        told = Explored(**found)
        tracker.message(f"policy goes on from round {len(told.rounds)} of {settings.rounds}")
    elif known is not None:
        explorer.restore(known)
        explorer.steps = 0  # those were somebody else's

    def save() -> None:
        places.clear()
        places.update(explorer.tensors())
        state = {**vars(told), "rng": dice(rng)}
        write_checkpoint(output.scratch / FILE, parts, state, signature, output.scratch_saved)

    def phase(name: str, how: PhaseSettings) -> list[Ended]:
        """Explore; keep the weights if their trials, which are returned, did best."""
        perception.forget()
        began = time.monotonic()

        def pause() -> None:
            if asked():
                told.seconds += time.monotonic() - began
                save()
                assert explorer.under_way is not None
                tracker.message(f"{name}: saved after {explorer.under_way.turns * explorer.n} of {how.steps} actions")
                interrupt.leave()

        with interrupt.saving() as asked, tracker.progress(how.steps, name, "actions") as bar:
            if explorer.under_way is not None:
                bar.start_at(explorer.under_way.turns * explorer.n)
                tracker.message(f"{name}: goes on from {explorer.under_way.turns * explorer.n} of {how.steps} actions")
            ended = explorer.explore(
                agent_of(policy),
                how,
                remembering(policy),
                lambda steps: bar.update(steps, frontier=explorer.frontier),
                pause=pause,
            )
        trials = [one for one in ended if one.trial]
        told.steps, told.finished_ways = explorer.steps, len(explorer.done)
        told.frontier = explorer.frontier / (judge.positions - 1)
        told.seconds += time.monotonic() - began
        told.trials.append(trial_return([(one.furthest / (judge.positions - 1), one.finished) for one in trials]))
        if told.trials[-1] > told.best:
            told.best, told.best_round = told.trials[-1], len(told.trials) - 1
            best.update({name: tensor.clone() for name, tensor in policy.state_dict().items()})
        return trials

    if not told.trials:
        phase("explore", settings.first)
        save()
    for number in range(len(told.rounds) + 1, settings.rounds + 1):
        if not told.learned:
            began = time.monotonic()
            sequences = learnable(explorer, settings.learn)
            loss = learn_ways(
                policy, sequences, explorer, tokens, labels, stride, settings.learn, name=f"round_{number}", seed=seed + number,
                device=device, output=output, tracker=tracker,
            )  # fmt: skip
            told.learned = {"loss": loss, "ways": float(len(sequences))}
            told.seconds += time.monotonic() - began
        trials = phase(f"explore, round {number}", settings.later)
        row = {
            "step": float(told.steps),
            **told.learned,
            "finished_ways": float(told.finished_ways),
            "frontier": told.frontier,
            "trial": told.trials[-1],
            "trial_finished": float(np.mean([one.finished for one in trials])),
        }
        told.rounds.append(row)
        told.learned = {}
        tracker.log(row, number)
        save()
    policy.load_state_dict(best)
    policy.eval()
    return told, explorer.ways


def trial_return(ends: Sequence[tuple[float, bool]]) -> float:
    """How far trials got, (share of the course, whether they finished) each, and as much for how many finished: 0 … 1.

    What is lost just before the end, such as the last fight, is a tenth of the course and all of a game.
    """
    return float(np.mean([(share + finished) / 2 for share, finished in ends]))


def remembering(policy: RecurrentPolicy) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """What `policy` remembers of a way; what it made of a grid is kept."""
    network = TokenMemory(policy)

    @torch.inference_mode()
    def remember(grids: np.ndarray) -> dict[str, np.ndarray]:
        return {name: value[0] for name, value in network.after(network.initial(1), grids[:, None]).items()}

    return remember


def learnable(explorer: Explorer, settings: WaysSettings) -> list[Way]:
    """The shortest of the newest ways past each split and to the goal, without their loops.

    Of the ways past a split those count that somebody went on from, past the next one: the others may lead nowhere. Past the last
    split that anybody passed all count. Ways that begin alike teach what one of them does: each beginning comes before a second of it.
    """
    last = max(explorer.ways, default=0)
    groups = [(places, settings.ways) for places in [*explorer.firm.values(), explorer.ways.get(last, []), explorer.done]]
    groups += [(places, settings.recovered) for places in explorer.recovered.values()]
    ends: list[Place] = []
    for places, most in groups:
        times: Counter[int] = Counter()
        turns: list[tuple[int, Place]] = []
        for place in sorted(places[-settings.of_newest :], key=lambda place: place.steps):
            *_, root = place.line()
            turns.append((times[id(root)], place))
            times[id(root)] += 1
        ends += [place for _, place in sorted(turns, key=lambda row: row[0])[:most]]
    return [way for way in (without_loops(place.way()) for place in ends) if way.meant.any()]


class WayStreams:
    """`count` streams over ways, `window` steps at a time; each begins anywhere, and then at the beginning of another way.

    Attributes:
        kept: everything a stream goes on from, tensors by name; `way_state` float32 (count, hidden) is written into by whoever learns.
    """

    def __init__(
        self, ways: Sequence[Way], weight: Callable[[int], float], count: int, window: int, hidden: int,
        kept: dict[str, torch.Tensor] | None = None,
    ) -> None:  # fmt: skip
        self.ways, self.weight, self.window, self.count = ways, weight, window, count
        self.kept = {} if kept is None else kept
        self.kept |= {
            "way": torch.full((count,), -1, dtype=torch.int64),
            "way_at": torch.zeros(count, dtype=torch.int64),
            "way_begun": torch.zeros(count, dtype=torch.bool),
            "way_state": torch.zeros(count, hidden),
        }

    def next(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Grids int64 (T, B, 9, 10), actions int64 (T, B) and weights float32 (T, B); the state is zero where a way begins."""
        shape, kept = (self.window, self.count), self.kept
        grids, actions, weights = np.zeros((*shape, 9, 10), np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        for stream in range(self.count):
            if int(kept["way"][stream]) < 0:
                way = int(rng.integers(len(self.ways)))
                windows = max(1, len(self.ways[way].actions) // self.window)
                first = 0 if kept["way_begun"][stream] else int(rng.integers(windows)) * self.window
                kept["way"][stream], kept["way_at"][stream] = way, first
                kept["way_begun"][stream], kept["way_state"][stream] = True, 0.0
            way, first = int(kept["way"][stream]), int(kept["way_at"][stream])
            seen, done, progress, _, meant = (part[first : first + self.window] for part in self.ways[way])
            grids[: len(done), stream], actions[: len(done), stream] = seen, done
            weights[: len(done), stream] = meant * [self.weight(int(position)) for position in progress]
            kept["way_at"][stream] = first + len(done)
            if first + len(done) >= len(self.ways[way].actions):
                kept["way"][stream] = -1
        return grids, actions, weights


def learn_ways(
    policy: RecurrentPolicy, ways: Sequence[Way], explorer: Explorer, tokens: Tokens, labels: pd.DataFrame, stride: int,
    settings: WaysSettings, *, name: str, seed: int, device: torch.device, output: Output, tracker: Tracker,
) -> float:  # fmt: skip
    """One round of cloning ways and footage; returns the last loss. Steps count by how seldom the next split is passed from there."""
    sequences = labeled_sequences(labels, tokens, "train", stride)
    even = {video: np.ones(tokens.reader.videos[video].count) for video in {one.video for one in sequences}}
    footage = Streams(sequences, tokens, np.ones(policy.actions), even, settings.batch_size, settings.window, policy.hidden)
    kept = footage.kept  # of both kinds of streams
    streams = WayStreams(ways, explorer.weakness, settings.batch_size, settings.window, policy.hidden, kept)

    def noisy(rng: np.random.Generator, grids: np.ndarray) -> np.ndarray:
        return wrong_tokens(rng, grids, settings.token_noise, policy.vocab)

    def sample(rng: np.random.Generator) -> tuple[Any, ...]:
        if not ways or rng.random() < settings.footage:
            window = footage.next(rng)
            return noisy(rng, window.grids), window.actions, window.weights, kept["state"]
        grids, actions, weights = streams.next(rng)
        return noisy(rng, grids), actions, weights, kept["way_state"]

    # A round is short and begun anew after a kill: there is a checkpoint in the middle of one only for who is asked to end.
    whole = settings.model_copy(update={"seed": seed, "checkpoint_every": settings.steps})
    result = fit(policy, sample, whole, output=output, tracker=tracker, name=name, device=device, carried=kept)
    (output.scratch / f"{name}.safetensors").unlink(missing_ok=True)
    return float(result.history[-1]["loss"])


def read_labels(file: Path, tokens: Tokens) -> pd.DataFrame:
    """The labels of a behavior artifact, with each video by its place in the footage."""
    place = {video.id: number for number, video in enumerate(tokens.reader.videos)}
    table = pd.read_parquet(file)
    return table.assign(video=table["video"].map(place)).dropna(subset=["video"]).astype({"video": int})
