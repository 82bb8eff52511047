"""Files written whole or not at all, and what is asked of them: hashes, lists, whether a disk is full."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emurl.core.errors import InputError

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
# What file systems without hard links say (FAT, some network shares and containers).
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.EACCES, errno.EXDEV)
# Libraries written in Rust or C++ (safetensors, Arrow) say it in words only.
_FULL_WORDS = ("no space left on device", "os error 28", "errno 28", "disk quota exceeded", "os error 122", "errno 122")
_NUMPY_SHORT = re.compile(r"\d+ requested and \d+ written$")  # of an array, and NumPy keeps no number of the error
TRASH = ".trash-"  # how the name of something begins that is being removed


@contextlib.contextmanager
def write_atomically(path: Path, sync: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write to; it takes the place of `path` at the end of the block, or is removed on a failure.

    The path given ends in the name of `path`, so that writers which look at the suffix do the same.

    Args:
        path: the file to be; its folder is made.
        sync: wait until the bytes are on the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".part-{secrets.token_hex(4)}-{path.name}")
    try:
        yield aside
        if sync:
            sync_file(aside)
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a value that is JSON-ready, indented, for people and for who reads it again."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def create_file(path: Path, data: bytes) -> bool:
    """Make a file with `data` in it if there is none; False when there is one. Of several callers one succeeds.

    Filled beside its place and linked there, so that it is never seen empty, whatever happens meanwhile: a kill, a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".part-{secrets.token_hex(4)}-{path.name}")
    try:
        aside.write_bytes(data)
        try:
            os.link(aside, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _create_and_fill(path, data)
        return True
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def _create_and_fill(path: Path, data: bytes) -> bool:
    try:
        file = path.open("xb")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(data)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    return True


def sync_file(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    with path.open("rb+" if os.name == "nt" else "rb") as file:  # Windows syncs only what it may write
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that (Windows cannot)."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until every file and name below a folder is on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with contextlib.suppress(PermissionError):  # a read-only file, linked from elsewhere: it is not ours to sync
                sync_file(path)
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            sync_folder(path)


def sha256_of_file(path: Path) -> str:
    """sha256 hex of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def discard(folder: Path, trash: Path) -> None:
    """Remove a folder at one stroke: it is renamed away first, so that nobody ever sees or publishes a half of it.

    Args:
        folder: what is to go; nothing happens when it is gone already.
        trash: a folder that takes what is being removed; on another disk the folder's own parent does.

    Raises:
        OSError: it cannot be removed, and is still there.
    """
    name = f"{TRASH}{secrets.token_hex(8)}"
    gone = trash / name
    trash.mkdir(parents=True, exist_ok=True)
    try:
        try:
            folder.rename(gone)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            gone = folder.with_name(name)
            folder.rename(gone)
    except FileNotFoundError:
        return
    remove_tree(gone)


def remove_tree(path: Path) -> None:
    """Remove a folder or a file that nobody reads any more, as far as the disk lets us."""
    with contextlib.suppress(OSError):
        path.unlink() if path.is_file() or path.is_symlink() else shutil.rmtree(path, ignore_errors=True)


def free_at(folder: Path) -> int:
    """Bytes that are free where a folder is, or would be made."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a failure, or what led to it, is a full disk or a quota used up."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(words in str(error).lower() for words in _FULL_WORDS) or _NUMPY_SHORT.match(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def at_home(path: str | os.PathLike[str]) -> Path:
    """A path with `~` read as the home folder, and `~name` as that of another user. Without a home (an unknown user id), `~` stays.

    Raises:
        InputError: there is no such user, or it holds a NUL.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise InputError(f"{text!r}: holds a NUL, expected a path")
    found = os.path.expanduser(text)  # noqa: PTH111  (a Path has forgotten the ./ of ./~name)
    user = Path(text).parts[0] if found == text and text.startswith("~") else "~"
    if user != "~":
        raise InputError(
            f"{text}: there is no user {user[1:]}, expected a path such as ~/data, or ./{user} for a folder of that name"
        )
    return Path(found)
