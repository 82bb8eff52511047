"""The detector's shapes, units and errors; what trained models make of strangers is in tests/pipelines/speedrun/test_seeing.py."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emurl.core.errors import InputError
from emurl.core.store import Store
from emurl.models.dynamics import Dynamics
from emurl.models.tokenizer import Tokenizer
from emurl.rewards.ood import OODDetector, signs, usual_statistics
from emurl.screen import to_gray
from emurl.training.supervised import seeded
from tests.fixtures.learning import walks, write_frames
from tests.fixtures.store import facts
from tools.ood_detector import OODDetector as FromTools
from tools.ood_detector import main

ROOT = Path(__file__).resolve().parents[2]
USUAL = {"reconstruction_mean": 1.0, "reconstruction_std": 0.5, "surprise_mean": 2.0, "surprise_std": 0.25}
SIGHT = seeded(0, lambda: Tokenizer(dim=16, depth=1, vocab=16, code_dim=8)).eval()
FORESIGHT = seeded(0, lambda: Dynamics(vocab=16, dim=16, layers=1, heads=2)).eval()
WALK = walks(1, steps=10)[0]


def detector(**usual) -> OODDetector:
    return OODDetector(SIGHT, FORESIGHT, USUAL | usual)


def test_a_score_is_the_mean_of_two_standardized_signs():
    now, later = WALK[:6], WALK[2:8]
    misread = SIGHT.reconstruction_error(later).numpy()
    surprise = FORESIGHT.nll(SIGHT.encode(now), SIGHT.encode(later)).numpy()
    wanted = 0.5 * ((misread - 1.0) / 0.5 + (surprise - 2.0) / 0.25)
    assert np.allclose(detector().compute_combined_ood_scores(now, later), wanted, atol=1e-5)
    assert detector().compute_combined_ood_scores(now[:0], later[:0]).shape == (0,)


def test_a_pair_is_as_far_apart_as_the_model_learned_it():
    assert detector(frame_stride=3).frame_stride == 3 and detector().frame_stride == 1
    assert detector(gap=2).frame_stride == 2  # an artifact of an older emurl


def test_what_is_usual_is_what_scores_zero():
    now, later = WALK[:8], WALK[2:10]
    usual = usual_statistics(*signs(SIGHT, FORESIGHT, SIGHT.encode(now), SIGHT.encode(later), later))
    scores = detector(**usual).compute_combined_ood_scores(now, later)
    assert abs(float(scores.mean())) < 1e-4 and 0.3 < float(scores.std()) < 1.1


def test_color_pictures_of_the_same_frames_score_the_same():
    now, later = WALK[:4], WALK[2:6]
    color = [np.repeat(to_gray(frames)[..., None], 3, axis=-1) for frames in (now, later)]
    same = detector().compute_combined_ood_scores(now, later)
    assert np.array_equal(detector().compute_combined_ood_scores(*color), same)


def test_gains_shrink_and_losses_do_not():
    multiplier = detector().get_reward_multiplier(np.array([-5.0, 2.0, 4.0, 6.0, 1e9]))
    assert multiplier[:4].tolist() == [1.0, 1.0, 0.5, 0.25] and 0 < multiplier[4] < 1e-6
    rewards = np.array([1.0, -1.0, 2.0, 0.0])
    assert OODDetector.shrink_gains(rewards, np.array([0.5, 0.5, 1.0, 0.5])).tolist() == [0.5, -1.0, 2.0, 0.0]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((2, 160, 144), np.uint8), r"shape \(2, 160, 144\)"),
        (np.zeros((2, 144, 160), np.float32), "float32"),
        (np.full((2, 144, 160), 200, np.uint8), "value 200"),
        (np.zeros((3, 144, 160), np.uint8), "expected the same"),
    ],
)
def test_wrong_frames_are_refused_in_one_line(frames, message):
    with pytest.raises(ValueError, match=message) as caught:
        detector().compute_combined_ood_scores(frames, np.zeros((2, 144, 160), np.uint8))
    assert "\n" not in str(caught.value)


def test_wrong_parts_are_refused():
    with pytest.raises(InputError, match="no number surprise_std"):
        detector(surprise_std=None)
    with pytest.raises(InputError, match="speaks 32 tokens, expected 16"):
        OODDetector(SIGHT, Dynamics(vocab=32, dim=16, layers=1, heads=2), USUAL)


@pytest.fixture
def store(tmp_path) -> Path:
    """A store with a tokenizer, a dynamics model and frames."""
    shelf = Store(tmp_path / "store")
    for stage in ("tokenizer", "dynamics", "frames"):
        with shelf.making("speedrun", stage, stage * 8) as output:
            if stage == "frames":
                write_frames(output.folder, walks(3, steps=15))
            else:
                (SIGHT if stage == "tokenizer" else FORESIGHT).save_pretrained(output.path("model"))
            if stage == "dynamics":
                output.path("ood.json").write_text(json.dumps(USUAL | {"frame_stride": 2}))
            shelf.publish(output, facts("speedrun", stage, stage * 8))
    return tmp_path / "store"


def test_found_by_ref_and_by_folder(store):
    assert FromTools is OODDetector
    made = store / "speedrun"
    wanted = detector().compute_combined_ood_scores(WALK[:3], WALK[2:5])
    for words in (
        ("tokenizer@v1", "dynamics", store),
        ("speedrun/tokenizer@v1", "speedrun/dynamics@latest", store),
        (made / "tokenizer" / "v1", made / "dynamics" / "v1"),
        (made / "tokenizer" / "v1" / "model", made / "dynamics" / "v1" / "model"),
    ):
        assert np.array_equal(OODDetector.from_tokenizer(*words).compute_combined_ood_scores(WALK[:3], WALK[2:5]), wanted)


def test_what_is_missing_is_said(store):
    with pytest.raises(InputError, match="holds no such version"):
        OODDetector.from_tokenizer("tokenizer@v7", "dynamics", store)
    with pytest.raises(InputError, match="no such folder"):
        OODDetector.from_tokenizer(store / "nothing", "dynamics", store)
    with pytest.raises(InputError, match="holds a Dynamics, expected a Tokenizer"):
        OODDetector.from_tokenizer("dynamics", "dynamics", store)
    (store / "speedrun" / "dynamics" / "v1" / "ood.json").unlink()
    with pytest.raises(InputError, match=r"ood\.json: no such file"):
        OODDetector.from_tokenizer("tokenizer", "dynamics", store)


def test_the_command_line(store, capsys):
    assert main(["tokenizer", "dynamics", "--store", str(store), "--pairs", "20", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert list(figures) == ["held_out", "shuffled", "noise"] and figures["held_out"]["pairs"] == 20
    assert main(["tokenizer", "dynamics", "--store", str(store), "--pairs", "5"]) == 0
    assert "score_mean" in capsys.readouterr().out
    assert main(["tokenizer", "reward", "--store", str(store)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_imported_from_the_root_as_the_seed_does():
    words = [sys.executable, "-c", "from tools.ood_detector import OODDetector; print(OODDetector.__name__)"]
    assert subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "OODDetector"
