"""`emurl sweep`: what it finds, prunes and survives, and what it refuses."""

import json
import pickle
import shlex
import signal
import sys
import time
from pathlib import Path

import pytest
from wandb.proto import wandb_internal_pb2

from emurl import cli
from emurl import sweep as word
from emurl.core import engine
from emurl.core.store import Store
from tests.core.test_tracking import leveldb_log
from tests.fixtures.store import CREDENTIALS, keys, make_bucket, s3_server
from tests.fixtures.sweeping import Sweeper, made, sweeper

X = ("--search", "total.x=0..10")


@pytest.fixture
def quad(tmp_path):
    with sweeper(tmp_path) as found:
        assert cli.main(["run", "offset", "--config", str(found.settings)]) == 0
        yield found


@pytest.fixture
def say(quad, capsys):
    """`emurl sweep WORDS`: the exit code, what it prints, its last line on stderr."""

    def call(*words, stage="total"):
        capsys.readouterr()
        code = cli.main(quad.words(*words, stage=stage))
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def told(say):
    """The JSON document of `emurl sweep WORDS`."""

    def call(*words, **more):
        code, out, err = say(*words, "--json", **more)
        assert code == 0, err
        return json.loads(out)

    return call


def store_of(quad: Sweeper) -> Store:
    return Store(quad.folder / "store")


def clean(store: Store) -> bool:
    """Whether nothing is under way or left over."""
    return not [name for name in (*store.objects.names(".leases"), *store.objects.names(".work")) if not name.startswith(".")]


# --- finding -------------------------------------------------------------------------------------------------------------


