"""Exploring with a judge: reach a place, remember the way there, go on from it (Go-Explore, 1901.10995).

An episode begins at power-on or in a kept place, and the policy acts, some of its actions left to chance. It ends where nothing was
gained for a while. Places are kept by how far the judge says they are, and begun from the more often the more episodes from there
passed a split: what looks as far may lead nowhere, like the town without the partner that opens its gate. Near the furthest place so
far every picture that is new there is kept as well, and those seldom begun from are begun from: some doors open only to somebody who
has pressed two switches in a room that otherwise looks the same.

Episodes that got no further are gone on from as well, so that a policy finds out what to do where it once did not know: it remembers
what led there, and only what came after is learned.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.rewards.splits import SplitJudge
from emurl.training.checkpoint import joined
from emurl.training.explore_episode import GRID, Ended, Episode, UnderWay
from emurl.training.perception import Perception
from emurl.training.phases import ArchiveSettings, PhaseSettings
from emurl.training.settings import PlaySettings
from emurl.training.ways import Place, pack, unpack

Watch = Callable[[np.ndarray, np.ndarray, np.ndarray], object]
"""Frames (n, 144, 160[, 3]) before an action, the actions played (n,), and the frames after it."""
Remember = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Grids (n, 9, 10) of a way to what an agent remembers at its end: a carry without its first axis."""


