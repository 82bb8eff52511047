"""Who is making what: a lease that expires, on any store that can create an object conditionally. No locks, no clocks compared.

    <key>/g<k>.json          generation k, made once by `create` and never rewritten: who, where, which token
    <key>/<token>.beat       a counter that its holder alone rewrites every quarter of the time to live, and the refs of what it reads

The highest generation owns. A holder is over when its process is known to be gone (same machine, other or no process of that number
and start), or when its counter has stood still for the whole time to live, measured by the watcher's own monotonic clock: clocks of
two hosts are never compared, and one that jumps expires nothing. Whoever takes over creates the next generation; of
two that try, one succeeds. A holder that was stopped and wakes up sees a higher generation (or another token in its own) and knows that
it has lost. Generations start from 1 again after a release, so tokens, not numbers, say whose they are. A lease only spares work and
keeps folders apart: what is published is decided in `claims`, where no lease is trusted.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from emurl.core.backends import Folder, Objects
from emurl.core.errors import EmurlError, InputError, WorkError
from emurl.core.progress import say

LEASE_S = 60.0
_GENERATION = re.compile(r"g([0-9]+)\.json")
_TIDYING = "tidying-"
State = Literal["dead", "alive", "unknown"]


def lease_seconds() -> float:
    """How long a silent holder is waited for: `EMURL_LEASE_S`, 60 when it is not set."""
    told = os.environ.get("EMURL_LEASE_S", "")
    try:
        seconds = float(told or LEASE_S)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 86_400:
        raise InputError(f"EMURL_LEASE_S: {told!r}, expected seconds, 60 for example")
    return seconds


@dataclass(frozen=True)
class Holder:
    """A process that holds a lease, as written down by itself.

    Attributes:
        machine: what process numbers count in: this boot of this machine and this container; empty where it cannot be told.
        started: when the process was started, in ticks of that boot; a number used again does not pass for it.
    """

    token: str
    host: str
    pid: int
    machine: str
    started: str
    ttl: float

    @property
    def tidies(self) -> bool:
        """Whether it only removes what was left over, and has no work of its own."""
        return self.token.startswith(_TIDYING)

    def state(self) -> State:
        """What can be told of the process without waiting."""
        if not self.machine or self.machine != this_machine():
            return "unknown"
        started = process_start(self.pid)
        if started is None:
            return "unknown"
        return "alive" if started and started == self.started else "dead"


def me(tidying: bool = False) -> Holder:
    """This process, under a new token; with `tidying`, one that shows that it will be done soon."""
    pid = os.getpid()
    token = (_TIDYING if tidying else "") + secrets.token_hex(8)
    return Holder(token, socket.gethostname(), pid, this_machine(), process_start(pid) or "", lease_seconds())


def this_machine() -> str:
    """Names the space that process numbers are unique in; `EMURL_HOST` overrides it; empty where /proc does not tell."""
    return os.environ.get("EMURL_HOST") or _machine()


@cache
def _machine() -> str:
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # Containers share the boot but not the process numbers.
        return f"{socket.gethostname()}/{boot}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115
    return ""


def process_start(pid: int) -> str | None:
    """When a process of this machine started; empty when there is none (or only its remains), None where it cannot be told."""
    if not Path("/proc/self/stat").exists():
        return None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    except OSError:
        return None
    return "" if fields[0] in ("Z", "X") else fields[19]


def generation_of(name: str) -> int | None:
    """7 for `g7.json`; None for whatever else lies in the folder of a lease."""
    match = _GENERATION.fullmatch(name)
    return int(match[1]) if match else None


def generations(objects: Objects, key: str) -> list[int]:
    """The generations of a lease that are there, ascending."""
    return sorted(number for name in objects.names(key) if (number := generation_of(name)) is not None)


def holder_of(objects: Objects, key: str) -> tuple[int, Holder | None]:
    """The highest generation of a lease (0: nobody holds it) and who that is (None: not readable yet)."""
    numbers = generations(objects, key)
    if not numbers:
        return 0, None
    return numbers[-1], read_holder(objects.read(_entry(key, numbers[-1])) or b"")


def read_holder(written: bytes | str) -> Holder | None:
    """A holder as it wrote itself down; None where it has not done so yet, or did so in another way than is known here."""
    with contextlib.suppress(ValueError, TypeError):
        return Holder(**json.loads(written))
    return None


def read_by(objects: Objects, key: str) -> list[str]:
    """Refs of what the holder of a lease reads, also when it is not known whether it lives; none where nobody holds it."""
    for _ in range(20):
        generation, holder = holder_of(objects, key)
        if generation == 0 or (holder is not None and holder.state() == "dead"):
            return []
        beat = objects.read(f"{key}/{holder.token}.beat") if holder is not None else None
        if beat is not None:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # older versions of emurl wrote the number alone
                return [str(ref) for ref in json.loads(beat)["reads"]]
            return []
        time.sleep(0.05)  # it has just taken the lease: the first beat comes next
    return []


def _entry(key: str, generation: int) -> str:
    return f"{key}/g{generation}.json"


class Watch:
    """Looks at a holder's counter now and then, and says when it has stood still for too long.

    Args:
        key: the lease. The clock begins at the first look, and anew at every change of anything.
    """

    def __init__(self, objects: Objects, key: str) -> None:
        self._objects, self._key = objects, key
        self._seen: tuple[int, str, bytes | None] | None = None
        self._since = time.monotonic()
        self._ttl = lease_seconds()
        self.holder: Holder | None = None
        self.beats = 0

    def look(self) -> tuple[int, State]:
        """The generation on top (0: none), and what is known of its holder by now."""
        generation, self.holder = holder_of(self._objects, self._key)
        if generation == 0:
            return 0, "dead"
        state = self.holder.state() if self.holder else "unknown"
        if state != "unknown":
            return generation, state
        token = self.holder.token if self.holder else ""
        seen = (generation, token, self._objects.read(f"{self._key}/{token}.beat") if token else None)
        if seen != self._seen:
            if self._seen is not None and self._seen[:2] == seen[:2]:
                self.beats += 1
            self._seen, self._since = seen, time.monotonic()
        ttl = max(self._ttl, self.holder.ttl if self.holder else 0.0)
        return generation, "dead" if time.monotonic() - self._since >= ttl else "unknown"


class Lease:
    """A lease that this process holds, kept alive by a thread of its own until `release`.

    Attributes:
        token: names the holding. generation: its number. holder: this process. lost: known to have been taken over.
    """

    def __init__(
        self,
        objects: Objects,
        key: str,
        holder: Holder,
        generation: int,
        what: str,
        done: Callable[[], bool],
        reads: Iterable[str] = (),
    ) -> None:
        self.key, self.token, self.generation, self.lost = key, holder.token, generation, False
        self._objects, self.holder, self._what, self._done = objects, holder, what, done
        self._beats, self._reads = 0, list(reads)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True, name=f"lease-{what}")

    @classmethod
    def take(
        cls, objects: Objects, key: str, what: str, *, patient: bool = True, done: Callable[[], bool] = lambda: False,
        tidying: bool = False, reads: Iterable[str] = (),
    ) -> Lease:  # fmt: skip
        """Take a lease that is free or whose holder is gone.

        Args:
            key: the folder of the lease in the store. what: how the work is called, for messages.
            patient: watch a silent holder of another machine for the time to live, rather than refuse at once.
            done: tells whether the work has been finished by somebody, asked when the lease has vanished.
            tidying: it is taken for a moment, to remove what is left over; whoever wants to work waits for that.
            reads: refs of the artifacts that the work reads, which `retention.gc` keeps meanwhile.

        Raises:
            WorkError: somebody holds it, and lives.
        """
        holder, watch, told, began = me(tidying), Watch(objects, key), False, time.monotonic()
        while True:
            generation, state = watch.look()
            if state == "dead":
                entry = json.dumps(asdict(holder), sort_keys=True).encode()
                # Looked at once more: the generations below may have been tidied away between look and create.
                if objects.create(_entry(key, generation + 1), entry):
                    if generations(objects, key)[-1:] != [generation + 1]:
                        objects.delete([_entry(key, generation + 1)])
                        continue
                    lease = cls(objects, key, holder, generation + 1, what, done, reads)
                    try:
                        lease._begin()
                    except BaseException:  # or this process, which lives, would be in its own way
                        lease.release()
                        raise
                    return lease
                watch = Watch(objects, key)  # somebody was faster
                continue
            if watch.holder and watch.holder.tidies and patient and time.monotonic() - began < holder.ttl:
                time.sleep(0.05)
                continue
            who = f"host {watch.holder.host}, process {watch.holder.pid}" if watch.holder else "another process"
            if state == "alive" or watch.beats or not patient:
                raise WorkError(
                    f"{what}: {who} is running it with the same settings, expected one at a time ({objects.url}, {key})"
                )
            ttl = max(holder.ttl, watch.holder.ttl if watch.holder else 0.0)
            if not told:
                say(f"{what}: {who} has begun it; watching up to {ttl:.0f} s whether it is still at it")
                told = True
            time.sleep(min(ttl / 10, 2.0))

    def _begin(self) -> None:
        self._beat()
        with contextlib.suppress(EmurlError):  # old generations only take room
            old = [
                name for name in self._objects.names(self.key) if name not in (f"g{self.generation}.json", f"{self.token}.beat")
            ]
            self._objects.delete(f"{self.key}/{name}" for name in old if self._is_older(name))
        self._thread.start()

    def _is_older(self, name: str) -> bool:
        generation = generation_of(name)
        return name.endswith(".beat") if generation is None else generation < self.generation

    def _beat(self) -> None:
        self._beats += 1
        self._objects.put(f"{self.key}/{self.token}.beat", json.dumps({"beat": self._beats, "reads": self._reads}).encode())

    def _live(self) -> None:
        while not self._over.wait(self.holder.ttl / 4):
            # A store that is away for a while changes nothing: the work goes on, and publishing decides.
            with contextlib.suppress(EmurlError):
                if not self.confirm():
                    say(f"{self._what}: taken over by another process; what this one makes will not be published")
                    return
                if not self._over.is_set():
                    self._beat()

    def confirm(self) -> bool:
        """Whether the lease is still held, asked of the store.

        Raises:
            WorkError: the store does not answer.
        """
        if self.lost:
            return False
        generation, holder = holder_of(self._objects, self.key)
        if generation == self.generation and holder is None:
            return True  # our own entry, not to be read right now
        if generation == 0 and not self._over.is_set() and not self._done():
            # Swept away while the store was out of reach, and nobody has begun or finished it since.
            entry = json.dumps(asdict(self.holder), sort_keys=True).encode()
            if self._objects.create(_entry(self.key, self.generation), entry):
                return True
            generation, holder = holder_of(self._objects, self.key)
        self.lost = generation != self.generation or holder is None or holder.token != self.token
        return not self.lost

    def release(self) -> None:
        """Give it back, if it is still ours. A store that is away does not matter: the lease expires."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        with contextlib.suppress(EmurlError):
            mine = [f"{self.key}/{self.token}.beat"]
            generation, holder = holder_of(self._objects, self.key)
            if generation == self.generation and holder is not None and holder.token == self.token:
                mine.append(_entry(self.key, generation))
            elif generation > self.generation:
                mine.append(_entry(self.key, self.generation))
            self._objects.delete(reversed(mine))


@contextlib.contextmanager
def hold_to_tidy(objects: Objects, key: str) -> Iterator[bool]:
    """Hold the lease of a work while what it left is removed, so that nobody begins it meanwhile. Yields False when somebody is at it."""
    with _hold(lambda: Lease.take(objects, key, key, patient=False, tidying=True)) as held:
        yield held


@contextlib.contextmanager
def hold_folder(folder: Path, what: str) -> Iterator[bool]:
    """Hold a folder that several processes may want for themselves. Yields False when another one has it, and lives."""
    with _hold(lambda: Lease.take(Folder(folder), ".lease", what)) as held:
        yield held


@contextlib.contextmanager
def _hold(take: Callable[[], Lease]) -> Iterator[bool]:
    """Hold the lease that `take` gives. Yields False when somebody else has it."""
    try:
        lease = take()
    except WorkError:
        yield False
        return
    try:
        yield True
    finally:
        lease.release()


def is_held(objects: Objects, key: str) -> bool | None:
    """Whether somebody holds a lease, told without waiting; None where only watching its counter tells."""
    generation, holder = holder_of(objects, key)
    if generation == 0:
        return False
    state = holder.state() if holder else "unknown"
    return None if state == "unknown" else state == "alive"
