"""A folder of videos on this machine: every video in it and in its folders, by name; nothing in it is moved, changed or copied here.

Links to files are followed, for they are how people gather videos; links to folders are not, for they may lead anywhere and in circles.
What begins with a dot is somebody else's (`._run.mp4` of macOS, a sync tool's half of a file).
"""

from __future__ import annotations

import datetime
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from emurl.core.errors import InputError
from emurl.footage.download.local import content_of
from emurl.footage.sources.entries import Entry
from emurl.footage.video import NotAVideo, probe

KINDS = (
    ".mp4", ".mkv", ".webm", ".mov", ".avi", ".flv", ".ts", ".m4v", ".mpg", ".mpeg", ".wmv", ".ogv", ".3gp", ".m2ts", ".mts",
)  # fmt: skip


def videos_in(folder: Path) -> dict[str, Path]:
    """Every file of a video's suffix below `folder`, by its name in it (`a/b.mp4`), in order of the names; never empty.

    Raises:
        InputError: it is no folder, cannot be read, or holds no video.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise InputError(f"runs.path: {folder}: {what}, expected a folder of videos (runs.source: folder)")
    found: dict[str, Path] = {}
    others = 0
    for place, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(place, name)
            if name.startswith(".") or path.suffix.lower() not in KINDS:
                others += 1
            else:
                found[path.relative_to(folder).as_posix()] = path
    if not found:
        held = f"{others} files, none of them a video" if others else "empty"
        raise InputError(f"runs.path: {folder}: {held}, expected at least one ({' '.join(KINDS[:4])} …)")
    return dict(sorted(found.items()))


def place(folder: Path) -> str:
    """Where a folder really lies, as text."""
    return _printable(os.path.realpath(folder))


def contents(folder: Path) -> dict[str, str]:
    """What each video below `folder` holds: sha256 by name, for the fingerprint. A file that cannot be read is the empty string.

    Raises:
        InputError: as `videos_in`.
    """
    return {_printable(name): _content(path)[0] for name, path in videos_in(folder).items()}


def entries(folder: Path) -> Iterator[Entry]:
    """The videos below `folder` in order of their names, with their lengths; the folder that holds one is its player.

    Raises:
        InputError: as `videos_in`.
    """
    for name, path in videos_in(folder).items():
        content, refused = _content(path)
        url = Path(os.path.realpath(path)).as_uri()  # a link is what it leads to
        if refused:
            yield Entry(url, refused=refused)
            continue
        day = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).date().isoformat()
        player = Path(name).parent.name
        try:
            yield Entry(url, probe(path).duration_s or None, _printable(player), day, content=content)
        except NotAVideo as error:
            yield Entry(url, refused=str(error).partition(" (")[0], content=content)


def _content(path: Path) -> tuple[str, str]:
    """sha256 of a file, and why there is none."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            return "", "not a file"  # a pipe would wait for ever
        return content_of(path), ""
    except FileNotFoundError:
        return "", "a link that leads nowhere"
    except OSError as error:
        return "", f"cannot be read ({error.strerror or error})"


def _printable(name: str) -> str:
    """A name as JSON and Parquet can hold it: bytes that are no UTF-8 become escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _unreadable(error: OSError) -> None:
    raise InputError(
        f"runs.path: {error.filename}: cannot be read ({error.strerror or error}), expected a folder of videos"
    ) from None
