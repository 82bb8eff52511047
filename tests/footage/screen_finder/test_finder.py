"""Finding the screen: rectangles on drawn streams, and refusals where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from emurl.core.errors import InputError
from emurl.footage.screen_finder.beyond import continues
from emurl.footage.screen_finder.candidates import change_map, iou
from emurl.footage.screen_finder.crops import load_crops
from emurl.footage.screen_finder.finder import find_in_pictures
from emurl.footage.screen_finder.grid import fit_comb, slope_profile
from emurl.footage.screen_finder.shades import fit_shades
from emurl.games.mossdale.broadcast.look import HD, Format, look_of
from tests.fixtures.drawn_layouts import pictures_of, rough, without_game


def tiles(rng: np.random.Generator, count: int, size: tuple[int, int] = (144, 160)) -> np.ndarray:
    """Pictures of tiles of the console's four grays, uint8 (count, *size)."""
    bank = np.array([20, 90, 160, 235], np.uint8)[rng.integers(0, 4, (12, 8, 8))]
    which = rng.integers(0, len(bank), (count, size[0] // 8, size[1] // 8))
    return bank[which].transpose(0, 1, 3, 2, 4).reshape(count, *size)


def on_a_stream(picture: np.ndarray, rect: tuple[int, int, int, int], rng: np.random.Generator) -> np.ndarray:
    """A picture of a stream, luma uint8 (720, 1280), that shows another one at `rect`, as far as it fits."""
    out = np.full((720, 1280), 60, np.uint8)
    x, y, width, height = rect
    shown = cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST)
    out[y : y + height, x : x + width] = shown[: 720 - y, : 1280 - x]
    return rough(out, rng, 90)


# Scales from 2.5 to 4.5 at 720 lines, from 1.75 to 2.8 at fewer, with all three ways to scale.
@pytest.mark.parametrize(
    ("number", "sent"),
    [
        (1, HD),
        (3, HD),
        *((n, None) for n in (0, 1, 3)),
        *(pytest.param(n, HD, marks=pytest.mark.slow) for n in (4, 5, 9, 12)),
        *(pytest.param(n, None, marks=pytest.mark.slow) for n in (2, 4, 5)),
    ],
)
def test_the_screen_is_found_wherever_a_runner_puts_it(number: int, sent: Format | None):
    look = look_of(3, number, sent)
    (segment,) = find_in_pictures(*pictures_of(look, seed=number))
    assert segment.rect is not None, segment.reason
    assert iou(segment.rect, look.game) >= 0.995 and segment.confidence > 0.7


@pytest.mark.parametrize(
    ("kind", "number"), [("nothing", 1), ("camera", 1), ("camera", 8), ("blobs", 8), ("noise", 1), ("another console", 8)]
)
def test_what_is_no_game_is_rejected(kind: str, number: int):
    segments = find_in_pictures(*without_game(look_of(3, number, HD), kind, seed=number))
    assert all(segment.rect is None and segment.reason for segment in segments), segments


def test_two_games_at_once_are_rejected():
    base = look_of(3, 0, HD)
    panel = (1000, 28, 252, 664)
    left = replace(base, game=(30, 180, 400, 360), panel=panel, camera=(1014, 480, 224, 190), camera_first=False, card_s=0.0)
    times, one = pictures_of(left, seed=1)
    _, other = pictures_of(replace(left, game=(500, 180, 400, 360)), seed=2)
    one[:, 170:550, 490:910] = other[:, 170:550, 490:910]
    segments = find_in_pictures(times, one)
    assert [segment.rect for segment in segments] == [None] and "more than one" in segments[0].reason


def test_a_layout_switched_half_way_gives_two_segments():
    base = look_of(3, 0, HD)
    here = replace(
        base, game=(60, 100, 480, 432), panel=(900, 28, 352, 664), camera=(914, 470, 324, 200), camera_first=False, card_s=0
    )
    there = replace(here, game=(210, 60, 640, 576))
    _, first = pictures_of(here, 40, seed=1)
    _, second = pictures_of(there, 40, seed=2)
    pictures = np.concatenate([first[:30], second[10:40]])
    segments = find_in_pictures(np.arange(60.0), pictures)
    assert len(segments) == 2
    for segment, look in zip(segments, (here, there), strict=True):
        assert segment.rect is not None and iou(segment.rect, look.game) > 0.97
    assert segments[0].start == 0 and segments[0].end == segments[1].start == pytest.approx(30, abs=4) and segments[1].end == 59


def test_a_layout_that_leaves_the_first_ones_place_blank_gives_two_segments():
    rng = np.random.default_rng(4)
    here, there = (60, 40, 480, 432), (700, 300, 320, 288)
    pictures = [on_a_stream(one, here, rng) for one in tiles(rng, 14)] + [on_a_stream(one, there, rng) for one in tiles(rng, 12)]
    segments = find_in_pictures(np.arange(26.0), np.stack(pictures))
    assert [segment.rect for segment in segments] == [here, there]
    assert segments[0].end == segments[1].start == 14


@pytest.mark.parametrize("scale", [2, 4])
def test_a_game_that_hardly_moves_is_found_by_its_borders(scale: int):
    rng = np.random.default_rng(scale)
    screens = np.repeat(tiles(rng, 1), 24, axis=0)
    screens[:, 104:136, 8:152] = tiles(rng, 24)[:, 104:136, 8:152]  # a box of text changes, and nothing else
    rect = (300, 50, 160 * scale, 144 * scale)
    (segment,) = find_in_pictures(np.arange(24.0), np.stack([on_a_stream(one, rect, rng) for one in screens]))
    assert segment.rect == rect, segment.reason


def test_a_box_over_a_border_does_not_move_the_screen():
    rng = np.random.default_rng(7)
    rect = (300, 100, 480, 432)
    pictures = np.stack([on_a_stream(one, rect, rng) for one in tiles(rng, 24)])
    pictures[:, 80:118, 340:600] = 30
    (segment,) = find_in_pictures(np.arange(24.0), pictures)
    assert segment.rect == rect, segment.reason


def test_a_screen_that_the_picture_cuts_off_is_rejected():
    rng = np.random.default_rng(5)
    pictures = np.stack([on_a_stream(one, (900, 100, 560, 504), rng) for one in tiles(rng, 24)])
    camera = np.clip(rng.normal(120, 30, (24, 720, 900)), 0, 255)
    pictures[:, :, :900] = np.stack([cv2.GaussianBlur(one, (0, 0), 6) for one in camera]).astype(np.uint8)
    assert all(segment.rect is None for segment in find_in_pictures(np.arange(24.0), pictures))


@pytest.mark.parametrize(("cells", "rect"), [((144, 160), (300, 100, 320, 288)), ((240, 256), (300, 100, 512, 480))])
def test_a_grid_that_goes_on_beyond_a_border_is_noticed(cells: tuple[int, int], rect: tuple[int, int, int, int]):
    rng = np.random.default_rng(6)
    pictures = np.stack([on_a_stream(one, rect, rng) for one in tiles(rng, 12, cells)])
    changes = change_map(pictures)
    assert continues(pictures, changes, (300, 100, 320, 288), "point", 0.01) == (cells != (144, 160))


@pytest.mark.parametrize("scale", [1, 1.5, 2, 5, 7.5, 10])
def test_a_picture_that_is_the_screen_itself_is_found(scale: float):
    rng = np.random.default_rng(8)
    size = round(160 * scale), round(144 * scale)
    pictures = np.stack([rough(cv2.resize(one, size, interpolation=cv2.INTER_NEAREST), rng, 90) for one in tiles(rng, 16)])
    (segment,) = find_in_pictures(np.arange(16.0), pictures)
    assert segment.rect == (0, 0, *size) and segment.confidence > 0.7, segment


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (2560, 1440)])
def test_a_screen_that_fills_all_lines_is_found(width: int, height: int):
    rng = np.random.default_rng(9)
    across = height // 144 * 160 if height % 144 == 0 else height * 10 // 9
    pictures = np.zeros((16, height, width), np.uint8)
    x = (width - across) // 2
    for picture, one in zip(pictures, tiles(rng, 16), strict=True):
        picture[:, x : x + across] = cv2.resize(one, (across, height), interpolation=cv2.INTER_NEAREST)
        picture[:] = rough(picture, rng, 90)
    (segment,) = find_in_pictures(np.arange(16.0), pictures)
    assert segment.rect == (x, 0, across, height), segment


