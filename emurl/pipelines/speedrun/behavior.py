"""`behavior`: learn from watching. An inverse dynamics model names the buttons in the footage; cloning them makes a policy.

As in BCO (1805.01954) and VPT (2206.11795): the emulator's own presses label what presses look like; nothing of the footage is
labeled but by the model. With `rounds` > 1 the clone explores with the judge, and play from the places it got to teaches the inverse
model again, closer to the footage than chance gets (BCO(α)). Without a judge, or without a memory, the clone plays itself.

    play.json     how the policy is to be played                 replay.json     the footage's fastest run as a list of buttons
    inverse/      the inverse dynamics model    labels.parquet  video, frame, action, confidence of every labeled frame
    policy/       the cloned policy             history.json    every number of training
    scouted.safetensors   where the clone of the round before the last got to, if there was one: who explores next begins there
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch

from emurl.agents.base import Carry, restart
from emurl.core.errors import WorkError
from emurl.core.settings import Positive, Rate, Settings, Share
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.footage.dataset import FrameReader
from emurl.footage.exploration import Act, ExplorationSettings, Explorer
from emurl.footage.inverse_labels import InverseSettings, label, learn_inverse, measure_inverse
from emurl.footage.open_loop import REPLAY, open_loop
from emurl.footage.pairs import Collector, Pairs
from emurl.footage.tokens import Tokens
from emurl.games.settings import EmulatorSettings, rom_path
from emurl.models.inverse import InverseModel
from emurl.models.policy import Policy
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.shared.playing import consoles, write_play
from emurl.pipelines.speedrun.cadence import frames_per_action
from emurl.pipelines.speedrun.cloning import CloningSettings, clone, importance_weights, measure_clone
from emurl.pipelines.speedrun.course import judge_in
from emurl.pipelines.speedrun.players import TokenPolicy, agent_of, load_perception
from emurl.pipelines.speedrun.scouting import FILE as SCOUTED
from emurl.pipelines.speedrun.scouting import ScoutSettings, read_scouted, scout, states_of, write_scouted
from emurl.screen import ScreenSpec
from emurl.training.outputs import require_screen, write_history, write_screen
from emurl.training.settings import OptimizerSettings, PlaySettings
from emurl.training.supervised import FitResult, resolve_device, seeded

METRICS: dict[str, str] = {
    "clone_accuracy": "↑ share of the labels of held-out videos that the cloned policy agrees with; beside `clone_majority`",
    "clone_majority": "`clone_accuracy` of always the commonest button of the training videos",
    "clone_nll": "↓ negative log-likelihood of those labels, in nats",
    "inverse_accuracy": "↑ share of held-out actions on the emulator that the inverse dynamics model names; beside `inverse_majority`",
    "inverse_majority": "`inverse_accuracy` of always the commonest button",
    "labeled": "share of the footage's transitions that were given a label",
    "changed": "share of the footage's transitions that show a change; the others are given no label",
    "frames_per_second": "samples a second in training the clone",
}


class RecurrentSettings(Settings):
    """A policy that remembers, and the sequences it is cloned from: `batch_size` of them side by side."""

    encoder: Literal["transformer", "cnn"] = "transformer"  # of a frame's tokens; both have width `dim`
    token_dim: Positive = 32  # width of a token's embedding
    width: Positive = 256  # of a frame's features
    hidden: Positive = 256  # size of what is remembered
    window: Positive = 64  # actions through which gradients flow back; what is remembered goes on from window to window


class BehaviorSettings(OptimizerSettings):
    """`behavior`: inverse dynamics names the actions in the footage, cloning makes the first policy."""

    emulator: EmulatorSettings = EmulatorSettings()  # how an action is played
    explore_steps: Positive = 50_000  # emulator actions gathered for the inverse model
    exploration: ExplorationSettings = ExplorationSettings()  # how they are played
    inverse_steps: Positive = 5_000  # batches the inverse model is trained on in the first round
    inverse_later_steps: Positive = 10_000  # and in each later one, which goes on from the model before
    inverse: InverseSettings = InverseSettings()  # what it is and sees
    min_confidence: Share = 0.5  # probability from which on its answer is a label
    cloning: CloningSettings = CloningSettings()  # how the labels are cloned
    early_share: Rate = 0.5  # of the clone's batches, what a round before the last takes: that clone only shows the way
    rounds: Positive = 1  # of playing, naming and cloning; from the second on where the clone gets to
    scout: ScoutSettings = ScoutSettings()  # how it gets there
    play: PlaySettings = PlaySettings()  # how the clone chooses in play
    memory: Literal["recurrent", "frames", "none"] = "recurrent"  # of the policy: the whole game, `context` frames, or nothing
    dim: Positive = 256  # width of the policy
    layers: Positive = 4  # transformer blocks
    heads: Positive = 4  # of attention; `dim` is a multiple of it
    context: Positive = 2  # frames seen, where `memory` is frames
    recurrent: RecurrentSettings = RecurrentSettings()  # where `memory` is recurrent


def run(settings: BehaviorSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Gather play, learn the inverse model, label the footage, clone the labels; `rounds` times."""
    device = resolve_device(settings.device)
    tracker.doing("reading the footage")
    reader = FrameReader(inputs["frames"].folder)
    require_screen(inputs["tokenizer"], reader.spec)
    tokenizer = Tokenizer.from_pretrained(inputs["tokenizer"].path("model"), device)
    tokens = Tokens(reader, inputs["frames"], inputs["tokenizer"])
    stride = frames_per_action(settings.emulator.frame_skip, reader.videos[0].fps)
    play: Pairs | None = None
    policy: TokenPolicy | None = None
    inverse: InverseModel | None = None
    results: dict[str, FitResult] = {}

    places: dict[str, torch.Tensor] | None = None  # where the clones got to so far

    def scouting(clone: TokenPolicy, number: int) -> Scouted | None:
        nonlocal places
        scouted = _scouted(settings, inputs, clone, number, places, device, output, tracker)
        places = None if scouted is None else scouted.places
        return scouted

    for number in range(1, settings.rounds + 1):
        fresh = gather(settings, reader.spec, stride, output, tracker, number, tokenizer, policy, scouting)
        play = fresh if play is None else play.join(fresh)
        inverse, results[f"inverse_{number}"] = learn_inverse(
            settings, settings.inverse, play, steps=settings.inverse_steps if inverse is None else settings.inverse_later_steps,
            name=f"inverse_{number}", device=device, output=output, tracker=tracker, before=inverse,
        )  # fmt: skip
        labels = label(
            inverse, reader, stride, min_confidence=settings.min_confidence, min_labels=settings.inverse.min_labels,
            min_changed_pixels=settings.exploration.min_changed_pixels, output=output, tracker=tracker,
        )  # fmt: skip
        tracker.doing("comparing play with the footage")
        weights = importance_weights(play.moment_frames(), tokenizer, tokens, settings.cloning)
        policy = seeded(settings.seed, lambda: new_policy(settings, int(tokens.vocab)))
        last = number == settings.rounds
        batches = settings.steps if last else max(1, round(settings.steps * settings.early_share))
        results[f"policy_{number}"] = clone(
            policy, settings.model_copy(update={"steps": batches}), settings.cloning, labels, weights, tokens, stride,
            window=settings.recurrent.window, name=f"policy_{number}", device=device, output=output, tracker=tracker,
        )  # fmt: skip
    assert play is not None and policy is not None and inverse is not None  # rounds ≥ 1

    tracker.doing("measuring itself on held-out videos")
    inverse_metrics = measure_inverse(inverse, play, settings.inverse)
    clone_metrics = measure_clone(policy, labels, tokens, stride)
    output.metrics.update(clone_metrics | inverse_metrics)
    output.metrics["labeled"] = float(len(labels) / max(1, labels.attrs["transitions"]))
    output.metrics["changed"] = float(labels.attrs["changed"] / max(1, labels.attrs["transitions"]))
    output.metrics["frames_per_second"] = results[f"policy_{settings.rounds}"].frames_per_second
    inverse.save_pretrained(output.path("inverse"))
    policy.save_pretrained(output.path("policy"))
    if places is not None:
        write_scouted(output.path(SCOUTED), places, inputs)
    fastest = open_loop(labels, reader, stride)
    if fastest is not None:
        fastest.write(output.path(REPLAY))
    table = labels.assign(video=[reader.videos[video].id for video in labels["video"]])
    table.attrs = {}
    table.to_parquet(output.path("labels.parquet"), index=False)
    write_history(output, **results)
    write_screen(output, reader.spec)
    write_play(output, settings.emulator, reader.spec, settings.play)


