"""Stream-like faults: as many as asked for, never anything else."""

import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from emurl.training.augment import stream_faults
from emurl.training.settings import AugmentSettings
from tests.fixtures.tile_world import TileWorld

CLEAN = TileWorld().video(0, steps=10)[0]


def test_none_asked_none_done():
    assert np.array_equal(stream_faults(CLEAN, np.random.default_rng(0), AugmentSettings(share=0.0)), CLEAN)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1))
def test_faults_are_small_and_of_their_dice(seed, share):
    before = CLEAN.copy()
    seen = stream_faults(CLEAN, np.random.default_rng(seed), AugmentSettings(share=share))
    assert np.array_equal(CLEAN, before)
    assert seen.dtype == np.uint8 and seen.shape == CLEAN.shape and seen.max() <= 3
    assert np.array_equal(seen, stream_faults(CLEAN, np.random.default_rng(seed), AugmentSettings(share=share)))
    assert (seen != CLEAN).mean() < 0.25


def test_flat_ground_stays_flat_but_for_single_pixels():
    flat = np.full((8, 144, 160), 2, np.uint8)
    seen = stream_faults(flat, np.random.default_rng(1), AugmentSettings(share=1.0))
    assert 0 < (seen != flat).mean() <= 1 / 250
    assert np.abs(seen.astype(int) - 2).max() <= 1


def test_gray_and_color():
    color = np.random.default_rng(0).integers(0, 256, (3, 144, 160, 3), dtype=np.uint8)
    assert stream_faults(color, np.random.default_rng(1), AugmentSettings(share=1.0), shades=256).shape == color.shape


def test_every_strength_is_a_setting():
    def of(**changes):
        return stream_faults(CLEAN, np.random.default_rng(3), AugmentSettings(share=1.0, **changes))

    assert np.array_equal(of(max_blend=0, max_noise=0.0), CLEAN) and np.array_equal(of(max_shift=0, max_noise=0.0), CLEAN)
    some = of(max_noise=0.0)
    assert not np.array_equal(some, CLEAN) and not np.array_equal(of(max_noise=0.0, max_shift=4), some)


def test_the_faults_are_those_they_have_always_been():
    seen = stream_faults(CLEAN, np.random.default_rng(7))
    assert hashlib.sha256(seen.tobytes()).hexdigest()[:16] == "77a6b6e693f3a594"
