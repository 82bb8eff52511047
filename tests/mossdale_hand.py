"""A hand that goes straight to any scene of the embedded game, and eyes that check every box and menu it meets there.

Scenes are set by writing what a long game would have left in memory (where one stands, how many hit points there are); what
then stands on the screen is drawn by the game's own code. Whenever a page of text stands complete, or a menu waits, the
screen is compared pixel by pixel with the tile map and with the drawings of the letters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from emurl.cartridge import rom_path, symbols, world
from emurl.cartridge.drawing import read_groups
from emurl.cartridge.text import char_code, encode, text_bytes, texts
from emurl.emulator.console import BUTTONS, GameBoy
from emurl.emulator.games.text import decode_rows, decode_text, read_text

ADDRESS = symbols()
MAPS = {each.id: each for each in world.maps()}
SPECIES, HP, TYPE, MOVES, POINTS = (
    0,
    2,
    5,
    8,
    15,
)  # within a monster: the low byte of HP; of the partner only, high byte first: POINTS
LEVEL, MAX_HP, ATTACK, SPEED = 33, 35, 37, 41  # within wPartyMons
ENEMY_LEVEL, ENEMY_MAX_HP, ENEMY_ATTACK, ENEMY_SPEED = 14, 16, 18, 22  # within wEnemyMon

ROUTES = {
    "house": [("bedroom", (8, 2), "up")],
    "town": [("house", (3, 6), "down")],
    "lodge": [("town", (11, 10), "up")],
    "hearth": [("town", (16, 4), "up")],
    "route": [("town", (14, 1), "up")],
    "maze": [("route", (5, 8), "up")],
    "gym": [("route", (7, 4), "up")],
}
"""For each map a warp that leads there: the map it is on, the cell before it, the way to step."""


def screen_from_tile_map(console: GameBoy) -> np.ndarray:
    """The picture that wTileMap and the tile memory promise: ranks (144, 160), sprites left out."""
    tile_map = np.frombuffer(console.read(ADDRESS["wTileMap"], 360), np.uint8).reshape(18, 20)
    memory = np.frombuffer(console.read(0x8800, 0x1000), np.uint8).reshape(256, 8, 2)
    order = np.r_[128:256, 0:128]  # ids 00-7F lie at 9000, 80-FF at 8800
    bits = np.unpackbits(memory[order][..., None], axis=-1)  # (256, 8, 2, 8)
    pictures = 3 - (bits[:, :, 0] + 2 * bits[:, :, 1])
    return pictures[tile_map].transpose(0, 2, 1, 3).reshape(144, 160)


def sprite_cover(console: GameBoy) -> np.ndarray:
    """Where a sprite may be drawn: bool (144, 160)."""
    cover = np.zeros((176, 192), bool)
    for y, x, *_ in np.frombuffer(console.read(0xFE00, 160), np.uint8).reshape(40, 4).astype(int):
        if 0 < y < 160 and 0 < x < 168:
            cover[y : y + 16, x : x + 8] = True
    return cover[16:160, 8:168]


@cache
def glyphs() -> dict[int, np.ndarray]:
    """Letters and borders as ``game/font.txt`` draws them, by tile id: ranks (8, 8)."""
    found = {0x7F: np.full((8, 8), 3, np.uint8)}
    for group in read_groups(world.GAME / "font.txt"):
        for word, drawing in zip(group.words, group.drawings, strict=True):
            code = char_code(word) if len(word) == 1 else int(word, 16)
            found[code] = np.where(np.array(drawing) == 3, 0, 3).astype(np.uint8)
    return found


def assert_tile_map_is_true(console: GameBoy) -> None:
    """The screen shows what wTileMap says, and its letters are the font's; where a sprite may be is left out."""
    shown, promised, cover = console.frame(), screen_from_tile_map(console), sprite_cover(console)
    wrong = (shown != promised) & ~cover
    assert not wrong.any(), f"{wrong.sum()} pixels, first at {np.argwhere(wrong)[0]}"
    for place, code in enumerate(console.read(ADDRESS["wTileMap"], 360)):
        y, x = place // 20 * 8, place % 20 * 8
        if code in glyphs() and not cover[y : y + 8, x : x + 8].any():
            assert (shown[y : y + 8, x : x + 8] == glyphs()[code]).all(), f"tile {code:02X} at {x}, {y} is not its letter"