class Explorer:
    """Explores on `envs` (no reset of their own, no limit of steps).

    Args:
        perception: makes token grids of frames. judge: says how far they are. wait_ticks: an episode from power-on waits up to so many.
        how: actions are chosen in trials.
    """

    def __init__(
        self, envs: ThreadedVectorEnv, perception: Perception, judge: SplitJudge, settings: ArchiveSettings, rng: np.random.Generator,
        wait_ticks: int = 120, how: PlaySettings | None = None,
    ) -> None:  # fmt: skip
        self.envs, self.perception, self.judge, self.settings, self.rng = envs, perception, judge, settings, rng
        self.wait_ticks, self.how = wait_ticks, how or PlaySettings()
        self.n = envs.num_envs
        self.pool: dict[int, list[Place]] = {}  # places by position
        self.ways: dict[int, list[Place]] = {}  # the ends of ways past each split
        self.firm: dict[int, list[Place]] = {}  # of those, the ones that somebody went on from, past another split
        self.done: list[Place] = []  # the ends of ways to the goal
        self.recovered: dict[int, list[Place]] = {}  # of the firm ones, those that had got lost since the split before
        self.lost: dict[int, list[Place]] = {}  # where episodes got no further, by position
        self.losses: dict[int, float] = {}  # and how often, by position; what is older counts less
        self.cells: dict[tuple[int, bytes], Place] = {}
        # By position: episodes that were there at a split or their beginning, and those that went on.
        self.tried: dict[int, list[float]] = {}
        self.frontier = 0
        self.steps = 0  # actions made, in all phases
        self.under_way: UnderWay | None = None  # the phase that is on
        self._earned = 0.0
        self._carry: dict[str, np.ndarray] = {}

    def success(self, position: int) -> float:
        """Share of the episodes that stood at a position and passed the next split, with one success and one failure besides."""
        went, passed = self.tried.get(position, [0.0, 0.0])
        return (passed + 1.0) / (went + 2.0)

    def need(self, place: Place) -> float:
        """How much another passing of the split after a place is wanted: the more, the fewer there are that somebody went on from."""
        return 1.0 / (1.0 + len(self.firm.get(place.standing.passed, ())))

    def weakness(self, position: int) -> float:
        """How much a position wants practice."""
        return 1.0 + self.settings.eagerness - self.success(position)

    def explore(
        self, agent: Any, phase: PhaseSettings, remember: Remember, tick: Callable[[int], object] = lambda steps: None,
        watch: Watch | None = None, pause: Callable[[], object] = lambda: None,
    ) -> list[Ended]:  # fmt: skip
        """Play `phase.steps` actions, or what is left of them; returns the episodes that ended, and the trials that did not, too.

        Args:
            agent: who acts; its network does not change meanwhile. remember: what it remembers of a way. tick: called with the
                actions made. watch: shown each of them. pause: called between two actions; whoever raises there can keep `tensors`
                before, and go on from them.
        """
        self._phase, self._remember, self._actions = phase, remember, agent.actions
        self.envs.reset()
        if self.under_way is None:
            self._forget()
            self._carry = {name: value.copy() for name, value in agent.initial(self.n).items()}
            frames = self.envs.frames.copy()
            self.under_way = UnderWay([self._begin(i, frames, trial=i < phase.trials) for i in range(self.n)], frames)
        else:
            for i, state in enumerate(self.under_way.states):
                self.envs.load_state(i, state)
        now = self.under_way
        episodes, ended, frames, played = now.episodes, now.ended, now.frames, now.played
        for turn in range(now.turns, phase.steps // self.n):
            now.turns, now.frames, now.played = turn, frames, played
            pause()
            grids = self.perception.encode(frames)
            before = [episode.standing.passed for episode in episodes]
            gained = self.judge.update([episode.standing for episode in episodes], grids)
            self._earned = min(self._earned + self.n / self.settings.cell_every, float(self.n))
            for i, episode in enumerate(episodes):
                self._look(i, episode, grids[i], bool(gained[i]), before[i])
                over = self.judge.at_end(episode.standing)
                if over or episode.since > episode.patience:
                    ended.append(self._end(i, episode, over))
                    episodes[i] = self._begin(i, frames)
                    grids[i] = self.perception.encode(frames[i : i + 1])[0]
            noise = self.rng.gumbel(size=(self.n, agent.actions))
            for episode, grid, row in zip(episodes, grids, noise, strict=True):
                if episode.trial:
                    row *= self.how.temperature
                if episode.restless:
                    row -= episode.chosen.cost(grid, episode.restless)
            chosen, carry, _ = agent.act(self._carry, grids, None, noise)
            self._carry = {name: value.copy() for name, value in carry.items()}
            chance = self.rng.random(self.n) < [episode.chance for episode in episodes]
            meant = np.ones(self.n, bool) if phase.learn_chance else ~chance
            chosen = np.where(chance, self.rng.integers(0, agent.actions, self.n), chosen)
            stuck = self.rng.random(self.n) < phase.sticky
            played = chosen if played is None else np.where(stuck, played, chosen)
            rows = zip(episodes, grids, chosen.tolist(), played.tolist(), meant.tolist(), strict=True)
            for episode, grid, action, pressed, one_meant in rows:
                episode.meant.append(one_meant)
                if episode.restless:
                    episode.chosen.count(grid, action, agent.actions)
                episode.grids.append(grid.copy())
                episode.actions.append(action)
                episode.played.append(pressed)
                episode.progress.append(episode.standing.furthest)
                episode.steps += 1
                episode.since += 1
            after = self.envs.step(played)[0].copy()
            if watch is not None:
                watch(frames, played, after)
            frames = after
            self.steps += self.n
            tick(self.n)
            if phase.enough and len(self.done) >= phase.enough and not any(episode.trial for episode in episodes):
                break
        self.cells.clear()  # they are of this phase's frontier
        self.under_way = None
        return ended + [self._ended(episode, False) for episode in episodes if episode.trial]

    def _forget(self) -> None:
        """What is known of success counts less from phase to phase."""
        for tried in self.tried.values():
            tried[:] = [value * self.settings.forgets for value in tried]
        self.losses = {position: count * self.settings.forgets for position, count in self.losses.items()}
        for places in self.pool.values():
            for place in places:
                place.begun, place.led = place.begun * self.settings.forgets, place.led * self.settings.forgets

    # --- one episode -------------------------------------------------------------------------------------------------

    def _begin(self, i: int, frames: np.ndarray, trial: bool = False) -> Episode:
        place = None if trial else self._choose()
        if place is None:
            frames[i] = self.envs.restart(i, wait=int(self.rng.integers(self.wait_ticks + 1)))
            standing, steps = self.judge.begin(), 0
            for value in self._carry.values():
                value[i] = 0
        else:
            state, played = place.state()
            frames[i] = self.envs.restart(i, state, played)
            if played and place.begun > 1:  # it is likely begun from again
                place.packed = self._packed(i)
            standing, steps = place.standing.copy(), place.steps
            known = place
            if place.lost and self.rng.random() < self._phase.old_memory:
                known = next((one for one in place.line() if not one.lost), place)
            for name, value in self._remember(known.way().grids).items():
                self._carry[name][i] = value
        chance = 0.0 if trial else float(self.rng.choice(self._phase.random_actions))
        episode = Episode(place, place, standing, steps, chance, self._phase.patience, begun_at=standing.furthest, trial=trial)
        episode.restless = self.how.restless if trial else self._phase.restless
        if place is not None and place.lost:
            episode.restless, episode.patience = self._phase.restless_lost, self._phase.patience_lost
            for grid, action in zip(place.grids, place.actions.tolist(), strict=True):
                episode.chosen.count(grid, action, self._actions)
        return episode

    def _choose(self) -> Place | None:
        """Where an episode begins; None: power-on."""
        phase = self._phase
        if not self.pool or self.rng.random() < phase.from_power_on:
            return None
        near = [cell for cell in self.cells.values() if cell.standing.furthest >= self.frontier - self.settings.cell_reach]
        if self.lost and self.rng.random() < phase.from_lost:
            positions = sorted(self.lost)
            kept = self.lost[positions[self._draw([self.losses[position] for position in positions])]]
            place = kept[self._draw([place.promise for place in kept])]
        elif near and self.rng.random() < phase.from_cells:
            place = near[self._draw([1.0 / (1.0 + cell.begun) for cell in near])]
        else:
            positions = sorted(self.pool)
            hopes = [
                [place.promise * self.need(place) ** phase.breadth for place in self.pool[position]] for position in positions
            ]
            at = self._draw([self.weakness(position) * np.mean(one) for position, one in zip(positions, hopes, strict=True)])
            place = self.pool[positions[at]][self._draw(hopes[at])]
        place.begun += 1.0
        return place

    def _draw(self, weights: Sequence[float]) -> int:
        """A place in `weights`, the more likely the more it weighs."""
        chances = np.array(weights)
        return int(self.rng.choice(len(chances), p=chances / chances.sum()))

    def _look(self, i: int, episode: Episode, grid: np.ndarray, gained: bool, before: int) -> None:
        """Keep what is worth it of an episode that was just shown its next grid, and had passed `before` splits by then."""
        position = episode.standing.furthest
        if gained:
            episode.since = max(0, episode.since - self.settings.relief)
            self.frontier = max(self.frontier, position)
        if episode.standing.passed > before:
            end = self._keep(i, episode)
            self._count(episode.begun_at, success=True)
            self._passed(end, before)
            if episode.start is not None and episode.start.standing.passed == before:  # the first split since then
                episode.start.led += 1.0
            episode.since, episode.begun_at = 0, position
        elif gained and self.rng.random() < self.settings.keep:
            self._pool(self._keep(i, episode))
        near = self._phase.from_cells > 0 and position >= self.frontier - self.settings.cell_reach
        if near and episode.actions and self._earned >= 1.0:
            key = (position, grid.tobytes())
            if key not in self.cells:
                self._earned -= 1.0
                self.cells[key] = self._keep(i, episode)

    def _passed(self, end: Place, before: int) -> None:
        """A split was passed at `end`, where `before` had been; begin from what led here since then, and believe what led here before."""
        self._add(self.ways, end)
        for place in end.line():
            if place.beyond >= end.standing.passed:
                break
            if place.standing.passed >= before:
                self._pool(place)
            if place is not end and place.ends_way and place.beyond == place.standing.passed:
                self._add(self.recovered if place.recovers else self.firm, place)
            place.beyond = end.standing.passed

    def _add(self, ways: dict[int, list[Place]], end: Place) -> None:
        newest = ways.setdefault(end.standing.passed - 1, [])
        newest.append(end)
        del newest[: -self.settings.ways]

    def _pool(self, place: Place) -> None:
        """Begin from a place from now on; where there are too many, the one that promises least has to go."""
        kept = self.pool.setdefault(place.standing.furthest, [])
        if any(one is place for one in kept):
            return
        kept.append(place)
        if len(kept) > self.settings.per_position:
            kept.pop(int(np.argmin([one.promise + 1e-6 * self.rng.random() for one in kept[:-1]])))

    def _keep(self, i: int, episode: Episode) -> Place:
        save = episode.place is None or episode.place.unsaved + len(episode.played) > self.settings.replayed
        place = episode.place_after(len(episode.actions), self._packed(i) if save else b"")
        episode.place, episode.grids, episode.actions, episode.played, episode.progress, episode.meant = place, [], [], [], [], []
        return place

    def _packed(self, i: int) -> bytes:
        return zlib.compress(self.envs.save_state(i), 1)

    def _end(self, i: int, episode: Episode, finished: bool) -> Ended:
        if finished:
            self.done.append(self._keep(i, episode))
            del self.done[: -self.settings.ways]
        else:
            if episode.start is None or not episode.start.lost:
                self._count(episode.begun_at, success=False)
            self._lose(episode)
        return self._ended(episode, finished)

    def _lose(self, episode: Episode) -> None:
        """Keep a moment, any one, of what an episode did after its last progress."""
        if episode.place is None:  # nothing was kept on the way, so there is no way back there
            return
        progress = np.array(episode.progress)
        still = int((progress[::-1] == episode.standing.furthest).cumprod().sum())
        if not still:
            return
        end = len(progress) - int(self.rng.integers(still))
        place = episode.place_after(end)
        place.lost = True
        self.losses[episode.standing.furthest] = self.losses.get(episode.standing.furthest, 0.0) + 1.0
        newest = self.lost.setdefault(episode.standing.furthest, [])
        newest.append(place)
        del newest[: -self.settings.lost]

    def _ended(self, episode: Episode, finished: bool) -> Ended:
        standing = episode.standing
        return Ended(
            episode.trial, episode.start is None, episode.chance, standing.furthest, standing.passed, episode.steps, finished
        )

    def _count(self, position: int, success: bool) -> None:
        tried = self.tried.setdefault(position, [0.0, 0.0])
        tried[0] += 1.0
        tried[1] += float(success)

    # --- keeping -------------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything, also of the phase that is on when it is between two actions."""
        groups = {
            "pool": self.pool, "ways": self.ways, "firm": self.firm, "done": {0: self.done}, "recovered": self.recovered,
            "lost": self.lost,
        }  # fmt: skip
        kept = [place for group in groups.values() for places in group.values() for place in places]
        now = self.under_way
        if now is not None:
            now.keep([self.envs.save_state(i) for i in range(self.n)])
            kept += [*now.places(), *self.cells.values()]
        saved, number = pack(kept)
        for name, group in groups.items():
            rows = [(key, number[id(place)]) for key, places in group.items() for place in places]
            saved[f"in_{name}"] = torch.tensor(rows, dtype=torch.int64).reshape(-1, 2)
        if now is not None:
            saved |= {f"now_{name}": tensor for name, tensor in now.tensors(number).items()}
            saved |= {f"carry_{name}": torch.from_numpy(value.copy()) for name, value in self._carry.items()}
            cells = [(position, number[id(place)]) for (position, _), place in self.cells.items()]
            saved["in_cells"] = torch.tensor(cells, dtype=torch.int64).reshape(-1, 2)
            saved["cell_pictures"] = joined(picture for _, picture in self.cells)
        tried = [[float(position), *values] for position, values in self.tried.items()]
        saved["tried"] = torch.tensor(tried, dtype=torch.float64).reshape(-1, 3)
        losses = [[float(position), count] for position, count in self.losses.items()]
        saved["losses"] = torch.tensor(losses, dtype=torch.float64).reshape(-1, 2)
        saved["counters"] = torch.tensor([self.frontier, self._earned, self.steps], dtype=torch.float64)
        return saved

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """The inverse of `tensors`; `explore` then goes on with the phase that was on."""
        places = unpack(tensors)
        groups: dict[str, dict[int, list[Place]]] = {}
        for name in ("pool", "ways", "firm", "done", "recovered", "lost"):
            groups[name] = {}
            for key, at in tensors[f"in_{name}"].tolist():
                groups[name].setdefault(key, []).append(places[at])
        self.pool, self.ways, self.firm, self.done = groups["pool"], groups["ways"], groups["firm"], groups["done"].get(0, [])
        self.recovered, self.lost = groups["recovered"], groups["lost"]
        self.losses = {int(position): count for position, count in tensors["losses"].tolist()}
        self.tried = {int(position): [went, passed] for position, went, passed in tensors["tried"].tolist()}
        frontier, self._earned, steps = tensors["counters"].tolist()
        self.frontier, self.steps = int(frontier), int(steps)
        self.cells.clear()
        self.under_way = None
        if "in_cells" in tensors:
            now = {name.removeprefix("now_"): tensor for name, tensor in tensors.items() if name.startswith("now_")}
            self.under_way = UnderWay.of(now, places)
            self._carry = {
                name.removeprefix("carry_"): tensor.numpy().copy()
                for name, tensor in tensors.items()
                if name.startswith("carry_")
            }
            pictures = tensors["cell_pictures"].numpy().tobytes()
            for place, (position, at) in enumerate(tensors["in_cells"].tolist()):
                self.cells[position, pictures[place * GRID : (place + 1) * GRID]] = places[at]
