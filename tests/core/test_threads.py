"""Work in threads: in order, so many at a time, and over as soon as it is not wanted any more."""

import threading
import time

import pytest

from emurl.core.threads import Stop, Stopped, each


def test_results_are_in_order_and_so_many_are_at_work():
    at_work, most, lock = [0], [0], threading.Lock()

    def work(item: int, stop: Stop) -> int:
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        time.sleep(0.05 if item % 2 else 0.01)
        with lock:
            at_work[0] -= 1
        return item * item

    assert each(work, range(9), 3) == [number * number for number in range(9)]
    assert most == [3] and each(work, [], 3) == []


def test_a_failure_ends_the_others_and_begins_no_more():
    begun, ended, failing = [], [], threading.Event()

    def work(item: int, stop: Stop) -> None:
        begun.append(item)
        if item == 1:
            failing.wait(10)
            raise ValueError("broken")
        try:
            while True:
                failing.set()
                time.sleep(0.01)
                stop.check()
        except Stopped:
            ended.append(item)
            raise

    before = threading.active_count()
    with pytest.raises(ValueError, match="broken"):
        each(work, range(100), 2)
    assert sorted(begun) == [0, 1] and ended == [0] and threading.active_count() == before


def test_who_does_not_look_is_left_behind(monkeypatch):
    monkeypatch.setattr("emurl.core.threads.PATIENCE_S", 0.1)
    over, begun = threading.Event(), threading.Event()

    def work(item: int, stop: Stop) -> None:
        if item:
            begun.wait(10)
            raise KeyboardInterrupt
        begun.set()
        over.wait(30)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        each(work, range(2), 2)
    assert time.monotonic() - began < 5
    assert all(one.daemon for one in threading.enumerate() if one.name.startswith("each-"))
    over.set()
