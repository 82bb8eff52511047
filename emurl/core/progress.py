"""How far long work is: a bar with an ETA on a terminal, a log line now and then elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from typing import Any

from emurl.core.log import LOGGER, is_json


def say(line: str, **facts: Any) -> None:
    """Log a line for the person who waits; `facts` go into it where lines are JSON."""
    LOGGER.info(line, extra=facts)


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
        self._bar: Any = None
        if not quiet and sys.stderr.isatty() and not is_json():
            from tqdm import tqdm

            # A bar at 100 % would promise work that a resumed stage has already done: it counts from where it goes on.
            self._bar = tqdm(total=total, desc=f"  {description}", unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True)

    def start_at(self, done: float) -> None:
        """Say that `done` of the work was there already (a resumed stage), so that rates and ETA are of this try."""
        self.done = self._began_at = done
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
        elapsed = time.monotonic() - self._began
        rate = (self.done - self._began_at) / max(elapsed, 1e-9)
        eta = clock((self.total - self.done) / rate) if rate > 0 else "?"
        facts = "".join(f", {name} {_short(value)}" for name, value in self.shown.items())
        return f"{self.done:g}/{self.total:g} {self.unit}, {rate:.1f} {self.unit}/s, ETA {eta}{facts}"

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
