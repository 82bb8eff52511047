"""The finder's thresholds are settings: named by a path, in the fingerprint, and obeyed."""

import numpy as np

from emurl.core.config import load_config
from emurl.footage.screen_finder.candidates import change_map
from emurl.footage.screen_finder.finder import find_in_pictures
from emurl.footage.screen_finder.thresholds import DEFAULTS, FinderSettings
from emurl.pipelines.speedrun.frames import FramesSettings


def moving() -> tuple[np.ndarray, np.ndarray]:
    """A square that steps to the right, uint8 (8, 40, 60)."""
    pictures = np.full((8, 40, 60), 60, np.uint8)
    for number, picture in enumerate(pictures):
        picture[10:20, 4 * number : 4 * number + 10] = 80
    return np.arange(8.0), pictures


def test_a_threshold_is_set_by_name_and_changes_the_fingerprint():
    config = load_config(None, ["frames.finder.decision.min_confidence=0.4"])
    assert config.frames.finder.decision.min_confidence == 0.4
    assert config.frames.fingerprint_values() != FramesSettings().fingerprint_values()
    assert load_config(None).frames.finder == DEFAULTS


def test_thresholds_are_obeyed():
    times, pictures = moving()
    blind = FinderSettings.model_validate({"candidates": {"changed_levels": 30}})
    assert change_map(pictures).any() and not change_map(pictures, blind).any()
    assert find_in_pictures(times, pictures, settings=blind)[0].reason == "nothing moves"
    assert find_in_pictures(times, pictures)[0].reason != "nothing moves"
