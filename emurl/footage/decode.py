"""One pass of ffmpeg over a video, straight into canonical frames.

ffmpeg drops the pictures between two wanted times, takes the luma plane (all planes, for frames in color) and cuts the window
out, all before a byte crosses the pipe; the resampling to 160×144 is two small matrix products a frame (see `resample`), because
a rectangle found to a fraction of a pixel is worth keeping to a fraction of a pixel. Nothing is written to disk on the way.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import ffmpeg
import numpy as np

from emurl.core.errors import WorkError
from emurl.core.ffmpeg import ffmpeg_exe
from emurl.core.settings import Natural, NonNegative, Positive, Settings, Share
from emurl.footage.colors import Layout, Reading, differing, is_plain
from emurl.footage.dataset import BLANK, DUPLICATE, NOT_GAME
from emurl.footage.screen_finder.finder import Segment
from emurl.footage.screen_finder.resample import Resampler
from emurl.footage.screen_finder.shades import Calibration, calibrate, histograms
from emurl.footage.screen_finder.thresholds import DEFAULTS as FINDER
from emurl.footage.screen_finder.thresholds import FinderSettings
from emurl.footage.video import DEFAULTS as SAMPLING
from emurl.footage.video import PLANAR, NotAVideo, Turn, probe
from emurl.screen import HEIGHT, WIDTH, ScreenSettings

CHUNK = 16  # frames handed over at a time: few enough to stay near the processor until they are packed
SCREEN = ScreenSettings()  # the four shades, which are read by a palette
PIPE = 1 << 20  # bytes a pipe may hold, where the system lets us say so; the usual 64 KiB wake both ends for every few rows


class FlagSettings(Settings):
    """When a frame is blank, a repetition, or none of the game: `frames.flags`."""

    blank_share: Share = 0.995  # of a frame's pixels in one shade, above which it is blank
    same_pixels: Natural = (
        8  # that may differ where a frame repeats the one before it: fewer than a letter has, compression noise
    )
    same_levels: Natural = 24  # of 255 by which a pixel may differ and be the same, where frames hold more than four shades
    # Distance from the shades (see `Calibration.residual`) that no game frame has: this many times the video's mean, within these.
    foreign_ratio: NonNegative = 4.0
    foreign_min: Share = 0.2  # at least
    foreign_max: Share = 0.6  # at most
    # Pixels between two shades for each change of shade: 0.03 at most in a game that was scaled well, 0.24 and more where letters
    # have smooth edges. So many times the video's median, within these.
    mixed_ratio: NonNegative = 4.0
    mixed_min: NonNegative = 0.12  # at least
    mixed_max: NonNegative = 1.0  # at most
    min_edges: Positive = 500  # changes of shade below which a handful of odd pixels would count for too much
    lead_in_s: NonNegative = 2.5  # a layout that begins within so many seconds of the video began with it


DEFAULTS = FlagSettings()


@dataclass(frozen=True)
class Way:
    """A segment together with how its pixels become frames, and the median of `_mixed` over its sampled pictures."""

    segment: Segment
    resampler: Resampler
    calibration: Calibration
    mixed: float = 0.0
    room: tuple[int, int] | None = None  # width and height of the largest picture sampled, where smaller ones lie in its corner


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a video."""

    first: int  # index of the first frame
    frames: np.ndarray  # uint8 (n, 144, 160[, 3]), see `ScreenSpec`
    flags: np.ndarray  # uint8 (n,): BLANK | DUPLICATE | NOT_GAME


def plan(
    times: np.ndarray,
    pictures: np.ndarray,
    segments: list[Segment],
    finder: FinderSettings = FINDER,
    flags: FlagSettings = DEFAULTS,
) -> list[Way]:
    """Calibrate every segment that has a screen, on those of the sampled `pictures` (n, height, width) that fall into it."""
    ways = []
    room = pictures.shape[2], pictures.shape[1]
    for segment in segments:
        if segment.rect is None:
            continue
        mine = (times >= segment.start) & (times <= segment.end)
        shown = pictures[mine] if mine.any() else pictures
        calibration, resampler = calibrate(shown, segment.rect, settings=finder)
        gray = resampler(resampler.cut(shown))
        mixed = _mixed(histograms(gray), calibration.ranks(gray), calibration, flags)
        ways.append(Way(segment, resampler, calibration, float(np.median(mixed)), room))
    return ways


