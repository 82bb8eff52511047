"""The table and what runs it, on toy stages: skip, rerun, pin, fail, and which file went where."""

import errno
import json
from dataclasses import replace

import pytest

from emurl import cli
from emurl.core import engine, log
from emurl.core.config import config_class, load_config
from emurl.core.errors import InputError, WorkError
from emurl.core.pipeline import Pipeline, Stage, find_pipeline
from emurl.core.store import Store
from tests.fixtures.rom import rom_bytes
from tests.fixtures.store import put

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
    assert calls == ["reward", "behavior", "policy", "evaluation"]
    calls.clear()
    run()  # back to the first settings: everything is known
    assert calls == []


def test_a_stage_that_runs_again_says_what_has_changed(toy, capsys, monkeypatch):
    log.start()
    run()
    assert "made anew" not in capsys.readouterr().err  # there was nothing before

    def said(*names, **more):
        run(*names, **more)
        return [line.strip() for line in capsys.readouterr().err.splitlines() if "made anew" in line]

    assert said("reward", overrides=["reward.epochs=2"]) == ["made anew, for since reward@v1 changed: settings (epochs 50 → 2)"]
    assert said("behavior") == ["made anew, for since behavior@v1 changed: parents (reward reward@v1 → reward@v2)"]
    assert said("reward", force=True) == [] and said("reward") == []
    many = [f"reward.{name}" for name in ("batch_size=3", "epochs=3", "learning_rate=0.3", "weight_decay=0.3")]
    (line,) = said("reward", overrides=many)
    assert line.startswith("made anew, for since reward@v3 changed: settings (batch_size ") and line.endswith(" and 1 more)")
    monkeypatch.setattr(engine, "code_digest", lambda *_: "0" * 64)
    assert said("runs") == ["made anew, for since runs@v1 changed: code"]


def test_one_stage_again_makes_one_version(toy):
    calls, _ = toy
    run()
    calls.clear()
    (result,) = run("reward", overrides=["reward.epochs=2"])
    assert calls == ["reward"]
    assert result.artifact.ref == "reward@v2"
    assert result.artifact.parents == {"frames": "frames@v1", "tokenizer": "tokenizer@v1"}
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
    run("reward", "behavior", overrides=["reward.epochs=2"])
    (latest,) = run("policy", overrides=["policy.gamma=0.9"])
    (pinned,) = run("policy", overrides=["policy.gamma=0.8"], inputs=["reward@v1", "behavior@v1"])
    assert latest.artifact.parents["reward"] == "reward@v2"
    assert pinned.artifact.parents["reward"] == "reward@v1"


def test_a_pin_wins_over_what_the_run_makes(toy):
    run("runs", "videos", "frames")
    run("frames", overrides=["frames.fps=4.0"])
    frames, tokenizer = run("frames", "tokenizer", inputs=["frames@v2"])
    assert (frames.artifact.ref, tokenizer.artifact.parents["frames"]) == ("frames@v1", "frames@v2")


@pytest.mark.parametrize(
    ("pins", "said"),
    [
        (["policy@v1"], "--input policy@v1: no stage that runs reads policy, expected one of frames, tokenizer"),
        (["toy/frames@v1"], "--input toy/frames@v1: no stage that runs reads toy/frames, expected one of frames, tokenizer"),
        (["frames@v1", "frames"], "--input frames: frames@v1 is given, too, expected one version of frames"),
    ],
)
def test_a_pin_that_nobody_reads_or_that_is_double_is_refused(toy, pins, said):
    run()
    put(Store("store"), "frames", "a", pipeline="toy")
    toy[0].clear()
    with pytest.raises(InputError) as caught:
        run("reward", inputs=pins, force=True)
    assert str(caught.value) == said
    assert toy[0] == []


