"""docs/architecture.md says of the house what the test of the house checks."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.test_house import FLOORS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()


def test_its_floors_are_those_that_are_checked():
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", PAGE, flags=re.M)
    told = [(int(number), set(re.findall(r"`(\w+)`", rooms))) for number, rooms in rows]
    checked = [rooms for rooms in FLOORS if rooms != {"__init__"}]
    assert told == [(len(checked) - place, rooms) for place, rooms in enumerate(checked)]


def test_what_it_names_is_there():
    for name in re.findall(r"`((?:emurl|tests|flows|tools|docs|configs)/[\w/.]*)`", PAGE):
        assert (ROOT / name).exists(), name


def test_the_folders_of_the_store_are_those_of_the_code():
    source = "".join(file.read_text() for file in (ROOT / "emurl/core").glob("*.py"))
    for name in re.findall(r"<store>/(\.\w+)/", PAGE):
        assert f'"{name}"' in source, name


PAGES = [
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "docs/howto").glob("*.md"),
    ROOT / "CONTRIBUTING.md",
    ROOT / "emurl/games/mossdale/README.md",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_links_lead_somewhere_and_modules_named_exist(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (page.parent / target).exists(), target
    if page.name != "log.md":  # which tells of modules as they were called then
        for module in re.findall(r"python -m ((?:emurl|tools|flows)[\w.]*)", text):
            assert importlib.util.find_spec(module), module
