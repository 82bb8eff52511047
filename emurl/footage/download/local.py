"""A video that lies on this machine already, taken where it is: read, never moved, changed or removed."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from emurl.core.files import sha256_of_file
from emurl.footage.download.downloader import Download, judged


def is_local(url: str) -> bool:
    """Whether a row of runs.parquet is of a file."""
    return urlsplit(url).scheme == "file"


def path_of(url: str) -> Path:
    """The file that a `file:` URL names."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(url).path)))


def take(url: str, name: str, *, run_s: float, parts: int, longest_gap_s: float) -> Download:
    """The video at `url`, whose content is expected to be `name`: the beginning of its sha256, as runs read it."""
    path = Path(os.path.realpath(path_of(url)))  # a link to it would be linked, not the file
    try:
        if not path.is_file():
            return Download("gone", "there is no such file on this machine any more")
        if not content_of(path).startswith(name):
            return Download("gone", "the file is another than when the folder was read (run runs)")
    except OSError as error:
        return Download("gone", f"cannot be read ({error.strerror or error})")
    return judged(path, run_s, parts, longest_gap_s)


def content_of(path: Path) -> str:
    """sha256 hex of a file, taken once a process while nothing has touched it.

    Raises:
        OSError: it cannot be read.
    """
    state = path.stat()
    return _content(path, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _content(path: Path, *state: int) -> str:
    return sha256_of_file(path)
