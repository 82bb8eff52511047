"""`reward`: learn to judge. Of two frames of a run the later is further on (Bradley–Terry); measured on held-out videos.

model/        the reward model, calibrated to seconds of a speedrun    progress.png  Φ over time, one row a held-out video
history.json  every number of training                                screen.json
course/       the judge with a memory: positions/ (the position model), splits.json, known.npy (the footage's grids),
              watched.json (its progress over held-out runs)
splits.png    what the held-out runs show at each split
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from emurl.core.settings import Natural, Positive, Settings, Share
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.footage.catalog import evenly_spread
from emurl.footage.dataset import CHUNK, FrameReader
from emurl.footage.tokens import Tokens
from emurl.games.settings import EmulatorSettings, game_of
from emurl.models.reward import RewardModel
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun.cadence import frames_per_action
from emurl.pipelines.speedrun.course import COURSE, CourseSettings, learn_course, leave_one_out, measure_course, runs_of
from emurl.pipelines.speedrun.course import METRICS as COURSE_METRICS
from emurl.pipelines.speedrun.course_pictures import show_course
from emurl.pipelines.speedrun.judging import METRICS as JUDGING_METRICS
from emurl.pipelines.speedrun.judging import JudgingSettings, judge_the_judge
from emurl.screen import ScreenSpec
from emurl.training.augment import stream_faults
from emurl.training.outputs import write_history, write_picture, write_screen
from emurl.training.settings import Augment, AugmentSettings, OptimizerSettings
from emurl.training.supervised import fit, resolve_device, seeded

METRICS: dict[str, str] = {
    "pairwise_accuracy": "↑ share of pairs of frames of a held-out video whose order is told; beside `neighbor_pairwise_accuracy`,"
    " `chance_accuracy`",
    "pairwise_accuracy_*s": "↑ the same for pairs so many seconds apart, give or take a third",
    "neighbor_pairwise_accuracy": "`pairwise_accuracy` when a frame is as far on as the training frame that looks most like it",
    "neighbor_pairwise_accuracy_*s": "the same for pairs so many seconds apart",
    "chance_accuracy": "`pairwise_accuracy` of guessing",
    "frames_per_second": "frames a second in training",
    **COURSE_METRICS,
    **JUDGING_METRICS,
}


class ClosePairs(Settings):
    """Pairs drawn anywhere in a run are mostly easy, so a part of them is drawn close together."""

    share: Share = 0.5  # of a batch
    unit: Positive = 8  # frames that the two below count
    min_distance: Positive = 2  # units: each batch draws its largest distance, from here
    max_distance: Positive = 30  # to below here

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.min_distance >= self.max_distance:
            raise ValueError(f"min_distance {self.min_distance}, expected less than max_distance {self.max_distance}")
        return self


class RewardEvaluation(Settings):
    """How many frames the numbers are of."""

    gaps_s: Annotated[tuple[Positive, ...], Field(strict=False)] = (1, 5, 30)  # seconds apart, each with an accuracy of its own
    frames_per_video: Positive = 400  # of a held-out video
    quick_stride: Positive = 4  # every so many of them are looked at during training
    neighbor_pool: Positive = 4000  # training frames among which the nearest is sought
    calibration_frames: Positive = 200  # of each training video, by which Φ is brought to seconds


class RewardSettings(OptimizerSettings):
    """`reward`: Bradley–Terry ranker, later is better. It is trained for `epochs` · `steps_per_epoch` steps, whatever `steps` says."""

    emulator: EmulatorSettings = EmulatorSettings()  # how long an action is
    arch: Literal["small", "resnet18", "resnet34"] = "resnet34"  # the network
    dropout: Share = 0.1  # on the features that the score is read from
    epochs: Positive = 50  # each ends with an evaluation
    steps_per_epoch: Positive = 200  # batches
    close_pairs: ClosePairs = ClosePairs()  # the harder part of a batch
    augment: Augment = AugmentSettings()  # stream-like faults on the frames it learns from
    evaluation: RewardEvaluation = RewardEvaluation()  # what the numbers are of
    folds: Natural = 0  # judges more, each of all videos but the one it is asked about; each costs what the course does
    course: CourseSettings = CourseSettings()  # the judge that remembers what came before
    judging: JudgingSettings = JudgingSettings()  # what that judge is asked about


def run(settings: RewardSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Train a `RewardModel` on pairs of the train split, calibrate it to seconds, and measure it on held-out videos."""
    device, asked = resolve_device(settings.device), settings.evaluation
    reader = FrameReader(inputs["frames"].folder)
    spec = reader.spec
    held_out = [timeline(reader, video, asked.frames_per_video) for video in reader.split("val")]
    quick = [(frames[:: asked.quick_stride], seconds[:: asked.quick_stride]) for frames, seconds in held_out]

    model: RewardModel = seeded(settings.seed, lambda: new_reward_model(settings, spec))

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        near = int(settings.batch_size * settings.close_pairs.share)
        parts = []
        if near < settings.batch_size:
            parts.append(reader.ordered_pairs(rng, settings.batch_size - near, "train"))
        if near:
            distance = rng.integers(settings.close_pairs.min_distance, settings.close_pairs.max_distance)
            parts.append(reader.ordered_pairs(rng, near, "train", max_distance=int(distance) * settings.close_pairs.unit))
        earlier, later = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
        faulty = stream_faults(np.concatenate([earlier, later]), rng, settings.augment, spec.shades)
        return faulty[: len(earlier)], faulty[len(earlier) :]

    result = fit(
        model, sample, settings, output=output, tracker=tracker, name="reward", device=device,
        steps=settings.epochs * settings.steps_per_epoch, eval_every=settings.steps_per_epoch,
        evaluate=lambda model: measure([(score(model, frames), seconds) for frames, seconds in quick], asked),
        best_by="-pairwise_accuracy",
    )  # fmt: skip

    tracker.doing("measuring the ranker")
    known = [timeline(reader, video, asked.calibration_frames) for video in reader.split("train")]
    with torch.no_grad():
        raw = torch.cat([model.raw(frames[i : i + CHUNK]).cpu() for frames, _ in known for i in range(0, len(frames), CHUNK)])
    model.calibrate(raw, torch.as_tensor(np.concatenate([seconds for _, seconds in known])))

    scores = [(score(model, frames), seconds) for frames, seconds in held_out]
    output.metrics.update(measure(scores, asked))
    output.metrics["chance_accuracy"] = 0.5
    neighbors = neighbor_scores(reader, held_out, asked.neighbor_pool)
    output.metrics.update({f"neighbor_{name}": value for name, value in measure(neighbors, asked).items()})
    output.metrics["frames_per_second"] = 2 * result.frames_per_second  # two frames a pair
    model.save_pretrained(output.path("model"))
    drawn = progress_picture(scores)
    write_picture(output, "progress.png", drawn)
    tracker.image("progress", drawn, result.steps)
    write_history(output, reward=result)
    tracker.doing("bringing the runs side by side")
    tokens = Tokens(reader, inputs["frames"], inputs["tokenizer"])
    fps = reader.videos[0].fps
    stride = frames_per_action(settings.emulator.frame_skip, fps)
    judge = learn_course(settings.course, tokens, stride, device=device, output=output, tracker=tracker)
    tracker.doing("measuring the judge on held-out videos")
    output.metrics.update(measure_course(judge, runs_of(tokens, "val"), stride, fps, asked.gaps_s))
    judge.save(output.path(COURSE), fps=fps, stride=stride)
    if settings.folds:
        tracker.doing("judging videos that are left out, one after another")
        left_out = leave_one_out(
            settings.course, tokens, stride, settings.folds, asked.gaps_s, device=device, output=output, tracker=tracker
        )
        output.metrics.update(left_out)
    tracker.doing("drawing the splits")
    show_course(judge, settings.course.alignment, tokens, stride, output)
    game = game_of(settings.emulator)
    if settings.judging.bot_runs and game is not None and game.bot is not None and game.reader is not None:
        tokenizer = Tokenizer.from_pretrained(inputs["tokenizer"].path("model"), device)
        output.metrics.update(
            judge_the_judge(
                judge, lambda frames: tokenizer.encode(frames).cpu().numpy(), game, settings.emulator, spec, settings.judging,
                settings.seed, tracker,
            )
        )  # fmt: skip
    write_screen(output, spec)


