"""The Gymnasium environments: the API contract, determinism, and that threads change nothing but the time."""

from __future__ import annotations

import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import emurl.envs.gameboy
from emurl.core.errors import InputError
from emurl.envs.gameboy.console import BUTTONS
from emurl.envs.gameboy.env import GameBoyEnv
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.games import mossdale
from tests.fixtures import rom as emulator_rom

SKIP = 12
RIGHT = BUTTONS.index("right")


@pytest.fixture
def rom(tmp_path: Path) -> Path:
    return emulator_rom.write_rom(tmp_path, "MOSSDALE")


@pytest.fixture
def plain_rom(tmp_path: Path) -> Path:
    return emulator_rom.write_rom(tmp_path)


def test_the_made_environment_passes_gymnasiums_checker(rom: Path) -> None:
    emurl.envs.gameboy.register()  # again, on purpose
    env = gymnasium.make("emurl/GameBoy-v0", rom=rom, frame_skip=SKIP, max_steps=50, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def test_reset_means_power_on_whatever_the_seed(rom: Path) -> None:
    env = GameBoyEnv(rom, SKIP)
    first, facts = env.reset(seed=1)
    for _ in range(12):
        env.step(np.int64(RIGHT))
    again, facts_again = env.reset(seed=2)
    np.testing.assert_array_equal(first, again)
    assert facts == facts_again
    env.close()


def test_same_actions_same_frames(rom: Path) -> None:
    actions = np.random.default_rng(0).integers(0, 8, 40)
    runs = []
    for _ in range(2):
        env = GameBoyEnv(rom, SKIP)
        env.reset(seed=0)
        steps = [env.step(action) for action in actions]
        runs.append((np.stack([step[0] for step in steps]), [step[4] for step in steps]))
        env.close()
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert len(np.unique(runs[0][0].reshape(40, -1), axis=0)) > 3  # the actions did something


def test_reward_is_zero_and_only_max_steps_ends(rom: Path) -> None:
    env = GameBoyEnv(rom, SKIP, max_steps=3)
    env.reset()
    ends = [env.step(np.int64(6))[1:4] for _ in range(3)]
    assert ends == [(0.0, False, False), (0.0, False, False), (0.0, False, True)]
    env.close()


def test_facts_come_from_memory_and_can_be_left_alone(rom: Path, plain_rom: Path) -> None:
    env = GameBoyEnv(rom, SKIP)
    env.reset()
    for _ in range(8):
        env.step(np.int64(0))
    before = env.facts()
    _, _, _, _, after = env.step(np.int64(RIGHT))
    assert after["x"] == before["x"] + 1 and env.milestones[-1] == "goal"
    env.close()
    for other in (GameBoyEnv(rom, SKIP, facts=False), GameBoyEnv(plain_rom, SKIP)):
        assert other.reset()[1] == {} and other.milestones == ()
        other.close()


def test_an_episode_can_begin_from_a_state(rom: Path) -> None:
    env = GameBoyEnv(rom, SKIP, max_steps=20)
    env.reset()
    for _ in range(15):
        env.step(np.int64(RIGHT))
    state, x = env.save_state(), env.facts()["x"]
    env.reset()
    frame, facts = env.reset(options={"state": state})
    assert facts["x"] == x and not env.over
    env.step(np.int64(RIGHT))
    env.load_state(state)
    assert env.facts()["x"] == x and frame.min() == 0
    env.close()


@pytest.mark.parametrize("press", [0, SKIP])
def test_impossible_timing_is_the_users_mistake(rom: Path, press: int) -> None:
    with pytest.raises(InputError, match="press_ticks"):
        GameBoyEnv(rom, SKIP, press)


def test_a_recording_runs_at_the_speed_of_the_game(rom: Path) -> None:
    for made in (GameBoyEnv(rom, 16), ThreadedVectorEnv(rom, 1, 16)):
        assert made.metadata["render_fps"] == 3.73  # 59.7275 frames a second, 16 a step
        made.close()


def test_seeds_and_actions_may_be_numpys(rom: Path) -> None:
    env = gymnasium.make("emurl/GameBoy-v0", rom=rom, frame_skip=SKIP)
    env.reset(seed=np.int64(3))  # type: ignore[arg-type]
    expected = env.unwrapped.np_random_seed
    env.step(np.array(3))
    with pytest.raises(IndexError, match="action -2: there is no such button, expected 0 to 7, or -1 for none"):
        env.unwrapped.step(np.int64(-2))
    envs = gymnasium.make_vec("emurl/GameBoy-v0", num_envs=2, rom=rom, frame_skip=SKIP)
    envs.reset(seed=np.int64(3))  # type: ignore[arg-type]
    assert expected == 3
    assert [console.np_random_seed for console in envs.consoles] == [3, 4]  # type: ignore[attr-defined]
    env.close()
    envs.close()


def test_an_unknown_render_mode_is_refused(rom: Path) -> None:
    with pytest.raises(ValueError, match="render_mode"):
        GameBoyEnv(rom, SKIP, render_mode="human")


def test_make_vec_gives_the_threaded_environment(rom: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = gymnasium.make_vec("emurl/GameBoy-v0", num_envs=2, rom=rom, frame_skip=SKIP)
    assert isinstance(envs, ThreadedVectorEnv) and isinstance(envs, gymnasium.vector.VectorEnv)
    frames, _ = envs.reset(seed=0)
    assert frames in envs.observation_space and envs.action_space.sample().shape == (2,)
    envs.close()
    envs.close()


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("threads", [1, 3])
def test_threads_give_what_gymnasiums_own_loop_gives(rom: Path, mode: AutoresetMode, threads: int) -> None:
    """The same actions through SyncVectorEnv and through ours, over two episode ends: every array equal."""
    number, length = 3, 9
    ours = ThreadedVectorEnv(rom, number, SKIP, max_steps=length, threads=threads, autoreset_mode=mode)
    peer = SyncVectorEnv([lambda: GameBoyEnv(rom, SKIP, max_steps=length)] * number, autoreset_mode=mode)
    actions = np.random.default_rng(3).integers(0, 8, (2 * length + 4, number))
    (frames, infos), (peer_frames, peer_infos) = ours.reset(seed=0), peer.reset(seed=0)
    for action in actions:
        np.testing.assert_array_equal(frames, peer_frames)
        _same_infos(infos, peer_infos)
        frames, *signals, infos = ours.step(action)
        peer_frames, *peer_signals, peer_infos = peer.step(action)
        for mine, theirs in zip(signals, peer_signals, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        if mode is AutoresetMode.DISABLED and signals[2].any():
            mask = {"reset_mask": np.ones(number, bool)}
            (frames, infos), (peer_frames, peer_infos) = ours.reset(options=dict(mask)), peer.reset(options=dict(mask))
    ours.close()
    peer.close()


def _same_infos(mine: dict, theirs: dict) -> None:
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        if isinstance(value, dict):
            _same_infos(value, theirs[key])
        elif key == "final_obs":
            for a, b in zip(value, theirs[key], strict=True):
                np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_array_equal(value, theirs[key])


def test_one_buffer_is_shared_unless_copies_are_wanted(rom: Path) -> None:
    for copy in (True, False):
        envs = ThreadedVectorEnv(rom, 2, SKIP, copy=copy, facts=False)
        frames, infos = envs.reset()
        assert infos == {} and np.shares_memory(frames, envs.frames) is not copy
        envs.close()


def test_a_console_restarts_from_another_consoles_state(rom: Path) -> None:
    envs = ThreadedVectorEnv(rom, 2, SKIP)
    envs.reset()
    for _ in range(14):
        envs.step(np.array([RIGHT, 0]))
    state = envs.save_state(0)
    moved = envs.restart(1, state)
    envs.restart(0)
    assert envs.facts()[1]["x"] > 0 and moved.min() == 0
    envs.load_state(0, state)
    assert envs.facts()[0]["x"] == envs.facts()[1]["x"]
    envs.close()


def test_wrong_numbers_of_things_are_refused(rom: Path) -> None:
    envs = ThreadedVectorEnv(rom, 2, SKIP)
    with pytest.raises(ValueError, match="seeds"):
        envs.reset(seed=[1])
    with pytest.raises(ValueError, match="reset_mask"):
        envs.reset(options={"reset_mask": np.zeros(2, bool)})
    envs.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="actions"):
        envs.step(np.array([1]))
    with pytest.raises(IndexError):  # raised on a worker thread, told to the caller
        envs.step(np.array([0, 8]))
    envs.close()


def test_consoles_wait_rest_and_press_nothing(rom: Path) -> None:
    envs = ThreadedVectorEnv(rom, 3, SKIP, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset()
    frames = envs.wait(np.array([0, 5, 30]))
    assert [console.gameboy.frames for console in envs.consoles] == [1, 6, 31] and frames.shape[0] == 3
    for _ in range(8):  # the game is up, whoever waited
        envs.step(np.full(3, -1))
    before = [facts["x"] for facts in envs.facts()]
    envs.step(np.array([-1, RIGHT, RIGHT]), np.array([True, True, False]))
    moved = [(facts["x"] - x) % 16 for facts, x in zip(envs.facts(), before, strict=True)]
    assert moved == [0, 1, 0]  # nothing pressed, right, stood still
    assert envs.consoles[2].gameboy.frames == envs.consoles[0].gameboy.frames - SKIP + 30
    envs.close()


def test_vector_rendering(rom: Path) -> None:
    envs = ThreadedVectorEnv(rom, 2, SKIP, render_mode="rgb_array")
    envs.reset()
    pictures = envs.render()
    assert pictures is not None and [p.shape for p in pictures] == [(144, 160, 3)] * 2
    envs.close()
    quiet = ThreadedVectorEnv(rom, 1, SKIP)
    quiet.reset()
    assert quiet.render() is None
    quiet.close()


def test_facts_that_are_asked_for_are_in_no_info() -> None:
    envs = ThreadedVectorEnv(mossdale.rom_path(), 2, SKIP, facts="asked")
    try:
        assert envs.reset()[1] == {} and envs.step(np.array([0, 1]))[4] == {}
        assert [set(facts) >= {"map", "x", "text"} for facts in envs.facts()] == [True, True]
    finally:
        envs.close()
