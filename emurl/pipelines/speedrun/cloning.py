"""Cloning labeled footage: a policy learns to press what the inverse dynamics model read from the videos."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from emurl.core.settings import NonNegative, Rate, Settings, Share
from emurl.core.store import Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.footage.dataset import CHUNK
from emurl.footage.sequences import UNLABELED, Streams, labeled_sequences
from emurl.footage.tokens import Tokens
from emurl.footage.transitions import past
from emurl.models.policy import Policy
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun.players import TokenPolicy
from emurl.training.settings import OptimizerSettings
from emurl.training.supervised import FitResult, fit


class CloningSettings(Settings):
    """Behavior cloning of the labels.

    Importance weights say how much each frame of the footage looks like one an agent has to act on (`importance_weights`).
    """

    # Labels count by their frequency to the power of minus this. At 0.5 START is pressed where nobody would press it.
    class_balance: NonNegative = 0.0  # 0: all labels count alike
    token_noise: Share = 0.2  # tokens that are wrong in training, on average
    # Labels that are another frame's, in training: any button at all would open the menu every hundredth action.
    label_noise: Share = 0.1  # share of the labels
    max_log_weight: NonNegative = 2.0  # a frame counts at most e to this times as much as its neighbors, and at least 1 over that
    weight_window_s: Rate = 2.0  # seconds around a frame that it is compared with
    prior_count: Rate = 2.0  # times that every token counts as seen, in play and in the footage, so that none is impossible


def class_weights(actions: np.ndarray, balance: float) -> np.ndarray:
    """Weights (A,) of the actions that labels (n,) name: their frequency to the power of -`balance`, mean 1 over the labels."""
    counts = np.bincount(actions, minlength=len(BUTTONS))
    weights = np.maximum(counts, 1) ** -balance
    return np.asarray(weights / weights[actions].mean())


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
    policy: TokenPolicy, settings: OptimizerSettings, cloning: CloningSettings, labels: pd.DataFrame, weights: dict[int, np.ndarray],
    tokens: Tokens, stride: int, *, window: int, name: str, device: torch.device, output: Output, tracker: Tracker,
) -> FitResult:  # fmt: skip
    """Behavior cloning of the labels on token grids.

    Tokens and labels are made noisy: a clone that is sure of itself where no runner ever stood walks into a corner and stays there.

    Args:
        policy: trained in place. labels: as `label` gives them. weights: of each frame (N,) by video.
        stride: footage frames an action takes. window: steps of a sequence, for a policy that remembers. name: of the training run.
    """
    known = labels[labels["split"] == "train"]
    named = known["action"].to_numpy()
    balance = class_weights(named, cloning.class_balance)

    def noisy(rng: np.random.Generator, grids: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Put wrong tokens into `grids` (…, 9, 10); returns `actions` (…) with some of another frame's among them."""
        share = 2 * cloning.token_noise * rng.random((*grids.shape[:-2], 1, 1))
        wrong = rng.random(grids.shape) < share
        grids[wrong] = rng.integers(0, int(tokens.vocab), int(wrong.sum()))
        others = rng.random(actions.shape) < cloning.label_noise
        return np.where(others, named[rng.integers(0, len(named), actions.shape)], actions)

    if isinstance(policy, RecurrentPolicy):
        sequences = labeled_sequences(labels, tokens, "train", stride)
        streams = Streams(sequences, tokens, balance, weights, settings.batch_size, window, policy.hidden)

        def sample(rng: np.random.Generator) -> tuple[Any, ...]:
            read = streams.next(rng)
            return read.grids, noisy(rng, read.grids, read.actions), read.weights, streams.kept["state"]

        carried = streams.kept
    else:
        video, index = known["video"].to_numpy(), known["frame"].to_numpy()
        weight = np.array([weights[one][frame] for one, frame in zip(video, index, strict=True)])
        cumulative = np.cumsum(balance[named] * weight)
        context = policy.context

        def sample(rng: np.random.Generator) -> tuple[Any, ...]:
            places = np.minimum(
                np.searchsorted(cumulative, rng.random(settings.batch_size) * cumulative[-1]), len(cumulative) - 1
            )
            grids = tokens.read(video[places], past(index[places], context, stride))
            return grids, noisy(rng, grids, named[places]), np.ones(len(places), np.float32)

        carried = {}
    return fit(
        policy, sample, settings, output=output, tracker=tracker, name=name, device=device, carried=carried,
        evaluate=lambda model: measure_clone(model, labels, tokens, stride), best_by="clone_nll",
    )  # fmt: skip


def measure_clone(policy: TokenPolicy, labels: pd.DataFrame, tokens: Tokens, stride: int) -> dict[str, float]:
    """Agreement with the labels of held-out videos.

    clone_accuracy: share the policy agrees with; clone_majority: with the commonest label of the train split always; clone_nll: nats.
    """
    learned = labels[labels["split"] == "train"]["action"]
    if not (labels["split"] == "val").any():
        return {"clone_accuracy": 0.0, "clone_majority": 0.0, "clone_nll": 0.0}
    with torch.no_grad():
        if isinstance(policy, RecurrentPolicy):
            said, wanted = _remembering(policy, labels, tokens, stride)
        else:
            said, wanted = _looking(policy, labels, tokens, stride)
    commonest = int(np.bincount(learned, minlength=len(BUTTONS)).argmax())
    return {
        "clone_accuracy": float((said.argmax(dim=-1) == wanted).float().mean()),
        "clone_majority": float((wanted == commonest).float().mean()),
        "clone_nll": float(torch.nn.functional.cross_entropy(said, wanted)),
    }


def _looking(policy: Policy, labels: pd.DataFrame, tokens: Tokens, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (n, A) and labels (n,) of held-out frames, each by itself."""
    asked = labels[labels["split"] == "val"]
    video, index = asked["video"].to_numpy(), asked["frame"].to_numpy()
    logits = []
    for start in range(0, len(asked), CHUNK):
        part = slice(start, start + CHUNK)
        grids = tokens.read(video[part], past(index[part], policy.context, stride))
        logits.append(policy(torch.as_tensor(grids, device=policy.device))[0].float().cpu())
    return torch.cat(logits), torch.as_tensor(asked["action"].to_numpy(copy=True))


def _remembering(policy: RecurrentPolicy, labels: pd.DataFrame, tokens: Tokens, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of whole videos from their beginning; every frame is seen, those with a label are asked."""
    logits, wanted = [], []
    for sequence in labeled_sequences(labels, tokens, "val", stride):
        state = torch.zeros(1, policy.hidden, device=policy.device)
        said = []
        for start in range(0, len(sequence.frames), CHUNK):
            frames = sequence.frames[start : start + CHUNK]
            grids = tokens.read(np.full(len(frames), sequence.video), frames)[:, None]
            part, _, state = policy(torch.as_tensor(grids, device=policy.device), state)
            said.append(part[:, 0].float().cpu())
        asked = torch.as_tensor(sequence.actions != UNLABELED)
        logits.append(torch.cat(said)[asked])
        wanted.append(torch.as_tensor(sequence.actions)[asked])
    return torch.cat(logits), torch.cat(wanted)