def test_it_finds_the_best_tags_it_and_prints_a_line_that_makes_it_again(quad, say, told, capsys):
    words = (*X, "--search", "total.n=0..4", "--trials", "25", "--no-prune")
    document = told(*words)
    assert set(document) == {"sweep", "pipeline", "stage", "metric", "direction", "trials", "best"}
    assert (document["pipeline"], document["stage"], document["metric"], document["direction"]) == (
        "quad",
        "total",
        "error",
        "minimize",
    )
    rows = document["trials"]
    assert sorted(row["number"] for row in rows) == list(range(25))
    for row in rows:
        assert set(row) == {"number", "params", "state", "value", "ref", "duration_s", "why"}
        assert row["state"] == "complete"
        assert row["value"] == pytest.approx((row["params"]["total.x"] - 3) ** 2 + row["params"]["total.n"], rel=1e-5)
        assert store_of(quad).get(row["ref"]).metrics["error"] == row["value"]
    values = [row["value"] for row in rows]
    assert values == sorted(values) and values[0] < 0.5
    best = document["best"]
    assert best["number"] == rows[0]["number"] and best["tag"] == f"quad/total@best-{document['sweep']}"
    assert store_of(quad).get(best["tag"]).ref == best["ref"]
    code, out, _ = say(*words)
    table, paste = out.split("\n\n")
    assert code == 0 and len(table.splitlines()) == 27 and table.split()[:4] == ["trial", "error", "total.x", "total.n"]
    again = shlex.split(paste.splitlines()[1])
    assert cli.main(["run", "total", "--config", str(quad.settings), *again, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["skipped"] and row["ref"] == best["ref"]
    assert clean(store_of(quad))


def test_more_of_a_metric_may_be_better(told):
    document = told(*X, "--metric", "goodness", "--trials", "4")
    values = [row["value"] for row in document["trials"]]
    assert document["direction"] == "maximize" and values == sorted(values, reverse=True)
    assert told(*X, "--metric", "same", "--direction", "maximize", "--trials", "2")["best"]["number"] == 0


def test_a_grid_has_every_combination_once(quad, told):
    words = ("--search", "total.kind=a,b", "--search", "total.n=0..2", "--sampler", "grid", "--no-prune")
    found = {tuple(row["params"].values()) for row in told(*words, "--trials", "4")["trials"]}
    assert found == {("a", 0), ("a", 1), ("a", 2), ("b", 0)}
    document = told(*words)
    assert len(document["trials"]) == 6 and document["best"]["params"] == {"total.kind": "a", "total.n": 0}
    assert len(store_of(quad).versions("quad", "total")) == 6


def test_the_same_seed_draws_the_same_and_a_repeated_trial_is_made_once(quad, told):
    first, again = (told(*X, "--trials", "5", "--name", name) for name in ("one", "two"))
    assert made(first) == made(again)
    assert len(store_of(quad).versions("quad", "total")) == 5
    other = told(*X, "--trials", "5", "--seed", "1")
    assert not {row["params"]["total.x"] for row in other["trials"]} & {row["params"]["total.x"] for row in first["trials"]}


def test_more_trials_of_a_sweep_go_on_with_it(told):
    assert len(told(*X, "--trials", "3")["trials"]) == 3
    assert len(told(*X, "--trials", "3")["trials"]) == 3
    whole = told(*X, "--trials", "6")
    assert made(whole) == made(told(*X, "--trials", "6", "--name", "whole"))


def test_settings_of_a_stage_it_comes_of_make_that_stage_too(quad, told):
    document = told("--search", "offset.offset=0.5,1.5,2.5", "--search", "total.n=0,1", "--sampler", "grid")
    assert document["best"]["params"] == {"offset.offset": 0.5, "total.n": 0} and document["best"]["value"] == 9.5
    assert len(store_of(quad).versions("quad", "offset")) == 4  # one of them the fixture's
    best = store_of(quad).get(document["best"]["ref"])
    assert store_of(quad).get(best.parents["offset"]).settings["offset"] == 0.5


def test_its_parents_stay_those_it_was_begun_with(quad, told):
    first = told(*X, "--trials", "1", "--name", "a")
    assert cli.main(["run", "offset", "--config", str(quad.settings), "--set", "offset.offset=5.0"]) == 0
    more = told(*X, "--trials", "2", "--name", "a")
    assert {store_of(quad).get(row["ref"]).parents["offset"] for row in more["trials"]} == {"quad/offset@v1"}
    pinned = told(*X, "--trials", "1", "--input", "quad/offset@v2")
    assert pinned["best"]["value"] == pytest.approx(first["best"]["value"] + 5, rel=1e-4)


# --- pruning and failing ----------------------------------------------------------------------------------------------------


def test_what_is_not_worth_finishing_is_pruned_and_leaves_nothing(quad, told):
    document = told(*X, "--trials", "12", "--warmup", "2")
    pruned = [row for row in document["trials"] if row["state"] == "pruned"]
    assert pruned and all(row["value"] is None and row["ref"] is None for row in pruned)
    assert len(store_of(quad).versions("quad", "total")) == 12 - len(pruned)
    assert clean(store_of(quad)) and store_of(quad).verify() == []
    assert [row["state"] for row in told(*X, "--trials", "12", "--no-prune", "--name", "all")["trials"]] == ["complete"] * 12


def test_pruning_by_another_number(say, told):
    by_loss = ("--set", "total.logs=loss", *X, "--trials", "12", "--warmup", "2")
    means = {}
    for way in (
        "minimize",
        "maximize",
    ):  # what is in the store already is not trained, and so not pruned: other steps make other trials
        steps = ("--set", f"total.steps={3 if way == 'minimize' else 4}")
        rows = told(*by_loss, *steps, "--prune-by", f"loss:{way}")["trials"]
        pruned = [abs(row["params"]["total.x"] - 3) for row in rows if row["state"] == "pruned"]
        means[way] = sum(pruned) / len(pruned)
    assert means["minimize"] > means["maximize"]
    code, _, err = say(*by_loss, "--set", "total.steps=5")
    remark = "error is not logged in training (logged: loss, steps_per_second), so no trial is pruned"
    assert code == 0 and err.count(remark) == 1


def test_a_trial_that_fails_is_one_failed_trial(quad, say, told):
    document = told(*X, "--set", "total.fails_above=5.0", "--trials", "8")
    failed = [row for row in document["trials"] if row["state"] == "failed"]
    assert 0 < len(failed) < 8
    assert all(row["params"]["total.x"] > 5 and "is too much" in row["why"] for row in failed)
    document = told("--search", "total.kind=a,b", "--search", "total.n=2,3", "--sampler", "grid")
    (wrong,) = [row for row in document["trials"] if row["state"] == "failed"]
    assert wrong["params"] == {"total.kind": "b", "total.n": 3} and "kind b goes with n up to 2" in wrong["why"]


def test_too_large_a_trial_is_a_failed_one_and_a_bug_keeps_its_traceback(told, monkeypatch):
    run_stage = engine.run_stage

    def run(config, *words, **more):
        if config.total.x > 9:
            raise MemoryError("no room")
        if config.total.x < 1:
            raise ZeroDivisionError("a bug")
        return run_stage(config, *words, **more)

    monkeypatch.setattr(engine, "run_stage", run)
    rows = told("--search", "total.x=3,9.5", "--sampler", "grid")["trials"]
    assert [(row["state"], row["why"]) for row in rows] == [("complete", None), ("failed", "out of memory (no room)")]
    with pytest.raises(ZeroDivisionError):
        told("--search", "total.x=0.5,3", "--sampler", "grid")


def test_a_sweep_that_only_fails_ends_early_and_says_why(say):
    code, out, err = say(*X, "--set", "total.fails_above=-1.0", "--json")
    assert code == 1 and out == "" and "5 trials in a row failed, the last: total: " in err.splitlines()[-1]
    code, out, err = say(*X, "--set", "total.fails_above=-1.0", "--trials", "2", "--name", "a")
    assert code == 1 and "all of 2 trials failed, the last: total: " in err.splitlines()[-1]
    code, out, err = say(*X, "--metric", "none", "--direction", "minimize", "--trials", "1")
    assert code == 1 and "has null there, expected a number, as error, goodness, same is" in err.splitlines()[-1]


def test_no_pickle_is_read_or_written(told, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a pickle")

    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)
    assert len(told(*X, "--trials", "12")["trials"]) == 12


def test_the_files_of_its_journal_one_after_the_other_are_one_of_optunas(quad, told):
    import optuna

    document = told(*X, "--trials", "4", "--name", "a")
    whole = quad.folder / "journal.log"
    entries = sorted((quad.folder / "store/.sweeps/quad-total-a/journal").iterdir())
    whole.write_bytes(b"".join(file.read_bytes() for file in entries))
    backend = optuna.storages.journal.JournalFileBackend(str(whole))
    study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))
    assert [trial.value for trial in study.trials] == [row[3] for row in made(document)]
    assert study.best_params == document["best"]["params"]