def decode(
    path: Path,
    ways: list[Way],
    fps: float,
    settings: FlagSettings = DEFAULTS,
    longest_gap_s: float = SAMPLING.longest_gap_s,
    screen: ScreenSettings = SCREEN,
) -> Generator[Chunk, None, None]:
    """Frames of the video, `fps` a second from its first picture on. Times outside all ways are flagged `NOT_GAME`.

    Four shades are the console's, by the palette of each way; on any other `screen` frames show what the video does, see `colors`.

    No time passes where the file's clock jumps by more than `longest_gap_s` or back, see `clock`.

    Raises:
        NotAVideo: ffmpeg fails before the first frame; a damaged tail only ends the frames early.
        WorkError: somebody else ended ffmpeg (a machine out of memory does): what came is not all there is.
    """
    if not ways:
        raise ValueError("no way from video to frames: find the screen first")
    facts, room = probe(path), ways[0].room
    several = room is not None and not facts.turn.filters
    coding = replace(facts.coding, size=room) if several and room is not None else facts.coding
    layout = Layout.around([way.resampler.window for way in ways], screen.spec, coding)
    places = [way.segment.rect for way in ways if way.segment.rect is not None]
    noise = settings.same_levels
    readings = None if screen.by_palette else [Reading.of(screen.spec, coding, noise, layout, rect) for rect in places]
    same_levels = noise if screen.shades == 256 else 0
    previous: np.ndarray | None = None
    first = 0
    command = _command(
        path, fps, layout, coding.formats if layout.step else PLANAR, longest_gap_s, facts.turn, room if several else None
    )
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, bufsize=0)
        _widen(process)
        try:
            for pictures in _ahead(process, layout.size):
                count = len(pictures)
                frames, flags = _convert(pictures, layout, ways, readings, (first + np.arange(count)) / fps, settings)
                flags |= DUPLICATE * _repeats(frames, previous, settings.same_pixels, same_levels)
                yield Chunk(first, frames, flags)
                previous = frames[-1]
                first += count
        finally:
            process.kill()  # a generator may be left in the middle; one that has ended is not hurt
            process.wait()
        if process.returncode < 0:
            raise WorkError(f"{path}: ffmpeg was ended by signal {-process.returncode} after {first} frames; run again")
        if first == 0:
            complaints.seek(0)
            text = " ".join(complaints.read().decode(errors="replace").split())
            raise NotAVideo(f"ffmpeg gave no frame ({text[-160:] or 'no reason given'})")


def _ahead(process: subprocess.Popen[bytes], size: int) -> Iterator[np.ndarray]:
    """Chunks of pictures of `size` bytes, uint8 (n, size); the next one is read while one is worked on, for a pipe holds less
    than a picture and the decoder would stand still."""
    pipe = process.stdout
    assert pipe is not None
    buffers = [bytearray(size * CHUNK), bytearray(size * CHUNK)]
    with pipe, ThreadPoolExecutor(1) as reader:
        coming = reader.submit(_fill, pipe, buffers[0])
        try:
            while True:
                count = coming.result() // size
                if not count:
                    process.wait()  # it ends by itself, and how it ended is worth knowing
                    return
                full = buffers[0]
                buffers.reverse()  # by the next turn nobody looks at `full` any more
                coming = reader.submit(_fill, pipe, buffers[0])
                yield np.frombuffer(full, np.uint8, count * size).reshape(count, size)
        finally:
            process.kill()  # or the reader would wait for a decoder that nobody listens to


def _widen(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    try:
        import fcntl
    except ImportError:  # a system without it
        return
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # more pipes than the system allows a user: slower, no worse
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE)


def _command(
    path: Path,
    fps: float,
    layout: Layout,
    formats: tuple[str, ...],
    longest_gap_s: float,
    turn: Turn,
    room: tuple[int, int] | None,
) -> list[str]:
    # `file:` keeps ffmpeg from reading a protocol into a name. Its own ways to turn pictures and to mend clocks are not those that
    # the screen was looked for with; where the size of the pictures changes it would begin anew, at time 0 and in the old size.
    options = {"noautorotate": None, "copyts": None, "threads": 1, **({"reinit_filter": 0} if room is not None else {})}
    since = "PTS-PREV_INPTS"
    stream = (
        ffmpeg.input(f"file:{path}", **options)
        .video.filter("setpts", f"if(isnan(PREV_OUTPTS),0,PREV_OUTPTS+({since})*between(({since})*TB,0,{longest_gap_s}))")
        .filter("fps", fps=fps, start_time=0, round="up")
        .filter("format", "|".join(formats))
    )
    for name, how in turn.filters:
        stream = stream.filter(name, how) if how else stream.filter(name)
    if room is not None:
        stream = stream.filter("pad", w=f"max(iw,{room[0]})", h=f"max(ih,{room[1]})", x=0, y=0, eval="frame")
    # Before the plane is taken out, for that copies it, and cutting only moves a pointer.
    stream = stream.filter("crop", layout.width, layout.height, layout.x, layout.y, exact=1)
    if layout.step == 0:
        stream = stream.filter("extractplanes", "y")
    # Planes leave as they are: a format that is asked for might be of another range.
    gray = {"pix_fmt": "gray"} if layout.step == 0 else {}
    stream = stream.output("pipe:", format="rawvideo", **gray, loglevel="error", sn=None, dn=None, an=None)
    return list(ffmpeg.compile(stream.global_args("-nostdin", "-hide_banner"), cmd=ffmpeg_exe()))


