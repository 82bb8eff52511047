"""Downloads over real HTTP: what is resumed, and what is refused and why."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest
import yt_dlp

from emurl import doctor
from emurl.core.config import load_config
from emurl.core.errors import InputError, WorkError
from emurl.footage.clock import clock_of
from emurl.footage.download import downloader as download
from emurl.footage.download import youtube
from emurl.footage.download.downloader import Download, Downloader, whole_runs
from emurl.footage.download.failures import STATUSES, sort_failure, wait_for
from emurl.footage.leaderboard.http import Session
from emurl.footage.video import NotAVideo, probe
from tests.fixtures.drawn_videos import SECONDS, make_sound, make_video
from tests.fixtures.http_server import Answer, Request, ranged, scripted
from tests.fixtures.tls import certificate


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_video(tmp_path_factory.mktemp("made") / "v.mp4")


def fetch(folder: Path, url: str, **options: object) -> Download:
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


def test_half_of_one_format_is_not_continued_with_half_of_another(tmp_path: Path):
    streams = {"a": make_video(tmp_path / "a.ts"), "b": make_video(tmp_path / "b.ts", SECONDS + 1)}
    size, broken = {"a": "1280x720", "b": "640x360"}, [True]

    def answer(request: Request) -> Answer:
        kind = {"Content-Type": "application/vnd.apple.mpegurl"}
        name = "a" if broken[0] else "b"  # the other format is not offered any more
        if request.path == "/run.m3u8":
            return Answer(f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION={size[name]}\n{name}.m3u8\n".encode(), headers=kind)
        if request.path.endswith(".m3u8"):
            one, two = (f"#EXTINF:6,\n{name}{part}.ts\n" for part in (1, 2))
            return Answer(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n{one}{two}#EXT-X-ENDLIST\n".encode(), headers=kind)
        data, second = streams[request.path[1]], request.path[2] == "2"
        if second and broken[0]:
            return Answer(b"", 500)
        middle = len(data) // 376 * 188  # between two packets
        return ranged(data[middle:] if second else data[:middle], request, "video/mp2t")

    with scripted(answer) as server:
        assert fetch(tmp_path / "in", f"{server.origin}/run.m3u8").status == "network"
        assert (tmp_path / "in" / "abc123.video.part").stat().st_size > 10_000
        broken[0] = False
        got = fetch(tmp_path / "in", f"{server.origin}/run.m3u8")
    assert got.status == "ok" and got.path is not None and got.path.read_bytes() == streams["b"]
    assert list((tmp_path / "in").iterdir()) == [got.path]


def test_fragments_that_are_there_are_not_fetched_again(tmp_path: Path):
    stream, broken, asked = make_video(tmp_path / "a.ts"), [True], []

    def answer(request: Request) -> Answer:
        asked.append(request.path)
        if request.path.endswith(".m3u8"):
            pieces = "".join(f"#EXTINF:3,\n{n}.ts\n" for n in range(4))
            text = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n{pieces}#EXT-X-ENDLIST\n"
            return Answer(text.encode(), headers={"Content-Type": "application/vnd.apple.mpegurl"})
        number, step = int(request.path[1]), len(stream) // 752 * 188
        if number == 2 and broken[0]:
            return Answer(b"", 500)
        return ranged(stream[number * step : None if number == 3 else (number + 1) * step], request, "video/mp2t")

    with scripted(answer) as server:
        assert fetch(tmp_path / "in", f"{server.origin}/run.m3u8").status == "network"
        broken[0], before = False, len(asked)
        got = fetch(tmp_path / "in", f"{server.origin}/run.m3u8")
    assert got.status == "ok" and got.path is not None and got.path.read_bytes() == stream
    assert {path for path in asked[before:] if path.endswith(".ts")} == {"/2.ts", "/3.ts"}


def test_what_is_locked_up_is_private(tmp_path: Path):
    key = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"'
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n{key}\n#EXTINF:9,\na.ts\n#EXT-X-ENDLIST\n".encode()
    kind = {"Content-Type": "application/vnd.apple.mpegurl"}
    with scripted(lambda request: Answer(text, headers=kind)) as server:
        got = fetch(tmp_path, f"{server.origin}/run.m3u8")
    assert got.status == "private" and "DRM" in got.reason


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
        ("Got error: HTTP Error 500: Internal Server Error. Giving up after 2 retries", "network"),
        ("Got error: HTTP Error 403: Forbidden. Giving up after 2 retries", "login"),
        ("[youtube] xDrMlogin_x: Video unavailable", "gone"),
        ("fragment 3 not found, unable to continue", "network"),
        ("[youtube] abc: Join this channel to get access to members-only content", "login"),
        ("[youtube] abc: The uploader has not made this video available in your country", "private"),
        ("[vimeo] 1: This video is protected by a password", "login"),
        ("[youtube] abc: This live event will begin in 3 hours.", "not_video"),
        ("[twitch:stream] red: The channel is not currently live", "not_video"),
        ("The extracted extension ('exe') is unusual and will be skipped for safety reasons", "not_video"),
    ],
)
def test_what_sites_say_is_sorted(words: str, expected: str):
    assert sort_failure([], words) == expected and expected in STATUSES


ASKS = "; please report this issue on  https://github.com/yt-dlp/yt-dlp/issues . Confirm you are on the latest version using  yt-dlp -U"


@pytest.mark.parametrize(
    ("words", "expected", "again"),
    [
        ("[youtube] abc: The page needs to be reloaded.", "outdated", False),
        (f"[youtube] abc: Unable to extract yt initial data{ASKS}", "outdated", False),
        (f"[x] abc: Failed to parse JSON{ASKS}", "outdated", False),
        (f"[x] abc: An extractor error has occurred. (caused by KeyError('a')){ASKS}", "outdated", False),
        ("ffmpeg exited with code 1", "setup", False),
        ("Postprocessing: ffprobe and ffmpeg not found. Please install or provide the path", "setup", False),
        ("[youtube] abc: No supported JavaScript runtime could be found", "setup", False),
        ("unable to download video data: HTTP Error 403: Forbidden", "network", True),
        ("[x] abc: Unable to download webpage: HTTP Error 403: Forbidden", "login", False),
        ("The downloaded file is empty", "network", True),
        ("Did not get any data blocks", "network", True),
        ("[generic] Unable to download webpage: [SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred", "network", True),
        ("[youtube] abc: Private video. Sign in if you've been granted access to this video", "private", False),
        ("[youtube:truncated_id] abc: Incomplete YouTube ID abc. URL looks truncated.", "not_video", False),
        ("[x] abc: Requested format is not available", "not_video", False),
    ],
)
@pytest.mark.parametrize("before", ["", "ERROR: "])
def test_what_yt_dlp_says_of_itself_is_sorted(before: str, words: str, expected: str, again: bool):
    assert sort_failure([], before + words) == expected and expected in STATUSES
    assert (wait_for(expected, [], words) is not None) == again


@pytest.mark.parametrize(("lacking", "expected"), [(["yt-dlp-ejs", "deno"], "setup"), ([], "outdated")])
def test_a_site_whose_challenges_are_not_solved_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: list[str], expected: str
):
    def refuse(*_: object) -> None:
        raise yt_dlp.utils.DownloadError("ERROR: [youtube] abc: Requested format is not available. Use --list-formats")

    monkeypatch.setattr(youtube, "missing", lambda: lacking)
    monkeypatch.setattr(yt_dlp.YoutubeDL, "download", refuse)
    got = fetch(tmp_path, "https://www.youtube.com/watch?v=abc")
    assert got.status == expected and got.wait_s is None
    assert ("yt-dlp-ejs and deno is missing (pip install -U 'emurl[youtube]')" in got.reason) == bool(lacking)


def test_what_youtube_needs_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "scripts"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = load_config(None, ["runs.api_base=http://127.0.0.1:9/api/v1"])
    assert youtube.missing() == ["yt-dlp-ejs", "deno"]
    check = doctor._sites(config)
    assert check.verdict == "warning" and "yt-dlp lacks yt-dlp-ejs and deno" in check.seen and check.mend == youtube.INSTALL
    assert doctor._sites(load_config(None, ["broadcast.port=0"])).verdict == "ok"  # the demo's videos need nothing
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "deno").write_text("#!/bin/sh\n")
    (tmp_path / "scripts" / "deno").chmod(0o755)
    assert youtube.missing() == ["yt-dlp-ejs"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert youtube.missing() == [] and doctor._sites(config).verdict == "ok"
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2020.1.1")
    assert "days old" in doctor._sites(config).seen


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
    sound = make_sound(tmp_path / "s.m4a")
    (tmp_path / "s.m4a").unlink()
    for kind in ("audio/mp4", "video/mp4"):  # said before it is fetched, and found out by looking
        with scripted(lambda request, kind=kind: ranged(sound, request, kind)) as server:
            got = fetch(tmp_path, f"{server.origin}/run.mp4")
        assert got.status == "not_video" and "audio" in got.reason and not list(tmp_path.iterdir())


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


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="no /dev/full")
def test_a_full_disk_stops_the_work(tmp_path: Path, video: bytes):
    (tmp_path / "abc123.video.part").symlink_to("/dev/full")  # every write to it: no space left on device
    with (
        scripted(lambda request: ranged(video, request)) as server,
        pytest.raises(WorkError, match=r"disk of .* is full; free some and run again"),
    ):
        fetch(tmp_path, f"{server.origin}/run.mp4")


def test_a_file_that_may_not_grow_is_a_full_disk_and_goes_on_later(tmp_path: Path, video: bytes):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with scripted(lambda request: ranged(video, request)) as server:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(video) // 2, before[1]))
            with pytest.raises(WorkError, match=r"disk of .* is full"):
                fetch(tmp_path, f"{server.origin}/run.mp4")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        held = (tmp_path / "abc123.video.part").stat().st_size
        assert 0 < held <= len(video) // 2
        got = fetch(tmp_path, f"{server.origin}/run.mp4")
        assert any(request.headers.get("range", "").startswith(f"bytes={held}-") for request in server.requests)
    assert got.path is not None and got.path.read_bytes() == video


@pytest.mark.parametrize("said", [1.5, 0.7])
def test_a_content_length_that_lies_is_found_out(video: bytes, tmp_path: Path, said: float):
    def answer(request: Request) -> Answer:
        reply = ranged(video, request)
        reply.length = round(len(reply.body) * said) if reply.body else None
        return reply

    with scripted(answer) as server:
        got = fetch(tmp_path, f"{server.origin}/run.mp4")
    # More than there is: the rest never comes. Less than there is: what was said to be all of it is cut short.
    assert got.status == ("network" if said > 1 else "too_short") and got.path is None and got.reason
    assert not list(tmp_path.glob("*.mp4"))


@pytest.mark.parametrize("status", [420, 429, 503])
def test_a_site_that_says_too_often_is_waited_for(video: bytes, tmp_path: Path, status: int):
    refusals = iter([{"Retry-After": "9"}, {}])
    slept: list[float] = []

    def answer(request: Request) -> Answer:
        headers = next(refusals, None)
        return ranged(video, request) if headers is None else Answer(b"slow down", status, headers)

    with scripted(answer) as server:
        loader = Downloader(tmp_path, retries=2, timeout_s=5.0, sleep=slept.append)
        got = loader.fetch(f"{server.origin}/run.mp4", "abc123", run_s=SECONDS)
    assert got.status == "ok" and slept == [9.0, 0.01]
    with scripted(lambda request: Answer(b"", status, {"Retry-After": "90000"})) as server:
        got = loader.fetch(f"{server.origin}/run.mp4", "other", run_s=SECONDS)
    assert got.status == "network" and len(slept) == 2  # a day is too long to wait for one video


def test_a_page_to_log_in_on_is_no_page_in_place_of_a_video(tmp_path: Path):
    def answer(request: Request) -> Answer:
        if request.path.startswith("/run"):
            return Answer(status=302, headers={"Location": "/login?next=run"})
        return Answer(b"<!doctype html><html><form><input type=password></form></html>", headers={"Content-Type": "text/html"})

    with scripted(answer) as server:
        assert fetch(tmp_path, f"{server.origin}/run.mp4").status == "login"


def cookies_for(path: Path, value: str = "open") -> str:
    path.write_text(f"# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsesame\t{value}\n")
    return str(path)


def test_cookies_open_a_wall_and_their_file_is_not_written_to(video: bytes, tmp_path: Path):
    file = cookies_for(tmp_path / "cookies.txt")
    before = (tmp_path / "cookies.txt").read_bytes()

    def answer(request: Request) -> Answer:
        if "sesame=open" not in request.headers.get("cookie", ""):
            return Answer(b"who are you", 403)
        reply = ranged(video, request)
        reply.headers["Set-Cookie"] = "seen=1; Max-Age=1000"
        return reply

    with scripted(answer) as server:
        assert fetch(tmp_path / "a", f"{server.origin}/run.mp4").status == "login"
        got = Downloader(tmp_path / "b", cookies=file).fetch(f"{server.origin}/run.mp4", "abc123", run_s=SECONDS)
    assert got.status == "ok" and (tmp_path / "cookies.txt").read_bytes() == before


def test_cookies_with_a_mark_of_their_encoding_are_read(video: bytes, tmp_path: Path):
    cookies_for(tmp_path / "cookies.txt")
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "cookies.txt").read_bytes())
    told: list[str] = []

    def answer(request: Request) -> Answer:
        told.append(request.headers.get("cookie", ""))
        return ranged(video, request)

    with scripted(answer) as server:
        Downloader(tmp_path / "a", cookies=str(tmp_path / "bom.txt")).fetch(f"{server.origin}/run.mp4", "abc123", run_s=SECONDS)
    assert told and all("sesame=open" in cookie for cookie in told)


def test_cookies_that_are_none_are_said_so(tmp_path: Path):
    for text, what in (
        (None, "no such file"),
        ("hello", "it does not look like"),
        ('{"a": 1}', "Netscape"),
        ("# Netscape HTTP Cookie File\n", "holds no cookie"),
    ):
        file = tmp_path / "cookies.txt"
        if text is not None:
            file.write_text(text)
        with pytest.raises(InputError, match=f"videos.cookies: .*{what}") as failure:
            Downloader(tmp_path / "a", cookies=str(file))
        assert "\n" not in str(failure.value) and "<" not in str(failure.value)


def test_a_rate_limit_is_kept(video: bytes, tmp_path: Path):
    limit = len(video) // 2
    with scripted(lambda request: ranged(video, request)) as server:
        began = time.monotonic()
        got = Downloader(tmp_path, rate_limit=limit).fetch(f"{server.origin}/run.mp4", "abc123", run_s=SECONDS)
    assert got.status == "ok" and 1.5 < time.monotonic() - began < 8


def test_a_certificate_that_cannot_be_trusted_is_not(video: bytes, tmp_path: Path):
    with scripted(lambda request: ranged(video, request), certificate(tmp_path)) as server:
        assert server.origin.startswith("https://")
        got = fetch(tmp_path / "videos", f"{server.origin}/run.mp4")
        with pytest.raises(InputError, match="certificate cannot be trusted"):
            Session(5.0, sleep=lambda seconds: None).get(f"{server.origin}/api/v1/games/x")
    assert got.status == "network" and "certificate" in got.reason.lower() and not server.requests


def hls(variants: list[str]) -> str:
    lines = ["#EXTM3U", '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="sound",DEFAULT=YES,URI="sound.m3u8"']
    for variant in variants:
        size, _, kind = variant.partition(" ")
        sound = ',AUDIO="aud"' if kind == "silent" else ""
        lines += [f'#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION={size},CODECS="avc1.64001f,mp4a.40.2"{sound}']
        lines += [f"{size}{kind}.m3u8"]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        (["640x360 sound", "1280x720 sound", "1920x1080 sound"], "1280x720sound"),
        (["640x360 silent", "1280x720 sound", "1280x720 silent", "1920x1080 silent"], "1280x720silent"),
        (["406x720 sound", "720x1280 sound", "1080x1920 sound"], "720x1280sound"),  # held upright
        (["1920x1080 sound", "2560x1440 sound"], "1920x1080sound"),  # nothing small: the smallest there is
        (["426x240 sound", "854x480 sound"], "854x480sound"),
    ],
)
def test_of_several_formats_the_largest_up_to_the_limit_and_without_sound(tmp_path: Path, offered: list[str], taken: str):
    stream = make_video(tmp_path / "v.ts")

    def answer(request: Request) -> Answer:
        if request.path == "/run.m3u8":
            return Answer(hls(offered).encode(), headers={"Content-Type": "application/vnd.apple.mpegurl"})
        if request.path.endswith(".m3u8"):
            name = request.path[1:].removesuffix(".m3u8")
            piece = f"#EXTM3U\n#EXT-X-TARGETDURATION:12\n#EXTINF:{SECONDS},\n{name}.ts\n#EXT-X-ENDLIST\n".encode()
            return Answer(piece, headers={"Content-Type": "application/vnd.apple.mpegurl"})
        return ranged(stream, request, "video/mp2t")

    with scripted(answer) as server:
        got = fetch(tmp_path / "videos", f"{server.origin}/run.m3u8")
        asked = [request.path for request in server.requests]
    assert got.status == "ok" and got.path is not None and got.path.name == "abc123.mpegts"
    assert [path for path in asked if path.endswith(".ts")] == [f"/{taken}.ts"]


def test_what_is_live_now_is_not_recorded(tmp_path: Path):
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\npiece.ts\n"  # no end

    def answer(request: Request) -> Answer:
        return Answer(playlist, headers={"Content-Type": "application/vnd.apple.mpegurl"})

    with scripted(answer) as server:
        got = fetch(tmp_path, f"{server.origin}/run.m3u8")
        assert not any("piece" in request.path for request in server.requests)
    assert (got.status, got.reason) == ("not_video", "a live stream, not a recording")


def test_a_video_much_longer_than_its_run_is_mostly_something_else(video: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download, "LONGER_S", 1.0)
    with scripted(lambda request: ranged(video, request)) as server:
        got = Downloader(tmp_path).fetch(f"{server.origin}/run.mp4", "abc123", run_s=5.0)
        assert got.status == "too_long" and not list(tmp_path.iterdir())
        assert Downloader(tmp_path).fetch(f"{server.origin}/run.mp4", "abc123", run_s=6.0).status == "ok"


def test_parts_of_a_run_are_judged_together():
    def part(held: float) -> Download:
        return Download("ok", held_s=held, path=Path("x"))

    rows = [("whole", 100.0, 2), ("whole", 100.0, 2), ("short", 100.0, 2), ("short", 100.0, 2), ("lost", 100.0, 2), ("lost", 100.0, 2),
            ("one", 100.0, 1)]  # fmt: skip
    found = [part(60), part(45), part(30), part(45), part(20), Download("gone", "removed"), part(99)]
    judged = whole_runs(rows, found)
    assert [one.status for one in judged] == ["ok", "ok", "too_short", "too_short", "ok", "gone", "ok"]
    assert judged[2].reason == "its 2 parts hold 75.0 s for a run of 100.0 s" and judged[2].path is None
    assert judged[4].reason == "kept, though only 1 of the run's 2 parts are there" and judged[0] is found[0]


def test_an_extractor_that_breaks_costs_one_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(self: object, urls: list[str]) -> None:
        raise KeyError("videoDetails")

    monkeypatch.setattr(download.yt_dlp.YoutubeDL, "download", broken)
    got = fetch(tmp_path, "http://127.0.0.1:9/run.mp4")
    assert got.status == "not_video" and "KeyError" in got.reason


def test_what_a_file_holds_is_read_from_its_packets(video: bytes, tmp_path: Path):
    half = tmp_path / "half.mp4"
    half.write_bytes(video[: len(video) // 2])
    assert probe(half).duration_s == pytest.approx(SECONDS, abs=0.1)
    assert 3 < clock_of(half, 60.0).held_s < 9
    with pytest.raises(NotAVideo, match="empty"):
        half.write_bytes(b"")
        probe(half)
    with pytest.raises(NotAVideo, match="no such file"):
        probe(tmp_path / "none.mp4")
    half.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(NotAVideo):
        probe(half)
