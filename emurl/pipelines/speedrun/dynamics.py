"""`dynamics`: learn to foresee. The next grid of tokens after the last ones; measured on held-out videos.

model/        the dynamics model       ood.json      what is usual: quantiles of the detector's signs on held-out videos
strangeness.png  how strange the detector finds a held-out run over its time
ood.npz       arrangements of tokens that the training videos show (`emurl.rewards.novelty`)
history.json  every number of training prediction.png  held-out: now | next as predicted | next as it was
dream.gif     above what happened, below what the model makes up by itself from the same start
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch

from emurl.core.settings import NonNegative, Positive, Settings, Share
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import FRAMES_PER_SECOND
from emurl.footage.catalog import evenly_spread
from emurl.footage.dataset import CHUNK, FrameReader
from emurl.footage.tokens import Tokens
from emurl.footage.transitions import past, transitions
from emurl.games.settings import EmulatorSettings, game_of
from emurl.models.dynamics import Dynamics
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun import strangers
from emurl.pipelines.speedrun.strange_pictures import show_strangeness
from emurl.pipelines.speedrun.strangers import OffRouteSettings
from emurl.report.dream import dream_film
from emurl.rewards.calibration import Calibration, OODSettings
from emurl.rewards.novelty import KnownPatches
from emurl.rewards.ood import USUAL, OODDetector, patches_file, signs
from emurl.screen import ScreenSpec, to_gray
from emurl.training.outputs import require_screen, write_history, write_picture, write_screen
from emurl.training.settings import OptimizerSettings
from emurl.training.supervised import fit, resolve_device, seeded

MOTIONS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))  # none, and a walking step each way, in cells (down, right)

METRICS: dict[str, str] = {
    "accuracy": "↑ share of the next frame's tokens foreseen, on held-out videos; beside `copy_accuracy`, `shift_accuracy`,"
    " `neighbor_accuracy`",
    "accuracy_changed": "↑ the same among tokens that change; beside `shift_accuracy_changed`, `neighbor_accuracy_changed`",
    "nll_per_token": "↓ negative log-likelihood of the next frame's tokens, in nats a token",
    "accuracy_conditioned": "`accuracy` when the model is told which way the screen moved; only with motion conditioning",
    "accuracy_changed_conditioned": "`accuracy_changed` when the model is told which way the screen moved",
    "nll_per_token_conditioned": "`nll_per_token` when the model is told which way the screen moved",
    "copy_accuracy": "`accuracy` of copying the last frame's tokens",
    "shift_accuracy": "`accuracy` of the whole-cell shift of the last tokens that fits best, chosen in hindsight",
    "shift_accuracy_changed": "the same among tokens that change",
    "neighbor_accuracy": "`accuracy` of what followed the nearest window of the training videos",
    "neighbor_accuracy_changed": "the same among tokens that change",
    "changed": "share of tokens that change from one frame to the next",
    "frames_per_second": "windows a second in training",
    **strangers.METRICS,
}


class DreamSettings(Settings):
    """`dream.gif`: the model goes on from held-out footage by itself."""

    starts: Positive = 3  # moments it goes on from, side by side
    steps: Positive = 30  # grids it dreams of each
    temperature: NonNegative = 0.7  # of the draws; below 1, because ninety independent draws a grid spoil more than they vary


class DynamicsEvaluation(Settings):
    """How many transitions the numbers are of."""

    transitions: Positive = 4096  # held-out ones of the final numbers
    quick_transitions: Positive = 512  # of those, the ones looked at during training
    neighbor_pool: Positive = 2048  # windows of the training footage among which the nearest is sought
    neighbor_transitions: Positive = 2048  # held-out ones it is sought for
    max_shift: Positive = 2  # cells each way that the baseline of the best shift tries
    ood_transitions: Positive = 1024  # held-out ones that say what is usual to the OOD detector
    ood_strangers: Positive = 256  # pictures of no game that it is shown, and wrong successors


class DynamicsSettings(OptimizerSettings):
    """`dynamics`: next-token transformer over the grid."""

    renamed: ClassVar[dict[str, str]] = {**OptimizerSettings.renamed, "gap": "frame_stride", "told": "motion_conditioning"}

    dim: Positive = 192  # width
    layers: Positive = 3  # transformer blocks
    heads: Positive = 4  # of attention; `dim` is a multiple of it
    context: Positive = 1  # frames seen
    frame_stride: Positive = 2  # footage frames between one grid and the next
    optimizer: Literal["adamw", "muon"] = "muon"  # muon: for the matrices between hidden layers, AdamW for all else
    motion_conditioning: bool = False  # the model can be told which way the screen moves, as inferred from the footage
    motion_dropout: Share = 0.5  # training samples that are not told, so that the model also predicts without
    reach: Positive = 2  # cells each way that the output can point at to say "what is there comes here"
    narrow: Positive = 32  # width in which a cell sees its neighbors' tokens
    short_context: Share = 0.2  # training batches that see the newest grid alone, as callers may show no more
    change_sampling: Share = 0.5  # draws by how much changed: much footage stands still, and still frames teach only to copy
    evaluation: DynamicsEvaluation = DynamicsEvaluation()  # what the numbers are of
    dream: DreamSettings = DreamSettings()  # of `dream.gif`
    ood: OODSettings = OODSettings()  # how strangeness is scored
    offroute: OffRouteSettings = OffRouteSettings()  # the play that the OOD detector is measured on
    emulator: EmulatorSettings = EmulatorSettings()  # the game that is played for that


def run(settings: DynamicsSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Train a `Dynamics` on the tokens of the train split; measure it beside copying and shifting the last grid."""
    device, asked_for, stride = resolve_device(settings.device), settings.evaluation, settings.frame_stride
    tracker.doing("reading the footage")
    reader = FrameReader(inputs["frames"].folder)
    require_screen(inputs["tokenizer"], reader.spec)
    tokenizer = Tokenizer.from_pretrained(inputs["tokenizer"].path("model"), device)
    tokens = Tokens(reader, inputs["frames"], inputs["tokenizer"])

    video, index = transitions(reader, "train", stride)
    changed, share = changed_share(tokens, video, index, stride), settings.change_sampling
    cumulative = np.cumsum((1.0 - share) / len(video) + share * changed / max(changed.sum(), 1e-9))
    asked = clips(tokens, *transitions(reader, "val", stride), settings, asked_for.transitions)
    quick = asked[evenly_spread(asked_for.quick_transitions, len(asked))]

    def sample(rng: np.random.Generator) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        places = np.minimum(np.searchsorted(cumulative, rng.random(settings.batch_size) * cumulative[-1]), len(video) - 1)
        grids = tokens.read(video[places], window(index[places], settings))
        return (grids, inferred_motion(grids[:, -2], grids[:, -1])) if settings.motion_conditioning else grids

    model: Dynamics = seeded(settings.seed, lambda: new_dynamics(settings, tokenizer.vocab))
    few = asked[evenly_spread(6, len(asked))]
    result = fit(
        model, sample, settings, output=output, tracker=tracker, name="dynamics", device=device,
        evaluate=lambda model: measure(model, quick), best_by="nll_per_token",
        picture=lambda model: {"prediction": picture(model, tokenizer, few, reader.spec)},
    )  # fmt: skip

    tracker.doing("measuring itself on held-out videos")
    output.metrics.update(measure(model, asked))
    if settings.motion_conditioning:
        conditioned = measure(model, asked, inferred_motion(asked[:, -2], asked[:, -1]))
        output.metrics.update({f"{name}_conditioned": value for name, value in conditioned.items()})
    tracker.doing("measuring what it stands beside")
    output.metrics.update(baselines(asked, asked_for.max_shift))
    known = clips(tokens, video, index, settings, asked_for.neighbor_pool)
    output.metrics.update(neighbors(asked[evenly_spread(asked_for.neighbor_transitions, len(asked))], known))
    output.metrics["frames_per_second"] = result.frames_per_second
    model.save_pretrained(output.path("model"))
    output.metrics.update(familiarize(output, model, tokenizer, tokens, settings, tracker))
    tracker.doing("dreaming")
    write_picture(output, "prediction.png", picture(model, tokenizer, few, reader.spec))
    dream(output, model, tokenizer, tokens, settings)
    write_history(output, dynamics=result)
    write_screen(output, reader.spec)


