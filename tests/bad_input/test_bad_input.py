"""A hundred kinds of bad input, and the rule for all: exit 2 or 1, one line that names what is wrong, and nothing half-written."""

import importlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from functools import partial

import pytest

from tests.bad_input import bundles, configs, models, places, stores, videos, words
from tests.bad_input.kinds import ROOT, Kind, Place

KINDS: list[Kind] = [kind for module in (words, configs, stores, bundles, models, videos, places) for kind in module.KINDS]
DRAWN = [
    pytest.param(kind, number, id=f"{kind.name}{f' {number}' if number else ''}")
    for kind in KINDS
    for number in range(0 if kind.alone else kind.times)
]
SPEAKERS = r"(emurl|ood_detector|validate_training|evaluate_policy|analyze_video_crops|python -m flows)[a-z .]*: "


@pytest.fixture
def place(tmp_path, monkeypatch, shelf):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(socket, "getaddrinfo", partial(of_this_machine, socket.getaddrinfo))
    with ExitStack() as closing:
        # A flow's command line takes SIGTERM for good, and here the process is that of other tests, too.
        closing.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        yield Place(folder, shelf, monkeypatch, random.Random(0), closing)


def of_this_machine(look, host, *words, **options):
    assert host in (None, "127.0.0.1", "localhost", b"127.0.0.1"), f"{host} is asked for, expected nothing but this machine"
    return look(host, *words, **options)


def prepared(kind: Kind, place: Place, number: int) -> tuple[list[str], list[str], dict[str, str]]:
    """The words, what is to be said, and the tree before."""
    place.rng.seed(f"{kind.name} {number}")
    told = kind.make(place) or {}
    fill = (lambda text: re.sub(r"\{(\w+)\}", lambda match: told[match[1]], text)) if told else str
    return [fill(word) for word in kind.words], [fill(said) for said in kind.says], place.tree(kind.kept)


def called(words: list[str]) -> int:
    """The exit status of a command run in this process."""
    name, rest = ("emurl.cli", words) if not words or "." not in words[0] or "/" in words[0] else (words[0], words[1:])
    try:
        return importlib.import_module(name).main(rest)
    except SystemExit as ended:
        return ended.code


def judge(kind: Kind, place: Place, code: int, out: str, err: str, says: list[str], before: dict[str, str]) -> None:
    assert code in (1, 2) and code == kind.code, f"exit {code}: {out}{err}"
    assert "Traceback" not in out + err
    lines = [line for line in err.splitlines() if not line.startswith(kind.progress or "\0")]
    if kind.stdout:
        told = out
        assert lines == [], err
    else:
        assert len(lines) == 1 and re.match(SPEAKERS, lines[0]), err
        assert out == ""
        told = lines[0]
        assert len(told) < 700 and told.isprintable(), told
    for said in says:
        assert said in told, f"{said!r} is not in: {told}"
    assert place.tree(kind.kept) == before


@pytest.mark.parametrize(("kind", "number"), DRAWN)
def test_one_line_and_nothing_half_written(kind, number, place, capfd):
    words, says, before = prepared(kind, place, number)
    capfd.readouterr()
    code = called(words)
    judge(kind, place, code, *capfd.readouterr(), says, before)


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.name) for kind in KINDS if kind.process])
def test_the_same_from_a_shell(kind, place):
    words, says, before = prepared(kind, place, 0)
    program = ["-m", "emurl", *words] if not words or "." not in words[0] else ["-m", *words]
    done = subprocess.run(
        [sys.executable, *program], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    judge(kind, place, done.returncode, done.stdout, done.stderr, says, before)


def test_there_are_a_hundred_kinds():
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names) >= 100
