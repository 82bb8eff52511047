"""The reward from memory: each term by hand, and what holds of every episode."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emurl.core.config import settings_from
from emurl.core.errors import InputError
from emurl.rewards.ram import TERMS, RamReward, RamRewardSettings

ALL = RamRewardSettings(event_reward=2.0, pokedex_reward=3.0, seen_reward=0.5, heal_reward=10.0, opponent_level_reward=0.2)
STUCK = RamRewardSettings(stuck_penalty=0.05, stuck_after=2)


def moment(**told):
    """Numbers of one console, as `read_many` gives them: a party of one, level 5, in good health, at (1, 2, 3)."""
    numbers = {"map": 1, "x": 2, "y": 3, "badges": 0, "events": 0, "pokedex_owned": 0, "pokedex_seen": 0, "in_battle": 0}
    numbers |= {"opponent_level": 0, "party_count": 1} | told
    party = {"party_levels": told.get("levels", [5]), "party_hp": told.get("hp", [20]), "party_max_hp": told.get("most", [20])}
    found = {name: np.array([value]) for name, value in numbers.items() if name not in ("levels", "hp", "most")}
    return found | {name: np.array([[*row, *[0] * (6 - len(row))]]) for name, row in party.items()}


def paid(reward, walking=True, **told):
    """What a step to this moment pays, without the terms that pay nothing."""
    terms = reward.pay(moment(**told), np.array([walking]))
    assert tuple(terms) == TERMS
    return {term: round(float(amount[0]), 6) for term, amount in terms.items() if amount[0]}


def begun(how=ALL, **told):
    reward = RamReward(how, 1)
    reward.begin(0, moment(**told), True)
    return reward


@pytest.mark.parametrize(
    ("told", "terms"),
    [
        ({}, {}),
        ({"x": 9}, {"explore": 0.01}),
        ({"map": 2}, {"explore": 0.01}),
        ({"badges": 2}, {"badge": 8.0}),
        ({"levels": [7, 3], "party_count": 2}, {"level": 0.05}),
        ({"events": 3}, {"event": 6.0}),
        ({"pokedex_owned": 1, "pokedex_seen": 2}, {"pokedex": 3.0, "seen": 1.0}),
        ({"in_battle": 1, "opponent_level": 4}, {"opponent_level": 0.8}),
        ({"in_battle": 0, "opponent_level": 4}, {}),
        ({"in_battle": 255, "opponent_level": 4}, {}),
        ({"badges": 1, "x": 9}, {"badge": 4.0, "explore": 0.01}),
    ],
)
def test_a_step_pays_what_is_new(told, terms):
    reward = begun()
    assert paid(reward, **told) == terms
    assert paid(reward, **told) == {}  # and once


def test_the_standard_terms_are_paid_and_the_others_are_not():
    everything = {
        "badges": 1,
        "events": 9,
        "pokedex_owned": 4,
        "pokedex_seen": 4,
        "levels": [6],
        "x": 0,
        "in_battle": 2,
        "opponent_level": 9,
    }
    assert paid(begun(RamRewardSettings(), hp=[1]), **everything) == {"badge": 4.0, "explore": 0.01, "level": 0.01}


def test_what_is_lost_and_won_back_is_not_paid_again():
    reward = begun(badges=1, levels=[9])
    assert paid(reward, badges=0, levels=[5]) == {}
    assert paid(reward, badges=1, levels=[9]) == {}
    assert paid(reward, badges=2, levels=[10]) == {"badge": 4.0, "level": 0.01}


def test_healing_pays_the_share_given_back_but_not_a_new_member_or_waking_up():
    reward = begun(hp=[5])
    assert paid(reward, hp=[10]) == {"heal": 2.5}
    assert paid(reward, hp=[4]) == {}
    assert paid(reward, hp=[12], most=[25], levels=[6]) == {"level": 0.01}
    assert paid(reward, hp=[4]) == {}
    assert paid(reward, hp=[4, 30], most=[20, 30], levels=[5], party_count=2) == {}
    assert paid(reward, hp=[0, 0], most=[20, 30], party_count=2) == {}
    assert paid(reward, hp=[20, 30], most=[20, 30], party_count=2) == {}
    assert paid(reward, hp=[10, 30], most=[20, 30], party_count=2) == {}
    assert paid(reward, hp=[20, 30], most=[20, 30], party_count=2) == {"heal": 2.0}


def test_who_stays_where_he_is_pays_after_a_while():
    reward = begun(STUCK)  # the first of three steps
    assert [paid(reward) for _ in range(3)] == [{}, {"stuck": -0.05}, {"stuck": -0.05}]
    assert paid(reward, x=9) == {"explore": 0.01}


def test_nothing_is_paid_before_the_player_walks_and_all_of_it_when_he_does():
    reward = RamReward(ALL, 1)
    reward.begin(0, moment(), False)
    assert paid(reward, walking=False, badges=8, events=300) == {}
    assert paid(reward, events=2) == {"event": 4.0, "explore": 0.01, "level": 0.05}


def test_a_new_episode_is_paid_anew_and_a_saved_state_not_for_what_it_has():
    reward = begun()
    paid(reward, badges=1, x=9)
    reward.begin(0, moment(badges=1), True)
    assert paid(reward, badges=1, x=9) == {"explore": 0.01}


steps = st.lists(
    st.fixed_dictionaries({"badges": st.integers(0, 8), "x": st.integers(0, 3), "events": st.integers(0, 9), "in_battle": st.integers(0, 2)}),
    min_size=1, max_size=30,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 29))
def test_an_episode_pays_for_the_most_it_had_whatever_happened_and_a_saved_account_goes_on(played, cut):
    reward = begun()
    total = dict.fromkeys(TERMS, 0.0)
    for number, told in enumerate(played):
        if number == cut:
            saved = reward.save(0)
            reward = RamReward(ALL, 1)
            reward.load(0, saved)
        for term, amount in paid(reward, **told).items():
            total[term] += amount
    assert total["badge"] == pytest.approx(4.0 * max(one["badges"] for one in played))
    assert total["event"] == pytest.approx(2.0 * max(one["events"] for one in played))
    assert total["explore"] == pytest.approx(0.01 * len({one["x"] for one in played} - {2}))


def test_consoles_are_paid_apart():
    reward = RamReward(RamRewardSettings(), 2)
    both = {
        name: np.concatenate([one, other]) for (name, one), other in zip(moment().items(), moment(badges=1).values(), strict=True)
    }
    reward.begin(0, both, True)
    reward.begin(1, both, True)
    later = {
        name: np.concatenate([one, other])
        for (name, one), other in zip(moment(badges=1).items(), moment(badges=1).values(), strict=True)
    }
    assert reward.pay(later, np.array([True, True]))["badge"].tolist() == [4.0, 0.0]


def test_a_term_that_is_none_is_refused_by_name():
    with pytest.raises(InputError, match=r"reward: unknown key bagde_reward; did you mean badge_reward"):
        settings_from(RamRewardSettings, {"bagde_reward": 1.0}, (), "reward")
    with pytest.raises(InputError, match=r"reward: badge_reward: expected greater than or equal to 0, got -1"):
        settings_from(RamRewardSettings, {"badge_reward": -1.0}, (), "reward")
    with pytest.raises(InputError, match=r"reward: badge_reward: expected less than or equal to 1000000, got 1e\+308"):
        settings_from(RamRewardSettings, {"badge_reward": 1e308}, (), "reward")
