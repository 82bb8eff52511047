"""`behavior`: learn from watching. An inverse dynamics model names the buttons in the footage; cloning them makes a policy.

As in BCO (1805.01954) and VPT (2206.11795): the emulator's own presses label what presses look like; nothing of the footage is
labeled but by the model. With `rounds` > 1 the clone plays, and what it sees teaches the inverse model again, closer to
the footage than chance gets (BCO(α)).

    play.json     how the policy is to be played
    inverse/      the inverse dynamics model    labels.parquet  video, frame, action, confidence of every labeled frame
    policy/       the cloned policy             history.json    every number of training
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from emurl.core.errors import WorkError
from emurl.core.settings import NonNegative, Positive, Rate, Settings, Share
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS, FRAMES_PER_SECOND
from emurl.footage.dataset import CHUNK, FrameReader
from emurl.footage.exploration import Act, ExplorationSettings, Explorer
from emurl.footage.inverse_labels import InverseSettings, label, learn_inverse, measure_inverse
from emurl.footage.pairs import Pairs
from emurl.footage.tokens import Tokens
from emurl.footage.transitions import past
from emurl.games.settings import EmulatorSettings, rom_path
from emurl.models.policy import Policy
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun.players import write_play
from emurl.screen import ScreenSpec
from emurl.training.outputs import require_screen, write_history, write_screen
from emurl.training.settings import OptimizerSettings
from emurl.training.supervised import FitResult, fit, resolve_device, seeded

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


class CloningSettings(Settings):
    """Behavior cloning of the labels.

    Importance weights say how much each frame of the footage looks like one an agent has to act on (`importance_weights`).
    """

    token_noise: Share = 0.2  # tokens that are wrong in training, on average
    # Labels that are another frame's, in training: any button at all would open the menu every hundredth action.
    label_noise: Share = 0.1  # share of the labels
    max_log_weight: NonNegative = 2.0  # a frame counts at most e to this times as much as its neighbors, and at least 1 over that
    weight_window_s: Rate = 2.0  # seconds around a frame that it is compared with
    prior_count: Rate = 2.0  # times that every token counts as seen, in play and in the footage, so that none is impossible


class BehaviorSettings(OptimizerSettings):
    """`behavior`: inverse dynamics names the actions in the footage, cloning makes the first policy."""

    emulator: EmulatorSettings = EmulatorSettings()  # how an action is played
    explore_steps: Positive = 50_000  # emulator actions gathered for the inverse model
    exploration: ExplorationSettings = ExplorationSettings()  # how they are played
    inverse_steps: Positive = 5_000  # batches the inverse model is trained on
    inverse: InverseSettings = InverseSettings()  # what it is and sees
    min_confidence: Share = 0.5  # probability from which on its answer is a label
    cloning: CloningSettings = CloningSettings()  # how the labels are cloned
    rounds: Positive = 1  # of playing, naming and cloning; from the second on mostly the clone plays
    dim: Positive = 256  # width of the policy
    layers: Positive = 4  # transformer blocks
    heads: Positive = 4  # of attention; `dim` is a multiple of it
    context: Positive = 2  # frames seen


def run(settings: BehaviorSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Gather play, learn the inverse model, label the footage, clone the labels; `rounds` times."""
    device = resolve_device(settings.device)
    reader = FrameReader(inputs["frames"].folder)
    require_screen(inputs["tokenizer"], reader.spec)
    tokenizer = Tokenizer.from_pretrained(inputs["tokenizer"].path("model"), device)
    tokens = Tokens(reader, inputs["frames"], inputs["tokenizer"])
    stride = frames_per_action(settings.emulator.frame_skip, reader.videos[0].fps)
    play: Pairs | None = None
    policy: Policy | None = None
    results: dict[str, FitResult] = {}
    for number in range(1, settings.rounds + 1):
        fresh = gather(settings, reader.spec, stride, output, tracker, number, tokenizer, policy)
        play = fresh if play is None else play.join(fresh)
        inverse, results[f"inverse_{number}"] = learn_inverse(
            settings, settings.inverse, play,
            steps=settings.inverse_steps, name=f"inverse_{number}", device=device, output=output, tracker=tracker,
        )  # fmt: skip
        labels = label(
            inverse, reader, stride, min_confidence=settings.min_confidence, min_labels=settings.inverse.min_labels,
            min_changed_pixels=settings.exploration.min_changed_pixels, output=output, tracker=tracker,
        )  # fmt: skip
        weights = importance_weights(play.moment_frames(), tokenizer, tokens, settings.cloning)
        policy, results[f"policy_{number}"] = clone(
            settings, labels, weights, tokens, stride, name=f"policy_{number}", device=device, output=output, tracker=tracker
        )
    assert play is not None and policy is not None  # rounds ≥ 1

    inverse_metrics = measure_inverse(inverse, play, settings.inverse)
    clone_metrics = measure_clone(policy, labels, tokens, stride)
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
    write_play(output, settings.emulator, reader.spec)


