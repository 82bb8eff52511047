"""Signals to this very process: noted while something saves itself, raised when it has, and as before afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from emurl.core import interrupt, log
from emurl.envs.gameboy.console import GameBoy
from emurl.games import mossdale


@pytest.fixture(autouse=True)
def _as_in_a_terminal():
    """Whoever runs the tests in the background has SIGINT ignored."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize(("signum", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, interrupt.Terminated)])
def test_a_signal_waits_until_the_work_has_saved(signum, raised):
    before, done = signal.getsignal(signum), []
    with pytest.raises(raised), interrupt.handled(), interrupt.saving() as asked:
        assert not asked()
        send(signum)
        assert asked()
        done.append("saved")
        interrupt.leave()
    assert done == ["saved"] and signal.getsignal(signum) is before
    with interrupt.saving() as asked:
        assert not asked()  # it was of that work


def test_a_signal_that_nothing_saves_from_is_raised_at_once_and_one_too_late_at_the_end():
    with pytest.raises(interrupt.Terminated), interrupt.handled():
        send(signal.SIGTERM)
        pytest.fail("not raised")
    done = []
    with pytest.raises(interrupt.Terminated), interrupt.handled():
        with interrupt.saving():
            send(signal.SIGTERM)
            done.append("the last step")
        pytest.fail("not raised")
    assert done


def test_a_second_ctrl_c_means_it_and_so_does_the_end_of_patience():
    with pytest.raises(KeyboardInterrupt), interrupt.handled(), interrupt.saving():
        send(signal.SIGINT)
        send(signal.SIGINT)
        pytest.fail("not raised")
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interrupt.handled(), interrupt.saving():
        send(signal.SIGINT)
        threading.Event().wait(30)  # a step that does not end
    assert 0.5 < time.monotonic() - began < 3.0


def test_who_handled_the_signal_before_is_asked_what_to_raise():
    class Theirs(BaseException):
        pass

    def handler(signum, frame):
        raise Theirs

    signal.signal(signal.SIGTERM, handler)
    with pytest.raises(Theirs), interrupt.handled(), interrupt.saving() as asked:
        send(signal.SIGTERM)
        assert asked()
        interrupt.leave()
    assert signal.getsignal(signal.SIGTERM) is handler


def test_what_is_ignored_stays_ignored_and_another_thread_is_left_alone():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupt.handled(), interrupt.saving() as asked:
        send(signal.SIGINT)
        assert not asked()
    seen = []

    def work():
        with interrupt.handled(), interrupt.saving() as asked:
            seen.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_a_signal_in_the_midst_of_what_must_not_be_broken_off_is_raised_right_after_it():
    done = []
    with pytest.raises(KeyboardInterrupt), interrupt.handled():
        with interrupt.unbroken():
            with interrupt.unbroken():
                send(signal.SIGINT)
            done.append("whole")
        pytest.fail("not raised")
    assert done == ["whole"]
    with pytest.raises(KeyboardInterrupt), interrupt.handled(), interrupt.saving() as asked:
        with interrupt.unbroken():
            send(signal.SIGINT)
        assert asked()  # whoever saves still gets to it
        done.append("saved")
        with interrupt.unbroken():
            send(signal.SIGINT)
            done.append("whole again")
        pytest.fail("the second one means it")
    assert done == ["whole", "saved", "whole again"]
    with interrupt.handled(), interrupt.unbroken():
        pass


def test_ctrl_c_while_an_emulator_ticks_is_neither_lost_nor_printed(capfd):
    console = GameBoy(mossdale.rom_path())
    for number in range(20):
        timer = threading.Timer(0.01 + 0.003 * number, send, [signal.SIGINT])
        deadline = time.monotonic() + 5.0
        with pytest.raises(KeyboardInterrupt), interrupt.handled():
            timer.start()
            while time.monotonic() < deadline:
                console.tick(4)
        timer.join()
    console.close()
    assert "ignored" not in capfd.readouterr().err


def test_who_watches_one_block_leaves_the_next_alone():
    with pytest.raises(KeyboardInterrupt), interrupt.handled(), interrupt.saving() as asked:
        send(signal.SIGINT)
        interrupt.leave()
    with interrupt.handled(), interrupt.saving() as asked:
        time.sleep(interrupt.PATIENCE[signal.SIGINT].to_save + 0.2)
        assert not asked()


STUCK = """
import threading, time
from emurl.core import interrupt, log
log.start()
with interrupt.handled(ends_process=True):
    try:
        print("ready", flush=True)
        {work}
    finally:
        threading.Thread(target=time.sleep, args=(60,)).start()  # the interpreter would wait for it
"""


@pytest.mark.parametrize("work", ["time.sleep(60)", "kept = interrupt.saving(); kept.__enter__(); time.sleep(60)"])
def test_a_process_that_does_not_get_out_is_ended_with_its_last_words(work):
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK.format(work=work)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and time.monotonic() - began < 3.0
    assert err.splitlines()[-1] == "emurl: interrupted; the same command again goes on from here"


def test_only_who_keeps_what_it_has_done_promises_to_go_on(capsys):
    log.start()
    for goes_on, line in ((True, "interrupted; the same command again goes on from here"), (False, "interrupted")):
        with pytest.raises(KeyboardInterrupt), interrupt.handled(goes_on=goes_on):
            send(signal.SIGINT)
        assert interrupt.say(signal.SIGINT) == 130
        assert capsys.readouterr().err == f"emurl: {line}\n"
