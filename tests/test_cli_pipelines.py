"""Words that belong to one pipeline, given the settings or the artifacts of another."""

import pytest

from emurl import cli, doctor, play
from emurl.core.config import load_config
from emurl.core.errors import InputError
from emurl.core.store import Store
from tests.fixtures.beside import beside
from tests.fixtures.store import put

TOY = """\
from emurl.core.pipeline import Pipeline, Stage
from emurl.core.settings import Settings
class WipSettings(Settings):
    pass
def run(settings: WipSettings, inputs, output, tracker): ...
PIPELINE = Pipeline("wip", "x", __name__, (Stage("policy", (), "x", "x", module=__name__),))
"""


@pytest.fixture
def add(tmp_path):
    with beside(tmp_path) as put:
        yield put


@pytest.mark.parametrize("words", [["bench", "policy"], ["bench", "emulator"], ["play", "--random"], ["play", "--bot"]])
def test_words_of_one_pipeline_say_so_where_they_are_given_another(add, capsys, tmp_path, words):
    add("pipelines", "wip", TOY)
    (tmp_path / "wip.yaml").write_text(f"pipeline: wip\nstore: {tmp_path / 'store'}\n")
    assert cli.main([*words, "--config", str(tmp_path / "wip.yaml")]) == 2
    out, err = capsys.readouterr()
    named = " ".join(words[:2] if words[0] == "bench" else words[:1])
    assert (out, err) == ("", f"emurl: {named}: the settings are of pipeline wip, expected a --config of speedrun\n")


def test_the_doctor_looks_at_what_another_pipeline_has(add, tmp_path, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    add("pipelines", "wip", TOY)
    checks = {check.name: check.verdict for check in doctor.examine(load_config(None, ["pipeline=wip", f"store={tmp_path}"]))}
    assert checks == dict.fromkeys(("python", "ffmpeg", "proxy", "store", "prefect", "device", "tracking"), "ok")


def test_a_player_of_another_pipeline_is_not_played(tmp_path):
    put(Store(tmp_path), "policy", "a", pipeline="vgc")
    with pytest.raises(InputError, match="pipeline 'vgc': there is no such pipeline, expected one of baseline, speedrun"):
        play.watch(load_config(None), Store(tmp_path), "vgc/policy", steps=1, seed=0, video=str(tmp_path / "a.gif"))


def test_a_hint_names_a_command_that_works_or_what_was_meant(add, capsys, tmp_path):
    add("pipelines", "wip", TOY)
    settings = tmp_path / "wip.yaml"
    settings.write_text(f"pipeline: wip\nstore: {tmp_path / 'store'}\n")

    def said(*words):
        assert cli.main([*words]) == 2
        return capsys.readouterr().err.strip()

    here = ("--config", str(settings))
    first = "policy"
    assert said("play", f"wip/{first}", *here).endswith(f"expected one: `emurl run {first} --config {settings}` makes it")
    away = ("--store", str(tmp_path / "store"))
    assert said("play", f"wip/{first}", *away).endswith(
        f"`emurl run {first} --config FILE (settings of wip) --store {tmp_path / 'store'}` makes it"
    )
    assert said("play", "polcy", *away).endswith("there is no such stage in speedrun; did you mean policy?")
    assert said("artifacts", "show", "vgc/league", *away).endswith("there is no such stage, and no pipeline vgc")
    assert said("compare", "reward", *away).endswith(f"`emurl run reward --store {tmp_path / 'store'}` makes it")


def test_the_default_settings_that_are_not_there_are_said_to_be_the_default(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run"]) == 2
    line = "configs/demo.yaml: no such file here, which is the default; expected --config FILE, or to be run in the checkout of emurl"
    assert capsys.readouterr().err.strip() == f"emurl: {line}"
    assert cli.main(["run", "--config", "other.yaml"]) == 2
    assert "--config other.yaml: no such file" in capsys.readouterr().err
