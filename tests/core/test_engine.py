"""The table and what runs it, on toy stages: skip, rerun, pin, fail, and which file went where."""

import errno
import json

import pytest

from emurl import cli
from emurl.core import engine
from emurl.core.config import config_class, load_config
from emurl.core.errors import InputError, WorkError
from emurl.core.pipeline import Stage, find_pipeline
from emurl.core.store import Store
from tests.fixtures.rom import rom_bytes

STAGES = tuple(find_pipeline("speedrun").by_name)


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """Every stage writes its settings' digest-relevant text; `calls` says which ran."""
    calls: list[str] = []
    fail: dict[str, BaseException] = {}

    def load(self: Stage):
        def run(settings, inputs, output, tracker):
            calls.append(self.name)
            if self.name in fail:
                output.path("half.txt").write_text("half")
                raise fail[self.name]
            text = json.dumps([self.name, settings.fingerprint_values(), [one.digest for one in inputs.values()]])
            output.path("what.txt").write_text(text)
            output.metrics[self.headline] = 0.5

        return run

    monkeypatch.setattr(Stage, "load", load)
    monkeypatch.chdir(tmp_path)
    return calls, fail


OFF = ["tracking.tensorboard=false", "tracking.wandb=false"]


def run(*names, overrides=(), **more):
    return engine.run_pipeline(load_config(None, ["store=store", *OFF, *overrides]), names, **more)


def test_a_stage_reads_only_what_comes_before_it_and_its_settings_are_a_section():
    seen: set[str] = set()
    pipeline = find_pipeline("speedrun")
    for stage in pipeline.stages:
        assert set(stage.parents) <= seen
        seen.add(stage.name)
        assert stage.settings is config_class(pipeline).model_fields[stage.name].annotation


def test_every_stage_runs_once_then_never_again(toy):
    calls, _ = toy
    assert [result.skipped for result in run()] == [False] * 9
    assert calls == list(STAGES)
    assert [result.skipped for result in run()] == [True] * 9
    assert calls == list(STAGES)
    assert Store("store").verify() == []


def test_a_changed_setting_reruns_the_stage_and_what_comes_of_it(toy):
    calls, _ = toy
    run()
    calls.clear()
    run(overrides=["reward.epochs=2"])
    assert calls == ["reward", "policy", "evaluation"]
    calls.clear()
    run()  # back to the first settings: everything is known
    assert calls == []


def test_one_stage_again_makes_one_version(toy):
    calls, _ = toy
    run()
    calls.clear()
    (result,) = run("reward", overrides=["reward.epochs=2"])
    assert calls == ["reward"]
    assert result.artifact.ref == "reward@v2"
    assert result.artifact.parents == {"frames": "frames@v1"}
    assert Store("store").versions("speedrun", "policy") == [1]


def test_force_runs_again_and_same_result_keeps_children(toy):
    calls, _ = toy
    run()
    calls.clear()
    run("reward", force=True)
    assert calls == ["reward"]
    calls.clear()
    run()  # reward@v2 has the digest of v1
    assert calls == []


def test_a_parent_can_be_pinned(toy):
    run()
    run("reward", overrides=["reward.epochs=2"])
    (latest,) = run("policy", overrides=["policy.gamma=0.9"])
    (pinned,) = run("policy", overrides=["policy.gamma=0.8"], inputs=["reward@v1"])
    assert latest.artifact.parents["reward"] == "reward@v2"
    assert pinned.artifact.parents["reward"] == "reward@v1"


def test_gc_keeps_what_the_stage_that_runs_reads(toy, monkeypatch):
    run("runs", "videos", "frames")
    run("frames", overrides=["frames.fps=3.0"])
    load = Stage.load

    def load_and_clean_up(stage: Stage):
        def run_stage(settings, inputs, output, tracker):
            assert "frames@v1" not in Store("store").gc(keep=1)
            load(stage)(settings, inputs, output, tracker)

        return run_stage

    monkeypatch.setattr(Stage, "load", load_and_clean_up)
    (made,) = run("reward", inputs=["frames@v1"])
    assert made.artifact.parents == {"frames": "frames@v1"}
    assert Store("store").verify() == []


def test_a_missing_parent_and_an_unknown_stage_are_one_line(toy):
    with pytest.raises(InputError, match=r"frames.*emurl run frames"):
        run("reward")
    with pytest.raises(InputError, match=r"'rewards'.*reward"):
        run("rewards")


def test_a_failed_stage_leaves_no_version_and_the_next_run_goes_on(toy):
    calls, fail = toy
    fail["reward"] = WorkError("reward: NaN")
    with pytest.raises(WorkError):
        run()
    assert Store("store").stages("speedrun") == ["dynamics", "frames", "runs", "tokenizer", "videos"]
    assert Store("store").verify() == []
    fail.clear()
    calls.clear()
    run()
    assert calls == ["reward", "behavior", "policy", "evaluation"]


