"""Splits for people: what the tables and the contact sheet leave out, and what is red on it."""

import numpy as np

from emurl.report.panel import ACCENT, SOFT
from emurl.report.splits_sheet import BEHIND, GAP, Shot, color_of, draw_sheet
from emurl.report.splits_table import as_text
from emurl.screen import ScreenSpec


def test_a_split_that_no_run_shows_is_left_out_and_counted():
    def row(number, seconds, median):
        return {"number": number, "seconds": seconds, "segment_seconds": None, "median_seconds": median}

    rows = [row(1, 1.0, 1.0), row(2, None, None), row(3, None, 4.0), row(4, 6.0, 5.0)]
    one = {"run": "a", "video": None, "reward": "reward@v1", "fps": 1.0, "finished": True, "splits": rows}
    lines = as_text(one).splitlines()
    assert lines[0] == "a: 2 of 4 splits of reward@v1" and lines[-1] == "1 split that no run shows is left out"
    assert [line.split()[0] for line in lines[3:-1]] == ["1", "3", "4"]
    every = [
        {**{f"{kind}_seconds": one for kind in ("median", "median_segment", "best_segment")}, "number": number, "passed_by": by}
        for number, one, by in ((1, 1.0, 1), (2, None, 0), (3, 4.0, 1), (4, 5.0, 2))
    ]
    runs = [
        {"run": "a", "splits": rows},
        {"run": "b", "splits": [row(1, None, 1.0), rows[1], row(3, 4.0, 4.0), row(4, 5.0, 5.0)]},
    ]
    lines = as_text({"reward": "reward@v1", "fps": 1.0, "runs": runs, "splits": every}).splitlines()
    assert lines[0] == "2 runs, 4 splits of reward@v1" and lines[-1] == "1 split that no run shows is left out"
    assert lines[2].split() == ["1", "3", "4"] and lines[3].split() == ["a", "0:01.0", "-", "0:06.0"]
    picture, spec = np.zeros((144, 160), np.uint8), ScreenSpec()
    shots = [Shot(picture, 1.0), Shot(None, None), Shot(picture, 4.0)]
    assert draw_sheet("runs", spec, shots).width == GAP + 2 * (320 + GAP)
    assert draw_sheet("runs", spec, [Shot(None, None)] * 3).width == GAP + 3 * (320 + GAP)


def test_neither_ahead_nor_behind_is_not_red():
    assert [color_of(told) for told in ("+0.0", "+0.1", "-0.1", "+1:02.3")] == [SOFT, BEHIND, ACCENT, BEHIND]
