"""The behavior stage on the embedded cartridge: play, named buttons, a clone; and its parts by hand."""

import json
import os
import shutil
import signal
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from emurl.core import interrupt
from emurl.core.config import load_config
from emurl.core.errors import InputError, WorkError
from emurl.core.output import Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.footage import exploration
from emurl.footage import inverse_labels as naming
from emurl.footage.dataset import FrameReader
from emurl.footage.exploration import ExplorationSettings, Explorer, place_key
from emurl.footage.inverse_labels import InverseSettings
from emurl.footage.open_loop import REPLAY, OpenLoop
from emurl.footage.pairs import Pairs, changed
from emurl.footage.tokens import Tokens, write_tokens
from emurl.games.mossdale import rom_path
from emurl.games.settings import EmulatorSettings
from emurl.models.inverse import InverseModel
from emurl.models.position import PositionModel
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.models.reward import RewardModel
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun import behavior
from emurl.pipelines.speedrun.behavior import BehaviorSettings, RecurrentSettings
from emurl.pipelines.speedrun.cadence import frames_per_action
from emurl.pipelines.speedrun.cloning import CloningSettings, class_weights, clone
from emurl.pipelines.speedrun.scouting import ScoutSettings
from emurl.rewards.splits import JudgeSettings, SplitJudge
from emurl.screen import ScreenSpec
from emurl.training.supervised import seeded
from tests.fixtures.learning import artifact, run_stage, write_frames

SETTINGS = BehaviorSettings(
    emulator=EmulatorSettings(rom="embedded", frame_skip=16), explore_steps=400, inverse_steps=24, inverse_later_steps=36, steps=24,
    batch_size=16,
    learning_rate=2e-3, warmup_steps=5, eval_every=24, checkpoint_every=12, dim=16, layers=1, heads=2, rounds=2,
    scout=ScoutSettings(steps=200, consoles=2, patience=12),
    inverse=InverseSettings(dim=16), recurrent=RecurrentSettings(token_dim=8, width=16, hidden=16, window=8),
)  # fmt: skip


def explorer(seed: int = 0, **changes: float) -> Explorer:
    return Explorer(rom_path(), 16, 8, 2, seed, ScreenSpec(), ExplorationSettings(consoles=4, **changes))


def footage(seed: int, actions: int = 110) -> np.ndarray:
    """A video of the cartridge: START, A through the texts, then walks; two frames an action."""
    rng = np.random.default_rng(seed)
    frames = []
    with GameBoy(rom_path()) as console:
        for number in range(actions):
            button = 6 if number < 12 else 0 if number < 50 else int(rng.integers(2, 6))
            console.press(BUTTONS[button])
            console.tick(8)
            frames.append(console.frame().copy())
            console.release(BUTTONS[button])
            console.tick(8)
            frames.append(console.frame().copy())
    return np.stack(frames)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    root = tmp_path_factory.mktemp("watched")
    frames = write_frames(root / "frames", [footage(seed) for seed in range(3)])
    model = seeded(0, lambda: Tokenizer(dim=16, depth=1, vocab=64, code_dim=8))
    for seed in range(3):
        model.train().loss(footage(seed, actions=80)[40::4])  # fills the codebook
    model.save_pretrained(root / "tokenizer" / "model")
    (root / "tokenizer" / "screen.json").write_text(json.dumps(ScreenSpec().to_dict()))
    output = Output(root / "tokenizer", root / "scratch")
    write_tokens(output, FrameReader(frames.folder), frames, model.eval(), Tracker.silent())
    RewardModel("small").eval().save_pretrained(root / "reward" / "model")
    anywhere = SplitJudge(
        seeded(0, lambda: PositionModel(64, 12, 4, 4, 8)).eval(), [], np.zeros((1, 9, 10)), 0.0, JudgeSettings()
    )
    (root / "reward" / "course").mkdir()
    anywhere.save(root / "reward" / "course")
    inputs = {
        "frames": frames,
        "tokenizer": artifact("tokenizer", root / "tokenizer"),
        "reward": artifact("reward", root / "reward"),
    }
    return inputs, *run_stage(behavior, SETTINGS, inputs, root / "behavior"), root