@pytest.mark.parametrize("kind", ["a stream", "blobs", "a screen on black"])
def test_another_picture_of_160_by_144_is_rejected(kind: str):
    rng = np.random.default_rng(10)
    if kind == "blobs":
        wide = np.stack([cv2.GaussianBlur(one, (9, 9), 0) for one in rng.integers(0, 256, (24, 288, 320)).astype(np.uint8)])
    elif kind == "a stream":
        _, wide = pictures_of(look_of(3, 3, HD), 24, seed=3)
    else:
        wide = np.full((24, 1080, 1920), 20, np.uint8)
        wide[:, :, 360:1560] = np.stack(
            [cv2.resize(one, (1200, 1080), interpolation=cv2.INTER_NEAREST) for one in tiles(rng, 24)]
        )
    small = np.stack([cv2.resize(one, (160, 144), interpolation=cv2.INTER_AREA) for one in wide])
    (segment,) = find_in_pictures(np.arange(24.0), small)
    assert segment.rect is None and "not those of the console" in segment.reason, segment


def test_a_screen_in_a_few_pictures_is_not_guessed_at():
    times, pictures = pictures_of(look_of(3, 0))
    (segment,) = find_in_pictures(times[:3], pictures[:3])
    assert segment.rect is None and "too short" in segment.reason


