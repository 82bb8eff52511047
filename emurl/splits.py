"""When runs pass the moments that the whole footage has in common: of one video, of one run of the footage, or of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pandas as pd

from emurl.core.config import Config
from emurl.core.errors import InputError, WorkError
from emurl.core.files import write_atomically
from emurl.core.refusals import require_file, writing
from emurl.core.store import Artifact, Store
from emurl.core.tracking import Tracker
from emurl.footage.alignment import AlignmentSettings
from emurl.footage.clock import clock_of
from emurl.footage.dataset import NOT_GAME, FrameReader
from emurl.footage.decode import decode
from emurl.footage.split_times import Stopwatch, footage_times
from emurl.footage.tokens import Tokens
from emurl.footage.video import NotAVideo, probe
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun.course import alignment_of, load_judge
from emurl.pipelines.speedrun.frames import FramesSettings, crops_of, look_for_screen
from emurl.report.lss import livesplit
from emurl.report.splits_sheet import Shot, draw_sheet
from emurl.rewards.split_times import SplitTimes, bests, median_runs, medians
from emurl.rewards.splits import SplitJudge
from emurl.screen import decode as unpacked
from emurl.screen import encode
from emurl.training.supervised import resolve_device

NAMED = 4  # runs that a message about an unknown one names
MEDIAN = "Footage Median"  # the comparison in a LiveSplit file


@dataclass
class _Course:
    """The judge, the footage it was made from, and the times of every run of it."""

    reward: Artifact
    frames: Artifact
    tokenizer: Artifact
    judge: SplitJudge
    reader: FrameReader
    runs: list[SplitTimes]

    @property
    def fps(self) -> float:
        return self.reader.videos[0].fps


def splits(
    config: Config, store: Store, what: str | None = None, *, sheet: str | None = None, lss: str | None = None,
    judge_of: str = "reward",
) -> dict[str, Any]:  # fmt: skip
    """The times at which runs pass the splits of a `reward` artifact.

    Args:
        what: a run of the footage (its run_id or video_id) or a video file; None: every run of the footage.
        sheet: a .png to write, one picture a split. lss: a file for LiveSplit to write.
        judge_of: the ref of the reward artifact; the newest where no version is named.

    Returns:
        Of one run `{run, video, reward, fps, finished, splits}`, of all `{reward, fps, runs, splits}`; see `docs/howto/splits.md`.

    Raises:
        InputError: no such run or file, a file that is no video, a reward artifact without a course, or an output that cannot be written.
        WorkError: the screen of the video was not found.
    """
    require_file("--sheet", sheet, ".png")
    require_file("--lss", lss, ".lss")
    device, tracker = resolve_device(config.device), Tracker("splits")
    reward = store.get(judge_of)
    if reward.stage != "reward":
        raise InputError(f"--input {judge_of}: is of stage {reward.stage}, expected a version of reward")
    frames, tokenizer = (store.get(reward.parent(name)) for name in ("frames", "tokenizer"))
    judge, alignment = load_judge(reward, device), alignment_of(reward)
    if not judge.splits and (sheet or lss):
        raise InputError(
            f"{'--sheet' if sheet else '--lss'}: the runs of {frames.ref} have no splits in common, there is nothing to write"
        )
    reader = FrameReader(frames.folder)
    place, video = (None, None) if what is None else _which(what, reader, frames)
    tokens = Tokens(reader, frames, tokenizer)
    if video is None:
        course = _Course(reward, frames, tokenizer, judge, reader, footage_times(judge, alignment, tokens, tracker))
        shown = [course.runs[place]] if place is not None else course.runs
        pictures = _of_footage(course, [place] * len(judge.splits)) if place is not None else None
    else:
        # What takes longest and may fail comes first.
        mine, pictures = _watch(
            video, config.frames, reader.videos[0].fps, judge, alignment, tokenizer, str(device), tracker, sheet is not None
        )
        course = _Course(reward, frames, tokenizer, judge, reader, footage_times(judge, alignment, tokens, tracker))
        shown = [mine]
    if sheet is not None:
        usual = _of_footage(course, median_runs(course.runs))
        title = f"{shown[0].name} beside the median run" if pictures else f"{len(course.runs)} runs, the median one at each split"
        image = draw_sheet(f"{title} - {reward.ref}", reader.spec, usual, pictures)
        _write("--sheet", sheet, lambda aside: image.save(aside))
    if lss is not None:
        usual_times = medians(run.seconds for run in course.runs)
        text = livesplit(config.runs.game, _category(frames, place), shown, {MEDIAN: usual_times})
        _write("--lss", lss, lambda aside: aside.write_bytes(text))
    return _told(course, shown[0], video) if what is not None else _told_all(course)


def _which(what: str, reader: FrameReader, frames: Artifact) -> tuple[int | None, Path | None]:
    """The place of a run in the footage, or the video file of that name.

    Raises:
        InputError: it is neither, or there are several.
    """
    found = [place for place, video in enumerate(reader.videos) if what in (video.id, video.run_id)]
    if len(found) == 1:
        return found[0], None
    if found:
        ids = ", ".join(reader.videos[place].id for place in found[:NAMED])
        raise InputError(f"{what}: a run of {len(found)} videos in {frames.ref}, expected one of them: {ids}")
    path = Path(what)
    if path.exists():
        return None, path
    ids = ", ".join(video.run_id for video in reader.videos[:NAMED]) + (", …" if len(reader.videos) > NAMED else "")
    raise InputError(
        f"{what}: no such file, and no run of {frames.ref}, expected a video or one of its {len(reader.videos)} runs: {ids}"
    )


def _watch(
    path: Path, settings: FramesSettings, fps: float, judge: SplitJudge, alignment: AlignmentSettings, tokenizer: Artifact, device: str,
    tracker: Tracker, pictured: bool,
) -> tuple[SplitTimes, list[Shot] | None]:  # fmt: skip
    """The times of a video that is not of the footage, and what it shows at each split where that is to be `pictured`."""
    crops = crops_of(settings)
    watch = Stopwatch(judge, alignment)
    with TemporaryFile() as kept:  # every frame, packed: when it was is told at the end
        try:
            told = probe(path).duration_s
            duration = clock_of(path, settings.sampling.longest_gap_s).duration_s(told)
            given = next((crops[key] for key in (str(path), path.name, path.stem) if key in crops), None)
            tracker.message(f"{path}: looking for the screen")
            segments, ways = look_for_screen(path, settings, given, duration or float("inf"))
            if not ways:
                raise WorkError(f"{path}: no screen that could be trusted ({segments[0].reason}); see frames.crop_config")
            model = Tokenizer.from_pretrained(tokenizer.path("model"), device)
            # What the tokenizer reads; how a video becomes that is the settings' matter.
            screen = settings.screen.model_copy(update={"channels": model.channels, "shades": model.shades})
            spec = screen.spec
            chunks = closing(decode(path, ways, fps, settings.flags, settings.sampling.longest_gap_s, screen))
            with chunks as coming, tracker.progress(max(1, round(duration * fps)), f"splits of {path.name}", "frames") as bar:
                for chunk in coming:
                    game = np.flatnonzero(chunk.flags & NOT_GAME == 0)
                    if len(game):
                        watch.show(model.encode(chunk.frames[game]).cpu().numpy(), chunk.first + game)
                    if pictured:
                        kept.seek(chunk.first * spec.frame_bytes)
                        kept.write(encode(chunk.frames, spec).data)
                    bar.update(len(chunk.frames))
                    if watch.finished:
                        break
        except NotAVideo as error:
            raise InputError(f"{path}: {error}, expected a video") from None
        times = watch.read(path.stem, fps)
        if not pictured:
            return times, None

        def shown(frame: int) -> np.ndarray:
            kept.seek(frame * spec.frame_bytes)
            return unpacked(np.frombuffer(kept.read(spec.frame_bytes), np.uint8)[None], spec)[0]

        pictures = [times.picture(split) for split in range(len(judge.splits))]
        seen = [None if frame is None else shown(frame) for frame in pictures]
    return times, [Shot(picture, seconds) for picture, seconds in zip(seen, times.seconds, strict=True)]


def _of_footage(course: _Course, places: Sequence[int | None]) -> list[Shot]:
    """What the footage shows at each split, of the run in that place."""
    shots = []
    for split, place in enumerate(places):
        frame = None if place is None else course.runs[place].picture(split)
        if place is None or frame is None:
            shots.append(Shot(None, None))
        else:
            shots.append(Shot(course.reader.read(place, [frame])[0], course.runs[place].seconds[split]))
    return shots


def _category(frames: Artifact, place: int | None) -> str:
    """The category of a run, or the one that most runs of the footage are of."""
    table = pd.read_parquet(frames.path("videos.parquet"))
    if "category" not in table:
        return ""
    told = table["category"].fillna("").astype(str)
    return str(told.iloc[place] if place is not None else told.mode().iloc[0])


# --- what is told ----------------------------------------------------------------------------------------------------


def _told(course: _Course, run: SplitTimes, video: Path | None) -> dict[str, Any]:
    usual = medians(one.seconds for one in course.runs)
    rows = [{**row, "median_seconds": _rounded(usual[number])} for number, row in enumerate(_rows(course, run))]
    return {
        "run": run.name, "video": None if video is None else str(video), "reward": course.reward.ref, "fps": course.fps,
        "finished": run.finished, "splits": rows,
    }  # fmt: skip


def _told_all(course: _Course) -> dict[str, Any]:
    times, segments = [run.seconds for run in course.runs], [run.segments for run in course.runs]
    columns = {
        "median_seconds": medians(times),
        "median_segment_seconds": medians(segments),
        "best_segment_seconds": bests(segments),
    }
    rows = [
        {
            "number": number + 1, "position": split.position, **{name: _rounded(column[number]) for name, column in columns.items()},
            "passed_by": sum(one[number] is not None for one in times),
        }
        for number, split in enumerate(course.judge.splits)
    ]  # fmt: skip
    runs = [
        {"run": run.name, "split": video.split, "finished": run.finished, "splits": _rows(course, run)}
        for run, video in zip(course.runs, course.reader.videos, strict=True)
    ]
    return {"reward": course.reward.ref, "fps": course.fps, "runs": runs, "splits": rows}


def _rows(course: _Course, run: SplitTimes) -> list[dict[str, Any]]:
    told = zip(course.judge.splits, run.seconds, run.segments, strict=True)
    return [
        {"number": number, "position": split.position, "seconds": _rounded(seconds), "segment_seconds": _rounded(segment)}
        for number, (split, seconds, segment) in enumerate(told, 1)
    ]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


# --- what is written -------------------------------------------------------------------------------------------------


def _write(option: str, name: str, write: Callable[[Path], Any]) -> None:
    with writing(f"{option} {name}"), write_atomically(Path(name)) as aside:
        write(aside)
