"""Turns the cartridge's drawings, maps, texts and creatures into C (``assets.h``, ``assets.c``) and far data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from emurl.core.errors import InputError
from emurl.games.mossdale import text, world
from emurl.games.mossdale.banks import FarData
from emurl.games.mossdale.cartridge import MOSSDALE, Cartridge
from emurl.games.mossdale.creatures import EFFECTS, creatures
from emurl.games.mossdale.drawing import Pixels, TileBank, cut, one_bit, read_groups, stamp, two_bits
from emurl.games.mossdale.plot import plot

FONT_FIRST = 0x79
"""Tile ids from here on are borders and letters, below are metatiles or pictures."""

PARTNERS = 3
"""So many species, the first ones, may become partners: they are drawn from behind, too."""

_FLAGS = ("solid", "tall", "ledge")
_NONE = 0xFF


class Assets:
    """Collects definitions (``source``) and declarations (``header``) of everything the C code reads, and `far` data."""

    def __init__(self, of: Cartridge = MOSSDALE) -> None:
        self.of = of
        self.plot = plot(of)
        self.beings = creatures(of)
        self.header: list[str] = ['#ifndef ASSETS_H\n#define ASSETS_H\n#include "world.h"\n']
        self.source: list[str] = ['#include "assets.h"\n#include "ram.h"\n']
        self.far = FarData()
        self._font()
        sprites = self._sprites()
        self._tilesets()
        names = self._texts()
        self._creatures()
        self._maps(sprites, names)
        for screen in ("title", "intro", "ending"):
            self._pictures(screen)
        self._monsters()
        self._plot()
        self.header.append("#endif\n")

    def _bytes(self, name: str, values: bytes) -> None:
        self._array(name, values)

    def _array(self, name: str, values: Iterable[int], ctype: str = "uint8_t") -> None:
        numbers = [str(value) for value in values]
        lines = (", ".join(numbers[i : i + 24]) for i in range(0, len(numbers), 24))
        self.header.append(f"extern const {ctype} {name}[{len(numbers)}];\n")
        self.source.append(f"const {ctype} {name}[] = {{\n    " + ",\n    ".join(lines) + "\n};\n")

    def _far(self, name: str, data: bytes) -> None:
        self.header.append(self.far.add(name, data))

    def _font(self) -> None:
        tiles = {tile: bytes(8) for tile in range(FONT_FIRST, 0x100)}
        for group in read_groups(self.of.source("font.txt")):
            for word, drawing in zip(group.words, group.drawings, strict=True):
                code = text.char_code(word) if len(word) == 1 else int(word, 16)
                tiles[code] = one_bit(drawing)
        self.header.append(f"#define FONT_FIRST {FONT_FIRST}\n")
        self._bytes("font_tiles", b"".join(tiles.values()))
        bar = TileBank(FONT_FIRST, "bars")
        for group in read_groups(self.of.source("bars.txt")):
            for drawing in group.drawings:
                bar.tiles.append(two_bits(drawing))
        self._far("bar_tiles", b"".join(bar.tiles))

    def _sprites(self) -> dict[str, int]:
        """Sprites as columns of two tiles (8x16 objects): a walker's six pictures, a stander's three, a thing's one."""
        packed = bytearray()
        first: dict[str, int] = {}
        for group in read_groups(self.of.source("sprites.txt")):
            name = group.words[0]
            first.setdefault(name, len(packed) // 16)
            for drawing in group.drawings:
                (top_left, top_right), (low_left, low_right) = cut(drawing, 8, 8)
                for tile in (top_left, low_left, top_right, low_right):
                    packed += two_bits(tile)
        if len(packed) > 128 * 16:
            raise InputError(f"sprites.txt: {len(packed) // 16} tiles, the sprite table has 128")
        for name, number in first.items():
            self.header.append(f"#define SPRITE_{name.upper()} {number}\n")
        self._far("sprite_tiles", bytes(packed))
        return first

    def _tilesets(self) -> None:
        rows: list[str] = []
        for name in self.plot.tilesets:
            bank = TileBank(FONT_FIRST, f"tileset {name}")
            blocks = world.tileset(name, self.of)
            self._bytes(f"{name}_blocks", bytes(tile for block in blocks.values() for tile in bank.add_all(block.pixels)))
            flags = (sum((flag in block.flags) << bit for bit, flag in enumerate(_FLAGS)) for block in blocks.values())
            self._bytes(f"{name}_flags", bytes(flags))
            self._far(f"{name}_tiles", b"".join(bank.tiles))
            rows.append(f"    {{{{FAR_{name}_tiles, UNITS_{name}_tiles}}, {name}_blocks, {name}_flags}}")
            for number, block in enumerate(blocks.values()):
                if "named" in block.flags:
                    self.header.append(f"#define CELL_{block.name.upper()} {number}\n")
        self.header.append(f"extern const struct tileset tilesets[{len(rows)}];\n")
        self.source.append("const struct tileset tilesets[] = {\n" + ",\n".join(rows) + "\n};\n")

    def _texts(self) -> dict[str, int]:
        """Every text far, found through a table; every word of a menu near. Returns the talks' ids by name."""
        found = text.texts(self.of)
        rows: list[str] = []
        for number, (name, pages) in enumerate(found.items()):
            data = text.text_bytes(pages)
            self.header.append(f"#define TEXT_{name.upper()} {number}\n")
            self._far(f"text_{name}", data)
            rows.append(f"    {{FAR_text_{name}, UNITS_text_{name}}}")
        self.header.append(f"extern const struct far text_places[{len(rows)}];\n")
        self.source.append("const struct far text_places[] = {\n" + ",\n".join(rows) + "\n};\n")
        for line in self.of.source("words.txt").read_text(encoding="ascii").splitlines():
            name, _, word = line.partition(" ")
            if name and name != "#":
                self._bytes(f"word_{name}", text.encode(word) + bytes([text.END]))
        return {name: number for number, name in enumerate(name for name in found if name.startswith("talk_"))}

    def _creatures(self) -> None:
        beings = self.beings
        kinds, moves = list(beings.kinds), list(beings.moves)
        for number, kind in enumerate(kinds):
            self.header.append(f"#define TYPE_{kind.upper()} {number}\n")
        self._strings("type_names", [kind.title for kind in beings.kinds.values()])
        self._bytes("type_beats", bytes(kinds.index(k.beats) if k.beats else _NONE for k in beings.kinds.values()))
        self._strings("move_names", moves)
        self._structs("move", "moves", [(kinds.index(m.kind), m.power, EFFECTS.index(m.effect)) for m in beings.moves.values()])
        for number, effect in enumerate(EFFECTS):
            self.header.append(f"#define EFFECT_{effect.upper()} {number}\n")
        self._strings("species_names", list(beings.species))
        rows = [
            (kinds.index(s.kind), *s.numbers, _braces(moves.index(move) for move in s.moves)) for s in beings.species.values()
        ]
        self._structs("species", "species_list", rows)
        self.header.append(f"#define SPECIES_COUNT {len(rows)}\n")
        teams = []
        for number, (name, trainer) in enumerate(beings.trainers.items()):
            self.header.append(f"#define TRAINER_{name.upper()} {number}\n")
            team = [value for species, level in trainer.monsters for value in (beings.number(species), level)]
            word = f"TEXT_{name.upper()}"
            prize = int(f"{trainer.prize:04d}", 16)
            row = (self._event(trainer.event), trainer.sight, _braces([*team, 0, 0][:4]))
            teams.append(
                (*row, f"{word}_BEFORE", f"{word}_AFTER", f"word_{'warden' if name == self.plot.leader else name}", prize)
            )
        self._structs("trainer", "trainers", teams)

    def _strings(self, name: str, words: Sequence[str]) -> None:
        """Words of up to 8 letters as rows of 9 bytes."""
        rows = ",\n    ".join("{" + ", ".join(map(str, text.encode(word) + bytes([text.END]))) + "}" for word in words)
        self.header.append(f"extern const uint8_t {name}[{len(words)}][9];\n")
        self.source.append(f"const uint8_t {name}[][9] = {{\n    {rows}\n}};\n")

    def _maps(self, sprites: dict[str, int], talks: dict[str, int]) -> None:
        beings = self.beings
        numbers = {each.name: each.id for each in world.maps(self.of)} | dict([self.plot.goal])
        for name, number in numbers.items():
            self.header.append(f"#define MAP_{name.upper()} {number}\n")
        for number, name in enumerate(self.plot.events):
            self.header.append(f"#define EVENT_{name.upper()} {number}\n")
        for number, name in enumerate(world.KINDS):
            self.header.append(f"#define KIND_{name.upper()} {number}\n")
        structs = {self.plot.goal[1]: "    {0}"}
        for each in world.maps(self.of):
            order = list(each.legend)
            self._far(f"{each.name}_cells", bytes(order.index(char) for row in each.rows for char in row))
            warps = [
                (*warp.at, numbers[warp.map], *warp.cell, world.FACINGS[warp.facing], self._event(warp.event))
                for warp in each.warps
            ]
            self._structs("warp", f"{each.name}_warps", warps)
            things = [
                (*thing.at, _NONE if thing.sprite == "sign" else sprites[thing.sprite], world.FACINGS[thing.facing],
                 talks[thing.text], f"TEXT_{thing.text.upper()}", world.KINDS.index(thing.kind), self._object(thing))
                for thing in each.things
            ]  # fmt: skip
            self._structs("thing", f"{each.name}_things", things)
            patches = [(*patch.at, order.index(patch.char), self._event(patch.event)) for patch in each.patches]
            self._structs("patch", f"{each.name}_patches", patches)
            wild = [(beings.number(species), level) for species, level in each.wild]
            if len(wild) not in (0, 4):
                raise InputError(f"{each.name}.txt: four wild monsters or none, not {len(wild)}")
            self._structs("wild", f"{each.name}_wild", wild)
            structs[each.id] = (
                f"    {{{each.width}, {each.height}, {self.plot.tilesets.index(each.tileset)}, {order.index(each.border)}, "
                f"{{FAR_{each.name}_cells, UNITS_{each.name}_cells}}, {each.name}_warps, {each.name}_things, "
                f"{each.name}_patches, {each.name}_wild, {len(warps)}, {len(things)}, {len(patches)}, {len(wild)}}}"
            )
            if each.start:
                (x, y), facing = each.start
                self.header.append(f"#define START_MAP {each.id}\n#define START_X {x}\n#define START_Y {y}\n")
                self.header.append(f"#define START_FACING {world.FACINGS[facing]}\n")
        self.header.append(f"extern const struct map maps[{len(structs)}];\n")
        self.source.append("const struct map maps[] = {\n" + ",\n".join(structs[each] for each in sorted(structs)) + "\n};\n")

    def _structs(self, kind: str, name: str, values: Sequence[tuple[object, ...]]) -> None:
        rows = ["{" + ", ".join(map(str, value)) + "}" for value in values] or ["{0}"]
        self.header.append(f"extern const struct {kind} {name}[{len(rows)}];\n")
        self.source.append(f"const struct {kind} {name}[] = {{{', '.join(rows)}}};\n")

    def _pictures(self, screen: str) -> None:
        bank = TileBank(FONT_FIRST, f"pictures of the {screen} screen")
        for name, canvas in compose(screen, self.of):
            cells = bytes(bank.add_all(canvas))
            self._bytes(f"picture_{name}_cells", cells)
            self.header.append(f"extern const struct picture picture_{name};\n")
            self.source.append(
                f"const struct picture picture_{name} = {{{len(canvas[0]) // 8}, {len(canvas) // 8}, picture_{name}_cells}};\n"
            )
        self._far(f"{screen}_tiles", b"".join(bank.tiles))

    def _monsters(self) -> None:
        """Everybody's picture, 6x6 tiles row by row: species in order, then the partners from behind, then the trainers."""
        drawings = drawings_by_name(self.of)
        species = [name.lower() for name in self.beings.species]
        names = [*species, *(f"{name}_back" for name in species[:PARTNERS]), *self.beings.trainers]
        rows: list[str] = []
        for number, name in enumerate(names):
            pixels = drawings[name]
            if (len(pixels), len(pixels[0])) != (48, 48):
                raise InputError(f"drawing {name}: {len(pixels[0])}x{len(pixels)} pixels, a monster has 48x48")
            self.header.append(f"#define FACE_{name.upper()} {number}\n")
            self._far(f"face_{name}", b"".join(two_bits(tile) for row in cut(pixels, 8, 8) for tile in row))
            rows.append(f"    {{FAR_face_{name}, UNITS_face_{name}}}")
        self.header.append(f"#define FACE_BACK {len(species)}\n#define FACE_TRAINER {len(species) + PARTNERS}\n")
        self.header.append(f"extern const struct far faces[{len(rows)}];\n")
        self.source.append("const struct far faces[] = {\n" + ",\n".join(rows) + "\n};\n")

    def _plot(self) -> None:
        """What the code asks of the story by one name for every cartridge."""
        (place, (x, y)), puzzle = self.plot.heal, self.plot
        self.header.append(
            f"#define MAP_GOAL MAP_{self.plot.goal[0].upper()}\n#define TRAINER_LEADER TRAINER_{self.plot.leader.upper()}\n"
        )
        self.header.append(f"#define MAP_HEAL MAP_{place.upper()}\n#define HEAL_X {x}\n#define HEAL_Y {y}\n")
        self.header.append(
            f"#define LEVER_MINDS {_braces(puzzle.levers)}\n#define LAMPS_LIT {puzzle.lit}\n#define LAMPS_ALL {puzzle.all_lit}\n"
        )
        for number, name in enumerate(self.plot.intro, start=1):
            self.header.append(f"#define INTRO_{number} picture_{name}\n")

    def _event(self, name: str | None) -> int:
        return self.plot.events.index(name) if name else _NONE

    def _object(self, thing: world.Thing) -> int:
        """The number of what a thing is about, by its kind."""
        match thing.kind:
            case "nest":
                return self.beings.number(thing.of)
            case "trainer":
                return list(self.beings.trainers).index(thing.of)
            case "guard" | "gift":
                return self._event(thing.of)
            case "lever":
                return int(thing.of)
        return 0


def _braces(values: Iterable[int]) -> str:
    return "{" + ", ".join(map(str, values)) + "}"


def drawings_by_name(of: Cartridge = MOSSDALE) -> dict[str, Pixels]:
    """Every big drawing of ``game/pictures/``, from ``drawings.txt`` and ``creatures.txt``."""
    drawings: dict[str, Pixels] = {}
    for name in ("drawings", "creatures"):
        for group in read_groups(of.source("pictures", f"{name}.txt")):
            drawings.update(zip(group.words, group.drawings, strict=True))
    return drawings


def compose(screen: str, of: Cartridge = MOSSDALE) -> Iterator[tuple[str, Pixels]]:
    """The pictures of a screen, as ``game/pictures/<screen>.txt`` says.

    ``picture NAME WIDTH HEIGHT SHADE`` starts a canvas; ``stamp DRAWING X Y [TO_X]`` puts a drawing on it, repeated to the
    right up to ``TO_X``; ``blocks X Y CHARS`` puts outdoor cells side by side.
    """
    drawings = drawings_by_name(of)
    name = ""
    canvas: Pixels = []
    for line in of.source("pictures", f"{screen}.txt").read_text(encoding="ascii").splitlines():
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
                    stamp(canvas, world.tileset("outdoor", of)[char].pixels, int(x) + 16 * column, int(y))
            case _:
                raise InputError(f"pictures/{screen}.txt: {line!r} is none of picture, stamp, blocks")
    yield name, canvas
