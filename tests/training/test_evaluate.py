"""Episodes by the rules of evaluation: waits, sticky actions, an open loop, and that what was played can be played again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from emurl.agents.base import Carry
from emurl.core.output import Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS, NO_BUTTON
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.training import scores
from emurl.training.evaluate import FAMILIAR, Player, RandomAgent, Record, ScriptAgent, play, replay
from emurl.training.perception import Perception
from emurl.training.scores import Rules, play_all, summarize
from emurl.training.settings import PlaySettings
from tests.fixtures import playing as rl_fixtures

N, SKIP = 4, 10
DOWN, LEFT, RIGHT = (BUTTONS.index(name) for name in ("down", "left", "right"))
BOOT = 9  # actions of which the game sees none, because it is not up yet
ROUTE = [DOWN] * BOOT + [RIGHT, DOWN] * 4  # ends at (4, 4) of the tiny game, if the first `BOOT` are lost


@pytest.fixture
def envs(tmp_path: Path) -> Iterator[ThreadedVectorEnv]:
    made = ThreadedVectorEnv(
        rl_fixtures.rom(tmp_path), N, SKIP, 4, facts=True, autoreset_mode=AutoresetMode.DISABLED, copy=False, threads=2
    )
    yield made
    made.close()


def goal(envs: ThreadedVectorEnv, there: Callable[[Mapping[str, Any]], bool]) -> None:
    for console in envs.consoles:
        console.reader.reached = lambda facts: ["title", "goal"] if there(facts) else []  # type: ignore[union-attr]


def script(actions: list[int]) -> Player:
    return Player("replay", ScriptAgent(actions, len(BUTTONS)), "nothing")


CHANCE = Player("random", RandomAgent(len(BUTTONS)), "nothing")


def test_an_open_loop_wins_where_all_is_the_same_and_nowhere_else(envs: ThreadedVectorEnv) -> None:
    played = play(envs, None, script(ROUTE[:BOOT]), max_steps=BOOT, seed=0)
    start = envs.consoles[0].facts()
    goal(envs, lambda facts: (facts["y"], facts["x"]) == (start["y"] + 4, start["x"] + 4))
    won = play(envs, None, script(ROUTE), max_steps=30, seed=0)
    assert [record.success for record in won] == [True] * N and won[0].actions == ROUTE
    assert [record.reached["goal"] for record in won] == [len(ROUTE)] * N and played[0].actions == ROUTE[:BOOT]
    waited = play(envs, None, script(ROUTE), max_steps=30, seed=0, wait_ticks=120)
    assert {record.success for record in waited if record.wait > 2 * SKIP} == {False}, "presses meant to be lost were seen"
    stuck = play(envs, None, script(ROUTE), max_steps=30, seed=0, sticky=0.5)
    assert not any(record.success for record in stuck)
    assert all(record.actions[-5:] == [NO_BUTTON] * 5 and record.steps == 30 for record in stuck)
    rules = Rules(episodes=N, max_steps=30, wait_ticks=0, sticky=0.5)
    both = play_all(envs, None, [script(ROUTE), CHANCE], rules, Tracker.silent())
    score = summarize("replay", both["replay"], envs.consoles[0].milestones)
    assert score.success_rate is not None and score.success_rate.value == 1.0 and score.progress is None
    assert score.success_rate_sticky is not None and score.success_rate_sticky.value == 0.0


def test_who_is_interrupted_plays_only_the_episodes_that_were_not_over(
    envs: ThreadedVectorEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, players = Rules(episodes=N, max_steps=30, wait_ticks=9, sticky=0.5), [script(ROUTE), CHANCE]
    whole = play_all(envs, None, players, rules, Tracker.silent())
    kept, began = Output(tmp_path / "files", tmp_path), []

    def playing(envs: ThreadedVectorEnv, perception: None, player: Player, *, sticky: float, **more: Any) -> list[Record]:
        began.append((player.name, sticky))
        if began == [("replay", 0.0), ("replay", 0.5), ("random", 0.0)]:
            raise KeyboardInterrupt
        return play(envs, perception, player, sticky=sticky, **more)

    monkeypatch.setattr(scores, "play", playing)
    with pytest.raises(KeyboardInterrupt):
        play_all(envs, None, players, rules, Tracker.silent(), kept=kept)
    (tmp_path / "played_replay.json").write_text("damaged")
    began.clear()
    assert play_all(envs, None, players, rules, Tracker.silent(), kept=kept) == whole
    assert began == [("replay", 0.0), ("random", 0.0), ("random", 0.5)]


def test_the_world_has_the_same_dice_for_every_player(envs: ThreadedVectorEnv) -> None:
    first, other = (
        play(envs, None, player, max_steps=40, seed=5, wait_ticks=50, sticky=0.3) for player in (CHANCE, script(ROUTE))
    )
    assert [record.wait for record in first] == [record.wait for record in other]
    assert len({record.wait for record in first}) > 1 and all(0 <= record.wait <= 50 for record in first)
    plain = play(envs, None, script(list(range(8)) * 5), max_steps=40, seed=5)
    counted = play(envs, None, script(list(range(8)) * 5), max_steps=40, seed=5, sticky=0.3)
    assert plain[0].actions == list(range(8)) * 5 and plain[0].wait == 0
    again = play(envs, None, script([*range(7, -1, -1)] * 5), max_steps=40, seed=5, sticky=0.3)
    stuck = [[[a == b for a, b in zip(r.actions, r.actions[1:], strict=False)] for r in records] for records in (counted, again)]
    assert stuck[0] == stuck[1] and 0.15 < np.mean(stuck[0]) < 0.45
    assert len({tuple(one) for one in stuck[0]}) == N, "every episode has dice of its own"
    seen = play(envs, None, CHANCE, max_steps=40, seed=6, wait_ticks=50)
    assert [record.wait for record in seen] != [record.wait for record in first]


def test_where_every_action_sticks_the_first_one_is_played_for_ever(envs: ThreadedVectorEnv) -> None:
    chosen = play(envs, None, CHANCE, max_steps=20, seed=0)
    stuck = play(envs, None, CHANCE, max_steps=20, seed=0, sticky=1.0)
    assert [record.actions for record in stuck] == [[record.actions[0]] * 20 for record in chosen]


class Shy:
    """Sees frames: goes right while the tile is left of the middle, and remembers how often it was asked."""

    actions = len(BUTTONS)

    def initial(self, n: int) -> Carry:
        return {"asked": np.zeros(n, np.int64)}

    def act(self, carry: Carry, observation: Any, mask: Any = None, noise: Any = None) -> Any:
        column = (observation == 0).any(axis=1).argmax(axis=1)
        chances = np.full((len(observation), self.actions), np.log(0.05), np.float32)
        chances[np.arange(len(observation)), np.where(column < 80, RIGHT, LEFT)] = np.log(0.65)
        actions = (chances if noise is None else chances + noise).argmax(axis=1)
        return actions, {"asked": carry["asked"] + 1}, {"log_probs": chances, "values": np.zeros(len(observation))}


def test_a_lower_temperature_takes_the_likelier_actions_more_often(envs: ThreadedVectorEnv) -> None:
    shares = {}
    for temperature in (0.0, 0.5, 1.0):
        player = Player("shy", Shy(), "frames", PlaySettings(temperature=temperature))
        records = play(envs, None, player, max_steps=60, seed=1)
        shares[temperature] = np.mean([action in (LEFT, RIGHT) for record in records for action in record.actions])
    assert shares[0.0] == 1.0 and 0.9 < shares[0.5] < 1.0 and 0.55 < shares[1.0] < 0.85  # 0.97 and 0.7 in the long run


def test_who_is_restless_does_not_stand_at_a_wall_for_ever(envs: ThreadedVectorEnv) -> None:
    tried = {}
    for restless in (0.0, 0.5):
        how = PlaySettings(temperature=0.0, restless=restless)
        (record, *_) = play(envs, None, Player("shy", Shy(), "frames", how), max_steps=40, seed=1)
        tried[restless] = record.actions
    # From power-on it shows nothing for some actions, then the tile. log 0.65 − log 0.05 is 2.56 nats: chosen five times in one
    # picture, at half a nat each, an action is still the likeliest, and at the sixth it is another's turn.
    assert set(tried[0.0]) <= {LEFT, RIGHT} and len(set(tried[0.5])) > 2


def test_what_was_played_can_be_played_again(envs: ThreadedVectorEnv) -> None:
    shown: list[list[np.ndarray]] = [[] for _ in range(N)]
    step = envs.step

    def watched(actions: np.ndarray, playing: np.ndarray | None = None) -> Any:
        result = step(actions, playing)
        for frames, frame in zip(shown, result[0].copy(), strict=True):
            frames.append(frame)
        return result

    envs.step = watched  # type: ignore[method-assign]
    records = play(envs, None, Player("shy", Shy(), "frames"), max_steps=40, seed=1, wait_ticks=90, sticky=0.25)
    assert all(record.progress == [] and record.gained == 0.0 for record in records)
    for i in (1, 3):  # on the first console, whichever it was played on
        moments = list(replay(envs, None, Player("shy", Shy(), "frames"), records[i]))
        assert [moment.action for moment in moments] == [*records[i].actions, None]
        np.testing.assert_array_equal(np.stack([moment.frame for moment in moments[1:]]), np.stack(shown[i]))
        assert moments[20].probabilities.max() == pytest.approx(0.65) and np.isnan(moments[0].progress)
    with pytest.raises(ValueError, match="policy sees tokens, so a perception is needed"):
        play(envs, None, Player("policy", Shy()), max_steps=1, seed=0)


def test_a_replay_is_filmed_though_it_has_no_chances(envs: ThreadedVectorEnv) -> None:
    perception = Perception(None, lambda frames: torch.as_tensor(frames).float().mean(dim=(1, 2)))  # type: ignore[arg-type]
    (record, *_) = play(envs, perception, script([RIGHT, NO_BUTTON]), max_steps=4, seed=0)
    moments = list(replay(envs, perception, script([RIGHT, NO_BUTTON]), record))
    assert [moment.action for moment in moments] == [RIGHT, NO_BUTTON, NO_BUTTON, NO_BUTTON, None]
    assert [moment.probabilities.sum() for moment in moments] == [1, 0, 0, 0, 0] and len(record.progress) == 5


def test_going_in_circles_is_counted(envs: ThreadedVectorEnv) -> None:
    pace = [NO_BUTTON] * BOOT + [RIGHT, LEFT] * 15
    (record, *_) = play(envs, None, script(pace), max_steps=len(pace), seed=0)
    # Of two screens each was seen 15 times; the tile stood on the left one at the end of booting, too.
    assert 2 * (15 - FAMILIAR) <= record.loops <= len(pace) - 2 * FAMILIAR
    walk = [NO_BUTTON] * BOOT + [RIGHT, DOWN] * 15
    (straight, *_) = play(envs, None, script(walk), max_steps=len(walk), seed=0)
    assert straight.loops <= BOOT < record.loops
