"""What the OOD detector is measured on: pictures of no game, and play that equals no frame of the footage."""

import numpy as np
import pytest

from emurl.core.tracking import Tracker
from emurl.footage.dataset import FrameReader, ShardWriter, write_index
from emurl.games.settings import EmulatorSettings, game_of
from emurl.pipelines.speedrun import strangers
from emurl.pipelines.speedrun.strangers import METRICS, OffRouteSettings
from emurl.rewards.calibration import Calibration, OODSettings
from emurl.rewards.ood import OODDetector
from emurl.screen import ScreenSpec
from tests.fixtures.detecting import models
from tests.fixtures.learning import walks, write_frames


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> FrameReader:
    return FrameReader(write_frames(tmp_path_factory.mktemp("frames"), walks(3, steps=40), held_out=2).folder)


def test_a_frame_is_shown_where_few_pixels_differ(reader):
    frames = reader.read(1, [3, 4, 5])
    rng = np.random.default_rng(0)
    for place, count in enumerate((0, 64, 65)):
        pixels = rng.choice(144 * 160, count, replace=False)
        frames[place].reshape(-1)[pixels] ^= 3
    assert strangers.shown(frames, reader, 64).tolist() == [True, True, False]
    assert strangers.shown(frames[:0], reader, 64).shape == (0,)


def test_a_frame_in_color_is_shown_where_no_more_than_compression_differs(reader, tmp_path):
    rng = np.random.default_rng(0)
    screens = rng.integers(0, 256, (4, 9, 10, 3), np.uint8).repeat(16, axis=1).repeat(16, axis=2)
    spec, noise = ScreenSpec(channels=3, shades=256), rng.integers(-40, 41, screens.shape)
    with ShardWriter(tmp_path / "shards" / "a.bin", spec) as shard:
        shard.add(np.clip(screens + noise, 0, 255).astype(np.uint8))
    row = {"video_id": "a", "run_id": "a", "split": "train", "frames": 4, "fps": 8.0, "duration_s": 0.5}
    write_index(tmp_path, spec, [row], [np.zeros(4, np.uint8)])
    footage, few = FrameReader(tmp_path), screens.copy()
    few[1].reshape(-1, 3)[rng.choice(144 * 160, 64, replace=False)] += 128
    few[2, :16, :16, 1] += 128  # one cell's green, all 256 pixels of it
    assert strangers.shown(few, footage, 64, 48).tolist() == [True, True, False, True]
    assert not strangers.shown(few, footage, 64, 8).any()


def test_disorder_moves_tiles_and_no_more():
    frames = np.random.default_rng(0).integers(0, 4, (2, 144, 160), dtype=np.uint8)
    frames[1] = 3
    mixed, changed = strangers.disorder(np.random.default_rng(1), frames)

    def tiles(frame):
        return sorted(frame.reshape(18, 8, 20, 8).swapaxes(1, 2).reshape(360, 64).tolist())

    assert mixed.dtype == np.uint8 and (mixed[0] != frames[0]).mean() > 0.5 and changed.tolist() == [True, False]
    assert all(tiles(one) == tiles(other) for one, other in zip(mixed, frames, strict=True))
    color = np.repeat(frames[..., None], 3, axis=-1)
    assert strangers.disorder(np.random.default_rng(1), color)[0][..., 2].tolist() == mixed.tolist()


def test_a_detector_is_measured(reader):
    sight, foresight = models()
    settings = OODSettings()
    video, index = strangers.heldout(reader, 2, 100)
    known = strangers.known_patches(sight, reader, settings)
    own = strangers.heldout_signs(sight, foresight, known, reader, video, index, 2)
    detector = OODDetector(sight, foresight, Calibration.of(own, settings), known=known)
    pairs = reader.gather(video, index), reader.gather(video, index + 2)
    found = strangers.measure_detector(detector, own, video, pairs, settings, seed=0)
    assert found.keys() <= METRICS.keys() and found["auroc_other"] > 0.95 and 0 <= found["false_alarms"] <= 1
    game, emulator = game_of(EmulatorSettings()), EmulatorSettings()
    few = OffRouteSettings(runs=1, starts=1, chance_steps=12)
    played = strangers.play_offroute(game, emulator, reader, 16, few, 0, Tracker.silent())
    assert played[0].shape == played[1].shape == (12, 144, 160)  # another game altogether: all of it is off the route
    again = strangers.play_offroute(game, emulator, reader, 16, few, 0, Tracker.silent())
    assert np.array_equal(played[1], again[1])
    assert strangers.measure_offroute(detector, own, video, played, settings)["auroc_offroute"] > 0.7
    none = strangers.play_offroute(game, emulator, reader, 16, OffRouteSettings(runs=0), 0, Tracker.silent())
    assert strangers.measure_offroute(detector, own, video, none, settings) == {}
