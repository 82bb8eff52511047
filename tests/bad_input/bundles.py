"""Exported files that somebody has been at; tests/core/test_bundle_hostile.py has each of these in all its forms."""

import io
import stat
import zipfile

from tests.bad_input.kinds import WORK, Place, bad
from tests.fixtures.bundles import edit, entries, with_file, write

IMPORT = "artifacts import in.zip --store store"
FILE = "speedrun/reward/v1/deep/file.txt"


def zipped(change):
    """Make `in.zip` of what the true one holds, changed."""

    def make(place: Place) -> None:
        write(place.folder / "in.zip", change(entries(place.shelf / "policy.zip")))

    return make


def raw(change):
    def make(place: Place) -> None:
        place.write("in.zip", change((place.shelf / "policy.zip").read_bytes(), place.rng))

    return make


def link(place: Place) -> None:
    def change(info: zipfile.ZipInfo) -> None:
        if info.filename == FILE:
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16

    write(place.folder / "in.zip", entries(place.shelf / "policy.zip"), change)


def bomb(place: Place) -> None:
    held = with_file(entries(place.shelf / "policy.zip"), "policy@v1", "zeros.bin", bytes(5_000_000))
    write(place.folder / "in.zip", held, compression=zipfile.ZIP_DEFLATED)


def other_zip() -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        archive.writestr("readme.txt", "hello")
    return into.getvalue()


def flipped(data: bytes, rng) -> bytes:
    """One byte of what an artifact's file holds is another."""
    at = data.index(b"deep/file.txt") + len("deep/file.txt")
    return data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]


KINDS = [
    bad("an archive that is not there", IMPORT, "in.zip", process=True),
    bad("a folder for an archive", IMPORT, "in.zip", files={"in.zip/x": ""}),
    bad("an archive that is empty", IMPORT, "in.zip", files={"in.zip": ""}),
    bad("an archive that is text", IMPORT, "in.zip", files={"in.zip": "hello\n"}),
    bad("an archive that is another's", IMPORT, "in.zip", "emurl", files={"in.zip": other_zip()}),
    bad(
        "an archive that is cut", IMPORT, "in.zip", make=raw(lambda data, rng: data[: rng.randrange(30, len(data) - 22)]), times=4
    ),
    bad("an archive with bytes that rotted", IMPORT, "in.zip", make=raw(flipped)),
    bad("an archive that climbs out", IMPORT, "in.zip", "leads out", make=zipped(lambda held: {**held, "../up.txt": b"x"})),
    bad("an archive with a link", IMPORT, "in.zip", FILE, "link", make=link),
    bad("an archive that unpacks to any size", IMPORT, "in.zip", "compressed", make=bomb),
    bad(
        "an archive with a pickle",
        IMPORT,
        "in.zip",
        "pickle",
        kept=WORK,
        make=zipped(lambda held: with_file(held, "policy@v1", "a.json", b"cos\nsystem\n(S'true'\ntR.")),
    ),
    bad(
        "an archive that lies about a size",
        IMPORT,
        "in.zip",
        "reward",
        make=zipped(lambda held: edit(held, "reward@v1", lambda told: told["files"][0].update(size=10**12))),
    ),
    bad(
        "an archive whose index is none",
        IMPORT,
        "in.zip",
        "emurl-export.json",
        make=zipped(lambda held: {**held, "emurl-export.json": b"[]"}),
    ),
    bad(
        "an archive that lacks a file",
        IMPORT,
        "in.zip",
        FILE,
        make=zipped(lambda held: {name: data for name, data in held.items() if name != FILE}),
    ),
]
