"""A speedrun.com for tests: answers by the rules of the API's documentation, from a list of runs that a test may change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from footage_server import Answer, Request, as_json

GAME = {"id": "46w22l6r", "names": {"international": "Pokémon Red/Blue"}, "abbreviation": "pkmnredblue"}
CATEGORIES = [
    {"id": "c1", "name": "Any% Glitchless", "type": "per-game", "miscellaneous": False},
    {"id": "c2", "name": "Any%", "type": "per-game", "miscellaneous": False},
    {"id": "c3", "name": "Catch 'Em All", "type": "per-game", "miscellaneous": True},
    {"id": "l1", "name": "Route 1", "type": "per-level", "miscellaneous": False},
]
DEEPEST = 10_000


def a_run(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"run{number}", "game": GAME["id"], "category": "c1", "status": {"status": "verified"},
        "times": {"primary_t": 7000 + number}, "videos": {"links": [{"uri": f"https://youtu.be/video{number}"}]},
        "date": "2020-01-01", "submitted": f"2020-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "players": {"data": [{"rel": "user", "id": "u1", "names": {"international": "Red"}}]}, **changes,
    }  # fmt: skip


class Board:
    """Answers from `runs`; `before` may answer first, to fail. `etags`: every answer has one, and 304 is given for it."""

    def __init__(
        self,
        runs: list[dict[str, Any]],
        before: Callable[[Request], Answer | None] = lambda request: None,
        categories: list[dict[str, Any]] = CATEGORIES,
        etags: bool = False,
        embeds: bool = True,
    ) -> None:
        self.runs, self.before, self.categories, self.etags, self.embeds = runs, before, categories, etags, embeds
        self.origin = ""

    def __call__(self, request: Request) -> Answer:
        answer = self.before(request) or self.answer(request)
        if self.etags and answer.status == 200:
            tag = f'"{hashlib.sha256(answer.body).hexdigest()[:16]}"'
            if request.headers.get("if-none-match") == tag:
                return Answer(status=304, headers={"ETag": tag})
            answer.headers["ETag"] = tag
        return answer

    def answer(self, request: Request) -> Answer:
        address = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        game = dict(GAME)
        if self.embeds and query.get("embed") == "categories":
            game["categories"] = {"data": self.categories}
        match address.path.removeprefix("/api/v1").strip("/").split("/"):
            case ["games"]:
                return as_json({"data": [game] if query["name"].lower()[:3] in "pokémon pokemon" else []})
            case ["games", "46w22l6r"]:
                return as_json({"data": game})
            case ["games", "pkmnredblue"]:
                where = f"/api/v1/games/46w22l6r?{address.query}"
                return Answer(status=302, headers={"Location": where})
            case ["games", "46w22l6r", "categories"]:
                return as_json({"data": self.categories})
            case ["runs"]:
                return self.listed(query)
        return as_json({"status": 404, "message": "not found"}, 404)

    def listed(self, query: dict[str, str]) -> Answer:
        size, offset = int(query.get("max", 20)), int(query.get("offset", 0))
        if offset + size > DEEPEST:
            return as_json({"status": 400, "message": "Invalid pagination values."}, 400)
        if query.get("category", "c1") not in [one["id"] for one in self.categories]:
            return as_json({"status": 404, "message": "not found"}, 404)
        runs = [
            run
            for run in self.runs
            if run["category"] == query.get("category", run["category"]) and run["status"]["status"] == query["status"]
        ]
        runs.sort(key=lambda run: str(run[query["orderby"]] or ""), reverse=query["direction"] == "desc")
        page = runs[offset : offset + size]
        links = [{"rel": "prev", "uri": "http://127.0.0.1:1/never"}]
        if offset + size < len(runs):
            uri = f"{self.origin}/api/v1/runs?{urlencode({**query, 'offset': offset + size})}"
            links.append({"rel": "next", "uri": uri})
        return as_json({"data": page, "pagination": {"offset": offset, "max": size, "size": len(page), "links": links}})