def test_what_the_stage_leaves(watched):
    inputs, made, output, _ = watched
    metrics = output.metrics
    assert next(iter(metrics)) == "clone_accuracy"
    assert {
        "clone_majority",
        "inverse_accuracy",
        "inverse_majority",
        "labeled",
        "changed",
        "frames_per_second",
    } <= metrics.keys()
    assert 0 < metrics["labeled"] <= metrics["changed"] <= 1
    policy = RecurrentPolicy.from_pretrained(made.path("policy"))
    assert policy.vocab == 64 and policy.hidden == 16
    assert InverseModel.from_pretrained(made.path("inverse")).config["actions"] == 8
    labels = pd.read_parquet(made.path("labels.parquet"))
    assert list(labels.columns) == ["video", "frame", "action", "confidence", "split"]
    assert set(labels["video"]) <= {video.id for video in FrameReader(inputs["frames"].folder).videos}
    assert labels["action"].between(0, 7).all() and labels["confidence"].between(0, 1).all()
    fastest = OpenLoop.read(made.path(REPLAY))
    assert fastest.footage_steps == {f"video{number}": 110 for number in range(3)} and fastest.footage_median_steps == 110.0
    assert fastest.videos == ["video0"] and len(fastest.actions) == 110 and set(fastest.actions) <= set(range(-1, 8))
    runs = json.loads(made.path("history.json").read_text())
    assert list(runs) == ["inverse_1", "policy_1", "inverse_2", "policy_2"]
    batches = [runs[name]["history"][-1]["step"] if isinstance(runs[name], dict) else runs[name][-1]["step"] for name in runs]
    assert (batches[0], batches[2]) == (24, 36)


def test_later_rounds_play_from_where_the_clone_got_to(watched, tmp_path, monkeypatch):
    inputs, *_ = watched
    begun = []
    begin = Explorer.begin_from
    monkeypatch.setattr(Explorer, "begin_from", lambda self, states: begun.append(list(states)) or begin(self, begun[-1]))
    run_stage(behavior, SETTINGS, inputs, tmp_path / "scouted")
    assert len(begun) == 1 and begun[0]  # nobody knows where to begin in the first round
    (inputs["reward"].folder / "course").rename(tmp_path / "course")
    try:
        run_stage(behavior, SETTINGS, inputs, tmp_path / "without")
    finally:
        (tmp_path / "course").rename(inputs["reward"].folder / "course")
    assert len(begun) == 1  # without a judge the clone plays itself
    with GameBoy(rom_path()) as console:
        for packed in begun[0]:
            console.load(zlib.decompress(packed))


def test_the_stage_again_is_the_same(watched, tmp_path):
    inputs, made, _, _ = watched
    again, _ = run_stage(behavior, SETTINGS, inputs, tmp_path / "behavior")
    for name in ("policy/model.safetensors", "inverse/model.safetensors", "labels.parquet", "history.json", REPLAY):
        assert again.path(name).read_bytes() == made.path(name).read_bytes()


@pytest.mark.parametrize(("step", "calls"), [("scout", 1), ("label", 2)])
def test_the_stage_killed_in_its_second_round_ends_the_same(watched, tmp_path, monkeypatch, step, calls):
    inputs, made, _, _ = watched
    real, seen = getattr(behavior, step), []

    def dying(*args, **options):
        result = real(*args, **options)
        seen.append(step)
        if len(seen) == calls:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(behavior, step, dying)
    with pytest.raises(KeyboardInterrupt):
        run_stage(behavior, SETTINGS, inputs, tmp_path / "behavior")
    again, _ = run_stage(behavior, SETTINGS, inputs, tmp_path / "behavior")
    for name in ("policy/model.safetensors", "inverse/model.safetensors", "labels.parquet", "scouted.safetensors"):
        assert again.path(name).read_bytes() == made.path(name).read_bytes()


def test_play_without_the_places_it_began_in_hands_them_on_all_the_same(watched, tmp_path):
    """Files reach a bucket one by one: another machine may get the second round's play alone."""
    inputs, made, _, root = watched
    shutil.copytree(root / "behavior/scratch", tmp_path / "behavior/scratch", ignore=shutil.ignore_patterns("scout*"))
    assert (tmp_path / "behavior/scratch/play_2.npz").exists()
    again, _ = run_stage(behavior, SETTINGS, inputs, tmp_path / "behavior")
    assert again.path("scouted.safetensors").read_bytes() == made.path("scouted.safetensors").read_bytes()


