"""Work on many things in a few threads, and an end to it as soon as one fails or Ctrl-C is pressed.

A `ThreadPoolExecutor` waits for what its threads are at, and so does the interpreter before it ends: minutes, where that is a
download. These threads are asked to stop, given a moment, and then left behind.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

PATIENCE_S = 1.0  # for threads that were asked to stop; all of them together


class Stopped(BaseException):
    """Ends a thread whose work nobody wants any more; no `except Exception` on the way keeps it."""


class Stop:
    """Asks threads to stop; they look at it now and then."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def ask(self) -> None:
        """Have every `check` from now on raise."""
        self._asked.set()

    def check(self) -> None:
        """Raises `Stopped` once the work is not wanted any more."""
        if self._asked.is_set():
            raise Stopped


def each(work: Callable[[Item, Stop], Made], items: Iterable[Item], threads: int) -> list[Made]:
    """What `work` makes of each item, in their order, `threads` of them at a time.

    Args:
        work: is given an item and the `Stop` that long work should `check` now and then.

    Raises:
        Whatever `work` raised first; or the `KeyboardInterrupt` of this thread. Then what is under way is stopped or left behind.
    """
    waiting: queue.SimpleQueue[tuple[int, Item]] = queue.SimpleQueue()
    count = 0
    for count, item in enumerate(items, 1):
        waiting.put((count - 1, item))
    over: queue.SimpleQueue[tuple[int, Made | None, BaseException | None]] = queue.SimpleQueue()
    stop, made = Stop(), dict[int, Made]()

    def labor() -> None:
        while True:
            try:
                stop.check()
                place, item = waiting.get_nowait()
            except (Stopped, queue.Empty):
                return
            try:
                over.put((place, work(item, stop), None))
            except Stopped:  # not kept, for it would keep what the work had open
                return
            except BaseException as error:  # told to the thread that asked for the work
                stop.ask()
                over.put((place, None, error))

    crew = [threading.Thread(target=labor, daemon=True, name=f"each-{number}") for number in range(min(threads, count))]
    for one in crew:
        one.start()
    try:
        for _ in range(count):
            place, result, error = over.get()
            if error is not None:
                raise error
            made[place] = result  # type: ignore[assignment]
    finally:
        stop.ask()
        until = time.monotonic() + PATIENCE_S
        for one in crew:
            one.join(max(0.0, until - time.monotonic()))
    return [made[place] for place in range(count)]


def within(seconds: float, work: Callable[[], object], name: str) -> bool:
    """Do work that may wait for somebody who is gone; whether it is over after `seconds`. If not, its thread `name` is left behind.

    Raises:
        Whatever `work` raised in time.
    """
    failed: list[BaseException] = []

    def labor() -> None:
        try:
            work()
        except BaseException as error:  # told to whoever waits
            failed.append(error)

    thread = threading.Thread(target=labor, daemon=True, name=name)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return False
    if failed:
        raise failed[0]
    return True
