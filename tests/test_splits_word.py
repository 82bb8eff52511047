"""`emurl splits`: times by hand, tables, files for LiveSplit, contact sheets, and what it refuses."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from emurl import cli, splits
from emurl.core.output import Output
from emurl.core.store import Store
from emurl.footage.alignment import AlignmentSettings
from emurl.footage.dataset import FrameReader
from emurl.footage.split_times import Stopwatch
from emurl.footage.tokens import Tokens
from emurl.pipelines.speedrun.course_pictures import RUNS as CURVES
from emurl.pipelines.speedrun.course_pictures import SHEET, WATCHED, show_course
from emurl.report.lss import livesplit, time_span
from emurl.report.splits_sheet import CAPTION, GAP, HEAD
from emurl.report.splits_table import ahead_or_behind, stopwatch
from emurl.rewards.split_times import SplitTimes, bests, median_runs, medians
from emurl.rewards.splits import JudgeSettings, Split, SplitJudge
from tests.fixtures.course import made_up_run
from tests.fixtures.drawn_videos import make_sound
from tests.fixtures.splits_store import FPS, LEFT, RUNS, SCALE, TOP, DrawnTokenizer, judge_of, make_store, runs, write_video
from tests.rewards.test_splits import KNOWN, OneEach, grid

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of made-up runs, and its judge."""
    folder = tmp_path_factory.mktemp("splits")
    judge = judge_of(runs(), folder)
    make_store(folder / "store", judge)
    return folder / "store", judge


@pytest.fixture
def emurl(made, monkeypatch, capsys):
    """Runs the word on the store; returns the exit code, stdout and stderr."""
    monkeypatch.chdir(ROOT)

    def call(*words, store=made[0]):
        code = cli.main(["splits", *map(str, words), "--store", str(store)])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def told(emurl):
    def call(*words):
        code, out, err = emurl(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    return call


# --- times by hand ---------------------------------------------------------------------------------------------------


def watch_of(splits, settings):
    """A stopwatch that knows one picture a position."""
    return Stopwatch(SplitJudge(OneEach(), splits, KNOWN, 0.9, settings), AlignmentSettings())


def test_a_stopwatch_notes_the_frame_that_passes_and_nothing_for_what_was_gone_without():
    watch = watch_of([Split(at, 1.0, 0.0) for at in (2, 4, 6)], JudgeSettings(skip=1))
    assert watch.read("run", 2.0) == SplitTimes("run", (None, None, None), 2.0, False)
    watch.show(np.stack([grid(0), grid(1), grid(2)]), [5, 6, 9])
    assert watch.read("run", 2.0) == SplitTimes("run", (9, None, None), 2.0, False)
    # Position 4 is never shown: with the picture of 6 it lies behind, without a time.
    watch.show(np.stack([grid(5), grid(6)]), [10, 12])
    assert watch.finished
    watch.show(np.stack([grid(4)]), [13])
    times = watch.read("run", 2.0)
    assert times == SplitTimes("run", (9, None, 12), 2.0, True)
    assert times.seconds == (4.5, None, 6.0) and times.segments == (4.5, None, None)


def test_a_picture_that_comes_too_soon_is_no_time():
    """The judge passes a split at the first picture that it allows; that the run stood there later, one knows afterwards."""
    watch = watch_of([Split(at, 1.0, 0.0) for at in (2, 4)], JudgeSettings(skip=1))
    road = [grid(0), grid(4), *(grid(1, change) for change in range(6)), grid(2), grid(3), grid(4, 1), grid(5)]
    watch.show(np.stack(road[:8]), range(8))
    assert watch.finished and watch.judge.splits[-1].position == 4
    late = watch_of([Split(at, 1.0, 0.0) for at in (2, 4, 5)], JudgeSettings(skip=1, confirmations=0))
    late.show(np.stack(road), range(len(road)))
    assert late.read("run", 1.0).frames == (8, 10, 11)


def test_the_picture_of_a_split_is_from_the_middle_of_where_it_stands():
    watch = watch_of([Split(at, 1.0, 0.0) for at in (1, 9)], JudgeSettings())
    watch.show(np.stack([grid(position, change) for position in range(4) for change in range(5)]), range(20))
    times = watch.read("run", 1.0)
    assert times.frames == (5, None) and (times.picture(0), times.picture(1)) == (7, None)
    assert SplitTimes("run", (3, None), 1.0, False).picture(0) == 3


def test_a_run_that_stops_half_way_is_not_led_to_the_end():
    watch = watch_of([Split(at, 1.0, 0.0) for at in (1, 3, 9)], JudgeSettings())
    watch.show(np.stack([grid(position, change) for position in range(5) for change in range(3)]), range(15))
    assert watch.read("run", 1.0) == SplitTimes("run", (3, 9, None), 1.0, False)


def test_a_run_that_begins_in_the_middle_has_no_times_of_before():
    watch = watch_of([Split(at, 1.0, 0.0) for at in (1, 3, 6, 9)], JudgeSettings(skip=2))
    watch.show(np.stack([grid(position, change) for position in range(5, 11) for change in range(3)]), range(18))
    assert watch.read("run", 1.0).frames == (None, None, 3, 12)


def test_a_judge_without_splits_is_never_done():
    watch = watch_of([], JudgeSettings())
    watch.show(grid(3)[None], [0])
    assert not watch.finished and watch.read("run", 1.0).segments == ()


def test_medians_and_bests_are_of_runs_that_have_a_time():
    some = [
        SplitTimes(str(n), frames, 1.0, False)
        for n, frames in enumerate([(1, None, 9), (3, None, 8), (2, None, None), (9, 1, 7)])
    ]
    assert medians(run.seconds for run in some) == (2.0, 1.0, 8.0)
    assert bests(run.seconds for run in some) == (1.0, 1.0, 7.0)
    assert median_runs(some) == [2, 3, 1]
    assert medians([(None,), (None,)]) == (None,) and median_runs([SplitTimes("", (None,), 1.0, False)]) == [None]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0:00.0"), (59.96, "1:00.0"), (62.34, "1:02.3"), (3599.99, "1:00:00.0"), (7325.5, "2:02:05.5"), (None, "-")],
)
def test_times_as_runners_read_them(seconds, text):
    assert stopwatch(seconds) == text


