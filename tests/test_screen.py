"""Frames of four shades: ranks, packing and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emurl.core.errors import InputError
from emurl.screen import EMULATOR_THRESHOLDS, ScreenSpec, from_emulator, pack, quantize, to_gray, unpack


def test_no_frames_are_packed_and_unpacked_too():
    assert pack(np.zeros((0, 144, 160), np.uint8)).shape == (0, 5760)
    nothing = unpack(np.zeros((0, 5760), np.uint8))
    assert nothing.shape == (0, 144, 160) and nothing.dtype == np.uint8


def test_the_first_pixel_lies_in_the_low_bits():
    frame = np.zeros((1, 144, 160), np.uint8)
    frame[0, 0, :6] = [1, 2, 3, 0, 2, 1]
    packed = pack(frame)
    assert packed.shape == (1, 5760) and packed.dtype == np.uint8
    assert packed[0, :3].tolist() == [0b00111001, 0b0110, 0] and not packed[0, 3:].any()


@given(hnp.arrays(np.uint8, (2, 4, 8), elements=st.integers(0, 3)))
def test_packing_is_undone(frames: np.ndarray):
    assert np.array_equal(unpack(pack(frames), ScreenSpec(height=4, width=8)), frames)
    turned = np.asfortranarray(frames)  # however it lies in memory
    assert np.array_equal(pack(turned), pack(frames))


def test_every_byte_means_four_pixels():
    every = np.arange(256, dtype=np.uint8)[:, None]
    pixels = unpack(every, ScreenSpec(height=1, width=4))
    assert pixels[:, 0].tolist() == [[b & 3, b >> 2 & 3, b >> 4 & 3, b >> 6] for b in range(256)]


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6)),
    st.lists(st.floats(-10, 300), min_size=3, max_size=3).map(sorted),
)
def test_a_rank_counts_the_thresholds_below(gray: np.ndarray, thresholds: list[float]):
    wanted = (gray[..., None].astype(float) > np.float32(thresholds)).sum(axis=-1)
    for values in (gray, gray.astype(np.float32)):
        ranks = quantize(values, tuple(thresholds))
        assert ranks.shape == gray.shape and ranks.dtype == np.uint8 and np.array_equal(ranks, wanted)


@pytest.mark.parametrize("thresholds", [(1, 2), (3, 2, 1), (1, 2, 3, 4)])
def test_thresholds_that_are_none_are_refused(thresholds: tuple[float, ...]):
    with pytest.raises(InputError, match="expected three ascending numbers"):
        quantize(np.zeros((2, 2), np.uint8), thresholds)


def test_the_consoles_grays_become_its_ranks_and_back():
    rgba = np.zeros((144, 160, 4), np.uint8)
    rgba[..., :3] = np.array([0x00, 0x55, 0x99, 0xFF], np.uint8).repeat(40)[None, :, None]
    frame = from_emulator(rgba)
    assert frame.shape == (144, 160) and frame[0, ::40].tolist() == [0, 1, 2, 3]
    assert to_gray(frame)[0, ::40].tolist() == [0, 85, 170, 255]
    assert from_emulator(rgba, ScreenSpec(shades=256))[0, ::40].tolist() == [0x00, 0x55, 0x99, 0xFF]
    color = from_emulator(rgba, ScreenSpec(channels=3))
    assert color.shape == (144, 160, 3) and np.array_equal(color[..., 1], quantize(rgba[..., 1], EMULATOR_THRESHOLDS))


def colors(*shown: tuple[int, int, int]) -> np.ndarray:
    """A screen of as many columns of color, RGBA."""
    rgba = np.full((144, 160, 4), 255, np.uint8)
    rgba[..., :3] = np.array(shown, np.uint8).repeat(160 // len(shown), axis=0)[None]
    return rgba


@pytest.mark.parametrize("last", [3, 4])
def test_a_color_screen_is_its_luminance(last: int):
    rgba = colors((248, 0, 0), (0, 248, 0), (0, 0, 248), (248, 248, 0), (248, 248, 248))[..., :last]
    gray = from_emulator(rgba, ScreenSpec(shades=256))
    assert gray.shape == (144, 160) and gray[0, ::32].tolist() == [74, 146, 28, 220, 248]  # 0.299 R + 0.587 G + 0.114 B
    assert from_emulator(rgba)[0, ::32].tolist() == [1, 2, 0, 3, 3]


def test_colors_that_would_all_be_one_shade_keep_theirs():
    blue = colors((0, 0, 0), (0, 0, 88), (0, 0, 160), (0, 0, 248))
    assert from_emulator(blue)[0, ::40].tolist() == [0, 1, 2, 3]
    assert from_emulator(blue, ScreenSpec(shades=256)).max() == 28  # nothing is spread where there is no need to
    pale = colors((216, 248, 248), (248, 248, 248))
    assert from_emulator(pale)[0, ::80].tolist() == [0, 3]
    assert from_emulator(colors((0, 0, 248), (0, 248, 0)))[0, ::80].tolist() == [0, 2], "two shades stay what they are"
    for plain in ((0, 0, 248), (248, 248, 248)):
        assert len(np.unique(from_emulator(colors(plain)))) == 1


@pytest.mark.parametrize("grays", [(0x55, 0x99), (0x00,), (0xFF, 0x99)])
def test_a_gray_screen_is_never_spread(grays: tuple[int, ...]):
    rank = {0x00: 0, 0x55: 1, 0x99: 2, 0xFF: 3}
    frame = from_emulator(colors(*((gray,) * 3 for gray in grays)))
    assert sorted(np.unique(frame)) == sorted(rank[gray] for gray in grays)
