"""A leaderboard on loopback that answers as speedrun.com's API v1 does, and hands out video files by Range.

    GET /api/v1/games?name=&embed=                 substring search
    GET /api/v1/games/{id or abbreviation}?embed=  an abbreviation: 302 to the id
    GET /api/v1/games/{id}/categories
    GET /api/v1/runs?game&category&status&orderby&direction&offset&max&embed
    GET /videos/{run id}.mp4                       200, 206, 416, HEAD
    GET /broadcast                                 who is there (see `Broadcast`)

Documentation of the model: https://github.com/speedruncomorg/api (version1). It knows what `Board` tells it and nothing of
rendering.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

PIECE = 1 << 18  # bytes of a file sent at a time
ORDERS = {
    "date": "date",
    "submitted": "submitted",
    "game": "game",
    "category": "category",
    "status": "date",
    "verify-date": "submitted",
}


@dataclass(frozen=True)
class Board:
    """What the server has to tell: JSON objects as the API gives them (`{host}` in a text stands for the server's own
    address), and where a video's file is (None: no such video)."""

    games: list[dict[str, Any]]
    categories: dict[str, list[dict[str, Any]]]  # by game id
    runs: list[dict[str, Any]]
    players: dict[str, dict[str, Any]]  # by user id
    video: Callable[[str], Path | None]
    identity: dict[str, Any]


class Server(ThreadingHTTPServer):
    """The server itself; `Server(board, port)` binds 127.0.0.1 at once, port 0 takes any free one."""

    daemon_threads = True
    # A port of a server that has just gone is free; one in use by another is not.
    allow_reuse_address = True

    def __init__(self, board: Board, port: int) -> None:
        self.board = board
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:<port>`."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle of a file is none of ours to complain about."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the console belongs to the stages."""

    def do_GET(self) -> None:
        """Answer with headers and body."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer with headers alone."""
        self._answer()

    def _answer(self) -> None:
        address = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        parts = [unquote(part) for part in address.path.strip("/").split("/")]
        board = self.server.board
        match parts:
            case ["broadcast"]:
                self._json(board.identity)
            case ["videos", name] if name.endswith(".mp4"):
                self._file(board.video(name.removesuffix(".mp4")))
            case ["api", "v1", "games"]:
                wanted = query.get("name", query.get("abbreviation", "")).casefold()
                found = [
                    g for g in board.games if wanted in g["names"]["international"].casefold() or wanted == g["abbreviation"]
                ]
                self._page([self._with_embeds(game, query) for game in found], query)
            case ["api", "v1", "games", name, *rest]:
                self._game(name, rest, query)
            case ["api", "v1", "categories", name]:
                every = [one for group in board.categories.values() for one in group]
                self._one(next((one for one in every if one["id"] == name), None), "category")
            case ["api", "v1", "runs"]:
                self._runs(query)
            case ["api", "v1", "runs", name]:
                self._one(next((run for run in board.runs if run["id"] == name), None), "run")
            case ["api", "v1", "users", name]:
                self._one(board.players.get(name), "user")
            case _:
                self._json({"status": 404, "message": "no such resource"}, 404)

    def _game(self, name: str, rest: list[str], query: dict[str, str]) -> None:
        board = self.server.board
        game = next((g for g in board.games if name in (g["id"], g["abbreviation"])), None)
        if game is None or rest not in ([], ["categories"]):
            self._one(None, "game")
        elif name != game["id"]:
            self.send_response(302)
            where = "/" + "/".join(["api", "v1", "games", game["id"], *rest])
            self.send_header("Location", f"{where}?{urlencode(query)}" if query else where)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif rest:
            self._json({"data": board.categories[game["id"]]})
        else:
            self._one(self._with_embeds(game, query), "game")

    def _with_embeds(self, game: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        if "categories" not in query.get("embed", "").split(","):
            return game
        return {**game, "categories": {"data": self.server.board.categories[game["id"]]}}

    def _runs(self, query: dict[str, str]) -> None:
        board = self.server.board
        # A filter by something that does not exist is a 404, not an empty list.
        if "game" in query and query["game"] not in {game["id"] for game in board.games}:
            return self._one(None, "game")
        if "category" in query and query["category"] not in {one["id"] for group in board.categories.values() for one in group}:
            return self._one(None, "category")
        if query.get("orderby", "date") not in ORDERS or query.get("direction", "asc") not in ("asc", "desc"):
            return self._json({"status": 400, "message": "orderby or direction is not known"}, 400)
        chosen = [
            run
            for run in board.runs
            if all(run[key] == query[key] for key in ("game", "category") if key in query)
            and run["status"]["status"] == query.get("status", run["status"]["status"])
        ]
        key = ORDERS[query.get("orderby", "date")]
        chosen.sort(key=lambda run: (str(run.get(key) or ""), run["id"]), reverse=query.get("direction") == "desc")
        if "players" in query.get("embed", "").split(","):
            chosen = [{**run, "players": {"data": [self._player(player) for player in run["players"]]}} for run in chosen]
        return self._page(chosen, query)

    def _player(self, player: dict[str, Any]) -> dict[str, Any]:
        known = self.server.board.players.get(str(player.get("id")))
        return {"rel": "user", **known} if known else player

    def _page(self, items: list[Any], query: dict[str, str]) -> None:
        try:
            offset, size = int(query.get("offset", 0)), int(query.get("max", 20))
        except ValueError:
            return self._json({"status": 400, "message": "offset and max are numbers"}, 400)
        size, offset = min(max(size, 1), 200), max(offset, 0)
        shown = items[offset : offset + size]
        links = []
        for rel, at, there in (("prev", offset - size, offset > 0), ("next", offset + size, offset + size < len(items))):
            if there:
                asked = {**query, "offset": max(at, 0), "max": size}
                links.append({"rel": rel, "uri": f"{self.server.origin}{urlsplit(self.path).path}?{urlencode(asked)}"})
        return self._json({"data": shown, "pagination": {"offset": offset, "max": size, "size": len(shown), "links": links}})

    def _one(self, item: dict[str, Any] | None, kind: str) -> None:
        if item is None:
            self._json({"status": 404, "message": f"{kind} not found"}, 404)
        else:
            self._json({"data": item})

    def _json(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).replace("{host}", self.server.origin).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, path: Path | None) -> None:
        if path is None:
            return self._json({"status": 404, "message": "video not found"}, 404)
        size = path.stat().st_size
        first, last, status = 0, size - 1, HTTPStatus.OK
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "").strip())
        if asked and (asked[1] or asked[2]):
            status = HTTPStatus.PARTIAL_CONTENT
            if not asked[1]:  # the last so many bytes
                first = max(0, size - int(asked[2]))
            else:
                first = int(asked[1])
                last = min(int(asked[2]), last) if asked[2] else last
            if first > last:
                self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
        self.send_response(status)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        if status == HTTPStatus.PARTIAL_CONTENT:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        with path.open("rb") as file:
            file.seek(first)
            left = last - first + 1
            while left:
                piece = file.read(min(PIECE, left))
                if not piece:
                    break
                self.wfile.write(piece)
                left -= len(piece)
        return None