@pytest.mark.parametrize("period", [1.3, 1.75, 2.0, 2.5, 3.0, 3.37, 4.5])
def test_the_comb_measures_a_period_to_a_thousandth(period: float):
    rng = np.random.default_rng(int(period * 100))
    source = rng.integers(0, 4, (12, 20, 160)).repeat(2, axis=1) * 60
    columns = ((np.arange(int(160 * period)) + 0.5) / period).astype(int)
    pictures = source[:, :, columns].astype(np.uint8)
    comb = fit_comb(slope_profile(pictures, 1), period * 1.02)
    assert comb.period == pytest.approx(period, rel=1e-3) and comb.strength > 7
    teeth = np.array([comb.teeth_near(cell * period) for cell in range(20, 140)])
    assert np.abs(teeth - np.arange(20, 140) * period).max() < 0.5


def test_screens_given_by_hand(tmp_path: Path):
    file = tmp_path / "crops.json"
    file.write_text(json.dumps({
        "_": "a remark", "a": {"rect": [1, 2, 320, 288]}, "b": {"skip": "a race"},
        "c": {"segments": [
            {"start": 0, "end": 9.5, "rect": [0, 0, 160, 144]}, {"start": 9.5, "end": 20, "rect": [5, 5, 320, 288]},
        ]},
    }))  # fmt: skip
    crops = load_crops(file)
    assert sorted(crops) == ["a", "b", "c"]
    assert crops["a"][0].rect == (1, 2, 320, 288) and crops["b"][0].rect is None and "a race" in crops["b"][0].reason
    assert [segment.end for segment in crops["c"]] == [9.5, 20]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("no json", "no JSON"), ("[]", "expected an object"), ('{"a": {}}', "expected `rect`, `segments` or `skip`"),
        ('{"a": {"rect": [1, 2, 3]}}', "x, y, width, height"), ('{"a": {"rect": [1, 2, 0, 5]}}', "x, y, width, height"),
        ('{"a": {"segments": [{"start": 0, "rect": [0, 0, 1, 1]}]}}', "start, end"),
    ],
)  # fmt: skip
def test_a_wrong_crop_file_is_named(text: str, what: str, tmp_path: Path):
    file = tmp_path / "crops.json"
    file.write_text(text)
    with pytest.raises(InputError, match=what) as failure:
        load_crops(file)
    assert str(file) in str(failure.value)
    with pytest.raises(InputError, match="no such file"):
        load_crops(tmp_path / "none.json")


def test_the_default_crop_file_is_read():
    assert load_crops(Path(__file__).resolve().parents[3] / "configs" / "video_crop_config.json") == {}


def test_a_screen_that_is_off_makes_no_palette():
    rng = np.random.default_rng(0)
    game = np.array([50, 82, 140, 170], np.uint8)[rng.integers(0, 4, (10, 18, 20))].repeat(8, 1).repeat(8, 2)
    off = (18 - (rng.random((10, 144, 160)) < 0.004)).astype(np.uint8)
    shades = fit_shades(np.concatenate([game, off]))
    assert len(shades.palettes) == 1 and shades.centers == pytest.approx((50, 82, 140, 170), abs=1)
