"""Look into a video file: what it is (`probe`) and a few dozen luma pictures spread over it (`sample`).

PyAV does both; the sequential decode of a whole video is ffmpeg's job (see `decode`). Times are seconds of footage since the
first picture (see `clock`), pictures stand upright, and what is damaged is passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import ColorRange, Colorspace

from emurl.core.settings import NonNegative, Positive, Rate, Settings
from emurl.footage.clock import Clock, clock_of


class SamplingSettings(Settings):
    """Which pictures of a video the screen is looked for in: `frames.sampling`."""

    pictures: Positive = 48  # spread over the video
    min_keyframes: Positive = 20  # with fewer key frames than that, other pictures are taken, too
    seek_above_s: NonNegative = 240.0  # longer videos are sampled by seeking, shorter ones read through
    longest_gap_s: Rate = 60.0  # between two pictures; in a longer one the file's clock was set, and no time passed


DEFAULTS = SamplingSettings()

# Weights of red and blue in luma (ITU-R BT.601 and BT.709). A video that does not say which it was made with is taken for the former,
# as ffmpeg does.
BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)


class NotAVideo(Exception):
    """The file holds no picture that can be decoded; the message says what it holds instead."""


@dataclass(frozen=True)
class Turn:
    """How a picture as coded becomes upright: rows for columns first, then mirrored."""

    transpose: bool = False
    across: bool = False  # left for right
    down: bool = False  # top for bottom

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """A picture (height, width), upright."""
        turned = picture.T if self.transpose else picture
        return np.ascontiguousarray(turned[:: -1 if self.down else 1, :: -1 if self.across else 1])

    @property
    def filters(self) -> list[tuple[str, str]]:
        """The same for ffmpeg: names of filters and their arguments."""
        named = (self.transpose, ("transpose", "cclock_flip")), (self.across, ("hflip", "")), (self.down, ("vflip", ""))
        return [one for wanted, one in named if wanted]


@dataclass(frozen=True)
class Coding:
    """How pictures are coded.

    Attributes:
        size: width and height of the upright picture, in pixels. step: pixels, across and down, that share one number of chroma, once
            they are of `formats`: 2, or 1.
        full_range: black is 0 and white 255, not 16 and 235. weights: of red and blue in luma.
    """

    size: tuple[int, int] = (0, 0)
    step: int = 2
    full_range: bool = False
    weights: tuple[float, float] = BT601

    @property
    def formats(self) -> tuple[str, ...]:
        """ffmpeg's names of what its planes are to be, all of them wanted."""
        return HALVED if self.step == 2 else ("yuvj444p" if self.full_range else "yuv444p",)


@dataclass(frozen=True)
class Probe:
    """What a file says of itself: size of its upright pictures in pixels, seconds, pictures a second (0 when unknown), container."""

    width: int
    height: int
    duration_s: float
    fps: float
    codec: str
    container: str
    has_audio: bool
    turn: Turn = Turn()
    coding: Coding = Coding()


