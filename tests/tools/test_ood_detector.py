"""tools/ood_detector.py: the scores of a footage, of a folder and of a video, and what is said of bad input."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emurl.rewards.ood import CALIBRATED, OODDetector
from emurl.screen import to_gray
from tests.fixtures.detecting import models, ood_store
from tests.fixtures.learning import walks
from tests.fixtures.shard_videos import RECT, stream, write_video
from tools.ood_detector import main

ROOT = Path(__file__).resolve().parents[2]
USUAL = {"reconstruction_mean": 1.0, "reconstruction_std": 0.5, "surprise_mean": 2.0, "surprise_std": 0.25, "frame_stride": 2}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return ood_store(tmp_path_factory.mktemp("ood") / "store", *models(), USUAL, steps=40)


@pytest.fixture
def calibrated(store):
    assert main(["--calibrate", "--store", str(store)]) == 0
    made = store / "speedrun" / "dynamics" / "v1"
    yield made / CALIBRATED
    for file in made.glob("ood_calibrated.*"):
        file.unlink()


def figures(capsys, *words: object) -> dict:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def folder(tmp_path) -> Path:
    """PNG frames of a walk: first of play, then noise."""
    frames = tmp_path / "frames"
    frames.mkdir()
    noise = np.random.default_rng(0).integers(0, 4, (6, 144, 160), dtype=np.uint8)
    for number, frame in enumerate(np.concatenate([walks(1, steps=10)[0], noise])):
        Image.fromarray(to_gray(frame)).save(frames / f"{number:03}.png")
    return frames


def test_scores_of_footage(store, capsys):
    rows = figures(capsys, "tokenizer", "dynamics", "--store", store, "--pairs", "20", "--json")
    assert list(rows) == ["held_out", "shuffled", "noise"] and rows["held_out"]["pairs"] == 20
    assert main(["--store", str(store), "--pairs", "5"]) == 0
    assert "score_mean" in capsys.readouterr().out


def test_calibrating_writes_beside_the_model_and_nothing_else(store, calibrated, capsys):
    made = calibrated.parent
    assert json.loads((made / "ood.json").read_text()) == USUAL  # the artifact is as it was
    detector = OODDetector.from_tokenizer("tokenizer", "dynamics", store)
    assert detector.calibration.knows_patches and detector.threshold == 0.99 and detector.frame_stride == 2
    assert not OODDetector.from_tokenizer("tokenizer", "dynamics", store, calibration=made / "ood.json").calibration.tables
    rows = figures(capsys, "--store", store, "--pairs", "30", "--json")
    assert rows["noise"]["score_mean"] > 0.9 and 0.3 < rows["held_out"]["score_mean"] < 0.7


def test_calibrating_into_a_file(store, tmp_path, capsys):
    file = tmp_path / "usual.json"
    rows = figures(capsys, "--calibrate", "--out", file, "--threshold", "0.9", "--store", store, "--json")
    assert rows[str(file)]["threshold"] == 0.9 and 0 <= rows[str(file)]["false_alarms"] <= 1
    assert file.exists() and file.with_suffix(".npz").exists()
    assert not (store / "speedrun" / "dynamics" / "v1" / CALIBRATED).exists()
    assert OODDetector.from_tokenizer("tokenizer", "dynamics", store, calibration=file).threshold == 0.9
    figures(capsys, "--store", store, "--calibration", file, "--json")
    file.with_suffix(".npz").unlink()
    assert main(["--store", str(store), "--calibration", str(file)]) == 2
    assert "run dynamics again, or --calibrate" in capsys.readouterr().err


def test_a_table_of_strangers(store, calibrated, capsys):
    rows = figures(capsys, "--test-temporal", "--store", store, "--json")
    assert list(rows) == ["held_out", "shuffled", "skipped 2", "skipped 4", "skipped 8", "disorder", "noise"]
    assert rows["noise"]["auroc_frame"] > 0.95 and rows["noise"]["flagged"] > 0.5 and rows["held_out"]["flagged"] < 0.1
    assert all(0 <= value <= 1 for kind, row in rows.items() if kind != "held_out" for value in row.values())


def test_a_folder_of_frames(store, calibrated, folder, tmp_path, capsys):
    table, chart = tmp_path / "scores.csv", tmp_path / "strip.png"
    words = ("tokenizer", "dynamics", folder, "--store", store, "--csv", table, "--chart", chart, "--json")
    count = len(list(folder.iterdir()))
    rows = figures(capsys, *words)
    assert rows["frames"]["frames"] == count and rows["frames"]["flagged"] > 0
    told = pd.read_csv(table)
    assert list(told) == ["time_s", "frame_score", "temporal_score", "combined_score", "flagged", "game"]
    assert len(told) == count and told["time_s"][3] == pytest.approx(3 / 7.5, abs=1e-3)
    assert told["combined_score"].isna().tolist() == [True] * 2 + [False] * (count - 2)
    assert told["flagged"][:-6].mean() < 0.5 < told["flagged"][-6:].mean()  # the last six are noise
    with Image.open(chart) as picture:
        assert picture.size[0] == 1200 and picture.size[1] > 300 and len(picture.getcolors(1 << 20)) > 5
    figures(capsys, folder, "--store", store, "--csv", table, "--fps", "15", "--json")  # a pair is then four frames apart
    assert pd.read_csv(table)["combined_score"].isna().sum() == 4


def test_an_older_artifact_draws_a_strip_too(store, folder, tmp_path, capsys):
    figures(capsys, folder, "--store", store, "--chart", tmp_path / "strip.png", "--json")
    assert (tmp_path / "strip.png").exists()


def test_a_video(store, calibrated, tmp_path, capsys):
    frames = np.concatenate(walks(2, steps=40))
    video = write_video(tmp_path / "run.mp4", (stream(frame) for frame in np.repeat(frames, 4, axis=0)))
    crop = ",".join(map(str, RECT))
    rows = figures(capsys, video, "--crop", crop, "--store", store, "--csv", tmp_path / "scores.csv", "--json")
    assert rows["run.mp4"]["frames"] == len(pd.read_csv(tmp_path / "scores.csv")) > 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tokenizer", "reward"), "reward"),
        (("nowhere.mp4",), "no such file, expected a video"),
        (("a", "b", "c", "d"), "expected at most"),
        (("--calibrate", "--test-temporal"), "expected one of them"),
        (("--csv", "out.csv"), "none was given"),
        (("--out", "out.json"), "expected both"),
        (("--pairs", "1"), "expected 2 to 100000"),
        (("TEXT", "--crop", "1,2,3"), "expected four numbers"),
        (("FOLDER", "--fps", "0"), "expected 0.001 to 1000 pictures"),
        (("--calibrate", "--threshold", "2"), "expected a score"),
        (("FOLDER", "--chart", "strip.jpg"), "ends in .png"),
        (("FOLDER", "--csv", "nowhere/out.csv"), "no folder "),
        (("EMPTY",), "holds no PNG frames"),
        (("LARGE",), "is 200×100, expected a frame of 160×144"),
        (("BROKEN",), "cannot be read"),
        (("TEXT",), "expected a video"),
        (("ONE",), "shows 1 frames, expected more than 2"),
    ],
)
def test_bad_input_is_one_line(store, folder, tmp_path, capsys, words, message):
    places = {name: tmp_path / name for name in ("EMPTY", "LARGE", "BROKEN", "ONE")}
    for place in places.values():
        place.mkdir()
    Image.new("L", (200, 100)).save(places["LARGE"] / "0.png")
    Image.new("L", (160, 144)).save(places["ONE"] / "0.png")
    (places["BROKEN"] / "0.png").write_bytes(b"no picture")
    (tmp_path / "text.mp4").write_text("no video")
    places |= {"FOLDER": folder, "TEXT": tmp_path / "text.mp4"}
    assert main([str(places.get(word, word)) for word in words] + ["--store", str(store)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.startswith("ood_detector: ") and message in told


def test_imported_in_no_time_and_without_what_plays_and_tracks():
    code = """
import sys, time
start = time.process_time()
for name in ("prefect", "wandb", "pyboy"):
    sys.modules[name] = None  # importing it raises
from tools.ood_detector import OODDetector
print(OODDetector.__name__, time.process_time() - start)
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    name, seconds = done.stdout.split()
    assert name == "OODDetector"
    assert min(float(seconds), time.monotonic() - started) < 5  # in processor seconds where others have the machine