def new_policy(settings: BehaviorSettings, vocab: int) -> Policy:
    """An untrained policy of these settings for a tokenizer of `vocab` tokens."""
    return Policy(vocab, settings.dim, settings.layers, settings.heads, settings.context, len(BUTTONS))


def frames_per_action(frame_skip: int, fps: float) -> int:
    """How many footage frames an action takes, at least 1."""
    return max(1, round(frame_skip / FRAMES_PER_SECOND * fps))


def gather(
    settings: BehaviorSettings, spec: ScreenSpec, samples: int, output: Output, tracker: Tracker, number: int,
    tokenizer: Tokenizer, policy: Policy | None,
) -> Pairs:  # fmt: skip
    """Play round `number`: chance in the first, mostly the clone in the later ones. Kept in scratch once done.

    Args:
        samples: frames taken per action, as many as the footage has.

    Raises:
        WorkError: nothing on the screen ever changed.
    """
    file = output.scratch / f"play_{number}.npz"
    if file.exists():
        return Pairs.load(file, spec)
    emulator = settings.emulator
    explorer = Explorer(
        rom_path(emulator), emulator.frame_skip, emulator.press_ticks, samples, settings.seed * 1000 + number, spec,
        settings.exploration,
    )  # fmt: skip
    act = None if policy is None else _acting(policy, tokenizer, np.random.default_rng([settings.seed, number, 0xAC]))
    steps = settings.explore_steps if policy is None else int(settings.explore_steps * settings.exploration.later_rounds)
    try:
        pairs = explorer.gather(steps, tracker, act)
    finally:
        explorer.close()
    if not len(pairs):
        raise WorkError("behavior: nothing on the screen ever changed while exploring, so there is nothing to learn from")
    pairs.save(file)
    output.scratch_saved(file)
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
        probabilities = policy(torch.stack(padded, dim=1))[0].float().softmax(dim=-1).cpu().numpy()
        return (probabilities.cumsum(axis=1) > rng.random((len(probabilities), 1))).argmax(axis=1)

    return act


def class_weights(actions: np.ndarray) -> np.ndarray:
    """Weights (n,) of labels (n,), mean 1, by 1/√frequency: a video holds one START, and without it there is no game."""
    frequency = np.bincount(actions, minlength=len(BUTTONS))[actions]
    weights = 1.0 / np.sqrt(frequency)
    return weights / weights.mean()


def importance_weights(
    moments: np.ndarray, tokenizer: Tokenizer, tokens: Tokens, settings: CloningSettings
) -> dict[int, np.ndarray]:
    """How much each frame of each video looks like one an agent has to act on: weights float64 (N,) by video, 1 in the middle.

    The agent looks when its last action is over, a video at any time: half-way through a step, too. So labels count by the odds that
    a frame's tokens are of play rather than of the video around it (importance weights for covariate shift, Shimodaira
    2000; the odds by naive Bayes over tokens). Odds against the seconds around a frame, because play that explored
    little of the game must not decide which places count.

    Args:
        moments: frames of play when an action is due, uint8 (K, 144, 160[, 3]).
    """
    grids = [tokenizer.encode(moments[i : i + CHUNK]).cpu().numpy() for i in range(0, len(moments), CHUNK)]
    in_play = _frequencies(np.concatenate(grids), tokens.vocab, settings.prior_count)
    log_odds = np.log(in_play / _frequencies(tokens.all, tokens.vocab, settings.prior_count))
    weights = {}
    for place, video in enumerate(tokens.reader.videos):
        score = pd.Series(log_odds[np.asarray(tokens.grids(place), np.int64)].mean(axis=(1, 2)))
        window = max(3, round(settings.weight_window_s * video.fps))
        around = score.rolling(window, center=True, min_periods=1).median()
        limit = settings.max_log_weight
        weights[place] = np.exp(np.clip((score - around).to_numpy(), -limit, limit))
    return weights


