"""YouTube, Twitch and the Internet Archive through yt-dlp's own extractors, over TLS and a proxy on loopback, answers as recorded ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from emurl.core.errors import InputError, WorkError
from emurl.footage.leaderboard.pages import Shelf
from emurl.footage.leaderboard.rows import Collected
from emurl.footage.sources import archive
from emurl.footage.sources.entries import Bounds, Entry, collect
from emurl.footage.sources.gather import Wanted, gather, twitch_address, youtube_address
from emurl.footage.sources.listing import Listings
from tests.fixtures.http_server import Answer, as_json
from tests.fixtures.sites import Site, World, sites
from tests.fixtures.video_sites import Archive, Clip, Twitch, YouTube

CLIPS = [
    Clip("aaaaaaaaaa1", seconds=8), Clip("aaaaaaaaaa2", seconds=7), Clip("aaaaaaaaaa3", state="live"),
    Clip("aaaaaaaaaa4", seconds=6, state="private"), Clip("aaaaaaaaaa5", seconds=5, state="deleted"),
    Clip("aaaaaaaaaa6", seconds=9, state="members"), Clip("aaaaaaaaaa7", state="upcoming"), Clip("aaaaaaaaaa1", seconds=8),
    Clip("aaaaaaaaaa8", seconds=4),
]  # fmt: skip
Up = Callable[[dict[str, Site]], World]


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts sites up for the length of a test."""
    opened = []

    def serve(by_host: dict[str, Site]) -> World:
        opened.append(sites(tmp_path, by_host))
        world = opened[-1].__enter__()
        world.enter(monkeypatch)
        return world

    yield serve
    for one in opened:
        one.__exit__(None, None, None)


def listed(source: str, query: str, shelf: Shelf | None = None, listings: Listings | None = None, **bounds: float) -> Collected:
    listings = listings or Listings(pause_s=0.0, retries=0)
    return gather(
        Wanted(source, query, "", int(bounds.pop("listed", 100)), Bounds(int(bounds.pop("runs", 50)), **bounds)), listings,
        shelf or Shelf(None),
    )  # fmt: skip


def numbers(found: Collected) -> list[str]:
    return [row.url[-1] for row in found.rows]


def left_out(found: Collected) -> dict[str, str]:
    return {str(one.url)[-1]: one.reason for one in found.dropped}


def test_a_search_is_read_by_its_pages_as_far_as_it_is_needed(up: Up):
    youtube = YouTube(CLIPS)
    up(youtube.sites())
    first = listed("youtube", "pokemon red speedrun", runs=2)
    assert numbers(first) == ["2", "1"] and len(youtube.queries) == 1 and "runs.max_runs" in first.left_out
    assert youtube.queries[0]["query"] == "pokemon red speedrun"
    whole = listed("youtube", "pokemon red speedrun")
    # A search says nothing of what is private or gone: the download finds out.
    assert numbers(whole) == ["8", "5", "4", "2", "1"] and [row.time_s for row in whole.rows] == [4, 5, 6, 7, 8]
    assert [one.reason for one in whole.dropped] == ["live", "for members", "not begun yet", "listed twice"]
    assert {(row.time_of, row.player, row.part, row.parts, row.date) for row in whole.rows} == {("video", "Red", 1, 1, None)}
    assert whole.rows[0].url == "https://www.youtube.com/watch?v=aaaaaaaaaa8" and whole.runs == 9
    assert whole.rows == listed("youtube", "pokemon red speedrun").rows


@pytest.mark.parametrize("query", [YouTube.PLAYLIST, f"https://youtube.com/playlist?list={YouTube.PLAYLIST}"])
def test_of_a_playlist_what_is_private_removed_or_live_is_left_out_with_its_reason(up: Up, query: str):
    up(YouTube(CLIPS).sites())
    found = listed("youtube", query)
    assert numbers(found) == ["8", "2", "1"]
    assert left_out(found) == {
        "3": "live", "4": "private", "5": "removed", "6": "for members", "7": "not begun yet", "1": "listed twice"
    }  # fmt: skip


def test_who_has_an_account_is_not_told_what_is_for_members(up: Up, tmp_path: Path):
    up(YouTube(CLIPS).sites())
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t1999999999\tsesame\topen\n")
    before = cookies.read_bytes()
    found = listed("youtube", YouTube.PLAYLIST, listings=Listings(pause_s=0.0, retries=0, cookies=str(cookies)))
    assert numbers(found) == ["8", "2", "1", "6"] and cookies.read_bytes() == before