def test_ahead_and_behind():
    assert [ahead_or_behind(a, b) for a, b in ((5.0, 3.8), (3.0, 3.0), (3.0, 4.0), (99.0, 9.0), (None, 1.0))] == [
        "+1.2", "+0.0", "-1.0", "+1:30.0", "",
    ]  # fmt: skip


# --- what is told ----------------------------------------------------------------------------------------------------


def test_one_run_as_json(told, made):
    one = told("run1")
    assert (one["run"], one["video"], one["reward"], one["fps"], one["finished"]) == ("run1", None, "reward@v1", FPS, True)
    assert told("video1") == one
    rows = one["splits"]
    assert [row["number"] for row in rows] == list(range(1, len(made[1].splits) + 1))
    assert [row["position"] for row in rows] == [split.position for split in made[1].splits]
    seconds = [row["seconds"] for row in rows if row["seconds"] is not None]
    assert len(seconds) >= 3 and seconds == sorted(seconds)
    # Each in its own part of the road; the two frames of a card count as time.
    _, parts = made_up_run(1)
    passed = [parts[round(second * FPS) - 2] for second in seconds]
    assert all(second * FPS == pytest.approx(round(second * FPS), abs=0.01) and second >= 2 / FPS for second in seconds)
    assert passed == sorted(passed) and len(set(passed)) >= 3
    for before, row in zip([{"seconds": 0.0}, *rows], rows, strict=False):
        if None not in (before["seconds"], row["seconds"]):
            assert row["segment_seconds"] == pytest.approx(row["seconds"] - before["seconds"], abs=0.002)
        else:
            assert row["segment_seconds"] is None


