"""`frames`: find the game's screen in every video, decode once, pack to shards. Unsure means rejected and reported.

screen.json, videos.parquet, frames.parquet, shards/<video_id>.bin   see `emurl.footage.dataset`
rejected.json   videos left out: video_id, url, reason, segments      screens.png   what was found, for a look
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import Field

from emurl.core.errors import WorkError
from emurl.core.files import write_atomically
from emurl.core.progress import Progress
from emurl.core.settings import NOT_IN_FINGERPRINT, PathText, Positive, Rate, Settings, Share
from emurl.core.store import Artifact, Output
from emurl.core.threads import Stop, each
from emurl.core.tracking import Tracker
from emurl.footage.dataset import BLANK, DUPLICATE, NOT_GAME, ShardWriter, split_of, write_index
from emurl.footage.decode import FlagSettings, Way, decode, plan
from emurl.footage.screen_finder.crops import Crops, load_crops
from emurl.footage.screen_finder.finder import Segment, find_in_sample
from emurl.footage.screen_finder.sheet import contact_sheet
from emurl.footage.screen_finder.thresholds import FinderSettings
from emurl.footage.tables import with_columns
from emurl.footage.video import NotAVideo, SamplingSettings, sample
from emurl.pipelines.speedrun.videos import keep
from emurl.screen import ScreenSettings, ScreenSpec

SHOWN = 12  # videos on the contact sheet

METRICS: dict[str, str] = {
    "frames": "frames in the shards",
    "videos": "videos whose screen was found; beside `rejected`",
    "rejected": "↓ videos whose screen was not found or not trusted; rejected.json says why",
    "val_videos": "videos held out for measuring",
    "blank_share": "share of frames of a single shade",
    "duplicate_share": "share of frames equal to the one before",
    "not_game_share": "share of frames that show a card or a menu of the stream instead of the game",
    "confidence_min": "↑ lowest confidence in a screen that was accepted, 0 … 1",
    "residual_mean": "↓ mean distance of pixels from the shade they were read as: 0 clean, about 0.5 where there are no shades",
    "bytes_per_frame": "size of a frame on disk, in bytes",
}


class FramesSettings(Settings):
    """`frames`: how often to look, and how sure to be of the screen."""

    fps: Rate = 8.0  # frames a second of footage
    val_share: Share = 0.2  # of the videos are held out, by a hash of their names
    min_confidence: Share = 0.5  # of the screen; a video below it is rejected
    # Screens given by hand (JSON); the default file may be absent.
    crop_config: Annotated[PathText | None, Field(json_schema_extra=NOT_IN_FINGERPRINT)] = "configs/video_crop_config.json"
    parallel: Positive = Field(default=2, json_schema_extra=NOT_IN_FINGERPRINT)  # videos at a time
    screen: ScreenSettings = ScreenSettings()  # what a frame is
    sampling: SamplingSettings = SamplingSettings()  # which pictures the screen is looked for in
    finder: FinderSettings = FinderSettings()  # thresholds of the screen finder
    flags: FlagSettings = FlagSettings()  # when a frame is blank, a repetition, or none of the game

    def files(self) -> dict[str, Path]:
        """The crops given by hand: what the file says decides the result, not where it lies.

        The default file may be absent, one that was named may not.
        """
        default = FramesSettings.model_fields["crop_config"].default
        if self.crop_config is None or (self.crop_config == default and not Path(default).exists()):
            return {}
        return {"crop_config": Path(self.crop_config)}


def run(settings: FramesSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Decode the videos that were downloaded, `settings.fps` frames a second. Videos already decoded survive a kill in scratch.

    Raises:
        InputError: the crop file is wrong.
        WorkError: not one video shows a screen that could be trusted.
    """
    spec = settings.screen.spec
    crops = crops_of(settings)
    columns = ("video_id", "run_id", "url", "file", "category", "player", "time_s", "duration_s", "status")
    table = inputs["videos"].read("videos.parquet", with_columns(*columns))
    rows = [{str(k): v for k, v in row.items()} for row in table[table["status"] == "ok"].to_dict("records")]
    work = output.scratch / "shards"
    work.mkdir(parents=True, exist_ok=True)
    # By what the downloads are known to last: opening a thousand files for a bar's sake takes a minute.
    expected = [max(1, round((row["duration_s"] or 0) * settings.fps)) for row in rows]
    with tracker.progress(sum(expected), "screens and frames", "frames") as bar:

        def one(item: tuple[dict[str, Any], int], stop: Stop) -> dict[str, Any]:
            row, expected = item
            return _video(row, inputs["videos"].path(f"videos/{row['file']}"), settings, spec, crops, work, bar, expected, stop)

        facts = each(one, zip(rows, expected, strict=True), settings.parallel)
    good = [fact for fact in facts if fact["frames"]]
    rejected = [fact for fact in facts if not fact["frames"]]
    for fact in rejected:
        tracker.message(f"{fact['url']}: rejected: {fact['reason']}")
    output.path("rejected.json").write_text(
        json.dumps([{k: f[k] for k in ("video_id", "url", "reason", "segments")} for f in rejected], indent=1), encoding="utf-8"
    )
    if not good:
        told = f"the first: {rejected[0]['reason']}" if rejected else "there was none"
        raise WorkError(f"frames: no screen could be trusted in any of {len(facts)} videos ({told}); see frames.crop_config")
    sides = split_of([fact["video_id"] for fact in good], settings.val_share)
    moved = [video for video, side in sides.items() if split_of([video], settings.val_share)[video] != side]
    if moved:
        output.note(
            f"all {len(good)} videos fall on one side of frames.val_share {settings.val_share}: {moved[0]} stands in on the other"
        )
    for fact in good:
        fact["split"] = sides[fact["video_id"]]
        keep(work / f"{fact['video_id']}.bin", output.path(f"shards/{fact['video_id']}.bin"))
    flags = [np.load(work / f"{fact['video_id']}.npy") for fact in good]
    write_index(output.path("screen.json").parent, spec, [_row(fact) for fact in good], flags)
    _report(output, tracker, good, rejected, np.concatenate(flags), spec)
    paths = [inputs["videos"].path(f"videos/{fact['file']}") for fact in (good + rejected)[:SHOWN]]
    _sheet(output.path("screens.png"), [_segments(fact) for fact in (good + rejected)[:SHOWN]], paths, tracker)


