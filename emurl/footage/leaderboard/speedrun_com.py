"""speedrun.com's API v1, read: a game, its categories, and every verified run with its videos.

Documentation: https://github.com/speedruncomorg/api (version1). Pages are followed by the `next` links the server gives, 200
runs a page; players and categories come embedded, so that a run costs no request of its own. What was read is kept
(`pages.Shelf`): reading an unchanged board again costs one request a category, two at most.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emurl.core.errors import InputError
from emurl.core.proxies import without_user
from emurl.footage.leaderboard.http import Session
from emurl.footage.leaderboard.pages import Missing, Pages, Runs, Shelf
from emurl.footage.leaderboard.rows import Collected, Dropped, RunVideo, rows_of, slim

_IS_KEY = re.compile(r"[\w-]+", re.ASCII)  # what may be an id or an abbreviation; anything else is a name
AT_MOST = 2  # requests for a board in which nothing has changed


@dataclass(frozen=True)
class Category:
    """A category of a game; `miscellaneous` ones are shown apart by the site and left out unless named."""

    id: str
    name: str
    miscellaneous: bool


@dataclass(frozen=True)
class Game:
    """A game and its full-game categories, found as `wanted`; `fresh` when it was asked for now and not taken from the shelf."""

    wanted: str
    id: str
    name: str
    categories: tuple[Category, ...]
    fresh: bool = True


class Leaderboard:
    """A leaderboard at `api_base`, such as `https://www.speedrun.com/api/v1`; `told` hears of every page's runs."""

    def __init__(
        self, api_base: str, session: Session, shelf: Shelf | None = None, told: Callable[[int], None] = lambda count: None
    ) -> None:
        self.base = session.sign_in(api_base.rstrip("/"))  # without a password: it is part of messages, and of what is kept
        self.session, self.shelf = session, shelf or Shelf(None)
        self.pages = Pages(session, self.shelf, slim, told)

    def game(self, wanted: str, fresh: bool = False) -> Game:
        """The game called `wanted`: an id, an abbreviation or a name; with `fresh`, not from the shelf.

        Raises:
            InputError: the leaderboard knows no such game.
        """
        kept = None if fresh else self.shelf.load(self._key(wanted))
        if kept is not None:
            try:
                categories = tuple(Category(**one) for one in kept.value["categories"])
                return Game(wanted, kept.value["id"], kept.value["name"], categories, fresh=False)
            except (TypeError, KeyError):
                pass
        found = self._ask(wanted)
        value = {"id": found.id, "name": found.name, "categories": [vars(one) for one in found.categories]}
        self.shelf.save(self._key(wanted), value)
        return found

    def _ask(self, wanted: str) -> Game:
        if not wanted.strip():
            raise InputError("runs.game: empty, expected a name, an abbreviation or an id")
        if _IS_KEY.fullmatch(wanted):
            reply = self.session.get(f"{self.base}/games/{wanted}", {"embed": "categories"})
            if reply.data is not None:
                game = reply.data.get("data")
                if not isinstance(game, dict) or "id" not in game:
                    where = without_user(f"{self.base}/games/{wanted}")
                    raise InputError(f"runs.api_base: {where}: answers no game, expected an object `data` with an `id`")
                return self._game(wanted, game)
        reply = self.session.get(f"{self.base}/games", {"name": wanted, "max": 20, "embed": "categories"})
        games = [game for game in _list((reply.data or {}).get("data")) if isinstance(game, dict) and "id" in game]
        for game in games:
            if _plain(_name(game)) == _plain(wanted):
                return self._game(wanted, game)
        close = ", ".join(f"{_name(game)} ({game['id']})" for game in games[:3])
        raise InputError(
            f"runs.game: {without_user(self.base)} knows no game {wanted!r}"
            + (f", expected for example {close}" if close else "")
        )

    def _game(self, wanted: str, game: dict[str, Any]) -> Game:
        embedded = game.get("categories")
        if isinstance(embedded, dict):
            embedded = embedded.get("data")
        if not isinstance(embedded, list):  # this server does not embed
            embedded = _list((self.session.get(f"{self.base}/games/{game['id']}/categories").data or {}).get("data"))
        categories = tuple(
            Category(str(one["id"]), str(one.get("name", one["id"])), bool(one.get("miscellaneous")))
            for one in embedded
            if isinstance(one, dict) and "id" in one and one.get("type", "per-game") == "per-game"
        )
        return Game(wanted, str(game["id"]), _name(game), categories)

    def runs(self, game: Game, categories: list[Category]) -> list[tuple[Category, Runs]]:
        """Every verified run of each category, as `rows.slim` leaves it.

        One request a category when nothing has changed. Of more than two categories only the game's newest runs are
        looked at then, in one request: that shows what has come, not what has gone.

        Raises:
            InputError: a category is not there any more.
        """
        newest = self._newest(game, categories) if self.shelf.folder and len(categories) > AT_MOST else []
        key = f"{self.base} newest of {game.id} in {sorted(one.id for one in categories)}"
        kept = self.shelf.load(key)
        # Runs of other categories push ours off the page's end: only what is still on it can be compared.
        trust = bool(newest) and kept is not None and kept.value[: len(newest)] == newest
        found = []
        for category in categories:
            query = {**self._query(game), "category": category.id}
            try:
                found.append((category, self.pages.read(f"{self.base}/runs", query, trust)))
            except Missing as missing:
                self.shelf.forget(self._key(game.wanted))
                raise InputError(
                    f"runs.categories: {without_user(str(missing))} answers 404 for game {game.id}, category {category.id}; "
                    "expected a list of runs"
                ) from None
        if newest and not trust:
            self.shelf.save(key, newest)
        return found

    def _newest(self, game: Game, categories: list[Category]) -> list[str]:
        """Ids of the game's newest runs, as far as they are of these categories."""
        chosen = {one.id for one in categories}
        try:
            runs = self.pages.newest(f"{self.base}/runs", self._query(game))
        except Missing:
            return []
        return [str(run.get("id")) for run in runs if run.get("category") in chosen]

    def _query(self, game: Game) -> dict[str, Any]:
        return {"game": game.id, "status": "verified", "orderby": "submitted", "embed": "players"}

    def _key(self, wanted: str) -> str:
        return f"{self.base} game {wanted}"


