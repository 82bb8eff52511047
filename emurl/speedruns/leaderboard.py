"""speedrun.com's API v1, read: a game, its categories, and every verified run with its videos.

Documentation: https://github.com/speedruncomorg/api (version1). Pages are followed by the `next` links the server gives, 200
runs a page; players and category come embedded, so that a run costs no request of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from emurl.errors import InputError
from emurl.speedruns.http import Session
from emurl.speedruns.links import video_id, video_links

PAGE = 200


@dataclass(frozen=True)
class Category:
    """A category of a game; `miscellaneous` ones are shown apart by the site and left out unless named."""

    id: str
    name: str
    miscellaneous: bool


@dataclass(frozen=True)
class RunVideo:
    """One video of one run: a row of runs.parquet. `part` counts from 1, `parts` are how many videos the run has."""

    run_id: str
    category: str
    player: str
    time_s: float
    date: str | None
    url: str
    part: int
    parts: int
    video_id: str


class Leaderboard:
    """A leaderboard at `api_base`, such as `https://www.speedrun.com/api/v1`."""

    def __init__(self, api_base: str, session: Session) -> None:
        self.base = api_base.rstrip("/")
        self.session = session

    def game(self, wanted: str) -> tuple[str, str]:
        """(id, name) of the game called `wanted`: an id, an abbreviation or a name.

        Raises:
            InputError: the leaderboard knows no such game.
        """
        answer = self.session.get(f"{self.base}/games/{_segment(wanted, 'runs.game')}")
        if answer is not None:
            game = _object(answer.get("data"), f"{self.base}/games/{wanted}")
            return str(game["id"]), _name(game)
        answer = self.session.get(f"{self.base}/games", {"name": wanted, "max": 20}) or {}
        found = [game for game in answer.get("data") or [] if isinstance(game, dict) and "id" in game]
        for game in found:
            if _name(game).casefold() == wanted.casefold():
                return str(game["id"]), _name(game)
        close = ", ".join(f"{_name(game)} ({game['id']})" for game in found[:3])
        raise InputError(
            f"runs.game: {self.base} knows no game {wanted!r}" + (f", expected for example {close}" if close else "")
        )

    def categories(self, game_id: str, wanted: list[str]) -> list[Category]:
        """The categories `wanted` (names or ids) of a game; for an empty list all full-game ones that are not miscellaneous.

        Raises:
            InputError: a category is not there.
        """
        answer = self.session.get(f"{self.base}/games/{game_id}/categories") or {}
        known = [
            Category(str(one["id"]), str(one.get("name", one["id"])), bool(one.get("miscellaneous")))
            for one in answer.get("data") or []
            if isinstance(one, dict) and "id" in one and one.get("type", "per-game") == "per-game"
        ]
        if not wanted:
            return [one for one in known if not one.miscellaneous]
        chosen = []
        for name in wanted:
            match = [one for one in known if one.id == name or one.name.casefold() == name.casefold()]
            if not match:
                names = ", ".join(one.name for one in known) or "none at all"
                raise InputError(f"runs.categories: no category {name!r}, expected some of {names}")
            chosen.append(match[0])
        return chosen

    def runs(self, game_id: str, category_id: str) -> Iterator[dict[str, Any]]:
        """Every verified run of a category, as the API gives it, oldest first."""
        url: str | None = f"{self.base}/runs"
        params: dict[str, Any] | None = {
            "game": game_id, "category": category_id, "status": "verified",
            "orderby": "date", "direction": "asc", "max": PAGE, "embed": "players",
        }  # fmt: skip
        followed: set[str] = set()  # a server whose last page points at itself must not keep us for ever
        while url is not None:
            answer = self.session.get(url, params)
            if answer is None:
                raise InputError(f"runs: {url} answers 404 for game {game_id}, category {category_id}; expected a list of runs")
            yield from (run for run in answer.get("data") or [] if isinstance(run, dict))
            following = _next_page(answer)
            url, params = (None if following in followed else following), None
            followed.add(url or "")


@dataclass
class Collected:
    """What came of reading a leaderboard: rows to keep, and run ids with the reason they were left out."""

    rows: list[RunVideo]
    dropped: list[tuple[str, str]]
    runs: int


def collect(
    board: Leaderboard, game: str, categories: list[str], max_runs: int, progress: Callable[[int], None] = lambda n: None
) -> Collected:
    """Runs with videos of a game: the fastest `max_runs` over all categories, fastest first.

    Left out, with a reason: runs without a video or a time, and videos that another run has already claimed.
    """
    game_id, _ = board.game(game)
    rows: list[RunVideo] = []
    dropped: list[tuple[str, str]] = []
    claimed: set[str] = set()
    read = 0
    for category in board.categories(game_id, categories):
        for run in board.runs(game_id, category.id):
            read += 1
            progress(1)
            found, reason = rows_of(run, category.name)
            fresh = [row for row in found if row.video_id not in claimed]
            claimed.update(row.video_id for row in fresh)
            rows.extend(fresh)
            if not fresh:
                dropped.append((str(run.get("id", "?")), reason or "video belongs to another run"))
    order: dict[str, float] = {}
    for row in rows:
        order.setdefault(row.run_id, row.time_s)
    kept = sorted(order, key=lambda run_id: (order[run_id], run_id))
    for run_id in kept[max_runs:]:
        dropped.append((run_id, "slower than the runs.max_runs fastest"))
    place = {run_id: number for number, run_id in enumerate(kept[:max_runs])}
    rows = sorted((row for row in rows if row.run_id in place), key=lambda row: (place[row.run_id], row.part))
    return Collected(rows, dropped, read)


def rows_of(run: dict[str, Any], category: str) -> tuple[list[RunVideo], str]:
    """One row a video of a run, and why there is none when there is none."""
    times = run.get("times")
    time_s = times.get("primary_t") if isinstance(times, dict) else None
    if not isinstance(time_s, (int, float)) or time_s <= 0:
        return [], "no time"
    links = video_links(run.get("videos"))
    if not links:
        return [], "no video" if not run.get("videos") else "no link in the video field"
    date = run.get("date") or (str(run["submitted"])[:10] if run.get("submitted") else None)
    return [
        RunVideo(
            run_id=str(run.get("id", "")),
            category=category,
            player=_players(run.get("players")),
            time_s=float(time_s),
            date=str(date) if date else None,
            url=link,
            part=part,
            parts=len(links),
            video_id=video_id(link),
        )
        for part, link in enumerate(links, start=1)
    ], ""


def _players(players: Any) -> str:
    """Names of a run's players, embedded or not, users or guests: `a, b`."""
    if isinstance(players, dict):
        players = players.get("data")
    names = []
    for player in players if isinstance(players, list) else []:
        if isinstance(player, dict):
            names.append(str((player.get("names") or {}).get("international") or player.get("name") or player.get("id") or "?"))
    return ", ".join(names) or "unknown"


def _next_page(answer: dict[str, Any]) -> str | None:
    for link in (answer.get("pagination") or {}).get("links") or []:
        if isinstance(link, dict) and link.get("rel") == "next" and link.get("uri"):
            return str(link["uri"])
    return None


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or "id" not in value:
        raise InputError(f"runs.api_base: {where}: answers no game, expected an object `data` with an `id`")
    return value


def _name(game: dict[str, Any]) -> str:
    names = game.get("names")
    return str(names.get("international", game["id"]) if isinstance(names, dict) else game["id"])


def _segment(text: str, key: str) -> str:
    """`text` as one segment of a path."""
    if not text.strip():
        raise InputError(f"{key}: empty, expected a name, an abbreviation or an id")
    return quote(text, safe="")
