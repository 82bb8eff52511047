"""What a file's container does to its pictures: a clock that begins late or jumps, a turned camera, damage, another size midway."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from emurl.bench.synthetic import synthetic_screens
from emurl.footage.clock import clock_of
from emurl.footage.dataset import NOT_GAME
from emurl.footage.decode import decode, plan
from emurl.footage.download.downloader import Downloader
from emurl.footage.screen_finder.candidates import iou
from emurl.footage.screen_finder.finder import Segment
from emurl.footage.video import NotAVideo, SamplingSettings, probe, sample
from emurl.pipelines.speedrun.frames import FramesSettings, look_for_screen
from tests.fixtures.drawn_videos import make
from tests.fixtures.shard_videos import GRAYS, RATE, RECT, stream, write_video

GAP = 60.0
SECONDS = 6
FRAMES = FramesSettings(crop_config=None)


@cache
def game(seed: int = 0) -> np.ndarray:
    """Game screens of which no two neighbors are alike, uint8 (180, 144, 160)."""
    wide = np.concatenate(list(synthetic_screens(100, seed))[40:], axis=1)
    return np.stack([wide[:, 2 * number : 2 * number + 160] for number in range(SECONDS * RATE)])


def write(path: Path, pictures: Iterable[np.ndarray]) -> Path:
    """Luma pictures, `RATE` a second, a key frame every half second, with pictures that are coded in another order than shown."""
    waiting = list(pictures)
    height, width = waiting[0].shape
    return write_video(path, waiting, ("-preset", "veryfast", "-crf", "16", "-g", "15", "-bf", "2"), (width, height))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("plain") / "plain.mp4", map(stream, game()))


def remuxed(source: Path, target: Path, *before: str, offset: float = 0.0) -> Path:
    """The same pictures in another container, whose clock begins at `offset` seconds."""
    after = ["-output_ts_offset", str(offset)] if offset else []
    make(target, *before, "-i", str(source), "-c", "copy", *after, "-muxdelay", "0", "-muxpreload", "0")
    return target


def frames_of(path: Path, fps: float = RATE) -> tuple[np.ndarray, np.ndarray]:
    """Frames and flags of a video with the game at `RECT`."""
    seen = sample(path)
    ways = plan(seen.times, seen.pictures, [Segment(0.0, float("inf"), tuple(map(float, RECT)), 1.0)])
    chunks = list(decode(path, ways, fps))
    return np.concatenate([chunk.frames for chunk in chunks]), np.concatenate([chunk.flags for chunk in chunks])


@pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4", "flv"])
def test_a_clock_that_begins_an_hour_late_begins_at_zero(plain: Path, tmp_path: Path, suffix: str):
    late = remuxed(plain, tmp_path / f"late.{suffix}", offset=3600.0)
    assert probe(late).duration_s == pytest.approx(SECONDS, abs=0.15)
    assert clock_of(late, GAP).held_s == pytest.approx(SECONDS, abs=0.05)
    for settings in (SamplingSettings(), SamplingSettings(seek_above_s=1.0)):
        seen = sample(late, settings=settings)
        assert len(seen.times) > 30 and seen.times[0] < 1 and 0.8 * SECONDS < seen.times[-1] < SECONDS
        for time, picture in zip(seen.times, seen.pictures, strict=True):  # each is the picture of its time
            assert cv2.absdiff(picture, stream(game()[round(time * RATE)])).mean() < 10
    frames, flags = frames_of(late, 10.0)
    assert len(frames) == SECONDS * 10 and (flags & NOT_GAME == 0).all() and (frames == game()[::3]).mean() > 0.99


def test_a_chunk_that_was_cut_off_is_short_however_late_its_clock(plain: Path, tmp_path: Path):
    late = remuxed(plain, tmp_path / "abc.mkv", offset=3600.0)
    late.write_bytes(late.read_bytes()[: late.stat().st_size // 2])
    assert 1 < clock_of(late, GAP).held_s < 5
    assert Downloader(tmp_path)._judge(late, "abc", 2.0 * SECONDS, 1).status == "too_short"


@pytest.mark.parametrize(("first", "second"), [(0.0, 72000.0), (500.0, 0.0)], ids=["20 hours on", "back"])
def test_no_time_passes_where_the_clock_jumps(plain: Path, tmp_path: Path, first: float, second: float):
    parts = [remuxed(plain, tmp_path / f"{number}.ts", offset=at) for number, at in enumerate((first, second))]
    path = tmp_path / "jump.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    clock = clock_of(path, GAP)
    assert clock.jumps and clock.held_s == pytest.approx(2 * SECONDS, abs=0.15)
    for settings in (SamplingSettings(), SamplingSettings(seek_above_s=1.0)):
        times = sample(path, settings=settings).times
        assert (np.diff(times) > 0).all() and times[0] < 1 and 10 < times[-1] < 2 * SECONDS
    frames, flags = frames_of(path)
    assert len(frames) == pytest.approx(2 * SECONDS * RATE, abs=3) and (flags & NOT_GAME == 0).all()
    assert (frames[-90:] == game()[-90:]).mean() > 0.99
    segments, _ = look_for_screen(path, FRAMES, None, clock.duration_s(probe(path).duration_s))
    assert len(segments) == 1 and segments[0].rect is not None and iou(segments[0].rect, RECT) > 0.99
    kept = Downloader(tmp_path)._judge(path, "abc", 2.0 * SECONDS, 1)
    assert kept.status == "ok" and kept.facts is not None and kept.facts.duration_s == pytest.approx(12.0, abs=0.15)


def test_a_gap_that_is_short_enough_is_time(plain: Path, tmp_path: Path):
    parts = [remuxed(plain, tmp_path / f"{number}.ts", offset=at) for number, at in enumerate((0.0, 30.0))]
    path = tmp_path / "gap.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert not clock_of(path, GAP).jumps and clock_of(path, GAP).held_s == pytest.approx(30 + SECONDS, abs=0.15)
    assert clock_of(path, 10.0).held_s == pytest.approx(2 * SECONDS, abs=0.15)
    assert len(frames_of(path, 10.0)[0]) == pytest.approx(360, abs=2)


@pytest.mark.parametrize(
    ("how", "coded"),
    [
        (["-display_rotation", "90"], lambda picture: np.rot90(picture, -1)),
        (["-display_rotation", "180"], lambda picture: np.rot90(picture, 2)),
        (["-display_rotation", "270"], lambda picture: np.rot90(picture, 1)),
        (["-display_hflip"], np.fliplr),
        (["-display_rotation", "90", "-display_vflip"], lambda picture: np.rot90(np.flipud(picture), -1)),
    ],
    ids=["90", "180", "270", "mirrored", "turned and mirrored"],
)
def test_a_picture_that_is_to_be_turned_is_turned(tmp_path: Path, how: list[str], coded):
    turned = write(tmp_path / "coded.mp4", (coded(stream(screen)) for screen in game()[:60]))
    path = remuxed(turned, tmp_path / "phone.mp4", *how)
    facts = probe(path)
    assert (facts.width, facts.height) == (640, 480)
    frames, _ = frames_of(path)
    assert len(frames) == 60 and (frames == game()[:60]).mean() > 0.98
    segments, _ = look_for_screen(path, FRAMES)
    assert segments[0].rect is not None and iou(segments[0].rect, RECT) > 0.99


def test_a_picture_that_is_turned_askew_is_refused(plain: Path, tmp_path: Path):
    with pytest.raises(NotAVideo, match="turned by 30°, expected quarter turns or none"):
        probe(remuxed(plain, tmp_path / "askew.mp4", "-display_rotation", "30"))


def test_a_few_damaged_bytes_cost_the_pictures_around_them(plain: Path, tmp_path: Path):
    data = bytearray(plain.read_bytes())
    start = data.index(b"mdat") + 40_000
    noise = np.random.default_rng(0)
    data[start : start + 3000] = noise.bytes(3000)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    for settings in (SamplingSettings(), SamplingSettings(min_keyframes=1), SamplingSettings(seek_above_s=1.0)):
        times = sample(path, settings=settings).times
        assert len(times) > 8 and times[-1] > 0.8 * SECONDS
    frames, _ = frames_of(path)
    assert len(frames) == SECONDS * RATE
    same = (frames == game()).mean(axis=(1, 2)) > 0.98
    assert 60 < same.sum() < len(frames) and same[-60:].all()
    assert look_for_screen(path, FRAMES)[0][0].rect is not None


def test_a_damaged_beginning_costs_the_beginning(plain: Path, tmp_path: Path):
    data = bytearray(plain.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + 1500] = np.random.default_rng(1).bytes(1500)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    assert (probe(path).width, probe(path).height) == (640, 480)
    seen = sample(path)
    assert len(seen.times) > 30 and seen.times[0] < 2
    for time, picture in zip(seen.times[5:], seen.pictures[5:], strict=True):
        assert cv2.absdiff(picture, stream(game()[round(time * RATE)])).mean() < 10


def test_a_file_that_does_not_tell_its_length_is_looked_at_to_its_end(tmp_path: Path):
    path = tmp_path / "live.webm"
    make(path, "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=15:duration=6", "-c:v", "libvpx", "-live", "1")
    assert probe(path).duration_s == 0
    times = sample(path).times
    assert len(times) > 30 and times[-1] > 5


def smaller(screen: np.ndarray) -> np.ndarray:
    """As `stream`, in pictures of 480×360 with the game twice its size."""
    picture = np.tile(np.linspace(160, 40, 480).astype(np.uint8), (360, 1))
    picture[30:318, 100:420] = GRAYS[screen].repeat(2, axis=0).repeat(2, axis=1)
    return picture


@pytest.mark.parametrize("order", [(smaller, stream), (stream, smaller)], ids=["larger", "smaller"])
@pytest.mark.parametrize("settings", [SamplingSettings(), SamplingSettings(seek_above_s=1.0)], ids=["read", "sought"])
def test_where_the_size_changes_another_segment_begins(tmp_path: Path, order, settings: SamplingSettings):
    path = tmp_path / "sizes.ts"
    path.write_bytes(
        b"".join(
            remuxed(
                write(tmp_path / f"{number}.mp4", map(way, game())), tmp_path / f"{number}.ts", offset=number * SECONDS
            ).read_bytes()
            for number, way in enumerate(order)
        )
    )
    segments, ways = look_for_screen(path, FRAMES.model_copy(update={"sampling": settings}))
    rects = {stream: RECT, smaller: (100, 30, 320, 288)}
    assert len(segments) == 2, segments
    for segment, way in zip(segments, order, strict=True):
        assert segment.rect is not None and iou(segment.rect, rects[way]) > 0.99, segment
    assert segments[0].end == segments[1].start == pytest.approx(SECONDS, abs=0.1)
    chunks = list(decode(path, ways, RATE))
    frames = np.concatenate([chunk.frames for chunk in chunks])
    flags = np.concatenate([chunk.flags for chunk in chunks])
    assert len(frames) == pytest.approx(2 * SECONDS * RATE, abs=2) and (flags & NOT_GAME > 0).sum() <= 2
    truth = np.concatenate([game(), game()])[: len(frames)]
    same = (frames == truth).mean(axis=(1, 2))
    assert same[: SECONDS * RATE - 3].min() > 0.97 and (frames[-150:] == game()[-150:]).mean() > 0.98
