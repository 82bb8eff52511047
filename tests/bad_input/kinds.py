"""What a kind of bad input is: how it is made, the command that meets it, and what the one line has to name."""

from __future__ import annotations

import random
import shlex
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from tests.fixtures.http_server import Answer, Request, scripted

ROOT = Path(__file__).resolve().parents[2]

# Where a store keeps what is under way: a stage that began leaves its place of work for the next try, and never a version.
WORK = ("store/.work", "store/.leases", "store/.cache", "store/.tracking")

Files = dict[str, bytes | str]


@dataclass
class Place:
    """Where a command runs: an empty folder, with what a kind puts there.

    `shelf` has the stores and the exported file that kinds damage copies of: `text`, `models`, `policy.zip`.
    """

    folder: Path
    shelf: Path
    patch: pytest.MonkeyPatch
    rng: random.Random
    closing: ExitStack

    def write(self, name: str, data: bytes | str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data if isinstance(data, bytes) else data.encode())
        return file

    def store(self, which: str = "text") -> Path:
        """A copy of one of the shelf's stores at `store`."""
        return Path(shutil.copytree(self.shelf / which, self.folder / "store"))

    def serve(self, answer: Callable[[Request], Answer]) -> str:
        """A server on loopback, until the command is over; its origin."""
        return self.closing.enter_context(scripted(answer)).origin

    def tree(self, but: tuple[str, ...] = ()) -> dict[str, str]:
        """Every name below the folder with the digest of what it holds: nothing that is refused may change it.

        Args:
            but: names left out, with what is below, and the folders that there are for them.
        """
        above = {name.rpartition("/")[0] for name in but}
        return {name: held for name, held in self._names(self.folder) if not name.startswith(but or "\0") and name not in above}

    def _names(self, folder: Path) -> Iterator[tuple[str, str]]:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_symlink():
                yield name, f"-> {path.readlink()}"
            elif path.is_dir():
                if not name.startswith("store/."):  # where a store keeps who is at work: a folder there is nothing by itself
                    yield name, "folder"
            else:
                yield name, sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"


Make = Callable[[Place], dict[str, str] | None]


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        words: the command: a word of `emurl`, or `tools.NAME` or `flows.NAME` with its own. says: what the line has to name.
        make: puts what is bad into the place; what it returns is filled into the words. code: the exit status.
        stdout: of a command that reports rather than refuses: `says` stands in its report, and stderr is empty.
        progress: how lines begin that say before the failure what was under way. kept: names that may be new afterwards.
        times: how often what is generated is drawn. process: run once more in a process of its own; alone: only there.
    """

    name: str
    words: tuple[str, ...]
    says: tuple[str, ...]
    make: Make
    code: int = 2
    stdout: bool = False
    progress: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    times: int = 1
    process: bool = False
    alone: bool = False


def bad(
    name: str, line: str, *says: str, files: Files | None = None, make: Make | None = None, store: str = "", code: int = 2,
    stdout: bool = False, progress: tuple[str, ...] = (), kept: tuple[str, ...] = (), times: int = 1,
    process: bool = False, alone: bool = False,
) -> Kind:  # fmt: skip
    """A row of the table: a command as a shell would have it, and what its one line names.

    Args:
        store: a copy of this one of the shelf lies at `store`. files: what is put into the folder then, by name. make: what else is done.
    """

    def prepared(place: Place) -> dict[str, str] | None:
        if store:
            place.store(store)
        for one, data in (files or {}).items():
            place.write(one, data)
        return make(place) if make is not None else None

    return Kind(name, tuple(shlex.split(line)), says, prepared, code, stdout, progress, kept, times, process or alone, alone)


def variables(**told: str) -> Make:
    """Environment variables."""

    def make(place: Place) -> None:
        for name, value in told.items():
            place.patch.setenv(name, value)

    return make


def refused_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def importable(place: Place) -> None:
    """What lies in the folder can be imported."""
    place.patch.syspath_prepend(place.folder)