def new_dynamics(settings: DynamicsSettings, vocab: int) -> Dynamics:
    """An untrained dynamics model of these settings for a tokenizer of `vocab` tokens."""
    return Dynamics(
        vocab, settings.dim, settings.layers, settings.heads, settings.context, len(MOTIONS) * settings.motion_conditioning,
        settings.reach, settings.narrow, settings.short_context, settings.motion_dropout,
    )  # fmt: skip


def window(index: np.ndarray, settings: DynamicsSettings) -> np.ndarray:
    """Frame numbers (n, context + 1): those seen, newest at `index` (n,), and the one to foresee."""
    stride = settings.frame_stride
    return np.concatenate([past(index, settings.context, stride), index[:, None] + stride], axis=1)


def clips(tokens: Tokens, video: np.ndarray, index: np.ndarray, settings: DynamicsSettings, count: int) -> np.ndarray:
    """At most `count` evenly spread windows as tokens: int64 (n, context + 1, 9, 10)."""
    places = evenly_spread(count, len(video))
    return tokens.read(video[places], window(index[places], settings))


def dream(output: Output, model: Dynamics, tokenizer: Tokenizer, tokens: Tokens, settings: DynamicsSettings) -> None:
    """`dream.gif` from a few evenly spread moments of the held-out videos that have enough footage after them."""
    reader, stride, starts = tokens.reader, settings.frame_stride, settings.dream.starts
    video, index = transitions(reader, "val", stride)
    steps = min(settings.dream.steps, min(reader.videos[int(v)].count for v in np.unique(video)) // stride // 2)
    last = np.array([reader.videos[int(v)].count for v in video]) - 1 - steps * stride
    video, index = video[index <= last], index[index <= last]
    # Not the ends of the spread: the first moment is the title's, the last the ending's.
    places = evenly_spread(starts + 2, len(video))[1:-1] if len(video) > starts + 2 else np.arange(len(video))
    if steps == 0 or not len(places):
        return
    video, index = video[places], index[places]
    later = index[:, None] + stride * np.arange(1, steps + 1)
    after = reader.gather(np.repeat(video[:, None], steps, axis=1), later)
    fps = reader.videos[int(video[0])].fps
    dream_film(
        output.path("dream.gif"), model, tokenizer, tokens.read(video, past(index, settings.context, stride)), after,
        reader.spec, round(1000 * stride / fps), settings.dream.temperature,
    )  # fmt: skip


def changed_share(tokens: Tokens, video: np.ndarray, index: np.ndarray, stride: int) -> np.ndarray:
    """Share of the 90 tokens that differ `stride` frames later: float64 (M,)."""
    shares = np.empty(len(video))
    for start in range(0, len(video), 4096):
        part = slice(start, start + 4096)
        pair = tokens.read(video[part], np.stack([index[part], index[part] + stride], axis=1))
        shares[part] = (pair[:, 0] != pair[:, 1]).mean(axis=(1, 2))
    return shares


def inferred_motion(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Which of `MOTIONS` turns most of grids (N, 9, 10) into the grids after them: int64 (N,), 0 where none is better."""
    fits = [(shifted(before, *motion) == after).sum(axis=(1, 2)) for motion in MOTIONS]
    return np.argmax(fits, axis=0)


def measure(model: Dynamics, asked: np.ndarray, motion: np.ndarray | None = None) -> dict[str, float]:
    """accuracy: share of next tokens foreseen; accuracy_changed: among those that change; nll_per_token: nats.

    Args:
        asked: windows of tokens (N, T, 9, 10), the last of each the answer.
        motion: what a model with motion conditioning is told, int64 (N,). It is read off the answer: never the headline.
    """
    right = changed_right = changed = nats = 0.0
    for start in range(0, len(asked), CHUNK):
        part = torch.as_tensor(asked[start : start + CHUNK], device=model.device)
        before, wanted = part[:, :-1], part[:, -1]
        with torch.no_grad():
            taken = None if motion is None else torch.as_tensor(motion[start : start + CHUNK], device=model.device)
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


def baselines(asked: np.ndarray, max_shift: int) -> dict[str, float]:
    """What the last grid gives when copied, and when shifted by the whole cells (at most `max_shift` each way) that fit best.

    The shift is chosen for each pair in hindsight, by the answer: it is a bound no model of one moving window is given.
    Cells that a shift uncovers count as wrong. `copy_accuracy_changed` is 0 by definition and left out; `changed` is the
    share of tokens that change.
    """
    before, wanted = asked[:, -2], asked[:, -1]
    moved = before != wanted
    best = np.full(len(asked), -1)
    best_changed = np.zeros(len(asked))
    for down in range(-max_shift, max_shift + 1):
        for right in range(-max_shift, max_shift + 1):
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


def familiarize(
    output: Output, model: Dynamics, tokenizer: Tokenizer, tokens: Tokens, settings: DynamicsSettings, tracker: Tracker
) -> dict[str, float]:
    """Write what `OODDetector` takes for usual, pair by pair as play gives them; returns what it is worth, `strangers.METRICS`."""
    reader, stride, asked_for = tokens.reader, settings.frame_stride, settings.evaluation
    tracker.doing("learning what is usual")
    known = known_patches(tokens, settings.ood)
    video, index = strangers.heldout(reader, stride, asked_for.ood_transitions)
    parts = []
    for start in range(0, len(video), CHUNK):
        part = slice(start, start + CHUNK)
        now, later = tokens.read(video[part], index[part]), tokens.read(video[part], index[part] + stride)
        misread, surprise = signs(tokenizer, model, now, later, reader.gather(video[part], index[part] + stride))
        parts.append({"reconstruction": misread, "surprise": surprise, "novelty": known.novelty(later)})
    own = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    fps = reader.videos[int(video[0])].fps
    usual = Calibration.of(own, settings.ood, frame_stride=stride, fps=fps)
    usual.save(output.path(USUAL))
    known.save(patches_file(output.path(USUAL)))

    detector = OODDetector(tokenizer, model, usual, known=known)
    show_strangeness(detector, own, video, index, reader, stride, output)
    tracker.doing("measuring the OOD detector")
    few = evenly_spread(asked_for.ood_strangers, len(video))
    pairs = reader.gather(video[few], index[few]), reader.gather(video[few], index[few] + stride)
    measured = strangers.measure_detector(detector, own, video, pairs, settings.ood, settings.seed)
    game = game_of(settings.emulator)
    if settings.offroute.runs and game is not None and game.bot is not None:
        ticks = max(2, round(stride / fps * FRAMES_PER_SECOND))
        played = strangers.play_offroute(game, settings.emulator, reader, ticks, settings.offroute, settings.seed, tracker)
        tracker.doing("scoring play off the route")
        measured |= strangers.measure_offroute(detector, own, video, played, settings.ood)
    return measured


def known_patches(tokens: Tokens, settings: OODSettings) -> KnownPatches:
    """Arrangements of tokens in the training videos."""
    rows = [video.offset + np.arange(video.count) for video in tokens.reader.videos if video.split == "train"]
    every = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    return KnownPatches.of(tokens.all[every[evenly_spread(settings.known_grids, len(every))]], settings.patches)


def picture(model: Dynamics, tokenizer: Tokenizer, asked: np.ndarray, spec: ScreenSpec) -> np.ndarray:
    """Rows of three: now | the next as predicted | the next as it was, all decoded from tokens; uint8."""
    before = torch.as_tensor(asked, device=model.device)
    with torch.no_grad():
        predicted = model(before[:, :-1]).argmax(dim=-1)
    columns = [tokenizer.decode(grid).cpu().numpy() for grid in (before[:, -2], predicted, before[:, -1])]
    return to_gray(np.concatenate([np.concatenate(list(column)) for column in columns], axis=1), spec)
