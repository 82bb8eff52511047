"""The report in a real browser: nothing is fetched, nothing is said on the console, nothing scrolls sideways, everything is seen."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from emurl.report import Findings, build, lineage
from emurl.training.scores import Rules
from tests.fixtures import playing as rl_fixtures
from tests.report.test_page import player

PHONE, DESK = 390, 1400
# What a Debian or another system calls it; `playwright install chromium` puts one where playwright itself finds it.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def skip(why: str) -> None:
    """Loudly: CI installs a browser, so there this is a failure."""
    told = f"THE REPORT WAS NOT LOOKED AT IN A BROWSER: {why}"
    if os.environ.get("EMURL_NEEDS_BROWSER"):
        pytest.fail(told)
    warnings.warn(told, stacklevel=2)
    pytest.skip(told)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        skip("playwright is not installed, expected `pip install playwright` (the dev extra has it)")
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        try:
            # A container's root has no sandbox, and what is opened is our own file.
            started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        except Error as error:
            skip(f"no browser starts ({str(error).splitlines()[0]}), expected chromium or `playwright install chromium`")
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all its sections, names as long as they come, and pictures as large as stages write them."""
    folder = tmp_path_factory.mktemp("report")
    artifacts = []
    for stage, pictures in (
        ("frames", {"screens.png": (1600, 900)}), ("tokenizer", {"reconstruction.png": (320, 1152), "codebook.png": (512, 1024)}),
        ("dynamics", {"prediction.png": (480, 1152), "strangeness.png": (1200, 450)}),
        ("reward", {"progress.png": (320, 400), "splits.png": (2004, 1296)}),
    ):  # fmt: skip
        artifact = rl_fixtures.artifact(
            folder / stage / "v1", stage, {}, {f"a_metric_with_a_long_name_{n}": n / 7 for n in range(9)}
        )
        for name, size in pictures.items():
            picture = Image.new("L", size, 200)
            ImageDraw.Draw(picture).rectangle((4, 4, size[0] - 5, size[1] - 5), outline=0)
            picture.save(artifact.folder / name)
        rows = [{"step": 10 * n, "loss": 1 / (n + 1), "val_loss": 1.5 / (n + 1)} for n in range(20)]
        (artifact.folder / "history.json").write_text(json.dumps(rows))
        artifacts.append(artifact)
    Image.new("P", (160, 288)).save(artifacts[2].folder / "dream.gif")
    (artifacts[3].folder / "course").mkdir()
    runs = [
        {"run": f"a-run-of-somebody-{n}", "seconds": [0, 10, 20], "progress": [0, 0.5, 0.97], "splits_passed": 11}
        for n in range(4)
    ]
    (artifacts[3].folder / "course/watched.json").write_text(json.dumps({"splits": 12, "runs": runs}))
    for name, size in (("agent.gif", (848, 304)), ("explored.png", (1640, 700))):
        Image.new("P", size, 3).save(folder / name)
    players = [player(name) for name in ("policy", "clone", "replay", "random")]
    findings = Findings(
        "MOSSDALE", Rules(), ["title", "goal"], players, 431.0, folder / "agent.gif", folder / "explored.png", {1: "cellar"}
    )
    path = folder / "report.html"
    path.write_text(build(findings, lineage(artifacts), {"episodes": 10}), encoding="utf-8")
    return path


OVERFLOWING = """() => [...document.querySelectorAll('body *')]
  .filter(one => !one.closest('.scroll') && !one.closest('pre'))
  .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5 || one.getBoundingClientRect().left < -0.5)
  .map(one => one.tagName + '.' + one.className)"""
UNSEEN = (
    "() => [...document.images].filter(one => !one.complete || !one.naturalWidth || !one.getBoundingClientRect().width).length"
)
CUT = """() => [...document.querySelectorAll('.scroll:has(table)')].filter(one => one.scrollWidth > one.clientWidth + 1)
  .map(one => one.closest('section').querySelector('h2').innerText)"""
SMALL = """() => [...document.querySelectorAll('svg text')]
  .map(one => one.getBoundingClientRect().height).filter(tall => tall < 8).length"""
# Contrast of text on what is behind it, as WCAG counts it: the least of all of the page.
CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const ground = one => { for (; one; one = one.parentElement) { const c = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$|transparent/.test(c)) return c } return 'rgb(255,255,255)' };
  const least = [...document.querySelectorAll('h1,h2,h3,p,td,th,figcaption,summary,.sub,.figure,dt,dd,pre')].map(one => {
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05) });
  return Math.min(...least) }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, 768, DESK])
def test_it_reads_well(browser: Any, report: Path, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, service_workers="block")
    try:
        page = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report.as_uri(), wait_until="networkidle")
        page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert said == []
        assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OVERFLOWING) == []
        assert page.evaluate("document.images.length") == 10 and page.evaluate(UNSEEN) == 0
        if width == DESK:
            assert set(page.evaluate(CUT)) <= {"The pipeline"}, "tables that hide columns at the right edge of a wide screen"
        assert page.evaluate(SMALL) == 0, "figures of a chart that nobody can read"
        assert page.evaluate(CONTRAST) >= 4.5
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        assert dark == (scheme == "dark")
        titles = page.locator("h2").all_inner_texts()
        for title in ("The agent plays", "The judge over held-out runs", "What the models see", "Training"):
            assert title in titles
        told = page.locator("figcaption").all_inner_texts()
        for title in ("The screens that were found", "Splits", "Out of distribution", "Reconstructions", "Dream"):
            assert any(one.startswith(title) for one in told), title
    finally:
        context.close()
