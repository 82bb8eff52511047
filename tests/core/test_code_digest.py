"""A comment changes nothing; a changed constant, also one far below, changes the digest of every stage that can reach it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emurl.core import code_digest as code
from emurl.core.errors import InputError

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
    more = table.replace('"b"', '"b",\n    "c"')
    assert code.bare(table) == code.bare(more) == code.bare("from here import Stage\nx = 1\n")
    metrics = 'METRICS: dict[str, str] = {"loss": "nats"}\n'
    assert code.bare(metrics) == code.bare("")
    assert code.bare("def f():\n    METRICS = {}\n") != code.bare("def f():\n    METRICS = []\n")


def test_a_hash_sign_in_a_string_is_no_comment():
    assert code.bare('x = "# not a comment"\n') != code.bare('x = "# another"\n')


def test_a_function_that_is_only_a_docstring_stays_a_function():
    bare = code.bare('class A:\n    """Only this."""\n\n\ndef f():\n    """And this."""\n')
    assert bare == code.bare("class A:\n    ...\ndef f():\n    ...") != code.bare("class A:\n    ...")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('MAP = """a\n\nb"""', 'MAP = """a\nb"""'),
        ('MAP = """a  \nb"""', 'MAP = """a\nb"""'),
        ('"""doc"""; K = 3', '"""doc"""; K = 4'),
        ("METRICS = {}; K = 3", "METRICS = {}; K = 4"),
        ("def f(): 'doc'; return 1", "def f(): 'doc'; return 2"),
        ('a="\u2028#"; b=3 # c', 'a="\u2028#"; b=4 # c'),
        ('a=1\n\x0c\nb="""x\x0cy"""; c=3 # k', 'a=1\n\x0c\nb="""x\x0cy"""; c=4 # k'),
        ("x = f'{x:#x}'", "x = f'{x:#o}'"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = None", "x = ..."),
    ],
)
def test_no_layout_hides_a_change(old, new):
    assert code.bare(old + "\n") != code.bare(new + "\n")


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
        file = folder / (name if "." in name else f"{name}.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        for cached in (code._imports, code._is_module, code._find, code._look, code._data):
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


@pytest.mark.parametrize(
    "stage",
    [
        "from .deep import FACTOR\n",
        "from . import deep\n",
        "import importlib\nm = importlib.import_module('made.deep')\n",
        "from importlib import import_module\nm = import_module('.deep', __package__)\n",
        "from emurl.core.registry import lazily\nf = lazily('made.deep:f')\n",
        "from made import inner\n",
        "from made.bare import up\n",
    ],
)
def test_every_way_to_import_is_followed(package, stage):
    package("stage", stage)
    package("inner/__init__.py", "from ..deep import FACTOR\n")
    package("bare/up.py", "from ..deep import FACTOR\n")  # a package without an __init__.py
    before = code.code_digest("made.stage")
    package("deep", "FACTOR = 3\n")
    assert code.code_digest("made.stage") != before


def test_what_a_row_names_is_chosen_by_settings_and_not_followed(package):
    package("stage", "from emurl.core.registry import lazily\nGAME = dict(bot=lazily('made.deep:f'))\nfrom made import absent\n")
    assert code.closure(("made.stage",)) == {"made", "made.stage"}


@pytest.mark.parametrize(
    "reader",
    [
        "def f():\n    return METRICS\n",
        "from made.deep import METRICS as told\n",
        "import made.deep\nprint(made.deep.METRICS)\n",
        "import made.deep\nprint(getattr(made.deep, 'METRICS'))\n",
    ],
)
def test_what_only_tells_counts_where_code_reads_it(package, reader):
    package("deep", "METRICS = {'k': 3}\n" + (reader if "made" not in reader else ""))
    package("stage", "import made.deep\n" + (reader if "made" in reader else ""))
    before = code.code_digest("made.stage")
    package("deep", "METRICS = {'k': 4}\n" + (reader if "made" not in reader else ""))
    assert code.code_digest("made.stage") != before


def test_data_in_a_package_counts_for_what_reaches_it(package):
    package("stage", "from made import inner\n")
    package("inner/__init__.py", "")
    package("inner/maps/town.txt", "##\n")
    package("alone/__init__.py", "")
    before = code.code_digest("made.stage")
    for idle in ("inner/README.md", "inner/src/main.c", "inner/maps/.town.txt.swp", "inner/maps/town.txt~", "alone/data.txt"):
        package(idle, "something")
    assert code.code_digest("made.stage") == before
    package("inner/maps/town.txt", "#.\n")
    changed = code.code_digest("made.stage")
    assert changed != before
    package("weights.json", "1")
    assert code.code_digest("made.stage") != changed


def test_a_docstring_counts_where_code_reads_it(package):
    package("stage", '"""a"""\nx = __doc__\n')
    before = code.code_digest("made.stage")
    package("stage", '"""b"""\nx = __doc__\n')
    assert code.code_digest("made.stage") != before


def test_code_that_is_no_python_is_one_line(package):
    package("deep", "FACTOR = \n")
    with pytest.raises(InputError, match=r"deep\.py: not Python at line 1 \(invalid syntax\), expected"):
        code.code_digest("made.stage")


def test_the_real_stages_reach_what_they_use_and_not_each_other():
    dynamics = code.closure(("emurl.pipelines.speedrun.dynamics",))
    assert {"emurl.models.dynamics", "emurl.training.optimizers", "emurl.footage.dataset"} <= dynamics
    assert not any(name.startswith("emurl.core") for name in dynamics)
    assert "emurl.pipelines.speedrun.reward" not in dynamics
    assert "emurl.games.mossdale.bot" not in code.closure(("emurl.pipelines.speedrun.reward",))
