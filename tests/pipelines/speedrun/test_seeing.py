"""The tokenizer, dynamics and reward stages on drawn footage: files, metrics beside their baselines, and numbers by hand."""

import json

import numpy as np
import pytest
from PIL import Image

from emurl.core.config import RenamedKey, load_config
from emurl.core.errors import InputError
from emurl.footage.alignment import AlignmentSettings
from emurl.footage.dataset import FrameReader
from emurl.footage.tokens import Tokens
from emurl.models.dynamics import Dynamics
from emurl.models.reward import RewardModel
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun import dynamics, reward, tokenizer
from emurl.pipelines.speedrun.course import CourseSettings
from emurl.pipelines.speedrun.dynamics import DynamicsEvaluation, DynamicsSettings
from emurl.pipelines.speedrun.judging import JudgingSettings
from emurl.pipelines.speedrun.reward import RewardSettings
from emurl.pipelines.speedrun.strangers import OffRouteSettings
from emurl.pipelines.speedrun.tokenizer import TokenizerSettings
from emurl.rewards.ood import OODDetector
from emurl.rewards.splits import SplitJudge
from emurl.screen import ScreenSpec
from tests.fixtures.learning import run_stage, walks, write_frames

QUICK = {"batch_size": 8, "learning_rate": 3e-3, "warmup_steps": 5, "eval_every": 40, "checkpoint_every": 20}
SIGHT = TokenizerSettings(dim=32, depth=1, code_dim=16, vocab=128, steps=160, **QUICK)
FORESIGHT = DynamicsSettings(
    dim=32, layers=1, heads=2, context=2, frame_stride=2, steps=60, offroute=OffRouteSettings(runs=0), **QUICK
)
COURSE = CourseSettings(alignment=AlignmentSettings(positions=12, rounds=2, steps=20, batch_size=32, checkpoint_every=20))
JUDGE = RewardSettings(arch="small", epochs=2, steps_per_epoch=30, course=COURSE, judging=JudgingSettings(bot_runs=0), **QUICK)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The three stages, run once: {stage: (artifact, output)}, the footage under `frames`."""
    root = tmp_path_factory.mktemp("learned")
    frames = write_frames(root / "frames", walks())
    made = {"frames": (frames, None)}
    made["tokenizer"] = run_stage(tokenizer, SIGHT, {"frames": frames}, root / "tokenizer")
    inputs = {"frames": frames, "tokenizer": made["tokenizer"][0]}
    made["dynamics"] = run_stage(dynamics, FORESIGHT, inputs, root / "dynamics")
    made["reward"] = run_stage(reward, JUDGE, inputs, root / "reward")
    return made


def test_tokenizer_beats_its_baselines(learned):
    artifact, output = learned["tokenizer"]
    metrics = output.metrics
    assert next(iter(metrics)) == "recon_mse"
    assert metrics["recon_mse"] < 0.8 * metrics["mean_frame_mse"]
    assert metrics["pixel_accuracy"] > 0.6
    assert 0.1 < metrics["active_codes"] <= 1 and 1 < metrics["perplexity"] <= 128
    assert metrics["nearest_frame_mse"] > 0 and metrics["frames_per_second"] > 0
    # Drawn footage has no font and no broadcast: what needs them is null, and that is said.
    assert metrics["text_legibility"] is None and metrics["token_agreement"] is None
    assert any("token_agreement" in note for note in output.notes)
    assert Tokenizer.from_pretrained(artifact.path("model")).vocab == 128
    assert artifact.path("reconstruction.png").stat().st_size > 1000
    rows = json.loads(artifact.path("history.json").read_text())["tokenizer"]
    assert rows[-1]["step"] == SIGHT.steps and "val_recon_mse" in rows[-1]


def test_the_footage_is_tokenized_once(learned, tmp_path, monkeypatch):
    artifact, frames = learned["tokenizer"][0], learned["frames"][0]
    reader, model = FrameReader(frames.folder), Tokenizer.from_pretrained(artifact.path("model"))
    tokens = Tokens(reader, frames, artifact)
    assert np.array_equal(tokens.grids(1), model.encode(reader.read(1, np.arange(reader.videos[1].count))).numpy())

    looks = []
    encode = Tokenizer.encode
    monkeypatch.setattr(Tokenizer, "encode", lambda self, some: looks.append(len(some)) or encode(self, some))
    few = FORESIGHT.model_copy(update={"steps": 2, "evaluation": DynamicsEvaluation(ood_strangers=4)})
    run_stage(dynamics, few, {"frames": frames, "tokenizer": artifact}, tmp_path)
    assert sum(looks) <= 4 * 4  # strangers, which are not in the footage


def test_dynamics_measures_itself(learned):
    artifact, output = learned["dynamics"]
    metrics = output.metrics
    names = {"accuracy", "accuracy_changed", "nll_per_token", "copy_accuracy", "shift_accuracy", "shift_accuracy_changed"}
    assert names | {"changed", "frames_per_second"} <= metrics.keys()
    assert metrics["copy_accuracy"] == pytest.approx(1 - metrics["changed"])
    assert metrics["shift_accuracy"] >= metrics["copy_accuracy"]
    assert metrics["nll_per_token"] < np.log(128)
    with Image.open(artifact.path("dream.gif")) as film:
        assert film.size[1] == 2 * 144 + 6 and film.size[0] % 160 == 0 and film.n_frames > 5
    usual = json.loads(artifact.path("ood.json").read_text())
    assert usual["frame_stride"] == 2 and usual["reconstruction_std"] > 0 and usual["surprise_mean"] > 0
    assert usual["threshold"] == 0.99 and set(usual["quantiles"]) == {
        "reconstruction",
        "surprise",
        "novelty",
        "frame",
        "combined",
    }
    assert artifact.path("ood.npz").exists()
    assert metrics["auroc_other"] > 0.95 and 0 <= metrics["false_alarms"] <= 1
    assert "auroc_offroute" not in metrics  # the settings ask for no run of the bot
    assert Dynamics.from_pretrained(artifact.path("model")).vocab == 128


def test_reward_orders_a_run_it_never_saw(learned):
    artifact, output = learned["reward"]
    metrics = output.metrics
    assert next(iter(metrics)) == "pairwise_accuracy" and metrics["chance_accuracy"] == 0.5
    assert metrics["pairwise_accuracy"] > 0.6
    assert {"pairwise_accuracy_1s", "pairwise_accuracy_5s", "neighbor_pairwise_accuracy"} <= metrics.keys()
    # The tile world's walks share no course; what is measured of the judge is measured all the same.
    assert {"splits", "pair_accuracy", "order_correlation", "course_end"} <= metrics.keys()
    judge = SplitJudge.from_folder(artifact.path("course"))
    assert judge.positions == 12 and len(judge.splits) == metrics["splits"]
    # Calibrated to seconds: over a run it climbs by about as many as the run took.
    model = RewardModel.from_pretrained(artifact.path("model"))
    frames, seconds = reward.timeline(FrameReader(learned["frames"][0].folder), 0, 200)
    slope = np.polyfit(seconds, reward.score(model, frames), 1)[0]
    assert 0.3 < slope < 3


def test_a_tokenizer_of_cells_is_better_after_a_few_steps(learned, tmp_path):
    few = SIGHT.model_copy(update={"encoder": "cells", "steps": 20})
    _, output = run_stage(tokenizer, few, {"frames": learned["frames"][0]}, tmp_path / "tokenizer")
    assert output.metrics["recon_mse"] < learned["tokenizer"][1].metrics["recon_mse"]


@pytest.mark.parametrize("encoder", ["context", "cells"])
def test_again_with_the_same_scratch_is_the_same(learned, tmp_path, encoder):
    inputs = {"frames": learned["frames"][0]}
    short = SIGHT.model_copy(update={"steps": 12, "encoder": encoder})
    files = []
    for _ in range(2):  # the second finds the first's last checkpoint
        artifact, _ = run_stage(tokenizer, short, inputs, tmp_path / "tokenizer")
        files.append(
            [artifact.path(name).read_bytes() for name in ("model/model.safetensors", "history.json", "reconstruction.png")]
        )
    assert files[0] == files[1]


def test_out_of_distribution_scores(learned, tmp_path):
    folders = learned["tokenizer"][0].folder, learned["dynamics"][0].folder
    detector = OODDetector.from_tokenizer(*folders)
    now, later = FrameReader(learned["frames"][0].folder).pairs(np.random.default_rng(0), 64, "val", 2)
    usual = detector.compute_combined_ood_scores(now, later)
    noise = np.random.default_rng(1).integers(0, 4, now.shape, dtype=np.uint8)
    strange = detector.compute_combined_ood_scores(now, noise)
    assert usual.shape == (64,) and 0.3 < float(usual.mean()) < 0.7
    assert strange.min() > np.quantile(usual, 0.95) and detector.is_strange(strange).mean() > 0.9
    assert detector.get_reward_multiplier(strange).mean() < 0.5 < detector.get_reward_multiplier(usual).mean()
    assert np.array_equal(
        OODDetector.from_tokenizer(folders[0] / "model", folders[1] / "model").compute_combined_ood_scores(now, later), usual
    )


def test_best_shift_by_hand():
    grid = np.arange(90).reshape(1, 9, 10)
    assert np.array_equal(dynamics.shifted(grid, 0, 0), grid)
    moved = dynamics.shifted(grid, 1, -2)
    assert (
        moved[0, 0].tolist() == [-1] * 10
        and moved[0, 1, :8].tolist() == list(range(2, 10))
        and moved[0, 5, 8:].tolist() == [-1, -1]
    )
    asked = np.stack([grid[0], np.where(dynamics.shifted(grid, 0, 1)[0] == -1, 777, dynamics.shifted(grid, 0, 1)[0])])[None]
    figures = dynamics.baselines(asked, 2)
    assert figures["copy_accuracy"] == 0.0 and figures["changed"] == 1.0
    assert figures["shift_accuracy"] == figures["shift_accuracy_changed"] == pytest.approx(0.9)  # a column is new


def test_motion_is_read_off_the_footage():
    grid = np.random.default_rng(0).integers(0, 99, (1, 9, 10))
    for number, motion in enumerate(dynamics.MOTIONS):
        assert dynamics.inferred_motion(grid, dynamics.shifted(grid, *motion)).tolist() == [number]
    assert dynamics.inferred_motion(grid, grid + 100).tolist() == [0]


def test_a_model_with_motion_conditioning_is_measured_without(learned, tmp_path):
    inputs = {name: learned[name][0] for name in ("frames", "tokenizer")}
    _, output = run_stage(dynamics, FORESIGHT.model_copy(update={"motion_conditioning": True, "steps": 40}), inputs, tmp_path)
    metrics = output.metrics
    assert next(iter(metrics)) == "accuracy" and 0 <= metrics["accuracy_conditioned"] <= 1
    assert metrics["nll_per_token"] != metrics["nll_per_token_conditioned"]


def test_copying_by_hand():
    grid = np.zeros((1, 9, 10), np.int64)
    later = grid.copy()
    later[0, 0, 0] = 5
    figures = dynamics.baselines(np.stack([grid, later], axis=1), 2)
    assert figures["copy_accuracy"] == pytest.approx(89 / 90) == figures["shift_accuracy"]
    assert figures["shift_accuracy_changed"] == 0.0


def test_pairwise_accuracy_by_hand():
    seconds = np.array([0.0, 1.0, 5.0])
    figures = reward.measure(
        [(np.array([0.0, 2.0, 1.0]), seconds), (np.array([1.0, 1.0, 1.0]), seconds)], reward.RewardEvaluation()
    )
    # first video: 0<1 right, 0<5 right, 1<5 wrong; second: all ties
    assert figures["pairwise_accuracy"] == pytest.approx((2 / 3 + 0.5) / 2)
    assert figures["pairwise_accuracy_1s"] == pytest.approx((1.0 + 0.5) / 2)
    assert figures["pairwise_accuracy_5s"] == pytest.approx((0.5 + 0.5) / 2)  # 0→5 and 1→5


def test_tokenizer_figures_by_hand():
    class Dark(Tokenizer):
        def encode(self, frames):
            return super().encode(frames) * 0

        def decode(self, tokens):
            return super().decode(tokens) * 0

    frames = np.zeros((2, 144, 160), np.uint8)
    frames[1] = 3
    figures = tokenizer.measure(Dark(dim=16, depth=1, vocab=16, code_dim=8), frames, ScreenSpec())
    assert figures == {"recon_mse": 0.5, "pixel_accuracy": 0.5, "active_codes": 1 / 16, "perplexity": pytest.approx(1.0)}


def test_wrong_vocabulary_for_fsq(tmp_path):
    with pytest.raises(InputError, match=r"tokenizer\.vocab: 100 with codebook fsq"):
        tokenizer.run(TokenizerSettings(vocab=100, codebook="fsq"), {}, None, None)


def test_old_names_of_settings_are_read_with_a_warning(tmp_path):
    (tmp_path / "old.yaml").write_text("dynamics: {gap: 3, told: true}\ntokenizer: {augment: 0.25}\n")
    with pytest.warns(RenamedKey) as warned:
        config = load_config(tmp_path / "old.yaml")
    assert config.dynamics.frame_stride == 3 and config.dynamics.motion_conditioning
    assert ["dynamics.gap is now called dynamics.frame_stride" in str(one.message) for one in warned].count(True) == 1
    assert config.tokenizer.augment.share == 0.25  # a number alone is the section's share, as it was
    with pytest.raises(InputError, match=r"close_pairs.*min_distance 9, expected less than max_distance 4"):
        load_config(None, ["reward.close_pairs.min_distance=9", "reward.close_pairs.max_distance=4"])
    assert load_config(None, ["reward.evaluation.gaps_s=[2, 60]"]).reward.evaluation.gaps_s == (2, 60)
