"""Look into a video file: what it is (`probe`) and a few dozen luma pictures spread over it (`sample`).

PyAV does both; the sequential decode of a whole video is ffmpeg's job (see `decode`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from emurl.core.settings import NonNegative, Positive, Settings


class SamplingSettings(Settings):
    """Which pictures of a video the screen is looked for in: `frames.sampling`."""

    pictures: Positive = 48  # spread over the video
    min_keyframes: Positive = 20  # with fewer key frames than that, other pictures are taken, too
    seek_above_s: NonNegative = 240.0  # longer videos are sampled by seeking, shorter ones read through


DEFAULTS = SamplingSettings()


class NotAVideo(Exception):
    """The file holds no picture that can be decoded; the message says what it holds instead."""


@dataclass(frozen=True)
class Probe:
    """What a file says of itself: picture size in pixels, seconds, pictures a second (0 when unknown), container."""

    width: int
    height: int
    duration_s: float
    fps: float
    codec: str
    container: str
    has_audio: bool


def probe(path: Path) -> Probe:
    """Open `path` and decode its first picture. Raises `NotAVideo` with the reason when that fails."""
    if not path.is_file():
        raise NotAVideo("no such file")
    if path.stat().st_size == 0:
        raise NotAVideo("empty file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                kinds = sorted({stream.type for stream in container.streams})
                raise NotAVideo(f"no video stream, only {', '.join(kinds) or 'nothing'}")
            stream = container.streams.video[0]
            next(container.decode(stream))
            duration = float(container.duration or 0) / av.time_base
            if not duration and stream.duration and stream.time_base:
                duration = float(stream.duration * stream.time_base)
            return Probe(
                width=stream.width,
                height=stream.height,
                duration_s=duration,
                fps=float(stream.average_rate or 0),
                codec=stream.codec_context.name,
                container=container.format.name,
                has_audio=bool(container.streams.audio),
            )
    except StopIteration:
        raise NotAVideo("no picture can be decoded") from None
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise NotAVideo(f"not a video ({_short(error)})") from None


def held_s(path: Path) -> float:
    """Seconds of pictures a file really holds, read from its packets: a container cut off in the middle still promises all
    of them."""
    last = 0.0
    try:
        with av.open(str(path)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.pts is not None and packet.time_base and packet.size and not packet.is_corrupt:
                    last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    except av.FFmpegError:
        pass  # what was read before the damage counts
    return last


def sample(
    path: Path, count: int | None = None, start: float = 0.0, end: float | None = None, settings: SamplingSettings = DEFAULTS
) -> tuple[np.ndarray, np.ndarray]:
    """About `count` (None: `settings.pictures`) pictures spread over `path` between two times: seconds (n,), luma uint8 (n, height, width).

    Short videos are read through key frame by key frame, and picture by picture when those are too few; long ones are
    sought. Raises `NotAVideo` when nothing can be decoded.
    """
    count = settings.pictures if count is None else count
    facts = probe(path)
    end = facts.duration_s if end is None else min(end, facts.duration_s or end)
    if end - start > settings.seek_above_s:
        found = list(_seek(path, np.linspace(start, end, count + 2)[1:-1]))
    else:
        found = [item for item in _read(path, True, None) if start <= item[0] <= end]
        if len(found) >= settings.min_keyframes:
            found = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, count).astype(int))]
        else:
            wanted = np.linspace(start, end, count + 2)[1:-1]
            found = list(_read(path, False, wanted))
    if not found:
        raise NotAVideo("no picture can be decoded")
    times, pictures = zip(*found, strict=True)
    shape = pictures[0].shape
    same = [i for i, picture in enumerate(pictures) if picture.shape == shape]
    return np.array([times[i] for i in same]), np.stack([pictures[i] for i in same])


def luma(frame: av.VideoFrame) -> np.ndarray:
    """The luma plane of a decoded picture, uint8 (height, width), as coded (limited range is not stretched)."""
    if frame.format.name not in PLANAR:
        frame = frame.reformat(format=PLANAR[0])
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width].copy()


PLANAR = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")  # the first plane is luma, 8 bits


def _read(path: Path, keys_only: bool, wanted: np.ndarray | None) -> Iterator[tuple[float, np.ndarray]]:
    """Read through the file; with `wanted` times, the first picture at or after each."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        if keys_only:
            stream.codec_context.skip_frame = "NONKEY"
        due = 0
        try:
            for frame in container.decode(stream):
                time = float(frame.time or 0.0)
                if wanted is not None:
                    if due >= len(wanted):
                        return
                    if time < wanted[due]:
                        continue
                    due = int(np.searchsorted(wanted, time, side="right"))
                yield time, luma(frame)
        except av.FFmpegError:
            return  # a damaged tail: what was read before it still counts


def _seek(path: Path, wanted: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """The key frame before each wanted time; where two times share one, the first picture after the later time."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        last = -1.0
        for time in wanted:
            try:
                container.seek(int(time * av.time_base))
                for frame in container.decode(stream):
                    at = float(frame.time or 0.0)
                    if at > last + 1e-3 and (at > last + 1.0 or at >= time):
                        last = at
                        yield at, luma(frame)
                        break
            except (av.FFmpegError, StopIteration):
                continue


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
