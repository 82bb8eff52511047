"""Asked to end, by Ctrl-C or by SIGTERM: what can be saved is saved, the line says how to go on, and the process is gone in time.

Long work that can save itself does so inside `saving()`: there a signal is not raised at once but noted; the work sees it at its next
step, saves and calls `leave`. Work that does not get to a step in time is ended all the same, and so is a process that does not get out
of what it is in (a network that is silent, a thread that is waited for): a store survives SIGKILL, so it survives that. SIGTERM
comes with some patience (Docker's is 10 s, Kubernetes' 30 s, a spot machine's minutes); whoever presses Ctrl-C has none.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn

from emurl.core import log


class Terminated(BaseException):
    """SIGTERM has come. Not an `Exception`, for nobody but the command line is to catch it."""


@dataclass(frozen=True)
class Patience:
    """What a signal leaves: seconds until work that can save itself is ended without, and until the process is; and its last words."""

    to_save: float
    to_end: float
    exit_code: int
    line: str


PATIENCE = {
    signal.SIGINT: Patience(1.0, 2.2, 130, "interrupted; the same command again goes on from here"),
    signal.SIGTERM: Patience(14.0, 18.0, 143, "terminated; the same command again goes on from here"),
}


@dataclass
class _Block:
    """One block of `handled`: whether it is over, after which nobody is to be woken for its sake; a lock for who looks and then wakes."""

    over: bool = False
    late: int | None = None  # a signal that came while it ended
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class _State:
    """Of the process: the signal that came, how deep in `saving` and `unbroken` it is, what handled signals before."""

    came: int | None = None
    raised: bool = False
    depth: int = 0
    handled: bool = False
    goes_on: bool = True
    before: dict[int, Any] = field(default_factory=dict)
    unbroken: int = 0
    noted: Callable[[], None] | None = None  # what a signal that came meanwhile still has to do


_state = _State()
_said = threading.Event()  # the last words


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def handled(ends_process: bool = False, goes_on: bool = True) -> Iterator[None]:
    """Take SIGINT and SIGTERM inside, on the main thread; a signal that is ignored (nohup) stays ignored. Again inside: nothing more.

    Args:
        ends_process: the process is the caller's own, and may be ended without further ado where it does not end in time.
        goes_on: the last words promise that the work, begun again, goes on where it was: it keeps what it has done.
    """
    if _state.handled or not _on_main_thread():
        yield
        return
    _state.handled, _state.came, _state.raised, _state.noted = True, None, False, None
    _state.goes_on = goes_on
    _said.clear()
    block = _Block()

    def handle(signum: int, frame: FrameType | None) -> None:
        first = _state.came is None
        if first:
            _state.came = signum
            threading.Thread(target=_watch, args=(signum, ends_process, block), daemon=True, name="interrupt").start()
        if block.over:
            block.late = signum
        elif _state.unbroken:
            _state.noted = lambda: act(signum, frame, first)
        else:
            act(signum, frame, first)

    def act(signum: int, frame: FrameType | None, first: bool) -> None:
        if _state.depth and (first or signum == signal.SIGTERM):
            return  # whoever saves will see it; a second Ctrl-C means it
        _raise(signum, frame)

    for signum in PATIENCE:
        before = signal.getsignal(signum)
        if before not in (signal.SIG_IGN, None):
            _state.before[signum] = before
            signal.signal(signum, handle)
    try:
        yield
    finally:
        block.over = True
        with block.lock:  # who is about to wake this thread does so here, or not at all
            pass
        befores = dict(_state.before)
        for number, before in befores.items():
            # Who ends has been told; another Ctrl-C would only break off the ending with a traceback.
            signal.signal(number, signal.SIG_IGN if ends_process and _state.came is not None else before)
        _state.before.clear()
        _state.handled = False
        if block.late is not None and not _state.raised:
            _raise(block.late, before=befores.get(block.late))


def _raise(signum: int, frame: FrameType | None = None, before: Any = None) -> NoReturn:
    _state.raised = True
    before = before or _state.before.get(signum)
    if callable(before) and before is not signal.default_int_handler:
        before(signum, frame)  # Prefect's, for one, raises something of its own
    raise KeyboardInterrupt if signum == signal.SIGINT else Terminated


def _watch(signum: int, ends_process: bool, block: _Block) -> None:
    """Wait for as long as there is patience, and then end what still goes on of `block`; a later block is none of our business."""
    patience, began = PATIENCE[signal.Signals(signum)], time.monotonic()
    while time.monotonic() < began + patience.to_save and not block.over and _state.depth and not _state.raised:
        time.sleep(0.02)
    with block.lock:
        if not block.over and _state.depth and not _state.raised:
            # On the main thread even if it waits for something; a second SIGINT is raised where the first was only noted.
            _wake(signal.SIGINT) if signum == signal.SIGINT else _expire()
    if not ends_process:
        return
    time.sleep(max(0.0, began + patience.to_end - time.monotonic()))
    end(signum)


def _expire() -> None:
    """Have SIGTERM raised by the main thread although it is saving."""
    _state.depth = 0
    _wake(signal.SIGTERM)


def _wake(signum: int) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signum)
    else:  # there is no waking a main thread that waits on Windows
        signal.raise_signal(signum)


def say(signum: int) -> int:
    """Say, once, that it is over and how to go on; returns the exit code."""
    patience = PATIENCE[signal.Signals(signum)]
    if not _said.is_set():
        _said.set()
        log.failed(patience.line if _state.goes_on else patience.line.partition(";")[0])
    return patience.exit_code


def end(signum: int) -> NoReturn:
    """Say how to go on, and be gone: what the interpreter would still tidy up may take seconds on a busy machine."""
    code = say(signum)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


@contextlib.contextmanager
def saving() -> Iterator[Callable[[], bool]]:
    """Inside, a signal waits until the work has saved itself. What it is given tells whether one has come: save then, and `leave`.

    A signal that came too late for that is raised at the end. In another thread than the main one no signal ever comes.
    """
    if not _on_main_thread():
        yield lambda: False
        return
    _state.depth += 1
    try:
        yield lambda: _state.came is not None and _state.handled and not _state.raised
    finally:
        _state.depth = max(0, _state.depth - 1)
    if _state.handled and _state.came is not None and not _state.raised and not _state.depth:
        _raise(_state.came)


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """Inside, a signal waits: for calls into compiled code that prints what a signal raises in its midst, and goes on.

    They are short. What the signal does is done when they are over, so that none is lost.
    """
    if not _on_main_thread():
        yield
        return
    _state.unbroken += 1
    try:
        yield
    finally:
        _state.unbroken -= 1
        if not _state.unbroken and _state.noted is not None:
            act, _state.noted = _state.noted, None
            act()


def asks_to_end(error: BaseException) -> bool:
    """Whether `error` is what a signal was raised as: by this module, or by who handled it before (Prefect)."""
    raised = _state.handled and _state.raised and not isinstance(error, Exception)
    return raised or isinstance(error, KeyboardInterrupt | Terminated)


def leave() -> NoReturn:
    """Raise what the signal that came is raised as; called when all is saved."""
    _raise(signal.SIGINT if _state.came is None else _state.came)
