"""One logger: plain lines for people, JSON lines for machines, warnings in one line, bars never between JSON lines."""

import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from emurl import cli
from emurl.core import log
from emurl.core.progress import Progress, Pulse, clock, say
from emurl.core.tracking import Tracker


@pytest.fixture(autouse=True)
def _as_before():
    show, hook, handlers = warnings.showwarning, threading.excepthook, list(log.LOGGER.handlers)
    yield
    warnings.showwarning, threading.excepthook = show, hook
    log.LOGGER.handlers[:] = handlers
    log.LOGGER.propagate = True


def test_lines_for_people_go_to_stderr_as_they_are(capsys):
    log.start()
    say("reward: reward@v1")
    log.LOGGER.warning("little room")
    log.failed("reward: NaN")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["reward: reward@v1", "warning: little room", "emurl: reward: NaN"]


def test_json_lines_hold_time_level_message_and_facts(capsys):
    log.start(as_json=True)
    say("  half way", stage="reward", done=0.5)
    logging.getLogger("emurl.training").warning("the loss is %g", 3.0)
    first, second = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (first["message"], first["level"], first["stage"], first["done"]) == ("half way", "info", "reward", 0.5)
    assert first["time"].endswith("+00:00")
    assert (second["message"], second["level"], second["logger"]) == ("the loss is 3", "warning", "emurl.training")


@pytest.mark.parametrize(("encoding", "sign"), [("utf-8", "✓"), ("latin-1", "+"), ("ascii", "+")])
def test_a_terminal_that_lacks_a_letter_gets_a_plain_one(encoding, sign):
    code = "from emurl.core import log; log.forgive_encodings(); print('✓ é → \\udcff ü' * 2)"
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode(encoding)
    assert told.startswith(sign) and told.count(sign) == 2 and "?" in told
    assert ("é" in told) == (encoding != "ascii") and ("->" in told) == (encoding != "utf-8")


def test_an_exception_stays_one_json_line(capsys):
    log.start(as_json=True)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.LOGGER.exception("it broke")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: two" in json.loads(line)["exception"]


def test_a_thread_that_a_full_disk_ends_is_a_line_and_a_bug_a_traceback(capsys):
    log.start()

    def fails(error):
        def work():
            raise error

        thread = threading.Thread(target=work, name="writer")
        thread.start()
        thread.join()
        return capsys.readouterr().err

    assert (
        fails(OSError(28, "No space left on device"))
        == "warning: writer: the disk is full ([Errno 28] No space left on device)\n"
    )
    assert "Traceback" in fails(ZeroDivisionError("a bug"))


def test_starting_again_adds_nothing(capsys):
    for _ in range(3):
        log.start()
    say("once")
    assert capsys.readouterr().err == "once\n"


def test_a_warning_is_one_line_and_a_deprecation_elsewhere_none(capsys):
    log.start()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = log._warn
        warnings.warn("a\n  b", stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: a b\n"


@pytest.mark.parametrize(
    "words", [["--log-json", "artifacts", "show", "nothing"], ["artifacts", "show", "nothing", "--log-json"]]
)
def test_the_command_line_says_what_is_wrong_as_json_where_it_is_asked_to(capsys, tmp_path, words):
    assert cli.main([*words, "--store", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert json.loads(line)["level"] == "error"
    assert "nothing" in json.loads(line)["message"]


def test_a_terminal_gets_a_bar_unless_lines_are_json(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

        def write(self, text):
            return len(text)

        def flush(self):
            pass

    monkeypatch.setattr("sys.stderr", Terminal())
    log.start()
    bar = Progress(3, "train", "steps", quiet=False)
    assert bar._bar is not None
    bar.close()
    log.start(as_json=True)
    assert Progress(3, "train", "steps", quiet=False)._bar is None


def test_progress_speaks_now_and_then_with_an_eta(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("emurl.core.progress.time.monotonic", lambda: now[0])
    log.start()
    bar = Progress(100, "train", "steps", quiet=False)
    for _ in range(50):
        now[0] += 0.5
        bar.update(1, loss=0.5)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  train: 21/100 steps, 2.0 steps/s, loss 0.5"  # a first ETA would be of the slow beginning
    assert lines[1] == "  train: 42/100 steps, 2.0 steps/s, ETA 29 s, loss 0.5"
    assert len(lines) == 2


def test_the_slow_beginning_of_a_piece_of_work_has_no_say_in_its_eta(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("emurl.core.progress.time.monotonic", lambda: now[0])
    log.start()
    bar = Progress(50, "train", "updates", quiet=False)
    for seconds in (70.0, 5.0, 5.0, 5.0):
        now[0] += seconds
        bar.update(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["  train: 1/50 updates, 0.0 updates/s", "  train: 4/50 updates, 0.2 updates/s, ETA 3:50"]


def test_a_silence_is_broken_by_what_the_work_is_at(capsys, monkeypatch):
    monkeypatch.setattr(Pulse, "EVERY_S", 0.2)
    log.start()
    tracker = Tracker("dynamics")
    with tracker.pulse():
        tracker.doing("dreaming")
        time.sleep(0.6)
        with tracker.progress(8, "play off the route", "runs"):
            time.sleep(0.6)
        dreamed, played = (capsys.readouterr().err.splitlines() for _ in range(2))
        say("a line")
        capsys.readouterr()
        for _ in range(30):
            time.sleep(0.02)
            say("a line")
        chatty = capsys.readouterr().err.splitlines()
    time.sleep(0.4)
    assert dreamed and not played
    assert re.fullmatch(r"  dynamics: dreaming, for \d\.\d s now", dreamed[0])
    assert re.fullmatch(r"  dynamics: play off the route, 0/8 runs, for \d\.\d s now", dreamed[-1])
    assert chatty == ["a line"] * 30 and not capsys.readouterr().err
    with Tracker.silent().pulse():
        time.sleep(0.4)
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (7.25, "7.2 s"), (59.4, "59 s"), (185, "3:05"), (7800, "2:10:00")]
)
def test_the_clock(seconds, text):
    assert clock(seconds) == text
