"""How far long work is: a bar with an ETA on a terminal, a log line now and then elsewhere; always on stderr.

What has no bar of its own says what it is at (`Pulse`): nobody is to wait for half a minute and wonder whether it still lives.
"""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from emurl.core.log import LOGGER, is_json

_said = time.monotonic()  # when a line was last said


def say(line: str, **facts: Any) -> None:
    """Log a line for the person who waits; `facts` go into it where lines are JSON."""
    global _said
    _said = time.monotonic()
    LOGGER.info(line, extra=facts)


class Pulse:
    """While inside, says every `EVERY_S` seconds of silence what the work is at.

    Args:
        name: whose work. at: tells what it is at, and since when (`time.monotonic`); None: nothing need be said, a bar shows it.
    """

    EVERY_S = 15.0

    def __init__(self, name: str, at: Callable[[], tuple[str, float] | None]) -> None:
        self.name, self.at = name, at
        self._over = threading.Event()
        # Handlers tell whose line it is by the context (Prefect's), which a thread does not inherit.
        beat = contextvars.copy_context().run
        self._thread = threading.Thread(target=beat, args=(self._beat,), daemon=True, name="pulse")

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _beat(self) -> None:
        wait = self.EVERY_S
        while not self._over.wait(wait):
            wait = _said + self.EVERY_S - time.monotonic()
            if wait > 0:
                continue
            wait = self.EVERY_S
            at = self.at()
            if at is not None:
                say(f"  {self.name}: {at[0]}, for {clock(time.monotonic() - at[1])} now")


def clock(seconds: float) -> str:
    """Seconds as people read them: 7 s, 3:05, 2:10:00."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


class Progress:
    """How far a piece of work is: a bar with an ETA on a terminal, a line now and then elsewhere."""

    LINE_EVERY_S = 10.0

    def __init__(self, total: float, description: str, unit: str, quiet: bool) -> None:
        self.total, self.description, self.unit = total, description, unit
        self.done = 0.0
        self.shown: dict[str, Any] = {}
        self._began = self._spoke = time.monotonic()
        self._began_at = 0.0
        self._quiet = quiet
        self._warm: tuple[float, float] | None = None  # when a line was said first, and how much was done then
        self._bar: Any = None
        if not quiet and sys.stderr.isatty() and not is_json():
            from tqdm import tqdm

            # A bar at 100 % would promise work that a resumed stage has already done: it counts from where it goes on.
            self._bar = tqdm(total=total, desc=f"  {description}", unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True)

    def start_at(self, done: float) -> None:
        """Say that `done` of the work was there already (a resumed stage), so that rates and ETA are of this try."""
        self.done = self._began_at = done
        self._warm = None
        if self._bar is not None:
            self._bar.n = self._bar.initial = done
            self._bar.refresh()

    def update(self, n: float = 1, **shown: Any) -> None:
        """`n` more is done; `shown` are numbers to show beside it."""
        self.done += n
        self.shown.update(shown)
        if self._bar is not None:
            if shown:
                self._bar.set_postfix(self.shown, refresh=False)
            self._bar.update(n)
        elif not self._quiet and time.monotonic() - self._spoke > self.LINE_EVERY_S:
            self._spoke = time.monotonic()
            say(f"  {self.description}: {self._line()}")

    def _line(self) -> str:
        now = time.monotonic()
        # What comes first (compilers, caches, a trial) is slower than the rest: the time left is told by what came after it, if anything.
        since, before = self._warm or (self._began, self._began_at)
        rate = (self.done - before) / max(now - since, 1e-9)
        eta = f", ETA {clock((self.total - self.done) / rate)}" if self._warm is not None and rate > 0 else ""
        self._warm = self._warm or (now, self.done)
        facts = "".join(f", {name} {_short(value)}" for name, value in self.shown.items())
        return f"{self.place}, {rate:.1f} {self.unit}/s{eta}{facts}"

    @property
    def place(self) -> str:
        """How far it is: 21/100 steps."""
        return f"{self.done:g}/{self.total:g} {self.unit}"

    @property
    def is_seen(self) -> bool:
        """Whether a bar on a terminal shows it."""
        return self._bar is not None

    @property
    def spoke(self) -> float:
        """When it last said how far it is, or began (`time.monotonic`)."""
        return self._spoke

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