def test_cookies_go_to_the_site_and_only_there(up: Up, tmp_path: Path):
    world = up(YouTube(CLIPS).sites() | Twitch("red", [Clip("11")]).sites())
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t1999999999\tsesame\topen\n")
    listings = Listings(pause_s=0.0, retries=0, cookies=str(cookies))
    listed("youtube", "red", listings=listings)
    listed("twitch", "red", listings=listings)
    sent = {request.headers["host"]: request.headers.get("cookie", "") for request in world.server.requests}
    assert "sesame=open" in sent["www.youtube.com"] and "sesame" not in sent["gql.twitch.tv"]


@pytest.mark.parametrize(
    "query", ["Red", "https://www.twitch.tv/red", "twitch.tv/red/videos", "https://m.twitch.tv/red/videos?filter=all"]
)
def test_a_channels_videos_are_read_by_their_pages(up: Up, query: str):
    up(Twitch("red", [Clip("11", seconds=8), Clip("12", state="live"), Clip("13", seconds=9), Clip("14", seconds=3)]).sites())
    found = listed("twitch", query)
    assert numbers(found) == ["4", "1", "3"] and left_out(found) == {"2": "live"}
    assert {(row.player, row.time_of) for row in found.rows} == {("red", "video")}
    assert found.rows[0].url == "https://www.twitch.tv/videos/14"


def test_a_collections_items_may_hold_several_videos_or_none(up: Up):
    held = {
        "one": [Clip("a.mp4", seconds=8)], "two": [Clip("x.mp4", seconds=7), Clip("y 1+2.mp4", seconds=9)],
        "locked": [Clip("z.mp4", state="private")], "sound": [Clip("z.mp3")],
    }  # fmt: skip
    site = Archive("speedruns", held)
    world = up(site.sites())
    found = listed("archive", "speedruns")
    assert [row.url for row in found.rows] == [
        "https://archive.org/details/two/x.mp4", "https://archive.org/details/one", "https://archive.org/details/two/y%201%2B2.mp4"
    ]  # fmt: skip
    assert [(row.time_s, row.player, row.date) for row in found.rows] == [
        (seconds, "Blue", "2019-05-06") for seconds in (7, 8, 9)
    ]
    assert [one.reason for one in found.dropped] == ["holds no video that is open to all"] * 2
    assert "mediatype:movies" in site.searches[0] and 'collection:"speedruns"' in site.searches[0]
    for same in ("https://archive.org/details/speedruns", "archive.org/details/speedruns?tab=collection"):
        assert listed("archive", same).rows == [type(row)(**{**vars(row), "category": same}) for row in found.rows]
    asked = len(world.asked)
    assert len(listed("archive", "two").rows) == 2 and len(world.asked) == asked + 3  # an item by itself
    assert len(listed("archive", "title:(pokemon red)").rows) == 3 and "(title:(pokemon red)) AND" in site.searches[-1]
    with pytest.raises(InputError, match=r"runs\.query: title:\(\(: the Internet Archive says: \[Parse error\] unbalanced"):
        listed("archive", "title:((")


def test_a_long_collection_is_read_page_by_page_and_no_further_than_needed(up: Up, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive, "PAGE", 2)
    site = Archive("speedruns", {f"item{n}": [Clip("v.mp4", seconds=5 + n)] for n in range(5)})
    up(site.sites())
    assert len(listed("archive", "speedruns", runs=2).rows) == 2 and len(site.searches) == 1
    assert len(listed("archive", "speedruns").rows) == 5 and len(site.searches) == 1 + 3
    assert len(listed("archive", "speedruns", listed=3).rows) == 3


def test_what_items_hold_is_not_asked_for_twice(up: Up, tmp_path: Path):
    world = up(Archive("speedruns", {"one": [Clip("a.mp4")], "two": [Clip("b.mp4")]}).sites())
    shelf = Shelf(tmp_path / "shelf", 3600.0)
    first = listed("archive", "speedruns", shelf)
    asked = len(world.asked)
    again = listed("archive", "speedruns", shelf)
    assert again.rows == first.rows and asked == 5 and len(world.asked) == asked + 1


@pytest.mark.parametrize(
    ("source", "query", "told"),
    [
        ("youtube", "PLnonononono01", "The playlist does not exist"),
        ("twitch", "nobody", 'Channel "nobody" not found'),
    ],
)
def test_a_listing_that_is_none_is_one_line(up: Up, source: str, query: str, told: str):
    up(YouTube(CLIPS).sites() | Twitch("red", []).sites())
    with pytest.raises(InputError, match=told) as failure:
        listed(source, query)
    assert "runs.query" in str(failure.value) and "\n" not in str(failure.value)


