"""The broadcast: so many runs of the bot, each with its stream, on a leaderboard at a port of this machine.

Plays are recorded at once (less than a second each) because the leaderboard tells their times; videos are rendered when
somebody asks, or many at once by `render`. Everything is kept in a cache keyed by the ROM and the settings, so a
second run renders nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import requests

from emurl.core.errors import InputError, WorkError
from emurl.core.files import is_disk_full, write_atomically
from emurl.core.threads import Stop, each
from emurl.envs.gameboy.console import GameBoy
from emurl.games.base import Recording
from emurl.games.mossdale.broadcast import compose
from emurl.games.mossdale.broadcast.look import Look, look_of
from emurl.games.mossdale.broadcast.playthrough import Playthrough, screens
from emurl.games.mossdale.broadcast.server import Board, Server
from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge
from emurl.games.settings import BroadcastSettings
from emurl.screen import ScreenSpec

VERSION = 2  # of the way plays and pictures are made: another one, another cache
CATEGORY_ID, CATEGORY = "any00001", "Any%"
OTHER_ID, OTHER = "wander01", "Wander%"

Play = Callable[[Path, int], Playthrough]


@dataclass(frozen=True)
class Entry:
    """One run on the board: its id (also the video's name), who, when, and how it went."""

    id: str
    look: Look
    date: str
    play: Playthrough


class Broadcast:
    """`with Broadcast(settings) as broadcast:` serves at `broadcast.api_base`; `rom` and `play` stand for other games and
    players in tests, `of` for another cartridge of the engine.

    Raises:
        InputError: the port is taken by something that is not a broadcast with the same settings, or `cache` cannot be written.
    """

    def __init__(
        self,
        settings: BroadcastSettings,
        rom: Path | None = None,
        folder: Path | None = None,
        play: Play | None = None,
        of: Cartridge = MOSSDALE,
    ) -> None:
        self.settings = settings
        self.of = of
        self.rom = rom or of.rom
        self.play = play or partial(_bot, of=of)
        told = json.dumps([VERSION, settings.seed, hashlib.sha256(self.rom.read_bytes()).hexdigest()])
        self.key = hashlib.sha256(told.encode()).hexdigest()[:16]
        self.folder = (folder or Path(settings.cache)) / self.key
        self._server: Server | None = None
        self._origin = ""
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._entries: list[Entry] | None = None

    @property
    def api_base(self) -> str:
        """What `runs.api_base` has to be."""
        return f"{self._origin}/api/v1"

    @property
    def entries(self) -> list[Entry]:
        """The runs, recorded on first use."""
        with self._guard:
            if self._entries is None:
                self._entries = each(lambda number, stop: self._entry(number), range(self.settings.runs), 2)
        return self._entries

    def __enter__(self) -> Broadcast:
        identity = {"broadcast": self.key, "runs": self.settings.runs}
        port = self.settings.port
        with self._told():
            board = self._board(identity)
        try:
            self._server = Server(board, port)
        except OSError as error:
            if error.errno == errno.EACCES:
                raise InputError(f"broadcast.port: {port} may not be taken by us, expected one above 1023 (0: any)") from None
            if error.errno != errno.EADDRINUSE:
                raise
            self._origin = f"http://127.0.0.1:{port}"
            if _who(self._origin) != identity:
                raise InputError(
                    f"broadcast.port: {port} of this machine is in use by something else, expected a free port (0: any)"
                ) from None
            return self
        self._origin = self._server.origin
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def here(self, url: str) -> str:
        """A loopback address of an earlier broadcast (port 0 gives another port each time) as one of this."""
        parts = urlsplit(url)
        if parts.hostname != "127.0.0.1" or not self._origin:
            return url
        return self._origin + url[len(f"{parts.scheme}://{parts.netloc}") :]

    def video(self, name: str) -> Path | None:
        """The file of run `name`, rendered now if it is not there; None for an unknown run."""
        entry = next((one for one in self.entries if one.id == name), None)
        if entry is None:
            return None
        path = self.folder / f"{name}.mp4"
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if not path.exists():
                with self._told():
                    self._render(entry, path)
        return path

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the disk refuses, as one line."""
        try:
            yield
        except OSError as error:
            if is_disk_full(error):
                raise WorkError(f"broadcast.cache: the disk of {self.folder.parent} is full; free some and run again") from None
            reason = error.strerror or type(error).__name__
            raise InputError(
                f"broadcast.cache: {self.folder.parent.absolute()}: cannot be written ({reason}), expected a folder that can"
            ) from None

    def missing(self, urls: Iterable[str] | None = None) -> list[Entry]:
        """Runs (those whose video is at one of `urls`; None: all) that have not been rendered."""
        names = None if urls is None else {urlsplit(url).path.rpartition("/")[2].removesuffix(".mp4") for url in urls}
        wanted = [entry for entry in self.entries if names is None or entry.id in names]
        return [entry for entry in wanted if not (self.folder / f"{entry.id}.mp4").exists()]

    def render(self, entries: Iterable[Entry], progress: Callable[[Entry], None] = lambda entry: None, workers: int = 2) -> None:
        """Render the videos of `entries`, `workers` at a time; `progress` is told of each as it is done."""

        def one(entry: Entry, stop: Stop) -> None:
            self.video(entry.id)
            progress(entry)

        each(one, entries, workers)

    def truth(self, name: str) -> dict[str, Any]:
        """For tests alone, never served: where the screen of run `name` is, and at which video frame the console was
        switched on."""
        entry = next(one for one in self.entries if one.id == name)
        return {
            "rect": list(entry.look.game),
            "scale": entry.look.scale,
            "smoothing": entry.look.smoothing,
            "power_on_frame": entry.look.power_on,
            "fps": entry.look.format.fps,
        }

    def recording(self, run_id: str) -> Recording | None:
        """The run `run_id`, to be played again; None where it is not on this board."""
        entry = next((one for one in self.entries if one.id == run_id), None)
        if entry is None:
            return None
        return Recording(entry.look.format.fps, entry.look.power_on, lambda spec: self._screens(entry, spec))

    def _render(self, entry: Entry, path: Path) -> None:
        told = compose.Show(self.of.name.title(), CATEGORY, entry.play.time_s, entry.play.split_times())
        compose.render(path, entry.look, told, self._screens(entry))

    def _screens(self, entry: Entry, spec: ScreenSpec | None = None) -> Iterator[np.ndarray]:
        return screens(self.rom, entry.play, entry.look.format.fps, entry.look.after_s, spec)

    def _entry(self, number: int) -> Entry:
        seed = self.settings.seed * 1000 + number
        look = look_of(self.settings.seed, number)
        file = self.folder / f"play{number:03d}.json"
        try:
            play = Playthrough.from_dict(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            play = self.play(self.rom, seed)
            with write_atomically(file) as aside:
                aside.write_text(json.dumps(play.to_dict()), encoding="utf-8")
        name = hashlib.sha256(f"{self.key}/{number}".encode()).hexdigest()[:8]
        day = date(2024, 3, 1) + timedelta(days=int(np.random.default_rng([seed, 7]).integers(0, 600)))
        return Entry(name, look, day.isoformat(), play)

    def _board(self, identity: dict[str, Any]) -> Board:
        entries = self.entries
        users = {
            f"u{entry.id}": _user(f"u{entry.id}", entry.look.runner) for number, entry in enumerate(entries) if number % 4 != 3
        }
        runs = [self._run(number, entry, f"u{entry.id}" in users) for number, entry in enumerate(entries)]
        slowest = max(entry.play.time_s for entry in entries)
        # What every real board has, too: a run without a video, and one nobody has verified.
        runs.append(_run(self.of, "nov1de00", None, slowest + 41.2, "2024-01-09", [{"rel": "guest", "name": "old_timer"}]))
        runs.append(
            {
                **_run(self.of, "unver1fy", None, slowest + 12.9, None, [{"rel": "guest", "name": "newcomer"}]),
                "status": {"status": "new"},
            }
        )
        game = {
            "id": self.of.board, "names": {"international": self.of.name.title(), "japanese": None}, "abbreviation": self.of.name,
            "weblink": f"{{host}}/{self.of.name}",
            "links": [{"rel": "categories", "uri": f"{{host}}/api/v1/games/{self.of.board}/categories"}],
        }  # fmt: skip
        categories = [
            {
                "id": CATEGORY_ID,
                "name": CATEGORY,
                "type": "per-game",
                "rules": "From power-on to the end.",
                "miscellaneous": False,
            },
            {"id": OTHER_ID, "name": OTHER, "type": "per-game", "rules": "Take the long way.", "miscellaneous": True},
        ]
        return Board([game], {self.of.board: categories}, runs, users, self.video, identity)

    def _run(self, number: int, entry: Entry, known: bool) -> dict[str, Any]:
        link = f"{{host}}/videos/{entry.id}.mp4"
        # Most runs have a link field; some runners wrote a sentence instead.
        videos = {"text": f"Part 1: {link} - thanks for watching!"} if number == 2 else {"links": [{"uri": link}]}
        player = {"rel": "user", "id": f"u{entry.id}"} if known else {"rel": "guest", "name": entry.look.runner}
        return _run(self.of, entry.id, videos, entry.play.time_s, None if number == 5 else entry.date, [player])


def _run(
    of: Cartridge, name: str, videos: dict[str, Any] | None, time_s: float, day: str | None, players: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "id": name, "weblink": f"{{host}}/{of.name}/runs/{name}", "game": of.board, "level": None, "category": CATEGORY_ID,
        "videos": videos, "comment": None, "status": {"status": "verified"}, "players": players, "date": day,
        "submitted": f"{day}T12:00:00Z" if day else None, "times": {"primary": f"PT{time_s:.3f}S", "primary_t": round(time_s, 3)},
        "system": {"emulated": True}, "splits": None, "values": {}, "links": [],
    }  # fmt: skip


def _user(name: str, runner: str) -> dict[str, Any]:
    return {
        "id": name,
        "names": {"international": runner, "japanese": None},
        "role": "user",
        "weblink": f"{{host}}/users/{runner}",
    }


def _who(origin: str) -> Any:
    """What the server at `origin` says it is; None when it is no broadcast."""
    try:
        return requests.get(f"{origin}/broadcast", timeout=5).json()
    except (requests.RequestException, ValueError):
        return None


def _bot(rom: Path, seed: int, of: Cartridge = MOSSDALE) -> Playthrough:
    """A speedrun of a cartridge by its bot; somebody else runs where one gives up."""
    from emurl.games.mossdale import bot

    for attempt in range(10):
        with GameBoy(rom) as console:
            record = bot.play(console, seed + 500_000 * attempt, render_every=0, end_ticks=0, of=of)
        if record.finished:
            held: str | None = None
            presses: list[tuple[int, str, bool]] = []
            for tick, button in record.presses:
                if held:
                    presses.append((tick, held, False))
                if button:
                    presses.append((tick, button, True))
                held = button
            splits = sorted(record.milestones.items(), key=lambda item: item[1])
            return Playthrough(tuple(presses), record.ticks, tuple((_title(name), tick) for name, tick in splits))
    raise WorkError(f"broadcast: the bot does not finish {rom.name} with seed {seed}")


def _title(name: str) -> str:
    """`LEFT_HOUSE` as a runner would write it."""
    return name.replace("_", " ").strip().capitalize()
