"""Turns the cartridge's drawings, maps and texts into C arrays (``assets.h`` and ``assets.c`` of the build folder)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from emurl.cartridge import world
from emurl.cartridge.drawing import Pixels, TileBank, cut, one_bit, read_groups, stamp, two_bits
from emurl.errors import InputError

FONT_FIRST = 0x79
"""Tile ids from here on are borders and letters, below are metatiles or pictures."""

_PUNCTUATION = {" ": 0x7F, ":": 0x9C, "'": 0xE0, "-": 0xE3, "?": 0xE6, "!": 0xE7, ".": 0xE8, ",": 0xF4}
_CODES = {"{name}": 0x52}
LINE, PAGE, END = 0x4F, 0x51, 0x50
"""Codes inside a text: next line, next page, end."""


def encode(text: str) -> bytes:
    """Letters in Pokémon Red's encoding; ``{name}`` is the player's name.

    Raises:
        InputError: a character the font does not have.
    """
    out = bytearray()
    while text:
        for word, code in _CODES.items():
            if text.startswith(word):
                out.append(code)
                text = text[len(word) :]
                break
        else:
            out.append(char_code(text[0]))
            text = text[1:]
    return bytes(out)


def char_code(char: str) -> int:
    """The tile id of one character."""
    if "A" <= char <= "Z":
        return 0x80 + ord(char) - ord("A")
    if "a" <= char <= "z":
        return 0xA0 + ord(char) - ord("a")
    if "0" <= char <= "9":
        return 0xF6 + ord(char) - ord("0")
    if char not in _PUNCTUATION:
        raise InputError(f"text: the font has no {char!r}")
    return _PUNCTUATION[char]


def texts() -> dict[str, list[list[str]]]:
    """All texts by name: pages of one or two lines, from ``game/text.txt``.

    A text starts with ``[name]``; a blank line parts pages. Lines hold at most 18 and 17 letters (the arrow needs
    the last place); ``{name}`` counts as 7.
    """
    found: dict[str, list[list[str]]] = {}
    pages: list[list[str]] = []
    for number, raw in enumerate((world.GAME / "text.txt").read_text(encoding="ascii").splitlines(), start=1):
        line = raw.rstrip()
        if line.startswith("# "):
            continue
        if line.startswith("["):
            pages = found.setdefault(line.strip("[]"), [])
            pages.append([])
        elif not line:
            if pages and pages[-1]:
                pages.append([])
        else:
            pages[-1].append(line)
            if len(pages[-1]) > 2 or len(line.replace("{name}", "1234567")) > 19 - len(pages[-1]):
                raise InputError(f"text.txt:{number}: a page has two lines of at most 18 and 17 letters")
    return {name: [page for page in pages if page] for name, pages in found.items()}


def _text_bytes(pages: Sequence[Sequence[str]]) -> bytes:
    return bytes([PAGE]).join(bytes([LINE]).join(encode(line) for line in page) for page in pages) + bytes([END])


def _array(name: str, values: Iterable[int], ctype: str = "uint8_t") -> str:
    numbers = [str(value) for value in values]
    lines = (", ".join(numbers[i : i + 24]) for i in range(0, len(numbers), 24))
    return f"const {ctype} {name}[] = {{\n    " + ",\n    ".join(lines) + "\n};\n"


class Assets:
    """Collects definitions (``source``) and declarations (``header``) of everything the C code reads."""

    def __init__(self) -> None:
        self.header: list[str] = ['#ifndef ASSETS_H\n#define ASSETS_H\n#include "world.h"\n']
        self.source: list[str] = ['#include "assets.h"\n#include "ram.h"\n']
        self._font()
        sprites = self._sprites()
        self._tilesets()
        names = self._texts()
        self._maps(sprites, names)
        for screen in ("title", "intro", "ending"):
            self._pictures(screen)
        self.header.append("#endif\n")

    def _bytes(self, name: str, values: bytes) -> None:
        self.header.append(f"extern const uint8_t {name}[{len(values)}];\n")
        self.source.append(_array(name, values))

    def _font(self) -> None:
        tiles = {tile: bytes(8) for tile in range(FONT_FIRST, 0x100)}
        for group in read_groups(world.GAME / "font.txt"):
            for word, drawing in zip(group.words, group.drawings, strict=True):
                code = char_code(word) if len(word) == 1 else int(word, 16)
                tiles[code] = one_bit(drawing)
        self.header.append(f"#define FONT_FIRST {FONT_FIRST}\n")
        self._bytes("font_tiles", b"".join(tiles.values()))

    def _sprites(self) -> dict[str, int]:
        """Sprites as columns of two tiles (8×16 objects): a walker's six pictures, a stander's three."""
        packed = bytearray()
        first: dict[str, int] = {}
        for group in read_groups(world.GAME / "sprites.txt"):
            name = group.words[0]
            first.setdefault(name, len(packed) // 16)
            for drawing in group.drawings:
                (top_left, top_right), (low_left, low_right) = cut(drawing, 8, 8)
                for tile in (top_left, low_left, top_right, low_right):
                    packed += two_bits(tile)
        for name, number in first.items():
            self.header.append(f"#define SPRITE_{name.upper()} {number}\n")
        self.header.append(f"#define SPRITE_TILE_COUNT {len(packed) // 16}\n")
        self._bytes("sprite_tiles", bytes(packed))
        return first

    def _tilesets(self) -> None:
        rows: list[str] = []
        for name in world.TILESETS:
            bank = TileBank(FONT_FIRST, f"tileset {name}")
            blocks = world.tileset(name)
            self._bytes(f"{name}_blocks", bytes(tile for block in blocks.values() for tile in bank.add_all(block.pixels)))
            flags = bytes(("solid" in block.flags) | ("tall" in block.flags) << 1 for block in blocks.values())
            self._bytes(f"{name}_flags", flags)
            self._bytes(f"{name}_tiles", b"".join(bank.tiles))
            rows.append(f"    {{{name}_tiles, {len(bank.tiles)}, {name}_blocks, {name}_flags}}")
        self.header.append(f"extern const struct tileset tilesets[{len(rows)}];\n")
        self.source.append("const struct tileset tilesets[] = {\n" + ",\n".join(rows) + "\n};\n")

    def _texts(self) -> dict[str, int]:
        found = texts()
        for name, pages in found.items():
            self._bytes(f"text_{name}", _text_bytes(pages))
        return {name: number for number, name in enumerate(name for name in found if name.startswith("talk_"))}

    def _maps(self, sprites: dict[str, int], talks: dict[str, int]) -> None:
        numbers = {each.name: each.id for each in world.maps()} | dict([world.GOAL_MAP])
        for name, number in numbers.items():
            self.header.append(f"#define MAP_{name.upper()} {number}\n")
        structs: list[str] = []
        for each in world.maps():
            order = list(world.tileset(each.tileset))
            for y, row in enumerate(each.rows):
                self.source.append(_array(f"{each.name}_row_{y}", (order.index(char) for char in row)))
            rows = ", ".join(f"{each.name}_row_{y}" for y in range(each.height))
            self.source.append(f"const uint8_t *const {each.name}_rows[] = {{{rows}}};\n")
            warps = [
                (*warp.at, numbers[warp.map], *warp.cell, world.FACINGS[warp.facing],
                 world.EVENTS.index(warp.event) if warp.event else 0xFF)
                for warp in each.warps
            ]  # fmt: skip
            self._structs("warp", f"{each.name}_warps", warps)
            things = [
                (*thing.at, 0xFF if thing.sprite == "sign" else sprites[thing.sprite], world.FACINGS[thing.facing],
                 talks[thing.text], f"text_{thing.text}")
                for thing in each.things
            ]  # fmt: skip
            self._structs("thing", f"{each.name}_things", things)
            structs.append(
                f"    {{{each.width}, {each.height}, {world.TILESETS.index(each.tileset)}, {order.index(each.border)}, "
                f"{each.name}_rows, {each.name}_warps, {each.name}_things, {len(warps)}, {len(things)}}}"
            )
            if each.start:
                (x, y), facing = each.start
                self.header.append(f"#define START_MAP {each.id}\n#define START_X {x}\n#define START_Y {y}\n")
                self.header.append(f"#define START_FACING {world.FACINGS[facing]}\n")
        self.header.append(f"extern const struct map maps[{len(structs)}];\n")
        self.source.append("const struct map maps[] = {\n" + ",\n".join(structs) + "\n};\n")

    def _structs(self, kind: str, name: str, values: Sequence[tuple[object, ...]]) -> None:
        rows = ["{" + ", ".join(map(str, value)) + "}" for value in values] or ["{0}"]
        self.source.append(f"const struct {kind} {name}[] = {{{', '.join(rows)}}};\n")

    def _pictures(self, screen: str) -> None:
        bank = TileBank(FONT_FIRST, f"pictures of the {screen} screen")
        for name, canvas in compose(screen):
            cells = [bank.add_all(row) for row in _tile_rows(canvas)]
            self._bytes(f"picture_{name}_cells", bytes(cell for row in cells for cell in row))
            self.header.append(f"extern const struct picture picture_{name};\n")
            size = f"{len(cells[0])}, {len(cells)}"
            self.source.append(f"const struct picture picture_{name} = {{{size}, picture_{name}_cells}};\n")
        self.header.append(f"#define {screen.upper()}_TILE_COUNT {len(bank.tiles)}\n")
        self._bytes(f"{screen}_tiles", b"".join(bank.tiles))


def _tile_rows(canvas: Pixels) -> Iterator[Pixels]:
    for y in range(0, len(canvas), 8):
        yield canvas[y : y + 8]


def compose(screen: str) -> Iterator[tuple[str, Pixels]]:
    """The pictures of a screen, as ``game/pictures/<screen>.txt`` says.

    ``picture NAME WIDTH HEIGHT SHADE`` starts a canvas; ``stamp DRAWING X Y [TO_X]`` puts a drawing on it, repeated to the
    right up to ``TO_X``; ``blocks X Y CHARS`` puts outdoor cells side by side. Drawings are the groups of
    ``game/pictures/drawings.txt``.
    """
    drawings: dict[str, Pixels] = {}
    for group in read_groups(world.GAME / "pictures" / "drawings.txt"):
        drawings.update(zip(group.words, group.drawings, strict=True))
    name = ""
    canvas: Pixels = []
    for line in (world.GAME / "pictures" / f"{screen}.txt").read_text(encoding="ascii").splitlines():
        match line.split():
            case [] | ["#", *_]:
                continue
            case ["picture", word, width, height, shade]:
                if name:
                    yield name, canvas
                name, canvas = word, [[int(shade)] * int(width) for _ in range(int(height))]
            case ["stamp", drawing, x, y, *end]:
                pixels = drawings[drawing]
                for left in range(int(x), int(end[0]) if end else int(x) + 1, len(pixels[0])):
                    stamp(canvas, pixels, left, int(y))
            case ["blocks", x, y, chars]:
                for column, char in enumerate(chars):
                    stamp(canvas, world.tileset("outdoor")[char].pixels, int(x) + 16 * column, int(y))
            case _:
                raise InputError(f"pictures/{screen}.txt: {line!r} is none of picture, stamp, blocks")
    yield name, canvas