def crops_of(settings: FramesSettings) -> Crops:
    """Screens given by hand."""
    file = settings.files().get("crop_config")
    return {} if file is None else load_crops(file)


def look_for_screen(
    path: Path, settings: FramesSettings, given: list[Segment] | None = None, duration_s: float = float("inf")
) -> tuple[list[Segment], list[Way]]:
    """The segments of a video, and the ways from its pixels to frames: none where no screen can be trusted, and the segments say why.

    Args:
        given: segments by hand, instead of looking. duration_s: of the video, where segments end at the latest.

    Raises:
        NotAVideo: it cannot be decoded.
    """
    seen = sample(path, settings=settings.sampling)
    if given is None:
        segments = find_in_sample(seen, settings.finder)
    else:
        segments = [segment.within(*seen.size) for segment in given]
    segments = [_trusted(segment, settings.min_confidence, duration_s) for segment in segments]
    return segments, plan(seen.times, seen.pictures, segments, settings.finder, settings.flags)


def _video(
    row: dict[str, Any],
    path: Path,
    settings: FramesSettings,
    spec: ScreenSpec,
    crops: Crops,
    work: Path,
    bar: Progress,
    expected: int,
    stop: Stop,
) -> dict[str, Any]:
    """One video, decoded into `work` or rejected: its facts, also kept as JSON there so that it is done only once."""
    name = row["video_id"]
    done = work / f"{name}.json"
    if done.exists():
        facts: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        bar.update(expected)
        return facts
    facts = {
        "video_id": name, "run_id": row["run_id"], "url": row["url"], "file": row["file"], "category": row["category"],
        "player": row["player"], "run_s": row["time_s"], "frames": 0, "fps": settings.fps, "duration_s": row["duration_s"],
        "reason": "", "segments": [],
    }  # fmt: skip
    shown = 0
    try:
        given = next((crops[key] for key in (name, row["run_id"], row["url"]) if key in crops), None)
        segments, ways = look_for_screen(path, settings, given, row["duration_s"])
        facts["segments"] = [segment.to_dict() for segment in segments]
        if not ways:
            raise NotAVideo(segments[0].reason)
        flags = []
        with ShardWriter(work / f"{name}.bin", spec) as shard:
            for chunk in decode(path, ways, settings.fps, settings.flags, settings.sampling.longest_gap_s, settings.screen):
                stop.check()
                shard.add(chunk.frames)
                flags.append(chunk.flags)
                shown += len(chunk.frames)
                bar.update(len(chunk.frames))
        longest = max(ways, key=lambda way: way.segment.end - way.segment.start)
        facts["frames"] = shard.count
        facts["rect"] = [round(v, 3) for v in longest.segment.rect or ()]
        facts["confidence"] = round(longest.segment.confidence, 4)
        facts["kernel"] = longest.calibration.kernel
        facts["shades"] = list(longest.calibration.centers)
        facts["residual"] = round(longest.calibration.residual, 4)
        np.save(work / f"{name}.npy", np.concatenate(flags))
    except NotAVideo as error:
        facts["reason"] = str(error)
    bar.update(max(0, expected - shown))
    # Last, and by rename: what has its facts is whole.
    with write_atomically(done) as aside:
        aside.write_text(json.dumps(facts), encoding="utf-8")
    return facts


