"""Charts and the page: geometry by hand, everything inline, nothing unescaped."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from emurl.report import Findings, build, lineage
from emurl.report.charts import LEFT, Line, bar_chart, line_chart, number, thin, ticks
from emurl.training.intervals import Estimate
from emurl.training.scores import Rules, Score
from tests.fixtures import playing as rl_fixtures

finite = st.floats(-1e6, 1e6, allow_nan=False)


@example(1e-5, 20021.0)
@given(finite, st.floats(1e-3, 1e6))
def test_ticks_are_round_ascending_and_inside(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 7 and found == sorted(found)
    assert all(low - 1e-6 * max(1, abs(low)) <= tick <= low + span + 1e-6 * max(1, abs(low + span)) for tick in found)


@pytest.mark.parametrize(("low", "high"), [(3.0, 3.0), (math.nan, 1.0), (0.0, math.inf)])
def test_ticks_of_no_range(low: float, high: float) -> None:
    assert len(ticks(low, high)) == 1


def test_ticks_by_hand() -> None:
    assert ticks(0.0, 1.0) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert ticks(-30, 95) == [0, 50]


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0.123456, "0.1235"), (1234567, "1\u202f234\u202f567"), (True, "True"), ("x", "x")]
)
def test_numbers_as_people_read_them(value: object, shown: str) -> None:
    assert number(value) == shown  # type: ignore[arg-type]


def test_a_long_curve_is_thinned_to_its_ends_and_holes_left_out() -> None:
    xs, ys = thin(range(10_001), [math.nan if x == 5000 else float(x) for x in range(10_001)], 101)
    assert len(xs) == 101 and xs[0] == 0 and xs[-1] == 10_000 and ys == xs


def test_a_line_goes_where_its_numbers_say() -> None:
    svg = line_chart([Line("a", [0, 10], [0.0, 1.0], 2)], "title <&>", width=460, height=220)
    root = ElementTree.fromstring(svg)
    (curve,) = [node for node in root if node.tag == "polyline"]
    (x0, y0), (x1, y1) = [tuple(map(float, point.split(","))) for point in curve.attrib["points"].split()]
    assert (x0, x1) == (LEFT, 448) and y0 > y1 and "c2" in curve.attrib["class"]
    assert root.attrib["aria-label"] == "title <&>"


def test_a_chart_of_nothing_and_of_one_point() -> None:
    assert "no data" in line_chart([], "empty")
    assert "<circle" in line_chart([Line("a", [1], [1.0])], "one")


def test_bars_are_as_tall_as_their_shares() -> None:
    root = ElementTree.fromstring(bar_chart(["title", "goal"], {"p": [1.0, 0.5], "q": [0.0, 2.0]}, "bars", height=244))
    tall = [float(node.attrib["height"]) for node in root if node.tag == "rect"]
    assert tall == [200.0, 1.0, 100.0, 200.0]


class Links(HTMLParser):
    """Everything a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def player(name: str, **changes: object) -> Score:
    half = Estimate(0.5, 0.25, 0.75)
    values: dict = {
        "name": name, "episodes": 10, "success_rate": half, "success_rate_sticky": Estimate(0.4, 0.2, 0.6), "median_steps": None,
        "milestone_mean": Estimate(1.5, 1.2, 1.8), "progress": Estimate(3.25, 3.0, 3.5), "still": half, "loops": half,
        "coverage": Estimate(12.0, 10.0, 14.0), "past": {"title": Estimate(1.0, 0.72, 1.0), "goal": half},
        "steps_to": {"title": 12.0, "goal": None}, "buttons": {"a": 0.75, "b": 0.25}, "curve": [0.0, 1.0, 3.25],
        "places": {(1, 2, 3): 4, (9, 0, 0): 1},
    }  # fmt: skip
    return Score(**(values | changes))