# --- interrupted, and beside one another -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_sweep_that_was_ended_makes_the_trials_of_one_that_was_not(quad, told, ending, code, tmp_path):
    words = (*X, "--set", f"total.told={quad.told}", "--trials", "6", "--warmup", "3")
    quad.hold_at(8)  # the third trial has done two of its three steps
    process = quad.start(*words)
    quad.held()
    process.send_signal(ending)
    assert process.wait(30) == code
    quad.let_go()
    log = (quad.folder / "log").read_text()
    assert ("the same command again goes on from here" in log) == (code > 0)
    before = len(quad.steps())
    document = told(*words)
    assert sorted(row["number"] for row in document["trials"]) == list(range(6))
    assert len({row["params"]["total.x"] for row in document["trials"]}) == 6
    done = quad.steps()[before:]
    assert done[0].split()[1] == "2" and done[0].split()[0] == quad.steps()[7].split()[0]  # it went on from its checkpoint
    assert clean(store_of(quad))
    another = ("--store", str(tmp_path / "another"))
    assert cli.main(["run", "offset", "--config", str(quad.settings), *another]) == 0
    assert made(document) == made(told(*words, *another))


def test_two_processes_share_a_sweep(quad, told):
    words = (*X, "--trials", "9", "--no-prune", "--set", f"total.told={quad.told}")
    both = [quad.start(*words) for _ in range(2)]
    outs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], (quad.folder / "log").read_text()
    document = told(*words)
    assert [row["state"] for row in document["trials"]] == ["complete"] * 9
    assert sorted(row["number"] for row in document["trials"]) == list(range(9))
    assert len(quad.steps()) == 27  # each trial was made once
    assert all(json.loads(out)["sweep"] == document["sweep"] for out in outs)


