"""`dynamics`: learn to foresee. The next grid of tokens after the last ones; measured on held-out videos.

model/        the dynamics model       ood.json      what is usual: mean and spread of surprise and of misreading
history.json  every number of training prediction.png  held-out: now | next as predicted | next as it was
dream.gif     above what happened, below what the model makes up by itself from the same start
"""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import torch

from emurl.core.settings import Positive
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.footage.dataset import FrameReader
from emurl.footage.learning import (
    CHUNK,
    TokenStore,
    past,
    require_screen,
    spread,
    train,
    transitions,
    write_history,
    write_picture,
    write_screen,
)
from emurl.models.dynamics import Dynamics
from emurl.models.tokenizer import Tokenizer
from emurl.report.dream import STARTS, STEPS, dream_film
from emurl.screen import ScreenSpec, to_gray
from emurl.training.settings import OptimizerSettings
from emurl.training.supervised import resolve_device, seeded

CODE_VERSION = 1
HELD_OUT = 4096  # held-out transitions the final numbers are of
GLANCE = 512
NEIGHBORS = 2048  # windows of the training footage among which the nearest is sought, and held-out ones that ask
FURTHEST_SHIFT = 2  # cells
STEPS_OF_ONE = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))  # (down, right)


class DynamicsSettings(OptimizerSettings):
    """`dynamics`: next-token transformer over the grid."""

    dim: Positive = 192
    layers: Positive = 3
    heads: Positive = 4
    context: Positive = 1  # frames seen
    gap: Positive = 2  # footage frames between one grid and the next
    optimizer: Literal["adamw", "muon"] = "muon"
    told: bool = False  # whether the model may be told which way the screen moves, as inferred from the footage


