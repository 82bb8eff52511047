"""What is found by looking: a half-made folder is named where it is asked for, and keeps nothing from the others."""

import sys

import pytest

from emurl import cli
from emurl.core import registry
from emurl.core.config import load_config
from emurl.core.errors import InputError
from emurl.core.pipeline import Pipeline, Stage, find_pipeline
from tests.fixtures.beside import beside

TABLE = "from emurl.core.pipeline import Pipeline, Stage\nPIPELINE = Pipeline('wip', 'x', __name__, (Stage({}, (), 'x', 'x'),))\n"


@pytest.fixture
def add(tmp_path):
    with beside(tmp_path) as put:
        yield put


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PIPELINE = \n", r"cannot be imported (SyntaxError: invalid syntax (wip.py, line 1)), expected a module that can"),
        ("\nimport nosuch\n", r"cannot be imported (ModuleNotFoundError: No module named 'nosuch', wip.py line 2)"),
        ("PIPELINE = None\n", "PIPELINE is a NoneType, expected a row with a name, or a tuple of rows"),
        ("PIPELINE = ['a']\n", "PIPELINE is a list, expected"),
        (TABLE.format("'v1'"), "pipeline wip: stage 'v1': a version is called so"),
    ],
)
def test_a_half_made_pipeline_is_named_and_keeps_nothing_from_the_others(add, capsys, tmp_path, text, said):
    add("pipelines", "wip", text)
    assert find_pipeline("speedrun").name == "speedrun" and "wip" not in registry.usable("pipelines")
    for ask in (lambda: find_pipeline("wip"), lambda: registry.discover("pipelines")):
        with pytest.raises(InputError) as caught:
            ask()
        assert f"emurl.pipelines.wip: {said}" in str(caught.value)
    assert cli.main(["artifacts", "list", "--store", str(tmp_path / "store")]) == 0
    capsys.readouterr()
    (tmp_path / "wip.yaml").write_text("seed: 1\n")
    assert cli.main(["run", "--config", str(tmp_path / "wip.yaml"), "--pipeline", "wip"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and said in err


def test_a_game_that_cannot_be_asked_is_not_passed_over(add):
    add("games", "wip", "import nosuch\n")
    with pytest.raises(InputError, match=r"emurl.games.wip: cannot be imported"):
        registry.discover("games")


def test_two_of_one_name_are_refused_and_others_found(add):
    add("pipelines", "wip", TABLE.format("'one'"))
    add("pipelines", "wip2", TABLE.format("'one'"))
    assert find_pipeline("speedrun").name == "speedrun"
    with pytest.raises(InputError, match="pipelines: there are two called wip, expected names of their own"):
        find_pipeline("wip")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "stage one: odd_stage.one cannot be imported (ModuleNotFoundError: No module named 'odd_stage.one'), expected"),
        ("1 / 0\n", "stage one: odd_stage.one cannot be imported (ZeroDivisionError: division by zero, one.py line 1)"),
        ("x = 1\n", "stage one: odd_stage.one has no run, expected run(settings, inputs, output, tracker)"),
        ("def run(settings, inputs, output, tracker): ...\n", "does not say what its `settings` are"),
        ("def run(settings: int, inputs, output, tracker): ...\n", "does not say what its `settings` are"),
        ("def run(settings: 'Nobody', inputs): ...\n", "has annotations that mean nothing (name 'Nobody' is not defined)"),
    ],
)
def test_a_stage_whose_module_is_not_there_or_half_made_is_one_line(tmp_path, monkeypatch, text, said):
    package = tmp_path / "odd_stage"
    package.mkdir()
    (package / "__init__.py").touch()
    if text is not None:
        (package / "one.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("odd_stage", "odd_stage.one"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    table = Pipeline("odd", "odd", "odd_stage", (Stage("one", (), "n", "a row"),))
    with pytest.raises(InputError) as caught:
        _ = table.by_name["one"].settings
    assert said in str(caught.value)


def test_a_pipeline_nobody_has_is_one_line():
    with pytest.raises(InputError, match="pipeline 'nosuch': there is no such pipeline, expected one of baseline, speedrun"):
        load_config(None, [], "nosuch")
