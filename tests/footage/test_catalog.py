"""Which frames are looked at: all usable ones, and what stands still less often."""

import numpy as np
import pytest

from emurl.core.errors import InputError
from emurl.footage.catalog import Catalog, evenly_spread
from emurl.footage.dataset import FrameReader
from tests.fixtures.learning import walks, write_frames


def test_what_stands_still_is_drawn_less_often(tmp_path):
    world = walks(2, steps=20)
    still = np.concatenate([world[0][:30], np.repeat(world[0][30:31], 100, axis=0)])
    reader = FrameReader(write_frames(tmp_path, [still, world[1]]).folder)
    seen = Catalog.of(reader, "train")
    odds = seen.weights()
    assert len(seen) == 130 and odds.sum() == pytest.approx(1.0)
    assert seen.repeats[-1] >= 100 and odds[30:].sum() < 0.6
    assert np.array_equal(seen.read(reader, np.array([129, 0])), still[[129, 0]])
    with pytest.raises(InputError, match="no usable frame in the all-of-it split"):
        Catalog.of(reader, "all-of-it")


def test_evenly_spread():
    assert evenly_spread(3, 10).tolist() == [0, 4, 9] and evenly_spread(5, 2).tolist() == [0, 1] and len(evenly_spread(5, 0)) == 0