@pytest.mark.parametrize("memory", ["recurrent", "frames", "none"])
def test_a_clone_killed_and_resumed_is_the_same_clone(watched, tmp_path, memory):
    inputs, made, _, _ = watched
    reader = FrameReader(inputs["frames"].folder)
    tokens = Tokens(reader, inputs["frames"], inputs["tokenizer"])
    table = pd.read_parquet(made.path("labels.parquet"))
    places = {video.id: place for place, video in enumerate(reader.videos)}
    labels = table.assign(video=[places[video] for video in table["video"]])
    weights = {place: np.ones(video.count) for place, video in enumerate(reader.videos)}
    settings = SETTINGS.model_copy(update={"memory": memory, "steps": 30, "checkpoint_every": 10})

    def learn(folder: Path, die_at: int | None = None) -> dict[str, torch.Tensor]:
        (folder / "scratch").mkdir(parents=True, exist_ok=True)
        policy = seeded(0, lambda: behavior.new_policy(settings, 64))
        steps, loss = [], policy.loss

        def counted(batch):
            steps.append(1)
            if len(steps) == die_at:
                raise KeyboardInterrupt
            return loss(batch)

        policy.loss = counted
        output = Output(folder, folder / "scratch")
        clone(
            policy, settings, settings.cloning, labels, weights, tokens, 2,
            window=8, name="policy", device=torch.device("cpu"), output=output, tracker=Tracker.silent(),
        )  # fmt: skip
        return policy.state_dict()

    whole = learn(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "killed", die_at=18)
    again = learn(tmp_path / "killed")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_play_is_of_its_dice_and_new_places_are_kept():
    runs = []
    for seed in (1, 1, 2):
        player = explorer(seed)
        runs.append((player.gather(300, Tracker.silent()), len(player.kept)))
        player.close()
    (one, kept), (same, _), (other, _) = runs
    assert np.array_equal(one.packed, same.packed) and np.array_equal(one.actions, same.actions)
    assert np.array_equal(one.moments, same.moments)
    assert not (len(one) == len(other) and np.array_equal(one.packed, other.packed))
    assert len(one) > 30 and kept >= 3
    frames = one.frames(np.arange(len(one)))
    assert changed(frames[:, 0], frames[:, 1], 24).all()
    assert one.actions.min() >= 0 and one.actions.max() <= 7 and (np.diff(one.episode) >= 0).all()


