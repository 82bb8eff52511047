"""Judges that have not seen the video they are asked about."""

import numpy as np
import torch

from emurl.core.output import Output
from emurl.core.store import Store
from emurl.core.tracking import Tracker
from emurl.footage.dataset import FrameReader
from emurl.footage.tokens import Tokens
from emurl.pipelines.speedrun import course
from emurl.rewards.splits import JudgeSettings, Split, SplitJudge
from tests.fixtures.splits_store import RUNS, make_store
from tests.rewards.test_splits import KNOWN, OneEach


class OneEachSaved(OneEach):
    def save_pretrained(self, folder):
        folder.mkdir(parents=True)


def test_each_video_is_asked_of_a_judge_that_never_saw_it(tmp_path, monkeypatch):
    make_store(tmp_path / "store", SplitJudge(OneEachSaved(), [], KNOWN, 0.9, JudgeSettings()))
    store = Store(tmp_path / "store")
    frames = store.get("frames")
    tokens = Tokens(FrameReader(frames.folder), frames, store.get("tokenizer"))
    every = [run.tobytes() for split in ("train", "val") for run in course.runs_of(tokens, split)]
    asked = []

    def judge_of(settings, learned, held_out, *rest, output, **more):
        asked.append(({run.tobytes() for run in learned}, held_out, output.scratch))
        return SplitJudge(OneEach(), [Split(3, 1.0, 0.0)], KNOWN, 0.9, JudgeSettings())

    measured = []

    def measure_course(judge, runs, stride, fps, gaps):
        measured.append(runs[0].tobytes())
        return {"pair_accuracy": float(len(measured)), "pair_accuracy_5s": 1.0, "splits": 1.0}

    monkeypatch.setattr(course, "judge_of", judge_of)
    monkeypatch.setattr(course, "measure_course", measure_course)
    output = Output(tmp_path / "files", tmp_path / "scratch")
    output.scratch.mkdir()

    def told(folds):
        asked.clear(), measured.clear()
        return course.leave_one_out(
            course.CourseSettings(), tokens, 2, folds, (5,), device=torch.device("cpu"), output=output, tracker=Tracker.silent()
        )

    assert told(RUNS + 5) == {"pair_accuracy_left_out": float(np.mean(range(1, RUNS + 1))), "pair_accuracy_5s_left_out": 1.0}
    assert measured == every
    for (learned, held_out, _), mine in zip(asked, measured, strict=True):
        assert learned == set(every) - {mine} and held_out == []
    assert len({scratch for *_, scratch in asked}) == RUNS  # nobody goes on from another's checkpoint
    told(2)
    assert measured == [every[0], every[-1]]
