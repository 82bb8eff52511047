"""`behavior`: learn from watching. An inverse dynamics model names the buttons in the footage; cloning them makes a policy.

As in BCO (1805.01954) and VPT (2206.11795): the emulator's own presses label what presses look like; nothing of the footage is
labelled but by the model. With `rounds` > 1 the clone plays, and what it sees teaches the inverse model again, closer to
the footage than chance gets (BCO(α)).

    inverse/      the inverse dynamics model    labels.parquet  video, frame, action, confidence of every labelled frame
    policy/       the cloned policy             history.json    every number of training
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from emurl.artifacts import Artifact, Output
from emurl.augment import stream_faults
from emurl.config import BehaviorSettings
from emurl.emulator.console import BUTTONS
from emurl.errors import WorkError
from emurl.frames import FrameReader
from emurl.models.inverse import InverseModel
from emurl.models.policy import Policy
from emurl.models.tokenizer import Tokenizer
from emurl.screen import ScreenSpec
from emurl.stages.common import rom_path
from emurl.stages.exploration import Explorer, Pairs, changed
from emurl.stages.footage import (
    CHUNK,
    TokenStore,
    past,
    require_screen,
    train,
    transitions,
    write_history,
    write_screen,
)
from emurl.tracking import Tracker
from emurl.training import FitResult, resolve_device, seeded

CODE_VERSION = 1
TICKS_A_SECOND = 59.7275
MIRROR = np.array([BUTTONS.index({"left": "right", "right": "left"}.get(button, button)) for button in BUTTONS])
TOKEN_NOISE = 0.05
HELD_OUT_STRETCHES = 10  # one stretch of play in ten is not learnt from


def run(settings: BehaviorSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Gather play, learn the inverse model, label the footage, clone the labels; `rounds` times."""
    device = resolve_device(settings.device)
    reader = FrameReader(inputs["frames"].folder)
    require_screen(inputs["tokenizer"], reader.spec)
    tokenizer = Tokenizer.from_pretrained(inputs["tokenizer"].path("model"), device)
    tokens = TokenStore(reader, tokenizer, output.scratch, tracker, inputs["tokenizer"].digest)
    gap = frames_per_action(settings.emulator.frame_skip, reader.videos[0].fps)
    play: Pairs | None = None
    policy: Policy | None = None
    results: dict[str, FitResult] = {}
    for number in range(1, settings.rounds + 1):
        fresh = gather(settings, reader.spec, gap, output, tracker, number, tokenizer, policy)
        play = fresh if play is None else play.join(fresh)
        inverse, results[f"inverse_{number}"] = learn_inverse(settings, play, device, output, tracker, number)
        labels = label(inverse, reader, gap, settings.min_confidence, tracker)
        policy, results[f"policy_{number}"] = clone(settings, labels, tokens, gap, device, output, tracker, number)
    assert play is not None and policy is not None  # rounds ≥ 1

    inverse_metrics = measure_inverse(inverse, play)
    clone_metrics = measure_clone(policy, labels, tokens, gap)
    output.metrics.update(clone_metrics | inverse_metrics)
    output.metrics["labelled"] = float(len(labels) / max(1, labels.attrs["transitions"]))
    output.metrics["changed"] = float(labels.attrs["changed"] / max(1, labels.attrs["transitions"]))
    output.metrics["frames_per_second"] = results[f"policy_{settings.rounds}"].frames_per_second
    inverse.save_pretrained(output.path("inverse"))
    policy.save_pretrained(output.path("policy"))
    table = labels.assign(video=[reader.videos[video].id for video in labels["video"]])
    table.attrs = {}
    table.to_parquet(output.path("labels.parquet"), index=False)
    write_history(output, **results)
    write_screen(output, reader.spec)


def frames_per_action(frame_skip: int, fps: float) -> int:
    """How many footage frames an action takes, at least 1."""
    return max(1, round(frame_skip / TICKS_A_SECOND * fps))