def choose(game: Game, wanted: list[str]) -> tuple[list[Category], str]:
    """The categories `wanted` (names or ids), and in words what was left out.

    For an empty list: the glitchless ones where the game has such, since the order in which a glitched run sees things is
    not progress; else all. Miscellaneous ones only by name.

    Raises:
        InputError: a category is not there.
    """
    if not wanted:
        main = [one for one in game.categories if not one.miscellaneous]
        clean = [one for one in main if "glitchless" in _plain(one.name)]
        chosen = clean or main
        if not chosen:
            raise InputError(f"runs.categories: {game.name} has no category of its own, expected one by name")
        left = [one.name for one in main if one not in chosen]
        return chosen, f"not read, for glitches change the order of things: {', '.join(left)}" if left else ""
    picked: list[Category] = []
    for name in wanted:
        match = [one for one in game.categories if one.id == name] or [
            one for one in game.categories if _plain(one.name) == _plain(name)
        ]
        if not match:
            names = ", ".join(one.name for one in game.categories) or "none at all"
            raise InputError(f"runs.categories: no category {name!r}, expected some of {names}")
        if match[0] not in picked:
            picked.append(match[0])
    return picked, ""


def collect(board: Leaderboard, game: str, categories: list[str], max_runs: int) -> Collected:
    """Runs with videos of a game: the fastest `max_runs` over all categories, fastest first.

    Everything left out has its reason in `Collected.dropped`; a video that several runs claim is the fastest one's.

    Raises:
        InputError: the game or a category is unknown.
    """
    found = board.game(game)
    try:
        chosen, left = choose(found, categories)
    except InputError:
        if found.fresh:
            raise
        found = board.game(game, fresh=True)  # the shelf may be behind the times
        chosen, left = choose(found, categories)
    rows: list[RunVideo] = []
    dropped: list[Dropped] = []
    read = 0
    for category, runs in board.runs(found, chosen):
        read += len(runs)
        for run in runs:
            new, reason = rows_of(run, category.name)
            rows += new
            if not new:
                dropped.append(Dropped(str(run.get("id", ""))[:64], category.name, reason))
    rows.sort(key=lambda row: (row.time_s, row.run_id, row.part))
    claimed: dict[str, str] = {}
    kept: dict[str, None] = {}
    fresh = []
    for row in rows:
        owner = claimed.setdefault(row.video_id, row.run_id)
        if owner != row.run_id:
            dropped.append(Dropped(row.run_id, row.category, f"its video belongs to run {owner}", row.url))
            continue
        if row.run_id not in kept and len(kept) >= max_runs:
            dropped.append(Dropped(row.run_id, row.category, f"slower than the {max_runs} fastest (runs.max_runs)", row.url))
            continue
        kept[row.run_id] = None
        fresh.append(row)
    return Collected(fresh, dropped, read, found.name, [one.name for one in chosen], left)


def _plain(text: str) -> str:
    """`text` without case, accents and kinds of apostrophe: Pokemon is Pokémon."""
    spread = unicodedata.normalize("NFKD", text).replace("’", "'").casefold()
    return " ".join("".join(letter for letter in spread if not unicodedata.combining(letter)).split())


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _name(game: dict[str, Any]) -> str:
    names = game.get("names")
    return str(names.get("international", game["id"]) if isinstance(names, dict) else game["id"])