def new_reward_model(settings: RewardSettings, spec: ScreenSpec) -> RewardModel:
    """An untrained reward model of these settings for this screen."""
    return RewardModel(settings.arch, spec.shades, spec.channels, settings.dropout)


def timeline(reader: FrameReader, video: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` evenly spread usable frames of a video and their times: (n, 144, 160[, 3]), seconds (n,)."""
    usable = reader.usable(video)
    index = usable[evenly_spread(count, len(usable))]
    return reader.read(video, index), index / reader.videos[video].fps


def score(model: RewardModel, frames: np.ndarray) -> np.ndarray:
    """Φ of frames (n, …): float32 (n,)."""
    with torch.no_grad():
        parts = [model(frames[i : i + CHUNK]).float().cpu().numpy() for i in range(0, len(frames), CHUNK)]
    return np.concatenate(parts)


def measure(timelines: list[tuple[np.ndarray, np.ndarray]], asked: RewardEvaluation) -> dict[str, float]:
    """Of all pairs of frames of a video, the share whose order the scores (n,) at seconds (n,) tell; ties count half.

    pairwise_accuracy: pairs of any distance; _1s, _5s, _30s: pairs so far apart, give or take a third. Videos count alike.
    """
    right: dict[str, list[float]] = {}
    for scores, seconds in timelines:
        lead = scores[None, :] - scores[:, None]
        apart = seconds[None, :] - seconds[:, None]
        in_order = (lead > 0) + 0.5 * (lead == 0)
        kinds = {"pairwise_accuracy": apart > 0}
        kinds |= {f"pairwise_accuracy_{gap}s": (apart >= gap * 2 / 3) & (apart <= gap * 4 / 3) for gap in asked.gaps_s}
        for name, chosen in kinds.items():
            if chosen.any():
                right.setdefault(name, []).append(float(in_order[chosen].mean()))
    return {name: float(np.mean(shares)) for name, shares in right.items()}


def neighbor_scores(
    reader: FrameReader, held_out: list[tuple[np.ndarray, np.ndarray]], pool: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The baseline that learns nothing: a frame is as far on as the training frame that looks most like it was in its own run.

    Looks are compared by the mean brightness of 8×8 tiles, with about `pool` training frames.
    """
    videos = reader.split("train")
    known = [timeline(reader, video, max(1, pool // len(videos))) for video in videos]
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