def gather(
    settings: BehaviorSettings, spec: ScreenSpec, gap: int, output: Output, tracker: Tracker, number: int,
    tokenizer: Tokenizer, policy: Policy | None,
) -> Pairs:  # fmt: skip
    """Play round `number`: chance in the first, mostly the clone in the later ones. Kept in scratch once done."""
    file = output.scratch / f"play_{number}.npz"
    if file.exists():
        return Pairs.load(file, spec)
    emulator = settings.emulator
    explorer = Explorer(rom_path(emulator), emulator.frame_skip, emulator.press_ticks, gap, settings.seed * 1000 + number, spec)
    act = None if policy is None else _acting(policy, tokenizer, np.random.default_rng([settings.seed, number, 0xAC]))
    try:
        pairs = explorer.gather(settings.explore_steps if policy is None else settings.explore_steps // 2, tracker, act)
    finally:
        explorer.close()
    if not len(pairs):
        raise WorkError("behavior: nothing on the screen ever changed while exploring, so there is nothing to learn from")
    pairs.save(file)
    return pairs


def _acting(policy: Policy, tokenizer: Tokenizer, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    seen: list[torch.Tensor] = []

    @torch.no_grad()
    def act(frames: np.ndarray, begun: np.ndarray) -> np.ndarray:
        grids = tokenizer.encode(frames)
        if begun.all():
            seen.clear()
        seen.append(grids)
        del seen[: -policy.context]
        padded = [seen[0]] * (policy.context - len(seen)) + seen
        odds = policy(torch.stack(padded, dim=1))[0].float().softmax(dim=-1).cpu().numpy()
        return (odds.cumsum(axis=1) > rng.random((len(odds), 1))).argmax(axis=1)

    return act


def learn_inverse(
    settings: BehaviorSettings, play: Pairs, device: torch.device, output: Output, tracker: Tracker, number: int
) -> tuple[InverseModel, FitResult]:
    """The inverse model of the play gathered so far."""
    learnt = np.flatnonzero(play.stretch % HELD_OUT_STRETCHES != 0)

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        places = learnt[rng.integers(0, len(learnt), settings.batch_size)]
        frames = play.frames(places)
        faulty = stream_faults(frames.reshape(-1, *frames.shape[2:]), rng, 0.3, play.spec.shades).reshape(frames.shape)
        # Left in the mirror is right: twice the walks, and no side of the screen that belongs to a button.
        mirrored = rng.random(len(places)) < 0.5
        faulty[mirrored] = np.flip(faulty[mirrored], axis=3)
        actions = play.actions[places]
        return faulty, np.where(mirrored, MIRROR[actions], actions)

    model: InverseModel = seeded(
        settings.seed,
        lambda: InverseModel(len(BUTTONS), play.spec.shades, play.spec.channels),
    )
    result = train(
        model, sample, settings, device, output, tracker, f"inverse_{number}", steps=settings.inverse_steps,
        evaluate=lambda model: measure_inverse(model, play), best_by="-inverse_accuracy",
    )  # fmt: skip
    return model, result


def measure_inverse(model: InverseModel, play: Pairs) -> dict[str, float]:
    """inverse_accuracy: share of held-out presses named right; inverse_majority: always naming the commonest learnt one."""
    held_out = play.stretch % HELD_OUT_STRETCHES == 0
    asked = np.flatnonzero(held_out)
    if not len(asked):
        return {"inverse_accuracy": 0.0, "inverse_majority": 0.0}
    named, _ = name_actions(model, lambda part: play.frames(asked[part]), len(asked))
    commonest = np.bincount(play.actions[~held_out], minlength=len(BUTTONS)).argmax()
    return {
        "inverse_accuracy": float((named == play.actions[asked]).mean()),
        "inverse_majority": float((play.actions[asked] == commonest).mean()),
    }


def name_actions(model: InverseModel, read, count: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    """Actions (count,) and confidences (count,) of the pairs that `read(slice)` gives, uint8 (n, 2, …)."""
    actions, confidence = np.zeros(count, np.int64), np.zeros(count, np.float32)
    for start in range(0, count, CHUNK):
        part = slice(start, min(start + CHUNK, count))
        with torch.no_grad():
            best = model(read(part)).float().softmax(dim=-1).max(dim=-1)
        actions[part], confidence[part] = best.indices.cpu().numpy(), best.values.cpu().numpy()
    return actions, confidence


def label(model: InverseModel, reader: FrameReader, gap: int, min_confidence: float, tracker: Tracker) -> pd.DataFrame:
    """Buttons of the footage: video (row), frame, action, confidence, split; where something changed and the model is sure.

    Raises:
        WorkError: it is sure of nothing in the footage of the train split.
    """
    tables = []
    looked_at = moved = 0
    for split in ("train", "val"):
        video, index = transitions(reader, split, gap)
        looked_at += len(video)
        for start in range(0, len(video), CHUNK):
            part = slice(start, start + CHUNK)
            pair = np.stack([reader.gather(video[part], index[part] + k) for k in (0, gap)], axis=1)
            eventful = np.flatnonzero(changed(pair[:, 0], pair[:, 1]))
            moved += len(eventful)
            pair = pair[eventful]
            actions, confidence = name_actions(model, lambda some, pair=pair: pair[some], len(pair))
            facts = {"video": video[part][eventful], "frame": index[part][eventful], "action": actions, "confidence": confidence}
            tables.append(pd.DataFrame(facts).assign(split=split))
    every = pd.concat(tables, ignore_index=True)
    sure = every[every["confidence"] >= min_confidence].reset_index(drop=True)
    if not (sure["split"] == "train").any():
        raise WorkError(
            f"behavior: no action in the footage is named with confidence {min_confidence}, expected some; "
            "a lower behavior.min_confidence or more behavior.explore_steps may help"
        )
    sure.attrs = {"transitions": looked_at, "changed": moved}
    counts = sure["action"].value_counts()
    shown = ", ".join(f"{BUTTONS[action]} {counts[action]}" for action in sorted(counts.index))
    tracker.message(f"labels: {len(sure)} of {looked_at} transitions, {moved} of which show a change: {shown}")
    return sure


def class_weights(actions: np.ndarray) -> np.ndarray:
    """Weights (n,) of labels (n,), mean 1, by 1/√frequency: a video holds one START, and without it there is no game."""
    frequency = np.bincount(actions, minlength=len(BUTTONS))[actions]
    weights = 1.0 / np.sqrt(frequency)
    return weights / weights.mean()


def clone(
    settings: BehaviorSettings, labels: pd.DataFrame, tokens: TokenStore, gap: int, device: torch.device, output: Output,
    tracker: Tracker, number: int,
) -> tuple[Policy, FitResult]:  # fmt: skip
    """Behaviour cloning of the labels on token grids, rare buttons weighted up."""
    known = labels[labels["split"] == "train"]
    video, index, actions = (known[name].to_numpy() for name in ("video", "frame", "action"))
    odds = np.cumsum(class_weights(actions))
    vocab = int(tokens.vocab)

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        places = np.minimum(np.searchsorted(odds, rng.random(settings.batch_size) * odds[-1]), len(odds) - 1)
        grids = tokens.read(video[places], past(index[places], settings.context, gap))
        # A few wrong tokens: play shows grids the footage never had, and no single cell may decide.
        wrong = rng.random(grids.shape) < TOKEN_NOISE
        grids[wrong] = rng.integers(0, vocab, int(wrong.sum()))
        return grids, actions[places], np.ones(len(places), np.float32)

    model: Policy = seeded(
        settings.seed,
        lambda: Policy(vocab, settings.dim, settings.layers, settings.heads, settings.context, len(BUTTONS)),
    )
    result = train(
        model, sample, settings, device, output, tracker, f"policy_{number}",
        evaluate=lambda model: measure_clone(model, labels, tokens, gap), best_by="clone_nll",
    )  # fmt: skip
    return model, result


def measure_clone(model: Policy, labels: pd.DataFrame, tokens: TokenStore, gap: int) -> dict[str, float]:
    """clone_accuracy: share of the labels of held-out videos the policy agrees with; clone_majority: always the commonest."""
    asked = labels[labels["split"] == "val"]
    learnt = labels[labels["split"] == "train"]
    if not len(asked):
        return {"clone_accuracy": 0.0, "clone_majority": 0.0, "clone_nll": 0.0}
    video, index = asked["video"].to_numpy(), asked["frame"].to_numpy()
    wanted = torch.as_tensor(asked["action"].to_numpy(copy=True))
    logits = []
    for start in range(0, len(asked), CHUNK):
        part = slice(start, start + CHUNK)
        grids = tokens.read(video[part], past(index[part], model.context, gap))
        with torch.no_grad():
            logits.append(model(torch.as_tensor(grids, device=model.device))[0].float().cpu())
    said = torch.cat(logits)
    commonest = int(np.bincount(learnt["action"], minlength=len(BUTTONS)).argmax())
    return {
        "clone_accuracy": float((said.argmax(dim=-1) == wanted).float().mean()),
        "clone_majority": float((wanted == commonest).float().mean()),
        "clone_nll": float(torch.nn.functional.cross_entropy(said, wanted)),
    }
