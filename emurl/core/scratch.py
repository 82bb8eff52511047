"""Checkpoints of an unfinished stage on an object store, so that another machine goes on where this one was killed.

    .work/<pipeline>-<stage>-<fingerprint>/scratch/<name>/<seq>-<generation>-<sha256>

Each version of a file is an object of its own, whole when it is there (an upload appears at its end), named by what is in it: a number
that counts up, and its hash. So there is no index that could tell of another moment than the file, and a process that was taken over can
add a version but never damage one. The highest number is the newest; older ones go once it is up.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import threading
from pathlib import Path

from emurl.core.backends import Remote
from emurl.core.errors import EmurlError
from emurl.core.files import sha256_of_file, write_atomically
from emurl.core.lease import Lease
from emurl.core.progress import say

_VERSION = re.compile(r"(.+)/([0-9]{8,})-([0-9]+)-([0-9a-f]{16})")


class _DamagedError(Exception):
    """What was downloaded is not what its name says."""


class Mirror:
    """Keeps a bucket's copy of a scratch folder up to date, in one background thread.

    Args:
        remote: the store. key: the work folder in it.
        scratch: the local folder. lease: whoever has lost it uploads nothing more.
    """

    def __init__(self, remote: Remote, key: str, scratch: Path, lease: Lease, what: str) -> None:
        self._remote, self._top, self._scratch, self._lease, self._what = remote, f"{key}/scratch", scratch, lease, what
        self._record = scratch.parent / "scratch.json"
        self._seen: dict[str, list[int]] = {}
        self._waiting: dict[str, Path] = {}
        self._failed: dict[str, Path] = {}  # to wait again when anything is new
        self._state = threading.Condition()
        self._busy = self._over = self._warned = False
        self._thread: threading.Thread | None = None

    def fetch(self) -> None:
        """Download what the bucket has newer than the local scratch, or the local scratch lacks."""
        with contextlib.suppress(OSError, ValueError):
            self._seen = dict(json.loads(self._record.read_text(encoding="utf-8")))
        for name, versions in self._listed().items():
            seq, generation, mark, key, size = max(versions)
            here = self._scratch / name
            # The record is written after an upload: a local file is never older than its record.
            if here.exists() and self._seen.get(name, [0, 0]) >= [seq, generation]:
                continue
            try:
                with write_atomically(here) as aside:
                    self._remote.get_file(key, aside)
                    if aside.stat().st_size != size or sha256_of_file(aside)[:16] != mark:
                        raise _DamagedError
            except _DamagedError:
                say(f"{self._what}: {name} of an earlier try is damaged in the store and left out")
                continue
            self._seen[name] = [seq, generation]
            say(f"{self._what}: goes on from {name} of an earlier try")
        self._note()

    def _listed(self) -> dict[str, list[tuple[int, int, str, str, int]]]:
        """Every version in the bucket by file: number, generation, hash, key, size."""
        found: dict[str, list[tuple[int, int, str, str, int]]] = {}
        for path, size in self._remote.below(self._top).items():
            match = _VERSION.fullmatch(path)
            if match and ".." not in match[1].split("/"):  # a name that leads out would be written there
                entry = (int(match[2]), int(match[3]), match[4], f"{self._top}/{path}", size)
                found.setdefault(match[1], []).append(entry)
        return found

    def _note(self) -> None:
        with write_atomically(self._record) as aside:
            aside.write_text(json.dumps(self._seen), encoding="utf-8")

    def saved(self, path: Path) -> None:
        """A file of the scratch folder is new: upload it when the line is free."""
        name = path.resolve().relative_to(self._scratch.resolve()).as_posix()
        with self._state:
            self._failed.pop(name, None)
            self._waiting |= {name: path, **self._failed}
            self._failed.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="scratch-upload")
                self._thread.start()
            self._state.notify_all()

    def flush(self, seconds: float | None = None) -> None:
        """Wait until nothing waits any more (what failed waits for the next file, not for us)."""
        with self._state:
            self._state.wait_for(lambda: not self._busy and not self._waiting, seconds)

    def close(self) -> None:
        """Stop after the upload under way; what still waits is dropped."""
        with self._state:
            self._over = True
            self._waiting.clear()
            self._state.notify_all()

    def _work(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._over or bool(self._waiting))
                if self._over:
                    return
                name = next(
                    iter(self._waiting)
                )  # in turn: a file that is new again each time must not hold up one that is new once
                path = self._waiting.pop(name)
                self._busy = True
            try:
                if not self._lease.lost:
                    self._upload(name, path)
            except (EmurlError, OSError) as error:
                with self._state:
                    self._failed[name] = path
                if not self._warned:
                    self._warned = True
                    say(f"{self._what}: a checkpoint could not be uploaded, tried again with the next ({error})")
            finally:
                with self._state:
                    self._busy = False
                    self._state.notify_all()

    def _upload(self, name: str, path: Path) -> None:
        # The stage may replace the file at any time: a second link holds this moment of it.
        snapshot = self._scratch.parent / f".upload-{self._lease.token}"
        snapshot.unlink(missing_ok=True)
        try:
            try:
                os.link(path, snapshot)
            except FileNotFoundError:  # it has been of use, and is gone
                return
            except OSError:
                shutil.copyfile(path, snapshot)
            mark = sha256_of_file(snapshot)[:16]
            older = self._listed().get(name, [])
            seq = max([self._seen.get(name, [0, 0])[0], *(version[0] for version in older)]) + 1
            self._remote.put_file(f"{self._top}/{name}/{seq:08d}-{self._lease.generation}-{mark}", snapshot)
        finally:
            snapshot.unlink(missing_ok=True)
        self._seen[name] = [seq, self._lease.generation]
        self._note()
        self._remote.delete(version[3] for version in older)


def remove_work(remote: Remote, key: str) -> None:
    """Remove a work folder from a bucket."""
    remote.delete(f"{key}/{name}" for name in remote.below(key))
