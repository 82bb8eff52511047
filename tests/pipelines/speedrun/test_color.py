"""The whole pipeline on a color game, in color: a leaderboard on loopback whose runs are played on a Game Boy Color."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from emurl.core.config import load_config
from emurl.core.store import Store
from emurl.games.mossdale.broadcast import Broadcast
from emurl.games.settings import BroadcastSettings
from emurl.play import watch
from emurl.screen import ScreenSpec
from tests.fixtures.color_rom import write_color_rom
from tests.fixtures.tiny import SETTINGS, Tiny

pytestmark = pytest.mark.slow
COLOR = ScreenSpec(channels=3, shades=256)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Tiny:
    folder = tmp_path_factory.mktemp("color")
    rom = write_color_rom(folder)
    with Broadcast(BroadcastSettings(runs=5, port=0, cache=str(folder / "broadcast")), rom=rom) as leaderboard:
        settings = yaml.safe_load(SETTINGS.format(store=folder / "whole", port=0, cache=folder))
        del settings["broadcast"]  # it is a site like any other
        settings["emulator"]["rom"] = str(rom)
        settings["runs"]["api_base"] = leaderboard.api_base
        settings["screen"] = {"channels": COLOR.channels, "shades": COLOR.shades}
        job = Tiny(folder / "whole.yaml")
        job.settings.write_text(yaml.safe_dump(settings))
        assert job.start().wait(1500) == 0, job.log.read_text()
    return job


def colorful(path, least: float) -> bool:
    """Whether at least that share of a picture is clearly no gray."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return float((np.ptp(picture, axis=2) > 30).mean()) > least


@pytest.mark.timeout(1800)
def test_every_stage_is_in_color(done):
    store = Store(done.store)
    for stage in ("frames", "tokenizer", "dynamics", "reward", "behavior"):
        assert ScreenSpec.from_dict(json.loads(store.get(stage).path("screen.json").read_text())) == COLOR, stage
    for stage in ("behavior", "policy"):
        assert json.loads(store.get(stage).path("play.json").read_text())["screen"] == COLOR.to_dict(), stage
    frames = store.get("frames").metrics
    assert frames["videos"] == 2 and frames["bytes_per_frame"] == 144 * 160 * 3 and frames["not_game_share"] < 0.1
    assert frames["duplicate_share"] > 0.02
    for stage, model in (("tokenizer", "model"), ("reward", "model"), ("behavior", "inverse")):
        config = json.loads((store.get(stage).path(model) / "config.json").read_text())
        assert '"channels": 3' in json.dumps(config), stage
    assert store.get("dynamics").metrics["auroc_other"] > 0.6
    results = json.loads(store.get("evaluation").path("results.json").read_text())
    assert {"title", "goal"} <= {name.lower() for name in results["milestones"]}


@pytest.mark.timeout(600)
def test_what_is_shown_is_in_color(done):
    store = Store(done.store)
    for stage, name, least in (
        ("tokenizer", "reconstruction.png", 0.2), ("tokenizer", "codebook.png", 0.2), ("dynamics", "prediction.png", 0.2),
        ("dynamics", "dream.gif", 0.2), ("evaluation", "agent.gif", 0.1),
    ):  # fmt: skip
        assert colorful(store.get(stage).path(name), least), name
    film = done.settings.with_name("film.gif")
    config = load_config(done.settings)
    assert watch(config, store, "policy", steps=5, seed=0, video=str(film))["steps"] == 5
    assert colorful(film, 0.05)
