"""Settings of exploring: how a phase of it goes, and what is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from emurl.core.settings import Natural, NonNegative, Positive, Settings, Share

Chances = Annotated[tuple[Share, ...], Field(strict=False, min_length=1)]


class PhaseSettings(Settings):
    """A phase of exploring."""

    steps: Natural = 24_000  # actions, of all consoles together
    from_power_on: Share = 0.4  # episodes that begin there
    from_lost: Share = 0.4  # of the others, those that begin where an episode got no further
    old_memory: Share = 0.5  # of these, those that remember only what was before it got lost
    from_cells: Share = 0.0  # of the rest, those that begin in a picture near the frontier that was seldom begun from
    learn_chance: bool = False  # whether actions that were left to chance are learned, too
    breadth: NonNegative = 1.0  # places count by how few ways go on past the next split, to the power of this
    restless: NonNegative = 0.0  # nats that an action loses for each time that it was chosen in the same picture in this episode
    restless_lost: NonNegative = 1.0  # the same in one that begins where another got lost
    random_actions: Chances = (0.0, 0.05, 0.1, 0.3)  # shares of actions left to chance, one of them drawn for each episode
    sticky: Share = 0.05  # chance that what is played is the action before
    enough: Natural = 0  # ways to the goal kept, at which the phase ends before its time; 0: it does not
    patience: Positive = 90  # actions without progress after which an episode ends
    patience_lost: Positive = 200  # the same of one that begins where another got lost: a lost fight has to be walked to again
    trials: Natural = 24  # episodes from power-on that the phase begins with, nothing left to chance: how far the policy gets


class FirstPhaseSettings(PhaseSettings):
    """The first phase, in which the clone looks for the end: more is left to chance, and more of it happens near the frontier."""

    steps: Natural = 160_000
    enough: Natural = 10
    from_power_on: Share = 0.3
    from_lost: Share = 0.0
    learn_chance: bool = True
    from_cells: Share = 0.3
    restless: NonNegative = 0.5
    random_actions: Chances = (0.0, 0.05, 0.1, 0.3, 0.6)
    sticky: Share = 0.0
    patience: Positive = 120


class ArchiveSettings(Settings):
    """What is kept while exploring."""

    per_position: Positive = 10  # places
    keep: Share = 0.4  # chance of a step that made progress to be kept
    ways: Positive = 40  # newest ways past each split
    lost: Positive = 10  # newest ends of episodes that got no further, by position
    cell_reach: Natural = 8  # positions from the frontier within which every new picture is kept
    cell_every: Positive = 24  # actions that earn the keeping of one
    replayed: Natural = (
        120  # actions, at most, that are played again to begin from a place: saving a console takes as long as sixty
    )
    forgets: Share = 0.4  # share of what is known of success that is kept from phase to phase
    relief: Natural = 45  # actions by which progress short of a split puts off the end of an episode
    eagerness: NonNegative = 0.1  # chance of a position that is always left, over that of one that never is, to be begun from