def test_a_trial_that_ends_its_process_every_time_has_failed(told, monkeypatch):
    class Killed(BaseException):
        pass

    def end(*_, **__):
        raise Killed

    monkeypatch.setattr(word, "ENDS", 2)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "run_stage", end)
        for _ in range(2):
            with pytest.raises(Killed):
                told(*X, "--trials", "2")
    document = told(*X, "--trials", "2")
    assert [(row["number"], row["state"], row["why"]) for row in document["trials"]] == [
        (1, "complete", None), (0, "failed", "ended its process 2 times"),
    ]  # fmt: skip


def test_in_a_bucket_as_in_a_folder(quad, told, capsys):
    with pytest.MonkeyPatch.context() as patch, s3_server() as (url, _):
        import fsspec

        fsspec.get_filesystem_class("s3").clear_instance_cache()
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": url}.items():
            patch.setenv(name, value)
        bucket = make_bucket()
        assert cli.main(["run", "offset", "--config", str(quad.settings), "--store", bucket]) == 0
        words = (*X, "--trials", "4", "--warmup", "1", "--seed", "2")
        first = told(*words, "--store", bucket)
        patch.setenv("EMURL_CACHE", str(quad.folder / "another-machine"))
        again = told(*words, "--store", bucket)
        assert made(again) == made(first) == made(told(*words))
        states = [row["state"] for row in first["trials"]]
        assert "pruned" in states
        assert not [key for key in keys(bucket) if key.startswith((".leases/", ".work/"))]
        fsspec.get_filesystem_class("s3").clear_instance_cache()


# --- tracked -----------------------------------------------------------------------------------------------------------------


def runs_of(folder: Path) -> list[wandb_internal_pb2.RunRecord]:
    """What each offline run said it is, once W&B's process has written it."""
    until = time.monotonic() + 60
    while True:
        found = []
        for file in folder.rglob("run-*.wandb"):
            records = [wandb_internal_pb2.Record.FromString(record) for record in leveldb_log(file.read_bytes())]
            if any(record.WhichOneof("record_type") == "exit" for record in records):
                found.append(next(record.run for record in records if record.WhichOneof("record_type") == "run"))
        if len(found) == len(list(folder.rglob("run-*.wandb"))) or time.monotonic() > until:
            return found
        time.sleep(0.2)


def test_wandb_and_tensorboard_have_a_run_for_every_trial(quad, told):
    document = told(*X, "--trials", "2", "--name", "a", "--set", "tracking.wandb=true", "--set", "tracking.tensorboard=true")
    runs = {run.display_name: run for run in runs_of(quad.folder / "store/.tracking/wandb")}
    assert sorted(runs) == ["sweep-total-a-total-trial0", "sweep-total-a-total-trial1"]
    for number, run in enumerate(runs[name] for name in sorted(runs)):
        assert (run.run_group, run.job_type) == ("sweep-total-a", "total")
        assert list(run.tags) == ["quad", "total", "sweep", "sweep-a"]
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        (row,) = [row for row in document["trials"] if row["number"] == number]
        assert config["x"] == row["params"]["total.x"]
        about = config["emurl"]
        assert (about["sweep"], about["trial"], about["params"]) == ("a", number, row["params"])
    boards = sorted(path.name for path in (quad.folder / "store/.tracking/tensorboard/sweep-total-a").iterdir())
    assert boards == ["total-trial0", "total-trial1"]


