"""The two measurements of the footage room run without a store, and their figures make sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from emurl.bench import frames, loader
from emurl.core.config import load_config
from emurl.core.store import Store
from emurl.footage.screen_finder.finder import Segment
from emurl.games.mossdale.broadcast.look import look_of


def test_decoding_is_measured_against_its_peers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(frames, "MADE_S", 6.0)
    monkeypatch.setattr(frames, "ROUNDS", 1)
    found = Segment(0.0, frames.MADE_S + 9, tuple(map(float, look_of(0, 0).game)), 1.0)  # looking for it is not what is measured
    monkeypatch.setattr(frames, "find_in_sample", lambda seen: [found])
    told = frames.run(load_config(None, ["frames.parallel=2"]), Store(tmp_path))
    assert told["source"] == "made up" and told["frames"] == pytest.approx(58 * told["at_a_time"], rel=0.3)
    assert told["bytes_per_frame"] == 5760 and told["bytes_over_rgb_npy"] <= 1 / 12
    # Far from the limits that a quiet machine shows: only that neither is nonsense.
    assert 0.2 < told["over_bare_ffmpeg_decode"] < 3 and told["over_png_resize_npy"] > 2


def test_loading_is_measured_against_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(loader, "FILES", 300)
    monkeypatch.setattr(loader, "ROUNDS", 3)
    told = loader.run(load_config(None), Store(tmp_path))
    assert told["over_rgb_npy_files"] > 3 and told["over_gray_npy_files"] > 1 and 0 < told["million_frames_mb"] < 1000