def run(settings: DynamicsSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Train a `Dynamics` on the tokens of the train split; measure it beside copying and shifting the last grid."""
    device = resolve_device(settings.device)
    reader = FrameReader(inputs["frames"].folder)
    require_screen(inputs["tokenizer"], reader.spec)
    tokenizer = Tokenizer.from_pretrained(inputs["tokenizer"].path("model"), device)
    tokens = TokenStore(reader, tokenizer, output.scratch, tracker, inputs["tokenizer"].digest)

    video, index = transitions(reader, "train", settings.gap)
    # Half of the draws by how much changed: much footage stands still, and still frames teach only to copy.
    changed = changed_share(tokens, video, index, settings.gap)
    odds = np.cumsum(0.5 / len(video) + 0.5 * changed / max(changed.sum(), 1e-9))
    asked = clips(tokens, *transitions(reader, "val", settings.gap), settings, HELD_OUT)
    glance = asked[spread(GLANCE, len(asked))]

    def sample(rng: np.random.Generator) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        places = np.minimum(np.searchsorted(odds, rng.random(settings.batch_size) * odds[-1]), len(video) - 1)
        grids = tokens.read(video[places], window(index[places], settings))
        return (grids, inferred_moves(grids[:, -2], grids[:, -1])) if settings.told else grids

    model: Dynamics = seeded(
        settings.seed,
        lambda: Dynamics(
            tokenizer.vocab, settings.dim, settings.layers, settings.heads, settings.context, len(STEPS_OF_ONE) * settings.told
        ),
    )
    few = asked[spread(6, len(asked))]
    result = train(
        model, sample, settings, device, output, tracker, "dynamics",
        evaluate=lambda model: measure(model, glance), best_by="nll_per_token",
        picture=lambda model: {"prediction": picture(model, tokenizer, few, reader.spec)},
    )  # fmt: skip

    output.metrics.update(measure(model, asked))
    if settings.told:
        told = measure(model, asked, inferred_moves(asked[:, -2], asked[:, -1]))
        output.metrics.update({f"{name}_told": value for name, value in told.items()})
    output.metrics.update(baselines(asked))
    known = clips(tokens, video, index, settings, NEIGHBORS)
    output.metrics.update(neighbors(asked[spread(NEIGHBORS, len(asked))], known))
    output.metrics["frames_per_second"] = result.frames_per_second
    model.save_pretrained(output.path("model"))
    usual = usual_scores(model, tokenizer, reader, settings)
    output.path("ood.json").write_text(json.dumps(usual, indent=2, sort_keys=True), encoding="utf-8")
    write_picture(output, "prediction.png", picture(model, tokenizer, few, reader.spec))
    dream(output, model, tokenizer, tokens, reader, settings)
    write_history(output, dynamics=result)
    write_screen(output, reader.spec)


def window(index: np.ndarray, settings: DynamicsSettings) -> np.ndarray:
    """Frame numbers (n, context + 1): those seen, newest at `index` (n,), and the one to foresee."""
    return np.concatenate([past(index, settings.context, settings.gap), index[:, None] + settings.gap], axis=1)


def clips(tokens: TokenStore, video: np.ndarray, index: np.ndarray, settings: DynamicsSettings, count: int) -> np.ndarray:
    """At most `count` evenly spread windows as tokens: (n, context + 1, 9, 10)."""
    places = spread(count, len(video))
    return tokens.read(video[places], window(index[places], settings))


def dream(
    output: Output, model: Dynamics, tokenizer: Tokenizer, tokens: TokenStore, reader: FrameReader, settings: DynamicsSettings
) -> None:
    """`dream.gif` from a few evenly spread moments of the held-out videos that have enough footage after them."""
    video, index = transitions(reader, "val", settings.gap)
    steps = min(STEPS, min(reader.videos[int(v)].count for v in np.unique(video)) // settings.gap // 2)
    last = np.array([reader.videos[int(v)].count for v in video]) - 1 - steps * settings.gap
    video, index = video[index <= last], index[index <= last]
    # Not the ends of the spread: the first moment is the title's, the last the ending's.
    places = spread(STARTS + 2, len(video))[1:-1] if len(video) > STARTS + 2 else np.arange(len(video))
    if steps == 0 or not len(places):
        return
    video, index = video[places], index[places]
    later = index[:, None] + settings.gap * np.arange(1, steps + 1)
    after = reader.gather(np.repeat(video[:, None], steps, axis=1), later)
    fps = reader.videos[int(video[0])].fps
    dream_film(
        output.path("dream.gif"), model, tokenizer, tokens.read(video, past(index, settings.context, settings.gap)), after,
        reader.spec, round(1000 * settings.gap / fps),
    )  # fmt: skip


def changed_share(tokens: TokenStore, video: np.ndarray, index: np.ndarray, gap: int) -> np.ndarray:
    """Share of the 90 tokens (M,) that differ `gap` frames later."""
    shares = np.empty(len(video))
    for start in range(0, len(video), 4096):
        part = slice(start, start + 4096)
        pair = tokens.read(video[part], np.stack([index[part], index[part] + gap], axis=1))
        shares[part] = (pair[:, 0] != pair[:, 1]).mean(axis=(1, 2))
    return shares


def inferred_moves(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Which of `STEPS_OF_ONE` turns most of grids (N, 9, 10) into the grids after them: long (N,), 0 where none is better."""
    fits = [(shifted(before, *step) == after).sum(axis=(1, 2)) for step in STEPS_OF_ONE]
    return np.argmax(fits, axis=0)


def measure(model: Dynamics, asked: np.ndarray, moves: np.ndarray | None = None) -> dict[str, float]:
    """accuracy: share of next tokens foreseen; accuracy_changed: among those that change; nll_per_token: nats.

    `moves` (N,) tell the model what it may be told. They are read off the answer: never the headline.
    """
    right = changed_right = changed = nats = 0.0
    for start in range(0, len(asked), CHUNK):
        part = torch.as_tensor(asked[start : start + CHUNK], device=model.device)
        before, wanted = part[:, :-1], part[:, -1]
        with torch.no_grad():
            taken = None if moves is None else torch.as_tensor(moves[start : start + CHUNK], device=model.device)
            logits = model(before, taken).float()
        hit = logits.argmax(dim=-1) == wanted
        moved = before[:, -1] != wanted
        right += float(hit.sum())
        changed_right += float((hit & moved).sum())
        changed += float(moved.sum())
        nats -= float(logits.log_softmax(dim=-1).gather(-1, wanted[..., None]).sum(dtype=torch.float64))
    total = asked[:, -1].size
    return {
        "accuracy": right / total,
        "accuracy_changed": changed_right / changed if changed else 0.0,
        "nll_per_token": nats / total,
    }


def baselines(asked: np.ndarray) -> dict[str, float]:
    """What the last grid gives when copied, and when shifted by the whole cells (at most 2 each way) that fit best.

    The shift is chosen for each pair in hindsight, by the answer: it is a bound no model of one moving window is given.
    Cells that a shift uncovers count as wrong. `copy_accuracy_changed` is 0 by definition and left out; `changed` is the
    share of tokens that change.
    """
    before, wanted = asked[:, -2], asked[:, -1]
    moved = before != wanted
    best = np.full(len(asked), -1)
    best_changed = np.zeros(len(asked))
    for down in range(-FURTHEST_SHIFT, FURTHEST_SHIFT + 1):
        for right in range(-FURTHEST_SHIFT, FURTHEST_SHIFT + 1):
            hit = shifted(before, down, right) == wanted
            count = hit.sum(axis=(1, 2))
            better = count > best
            best[better] = count[better]
            best_changed[better] = (hit & moved).sum(axis=(1, 2))[better]
    return {
        "copy_accuracy": float(1.0 - moved.mean()),
        "shift_accuracy": float(best.sum() / wanted.size),
        "shift_accuracy_changed": float(best_changed.sum() / max(1, moved.sum())),
        "changed": float(moved.mean()),
    }


def neighbors(asked: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """What came after the nearest of the windows `known` (M, T, 9, 10) of the training footage, as an answer for `asked` (N, T, 9, 10).

    Nearest: most tokens in common over all grids but the last, which is the answer.
    """
    right = changed_right = changed = 0
    seen = known[:, :-1].reshape(len(known), -1).astype(np.int16)
    for one in asked:
        nearest = int((seen == one[:-1].reshape(-1).astype(np.int16)).sum(axis=1).argmax())
        hit, moved = known[nearest, -1] == one[-1], one[-2] != one[-1]
        right += int(hit.sum())
        changed_right += int((hit & moved).sum())
        changed += int(moved.sum())
    return {"neighbor_accuracy": right / asked[:, -1].size, "neighbor_accuracy_changed": changed_right / max(1, changed)}


def shifted(grids: np.ndarray, down: int, right: int) -> np.ndarray:
    """Token grids (N, 9, 10) moved by whole cells; cells that nothing moved into hold -1."""
    moved = np.full_like(grids, -1)
    rows, columns = grids.shape[1:]
    to = (slice(max(0, down), rows + min(0, down)), slice(max(0, right), columns + min(0, right)))
    of = (slice(max(0, -down), rows + min(0, -down)), slice(max(0, -right), columns + min(0, -right)))
    moved[:, to[0], to[1]] = grids[:, of[0], of[1]]
    return moved


def usual_scores(model: Dynamics, tokenizer: Tokenizer, reader: FrameReader, settings: DynamicsSettings) -> dict[str, float]:
    """Mean and standard deviation of the two out-of-distribution signs on held-out footage, pair by pair as play gives them."""
    video, index = transitions(reader, "val", settings.gap)
    places = spread(1024, len(video))
    misread, surprise = [], []
    for start in range(0, len(places), CHUNK):
        part = places[start : start + CHUNK]
        now = reader.gather(video[part], index[part])
        later = reader.gather(video[part], index[part] + settings.gap)
        tokens, tokens_later = tokenizer.encode(now), tokenizer.encode(later)
        misread.append(tokenizer.reconstruction_error(later, tokens_later).cpu().numpy())
        surprise.append(model.nll(tokens, tokens_later).cpu().numpy())
    misread_all, surprise_all = np.concatenate(misread), np.concatenate(surprise)
    return {
        "reconstruction_mean": float(misread_all.mean()), "reconstruction_std": float(misread_all.std()),
        "surprise_mean": float(surprise_all.mean()), "surprise_std": float(surprise_all.std()), "gap": settings.gap,
    }  # fmt: skip


def picture(model: Dynamics, tokenizer: Tokenizer, asked: np.ndarray, spec: ScreenSpec) -> np.ndarray:
    """Rows of three: now | the next as predicted | the next as it was, all decoded from tokens; uint8."""
    before = torch.as_tensor(asked, device=model.device)
    with torch.no_grad():
        predicted = model(before[:, :-1]).argmax(dim=-1)
    columns = [tokenizer.decode(grid).cpu().numpy() for grid in (before[:, -2], predicted, before[:, -1])]
    return to_gray(np.concatenate([np.concatenate(list(column)) for column in columns], axis=1), spec)
