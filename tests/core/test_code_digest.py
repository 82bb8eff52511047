"""A comment changes nothing; a changed constant, also one far below, changes the digest of every stage that can reach it."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emurl.core import code_digest as code

PLAIN = """\
import math
RATE = 0.25


def area(r):
    return math.pi * r**2 * RATE


class Thing:
    size: int = 3
"""
DRESSED = '''\
"""A docstring."""

import math  # why
RATE = 0.25
"""What the rate is."""


# a remark
def area(r):
    """Another one,

    longer."""
    return math.pi * r**2 * RATE  # here, too

class Thing:
    """A thing."""

    size: int = 3  # in px
'''


def test_comments_docstrings_and_blank_lines_do_not_count():
    assert code.bare(DRESSED) == code.bare(PLAIN)


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.25", "0.26"), ("r**2", "r**3"), ("size: int = 3", "size: int = 4"), ("import math", "import cmath as math")],
)
def test_whatever_else_is_changed_counts(old, new):
    assert code.bare(PLAIN.replace(old, new)) != code.bare(PLAIN)


def test_what_only_tells_of_stages_does_not_count():
    table = 'from here import Stage\nPIPELINE = Stage(\n    "a",  # why\n    "b",\n)\nx = 1\n'
    assert code.bare(table) == code.bare(table.replace('"b"', '"b",\n    "c"')) == "from here import Stage\nx = 1"
    metrics = 'METRICS: dict[str, str] = {"loss": "nats"}\n'
    assert code.bare(metrics) == ""
    assert code.bare("def f():\n    METRICS = {}\n") != code.bare("def f():\n    METRICS = []\n")


def test_a_hash_sign_in_a_string_is_no_comment():
    assert code.bare('x = "# not a comment"\n') == 'x = "# not a comment"'


def test_a_function_that_is_only_a_docstring_stays_a_function():
    bare = code.bare('class A:\n    """Only this."""\n\n\ndef f():\n    """And this."""\n')
    assert ast.dump(ast.parse(bare)) == ast.dump(ast.parse("class A:\n    ...\ndef f():\n    ..."))


@given(st.lists(st.sampled_from(["# remark", "", "   # another"]), max_size=6), st.integers(0, 9))
def test_comments_may_stand_anywhere(remarks, at):
    lines = PLAIN.splitlines()
    there = min(at, len(lines))
    assert code.bare("\n".join([*lines[:there], *remarks, *lines[there:]]) + "\n") == code.bare(PLAIN)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`made`: a stage that imports `middle` inside its function, which imports `deep`; `other` stands alone."""
    folder = tmp_path / "made"
    folder.mkdir()
    texts = {
        "__init__": "",
        "stage": "def run(settings):\n    from made import middle\n    return middle.double(settings)\n",
        "middle": "from made.deep import FACTOR\n\n\ndef double(x):\n    return x * FACTOR\n",
        "deep": "FACTOR = 2\n",
        "other": "NUMBER = 1\n",
    }
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))

    def rewrite(name, text):
        (folder / f"{name}.py").write_text(text)
        for cached in (code._imports, code._is_module, code._find, code.source_digest):
            cached.cache_clear()

    yield rewrite
    rewrite("other", "")


def test_what_a_stage_reaches_is_followed_through_functions_and_modules(package):
    assert code.closure(("made.stage",)) == {"made", "made.stage", "made.middle", "made.deep"}
    before = code.code_digest("made.stage")
    package("deep", "# a comment\nFACTOR = 2\n")
    assert code.code_digest("made.stage") == before
    package("other", "NUMBER = 2\n")
    assert code.code_digest("made.stage") == before
    package("deep", "FACTOR = 3\n")
    assert code.code_digest("made.stage") != before


def test_the_real_stages_reach_what_they_use_and_not_each_other():
    dynamics = code.closure(("emurl.pipelines.speedrun.dynamics",))
    assert {"emurl.models.dynamics", "emurl.training.optimizers", "emurl.footage.dataset"} <= dynamics
    assert not any(name.startswith("emurl.core") for name in dynamics)
    assert "emurl.pipelines.speedrun.reward" not in dynamics
    assert "emurl.games.mossdale.bot" not in code.closure(("emurl.pipelines.speedrun.reward",))
