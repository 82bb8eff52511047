"""Proxies of the environment: this machine is reached without one, one that is none is named, one that is right is used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from emurl import cli, doctor
from emurl.core.config import load_config
from emurl.core.errors import InputError
from emurl.core.proxies import LOOPBACK, proxy_of, require_usable, spare_loopback, without_user
from emurl.footage.download.downloader import Downloader
from emurl.footage.leaderboard.http import Session
from emurl.games.settings import BroadcastSettings
from tests.fixtures.board import Board, a_run
from tests.fixtures.drawn_videos import SECONDS, make_video
from tests.fixtures.http_server import as_json, ranged, scripted

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "http://127.0.0.1:9"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        for spelling in (name, name.upper()):
            monkeypatch.setenv(spelling, "")  # so that what a test's code sets is undone
            monkeypatch.delenv(spelling)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("value", [NOBODY, "socks5://127.0.0.1:9", "http://[broken"])
def test_this_machine_is_reached_without_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    video = make_video(tmp_path / "v.mp4")
    monkeypatch.setenv(name, value)
    spare_loopback()
    with scripted(lambda request: as_json({"data": {}}) if request.path == "/api" else ranged(video, request)) as server:
        for origin in (server.origin, server.origin.replace("127.0.0.1", "localhost")):
            assert Session(5.0, sleep=lambda seconds: None).get(f"{origin}/api").data == {"data": {}}
        got = Downloader(tmp_path / "videos", retries=0).fetch(f"{server.origin}/run.mp4", "abc", run_s=SECONDS)
    assert got.status == "ok"


def test_the_command_line_reads_a_leaderboard_of_this_machine_behind_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    (tmp_path / "s.yaml").write_text(f"store: {tmp_path / 'store'}\ntracking: {{wandb: false, tensorboard: false}}\n")
    with scripted(Board([a_run(1)])) as server:
        words = ["run", "runs", "--config", str(tmp_path / "s.yaml"), "--set", f"runs.api_base={server.origin}/api/v1"]
        assert cli.main(words) == 0 and server.requests


def test_the_demo_and_the_flows_spare_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    BroadcastSettings(port=0, runs=1, cache=str(tmp_path)).open()
    assert "127.0.0.1" in os.environ["no_proxy"]
    environment = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"}
    told = subprocess.run(
        [sys.executable, "-c", "import flows, os; print(os.environ['no_proxy'])"],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert told.stdout.strip() == ",".join(LOOPBACK), told.stderr


def test_what_was_spared_before_still_is(monkeypatch: pytest.MonkeyPatch):
    spare_loopback()
    assert "NO_PROXY" not in os.environ and "no_proxy" not in os.environ  # nothing to spare it from
    monkeypatch.setenv("HTTPS_PROXY", NOBODY)
    monkeypatch.setenv("NO_PROXY", "example.org, localhost")
    spare_loopback()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "example.org,localhost,127.0.0.1,::1"
    spare_loopback()
    assert os.environ["no_proxy"] == "example.org,localhost,127.0.0.1,::1"
    assert all(requests.utils.should_bypass_proxies(f"https://{host}/", None) for host in ("example.org", *LOOPBACK[:2]))
    monkeypatch.setenv("no_proxy", "*")
    spare_loopback()
    assert os.environ["no_proxy"] == "*"


def test_a_proxy_that_is_right_is_used(monkeypatch: pytest.MonkeyPatch):
    with scripted(lambda request: as_json({"data": {"by": "proxy"}})) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        spare_loopback()
        assert Session(5.0).get("http://board.invalid/api").data == {"data": {"by": "proxy"}}
    assert [request.path for request in proxy.requests] == ["http://board.invalid/api"]
    assert proxy_of("https://board.invalid/api") is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("HTTP_PROXY", "http://[broken", "HTTP_PROXY: http://[broken: no address"),
        ("http_proxy", "http://proxy:port", "http_proxy: http://proxy:port: no address"),
        ("ALL_PROXY", "ftp://proxy:21", "ALL_PROXY: ftp://proxy:21: no address of a proxy, expected a proxy such as http://"),
        ("HTTP_PROXY", "://", "HTTP_PROXY: ://: no address"),
        ("HTTP_PROXY", "http://me:secret@proxy:x", "HTTP_PROXY: http://proxy:x: no address"),
    ],
)
def test_a_proxy_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str):
    monkeypatch.setenv(name, value)
    for ask in (
        lambda: Session(5.0).get("http://board.invalid/api"),
        lambda: Downloader(tmp_path).fetch("http://site.invalid/run.mp4", "abc"),
    ):
        with pytest.raises(InputError) as failure:
            ask()
        assert told in str(failure.value) and "\n" not in str(failure.value) and "secret" not in str(failure.value)
    config = load_config(None, ["runs.api_base=http://board.invalid/api"])
    (check,) = [check for check in doctor.examine(config) if check.name == "proxy"]
    assert check.verdict == "missing" and told in check.seen


def test_socks_wants_a_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy:1080")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    require_usable("http://site.invalid/")  # yt-dlp brings its own
    with pytest.raises(InputError, match="ALL_PROXY: socks5://proxy:1080: a SOCKS proxy needs the package PySocks"):
        require_usable("http://site.invalid/", "PySocks")


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    with pytest.raises(InputError, match=f"no answer through the proxy {NOBODY} of HTTP_PROXY"):
        Session(5.0, sleep=lambda seconds: None).get("http://board.invalid/api")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:secret@host:1/api/v1", "http://host:1/api/v1"),
        ("me:secret@proxy:3128", "proxy:3128"),
        ("http://me:se/cret@host/api", "http://host/api"),
        ("http://me:se?cr#et@host", "http://host"),
        ("no answer from http://me:secret@[broken and ftp://you@x", "no answer from http://[broken and ftp://x"),
        *((text, text) for text in ("https://site/@channel", "http://[::1]:8/@channel", "http://host:80/@channel", "://", "")),
    ],
)
def test_an_address_is_shown_without_user_and_password(text: str, shown: str):
    assert without_user(text) == shown
