"""A few layouts of the study, short: found to the pixel or rejected, and read as the emulator drew them.

The whole of it is `python -m tests.fixtures.screen_study --layouts 300 --seed 0`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures import drawn_render as footage_render
from tests.fixtures.drawn_kinds import layouts
from tests.fixtures.screen_study import measure

SECONDS = 12.0
LAYOUTS = {layout.number: layout for layout in layouts(30, 0)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


# Repeated pixels at 2.8, a linear scaler under changing palettes, a race; then repeated pixels at 3, a stream encoded twice, slides.
@pytest.mark.parametrize("number", [0, 16, 5, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 21, 8))])
def test_a_drawn_stream_is_read_or_rejected(number: int, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(footage_render, "RUNS", 1)  # of the bot: each costs seconds
    layout = replace(LAYOUTS[number], seconds=SECONDS)
    facts = measure(layout, folder)
    if layout.expect != "screen":
        assert facts["rejected"], facts
    else:
        assert facts["iou"] >= 0.97 and facts["kept"] > 0.8, facts
        assert facts["same"] >= (0.99 if layout.integer else 0.95), facts
