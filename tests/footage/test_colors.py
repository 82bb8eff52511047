"""A color game's video as frames: in color, by luminance, and not by a palette; whatever the video's planes are."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from emurl.envs.gameboy.console import GameBoy
from emurl.footage.dataset import BLANK, DUPLICATE, NOT_GAME
from emurl.footage.decode import decode, plan
from emurl.footage.screen_finder.finder import Segment, find_in_sample
from emurl.footage.video import probe, sample
from emurl.screen import ScreenSettings, ScreenSpec, from_emulator
from tests.fixtures.color_rom import write_color_rom

RATE, SIZE, RECT = 10, (640, 480), (80, 24, 480, 432)


@pytest.fixture(scope="module")
def screens(tmp_path_factory) -> np.ndarray:
    """What the color cartridge shows while somebody starts it: uint8 (60, 144, 160, 3)."""
    with GameBoy(write_color_rom(tmp_path_factory.mktemp("rom")), ScreenSpec(channels=3, shades=256)) as console:
        assert console.color and console.title == "MOSSDALE"
        found = []
        console.tick(120)
        for number in range(60):
            console.step((0, 6, 5, 2)[number % 4], 30)
            found.append(console.frame())
        return np.stack(found)


def write(path: Path, screens: np.ndarray, *options: str) -> Path:
    writer = imageio_ffmpeg.write_frames(
        str(path), SIZE, pix_fmt_in="rgb24", pix_fmt_out=None, fps=RATE, codec="libx264", quality=None, macro_block_size=1,
        ffmpeg_log_level="error", output_params=["-preset", "ultrafast", "-crf", "12", "-threads", "1", *options],
    )  # fmt: skip
    writer.send(None)
    x, y, width, height = RECT
    picture = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
    picture[:] = np.linspace(40, 160, SIZE[0]).astype(np.uint8)[None, :, None]
    for screen in screens:
        picture[y : y + height, x : x + width] = screen.repeat(3, axis=0).repeat(3, axis=1)
        writer.send(picture.copy())
    writer.close()
    return path


def read(video: Path, screen: ScreenSettings) -> tuple[np.ndarray, np.ndarray]:
    seen = sample(video)
    ways = plan(seen.times, seen.pictures, [Segment(0.0, 1e6, tuple(map(float, RECT)), 1.0)])
    chunks = list(decode(video, ways, RATE, screen=screen))
    return np.concatenate([chunk.frames for chunk in chunks]), np.concatenate([chunk.flags for chunk in chunks])


@pytest.fixture(scope="module")
def video(screens, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("video") / "v.mp4", screens, "-pix_fmt", "yuv420p")


def test_its_screen_is_found(video):
    (found,) = find_in_sample(sample(video))
    assert found.rect == pytest.approx(RECT, abs=0.5)


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (("-pix_fmt", "yuv420p"), 8.0),
        (("-pix_fmt", "yuv444p"), 3.0),
        (("-pix_fmt", "yuvj420p", "-color_range", "pc"), 8.0),
        (("-vf", "scale=out_color_matrix=bt709", "-pix_fmt", "yuv444p", "-colorspace", "bt709"), 3.0),
    ],
)
def test_in_color(screens, tmp_path, options, most):
    path = write(tmp_path / "v.mp4", screens[::2], *options)
    frames, flags = read(path, ScreenSettings(channels=3, shades=256))
    assert frames.shape == (30, 144, 160, 3)
    assert np.abs(frames.astype(int) - screens[::2]).mean() < most
    # Hues are there, and each in its own channel: what is left of gray or of swapped channels is three times as much and more.
    truth = screens[::2].astype(int)
    hue = np.abs((frames.astype(int) - frames.mean(axis=3, keepdims=True)) - (truth - truth.mean(axis=3, keepdims=True))).mean()
    assert hue < 0.35 * np.abs(truth - truth.mean(axis=3, keepdims=True)).mean()
    assert (flags & NOT_GAME == 0).mean() > 0.9


def test_what_a_video_says_of_its_planes(screens, tmp_path):
    options = "-vf", "scale=out_color_matrix=bt709:out_range=pc", "-pix_fmt", "yuvj444p", "-colorspace", "bt709"
    coding = probe(write(tmp_path / "v.mp4", screens[:3], *options)).coding
    assert (coding.size, coding.step, coding.full_range, coding.weights) == (SIZE, 1, True, (0.2126, 0.0722))


def test_by_luminance_it_is_what_the_emulator_shows_in_gray(screens, video):
    for shades, equal in ((4, 0.99), (256, None)):
        spec = ScreenSpec(shades=shades)
        truth = np.stack([from_emulator(screen, spec) for screen in screens])
        frames, _ = read(video, ScreenSettings(shades=shades, reading="luminance"))
        assert frames.shape == truth.shape
        apart = np.abs(frames.astype(int) - truth)
        assert (apart == 0).mean() > equal if equal else apart.mean() < 2.5
    # By the palette of a gray console it would not be: which is why there is a choice.
    by_palette, _ = read(video, ScreenSettings())
    assert (by_palette == np.stack([from_emulator(screen) for screen in screens])).mean() < 0.97


def test_flags_allow_for_compression(screens, tmp_path):
    blank = np.full((10, 144, 160, 3), (200, 40, 90), np.uint8)
    moving, still = screens[np.flatnonzero((screens[1:] != screens[:-1]).reshape(59, -1).sum(axis=1) > 2000)], screens[[40] * 10]
    path = write(tmp_path / "v.mp4", np.concatenate([moving, still, blank]), "-pix_fmt", "yuv420p", "-crf", "26")
    _, flags = read(path, ScreenSettings(channels=3, shades=256))
    count = len(moving)
    assert (flags[1:count] & DUPLICATE > 0).mean() < 0.1 and (flags[:count] & BLANK > 0).mean() < 0.1
    assert (flags[count + 2 : count + 10] & DUPLICATE > 0).all() and (flags[count : count + 10] & BLANK == 0).all()
    assert (flags[count + 10 :] & BLANK > 0).all()
