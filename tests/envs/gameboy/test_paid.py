"""Game Boys paid from memory: what Gymnasium's wrappers show, what is paid, when an episode ends, and that it goes on from a saved state."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from emurl.agents.base import restart
from emurl.agents.ppo.pixel_networks import PixelPolicy
from emurl.core.errors import InputError
from emurl.envs.gameboy import PAID_ENV_ID
from emurl.envs.gameboy.paid import PaidGameBoyEnv, PaidVectorEnv
from emurl.games.mossdale import rom_path
from emurl.rewards.ram import TERMS, RamRewardSettings
from tests.fixtures.mossdale_hand import Hand
from tests.fixtures.mossdale_scenes import scenes
from tests.fixtures.rom import write_rom

STEPS = 60


def won(state: bytes, *events: str) -> bytes:
    """The same moment, with a badge, and with milestones reached."""
    hand = Hand(state)
    hand.put("wObtainedBadges", 0, 1)
    for event in events:
        hand.event(event)
    return hand.console.save()


def test_gymnasium_finds_nothing_to_complain_of():
    env = gymnasium.make(PAID_ENV_ID, rom=rom_path(), max_steps=STEPS)
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    check_env(env.unwrapped, skip_render_check=True)
    env.close()


def test_the_network_scales_and_stacks_to_what_gymnasiums_wrappers_show():
    env = gymnasium.make(PAID_ENV_ID, rom=rom_path(), max_steps=STEPS)
    envs, network = PaidVectorEnv(rom_path(), 2, max_steps=STEPS), PixelPolicy(8)
    rng = np.random.default_rng(0)
    shown, _ = env.reset()
    frames, _ = envs.reset()
    carry, starts = network.initial(2), np.ones(2, bool)
    ends = pays = 0.0
    for _ in range(2 * STEPS + 5):
        carry = restart(carry, network.initial(2), starts)
        stacks, carry = network.inputs(carry, frames)
        assert np.array_equal(stacks[0], shown)
        action = int(rng.integers(8))
        shown, reward, terminated, truncated, info = env.step(action)
        frames, rewards, over, cut, _ = envs.step(np.array([action, 0]))
        assert (reward, terminated, truncated) == (pytest.approx(float(rewards[0])), over[0], cut[0])
        assert tuple(info["reward_terms"]) == TERMS and sum(info["reward_terms"].values()) == pytest.approx(reward)
        starts = over | cut
        pays += reward
        if terminated or truncated:
            ends += 1
            shown, _ = env.reset()
    assert ends == 2 and pays > 0
    assert [total.steps for total in envs.ended] == [STEPS] * 4 and envs.ended[0].reached[0] == "title"
    assert sum(total.paid for total in envs.ended[::2]) == pytest.approx(pays, abs=0.03)
    env.close()
    envs.close()


def test_a_badge_is_paid_and_the_last_milestone_ends_the_episode():
    town = scenes().states["town"]
    env = PaidGameBoyEnv(rom_path(), reward={"event_reward": 1.0})
    env.reset(options={"state": town})
    _, reward, terminated, _, info = env.step(np.int64(1))
    assert reward == 0.0 and not terminated  # what the state has already is not paid
    env.load_state(won(env.save_state(), "badge"))
    _, reward, terminated, _, info = env.step(np.int64(1))
    assert (info["reward_terms"]["badge"], info["reward_terms"]["event"], terminated) == (4.0, 1.0, False)
    env.load_state(won(env.save_state(), "goal"))
    _, reward, terminated, truncated, info = env.step(np.int64(1))
    assert (reward, terminated, truncated) == (1.0, True, False)
    env.close()


def test_an_episode_that_ends_begins_anew_in_the_same_step():
    envs = PaidVectorEnv(rom_path(), 2, max_steps=5)
    envs.reset()
    first = envs.envs.frames[1].copy()
    envs.envs.load_state(0, won(scenes().states["town"], "goal"))
    frames, rewards, terminated, truncated, infos = envs.step(np.array([1, 1]))
    assert terminated.tolist() == [True, False] and not truncated.any()
    assert np.array_equal(frames[0], first) and not np.array_equal(infos["final_obs"][0], first)
    assert envs.ended[0].finished and envs.ended[0].badges == 1 and envs.ended[0].paid == pytest.approx(float(rewards[0]))
    assert envs.totals[0].steps == 0
    for _ in range(4):
        *_, truncated, _ = envs.step(np.array([1, 1]))
    assert truncated.tolist() == [False, True]
    envs.close()


def test_a_saved_console_goes_on_with_its_account():
    def play(envs: PaidVectorEnv, dice: np.random.Generator) -> list[list[float]]:
        return [envs.step(dice.integers(0, 8, 2))[1].tolist() for _ in range(30)]

    envs = PaidVectorEnv(rom_path(), 2, reward=RamRewardSettings(stuck_penalty=0.5, stuck_after=3))
    envs.reset()
    for i in range(2):
        envs.envs.load_state(i, scenes().states["town"])
    play(envs, np.random.default_rng(0))
    saved = [envs.save_state(i) for i in range(2)]
    other = PaidVectorEnv(rom_path(), 2, reward=RamRewardSettings(stuck_penalty=0.5, stuck_after=3))
    other.reset()
    for which in (envs, other):
        for i, state in enumerate(saved):
            which.load_state(i, state)
    one, same = (play(which, np.random.default_rng(1)) for which in (envs, other))
    assert one == same and min(min(row) for row in one) < 0
    assert envs.totals == other.totals and envs.totals[0].steps == 60
    envs.close()
    other.close()


def test_a_game_without_a_reader_cannot_be_paid_for(tmp_path):
    rom = write_rom(tmp_path)
    with pytest.raises(InputError, match="no reader of its memory, expected a game that has one"):
        PaidVectorEnv(rom, 1)
    with pytest.raises(InputError, match="no reader of its memory"):
        PaidGameBoyEnv(rom)
