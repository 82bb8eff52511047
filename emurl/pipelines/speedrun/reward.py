"""`reward`: learn to judge. Of two frames of a run the later is further on (Bradley–Terry); measured on held-out videos.

model/        the reward model, calibrated to seconds of a speedrun    progress.png  Φ over time, one row a held-out video
history.json  every number of training                                screen.json
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from emurl.core.settings import Positive
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.footage.dataset import FrameReader
from emurl.footage.learning import CHUNK, spread, train, write_history, write_picture, write_screen
from emurl.models.reward import RewardModel
from emurl.training.augment import stream_faults
from emurl.training.settings import OptimizerSettings
from emurl.training.supervised import resolve_device, seeded

CODE_VERSION = 1
GAPS_S = (1, 5, 30)
PER_VIDEO = 400  # frames of a held-out video the numbers are of
NEIGHBORS = 4000  # training frames the nearest one is sought among


class RewardSettings(OptimizerSettings):
    """`reward`: Bradley–Terry ranker, later is better."""

    arch: Literal["small", "resnet18", "resnet34"] = "resnet34"
    epochs: Positive = 50
    steps_per_epoch: Positive = 200


def run(settings: RewardSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Train a `RewardModel` on pairs of the train split, calibrate it to seconds, and measure it on held-out videos."""
    device = resolve_device(settings.device)
    reader = FrameReader(inputs["frames"].folder)
    spec = reader.spec
    held_out = [timeline(reader, video, PER_VIDEO) for video in reader.split("val")]
    glance = [(frames[::4], seconds[::4]) for frames, seconds in held_out]

    model: RewardModel = seeded(
        settings.seed, lambda: RewardModel(arch=settings.arch, shades=spec.shades, channels=spec.channels)
    )

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        # Pairs drawn anywhere in a run are mostly easy; half of them are drawn close together.
        near = settings.batch_size // 2
        far = reader.ordered_pairs(rng, settings.batch_size - near, "train")
        close = reader.ordered_pairs(rng, near, "train", max_gap=int(rng.integers(2, 30)) * 8) if near else far
        parts = (far, close) if near else (far,)
        earlier, later = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
        faulty = stream_faults(np.concatenate([earlier, later]), rng, 0.5, spec.shades)
        return faulty[: len(earlier)], faulty[len(earlier) :]

    result = train(
        model, sample, settings, device, output, tracker, "reward",
        steps=settings.epochs * settings.steps_per_epoch, eval_every=settings.steps_per_epoch,
        evaluate=lambda model: measure([(score(model, frames), seconds) for frames, seconds in glance]),
        best_by="-pairwise_accuracy",
    )  # fmt: skip

    known = [timeline(reader, video, 200) for video in reader.split("train")]
    with torch.no_grad():
        raw = torch.cat([model.raw(frames[i : i + CHUNK]).cpu() for frames, _ in known for i in range(0, len(frames), CHUNK)])
    model.calibrate(raw, torch.as_tensor(np.concatenate([seconds for _, seconds in known])))

    scores = [(score(model, frames), seconds) for frames, seconds in held_out]
    output.metrics.update(measure(scores))
    output.metrics["chance_accuracy"] = 0.5
    output.metrics.update({f"neighbor_{name}": value for name, value in measure(neighbor_scores(reader, held_out)).items()})
    output.metrics["frames_per_second"] = 2 * result.frames_per_second  # two frames a pair
    model.save_pretrained(output.path("model"))
    write_picture(output, "progress.png", progress_picture(scores))
    write_history(output, reward=result)
    write_screen(output, spec)


def timeline(reader: FrameReader, video: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` evenly spread usable frames of a video and their times: (n, 144, 160[, 3]), seconds (n,)."""
    usable = reader.usable(video)
    index = usable[spread(count, len(usable))]
    return reader.read(video, index), index / reader.videos[video].fps


def score(model: RewardModel, frames: np.ndarray) -> np.ndarray:
    """Φ of frames (n, …): float32 (n,)."""
    with torch.no_grad():
        parts = [model(frames[i : i + CHUNK]).float().cpu().numpy() for i in range(0, len(frames), CHUNK)]
    return np.concatenate(parts)


def measure(timelines: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Of all pairs of frames of a video, the share whose order the scores (n,) at seconds (n,) tell; ties count half.

    pairwise_accuracy: pairs of any distance; _1s, _5s, _30s: pairs so far apart, give or take a third. Videos count alike.
    """
    right: dict[str, list[float]] = {}
    for scores, seconds in timelines:
        lead = scores[None, :] - scores[:, None]
        apart = seconds[None, :] - seconds[:, None]
        told = (lead > 0) + 0.5 * (lead == 0)
        kinds = {"pairwise_accuracy": apart > 0}
        kinds |= {f"pairwise_accuracy_{gap}s": (apart >= gap * 2 / 3) & (apart <= gap * 4 / 3) for gap in GAPS_S}
        for name, chosen in kinds.items():
            if chosen.any():
                right.setdefault(name, []).append(float(told[chosen].mean()))
    return {name: float(np.mean(shares)) for name, shares in right.items()}


def neighbor_scores(reader: FrameReader, held_out: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The baseline that learns nothing: a frame is as far on as the training frame that looks most like it was in its own run.

    Looks are compared by the mean brightness of 8×8 tiles.
    """
    videos = reader.split("train")
    known = [timeline(reader, video, max(1, NEIGHBORS // len(videos))) for video in videos]
    looks = np.concatenate([tile_means(frames) for frames, _ in known])
    when = np.concatenate([seconds / max(seconds.max(initial=0), 1e-9) for _, seconds in known])
    answers = []
    for frames, seconds in held_out:
        asked = tile_means(frames)
        distance = np.square(looks).sum(axis=1) - 2 * asked @ looks.T  # (n, known), up to a constant a row
        answers.append((when[distance.argmin(axis=1)], seconds))
    return answers


def tile_means(frames: np.ndarray) -> np.ndarray:
    """Mean shade of each 8×8 tile: frames (n, 144, 160[, 3]) to float32 (n, 360)."""
    return frames.reshape(len(frames), 18, 8, 20, -1).mean(axis=(2, 4), dtype=np.float32).reshape(len(frames), -1)


def progress_picture(timelines: list[tuple[np.ndarray, np.ndarray]], width: int = 320, height: int = 80) -> np.ndarray:
    """Φ over time, one plot under the other: black dots on white, uint8 (videos·height, width)."""
    picture = np.full((len(timelines) * height, width), 255, np.uint8)
    low = min(float(scores.min()) for scores, _ in timelines)
    high = max(float(scores.max()) for scores, _ in timelines)
    for number, (scores, seconds) in enumerate(timelines):
        x = (seconds / max(float(seconds.max()), 1e-9) * (width - 1)).astype(int)
        y = height - 3 - ((scores - low) / max(high - low, 1e-9) * (height - 5)).astype(int)
        picture[number * height, :] = 192
        picture[number * height + y, x] = 0
        picture[number * height + y + 1, x] = 0
    return picture