def new_policy(settings: BehaviorSettings, vocab: int) -> TokenPolicy:
    """An untrained policy of these settings for a tokenizer of `vocab` tokens."""
    if settings.memory == "recurrent":
        own = settings.recurrent
        return RecurrentPolicy(
            vocab, own.encoder, own.token_dim, settings.dim, settings.layers, settings.heads, own.width, own.hidden, len(BUTTONS)
        )
    context = settings.context if settings.memory == "frames" else 1
    return Policy(vocab, settings.dim, settings.layers, settings.heads, context, len(BUTTONS))


class Scouted(NamedTuple):
    """States of the emulator from all over what a scout reached, zlib-packed, and what was pressed on the way; and
    all places, as an explorer's `tensors`."""

    states: list[bytes]
    pairs: Pairs
    places: dict[str, torch.Tensor]


def gather(
    settings: BehaviorSettings, spec: ScreenSpec, samples: int, output: Output, tracker: Tracker, number: int,
    tokenizer: Tokenizer, policy: TokenPolicy | None, scouting: Callable[[TokenPolicy, int], Scouted | None] = lambda clone, number: None,
) -> Pairs:  # fmt: skip
    """Play round `number`: chance in the first; later, chance from the places that the clone gets to, or mostly the clone. Kept in scratch.

    Args:
        samples: frames taken per action, as many as the footage has. scouting: where a clone gets to; None if nobody can tell.

    Raises:
        WorkError: nothing on the screen ever changed.
    """
    # Even where the play is there already: another machine may have got that without the places, and who comes later begins there.
    scouted = None if policy is None else scouting(policy, number)
    file = output.scratch / f"play_{number}.npz"
    if file.exists():
        return Pairs.load(file, spec)
    emulator = settings.emulator
    explorer = Explorer(
        rom_path(emulator), emulator.frame_skip, emulator.press_ticks, samples, settings.seed * 1000 + number, spec,
        settings.exploration,
    )  # fmt: skip
    if scouted is not None:
        explorer.begin_from(scouted.states)
    dice = np.random.default_rng([settings.seed, number, 0xAC])
    act = None if policy is None or scouted else _acting(policy, tokenizer, dice)
    steps = settings.explore_steps if policy is None else int(settings.explore_steps * settings.exploration.later_rounds)
    aside = output.scratch / f"play_{number}"
    try:
        pairs = explorer.gather(steps, tracker, act, scratch=aside, dice=dice, saved=output.scratch_saved)
    finally:
        explorer.close()
    if scouted is not None:
        pairs = pairs.join(scouted.pairs)
    if not len(pairs):
        raise WorkError("behavior: nothing on the screen ever changed while exploring, so there is nothing to learn from")
    pairs.save(file)
    output.scratch_saved(file)
    shutil.rmtree(aside, ignore_errors=True)
    return pairs


