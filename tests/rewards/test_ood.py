"""The detector's shapes, units and errors; what trained models make of strangers is in tests/pipelines/speedrun/test_seeing.py."""

from pathlib import Path

import numpy as np
import pytest
import torch

from emurl.core.errors import InputError
from emurl.models.dynamics import Dynamics
from emurl.models.tokenizer import Tokenizer
from emurl.rewards.calibration import Calibration, OODSettings, scores_of_others
from emurl.rewards.novelty import KnownPatches, patch_hashes
from emurl.rewards.ood import OODDetector, signs, usual_statistics
from emurl.screen import to_gray
from emurl.training.supervised import seeded
from tests.fixtures.detecting import models, ood_store
from tests.fixtures.learning import walks
from tools.ood_detector import OODDetector as FromTools

ROOT = Path(__file__).resolve().parents[2]
USUAL = {"reconstruction_mean": 1.0, "reconstruction_std": 0.5, "surprise_mean": 2.0, "surprise_std": 0.25}
SIGHT = seeded(0, lambda: Tokenizer(dim=16, depth=1, vocab=16, code_dim=8)).eval()
FORESIGHT = seeded(0, lambda: Dynamics(vocab=16, dim=16, layers=1, heads=2)).eval()
WALK = walks(1, steps=10)[0]
SEER, ORACLE = models()
MANY = walks(1, steps=60)[0]
NOW, LATER = MANY[:-2], MANY[2:]
HASHES = [2754080568620526106, 4022872968703003411]


def detector(**usual) -> OODDetector:
    return OODDetector(SIGHT, FORESIGHT, USUAL | usual)


def test_an_older_artifact_has_normal_signs():
    now, later = WALK[:6], WALK[2:8]
    misread = (SIGHT.reconstruction_error(later).double() - 1.0) / 0.5
    surprise = (FORESIGHT.nll(SIGHT.encode(now), SIGHT.encode(later)).double() - 2.0) / 0.25
    old = detector()
    weights = OODSettings().weights()
    wanted = (weights["reconstruction"] * misread + weights["surprise"] * surprise) / np.hypot(
        weights["reconstruction"], weights["surprise"]
    )
    assert np.allclose(old.compute_combined_ood_scores(now, later), torch.special.ndtr(wanted), atol=1e-5)
    assert np.allclose(old.compute_ood_scores(later), torch.special.ndtr(misread), atol=1e-5)
    assert np.allclose(old.compute_temporal_ood_scores(now, later), torch.special.ndtr(surprise), atol=1e-5)
    assert old.compute_combined_ood_scores(now[:0], later[:0]).shape == (0,) == old.compute_ood_scores(now[:0]).shape


def calibrated(**settings) -> OODDetector:
    """A detector whose held-out footage is `NOW` and `LATER`, and whose known patches are those of `NOW`."""
    asked = OODSettings(quantiles=101, **settings)
    known = KnownPatches.of(SEER.encode(NOW).numpy(), asked.patches)
    bare = OODDetector(SEER, ORACLE, USUAL, known=known)
    return OODDetector(SEER, ORACLE, Calibration.of(bare.signs(NOW, LATER), asked, frame_stride=2), known=known)


def test_a_score_is_the_share_of_footage_that_is_less_strange():
    judge = calibrated()
    surprise = ORACLE.nll(SEER.encode(NOW), SEER.encode(LATER)).numpy()
    scores = judge.compute_temporal_ood_scores(NOW, LATER)
    wanted = (surprise[None] < surprise[:, None]).mean(axis=1)
    assert np.abs(scores - wanted).max() < 0.05 and scores.min() == 0.0
    noise = np.random.default_rng(0).integers(0, 4, NOW.shape, dtype=np.uint8)
    for found in (
        judge.compute_ood_scores(LATER), judge.compute_combined_ood_scores(NOW, LATER), scores,
        judge.compute_ood_scores(noise), judge.compute_combined_ood_scores(NOW, noise), judge.compute_temporal_ood_scores(NOW, noise),
    ):  # fmt: skip
        assert found.dtype == np.float32 and found.shape == (len(NOW),) and found.min() >= 0 and found.max() <= 1
    assert 0.4 < judge.compute_combined_ood_scores(NOW, LATER).mean() < 0.6
    assert judge.compute_ood_scores(noise).min() > 0.95
    assert judge.is_strange(judge.compute_ood_scores(noise)).mean() > 0.9
    assert judge.is_strange(judge.compute_combined_ood_scores(NOW, LATER)).mean() < 0.1


def test_weights_and_threshold_are_settings():
    blind = calibrated(reconstruction_weight=0.0, novelty_weight=0.0, threshold=0.5)
    temporal, combined = blind.compute_temporal_ood_scores(NOW, LATER), blind.compute_combined_ood_scores(NOW, LATER)
    assert np.abs(temporal - combined).max() < 0.05  # the surprise alone is left
    assert 0.4 < blind.is_strange(combined).mean() < 0.6 and blind.free == 0.5


