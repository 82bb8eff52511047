"""One logger for all of emurl, called `emurl`: lines for people on a terminal, JSON lines with `--log-json`, always on stderr.

A library that uses emurl configures the logger `emurl` as any other; only the command line and the flows call `start`.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emurl.core.files import is_disk_full

LOGGER = logging.getLogger("emurl")
LOGS = ".logs"  # in a store: `<run>/<stage>.log` of the stages that a flow has run
_PLAIN = {"✓": "+", "✗": "x", "→": "->", "←": "<-", "…": "...", "─": "-", "↑": "^", "↓": "v", "≥": ">=", "≤": "<=", "×": "x"}
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__)


class _Lines(logging.Formatter):
    """The message as it is; warnings and errors say so."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.levelno >= logging.ERROR:
            return f"emurl: {message}"
        return f"warning: {message}" if record.levelno == logging.WARNING else message


class _JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().strip(),
        }
        told |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD and key not in told}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


class _Stderr(logging.StreamHandler[Any]):
    """Whatever `sys.stderr` is when a line is written: tests and notebooks change it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:  # type: ignore[override]
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        raise AttributeError("the stream is always sys.stderr")


def forgive_encodings() -> None:
    """Print what the terminal's encoding lacks (`→` in Latin-1, a file name that is no text) plainly, rather than fail over it."""
    codecs.register_error("emurl", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="emurl")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


def start(as_json: bool = False) -> None:
    """Log to stderr, for people or as JSON lines; a second call changes the way and adds nothing. Warnings are one line each."""
    for handler in list(LOGGER.handlers):
        if isinstance(handler, _Stderr):
            LOGGER.removeHandler(handler)
    handler = _Stderr()
    handler.setFormatter(_JsonLines() if as_json else _Lines())
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    warnings.showwarning = _warn
    threading.excepthook = _thread_failed


@contextlib.contextmanager
def to_file(path: Path) -> Iterator[None]:
    """Log to a file, too, with times and with the traceback of what ends the block; `LOGS` of a store is the place for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    handler.setLevel(logging.INFO)
    level = LOGGER.level
    if LOGGER.getEffectiveLevel() > logging.INFO:
        LOGGER.setLevel(logging.INFO)
    LOGGER.addHandler(handler)
    try:
        yield
    except BaseException as error:
        handler.emit(
            logging.makeLogRecord({"levelname": "ERROR", "msg": f"ended by {type(error).__name__}", "exc_info": sys.exc_info()})
        )
        raise
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
        handler.close()


def is_json() -> bool:
    """Whether lines are JSON, so that no progress bar may come between."""
    return any(isinstance(handler, _Stderr) and isinstance(handler.formatter, _JsonLines) for handler in LOGGER.handlers)


def flat(text: object) -> str:
    """What somebody else has written over several lines, on one."""
    return " ".join(str(text).split())


def failed(line: str) -> None:
    """Say in one line why the work ended, also where nobody called `start`."""
    if not LOGGER.handlers:
        start()
    LOGGER.error(flat(line))


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """A thread that a full disk has ended (TensorBoard's writer) is one line; the work meets the same disk, and says so."""
    if is_disk_full(failure.exc_value):
        LOGGER.warning(f"{failure.thread.name if failure.thread else 'a thread'}: the disk is full ({failure.exc_value})")
    else:
        threading.__excepthook__(failure)


def _warn(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, DeprecationWarning | PendingDeprecationWarning):
        return
    LOGGER.warning(flat(message))
