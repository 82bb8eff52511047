"""A game is one module: with nothing else touched, the environment reads it, settings name it, doctor and the stages ask it."""

import json

import pytest

from tests.fixtures.house import House, build_house
from tests.fixtures.rom import rom_bytes

GAME = '''"""Dot: a tile that walks."""

from pathlib import Path

from emurl.games.base import Game


class Dot:
    """Its reader: the place, and whether the right edge was seen."""

    title = "DOT"
    milestones = ("started", "edge")
    maps = {0: "field"}

    def read(self, gameboy):
        y, x = gameboy.read(0xD361, 2)
        return {"map": 0, "y": y, "x": x, "started": gameboy.read(0xD163)[0]}

    def walking(self, facts):
        return True

    def reached(self, facts):
        return [name for name, shown in (("started", facts["started"] == 1), ("edge", facts["x"] == 15)) if shown]


GAME = Game(name="dot", title="DOT", rom=lambda: Path(__file__).with_name("dot.gb"), reader=Dot)
'''


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> House:
    house = build_house(tmp_path_factory.mktemp("house"))
    house.add("emurl/games/dot.py", GAME)
    (house.folder / "emurl/games/dot.gb").write_bytes(rom_bytes("DOT"))
    house.add("configs/dot.yaml", "emulator: {rom: dot, frame_skip: 12}\n")
    return house


def test_the_environment_reads_it_and_chance_plays_it_by_name(house):
    program = (
        "import gymnasium, json, emurl.envs.gameboy\n"
        "env = gymnasium.make('emurl/GameBoy-v0', rom='emurl/games/dot.gb', frame_skip=12)\n"
        "env.reset()\n"
        "from emurl.envs.gameboy.console import BUTTONS\n"
        "for button in ['b'] * 10 + ['right'] * 3: info = env.step(BUTTONS.index(button))[-1]\n"
        "print(json.dumps([info['x'], env.unwrapped.milestones]))"
    )
    done = house.run("-c", program)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [3, ["started", "edge"]]
    played = json.loads(
        house.emurl("play", "--random", "--steps", "400", "--seed", "1", "--config", "configs/dot.yaml", "--json")
    )
    assert "started" in played["milestones"]


def test_settings_and_doctor_know_it(house):
    checks = {
        row["check"]: row
        for row in json.loads(house.run("-m", "emurl", "doctor", "--config", "configs/dot.yaml", "--json").stdout)
    }
    assert checks["rom"]["verdict"] == "ok"
    assert "started, edge" in checks["rom"]["seen"]


def test_a_game_without_a_leaderboard_or_a_bot_says_so_in_one_line(house):
    refused = house.emurl("run", "runs", "--config", "configs/dot.yaml", "--set", "broadcast.game=dot", code=2)
    assert "'dot' has no demo leaderboard, expected one of mossdale, tidewick" in refused
    refused = house.emurl("play", "--bot", "--config", "configs/dot.yaml", code=2)
    assert "dot" in refused
    assert len(refused.splitlines()) == 1


def test_the_content_of_its_reader_is_in_the_fingerprint_of_what_plays_it(house):
    program = (
        "from emurl.core.config import load_config\n"
        "from emurl.core.code_digest import code_digest\n"
        "config = load_config('configs/dot.yaml')\n"
        "print(code_digest('emurl.pipelines.speedrun.evaluation', *config.evaluation.modules()))"
    )
    # The same without the settings of the other stages, which take seconds to import.
    quick = (
        "from emurl.core.code_digest import code_digest\n"
        "from emurl.games.settings import EmulatorSettings\n"
        "print(code_digest('emurl.pipelines.speedrun.evaluation', *EmulatorSettings(rom='dot').modules()))"
    )
    before = house.run("-c", program).stdout
    assert len(before.strip()) == 64
    file = house.folder / "emurl/games/dot.py"
    file.write_text(GAME.replace('facts["x"] == 15', 'facts["x"] == 14'))
    changed = house.run("-c", quick).stdout
    file.write_text("# A remark.\n" + GAME)
    assert len(changed) == len(before) and changed != before
    assert house.run("-c", quick).stdout == before
