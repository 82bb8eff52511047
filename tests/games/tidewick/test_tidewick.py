"""The second game of the engine: another world, finished by the same bot, told by its own milestones, as hard by design as the first."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from emurl.core.errors import InputError
from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.envs.gameboy.memory import reader_for
from emurl.footage.legibility import legible
from emurl.games import game_of_title, mossdale
from emurl.games.mossdale import build, world
from emurl.games.mossdale.bot import RunRecord, Style
from emurl.games.mossdale.cartridge import find_cartridge
from emurl.games.mossdale.creatures import creatures
from emurl.games.mossdale.plot import plot
from emurl.games.mossdale.text import texts
from emurl.games.settings import BroadcastSettings
from emurl.games.tidewick import GAME, TIDEWICK
from emurl.games.tidewick.atlas import atlas
from emurl.games.tidewick.bot import play
from emurl.games.tidewick.font import glyphs
from emurl.games.tidewick.memory import EVENTS, Tidewick

SEEDS = (0, 6, 14, 17)
PLOT = plot(TIDEWICK)


@pytest.fixture(scope="module")
def runs() -> dict[int, RunRecord]:
    return {seed: play(GameBoy(TIDEWICK.rom), seed, render_every=0) for seed in SEEDS}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_runner_finishes_by_this_world_s_road(runs, seed):
    run = runs[seed]
    assert run.finished
    assert list(run.milestones) == list(PLOT.milestones), "the puzzle comes before the partner here, the cave before the trainer"
    assert sorted(run.milestones.values()) == list(run.milestones.values())
    assert 100 * 60 < run.milestones["goal"] < 190 * 60


def test_the_order_of_places_is_another_than_the_first_game_s():
    first, second = plot().milestones, PLOT.milestones
    shared = [name for name in first if name in second]
    assert {"puzzle", "partner", "trainer", "badge"} <= set(shared)
    assert shared != [name for name in second if name in first]


@pytest.mark.parametrize("partner", range(3))
def test_somebody_who_never_heals_and_takes_the_first_move_gets_there_too(partner):
    assert play(GameBoy(TIDEWICK.rom), partner, render_every=0, style=Style.plain(partner)).finished


def test_every_frame_of_a_run_is_drawn_within_vertical_blank():
    lines: set[int] = set()
    address = TIDEWICK.symbols()

    def look(console: GameBoy) -> None:
        lines.add(console.read(address["wBusyLine"])[0])

    console = GameBoy(TIDEWICK.rom)
    play(console, 6, look, render_every=0)
    assert lines <= {0, *range(144, 154)}, "0 is the value before the first step"
    assert console.read(address["wLagFrames"]) == b"\0"


def test_the_reader_tells_the_milestones_that_the_runner_reached():
    reader = reader_for(TIDEWICK.rom)
    assert isinstance(reader, Tidewick) and game_of_title("TIDEWICK") is GAME
    assert list(EVENTS) == list(PLOT.milestones) and all(PLOT.events[bit] == name for name, bit in EVENTS.items())
    assert {each.id: each.name for each in world.maps(TIDEWICK)} | {PLOT.goal[1]: PLOT.goal[0]} == dict(reader.maps)
    told: dict[str, int] = {}

    def look(console: GameBoy) -> None:
        for name in reader.reached(reader.read(console)):
            told.setdefault(name, console.frames)

    run = play(GameBoy(TIDEWICK.rom), 3, look, render_every=0)
    assert list(told) == list(run.milestones)
    assert all(abs(told[name] - tick) <= 20 for name, tick in run.milestones.items())


def test_the_header_is_a_game_boy_header_without_a_logo():
    rom = TIDEWICK.rom.read_bytes()
    assert len(rom) == 0x10000 and rom[0x134:0x144] == b"TIDEWICK".ljust(16, b"\0")
    assert rom[0x104:0x134] == bytes(48), "the logo is not ours to ship"


@pytest.mark.slow
def test_the_source_gives_the_committed_rom():
    if reason := build.missing_compiler():
        pytest.skip(reason)
    built, listing = build.build(TIDEWICK)
    assert built == TIDEWICK.rom.read_bytes()
    assert listing == TIDEWICK.rom.with_suffix(".sym").read_text()


def test_code_is_shared_and_what_is_seen_is_not():
    first, second = mossdale.CARTRIDGE, TIDEWICK
    assert find_cartridge("tidewick") is second and not second.source("src").exists()
    with pytest.raises(InputError, match="--game pokemon_red: no game of this engine"):
        find_cartridge("pokemon_red")
    words = [
        {line for pages in texts(of).values() for page in pages for line in page if "{" not in line} for of in (first, second)
    ]
    assert len(words[0] & words[1]) <= 1 < 40 < len(words[1])
    cells = [
        {np.array(block.pixels).tobytes() for name in plot(of).tilesets for block in world.tileset(name, of).values()}
        for of in (first, second)
    ]
    assert len(cells[0] & cells[1]) <= 1, "the dark outside of rooms"
    assert not set(creatures(first).species) & set(creatures(second).species)


def test_every_warp_leads_to_a_cell_one_can_stand_on_and_every_milestone_is_set():
    by_name = {each.name: each for each in world.maps(TIDEWICK)}
    for each in by_name.values():
        for warp in each.warps:
            assert warp.at in each.open_after(PLOT.events)
            if warp.map != PLOT.goal[0]:
                target = by_name[warp.map]
                assert warp.cell in target.open_after(PLOT.events)
                assert warp.cell not in {back.at for back in target.warps}, "nobody is thrown to and fro"
    set_by_warps = {warp.event for each in by_name.values() for warp in each.warps if warp.event}
    set_by_people = {trainer.event for trainer in creatures(TIDEWICK).trainers.values()}
    assert set_by_warps | set_by_people | {"title", "intro", "partner", "puzzle"} == set(PLOT.milestones)


def steps(place: str, start: world.Cell, to: str, *events: str) -> list[str]:
    here = world.load_map(place, TIDEWICK)
    warps = [warp.at for warp in here.warps]
    goals = [warp.at for warp in here.warps if warp.map == to]
    return world.find_path(here.open_after(set(events)), start, goals, warps, ledges=here.ledges)


def test_the_way_back_through_the_harbor_is_one_s_own_steps_the_other_way_round():
    """What the frames show is the same before and after the partner; only a player who remembers knows which way to go."""
    there, back = steps("harbor", (12, 14), "sluice"), steps("harbor", (11, 10), "shore", "partner")
    assert len(there) + len(back) > 50
    assert there.count("left") >= 9 and there.count("right") >= 8, "west of the ropes, then east to the sluice"
    assert back.count("left") >= 8 and back.count("right") >= 13, "west again, and on to the gate in the east"
    with pytest.raises(ValueError, match="no way"):
        steps("harbor", (11, 10), "shore")


@pytest.mark.parametrize(
    ("place", "start", "to", "least", "turns"), [("shore", (4, 22), "cave", 40, 6), ("cave", (1, 11), "cliff", 31, 8)]
)
def test_shore_and_cave_are_no_straight_lines(place, start, to, least, turns):
    way = steps(place, start, to)
    assert len(way) >= least and sum(a != b for a, b in itertools.pairwise(way)) >= turns


def test_no_single_valve_solves_the_puzzle():
    assert PLOT.solution(PLOT.lit) == (0, 1)


def test_letters_are_found_on_its_screens():
    console = GameBoy(TIDEWICK.rom)
    address = TIDEWICK.symbols()
    for _ in range(600):
        if console.read(address["wGameMode"])[0] == 1:
            console.step(BUTTONS.index("start"), 16)
        console.tick(8)
        if console.read(address["wTextWaiting"])[0]:
            break
    frame = console.frame()[None]
    read, there = legible(frame, frame, glyphs())
    assert there == read > 15


def test_its_maps_lie_side_by_side_on_the_picture_of_the_world():
    drawn = atlas()
    assert {number: plot.name for number, plot in drawn.plots.items()} == dict(Tidewick.maps)
    taken = np.zeros((drawn.ground.shape[0] // 16, drawn.ground.shape[1] // 16), int)
    for place in drawn.plots.values():
        x, y = place.x // 16, place.y // 16
        assert taken[y : y + place.height, x : x + place.width].shape == (place.height, place.width)
        taken[y : y + place.height, x : x + place.width] += 1
    assert taken.max() == 1


def test_its_leaderboard_is_its_own(tmp_path):
    settings = BroadcastSettings(game="tidewick", port=0, runs=1, cache=str(tmp_path))
    with settings.open() as board:
        (entry,) = board.missing()
        assert [name for name, _ in entry.play.splits][4:6] == ["Puzzle", "Partner"]
        assert board.recording(entry.id) is not None