def test_the_threshold_holds_for_footage_it_was_not_taken_from():
    rng = np.random.default_rng(0)
    signs_ = {name: rng.gamma(1.0, size=4000).astype(np.float32) for name in ("reconstruction", "surprise", "novelty")}
    for groups in (np.repeat(np.arange(4), 1000), np.zeros(4000)):
        frame, combined = scores_of_others(signs_, groups, OODSettings())
        assert (frame >= 0.99).mean() < 0.02 and 0.002 < (combined >= 0.99).mean() < 0.02
    odd = signs_ | {"surprise": np.r_[signs_["surprise"][:3000], signs_["surprise"][3000:] + 50.0]}  # a video like no other
    assert (scores_of_others(odd, np.repeat(np.arange(4), 1000), OODSettings())[1] >= 0.99).mean() > 0.03
    assert scores_of_others({name: values[:1] for name, values in signs_.items()}, np.zeros(1), OODSettings())[0].tolist() == [
        0.0
    ]


def test_novelty_by_hand():
    grid = np.arange(90).reshape(1, 9, 10)
    known = KnownPatches.of(grid, (2, 4))
    assert known.novelty(grid).tolist() == [0.0] and KnownPatches.of(grid, ()).novelty(grid).tolist() == [0.0]
    other = grid.copy()
    other[0, 0, 0] = 1000  # in one patch of 2 × 2 of 72, and in one of 4 × 4 of 42
    assert known.novelty(other)[0] == pytest.approx((1 / 72 + 1 / 42) / 2)
    assert known.novelty(grid[:, ::-1]).tolist() == [1.0]
    assert patch_hashes(grid, 9).shape == (1, 2) and patch_hashes(grid[:0], 2).shape == (0, 72)


def test_hashes_do_not_change():
    # They are a file format.
    assert patch_hashes(np.arange(90).reshape(1, 9, 10), 2)[0, :2].tolist() == HASHES


def test_known_patches_are_kept(tmp_path):
    known = KnownPatches.of(np.arange(90).reshape(1, 9, 10), (2, 4))
    known.save(tmp_path / "known.npz")
    assert KnownPatches.load(tmp_path / "known.npz").hashes[4].tolist() == known.hashes[4].tolist()
    (tmp_path / "known.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="run dynamics again"):
        KnownPatches.load(tmp_path / "known.npz")


def test_what_is_usual_is_kept(tmp_path):
    judge = calibrated(threshold=0.9)
    judge.calibration.save(tmp_path / "ood.json")
    again = OODDetector(SEER, ORACLE, Calibration.load(tmp_path / "ood.json"), known=judge.known)
    assert np.array_equal(again.compute_combined_ood_scores(NOW, LATER), judge.compute_combined_ood_scores(NOW, LATER))
    assert again.threshold == 0.9 and again.frame_stride == 2


@pytest.mark.parametrize("wrong", [{"quantiles": {"surprise": [1.0]}}, {"quantiles": [1]}, {"weights": {"surprise": "much"}}])
def test_damaged_quantiles_are_refused(wrong):
    with pytest.raises(InputError, match="quantiles cannot be read") as caught:
        detector(**wrong)
    assert "\n" not in str(caught.value)


def test_a_pair_is_as_far_apart_as_the_model_learned_it():
    assert detector(frame_stride=3).frame_stride == 3 and detector().frame_stride == 1
    assert detector(gap=2).frame_stride == 2  # an artifact of an older emurl


def test_what_is_usual_scores_a_half():
    now, later = WALK[:8], WALK[2:10]
    usual = usual_statistics(*signs(SIGHT, FORESIGHT, SIGHT.encode(now), SIGHT.encode(later), later))
    assert abs(float(detector(**usual).compute_combined_ood_scores(now, later).mean()) - 0.5) < 0.15


def test_color_pictures_of_the_same_frames_score_the_same():
    now, later = WALK[:4], WALK[2:6]
    color = [np.repeat(to_gray(frames)[..., None], 3, axis=-1) for frames in (now, later)]
    same = detector().compute_combined_ood_scores(now, later)
    assert np.array_equal(detector().compute_combined_ood_scores(*color), same)


def test_gains_shrink_and_losses_do_not():
    multiplier = detector().get_reward_multiplier(np.array([0.0, 0.99, 0.995, 1.0]))
    assert (
        multiplier[:2].tolist() == [1.0, 1.0]
        and multiplier[2] == pytest.approx(0.5, abs=1e-4)
        and multiplier[3] == pytest.approx(1e-3)
    )
    softer = OODDetector(SIGHT, FORESIGHT, USUAL, free=0.5, softness=2.0).get_reward_multiplier(np.array([0.5, 0.875]))
    assert softer.tolist() == [1.0, 0.5]
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
    with pytest.raises(InputError, match=r"free is 2\.0, expected a score"):  # standard deviations, as scores once were
        OODDetector(SIGHT, FORESIGHT, USUAL, free=2.0)
    with pytest.raises(InputError, match="softness is 0"):
        OODDetector(SIGHT, FORESIGHT, USUAL, softness=0)
    with pytest.raises(InputError, match="no known patches"):
        OODDetector(SEER, ORACLE, calibrated().calibration)
    with pytest.raises(InputError, match="no number surprise_std"):
        detector(surprise_std=None)
    with pytest.raises(InputError, match="speaks 32 tokens, expected 16"):
        OODDetector(SIGHT, Dynamics(vocab=32, dim=16, layers=1, heads=2), USUAL)


@pytest.fixture
def store(tmp_path) -> Path:
    """A store with a tokenizer, a dynamics model and frames; what is usual is as an older emurl wrote it."""
    return ood_store(tmp_path / "store", SIGHT, FORESIGHT, USUAL | {"frame_stride": 2})


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
