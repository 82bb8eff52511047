"""Names of files that go from one disk to another in an exported file: inside it, plain, and different on every disk."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

LONGEST = 255  # bytes of a name, on the disks that people have
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def complain(name: str) -> tuple[str, str] | None:
    """What is wrong with a name by itself, and what was expected; None when nothing is."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or re.match(r"[A-Za-z]:", name):
        return "leads out of the store", "names inside"
    try:
        long = any(len(part.encode()) > LONGEST for part in parts)
    except UnicodeEncodeError:
        long = True
    if long or not name or _CONTROL.search(name) or "" in parts or "." in parts:
        return "is not a name that every disk takes", "one of the store's"
    return None


def collide(names: Iterable[str]) -> tuple[str, str, str] | None:
    """The first name that cannot be beside those before it, what is wrong with it, and what was expected; None when all can.

    Some disks take a and A for one name, some é however it is put together, and Windows drops a dot or a space at the end.
    """
    seen: set[str] = set()
    folded: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        if name in seen:
            return name, "is there twice", "each name once"
        seen.add(name)
        if (other := folded.setdefault(_fold(name), name)) != name:
            return name, f"is the same as {other} on some disks", "names that differ"
        for parent in list(PurePosixPath(name).parents)[:-1]:
            if (other := folders.setdefault(_fold(str(parent)), str(parent))) != str(parent):
                return name, f"is in the same folder as {other}/ on some disks", "names that differ"
    for name in sorted(seen):
        if _fold(name) in folders:
            return name, "is a file and a folder", "each name once"
    return None


def _fold(name: str) -> str:
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "/".join(part.rstrip(". ") for part in plain.split("/"))
