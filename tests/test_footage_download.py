"""Downloads over real HTTP: what is resumed, and what is refused and why."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest
from footage_server import Answer, Request, ranged, scripted

from emurl.errors import WorkError
from emurl.speedruns import download
from emurl.speedruns.download import Downloader
from emurl.speedruns.video import NotAVideo, held_s, probe

SECONDS = 12.0


def make(path: Path, *options: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *options, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.read_bytes()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    source = f"testsrc2=size=320x180:rate=15:duration={SECONDS}"
    # Noise, so that there are bytes to cut off in the middle.
    return make(
        tmp_path_factory.mktemp("made") / "v.mp4", "-f", "lavfi", "-i", source, "-vf", "noise=alls=30:allf=t", "-c:v", "libx264",
        "-preset", "ultrafast", "-g", "15", "-movflags", "+faststart",
    )  # fmt: skip


def fetch(folder: Path, url: str, **options: object) -> download.Download:
    return Downloader(folder, retries=2, timeout_s=5.0).fetch(url, "abc123", run_s=SECONDS, **options)


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_pause", lambda n: 0.01)


def test_a_video_arrives_whole_and_is_not_fetched_twice(video: bytes, tmp_path: Path):
    told: list[tuple[int, int | None]] = []
    with scripted(lambda request: ranged(video, request)) as server:
        got = fetch(tmp_path, f"{server.origin}/run.mp4", progress=lambda done, total: told.append((done, total)))
        asked = len(server.requests)
        again = fetch(tmp_path, f"{server.origin}/run.mp4")
    assert got.status == "ok" and got.path is not None and got.path.read_bytes() == video
    assert got.path.name == "abc123.mp4" and sorted(tmp_path.iterdir()) == [got.path]
    assert got.facts is not None and (got.facts.width, got.facts.height) == (320, 180)
    assert got.facts.duration_s == pytest.approx(SECONDS, abs=0.1)
    assert told[-1] == (len(video), len(video))
    assert again.status == "ok" and len(server.requests) == asked


def test_a_connection_cut_in_the_middle_is_resumed_to_the_same_bytes(video: bytes, tmp_path: Path):
    cut: list[int] = []

    def answer(request: Request) -> Answer:
        reply = ranged(video, request)
        if request.method == "GET" and len(reply.body) == len(video) and len(cut) < 2:
            cut.append(1)  # the first look of the extractor, and the first try at the download
            reply.stop_after = len(video) // 2
        return reply

    with scripted(answer) as server:
        got = fetch(tmp_path, f"{server.origin}/run.mp4")
    assert got.status == "ok" and got.path is not None and got.path.read_bytes() == video
    starts = [int(request.headers["range"][6:].split("-")[0]) for request in server.requests if "range" in request.headers]
    assert starts and all(0 < start <= len(video) // 2 for start in starts)  # none of them from the beginning


def test_a_killed_download_goes_on_where_it_stopped(video: bytes, tmp_path: Path):
    (tmp_path / "abc123.video.part").write_bytes(video[:5000])
    with scripted(lambda request: ranged(video, request)) as server:
        got = fetch(tmp_path, f"{server.origin}/run.mp4")
        assert any(request.headers.get("range", "").startswith("bytes=5000-") for request in server.requests)
    assert got.path is not None and got.path.read_bytes() == video


@pytest.mark.parametrize(
    ("status", "expected"), [(404, "gone"), (410, "gone"), (401, "login"), (403, "login"), (500, "network"), (503, "network")]
)
def test_refusals_are_sorted(status: int, expected: str, tmp_path: Path):
    with scripted(lambda request: Answer(b"no", status)) as server:
        got = fetch(tmp_path, f"{server.origin}/run.mp4")
    assert (got.status, got.path) == (expected, None) and str(status) in got.reason and "\n" not in got.reason


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("[youtube] abc: Sign in to confirm your age. Use --cookies", "login"),
        ("[youtube] abc: Private video. The owner", "private"),
        ("[x] abc: This video is DRM protected", "private"),
        ("[youtube] abc: Video unavailable. This video has been removed by the uploader", "gone"),
        ("[twitch:vod] 1: Video 1 does not exist", "gone"),
        ("Unsupported URL: https://example.org/", "not_video"),
        ("Unable to download webpage: timed out", "network"),
    ],
)
def test_what_sites_say_is_sorted(words: str, expected: str):
    assert download.sort_failure([], words) == expected


def test_nobody_there_is_a_matter_of_the_network(tmp_path: Path):
    got = fetch(tmp_path, "http://127.0.0.1:9/run.mp4")
    assert got.status == "network"


def test_a_page_in_place_of_a_video(tmp_path: Path):
    page = b"<!doctype html><html><body><h1>Log in to watch</h1></body></html>"
    with scripted(lambda request: Answer(page, headers={"Content-Type": "text/html"})) as server:
        got = fetch(tmp_path, f"{server.origin}/run.mp4")
    assert got.status == "not_video" and not list(tmp_path.iterdir())
    with scripted(lambda request: Answer(page, headers={"Content-Type": "video/mp4"})) as server:
        got = fetch(tmp_path, f"{server.origin}/run.mp4")
    assert got.status == "not_video" and not list(tmp_path.glob("*.mp4"))


def test_an_empty_file(tmp_path: Path):
    with scripted(lambda request: ranged(b"", request)) as server:
        got = fetch(tmp_path, f"{server.origin}/run.mp4")
    assert got.status == "not_video" and got.path is None and not list(tmp_path.glob("*.mp4"))


def test_a_file_cut_short_on_the_server_is_found_out(video: bytes, tmp_path: Path):
    with scripted(lambda request: ranged(video[: len(video) // 3], request)) as server:
        got = fetch(tmp_path, f"{server.origin}/run.mp4")
    assert got.status == "too_short" and "its header says 12.0 s" in got.reason and not list(tmp_path.iterdir())


def test_a_video_shorter_than_its_run(video: bytes, tmp_path: Path):
    with scripted(lambda request: ranged(video, request)) as server:
        loader = Downloader(tmp_path, timeout_s=5.0)
        assert loader.fetch(f"{server.origin}/run.mp4", "whole", run_s=120.0).status == "too_short"
        assert loader.fetch(f"{server.origin}/run.mp4", "part", run_s=120.0, parts=9).status == "ok"


def test_sound_alone_is_no_video(tmp_path: Path):
    sound = make(tmp_path / "s.m4a", "-f", "lavfi", "-i", "sine=duration=12", "-c:a", "aac")
    (tmp_path / "s.m4a").unlink()
    with scripted(lambda request: ranged(sound, request, "audio/mp4")) as server:
        got = fetch(tmp_path, f"{server.origin}/run.mp4")
    assert got.status == "not_video" and "audio" in got.reason


def test_nothing_a_server_says_leaves_the_folder(video: bytes, tmp_path: Path):
    folder = tmp_path / "in"
    hostile = {"Content-Disposition": 'attachment; filename="../../evil%(id)s.sh"', "Content-Type": "video/mp4"}

    def answer(request: Request) -> Answer:
        reply = ranged(video, request)
        reply.headers.update(hostile)
        return reply

    with scripted(answer) as server:
        got = fetch(folder, f"{server.origin}/..%2f..%2fevil.mp4?file=../../x%00.sh")
    assert got.status == "ok" and [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["abc123.mp4"]
    for name in ("../x", "a/b", "", "x" * 65, "a.b"):
        with pytest.raises(ValueError, match="safe file name"):
            Downloader(folder).fetch("http://127.0.0.1:9/", name)


def test_a_full_disk_stops_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video: bytes):
    def full(self: object, urls: list[str]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.yt_dlp.YoutubeDL, "download", full)
    with pytest.raises(WorkError, match=r"disk of .* is full"):
        fetch(tmp_path, "http://127.0.0.1:9/run.mp4")


def test_what_a_file_holds_is_read_from_its_packets(video: bytes, tmp_path: Path):
    half = tmp_path / "half.mp4"
    half.write_bytes(video[: len(video) // 2])
    assert probe(half).duration_s == pytest.approx(SECONDS, abs=0.1)
    assert 3 < held_s(half) < 9
    with pytest.raises(NotAVideo, match="empty"):
        half.write_bytes(b"")
        probe(half)
    with pytest.raises(NotAVideo, match="no such file"):
        probe(tmp_path / "none.mp4")
    half.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(NotAVideo):
        probe(half)