def test_the_page_holds_everything_and_fetches_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    frames = rl_fixtures.artifact(store / "frames" / "v1", "frames", {"videos": 3}, {"frames": 1234})
    (frames.folder / "manifest.json").write_text(json.dumps({"schema": 1, **frames.manifest}))
    tokenizer = rl_fixtures.artifact(store / "tokenizer" / "v1", "tokenizer", {"frames": 1}, {"recon_mse": 0.0125, "z": 1})
    tokenizer.manifest["notes"] = ["a <note>"]
    Image.new("L", (20, 10)).save(tokenizer.folder / "reconstruction.png")
    rows = [{"step": 10, "loss": 2.0}, {"step": 20, "loss": 1.0}, {"step": 20, "val_loss": 1.5, "val_only": 3.0}]
    (tokenizer.folder / "history.json").write_text(json.dumps({"tokenizer": rows}))
    film = tmp_path / "agent.gif"
    Image.new("P", (8, 8)).save(film)
    explored = tmp_path / "explored.png"
    Image.new("RGB", (8, 8)).save(explored)
    players = [player("policy"), player("random")]
    findings = Findings("GAME <1>", Rules(), ["title", "goal"], players, 431.0, film, explored, {1: "cellar"})

    shown = lineage([tokenizer])
    assert [artifact.ref for artifact in shown] == ["frames@v1", "tokenizer@v1"]  # videos@v3 is not in the folder
    page = build(findings, shown, {"episodes": 10})
    links = Links()
    links.feed(page)
    assert links.found and all(link.startswith("data:image/") for link in links.found)
    assert not {"script", "link", "iframe"} & set(links.tags) and "url(" not in page
    for text in (
        "GAME &lt;1&gt;",
        "a &lt;note&gt;",
        "tokenizer@v1",
        "0.0125",
        "1\u202f234",
        "cellar",
        "map 9",
        "prefers-color-scheme",
        "50% (25–75) reach the goal",
        "40% (20–60) with sticky actions",
        "100% (72–100)",
        "a wait of 0 to 120 ticks; as many with sticky actions (5%); the footage&#x27;s median run takes 431 actions",
    ):
        assert text in page, text
    assert "GAME <1>" not in page
    assert len(re.findall("<polyline", page)) == 2 + 1  # progress of two players, one loss (the held-out one is a dot)
    assert ">only<" in page
    assert page.count("data:image/png") == 2, "a picture of the tokenizer, and where they went"
    assert "<td>cellar</td><td>80% <span class='sub'>1 cell</span></td>" in page, "4 of 5 actions in one cell"
    assert "<td>title</td><td>100% (72–100)<br><span class='sub'>in 12</span></td>" in page
    assert "<td>goal</td><td>50% (25–75)</td>" in page, "no steps where nobody got there"
    assert "in seconds of a speedrun" in page and "share of the course, 0" not in page
    judged = build(replace(findings, course=True), shown, {})
    assert "the judge&#x27;s share of the course, 0 … 1;" in judged and "in seconds of a speedrun" not in judged


def test_the_judge_s_runs_are_counted_where_some_are_not_shown(tmp_path: Path) -> None:
    reward = rl_fixtures.artifact(tmp_path / "reward" / "v1", "reward")
    (reward.folder / "course").mkdir()
    run = {"run": "a", "seconds": [0, 9], "progress": [0, 1], "splits_passed": 3}

    def page(**told: int) -> str:
        (reward.folder / "course/watched.json").write_text(json.dumps({"splits": 3, "runs": [run] * 4, **told}))
        return build(Findings("?", Rules(), [], [player("policy")]), [reward], {})

    assert "4 of the 5 held-out runs of reward@v1." in page(held_out=5)
    assert "of the 4 held-out runs" not in page(held_out=4) and "held-out runs of reward" not in page()


def test_a_game_without_a_reader_still_gets_a_page(tmp_path: Path) -> None:
    unread = dict.fromkeys(("success_rate", "success_rate_sticky", "milestone_mean", "coverage"))
    lone = player("policy", past={}, steps_to={}, places={}, buttons={}, **unread)
    page = build(Findings("?", Rules(), [], [lone]), [rl_fixtures.artifact(tmp_path, "policy")], {})
    assert "no reader" in page and "Where they went" not in page and "The agent plays" not in page