def _frequencies(grids: np.ndarray, vocab: int, prior: float) -> np.ndarray:
    counts = np.bincount(grids.reshape(-1).astype(np.int64), minlength=vocab) + prior
    return counts / counts.sum()


def clone(
    settings: BehaviorSettings, labels: pd.DataFrame, weights: dict[int, np.ndarray], tokens: Tokens, stride: int, *,
    name: str, device: torch.device, output: Output, tracker: Tracker,
) -> tuple[Policy, FitResult]:  # fmt: skip
    """Behavior cloning of the labels on token grids; rare buttons and frames like the agent's count more.

    Tokens and labels are made noisy: a clone that is sure of itself where no runner ever stood walks into a corner and stays there.

    Args:
        labels: as `label` gives them. weights: of each frame (N,) by video. stride: footage frames an action takes.
        name: of the training run.
    """
    known = labels[labels["split"] == "train"]
    video, index, actions = (known[column].to_numpy() for column in ("video", "frame", "action"))
    weight = np.array([weights[one][frame] for one, frame in zip(video, index, strict=True)])
    cumulative = np.cumsum(class_weights(actions) * weight)
    vocab = int(tokens.vocab)
    token_noise, label_noise = settings.cloning.token_noise, settings.cloning.label_noise

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        places = np.minimum(np.searchsorted(cumulative, rng.random(settings.batch_size) * cumulative[-1]), len(cumulative) - 1)
        grids = tokens.read(video[places], past(index[places], settings.context, stride))
        wrong = rng.random(grids.shape) < 2 * token_noise * rng.random((len(places), 1, 1, 1))
        grids[wrong] = rng.integers(0, vocab, int(wrong.sum()))
        anothers = rng.random(len(places)) < label_noise
        said = np.where(anothers, actions[rng.integers(0, len(actions), len(places))], actions[places])
        return grids, said, np.ones(len(places), np.float32)

    model: Policy = seeded(settings.seed, lambda: new_policy(settings, vocab))
    result = fit(
        model, sample, settings, output=output, tracker=tracker, name=name, device=device,
        evaluate=lambda model: measure_clone(model, labels, tokens, stride), best_by="clone_nll",
    )  # fmt: skip
    return model, result


def measure_clone(model: Policy, labels: pd.DataFrame, tokens: Tokens, stride: int) -> dict[str, float]:
    """Agreement with the labels of held-out videos.

    clone_accuracy: share the policy agrees with; clone_majority: with the commonest label of the train split always; clone_nll: nats.
    """
    asked = labels[labels["split"] == "val"]
    learned = labels[labels["split"] == "train"]
    if not len(asked):
        return {"clone_accuracy": 0.0, "clone_majority": 0.0, "clone_nll": 0.0}
    video, index = asked["video"].to_numpy(), asked["frame"].to_numpy()
    wanted = torch.as_tensor(asked["action"].to_numpy(copy=True))
    logits = []
    for start in range(0, len(asked), CHUNK):
        part = slice(start, start + CHUNK)
        grids = tokens.read(video[part], past(index[part], model.context, stride))
        with torch.no_grad():
            logits.append(model(torch.as_tensor(grids, device=model.device))[0].float().cpu())
    said = torch.cat(logits)
    commonest = int(np.bincount(learned["action"], minlength=len(BUTTONS)).argmax())
    return {
        "clone_accuracy": float((said.argmax(dim=-1) == wanted).float().mean()),
        "clone_majority": float((wanted == commonest).float().mean()),
        "clone_nll": float(torch.nn.functional.cross_entropy(said, wanted)),
    }