def test_a_site_that_fails_is_asked_again_and_then_given_up(up: Up):
    youtube = YouTube(CLIPS)
    up(youtube.sites())
    youtube.broken = 2
    listings = Listings(pause_s=0.0, retries=2, sleep=lambda seconds: None)
    assert len(listed("youtube", "red", listings=listings).rows) == 5
    youtube.broken = 99
    with pytest.raises(WorkError, match=r"503.*\(network\); the same command tries again") as failure:
        listed("youtube", "red", listings=listings)
    assert "\n" not in str(failure.value)


def test_who_asks_for_patience_gets_it(up: Up):
    site = Twitch("red", [Clip("11")])
    refusals = [Answer(b"", 429, {"Retry-After": "7"})]
    slept: list[float] = []
    up(site.sites() | {site.HOST: lambda request: refusals.pop() if refusals else site.gql(request)})
    found = listed("twitch", "red", listings=Listings(pause_s=0.0, retries=1, sleep=slept.append))
    assert len(found.rows) == 1 and slept == [7.0]


def test_requests_keep_their_distance_and_are_counted(up: Up):
    world = up(Twitch("red", [Clip(str(n)) for n in range(11, 17)]).sites())
    listings = Listings(pause_s=0.3, retries=0)
    began = time.monotonic()
    assert len(listed("twitch", "red", listings=listings).rows) == 6
    assert listings.requests == len(world.asked) == 3 and time.monotonic() - began >= 0.6


def test_lengths_bound_what_is_taken_and_the_limit_counts_what_is_left(up: Up):
    up(Twitch("red", [Clip(str(10 + n), seconds=n) for n in (1, 9, 5, 7, 3)]).sites())
    found = listed("twitch", "red", runs=2, shortest_s=4, longest_s=8)
    assert [row.time_s for row in found.rows] == [5, 7]
    assert [one.reason for one in found.dropped] == ["shorter than runs.shortest_s", "longer than runs.longest_s"]


def test_what_yt_dlp_did_not_foresee_is_one_line(up: Up):
    up({Twitch.HOST: lambda request: as_json([{"data": {"collection": None}}])})
    with pytest.raises(
        WorkError, match=r"yt-dlp cannot read it \(AttributeError: .*\(outdated\); pip install -U yt-dlp"
    ) as failure:
        listed("twitch", "https://www.twitch.tv/collections/abc")
    assert "\n" not in str(failure.value)


def test_lengths_that_are_none_are_not_known_and_come_last():
    given = [
        Entry("https://a.org/1", math.inf),
        Entry("https://a.org/2", -3.0),
        Entry("https://a.org/3", 5.0),
        Entry("https://a.org/4"),
    ]
    rows = collect(given, "x", Bounds(9)).rows
    assert rows[0].time_s == 5.0 and all(math.isnan(row.time_s) for row in rows[1:])
    assert [row.run_id for row in rows[1:]] == sorted(row.run_id for row in rows[1:])


@pytest.mark.parametrize(
    ("query", "address"),
    [
        ("pokemon red", "ytsearch9:pokemon red"),
        ("any%: glitchless?", "ytsearch9:any%: glitchless?"),
        ("https://www.youtube.com/@red/videos", "https://www.youtube.com/@red/videos"),
        ("youtube.com/playlist?list=PLx", "https://youtube.com/playlist?list=PLx"),
    ],
)
def test_what_is_asked_of_youtube(query: str, address: str):
    assert youtube_address(query, 9) == address


@pytest.mark.parametrize(
    ("meant", "query"),
    [
        (lambda query: youtube_address(query, 9), "https://vimeo.com/1"), (lambda query: youtube_address(query, 9), "https://www.youtube.com/"),
        (lambda query: youtube_address(query, 9), "ftp://youtube.com/x"), (lambda query: youtube_address(query, 9), "https://[::1/x"),
        (twitch_address, "two words"), (twitch_address, "https://www.twitch.tv/"), (twitch_address, "https://vimeo.com/red"),
        (twitch_address, "https://www.twitch.tv/red/about"), (archive.search_of, "https://archive.org/search?query=x"),
        (archive.search_of, "https://example.org/details/x"),
    ],
)  # fmt: skip
def test_a_query_that_is_none_is_one_line(meant: Callable[[str], str], query: str):
    with pytest.raises(InputError, match=r"runs\.query: .*expected") as failure:
        meant(query)
    assert "\n" not in str(failure.value)
