"""One pass of ffmpeg over a video, straight into frames of four shades.

ffmpeg drops the pictures between two wanted times, takes the luma plane and cuts the window out, all before a byte crosses
the pipe; the resampling to 160×144 is two small matrix products a frame (see `resample`), because a rectangle found to a
fraction of a pixel is worth keeping to a fraction of a pixel. Nothing is written to disk on the way.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
import imageio_ffmpeg
import numpy as np

from emurl.screen import HEIGHT, WIDTH
from emurl.speedruns.find_screen import Segment
from emurl.speedruns.resample import Resampler
from emurl.speedruns.shades import Calibration, calibrate
from emurl.speedruns.video import PLANAR, NotAVideo, probe

BLANK, DUPLICATE, NOT_GAME = 1, 2, 4
CHUNK = 32  # frames handed over at a time
FOREIGN = (
    0.2,
    0.6,
)  # distance from the shades (see `Calibration.residual`) that no game frame has: usually 4 times the video's mean
SAME_PIXELS = 8  # fewer differing pixels than a letter has: compression noise


@dataclass(frozen=True)
class Way:
    """A segment together with how its pixels become frames."""

    segment: Segment
    resampler: Resampler
    calibration: Calibration


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a video."""

    first: int  # index of the first frame
    frames: np.ndarray  # uint8 (n, 144, 160), ranks 0…3
    flags: np.ndarray  # uint8 (n,): BLANK | DUPLICATE | NOT_GAME


def plan(times: np.ndarray, pictures: np.ndarray, segments: list[Segment]) -> list[Way]:
    """Calibrate every segment that has a screen, on those of the sampled `pictures` (n, height, width) that fall into it."""
    ways = []
    for segment in segments:
        if segment.rect is None:
            continue
        mine = (times >= segment.start) & (times <= segment.end)
        calibration, resampler = calibrate(pictures[mine] if mine.any() else pictures, segment.rect)
        ways.append(Way(segment, resampler, calibration))
    return ways


def decode(path: Path, ways: list[Way], fps: float) -> Iterator[Chunk]:
    """Frames of the video, `fps` a second from its first picture on. Times outside all ways are flagged `NOT_GAME`.

    Raises `NotAVideo` when ffmpeg fails before the first frame; a damaged tail only ends the frames early.
    """
    if not ways:
        raise ValueError("no way from video to frames: find the screen first")
    boxes = np.array([way.resampler.window for way in ways])
    x, y = boxes[:, :2].min(axis=0)
    right, bottom = (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    width, height = int(right - x), int(bottom - y)
    size = width * height
    previous: np.ndarray | None = None
    first = 0
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            _command(path, fps, (int(x), int(y), width, height)), stdout=subprocess.PIPE, stderr=complaints, bufsize=0
        )
        try:
            for crops in _ahead(process, size):
                count = len(crops)
                crops = crops.reshape(count, height, width)
                frames, flags = _convert(crops, (int(x), int(y)), ways, (first + np.arange(count)) / fps)
                flags |= DUPLICATE * _repeats(frames, previous)
                yield Chunk(first, frames, flags)
                previous = frames[-1]
                first += count
        finally:
            process.kill()  # a generator may be left in the middle; one that has ended is not hurt
            process.wait()
        if first == 0:
            complaints.seek(0)
            text = " ".join(complaints.read().decode(errors="replace").split())
            raise NotAVideo(f"ffmpeg gave no frame ({text[-160:] or 'no reason given'})")


def _ahead(process: subprocess.Popen[bytes], size: int) -> Iterator[np.ndarray]:
    """Chunks of pictures of `size` bytes, uint8 (n, size); the next one is read while one is worked on, for a pipe holds less
    than a picture and the decoder would stand still."""
    pipe = process.stdout
    assert pipe is not None
    with pipe, ThreadPoolExecutor(1) as reader:
        coming = reader.submit(_read, pipe, size * CHUNK)
        try:
            while True:
                data = coming.result()
                count = len(data) // size
                if not count:
                    return
                coming = reader.submit(_read, pipe, size * CHUNK)
                yield np.frombuffer(data, np.uint8, count * size).reshape(count, size)
        finally:
            process.kill()  # or the reader would wait for a decoder that nobody listens to