def test_a_full_disk_is_one_line(toy):
    _, fail = toy
    fail["frames"] = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(WorkError, match=r"frames: the disk of .* is full"):
        run()
    assert Store("store").verify() == []


def test_the_roms_content_counts_not_its_name(toy, tmp_path):
    calls, _ = toy
    rom = tmp_path / "my.gb"
    rom.write_bytes(rom_bytes())
    run(overrides=[f"emulator.rom={rom}"])
    calls.clear()
    rom.write_bytes(rom_bytes()[:-1] + b"x")
    run(overrides=[f"emulator.rom={rom}"])
    assert calls == ["behavior", "policy", "evaluation"]
    calls.clear()
    rom.rename(tmp_path / "elsewhere.gb")
    run(overrides=[f"emulator.rom={tmp_path}/elsewhere.gb"])
    assert calls == []
    with pytest.raises(InputError, match=r"emulator.rom: .*absent\.gb: no such file"):
        run(overrides=["emulator.rom=absent.gb"])


def test_the_closing_table_has_its_columns(toy):
    text = engine.closing_table(run())
    lines = text.splitlines()
    assert lines[0].split() == ["stage", "version", "headline", "time", "path"]
    assert len(lines) == 2 + 9
    assert "pairwise_accuracy 0.5" in text
    assert "store/speedrun/evaluation/v1" in lines[-1]


# --- the command line over it ------------------------------------------------------------------------------------


def command(capsys, *words):
    code = cli.main([*words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def settings_file(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("store: store\ntracking: {tensorboard: false, wandb: false}\n")
    return str(file)


def test_run_list_show_compare_verify_gc(toy, capsys, settings_file):
    code, out, _ = command(capsys, "run", "--config", settings_file, "--json")
    assert code == 0
    assert [row["stage"] for row in json.loads(out)] == list(STAGES)
    code, out, err = command(capsys, "run", "reward", "--config", settings_file, "--set", "reward.epochs=2")
    assert code == 0
    assert "reward" in out
    assert "reward@v2" in err
    code, out, _ = command(capsys, "artifacts", "list", "--json", "--store", "store")
    rows = {row["ref"]: row for row in json.loads(out)}
    assert rows["reward@v2"]["parents"] == {"frames": "frames@v1"}
    code, out, _ = command(capsys, "artifacts", "show", "reward@v2", "--store", "store", "--json")
    assert json.loads(out)["settings"]["epochs"] == 2
    code, out, _ = command(capsys, "compare", "reward@v1", "reward@v2", "--store", "store", "--json")
    assert json.loads(out)["settings"] == {"epochs": [50, 2]}
    code, out, _ = command(capsys, "compare", "reward@v1", "reward@v2", "--store", "store")
    assert "epochs" in out
    assert "pairwise_accuracy" in out
    code, out, _ = command(capsys, "artifacts", "verify", "--store", "store")
    assert (code, out) == (0, "10 artifacts, every file as its manifest says\n")
    code, out, _ = command(capsys, "artifacts", "gc", "--keep", "1", "--store", "store")
    assert code == 0
    assert "nothing to remove" in out  # reward@v1 is what policy@v1 came from
    assert command(capsys, "artifacts", "list", "--store", "store")[1].count("\n") == 10


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--config", "absent.yaml"], "absent.yaml"),
        (["run", "nonsense"], "nonsense"),
        (["run", "--set", "reward.epochs=two"], "reward.epochs"),
        (["run", "--set", "what.ever=1"], "what"),
        (["run", "--store", "/dev/null/store"], "not writable"),
        (["run", "reward"], "frames"),
        (["artifacts", "show", "reward@v7"], "reward@v7"),
        (["artifacts", "gc", "--keep", "0"], "--keep"),
        (["compare", "reward@v1"], "reward@v1"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(toy, capsys, settings_file, words, expected):
    if words[0] == "run" and "--config" not in words:
        words = [*words, "--config", settings_file]
    code, out, err = command(capsys, *words)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert expected in err


def test_failed_work_is_exit_1_and_ctrl_c_130(toy, capsys, settings_file):
    _, fail = toy
    fail["videos"] = WorkError("videos: none of 3 could be downloaded")
    code, _, err = command(capsys, "run", "--config", settings_file)
    assert code == 1
    assert err.splitlines()[-1] == "emurl: videos: none of 3 could be downloaded"
    fail["videos"] = KeyboardInterrupt()
    assert command(capsys, "run", "--config", settings_file)[0] == 130
    assert Store("store").verify() == []