def _scouted(
    settings: BehaviorSettings, inputs: dict[str, Artifact], clone: TokenPolicy, number: int,
    known: dict[str, torch.Tensor] | None, device: torch.device, output: Output, tracker: Tracker,
) -> Scouted | None:  # fmt: skip
    """Where the clone gets to with the judge of the reward artifact, from power-on and from the places known from the round before.

    None without a judge, or where the clone does not remember.
    """
    judge = judge_in(inputs, device)
    if judge is None or not isinstance(clone, RecurrentPolicy):
        return None
    perception, spec = load_perception(inputs, device)
    rng, how = np.random.default_rng([settings.seed, number, 0xC011]), settings.exploration
    collector = Collector(spec, settings.scout.per_kind, how.min_changed_pixels, rng, how.episode_length)
    file = output.scratch / f"scouted_{number}.safetensors"
    places = read_scouted(file, inputs, collector)
    if places is None:
        envs = consoles(settings.emulator, spec, settings.scout.consoles)
        try:
            places = scout(
                clone, envs, perception, judge, settings.scout, collector=collector, seed=settings.seed + number, tracker=tracker,
                known=known, file=output.scratch / f"scout_{number}.safetensors", saved=output.scratch_saved,
            )  # fmt: skip
        finally:
            envs.close()
        write_scouted(file, places, inputs, collector, output.scratch_saved)
    return Scouted(states_of(places, settings.scout.per_position), collector.pairs(), places)


def _acting(policy: TokenPolicy, tokenizer: Tokenizer, rng: np.random.Generator) -> Act:
    agent = agent_of(policy)
    carry: Carry = {}

    def act(frames: np.ndarray, begun: np.ndarray) -> np.ndarray:
        nonlocal carry
        first = agent.initial(len(frames))
        carry = restart(carry or first, first, begun)
        grids = tokenizer.encode(frames).cpu().numpy()
        actions, carry, _ = agent.act(carry, grids, None, rng.gumbel(size=(len(frames), agent.actions)))
        return actions

    return act