def frame_count(path: Path, fps: float) -> int:
    """How many frames `decode` is about to give, for a progress bar: an estimate from the container."""
    return max(1, round(probe(path).duration_s * fps))


def _command(path: Path, fps: float, window: tuple[int, int, int, int]) -> list[str]:
    x, y, width, height = window
    stream = (
        # `file:` keeps ffmpeg from reading a protocol into a name.
        ffmpeg.input(f"file:{path}", noautorotate=None, threads=1)
        .video.filter("setpts", "PTS-STARTPTS")
        .filter("fps", fps=fps, start_time=0, round="up")
        .filter("format", "|".join(PLANAR))
        .filter("extractplanes", "y")
        .filter("crop", width, height, x, y, exact=1)
        .output("pipe:", format="rawvideo", pix_fmt="gray", loglevel="error", sn=None, dn=None, an=None)
        .global_args("-nostdin", "-hide_banner")
    )
    return list(ffmpeg.compile(stream, cmd=imageio_ffmpeg.get_ffmpeg_exe()))


def _read(pipe: object, size: int) -> bytearray:
    """Exactly `size` bytes, fewer at the end."""
    buffer = bytearray(size)
    view = memoryview(buffer)
    got = 0
    while got < size:
        more = pipe.readinto(view[got:])  # type: ignore[attr-defined]
        if not more:
            break
        got += more
    view.release()
    return buffer if got == size else buffer[:got]


def _convert(crops: np.ndarray, corner: tuple[int, int], ways: list[Way], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Window pictures → frames and flags, each by the way its time falls into."""
    frames: np.ndarray | None = None
    flags = np.full(len(crops), NOT_GAME, np.uint8)
    for number, way in enumerate(ways):
        # Before the first and after the last sampled picture the nearest layout holds.
        start = way.segment.start if number or way.segment.start > 2.5 else -1.0
        end = way.segment.end if number + 1 < len(ways) else np.inf
        mine = (times >= start) & (times < end)
        if not mine.any():
            continue
        x, y, width, height = way.resampler.window
        x, y = x - corner[0], y - corner[1]
        grey = way.resampler(crops[mine, y : y + height, x : x + width])
        ranks = way.calibration.ranks(grey)
        if frames is None:
            frames = np.zeros((len(crops), *ranks.shape[1:]), np.uint8)
        frames[mine] = ranks
        flags[mine] = BLANK * _blank(ranks) | NOT_GAME * _foreign(grey, ranks, way.calibration)
    if frames is None:
        frames = np.zeros((len(crops), HEIGHT, WIDTH), np.uint8)
    return frames, flags


def _blank(ranks: np.ndarray) -> np.ndarray:
    """Whether one shade holds more than 99.5 % of a frame."""
    share = np.stack([(ranks == shade).mean(axis=(1, 2)) for shade in range(4)])
    return (share.max(axis=0) > 0.995).astype(np.uint8)


def _foreign(grey: np.ndarray, ranks: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Whether a frame is no picture of the calibrated four shades: a card, a menu of the stream."""
    return (calibration.distance(grey) > np.clip(4 * calibration.residual, *FOREIGN)).astype(np.uint8)


def _repeats(frames: np.ndarray, previous: np.ndarray | None) -> np.ndarray:
    """Whether each frame shows what the one before it showed."""
    before = np.concatenate([frames[:1] if previous is None else previous[None], frames[:-1]])
    same = (frames != before).sum(axis=(1, 2)) <= SAME_PIXELS
    if previous is None:
        same[0] = False
    return same.astype(np.uint8)