@dataclass(frozen=True, eq=False)
class Sample:
    """Pictures of a video: seconds of footage (n,), luma uint8 (n, height, width), the size of each (n, 2) as width, height, and
    the times at which pictures of another size begin, with that size.

    A smaller picture than the largest lies in the corner at the top left, on black.
    """

    times: np.ndarray
    pictures: np.ndarray
    sizes: np.ndarray
    begins: list[tuple[float, tuple[int, int]]]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that all of its pictures lie within."""
        width, height = self.sizes.max(axis=0).tolist()
        return width, height


def probe(path: Path) -> Probe:
    """Open `path` and decode its first picture. Raises `NotAVideo` with the reason when that fails."""
    if not path.is_file():
        raise NotAVideo("no such file")
    if path.stat().st_size == 0:
        raise NotAVideo("empty file")
    try:
        # `file:` keeps FFmpeg from reading a protocol into a name such as run:1.mp4.
        with av.open(f"file:{path}") as container:
            if not container.streams.video:
                kinds = sorted({stream.type for stream in container.streams})
                raise NotAVideo(f"no video stream, only {', '.join(kinds) or 'nothing'}")
            stream = container.streams.video[0]
            first = next(_pictures(container, stream))
            duration = float(container.duration or 0) / av.time_base
            if "matroska" in container.format.name and container.start_time:
                # Its header counts from zero, the others' from their first picture.
                duration = max(0.0, duration - container.start_time / av.time_base)
            if not duration and stream.duration and stream.time_base:
                duration = float(stream.duration * stream.time_base)
            turn = _turn(first)
            width, height = (first.height, first.width) if turn.transpose else (first.width, first.height)
            return Probe(
                width=width,
                height=height,
                duration_s=duration,
                fps=float(stream.average_rate or 0),
                codec=stream.codec_context.name,
                container=container.format.name,
                has_audio=bool(container.streams.audio),
                turn=turn,
                coding=_coding(first, (width, height)),
            )
    except StopIteration:
        raise NotAVideo("no picture can be decoded") from None
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise NotAVideo(f"not a video ({_short(error)})") from None


def sample(
    path: Path, count: int | None = None, start: float = 0.0, end: float | None = None, settings: SamplingSettings = DEFAULTS
) -> Sample:
    """About `count` (None: `settings.pictures`) pictures spread over `path` between two times.

    Short videos are read through key frame by key frame, and picture by picture when those are too few; long ones are
    sought. Raises `NotAVideo` when nothing can be decoded.
    """
    count = settings.pictures if count is None else count
    facts = probe(path)
    clock = clock_of(path, settings.longest_gap_s)
    duration = clock.duration_s(facts.duration_s)
    end = duration if end is None else min(end, duration or end)
    wanted = np.linspace(start, end, count + 2)[1:-1]
    long = end - start > settings.seek_above_s
    look = _Look(path, clock, facts.turn)
    if long and not clock.jumps:
        found = list(look.seek(wanted))
    elif long:
        found = list(look.read(True, wanted))
    else:
        found = [item for item in look.read(True, None) if start <= item[0] <= end]
        if len(found) >= settings.min_keyframes:
            found = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, count).astype(int))]
        else:
            look = _Look(path, clock, facts.turn)
            found = list(look.read(False, wanted))
    if not found:
        raise NotAVideo("no picture can be decoded")
    times, pictures = zip(*found, strict=True)
    sizes = np.array([picture.shape[::-1] for picture in pictures])
    width, height = sizes.max(axis=0)
    if (sizes != (width, height)).any():
        room = np.zeros((len(pictures), height, width), np.uint8)
        for place, picture in zip(room, pictures, strict=True):
            place[: picture.shape[0], : picture.shape[1]] = picture
    else:
        room = np.stack(pictures)
    return Sample(np.array(times), room, sizes, look.begins)


def luma(frame: av.VideoFrame) -> np.ndarray:
    """The luma plane of a decoded picture, uint8 (height, width), as coded (limited range is not stretched)."""
    if frame.format.name not in PLANAR:
        frame = frame.reformat(format=PLANAR[0])
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width].copy()


HALVED = ("yuv420p", "yuvj420p")  # 8 bits, chroma half as fine across and down
PLANAR = (*HALVED, "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")  # the first plane is luma, 8 bits


class _Look:
    """A way through a video; `begins` keeps when pictures of another size began, and with which size the first one did."""

    def __init__(self, path: Path, clock: Clock, turn: Turn) -> None:
        self.path, self.clock, self.turn = path, clock, turn
        self.begins: list[tuple[float, tuple[int, int]]] = []

    def read(self, keys_only: bool, wanted: np.ndarray | None) -> Iterator[tuple[float, np.ndarray]]:
        """Read through the file; with `wanted` times, the first picture at or after each."""
        read = self.clock.reader()
        due = 0
        with av.open(f"file:{self.path}") as container:
            for frame in _pictures(container, _video(container, keys_only)):
                time = read(frame.time)
                self._sized(time, frame)
                if wanted is not None:
                    if due >= len(wanted):
                        return
                    if time < wanted[due]:
                        continue
                    due = int(np.searchsorted(wanted, time, side="right"))
                yield time, self.turn(luma(frame))

    def seek(self, wanted: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
        """The key frame before each wanted time; where two times share one, the first picture after the later time."""
        begins = self.clock.pieces[0].first
        sizes: list[tuple[float, tuple[int, int]]] = []
        with av.open(f"file:{self.path}") as container:
            stream = _video(container, False)
            last = -1.0
            for time in wanted:
                try:
                    container.seek(int((time + begins) * av.time_base))
                except av.FFmpegError:
                    continue
                for frame in _pictures(container, stream):
                    at = float(frame.time or 0.0) - begins
                    if at > last + 1e-3 and (at > last + 1.0 or at >= time):
                        last = at
                        sizes.append((at, self._size(frame)))
                        yield at, self.turn(luma(frame))
                        break
        self.begins = sizes[:1]
        for (before, old), (after, new) in pairwise(sizes):
            if old != new:
                self._changed(before, after)

    def _changed(self, before: float, after: float) -> None:
        """Read the key frames between two times for when the size changes: it does so at one of them."""
        begins = self.clock.pieces[0].first
        with av.open(f"file:{self.path}") as container:
            container.seek(int((before + begins) * av.time_base))
            for frame in _pictures(container, _video(container, True)):
                at = float(frame.time or 0.0) - begins
                if at > before:
                    self._sized(at, frame)
                if at >= after:
                    return

    def _size(self, frame: av.VideoFrame) -> tuple[int, int]:
        return (frame.height, frame.width) if self.turn.transpose else (frame.width, frame.height)

    def _sized(self, time: float, frame: av.VideoFrame) -> None:
        size = self._size(frame)
        if not self.begins or self.begins[-1][1] != size:
            self.begins.append((time, size))


def _video(container: av.container.InputContainer, keys_only: bool) -> av.VideoStream:
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    if keys_only:
        stream.codec_context.skip_frame = "NONKEY"
    return stream


def _pictures(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Every picture that can be decoded: a few damaged bytes cost those around them, a damaged end what would follow."""
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.FFmpegError:
                continue
    except av.FFmpegError:
        return


def _coding(frame: av.VideoFrame, size: tuple[int, int]) -> Coding:
    halved = frame.format.name in HALVED
    # Pictures of red, green and blue have no matrix of their own; as planes of luma they are made by ffmpeg's usual one.
    weights = BT709 if frame.colorspace == Colorspace.ITU709 and not frame.format.is_rgb else BT601
    full = frame.format.name.startswith("yuvj") or (frame.color_range == ColorRange.JPEG and not frame.format.is_rgb)
    return Coding(size, 2 if halved else 1, full, weights)


def _turn(frame: av.VideoFrame) -> Turn:
    """What the picture's rotation matrix says, which a telephone writes instead of turning its pictures.

    Raises:
        NotAVideo: it is turned by an angle at which no pixel grid stays one.
    """
    told: Any = frame.side_data  # a mapping by `SideData`, whatever its type hints say
    matrix = told.get(SideData.DISPLAYMATRIX)
    if matrix is None:
        return Turn()
    # x' = a x + c y, y' = b x + d y, as whole numbers of 1/65536
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if a and d and not b and not c:
        return Turn(False, a < 0, d < 0)
    if b and c and not a and not d:
        return Turn(True, c < 0, b < 0)
    raise NotAVideo(f"its pictures are turned by {round(math.degrees(math.atan2(c, a)))}°, expected quarter turns or none")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
