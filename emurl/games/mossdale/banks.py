"""The cartridge's far data: blobs that live in switchable ROM banks and are copied to RAM or video memory when needed.

Code and small tables fill banks 0 and 1, which are always mapped; pictures, tiles, maps and texts go into banks 2 and 3,
which the game maps for the time of a copy only (`far_copy` in ``video.c``).
"""

from __future__ import annotations

from emurl.core.errors import WorkError

BANK = 0x4000
"""Bytes in a bank; a switchable one is seen at 4000-7FFF."""

FIRST, COUNT = 2, 2
"""The first bank of far data, and how many there are."""

UNIT = 16
"""Far data is copied in pieces of this many bytes, so every blob is filled up to a whole number of them."""


class FarData:
    """Blobs in the order they were added; none crosses from one bank into the next."""

    def __init__(self) -> None:
        self.banks = [bytearray()]
        self.places: dict[str, tuple[int, int]] = {}

    def add(self, name: str, data: bytes) -> str:
        """Keep a blob; returns its C definitions: ``FAR_name`` (address, bank) and ``UNITS_name`` (its length).

        Raises:
            WorkError: the banks are full, or a blob is longer than one copy can be (255 units).
        """
        data = data + bytes(-len(data) % UNIT)
        if len(data) // UNIT > 255:
            raise WorkError(f"far data {name}: {len(data)} bytes, at most {255 * UNIT} fit in one copy")
        if len(self.banks[-1]) + len(data) > BANK:
            self.banks.append(bytearray())
        if len(self.banks) > COUNT:
            raise WorkError(f"far data {name}: {COUNT} banks are full")
        bank, address = FIRST + len(self.banks) - 1, BANK + len(self.banks[-1])
        self.banks[-1] += data
        self.places[name] = (bank, address)
        return f"#define FAR_{name} ((const uint8_t *)0x{address:04X}), {bank}\n#define UNITS_{name} {len(data) // UNIT}\n"

    def image(self) -> bytes:
        """All banks, unused bytes FF."""
        filled = [bytes(bank).ljust(BANK, b"\xff") for bank in self.banks]
        return b"".join(filled).ljust(COUNT * BANK, b"\xff")

    def used(self) -> int:
        """Bytes of far data."""
        return sum(len(bank) for bank in self.banks)