def test_the_cadence_that_settings_leave_unsaid_is_the_parents_and_is_written_down(toy):
    before = ["runs", "videos", "frames", "tokenizer", "dynamics", "reward"]
    run(*before)
    run("behavior", overrides=["behavior.emulator.frame_skip=24"])
    policy, evaluation = run("policy", "evaluation")
    for made in (policy, evaluation):
        assert made.artifact.settings["emulator"]["frame_skip"] == 24
    said = ["emulator.frame_skip=24"]
    assert [one.skipped for one in run("policy", "evaluation", overrides=said)] == [True, True]
    with pytest.raises(InputError, match=r"frame_skip: the settings say 30, expected 24, which behavior@v1 was trained at"):
        run("policy", overrides=["policy.emulator.frame_skip=30"])


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
    (made,) = run("tokenizer", inputs=["frames@v1"])
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
    assert calls == ["dynamics", "reward", "behavior", "policy", "evaluation"]
    calls.clear()
    rom.rename(tmp_path / "elsewhere.gb")
    run(overrides=[f"emulator.rom={tmp_path}/elsewhere.gb"])
    assert calls == []
    with pytest.raises(InputError, match=r"emulator.rom: .*absent\.gb: no such file"):
        run(overrides=["emulator.rom=absent.gb"])


def test_a_file_that_settings_name_has_to_be_there_also_where_nothing_else_has_changed(toy, tmp_path):
    calls, _ = toy
    first = ("runs", "videos", "frames")
    run(*first)
    calls.clear()
    for named, said in (("confgs/crops.json", "No such file"), (".", "directory")):
        with pytest.raises(InputError, match=rf"frames.crop_config: {named}: cannot be read \(.*{said}.*\), expected a file"):
            run(*first, overrides=[f"frames.crop_config={named}"])
    (tmp_path / "crops.json").write_text("{}")
    run(*first, overrides=["frames.crop_config=crops.json"])
    assert calls == ["frames"]
    run(*first, overrides=["frames.crop_config=null"])
    assert calls == ["frames"]


def test_the_closing_table_has_its_columns(toy):
    text = engine.closing_table(run())
    lines = text.splitlines()
    assert lines[0].split() == ["stage", "version", "headline", "time", "path"]
    assert len(lines) == 2 + 9
    assert "pairwise_accuracy 0.5" in text
    assert "store/speedrun/evaluation/v1" in lines[-1]


def test_parents_that_do_not_go_together_are_refused(toy):
    calls, _ = toy
    run()
    run("tokenizer", overrides=["tokenizer.steps=7"])
    calls.clear()
    with pytest.raises(InputError, match=r"dynamics@v1 was made with tokenizer@v1, expected tokenizer@v2: run dynamics"):
        run("policy")
    assert calls == []
    (old,) = run("policy", overrides=["policy.gamma=0.9"], inputs=["tokenizer@v1"])
    assert old.artifact.parents["tokenizer"] == "tokenizer@v1"
    run("dynamics", "reward", "behavior", "policy", overrides=["tokenizer.steps=7"])
    with pytest.raises(InputError, match=r"dynamics@v2 was made with tokenizer@v2, expected tokenizer@v1"):
        run("policy", inputs=["tokenizer@v1"])


def test_parents_of_the_same_files_go_together(toy):
    run()
    run("tokenizer", force=True)
    (policy,) = run("policy", overrides=["policy.gamma=0.9"])
    assert policy.artifact.parents["tokenizer"] == "tokenizer@v2"
    assert policy.artifact.parents["dynamics"] == "dynamics@v1"


def test_two_parents_of_one_stage_name_are_both_handed_over(toy, monkeypatch):
    calls, _ = toy
    pipeline = find_pipeline("speedrun")
    monkeypatch.setitem(pipeline.by_name, "reward", replace(pipeline.by_name["reward"], parents=("frames", "toy/frames")))
    monkeypatch.setattr(Pipeline, "choose", lambda self, names: [self.by_name["reward"]])
    for text in ("a", "b"):
        put(Store("store"), "frames", text)
        put(Store("store"), "frames", text, pipeline="toy")
        (result,) = run()
        assert not result.skipped
    assert result.artifact.parents == {"frames": "frames@v2", "toy/frames": "toy/frames@v2"}
    put(Store("store"), "frames", "c")
    assert [one.artifact.parents["frames"] for one in run()] == ["frames@v3"]
    assert Store("store").verify() == []


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
    assert rows["reward@v2"]["parents"] == {"frames": "frames@v1", "tokenizer": "tokenizer@v1"}
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