@pytest.mark.parametrize(("block", "again", "files"), [(1, 48, 1), (1024, 72, 0)])
def test_killed_play_goes_on_from_its_last_block(tmp_path, monkeypatch, block, again, files):
    """And play that is asked to end, from the round that was on, however long its blocks are."""
    monkeypatch.setattr(exploration, "BLOCK", block)

    def play(scratch: Path | None, end_at: int = 0, ends: Callable[[], None] = lambda: None) -> Pairs:
        player, dice = explorer(1), np.random.default_rng(5)
        player.begin_from([zlib.compress(player.consoles[0].save())])
        turns = []

        def act(frames: np.ndarray, begun: np.ndarray) -> np.ndarray:
            turns.append(1)
            if len(turns) == end_at:
                ends()
            return dice.integers(0, 8, len(frames))

        try:
            return player.gather(300, Tracker.silent(), act, scratch=scratch, dice=dice)
        finally:
            player.close()
            made.append(len(turns))

    def killed() -> None:
        raise MemoryError

    made: list[int] = []
    whole = play(None)
    with pytest.raises(interrupt.Terminated), interrupt.handled():
        play(tmp_path / "asked", 30, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(MemoryError):
        play(tmp_path / "killed", 30, killed)
    assert len([*(tmp_path / "killed").glob("*")]) == files
    results = play(tmp_path / "asked"), play(tmp_path / "killed")
    assert made == [72, 30, 30, 48, again]  # three rounds of 24 turns: the one that was on is played anew
    for result in results:
        for one, other in ((whole.packed, result.packed), (whole.actions, result.actions), (whole.moments, result.moments)):
            assert len(one) and np.array_equal(one, other)
        assert np.array_equal(whole.episode, result.episode)
    max((tmp_path / "asked").glob("*")).write_bytes(b"cut")  # a damaged block is played again
    assert np.array_equal(play(tmp_path / "asked").packed, whole.packed) and made[-1] > 0


def test_play_is_kept_in_a_tenth_of_its_size(tmp_path):
    player = explorer()
    pairs = player.gather(300, Tracker.silent())
    player.close()
    pairs.save(tmp_path / "play.npz")
    assert len(pairs) and 10 * (tmp_path / "play.npz").stat().st_size < pairs.packed.nbytes + pairs.moments.nbytes
    assert np.array_equal(Pairs.load(tmp_path / "play.npz", ScreenSpec()).packed, pairs.packed)


def test_pairs_are_saved_and_joined(tmp_path):
    rng = np.random.default_rng(0)
    packed = rng.integers(0, 256, (5, 2, 5760), dtype=np.uint8)
    pairs = Pairs(packed, np.arange(5), np.array([0, 0, 1, 1, 2]), packed[:2, 0], ScreenSpec())
    pairs.save(tmp_path / "pairs.npz")
    again = Pairs.load(tmp_path / "pairs.npz", ScreenSpec())
    assert np.array_equal(again.frames(np.array([4, 0])), pairs.frames(np.array([4, 0])))
    both = pairs.join(again)
    assert both.episode.tolist() == [0, 0, 1, 1, 2, 3, 3, 4, 4, 5] and len(both.moment_frames()) == 4


def test_a_held_button_names_its_pairs():
    """A console that only ever walks down: every pair that shows a walk is called down."""
    player = explorer(policy_share=1.0)
    with GameBoy(rom_path()) as console:
        for button in [6] * 12 + [0] * 40:
            console.step(button, 16)
        player.power_on = console.save()
    pairs = player.gather(96, Tracker.silent(), act=lambda frames, begun: np.full(len(frames), 3))
    player.close()
    assert len(pairs) and set(pairs.actions.tolist()) == {3}


def test_chance_presses_what_its_settings_say():
    player = explorer(probabilities={"down": 1.0, "start": 3.0}, idle=0.0)
    pairs = player.gather(200, Tracker.silent())
    player.close()
    assert set(pairs.actions.tolist()) <= {BUTTONS.index("down"), BUTTONS.index("start")}


def test_wrong_exploration_is_refused_in_one_line():
    for wrong, line in (
        ("probabilities={jump: 1.0}", r"behavior\.exploration\.probabilities: .*expected a weight for some of a, b, up"),
        ("save_every=30", r"behavior\.exploration: .*save_every 30, expected at most episode_length 24"),
    ):
        with pytest.raises(InputError, match=line) as caught:
            load_config(None, [f"behavior.exploration.{wrong}"])
        assert "\n" not in str(caught.value)


def test_changes_and_places():
    frame = np.zeros((144, 160), np.uint8)
    noisy = frame.copy()
    noisy[0, :10] = 1
    moved = frame.copy()
    moved[:16, :16] = 3
    assert changed(np.stack([frame, frame]), np.stack([noisy, moved]), 24).tolist() == [False, True]
    assert place_key(frame) == place_key(noisy) != place_key(moved)


def test_rare_buttons_weigh_more():
    labels = np.array([3] * 16 + [6])
    weights = class_weights(labels, 0.5)
    assert weights[labels].mean() == pytest.approx(1.0)
    assert weights[6] / weights[3] == pytest.approx(4.0)  # √16
    assert set(class_weights(labels, 0.0)) == {1.0}


def test_frames_an_action_takes():
    assert frames_per_action(16, 7.5) == 2
    assert frames_per_action(30, 8.0) == 4
    assert frames_per_action(4, 2.0) == 1


def test_frames_like_the_agents_count_more(watched):
    inputs, _, _, root = watched
    reader = FrameReader(inputs["frames"].folder)

    class Tokens:
        vocab = 4

        def __init__(self):
            self.reader = reader
            self.all = np.concatenate([self.grids(video) for video in range(len(reader.videos))])

        def grids(self, video):
            grids = np.zeros((reader.videos[video].count, 9, 10), np.uint16)
            grids[1::2] = 1  # every second frame is half-way through a step
            return grids

    class Sight:
        def encode(self, frames):
            import torch

            return torch.zeros(len(frames), 9, 10, dtype=torch.long)  # play shows only whole steps

    weights = behavior.importance_weights(np.zeros((3, 144, 160), np.uint8), Sight(), Tokens(), CloningSettings())[0]
    assert weights[20] > 1 > weights[21] or weights[20] / weights[21] > 5


def test_footage_that_stands_still_is_no_use(tmp_path):
    still = np.zeros((20, 144, 160), np.uint8)
    reader = FrameReader(write_frames(tmp_path, [still, still]).folder)
    with pytest.raises(WorkError, match="nothing ever changes in the footage"):
        naming.label(
            InverseModel(dim=8).eval(), reader, 2,
            min_confidence=0.5, min_labels=64, min_changed_pixels=24, output=None, tracker=Tracker.silent(),
        )  # fmt: skip
