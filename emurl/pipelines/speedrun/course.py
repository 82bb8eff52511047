"""The judge with a memory: brings the runs side by side, finds the splits they share, and measures what it says of held-out runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from emurl.core.errors import InputError
from emurl.core.settings import Settings
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.footage.alignment import AlignmentSettings, align, best_path, floored, transition_log_probs
from emurl.footage.catalog import evenly_spread
from emurl.footage.dataset import NOT_GAME
from emurl.footage.splits import SplitSettings, find_splits, unique_grids
from emurl.footage.tokens import Tokens
from emurl.models.position import PositionModel
from emurl.pipelines.shared.playing import holds
from emurl.pipelines.speedrun.ranks import rank_correlation
from emurl.rewards.splits import SPLITS, JudgeSettings, SplitJudge, Standing, likeness

LEFT_OUT = "_left_out"  # ends the names of what judges say of the video that was left out
COURSE = "course"  # the folder of the judge in a reward artifact

METRICS: dict[str, str] = {
    "splits": "splits found: moments that every run of the footage passes, in the same order",
    "splits_passed": "↑ share of the splits that a held-out video passes, mean over the videos",
    "course_end": "↑ share of the course that the judge has seen of a held-out video at its end",
    "order_correlation": "↑ Spearman's rank correlation of the judge's progress and the time, mean over held-out videos",
    "pair_accuracy": "↑ share of pairs of moments of a held-out video whose order the judge tells; ties count half",
    "pair_accuracy_*s": "↑ the same for pairs so many seconds apart, give or take a third",
    "pair_accuracy_left_out": "↑ `pair_accuracy` where a judge learned from all videos but the one it is asked about, mean over"
    " `reward.folds` videos; only where that is not 0",
    "pair_accuracy_*s_left_out": "↑ the same for pairs so many seconds apart",
}


class CourseSettings(Settings):
    """The course that all runs share, and how progress on it is judged."""

    alignment: AlignmentSettings = AlignmentSettings()  # how runs are brought side by side
    splits: SplitSettings = SplitSettings()  # what every run passes
    judge: JudgeSettings = JudgeSettings()  # how progress is told while somebody plays


def learn_course(
    settings: CourseSettings, tokens: Tokens, stride: int, *, device: torch.device, output: Output, tracker: Tracker
) -> SplitJudge:
    """Learn the judge from the train split; held-out runs have a say in which moments are splits.

    Args:
        stride: frames an action takes.
    """
    learned, held_out = (runs_of(tokens, split) for split in ("train", "val"))
    fps = float(np.mean([video.fps for video in tokens.reader.videos]))
    judge = judge_of(settings, learned, held_out, int(tokens.vocab), fps, stride, device=device, output=output, tracker=tracker)
    if not judge.splits:
        output.note("the runs of the footage share no splits: the judge has nothing but its belief to go by")
    return judge


def judge_of(
    settings: CourseSettings, learned: Sequence[np.ndarray], held_out: Sequence[np.ndarray], vocab: int, fps: float, stride: int, *,
    device: torch.device, output: Output, tracker: Tracker,
) -> SplitJudge:  # fmt: skip
    """The judge of runs, (frames, 9, 10) each, `fps` a second: positions are learned from `learned`, splits are of all of them."""
    model, paths = align(learned, vocab, settings.alignment, device=device, output=output, tracker=tracker)
    known = unique_grids(learned)
    runs = [*learned, *held_out]
    familiar = []
    for number, run in enumerate(runs):
        others = [one for place, one in enumerate(learned) if place != number]
        pool = known if number >= len(learned) else (unique_grids(others) if others else known[:0])
        familiar.append(likeness(run, pool) >= settings.splits.min_likeness)
    ratios = [model.log_ratios(run) for run in runs]
    paths = paths + [positions_of(model, run, settings.alignment) for run in held_out]
    splits = find_splits(ratios, paths, familiar, fps, stride, settings.splits)
    return SplitJudge(model, splits, known, settings.splits.min_likeness, settings.judge)


def leave_one_out(
    settings: CourseSettings, tokens: Tokens, stride: int, folds: int, gaps_s: Sequence[int], *,
    device: torch.device, output: Output, tracker: Tracker,
) -> dict[str, float]:  # fmt: skip
    """How well judges of all videos but one tell that one's order: the means of `pair_accuracy` over `folds` videos, evenly spread.

    Nothing of the video that is left out is learned from, nor has it a say in the splits; the tokens are those of the artifact.
    """
    runs = [run for split in ("train", "val") for run in runs_of(tokens, split)]
    if len(runs) < 2:
        return {}
    fps = float(np.mean([video.fps for video in tokens.reader.videos]))
    rows = []
    for number, out in enumerate(evenly_spread(min(folds, len(runs)), len(runs)), 1):
        scratch = output.scratch / f"fold_{number}"
        scratch.mkdir(exist_ok=True)
        rest = [run for place, run in enumerate(runs) if place != out]
        fold = Output(scratch / "files", scratch)
        judge = judge_of(settings, rest, [], int(tokens.vocab), fps, stride, device=device, output=fold, tracker=Tracker.silent())
        rows.append(measure_course(judge, [runs[int(out)]], stride, fps, gaps_s))
        tracker.log({f"{name}{LEFT_OUT}": value for name, value in rows[-1].items() if name.startswith("pair_accuracy")}, number)
    names = sorted({name for row in rows for name in row if name.startswith("pair_accuracy")})
    return {f"{name}{LEFT_OUT}": float(np.mean([row[name] for row in rows if name in row])) for name in names}


def load_judge(reward: Artifact, device: torch.device | str) -> SplitJudge:
    """The judge in a `reward` artifact.

    Raises:
        InputError: it has none, or one that cannot be read.
    """
    try:
        folder = reward.path(COURSE)
    except InputError:
        raise InputError(f"{reward.ref}: holds no course, it was made before there was one; run the reward stage again") from None
    return SplitJudge.from_folder(folder, device)


def alignment_of(reward: Artifact) -> AlignmentSettings:
    """How the runs of a `reward` artifact were brought side by side; what it does not say is as it is by default."""
    told = reward.manifest["settings"].get("course", {}).get("alignment", {})
    return AlignmentSettings(**{name: value for name, value in told.items() if name in ("max_advance", "advance_decay", "floor")})


def judge_in(inputs: Mapping[str, Artifact], device: torch.device | str) -> SplitJudge | None:
    """The judge in the reward artifact of `inputs`; None of one made before there was any."""
    reward = inputs["reward"]
    return load_judge(reward, device) if holds(reward, f"{COURSE}/{SPLITS}") else None


def runs_of(tokens: Tokens, split: str) -> list[np.ndarray]:
    """The grids of each video of a split, without the frames that are none of the game: uint16 (frames, 9, 10) each."""
    runs = []
    for video in tokens.reader.split(split):
        game = tokens.reader.flags(video) & NOT_GAME == 0
        if game.any():
            runs.append(np.asarray(tokens.grids(video))[game])
    return runs


def positions_of(model: PositionModel, run: np.ndarray, settings: AlignmentSettings) -> np.ndarray:
    """The position of each frame of a run that is known to its end, int64 (frames,)."""
    transitions = transition_log_probs(model.positions, float(len(run)), settings)
    return best_path(floored(model.log_ratios(run), settings.floor), transitions)


def watch(judge: SplitJudge, run: np.ndarray) -> tuple[np.ndarray, np.ndarray, Standing]:
    """What the judge says of a run, shown to it grid by grid (n, 9, 10): progress float64 (n,), splits passed int64 (n,), the end."""
    standing = judge.begin()
    progress, passed = np.zeros(len(run)), np.zeros(len(run), np.int64)
    for step, grid in enumerate(run):
        judge.update([standing], grid[None])
        progress[step], passed[step] = judge.progress(standing), standing.passed
    return progress, passed, standing


def measure_course(
    judge: SplitJudge, runs: Sequence[np.ndarray], stride: int, fps: float, gaps_s: Sequence[int]
) -> dict[str, float]:
    """The judge on runs it did not learn from, seen one frame an action."""
    rows: dict[str, list[float]] = {}
    for run in runs:
        progress, passed, _ = watch(judge, run[::stride])
        if len(progress) < 2:
            continue
        seconds = np.arange(len(progress)) * stride / fps
        lead, apart = progress[None, :] - progress[:, None], seconds[None, :] - seconds[:, None]
        right = (lead > 0) + 0.5 * (lead == 0)
        kinds = {"pair_accuracy": apart > 0}
        kinds |= {f"pair_accuracy_{gap}s": (apart >= gap * 2 / 3) & (apart <= gap * 4 / 3) for gap in gaps_s}
        values = {name: float(right[chosen].mean()) for name, chosen in kinds.items() if chosen.any()}
        values["course_end"] = float(progress[-1])
        values["splits_passed"] = float(passed[-1] / max(1, len(judge.splits)))
        values["order_correlation"] = rank_correlation(progress, seconds)
        for name, value in values.items():
            rows.setdefault(name, []).append(value)
    return {"splits": float(len(judge.splits)), **{name: float(np.mean(values)) for name, values in rows.items()}}
