"""Contenders of a bench in processes of their own, and the memory they take there."""

from __future__ import annotations

import importlib
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Calls = Mapping[str, Callable[[], object]]
"""What a contender does, by name; `close` ends it."""

PROC = Path("/proc")
MIB = 2**20
EVERY = 0.2  # seconds between two looks at the memory of several processes


class Apart:
    """A contender in a process of its own: `make(*arguments)` is called there, and then what it returns, by name.

    Args:
        make: a function that a fresh interpreter can import. imports: modules that are imported before, so that what it makes is told
            apart from what it is made with.

    Attributes:
        imported: MiB resident when everything was imported and nothing made. peak: MiB resident at most so far; both None where
            there is no `/proc`.
    """

    def __init__(self, make: Callable[..., Calls], *arguments: Any, imports: tuple[str, ...] = ()) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments, imports))
        self._process.start()
        theirs.close()
        self._pipe.recv()
        self.imported = resident(self._process.pid or 0)
        self.peak = self.imported
        self("make")

    def __call__(self, name: str) -> object:
        """Do something there, and wait for it.

        Raises:
            EOFError: the process ended.
        """
        self._pipe.send(name)
        return self._pipe.recv()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at the memory while something is done, which slows it down a little."""
        over = threading.Event()

        def look() -> None:
            while not over.is_set():
                found = resident(self._process.pid or 0)
                self.peak = found if found is None or self.peak is None else max(self.peak, found)
                over.wait(EVERY)

        looking = threading.Thread(target=look)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()

    def close(self) -> None:
        """End it."""
        self._pipe.close()
        self._process.join(timeout=30)
        if self._process.is_alive():
            self._process.kill()


def _serve(pipe: Any, make: Callable[..., Calls], arguments: tuple[Any, ...], imports: tuple[str, ...]) -> None:
    for name in imports:
        importlib.import_module(name)
    pipe.send("imported")
    calls: Calls = {}
    try:
        while True:
            name = pipe.recv()
            if name == "make":
                calls = make(*arguments)
            else:
                calls[name]()
            pipe.send(name)
    except EOFError:  # nobody is there any more
        pass
    finally:
        if "close" in calls:
            calls["close"]()


def resident(pid: int) -> float | None:
    """MiB in memory of a process and its descendants; None where `/proc` does not tell.

    A process without any is counted at its peak and whole, with what it shares with others. In a tree each page is counted once, by shares
    (PSS), and what strangers share in lowers it: where the two are compared, the tree is told too small.
    """
    try:
        family = [pid, *_descendants(pid)]
        if len(family) == 1:
            return _field(PROC / str(pid) / "status", "VmHWM:")
        return sum(_field(PROC / str(one) / "smaps_rollup", "Pss:") for one in family)
    except OSError:
        return None


def _field(file: Path, name: str) -> float:
    """A number of kB as MiB; 0 where the process ended meanwhile."""
    try:
        lines = file.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        if not PROC.is_dir():
            raise
        return 0.0
    return next((int(line.split()[1]) * 1024 / MIB for line in lines if line.startswith(name)), 0.0)


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for file in PROC.glob("[0-9]*/stat"):
        try:
            parent = int(file.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(int(file.parent.name))
    found, due = [], [pid]
    while due:
        due += (more := children.get(due.pop(), []))
        found += more
    return found
