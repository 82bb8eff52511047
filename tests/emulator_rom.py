"""A Game Boy ROM small enough to know by heart, built byte by byte: what the emulator tests press buttons on.

A dark 8×8 tile on a white screen moves one tile a *newly pressed* direction (0-15 in x and y, wrapping). Work RAM:
C100 the buttons held (direction pad high, buttons low nibble), C101 how many frames brought a new press, D361/D362 the
tile's y/x where Pokémon Red keeps them, D163 becomes 1 when START is pressed.
"""

from __future__ import annotations

from pathlib import Path

HELD, PRESSES, Y, X, STARTED = 0xC100, 0xC101, 0xD361, 0xD362, 0xD163


def _program() -> bytes:
    code: list[int | tuple[str, str]] = []
    labels: dict[str, int] = {}
    origin = 0x150

    def emit(*items: int | tuple[str, str]) -> None:
        for item in items:
            code.append(item)
            if isinstance(item, tuple) and item[0] == "call":
                code.append(("skip", ""))

    def label(name: str) -> None:
        labels[name] = len(code)

    def word(value: int) -> tuple[int, int]:
        return value & 0xFF, value >> 8

    jr, jr_nz, jr_z = 0x18, 0x20, 0x28
    emit(0xF3, 0x31, *word(0xDFFE))  # di; ld sp
    label("boot")  # wait for line 144, then switch the screen off
    emit(0xF0, 0x44, 0xFE, 144, jr_nz, ("jr", "boot"), 0xAF, 0xE0, 0x40)
    emit(0x21, *word(0x9800))  # clear the tile map
    label("map")
    emit(0xAF, 0x22, 0x7C, 0xFE, 0x9C, jr_nz, ("jr", "map"))
    emit(0x21, *word(0x8000), 0x06, 16)  # tile 0 white, tile 1 dark
    label("tile0")
    emit(0xAF, 0x22, 0x05, jr_nz, ("jr", "tile0"), 0x06, 16)
    label("tile1")
    emit(0x3E, 0xFF, 0x22, 0x05, jr_nz, ("jr", "tile1"))
    emit(0x3E, 0xE4, 0xE0, 0x47, 0xAF, 0xE0, 0x42, 0xE0, 0x43)  # palette, scroll
    emit(0x21, *word(HELD))  # clear work RAM
    label("ram")
    emit(0xAF, 0x22, 0x7C, 0xFE, 0xDE, jr_nz, ("jr", "ram"), 0x3E, 0x91, 0xE0, 0x40)
    label("main")
    emit(0xF0, 0x44, 0xFE, 144, jr_nz, ("jr", "main"), 0xCD, ("call", "cell"), 0x36, 0x00)  # erase
    emit(0x3E, 0x20, 0xE0, 0x00, 0xF0, 0x00, 0xF0, 0x00, 0x2F, 0xE6, 0x0F, 0xCB, 0x37, 0x47)  # direction pad
    emit(0x3E, 0x10, 0xE0, 0x00, 0xF0, 0x00, 0xF0, 0x00, 0x2F, 0xE6, 0x0F, 0xB0, 0x47, 0x3E, 0x30, 0xE0, 0x00)
    emit(0xFA, *word(HELD), 0x2F, 0xA0, 0x4F, 0x78, 0xEA, *word(HELD))  # c = newly pressed
    emit(0x79, 0xB7, jr_z, ("jr", "draw"), 0x21, *word(PRESSES), 0x34)
    for bit, address, operation in ((4, X, 0x34), (5, X, 0x35), (6, Y, 0x35), (7, Y, 0x34)):
        emit(0xCB, 0x41 + 8 * bit, jr_z, 4, 0x21, *word(address), operation)
    emit(0xCB, 0x41 + 8 * 3, jr_z, 5, 0x21, *word(STARTED), 0x36, 0x01)
    label("draw")
    for address in (X, Y):
        emit(0x21, *word(address), 0x7E, 0xE6, 0x0F, 0x77)
    emit(0xCD, ("call", "cell"), 0x36, 0x01)
    label("rest")
    emit(0xF0, 0x44, 0xFE, 144, jr_z, ("jr", "rest"), jr, ("jr", "main"))
    label("cell")  # hl = tile map address of the tile
    emit(0xFA, *word(Y), 0x6F, 0x26, 0x00, *[0x29] * 5, 0x11, *word(0x9800), 0x19)
    emit(0xFA, *word(X), 0x5F, 0x16, 0x00, 0x19, 0xC9)

    out = bytearray()
    for place, item in enumerate(code):
        if isinstance(item, int):
            out.append(item)
        elif item[0] == "jr":
            out.append((labels[item[1]] - place - 1) & 0xFF)
        elif item[0] == "call":
            out += bytes(word(origin + labels[item[1]]))
    return bytes(out)


def rom_bytes(title: str = "TINY") -> bytes:
    """The ROM, 32 KiB, with `title` in its header and a right header checksum."""
    rom = bytearray(0x8000)
    rom[0x100:0x104] = bytes([0x00, 0xC3, 0x50, 0x01])
    rom[0x134 : 0x134 + len(title)] = title.encode("ascii")
    program = _program()
    rom[0x150 : 0x150 + len(program)] = program
    rom[0x14D] = -sum(byte + 1 for byte in rom[0x134:0x14D]) & 0xFF
    return bytes(rom)


def write_rom(folder: Path, title: str = "TINY") -> Path:
    """Write the ROM into `folder` and return its path."""
    path = folder / f"{title.lower().replace(' ', '_')}.gb"
    path.write_bytes(rom_bytes(title))
    return path