def test_all_runs_as_json(told):
    every = told()
    assert [run["run"] for run in every["runs"]] == [f"run{number}" for number in range(RUNS)]
    assert [run["split"] for run in every["runs"]] == ["val", *["train"] * (RUNS - 1)]
    for place, row in enumerate(every["splits"]):
        times = sorted(run["splits"][place]["seconds"] for run in every["runs"] if run["splits"][place]["seconds"] is not None)
        assert row["passed_by"] == len(times)
        assert row["median_seconds"] == (times[(len(times) - 1) // 2] if times else None)
        parts = [run["splits"][place]["segment_seconds"] for run in every["runs"]]
        assert row["best_segment_seconds"] == min((part for part in parts if part is not None), default=None)
        assert told("run2")["splits"][place]["median_seconds"] == row["median_seconds"]


def test_the_tables(emurl, told, monkeypatch):
    code, out, _ = emurl("run1")
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith("run1: ") and lines[2].split() == ["split", "time", "segment", "±", "median"]
    assert len(lines) == 4 + sum(row["passed_by"] > 0 for row in told()["splits"]) and "1 split that no run" in lines[-1]
    monkeypatch.setenv("COLUMNS", "40")  # narrow: the splits come in several bands
    code, out, _ = emurl()
    assert code == 0 and max(map(len, out.splitlines())) <= 40
    assert out.count("run0") == out.count("best segment") >= 2


# --- files -----------------------------------------------------------------------------------------------------------


def seconds_of(element):
    text = element.findtext("RealTime")
    if text is None:
        return None
    hours, minutes, rest = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def test_a_file_for_livesplit_and_back(told, tmp_path):
    target = tmp_path / "run.lss"
    one = told("run1", "--lss", target)
    run = ElementTree.parse(target).getroot()
    assert run.tag == "Run" and run.get("version") == "1.7.0"
    assert run.findtext("CategoryName") == "Any%" and run.findtext("AttemptCount") == "1" and run.findtext("GameName")
    assert seconds_of(run.find("AttemptHistory/Attempt")) == pytest.approx(one["splits"][-1]["seconds"], abs=0.001)
    segments = run.findall("Segments/Segment")
    assert [segment.findtext("Name") for segment in segments] == [f"Split {row['number']}" for row in one["splits"]]
    for segment, row in zip(segments, one["splits"], strict=True):
        times = {split.get("name"): seconds_of(split) for split in segment.findall("SplitTimes/SplitTime")}
        assert times == pytest.approx({"Personal Best": row["seconds"], "Footage Median": row["median_seconds"]}, abs=0.001)
        for part in (segment.find("BestSegmentTime"), segment.find("SegmentHistory/Time")):
            assert seconds_of(part) == (
                None if row["segment_seconds"] is None else pytest.approx(row["segment_seconds"], abs=0.001)
            )


def test_all_runs_for_livesplit(told, tmp_path):
    every = told("--lss", tmp_path / "all.lss")
    run = ElementTree.parse(tmp_path / "all.lss").getroot()
    assert run.findtext("AttemptCount") == str(RUNS) == str(len(run.findall("AttemptHistory/Attempt")))
    ends = [one["splits"][-1]["seconds"] for one in every["runs"] if one["finished"]]
    last = run.findall("Segments/Segment")[-1]
    assert seconds_of(last.find("SplitTimes/SplitTime")) == pytest.approx(min(ends), abs=0.001)


def test_livesplit_files_hold_any_name_and_any_time():
    odd = livesplit(
        "<Game> & \x01 ポケモン", "100 %", [SplitTimes("a", (None, 90), 1.0, True), SplitTimes("b", (5, None), 1.0, False)], {}
    )
    run = ElementTree.fromstring(odd)
    assert run.findtext("GameName") == "<Game> &  ポケモン"
    assert [seconds_of(one) for one in run.findall("AttemptHistory/Attempt")] == [90.0, None]
    assert seconds_of(run.findall("Segments/Segment")[1].find("SplitTimes/SplitTime")) == 90.0
    assert time_span(3723.00000004) == "01:02:03.0000000" and time_span(90061.25) == "1.01:01:01.2500000"


def size_of(target):
    with Image.open(target) as picture:
        assert len(picture.convert("L").getcolors()) > 4  # something is on it
        return picture.size


def test_contact_sheets(told, made, tmp_path):
    count = sum(row["passed_by"] > 0 for row in told()["splits"])
    told("--sheet", tmp_path / "all.png")
    across, down = min(6, count), -(-count // 6)
    assert size_of(tmp_path / "all.png") == (GAP + across * (320 + GAP), HEAD + down * (288 + CAPTION + GAP))
    told("run0", "--sheet", tmp_path / "one.png")
    across, down = min(3, count), -(-count // 3)
    assert size_of(tmp_path / "one.png") == (GAP + across * (640 + GAP // 2 + GAP), HEAD + down * (288 + CAPTION + GAP))


def test_the_sheet_of_a_reward_artifact_is_of_all_held_out_runs(told, made, tmp_path, monkeypatch):
    store, judge = Store(made[0]), made[1]
    frames = store.get("frames")
    reader = FrameReader(frames.folder)
    tokens = Tokens(reader, frames, store.get("tokenizer"))
    monkeypatch.setattr(reader, "split", lambda name: list(range(RUNS)))
    show_course(judge, AlignmentSettings(), tokens, 1, Output(tmp_path, tmp_path / "scratch"))
    watched = json.loads((tmp_path / WATCHED).read_text())
    assert watched["held_out"] == RUNS and len(watched["runs"]) == CURVES < RUNS and watched["splits"] == len(judge.splits)
    told("--sheet", tmp_path / "all.png")
    assert size_of(tmp_path / SHEET) == size_of(tmp_path / "all.png")
    with Image.open(tmp_path / SHEET) as ours, Image.open(tmp_path / "all.png") as theirs:  # the same pictures below other titles
        difference = np.asarray(ours.convert("L"), int)[HEAD:] - np.asarray(theirs.convert("L"), int)[HEAD:]
        assert np.abs(difference).max() < 16


# --- videos ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def crops(tmp_path, monkeypatch):
    """The screen of `run.mp4` given by hand, and a tokenizer that reads what was drawn."""
    monkeypatch.setattr(splits.Tokenizer, "from_pretrained", lambda *_: DrawnTokenizer())
    (tmp_path / "crops.json").write_text(json.dumps({"run.mp4": {"rect": [LEFT, TOP, 160 * SCALE, 144 * SCALE]}}))
    return "--set", f"frames.crop_config={tmp_path / 'crops.json'}"


def test_a_video_has_the_times_of_the_same_run(told, crops, tmp_path):
    write_video(tmp_path / "run.mp4", runs()[1])
    video = told(tmp_path / "run.mp4", *crops, "--sheet", tmp_path / "run.png", "--lss", tmp_path / "run.lss")
    run = told("run1")
    assert video.pop("video") == str(tmp_path / "run.mp4") and run.pop("video") is None
    assert video.pop("run") == "run" and run.pop("run") == "run1"
    assert video == run
    assert (tmp_path / "run.png").exists() and ElementTree.parse(tmp_path / "run.lss").getroot().tag == "Run"


def test_a_tilde_means_home(told, crops, tmp_path, monkeypatch):
    write_video(tmp_path / "run.mp4", runs()[0])
    monkeypatch.setenv("HOME", str(tmp_path))
    video = told("~/run.mp4", *crops, "--sheet=~/run.png", "--lss=~/run.lss")
    assert video["finished"] and sorted(file.name for file in tmp_path.glob("run.*")) == ["run.lss", "run.mp4", "run.png"]


def test_a_video_that_ends_early_has_not_finished(told, crops, tmp_path):
    whole = runs()[1]
    write_video(tmp_path / "run.mp4", whole[: len(whole) // 2])
    video = told(tmp_path / "run.mp4", *crops)
    assert not video["finished"] and video["splits"][-1]["seconds"] is None and video["splits"][0]["seconds"] is not None


def test_a_video_without_a_screen_is_work_that_failed(emurl, tmp_path):
    write_video(tmp_path / "other.mp4", np.zeros((30, 9, 10), np.int64))
    code, out, err = emurl(tmp_path / "other.mp4", "--sheet", tmp_path / "other.png")
    assert code == 1 and not out and "no screen that could be trusted" in err.splitlines()[-1]
    assert not (tmp_path / "other.png").exists()


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["nobody"],
            "nobody: no such file, and no run of frames@v1, expected a video or one of its 5 runs: run0, run1, run2, run3, …",
        ),
        (["run0", "--sheet", "sheet.jpg"], "--sheet sheet.jpg: expected a file name that ends in .png"),
        (["run0", "--lss", "run.xml"], "--lss run.xml: expected a file name that ends in .lss"),
        (["run0", "--lss", "/nowhere/run.lss"], "--lss /nowhere/run.lss: no folder /nowhere"),
        (["text.mp4"], "text.mp4: not a video"),
        (["sound.mp4"], "sound.mp4: no video stream"),
        (["folder.png"], "folder.png: no such file, expected a video"),
        (["run0", "--sheet", "folder.png"], "--sheet folder.png: cannot be written"),
    ],
)
def test_bad_input_is_one_line(emurl, tmp_path, monkeypatch, words, said):
    config = ROOT / "configs/demo.yaml"
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("no video")
    make_sound(Path("sound.mp4"))
    Path("folder.png").mkdir()
    before = sorted(tmp_path.iterdir())
    code, out, err = emurl(*words, "--config", config)
    assert code == 2 and not out and said in err and len(err.strip().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_write_that_fails_leaves_nothing(emurl, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image.Image, "save", fail)
    code, _, err = emurl("run0", "--sheet", tmp_path / "sheet.png")
    assert code == 2 and "cannot be written (Permission denied)" in err and not list(tmp_path.iterdir())


def test_an_older_reward_artifact_is_told_of(emurl, tmp_path):
    make_store(tmp_path / "old", None)
    code, _, err = emurl(store=tmp_path / "old")
    assert code == 2 and "reward@v1: holds no course" in err and "run the reward stage again" in err
    code, _, err = emurl(store=tmp_path / "empty")
    assert code == 2 and "`emurl run reward --store " in err


def test_a_footage_without_splits(emurl, made, tmp_path):
    judge = made[1]
    make_store(tmp_path / "store", SplitJudge(judge.model, [], judge.known, 0.9, JudgeSettings()))
    code, out, _ = emurl(store=tmp_path / "store")
    assert code == 0 and "no splits in common" in out
    code, _, err = emurl("--lss", tmp_path / "a.lss", store=tmp_path / "store")
    assert code == 2 and "no splits in common" in err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stream_of_the_embedded_game(tiny, emurl, monkeypatch):
    """A real video, found and decoded again, has the times of the run that the footage knows it as."""
    store = Store(tiny.store)
    frames, tokenizer, reward = (store.get(stage) for stage in ("frames", "tokenizer", "reward"))
    reader = FrameReader(frames.folder)
    (place, *_) = reader.split("train")
    # A few steps of training find no splits: here they are where this run's pictures are likelier than its others.
    judge = SplitJudge.from_folder(reward.path("course"))
    ratios = judge.model.log_ratios(np.asarray(Tokens(reader, frames, tokenizer).grids(place), np.int64))
    found = [Split(k, float(np.quantile(ratios[:, k], 0.5)), 0.0) for k in range(1, judge.positions - 1)]
    made = SplitJudge(judge.model, found, judge.known, judge.min_likeness, judge.settings)
    monkeypatch.setattr(splits, "load_judge", lambda *_: made)
    (video,) = tiny.store.glob(f"speedrun/videos/v1/videos/{reader.videos[place].id}.*")
    words = ("--config", tiny.settings, "--json")
    one, other = (json.loads(emurl(what, *words, store=tiny.store)[1]) for what in (reader.videos[place].id, video))
    assert one["splits"] == other["splits"] and one["finished"] == other["finished"] and other["video"] == str(video)
    times = [row["seconds"] for row in one["splits"] if row["seconds"] is not None]
    assert len(times) >= 3 and times == sorted(times)


def test_the_judge_of_a_version_that_is_named(told, emurl):
    assert told("--input", "reward@v1") == told()
    code, out, err = emurl("--input", "frames@v1")
    assert (code, out) == (2, "") and "--input frames@v1: is of stage frames, expected a version of reward" in err
    assert emurl("--input", "reward@v9")[0] == 2
