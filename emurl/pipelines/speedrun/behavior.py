"""`behavior`: learn from watching. An inverse dynamics model names the buttons in the footage; cloning them makes a policy.

As in BCO (1805.01954) and VPT (2206.11795): the emulator's own presses label what presses look like; nothing of the footage is
labeled but by the model. With `rounds` > 1 the clone plays, and what it sees teaches the inverse model again, closer to
the footage than chance gets (BCO(α)).

    inverse/      the inverse dynamics model    labels.parquet  video, frame, action, confidence of every labeled frame
    policy/       the cloned policy             history.json    every number of training
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from emurl.core.errors import WorkError
from emurl.core.settings import Positive, Share
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.footage.dataset import FrameReader
from emurl.footage.exploration import Act, Explorer, Pairs
from emurl.footage.inverse_labels import label, learn_inverse, measure_inverse
from emurl.footage.learning import (
    CHUNK,
    TokenStore,
    past,
    require_screen,
    train,
    write_history,
    write_screen,
)
from emurl.games.settings import EmulatorSettings, rom_path
from emurl.models.policy import Policy
from emurl.models.tokenizer import Tokenizer
from emurl.screen import ScreenSpec
from emurl.training.settings import OptimizerSettings
from emurl.training.supervised import FitResult, resolve_device, seeded

CODE_VERSION = 1
TICKS_A_SECOND = 59.7275
TOKEN_NOISE = 0.2  # share of tokens a clone in training finds wrong, on average
LABEL_NOISE = 0.1  # share of its labels that are another frame's: any button at all would open the menu every hundredth action
LIKENESS_RANGE = 2.0  # a frame counts at most e² times as much as its neighbors, and at least 1/e²


class BehaviorSettings(OptimizerSettings):
    """`behavior`: inverse dynamics names the actions in the footage, cloning makes the first policy."""

    emulator: EmulatorSettings = EmulatorSettings()
    explore_steps: Positive = 50_000  # emulator actions gathered for the inverse model
    inverse_steps: Positive = 5_000
    min_confidence: Share = 0.5
    rounds: Positive = 1
    dim: Positive = 256
    layers: Positive = 4
    heads: Positive = 4
    context: Positive = 2


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
        labels = label(inverse, reader, gap, settings.min_confidence, output, tracker)
        likely = likeness(play.moment_frames(), tokenizer, tokens)
        policy, results[f"policy_{number}"] = clone(settings, labels, likely, tokens, gap, device, output, tracker, number)
    assert play is not None and policy is not None  # rounds ≥ 1

    inverse_metrics = measure_inverse(inverse, play)
    clone_metrics = measure_clone(policy, labels, tokens, gap)
    output.metrics.update(clone_metrics | inverse_metrics)
    output.metrics["labeled"] = float(len(labels) / max(1, labels.attrs["transitions"]))
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


def _acting(policy: Policy, tokenizer: Tokenizer, rng: np.random.Generator) -> Act:
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


def class_weights(actions: np.ndarray) -> np.ndarray:
    """Weights (n,) of labels (n,), mean 1, by 1/√frequency: a video holds one START, and without it there is no game."""
    frequency = np.bincount(actions, minlength=len(BUTTONS))[actions]
    weights = 1.0 / np.sqrt(frequency)
    return weights / weights.mean()


def likeness(moments: np.ndarray, tokenizer: Tokenizer, tokens: TokenStore) -> dict[int, np.ndarray]:
    """How much each frame of each video looks like one an agent has to act on: weights (N,) by video, 1 in the middle.

    The agent looks when its last action is over, a video at any time: half-way through a step, too. So labels count by the odds that
    a frame's tokens are of play rather than of the video around it (importance weights for covariate shift, Shimodaira
    2000; the odds by naive Bayes over tokens). Odds against the two seconds around a frame, because play that explored
    little of the game must not decide which places count.
    """
    grids = [tokenizer.encode(moments[i : i + CHUNK]).cpu().numpy() for i in range(0, len(moments), CHUNK)]
    in_play = _shares(np.concatenate(grids), tokens.vocab)
    videos = range(len(tokens.reader.videos))
    odds = np.log(in_play / _shares(np.concatenate([tokens.grids(video) for video in videos]), tokens.vocab))
    weights = {}
    for video in videos:
        score = pd.Series(odds[np.asarray(tokens.grids(video), np.int64)].mean(axis=(1, 2)))
        window = max(3, round(2 * tokens.reader.videos[video].fps))
        around = score.rolling(window, center=True, min_periods=1).median()
        weights[video] = np.exp(np.clip((score - around).to_numpy(), -LIKENESS_RANGE, LIKENESS_RANGE))
    return weights


def _shares(grids: np.ndarray, vocab: int) -> np.ndarray:
    counts = np.bincount(grids.reshape(-1).astype(np.int64), minlength=vocab) + 2.0  # none is impossible
    return counts / counts.sum()


def clone(
    settings: BehaviorSettings, labels: pd.DataFrame, likely: dict[int, np.ndarray], tokens: TokenStore, gap: int,
    device: torch.device, output: Output, tracker: Tracker, number: int,
) -> tuple[Policy, FitResult]:  # fmt: skip
    """Behavior cloning of the labels on token grids; rare buttons and frames like the agent's count more.

    Tokens and labels are made noisy: a clone that is sure of itself where no runner ever stood walks into a corner and stays there.
    """
    known = labels[labels["split"] == "train"]
    video, index, actions = (known[name].to_numpy() for name in ("video", "frame", "action"))
    seen_so = np.array([likely[one][frame] for one, frame in zip(video, index, strict=True)])
    odds = np.cumsum(class_weights(actions) * seen_so)
    vocab = int(tokens.vocab)

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        places = np.minimum(np.searchsorted(odds, rng.random(settings.batch_size) * odds[-1]), len(odds) - 1)
        grids = tokens.read(video[places], past(index[places], settings.context, gap))
        wrong = rng.random(grids.shape) < 2 * TOKEN_NOISE * rng.random((len(places), 1, 1, 1))
        grids[wrong] = rng.integers(0, vocab, int(wrong.sum()))
        anothers = rng.random(len(places)) < LABEL_NOISE
        said = np.where(anothers, actions[rng.integers(0, len(actions), len(places))], actions[places])
        return grids, said, np.ones(len(places), np.float32)

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
    learned = labels[labels["split"] == "train"]
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
    commonest = int(np.bincount(learned["action"], minlength=len(BUTTONS)).argmax())
    return {
        "clone_accuracy": float((said.argmax(dim=-1) == wanted).float().mean()),
        "clone_majority": float((wanted == commonest).float().mean()),
        "clone_nll": float(torch.nn.functional.cross_entropy(said, wanted)),
    }