def filled(page: list[str], words: dict[str, str]) -> str:
    """A page of the source with its words filled in, as it should stand on the screen."""
    shown = "\n".join(page)
    for hole, word in words.items():
        shown = shown.replace("{" + hole + "}", word)
    return shown


def said(text: str, /, **words: str) -> list[tuple[str, str]]:
    """The pages of a text of the source as they should be seen: (name, text)."""
    return [(text, filled(page, words)) for page in texts()[text]]


@cache
def _sources() -> dict[bytes, str]:
    return {text_bytes(pages): name for name, pages in texts().items()}


class Hand:
    """One console, what was read on it (`read`: name of the text, its words), and the menus that stood (`menus`, 360 codes)."""

    def __init__(self, state: bytes | None = None) -> None:
        self.console = GameBoy(rom_path())
        self.read: list[tuple[str, str]] = []
        self.menus: list[bytes] = []
        self._was = False
        # To a screen that is on: the emulator's first drawn picture has its window a line off, whenever that is.
        self.console.tick(240)
        assert self.console.read(0xFF40)[0] & 0x80
        if state is not None:
            self.load(state)

    def load(self, state: bytes) -> None:
        """Go on from there, no button down, nothing read yet."""
        self.console.load(state)
        for button in BUTTONS:
            self.console.release(button)
        self.read, self._was = [], True
        self.tick(2)

    def value(self, name: str, offset: int = 0) -> int:
        return self.console.read(ADDRESS[name] + offset)[0]

    def put(self, name: str, offset: int, *values: int) -> None:
        for place, value in enumerate(values):
            self.console.memory[ADDRESS[name] + offset + place] = value

    def event(self, name: str, happened: bool = True) -> None:
        byte, bit = divmod(world.EVENTS.index(name), 8)
        flags = self.value("wEventFlags", byte)
        self.put("wEventFlags", byte, flags | 1 << bit if happened else flags & ~(1 << bit))

    def tick(self, count: int = 1) -> None:
        """Let time pass; whatever comes to stand meanwhile is looked at."""
        for _ in range(count):
            self.console.tick(1, render=False)
            stands = bool(self.value("wTextWaiting") or self.value("wTextStands") or self.value("wMenu"))
            if stands and not self._was:
                self.console.tick(1, render=False)
                self.look()
            self._was = stands

    def look(self) -> None:
        """Check the next picture against the tile map, and the text in it against the source; keep what was read."""
        self.console.tick(1)
        assert self.console.read(0xFF47)[0] == 0xE4, "nothing stands in the midst of a fade"
        assert_tile_map_is_true(self.console)
        tiles = self.console.read(ADDRESS["wTileMap"], 360)
        if self.value("wMenu"):
            self.menus.append(tiles)
        if not self.value("wMenu") or self.value("wMenu") in (1, 2):  # these two wait under a text
            box = read_text(self.console)
            page = self.console.read(ADDRESS["wTextPage"], 192)
            (name,) = {name for source, name in _sources().items() if page.startswith(source)}
            assert box.up and box.waits == bool(self.value("wTextWaiting"))
            text = box.text if self.value("wMenu") != 2 else _left(tiles)
            assert text in [filled(page, self._words()) for page in texts()[name]], "not what the source says"
            self.read.append((name, text))

    def _words(self) -> dict[str, str]:
        """What the game would fill in now, by the letter in the source."""
        places = {hole: f"wTextBuffer{number}" for number, hole in enumerate("abc", start=1)} | {"name": "wPlayerName"}
        return {hole: decode_text(self.console.read(ADDRESS[place], 11)) for hole, place in places.items()}

    def tap(self, button: str, after: int = 12) -> None:
        self.console.press(button)
        self.tick(4)
        self.console.release(button)
        self.tick(after)

    def until(self, done: Callable[[], bool], tap: bool = True, limit: int = 4000) -> None:
        """Read on (a waiting text gets its A) until something is so."""
        for _ in range(limit):
            if done():
                return
            if tap and self.value("wTextWaiting"):
                self.tap("a", 1)
            else:
                self.tick()
        raise AssertionError(f"it never came; read so far: {self.read}")

    def walks(self) -> bool:
        """Whether the player stands on a map and nothing is in the way."""
        busy = any(self.value(name) for name in ("wFontLoaded", "wFading", "wStepLeft", "wMenu"))
        return not busy and self.value("wGameMode") == 3 and self.value("wCurMap") != 0

    def settle(self) -> None:
        self.until(self.walks)
        self.tick(24)
        self.until(self.walks)

    def stand(self, x: int, y: int, look: str = "down") -> None:
        """To a cell of this map, by changing the coordinates while a page is open: coming back draws the map anew."""
        self.tap("start")
        for button in ("down", "down", "down", "a"):
            self.tap(button)
        self.until(lambda: self.value("wMenu") == 10)
        self.put("wXCoord", 0, x)
        self.put("wYCoord", 0, y)
        self.put("wFacing", 0, world.FACINGS[look])
        self.tap("b")
        self.settle()

    def step(self, way: str) -> None:
        self.console.step(BUTTONS.index(way), 16)
        self.tick()

    def enter(self, name: str) -> None:
        """To a map, through its door."""
        here = MAPS[self.value("wCurMap")].name
        if here == name:
            return
        if here in ("hearth", "lodge", "maze", "gym"):
            back = next(warp for warp in MAPS[self.value("wCurMap")].warps if warp.map in ("town", "route"))
            way, (dx, dy) = next(each for each in world.STEPS.items() if self._free(back.at, each[1]))
            self.stand(back.at[0] - dx, back.at[1] - dy)
            self.step(way)
            self.settle()
            self.enter(name)
            return
        ((before, cell, way),) = ROUTES[name]
        self.enter(before)
        self.stand(*cell)
        self.step(way)
        self.settle()
        assert MAPS[self.value("wCurMap")].name == name

    def _free(self, at: tuple[int, int], step: tuple[int, int]) -> bool:
        return (at[0] - step[0], at[1] - step[1]) in MAPS[self.value("wCurMap")].open_after(world.EVENTS)

    def meet(self, thing: world.Thing) -> None:
        """Stand before somebody or something of this map and press A; what is said is for the caller to read."""
        here = MAPS[self.value("wCurMap")]
        cells = here.open_after({"partner", "puzzle"}, {each.at for each in here.things}) - {warp.at for warp in here.warps}
        cell, way = next(
            ((x, y), way)
            for way, (dx, dy) in world.STEPS.items()
            if (x := thing.at[0] - dx, y := thing.at[1] - dy) in cells - here.grass
        )
        self.stand(*cell, way)
        self.read.clear()
        self.tap("a", 1)

    def choose(self, kind: int, line: int) -> None:
        """A line of the menu that should be up next."""
        self.until(lambda: self.value("wMenu") == kind)
        self.tick(3)
        while self.value("wCurrentMenuItem") != line:
            self.tap("down", 3)
        self.tap("a", 1)


def _left(tiles: bytes) -> str:
    """The text of a box, where a menu of choices hangs over its upper right corner."""
    rows = decode_rows(tiles)
    return "\n".join(line for line in (rows[14], rows[16]) if line)


def has_word(tiles: bytes, word: str) -> bool:
    """Whether a word stands in a row of 360 tile ids, no letter beside it (one letter alone may have a number beside it)."""
    codes, letters = encode(word), range(0x80, 0xBA)
    for row in range(18):
        line = b"\x7f" + tiles[20 * row : 20 * row + 20] + b"\x7f"
        at = line.find(codes)
        while at >= 0:
            if line[at - 1] not in letters and line[at + len(codes)] not in letters:
                return True
            at = line.find(codes, at + 1)
    return False