def _trusted(segment: Segment, least: float, duration_s: float) -> Segment:
    segment = replace(segment, end=min(segment.end, duration_s))
    if segment.rect is None or segment.confidence >= least:
        return segment
    reason = f"screen found with confidence {segment.confidence:.2f}, below frames.min_confidence {least:.2f}"
    return Segment(segment.start, segment.end, None, segment.confidence, reason)


def _row(fact: dict[str, Any]) -> dict[str, Any]:
    """A row of videos.parquet."""
    x, y, width, height = fact["rect"]
    names = (
        "video_id",
        "run_id",
        "split",
        "category",
        "player",
        "run_s",
        "frames",
        "fps",
        "duration_s",
        "url",
        "confidence",
        "kernel",
        "residual",
    )
    shades = {f"shade{rank}": center for rank, center in enumerate(fact["shades"])}
    return {
        **{name: fact[name] for name in names},
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        **shades,
        "segments": json.dumps(fact["segments"]),
    }


def _report(output: Output, tracker: Tracker, good: list[Any], rejected: list[Any], flags: np.ndarray, spec: ScreenSpec) -> None:
    output.metrics["frames"] = len(flags)
    output.metrics["videos"] = len(good)
    output.metrics["rejected"] = len(rejected)
    output.metrics["val_videos"] = sum(fact["split"] == "val" for fact in good)
    for name, flag in (("blank", BLANK), ("duplicate", DUPLICATE), ("not_game", NOT_GAME)):
        output.metrics[f"{name}_share"] = round(float((flags & flag > 0).mean()), 4)
    output.metrics["confidence_min"] = min(fact["confidence"] for fact in good)
    output.metrics["residual_mean"] = round(float(np.mean([fact["residual"] for fact in good])), 4)
    output.metrics["bytes_per_frame"] = spec.frame_bytes
    tracker.log({"frames": float(len(flags)), "rejected": float(len(rejected))}, 0)
    if rejected:
        output.note(f"{len(rejected)} of {len(good) + len(rejected)} videos rejected; rejected.json says why")


def _segments(fact: dict[str, Any]) -> list[Segment]:
    return [
        Segment(
            s["start"],
            min(s["end"], fact["duration_s"]),
            tuple(s["rect"]) if s["rect"] else None,
            s["confidence"],
            s.get("reason", ""),
        )
        for s in fact["segments"]
    ]


def _sheet(target: Path, found: list[list[Segment]], paths: list[Path], tracker: Tracker) -> None:
    rows = []
    for path, segments in zip(paths, found, strict=True):
        if not segments:
            continue  # not even looked for: no video, as rejected.json says
        try:
            rows.append(contact_sheet(path, segments[:2]))
        except NotAVideo:
            continue  # already told in rejected.json
    if rows:
        picture = np.concatenate(rows)
        cv2.imwrite(str(target), picture[..., ::-1])
        tracker.image("screens", picture, 0)
