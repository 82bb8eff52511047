"""Videos that are named in a file, or lie in a folder: what is read, what is left out and why, and what stays untouched."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from emurl.core.errors import InputError
from emurl.footage.download import local
from emurl.footage.leaderboard.pages import Shelf
from emurl.footage.leaderboard.rows import Collected
from emurl.footage.sources import addresses, folder
from emurl.footage.sources.entries import Bounds, collect
from emurl.footage.sources.listing import Listings
from tests.fixtures.drawn_videos import make_video
from tests.fixtures.http_server import ranged
from tests.fixtures.sites import sites
from tests.fixtures.video_sites import Clip, YouTube


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    made = tmp_path_factory.mktemp("made")
    return [make_video(made / f"{n}.mp4", 3.0 - n) for n in range(2)]


def of_file(file: Path, shelf: Shelf | None = None) -> Collected:
    listings = Listings(pause_s=0.0, retries=0)
    return collect(addresses.entries(file, listings, shelf or Shelf(None)), "urls", Bounds(50))


def test_a_file_of_addresses_is_asked_for_lengths_once(videos: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    youtube = YouTube([Clip("aaaaaaaaaa1", seconds=8), Clip("aaaaaaaaaa2", state="private"), Clip("aaaaaaaaaa3", state="live")])
    file = tmp_path / "urls.txt"
    file.write_text(
        "\ufeff# runs that I like\n\nhttps://youtu.be/aaaaaaaaaa1?t=30\n  https://files.example/run.mp4\n"
        "https://www.youtube.com/watch?v=aaaaaaaaaa1&feature=share\nhttps://youtu.be/aaaaaaaaaa2\nhttps://youtu.be/aaaaaaaaaa3\n"
        "https://www.youtube.com/watch?v=aaaaaaaaaa4\n"
    )
    shelf = Shelf(tmp_path / "shelf", 3600.0)
    with sites(tmp_path, youtube.sites() | {"files.example": lambda request: ranged(videos[0], request)}) as world:
        world.enter(monkeypatch)
        found = of_file(file, shelf)
        asked = len(world.asked)
        file.write_text("https://youtu.be/aaaaaaaaaa1\nhttps://files.example/run.mp4\n")
        assert [row.url for row in of_file(file, shelf).rows] == [row.url for row in found.rows] and len(world.asked) == asked
    assert [row.url for row in found.rows] == ["https://www.youtube.com/watch?v=aaaaaaaaaa1", "https://files.example/run.mp4"]
    first, second = found.rows
    assert (first.time_s, first.player, first.time_of) == (8.0, "Red", "video") and math.isnan(second.time_s)
    reasons = {str(one.url)[-1]: one.reason for one in found.dropped}
    assert reasons["1"] == "listed twice" and reasons["3"] == "live"
    assert reasons["2"].startswith("private: ") and reasons["4"].startswith("gone: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://youtu.be/aaaaaaaaaa1\nnot an address\n", r"line 2: 'not an address' is no address of a video"),
        ("\n\nhttps://www.youtube.com/playlist?list=PLx\n", r"line 3: .*of a search, a playlist or a channel: runs\.query"),
        ("file:///etc/passwd\n", r"line 1: 'file:///etc/passwd' is no address"),
        ("# nothing\n\n", "holds no address"),
        ("", "holds no address"),
        ("https://a.org/" + "x" * 3000, r"line 1: .{0,90} is no address"),
    ],
)
def test_a_line_that_is_no_address_is_named(tmp_path: Path, text: str, told: str):
    file = tmp_path / "urls.txt"
    file.write_text(text)
    with pytest.raises(InputError, match=rf"runs\.path: .*{told}") as failure:
        addresses.read_addresses(file)
    assert "\n" not in str(failure.value) and len(str(failure.value)) < 400


def test_a_file_that_is_none_is_one_line(tmp_path: Path):
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    for name, told in (("nope", "no such file"), ("latin", "no text in UTF-8"), ("", "cannot be read")):
        with pytest.raises(InputError, match=rf"runs\.path: .*{told}"):
            addresses.read_addresses(tmp_path / name)


def of_folder(place: Path) -> Collected:
    return collect(folder.entries(place), "folder", Bounds(50))


def test_a_folder_is_read_by_name_and_nothing_in_it_is_touched(videos: list[bytes], tmp_path: Path):
    place, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    for name in ("Red/slow.mp4", "quick.MP4", ".git/x.mp4", "Blue/again.mp4"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(videos[0 if "slow" in name or "again" in name else 1])
    elsewhere.mkdir()
    (elsewhere / "far.mkv").write_bytes(videos[0] + b"\0" * 8)
    (place / "notes.txt").write_text("hello")
    (place / "text.mp4").write_text("hello")
    (place / "empty.mp4").touch()
    (place / "._quick.mp4").write_bytes(b"\0\5\26\7")
    (place / "gathered.mkv").symlink_to(elsewhere / "far.mkv")
    (place / "dead.mp4").symlink_to("nowhere.mp4")
    (place / "circle").symlink_to(place)
    (place / "outside").symlink_to(elsewhere)
    os.mkfifo(place / "pipe.mp4")

    def state() -> dict[Path, tuple[int, ...]]:
        known = {path: path.lstat() for path in place.rglob("*")}
        return {path: (one.st_mode, one.st_ino, one.st_nlink, one.st_size, one.st_mtime_ns) for path, one in known.items()}

    before = state()
    found = of_folder(place)
    shown = [(row.url.rpartition("/")[2], row.player) for row in found.rows]
    assert shown[0] == ("quick.MP4", "unknown") and set(shown[1:]) == {("again.mp4", "Blue"), ("far.mkv", "unknown")}
    assert [row.time_s for row in found.rows] == pytest.approx([2.0, 3.0, 3.0], abs=0.1)
    assert {one.reason for one in found.dropped} == {
        "listed twice",
        "a link that leads nowhere",
        "not a file",
        "empty file",
        "not a video",
    }
    assert {row.url for row in found.rows if "far" in row.url} == {(elsewhere / "far.mkv").as_uri()}
    assert state() == before
    assert {(row.part, row.parts, row.time_of) for row in found.rows} == {(1, 1, "video")}


def test_names_of_any_kind_are_read_and_found_again(videos: list[bytes], tmp_path: Path):
    names = [b"50% #1?.mp4", "Pok\u00e9mon \u201cRed\u201d.mp4".encode(), b"latin \xe9.mp4"]
    for number, name in enumerate(names):
        (tmp_path / os.fsdecode(name)).write_bytes(videos[0] + bytes([number]))
    rows = of_folder(tmp_path).rows
    assert {os.fsencode(local.path_of(row.url).name) for row in rows} == set(names)
    for row in rows:
        assert local.take(row.url, row.video_id, run_s=row.time_s, parts=1, longest_gap_s=60.0).status == "ok"
    assert len(folder.contents(tmp_path)) == 3 and all(name.encode() for name in folder.contents(tmp_path))


def test_what_a_file_holds_counts_and_not_what_it_is_called(videos: list[bytes], tmp_path: Path):
    file = tmp_path / "a.mp4"
    file.write_bytes(videos[0])
    (row,) = of_folder(tmp_path).rows
    first = folder.contents(tmp_path)
    assert folder.contents(tmp_path) == first
    file.rename(tmp_path / "b.mp4")
    assert of_folder(tmp_path).rows[0].video_id == row.video_id and folder.contents(tmp_path) != first
    (tmp_path / "b.mp4").write_bytes(videos[1])
    assert of_folder(tmp_path).rows[0].video_id != row.video_id


def test_a_file_that_has_changed_or_gone_since_is_not_taken(videos: list[bytes], tmp_path: Path):
    file = tmp_path / "a.mp4"
    file.write_bytes(videos[0])
    (row,) = of_folder(tmp_path).rows

    def take() -> str:
        got = local.take(row.url, row.video_id, run_s=row.time_s, parts=1, longest_gap_s=60.0)
        return f"{got.status}: {got.reason}"

    assert take() == "ok: "
    file.write_bytes(videos[1])
    assert take() == "gone: the file is another than when the folder was read (run runs)"
    file.unlink()
    assert take().startswith("gone: there is no such file")
    file.write_bytes(videos[0][: len(videos[0]) // 5])
    (half,) = of_folder(tmp_path).rows
    assert (
        local.take(half.url, half.video_id, run_s=half.time_s, parts=1, longest_gap_s=60.0).status == "too_short"
        and file.exists()
    )


def test_a_folder_that_is_none_is_one_line(tmp_path: Path):
    (tmp_path / "file.mp4").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "others").mkdir()
    (tmp_path / "others/a.txt").touch()
    for name, told in (
        ("nope", "no such folder"),
        ("file.mp4", "is a file"),
        ("empty", "empty"),
        ("others", "1 files, none of them a video"),
    ):
        with pytest.raises(InputError, match=rf"runs\.path: .*{told}, expected") as failure:
            folder.videos_in(tmp_path / name)
        assert "\n" not in str(failure.value)
