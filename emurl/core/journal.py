"""An append-only journal in a store: entries that any number of processes add, each of them whole, in one order for all.

    <store>/.sweeps/<pipeline>-<stage>-<name>/journal/<count>.json    some entries, one JSON object a line; made once, never rewritten

Entries take the next free number by the store's one conditional verb, `create`, so that a folder and a bucket need no lock, and a
process that is killed leaves an entry or none. Read in the order of their names, the files are one log of JSON lines.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from emurl.core.backends import Objects
from emurl.core.errors import InputError

SWEEPS = ".sweeps"
FILLING_S = 2.0  # a file system without hard links may show an entry empty for a moment


class Journal:
    """A journal below `key`. Has the two methods that Optuna's `JournalStorage` asks of a backend; it keeps no snapshots, which are pickles.

    Args:
        objects: the store. key: the folder of the entries in it.
    """

    def __init__(self, objects: Objects, key: str) -> None:
        self._objects, self._key = objects, key
        self._entries: list[dict[str, Any]] = []
        self._files = 0
        self._listed = False

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Entries from this number on, counted from 0, whoever added them.

        Raises:
            InputError: the journal is damaged, or the store cannot be read.
        """
        self._catch_up()
        return iter(self._entries[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries, all of them or none, behind what others have added. Some field of an entry has to be this process's alone."""
        data = "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in logs).encode()
        self._catch_up()
        while not self._objects.create(self._at(self._files + 1), data):
            self._catch_up()
        self._take(data)

    def _at(self, number: int) -> str:
        return f"{self._key}/{number:08d}.json"

    def _catch_up(self) -> None:
        """Read what is new. The numbers have no gaps, so that asking for the next one is enough once all have been listed."""
        if not self._listed:
            count = self._count()
            found = self._objects.read_many(map(self._at, range(1, count + 1)))
            for number in range(1, count + 1):
                self._take(found.get(self._at(number)) or self._whole())
            self._listed = True
        while (data := self._objects.read(self._at(self._files + 1))) is not None:
            self._take(data or self._whole())

    def _count(self) -> int:
        names = [name for name in self._objects.names(self._key) if name.removesuffix(".json").isdigit()]
        for number, name in enumerate(sorted(names, key=lambda one: int(one.removesuffix(".json"))), 1):
            if self._at(number) != f"{self._key}/{name}":
                raise InputError(
                    f"{self._where()}: has {name} where entry {number} should be, expected no gap; another --name begins anew"
                )
        return len(names)

    def _whole(self) -> bytes:
        until = time.monotonic() + FILLING_S
        while not (data := self._objects.read(self._at(self._files + 1)) or b"") and time.monotonic() < until:
            time.sleep(0.02)
        return data

    def _take(self, data: bytes) -> None:
        try:
            entries = [json.loads(line) for line in data.decode().splitlines()]
            if not entries or not all(isinstance(one, dict) for one in entries):
                raise ValueError("no JSON objects")
        except ValueError as error:
            raise InputError(
                f"{self._where()}: entry {self._files + 1} is damaged ({error}), expected JSON lines; another --name begins anew"
            ) from None
        self._entries += entries
        self._files += 1

    def _where(self) -> str:
        return f"{self._objects.url.rstrip('/')}/{self._key}"
