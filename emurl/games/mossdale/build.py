"""Builds a cartridge: ``python -m emurl.games.mossdale.build`` writes ``mossdale.gb`` and ``mossdale.sym``.

``--game NAME`` builds another game of this engine. ``--check`` writes nothing and exits 1 where the committed ROM is not,
byte for byte, what its source gives. SDCC's output depends on its version, so the version that made the committed ROM is
asked for.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from emurl.core.errors import EmurlError, InputError, WorkError
from emurl.games.mossdale.assets import Assets
from emurl.games.mossdale.banks import FarData
from emurl.games.mossdale.cartridge import CODE, MOSSDALE, Cartridge, find_cartridge

SDCC_VERSION = "4.2"
NEAR_SIZE = 0x8000
"""Banks 0 and 1: code and small tables. The banks of far data follow."""

_MODULES = (
    "video", "text", "menu", "camera", "main", "things", "overworld", "walk", "script", "screens", "party", "battle", "turn", "view",
    "pages", "start",
)  # fmt: skip
_OPTIMIZE = ("--opt-code-speed", "--max-allocs-per-node", "20000")
_RAM_FIELD = re.compile(r"#define (w\w+) BYTES?_AT\(0x([0-9A-F]{4})\)")
_LABEL = re.compile(r"DEF (\w+) 0x([0-9A-F]+)", re.ASCII)


def missing_compiler() -> str | None:
    """Why the ROM cannot be rebuilt here, in one line; None where it can."""
    if not shutil.which("sdcc") or not shutil.which("sdasgb"):
        return f"sdcc {SDCC_VERSION} is not installed"
    version = subprocess.run(["sdcc", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\b(\d+\.\d+)\.\d+\b", version)
    if not found or found[1] != SDCC_VERSION:
        return f"sdcc is version {found[1] if found else 'unknown'}, the committed ROM was made by {SDCC_VERSION}"
    return None


def build(of: Cartridge = MOSSDALE) -> tuple[bytes, str]:
    """Compile and link the game.

    Returns:
        the ROM (65,536 bytes, header complete) and the text of its symbol file.

    Raises:
        InputError: no fitting compiler, or a mistake in the art, map or text sources.
        WorkError: the compiler's complaint.
    """
    if reason := missing_compiler():
        raise InputError(reason)
    with tempfile.TemporaryDirectory() as name:
        # Relative paths only: what the tools write must not depend on where the folder is.
        folder = Path(name)
        for source in sorted(CODE.iterdir()):
            shutil.copy(source, folder / source.name)
        assets = Assets(of)
        (folder / "assets.h").write_text("".join(assets.header), encoding="ascii")
        (folder / "assets.c").write_text("".join(assets.source), encoding="ascii")
        _call(folder, "sdasgb", "-plosgff", "crt0.s")
        modules = (*_MODULES, "assets")
        for module in modules:
            _call(folder, "sdcc", "-msm83", "--std-c11", *_OPTIMIZE, "-c", f"{module}.c")
        _call(
            folder, "sdcc", "-msm83", "--no-std-crt0", "--code-loc", "0x0200", "--data-loc", "0xC100", "-Wl-j", "-o", "game.ihx",
            "crt0.rel", *(f"{module}.rel" for module in modules),
        )  # fmt: skip
        rom = _from_hex((folder / "game.ihx").read_text(encoding="ascii"))
        listing = (folder / "game.noi").read_text(encoding="ascii")
        _check_near(listing)
        return finish_header(rom + assets.far.image(), of.title), _symbols(listing, assets.far, of.title)


def _call(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    complaint = (done.stdout + done.stderr).strip()
    if done.returncode or "warning" in complaint:
        raise WorkError(f"{' '.join(command)}: {complaint}")


def _from_hex(text: str) -> bytearray:
    """Intel HEX to a ROM image; unused bytes are FF, as on an erased chip."""
    rom = bytearray(b"\xff" * NEAR_SIZE)
    for line in text.split():
        record = bytes.fromhex(line[1:])
        count, address, kind = record[0], int.from_bytes(record[1:3], "big"), record[3]
        if kind == 0:
            if address + count > NEAR_SIZE:
                raise WorkError(f"the game does not fit: data at {address:04X}, bank 1 ends at {NEAR_SIZE:04X}")
            rom[address : address + count] = record[4 : 4 + count]
    return rom


def finish_header(rom: bytearray, title: str) -> bytes:
    """Title, cartridge type (64 KiB, MBC1, DMG) and both checksums; the logo stays zero."""
    rom[0x104:0x150] = bytes(0x150 - 0x104)
    rom[0x134 : 0x134 + len(title)] = title.encode("ascii")
    rom[0x147:0x149] = b"\x01\x01"
    checksum = 0
    for byte in rom[0x134:0x14D]:
        checksum = (checksum - byte - 1) & 0xFF
    rom[0x14D] = checksum
    total = sum(rom) & 0xFFFF  # its own two bytes are still zero
    rom[0x14E:0x150] = total.to_bytes(2, "big")
    return bytes(rom)


def _check_near(noice: str) -> None:
    """What maps other banks must itself lie in bank 0, and variables must end before the tile map."""
    places = {name: int(address, 16) for name, address in _LABEL.findall(noice)}
    if places["_far_copy"] >= 0x3F00:
        raise WorkError(f"far_copy lies at {places['_far_copy']:04X}, it must lie in bank 0")
    end = max(places[f"s_{area}"] + places[f"l_{area}"] for area in ("_DATA", "_BSS", "_INITIALIZED") if f"s_{area}" in places)
    if end > 0xC3A0:
        raise WorkError(f"the game's variables end at {end:04X}, the tile map begins at C3A0")


def _symbols(noice: str, far: FarData, title: str) -> str:
    """``bank:address name`` lines: the linker's labels, far data, and the work RAM fields of ram.h."""
    found = {name: int(address, 16) for name, address in _RAM_FIELD.findall((CODE / "ram.h").read_text("utf-8"))}
    for name, address in _LABEL.findall(noice):
        if name.startswith("_") and not name.startswith("__"):
            found[name[1:]] = int(address, 16)
    lines = sorted((int(0x4000 <= address < 0x8000), address, name) for name, address in found.items())
    lines += sorted((bank, address, name) for name, (bank, address) in far.places.items())
    return f"; {title}\n" + "".join(f"{bank:02x}:{address:04x} {name}\n" for bank, address, name in lines)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m emurl.games.mossdale.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed ROM, write nothing")
    parser.add_argument("--game", default=MOSSDALE.name, help="which game of this engine (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        of = find_cartridge(options.game)
        rom, symbols = build(of)
    except EmurlError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    near, far = len(rom[:NEAR_SIZE].rstrip(b"\xff")), len(rom[NEAR_SIZE:].rstrip(b"\xff"))
    listing = of.rom.with_suffix(".sym")
    if options.check:
        same = rom == of.rom.read_bytes() and symbols == listing.read_text("ascii")
        print(f"{of.rom.name}: {'as built from its source' if same else 'differs from its source: build it anew'}")
        return 0 if same else 1
    of.rom.write_bytes(rom)
    listing.write_text(symbols, encoding="ascii")
    print(f"{of.rom.name}: {near} of {NEAR_SIZE} bytes of code, {far} of {len(rom) - NEAR_SIZE} of data")
    return 0


if __name__ == "__main__":
    sys.exit(main())
