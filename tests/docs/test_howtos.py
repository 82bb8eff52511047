"""The how-tos are followed: their files are written into a copy of the house, their commands run, their output looked for."""

import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from emurl.bench.synthetic import synthetic_screens
from emurl.core.artifact import sha256_of
from emurl.core.store import Store
from tests.extending.test_pipeline import COUNT, TABLE, TOTAL
from tests.fixtures.drawn_videos import make
from tests.fixtures.house import ROOT, build_house
from tests.fixtures.http_server import ranged
from tests.fixtures.learning import walks, write_frames
from tests.fixtures.rom import rom_bytes
from tests.fixtures.shard_videos import RATE, stream, write_video
from tests.fixtures.sites import CUSTOMIZE, sites
from tests.fixtures.store import CREDENTIALS, facts, make_bucket, s3_server
from tests.fixtures.video_sites import Archive, Clip, Twitch, YouTube
from tests.fixtures.walkthrough import Block, blocks, follow, shows

PAGES = {page.stem: page.read_text() for page in sorted((ROOT / "docs/howto").glob("*.md"))}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the house with the docs and the settings, a small frames artifact in its store."""
    folder = build_house(tmp_path_factory.mktemp("house")).folder
    for part in ("configs", "docs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("_build", "api"))
    store = Store(folder / "data")
    fingerprint = sha256_of("frames")
    with store.making("speedrun", "frames", fingerprint) as output:
        write_frames(output.folder, walks(3, 40))
        store.publish(output, facts("speedrun", "frames", fingerprint))
    return folder


@pytest.mark.slow
def test_adding_a_stage(copy):
    assert follow(PAGES["add-a-stage"], copy) >= 8
    assert "`shades.frames`" in (copy / "docs/settings.md").read_text()
    assert "share of the pixels of the rarest shade" in (copy / "docs/metrics.md").read_text()
    assert "name: census" in (copy / "prefect.yaml").read_text()


def test_adding_a_game(copy):
    (copy / "roms").mkdir()
    (copy / "roms/dot.gb").write_bytes(rom_bytes("DOT"))
    assert follow(PAGES["add-a-game"], copy) == 2


@pytest.mark.slow
def test_adding_an_agent(copy):
    assert follow(PAGES["add-an-agent"], copy) == 4


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """An S3 server on loopback with a bucket called `runs`: the environment in which commands find it."""
    with pytest.MonkeyPatch.context() as patch, s3_server() as (url, _):
        environment = CREDENTIALS | {"AWS_ENDPOINT_URL": url}
        for name, value in environment.items():
            patch.setenv(name, value)
        make_bucket("runs")
        yield environment | {"EMURL_CACHE": str(tmp_path_factory.mktemp("this-machine"))}


def test_scaling_up(bucket, tmp_path):
    """With the settings of a pipeline that takes no time: what the page says of a store holds for any."""
    house = build_house(tmp_path)
    for name, text in (("__init__", TABLE), ("count", COUNT), ("total", TOTAL)):
        house.add(f"emurl/pipelines/toy/{name}.py", text)
    house.add("configs/demo.yaml", "pipeline: toy\ntracking: {tensorboard: false, wandb: false}\n")
    assert follow(PAGES["scale-up"], house.folder, **bucket) == 5


@pytest.mark.slow
def test_running_the_baseline(copy):
    assert follow(PAGES["baseline"], copy) == 4


@pytest.mark.slow
def test_searching_settings(copy):
    assert follow(PAGES["sweep"], copy) == 5


@pytest.mark.slow
def test_troubleshooting(copy, bucket):
    assert follow(PAGES["troubleshoot"], copy, **bucket) >= 14


@pytest.mark.slow
def test_bringing_pokemon_red(copy):
    assert follow(PAGES["pokemon-red"], copy) == 3


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_bringing_footage_from_anywhere(tmp_path):
    """With the sites that the page names on loopback, and short videos of a game on them."""
    house = build_house(tmp_path / "house").folder
    shutil.copytree(ROOT / "configs", house / "configs")
    (house / "sitecustomize.py").write_text(CUSTOMIZE)
    (house / "my-runs").mkdir()
    for number in range(2):
        write_video(house / f"my-runs/{number}.mp4", map(stream, synthetic_screens(6 * RATE, number)))
        make(house / f"{number}.ts", "-i", str(house / f"my-runs/{number}.mp4"), "-c", "copy")
    videos = [(house / f"my-runs/{number}.mp4").read_bytes() for number in range(2)]
    youtube = YouTube([Clip(f"aaaaaaaaaa{number + 1}", data, 6) for number, data in enumerate(videos)])
    twitch = Twitch("red", [Clip(f"1{number}", (house / f"{number}.ts").read_bytes(), 6) for number in range(2)])
    archive = Archive("speedruns", {f"item{number}": [Clip("v.mp4", data, 6)] for number, data in enumerate(videos)})
    by_host = {
        **youtube.sites(),
        **twitch.sites(),
        **archive.sites(),
        "files.example": lambda request: ranged(videos[1], request),
    }
    with sites(tmp_path, by_host) as world:
        assert follow(PAGES["footage"], house, **world.environment) == 13


def test_lines_that_are_only_quoted_are_in_the_code():
    source = " ".join("".join(file.read_text() for file in sorted((ROOT / "emurl").rglob("*.py"))).split())
    source = re.sub(r'" f?"', "", source)
    for name, page in PAGES.items():
        for before, block in pairwise([Block("", ""), *blocks(page)]):
            if block.language != "text" or (before.language != "text" and before.language in ("bash", "python")):
                continue
            for part in re.split(r"…|\n", block.text):
                assert " ".join(part.split()).strip("():; ") in source, f"{name}: {part}"


def test_a_page_that_promises_too_much_is_caught(tmp_path):
    assert follow("```bash\necho one two\n```\n\n```text\none … two\n```\n", tmp_path) == 1
    with pytest.raises(AssertionError, match="promised"):
        follow("```bash\necho one\n```\n\n```text\ntwo\n```\n", tmp_path)
    with pytest.raises(AssertionError, match="exit 3"):
        follow("```bash\nexit 3\n```\n", tmp_path)
    assert follow("```bash\nexit 3  # exit 3\n```\n", tmp_path) == 1
    assert not shows("a … c", "a b\nc")
    (block,) = blocks("```python\n# deep/one.py\nx = 1\n```\n")
    assert block.place == "deep/one.py"