def _fill(pipe: IO[bytes], buffer: bytearray) -> int:
    """Read until `buffer` is full or the pipe ends; returns how many bytes came."""
    got = 0
    with memoryview(buffer) as view:
        while got < len(buffer):
            more = pipe.readinto(view[got:])  # type: ignore[attr-defined]
            if not more:
                break
            got += more
    return got


def _convert(
    pictures: np.ndarray,
    layout: Layout,
    ways: list[Way],
    readings: list[Reading] | None,
    times: np.ndarray,
    settings: FlagSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Window pictures uint8 (n, bytes) → frames and flags, each by the way its time falls into; with `readings` not by its palette."""
    luma, *chroma = layout.planes(pictures)
    frames = np.zeros((len(luma), *(readings[0].spec if readings else SCREEN.spec).shape), np.uint8)
    flags = np.full(len(luma), NOT_GAME, np.uint8)
    for number, way in enumerate(ways):
        # Before the first and after the last sampled picture the nearest layout holds.
        start = way.segment.start if number or way.segment.start > settings.lead_in_s else -1.0
        end = way.segment.end if number + 1 < len(ways) else np.inf
        first, last = np.searchsorted(times, (start, end))
        if first == last:
            continue
        x, y, width, height = way.resampler.window
        x, y = x - layout.x, y - layout.y
        gray = way.resampler(luma[first:last, y : y + height, x : x + width])
        ranks = way.calibration.ranks(gray)
        flags[first:last] = _marks(gray, ranks, way, settings)
        if readings is None:
            frames[first:last] = ranks
        else:
            frames[first:last] = readings[number].frames(gray, [plane[first:last] for plane in chroma])
            # A palette has few levels, and much that is drawn in color lies near one of them.
            flags[first:last] &= ~np.uint8(BLANK)
            levels = settings.same_levels if readings[number].spec.shades == 256 else 0
            plain = is_plain(frames[first:last], levels, settings.blank_share)
            flags[first:last] |= BLANK * plain.astype(np.uint8)
    return frames, flags


def _marks(gray: np.ndarray, ranks: np.ndarray, way: Way, settings: FlagSettings) -> np.ndarray:
    """`BLANK` where one shade holds nearly all of a picture, `NOT_GAME` where it is no picture of the calibrated shades on the
    game's grid: a card, a menu of the stream. uint8 (n,) for gray and rank pictures uint8 (n, 144, 160)."""
    found = histograms(gray)
    which = way.calibration.which(found)
    tables = np.eye(4, dtype=np.float32)[way.calibration.tables]  # (palettes, 256, 4)
    blank = (
        np.einsum("ng,ngr->nr", found, tables[which]) > settings.blank_share
        if len(tables) > 1
        else found @ tables[0] > settings.blank_share
    )
    far = (found * way.calibration.distances[which]).sum(axis=1) > np.clip(
        settings.foreign_ratio * way.calibration.residual, settings.foreign_min, settings.foreign_max
    )
    mixed = _mixed(found, ranks, way.calibration, settings) > np.clip(
        settings.mixed_ratio * way.mixed, settings.mixed_min, settings.mixed_max
    )
    return (BLANK * blank.any(axis=1) | NOT_GAME * (far | mixed)).astype(np.uint8)


def _mixed(found: np.ndarray, ranks: np.ndarray, calibration: Calibration, settings: FlagSettings) -> np.ndarray:
    """Pixels that lie between two shades, for each change of shade between neighbors: (n,).

    A game's shades change from one of its pixels to the next, and there is nothing in between. Letters and pictures that a stream
    draws itself are finer than that and leave a mixture at nearly every edge, even in the game's own grays. `found` are the
    `histograms` of the pictures that were read as `ranks`.
    """
    between = (found * (calibration.distances > 0.5)[calibration.which(found)]).sum(axis=1) * (HEIGHT * WIDTH)
    edges = [np.count_nonzero(one[:, 1:] != one[:, :-1]) + np.count_nonzero(one[1:] != one[:-1]) for one in ranks]
    return between / np.maximum(edges, settings.min_edges)


def _repeats(frames: np.ndarray, previous: np.ndarray | None, most: int, levels: int) -> np.ndarray:
    """Whether each frame shows what the one before it showed: `most` pixels may differ by more than `levels`."""
    before = np.concatenate([frames[:1] if previous is None else previous[None], frames[:-1]])
    if levels or frames.ndim == 4:
        flat = (-1, HEIGHT * WIDTH, frames[0].size // (HEIGHT * WIDTH))
        same = differing(frames.reshape(flat), before.reshape(flat), levels).sum(axis=1) <= most
    else:
        same = (frames != before).sum(axis=(1, 2)) <= most
    if previous is None:
        same[0] = False
    return same.astype(np.uint8)