# --- what is refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--search: nothing to search, expected KEY=SPACE"),
        (["--search", "total.y=1..2"], "unknown key total.y"),
        (["--search", "total.x=2..1"], "an empty range"),
        (["--search", "total.threads=1..4"], "does not decide the result"),
        (["--search", "other.offset=1..2"], "total does not come of other, expected a key of offset, total"),
        ([*X, *X], "total.x is searched already, expected it once"),
        ([*X, "--metric", "erorr"], "--metric erorr: total has no such metric; did you mean error?"),
        (
            [*X, "--metric", "same"],
            "--direction: whether more of same is better is not documented, expected minimize or maximize",
        ),
        ([*X, "--trials", "0"], "--trials 0: expected a number of trials ≥ 1"),
        ([*X, "--warmup", "0"], "--warmup 0: expected a number of trials ≥ 1"),
        ([*X, "--seed", "-1"], "--seed -1: expected a number ≥ 0 and below 2^63"),
        ([*X, "--name", "Best/../of"], "--name 'Best/../of': expected up to 40 lower-case letters"),
        ([*X, "--sampler", "grid"], "a grid has no real numbers, expected choices such as 1e-4,3e-4,1e-3"),
        ([*X, "--prune-by", "loss"], "whether more of loss is better is not documented, expected loss:minimize or loss:maximize"),
        ([*X, "--prune-by", "loss:less"], "--prune-by loss:less: expected loss:minimize or loss:maximize"),
        ([*X, "--prune-by", ":minimize"], "expected the name of a logged metric"),
        ([*X, "--prune-by", "loss:minimize", "--no-prune"], "nothing is pruned with --no-prune"),
        ([*X, "--input", "quad/total"], "holds no total"),
        (
            ["--search", "offset.offset=1,2", "--input", "quad/offset"],
            "--input quad/offset@v1: the sweep makes offset itself, expected no version of it",
        ),
        ([*X, "--set", "total.y=1"], "unknown key total.y"),
        ([*X, "--pipeline", "speedrun"], "is of pipeline quad"),
    ],
)
def test_what_is_wrong_is_one_line_before_any_work(quad, say, words, said):
    before = keys(str(quad.folder / "store"))
    code, out, err = say(*words)
    assert code == 2 and out == "" and len(err.splitlines()) == 1 and said in err, err
    assert keys(str(quad.folder / "store")) == before


def test_a_stage_that_does_not_exist_and_a_parent_that_is_lacking(quad, say):
    code, out, err = say(*X, stage="totl")
    assert (code, out) == (2, "") and "stage 'totl': there is no such stage in quad; did you mean total?" in err
    code, out, err = say(*X, "--store", str(quad.folder / "empty"))
    assert (code, out) == (2, "") and f"holds no offset, expected one: `emurl run offset --config {quad.settings} --store" in err


def test_another_search_of_the_same_name_and_a_damaged_one(quad, say, told):
    told(*X, "--trials", "1", "--name", "a")
    code, _, err = say("--search", "total.x=0..9", "--trials", "1", "--name", "a")
    assert (
        code == 2 and "was begun with search total.x=0.0..10.0, not total.x=0.0..9.0, expected the same or another --name" in err
    )
    code, _, err = say(*X, "--set", "total.n=1", "--name", "a")
    assert code == 2 and "was begun with settings" in err
    place = quad.folder / "store/.sweeps/quad-total-a"
    journal = sorted((place / "journal").iterdir())
    whole = journal[0].read_text()
    for damaged in ("{", '{"op_code": 0}\n', '{"op_code": 99, "worker_id": "x"}\n'):
        journal[0].write_text(damaged)
        code, out, err = say(*X, "--trials", "1", "--name", "a")
        assert code == 2 and out == "" and len(err.splitlines()) == 1 and "another --name begins anew" in err, err
    journal[0].write_text(whole)
    for damaged in ("{", "[]", '{"parents": {"offset": 1}}'):
        (place / "sweep.json").write_text(damaged)
        code, out, err = say(*X, "--trials", "1", "--name", "a")
        assert code == 2 and out == "" and len(err.splitlines()) == 1 and "sweep.json: is damaged" in err, err


def test_without_optuna_it_says_how_to_install_it(say, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, out, err = say(*X)
    assert (code, out) == (2, "") and err == "emurl: sweep: Optuna is not installed, expected `pip install 'emurl[sweep]'`\n"
