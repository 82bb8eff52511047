"""The two places a store can be at, behind the same few verbs: a folder, and an object store (`s3://…`, any fsspec URL).

Keys are relative, with slashes. The one verb that everything rests on is `create`: it makes an object only if there is none, and says
which of two callers was first, on any number of hosts. Failures leave here as one line (`InputError`, `WorkError`), never as
a library's traceback, and never look like an empty store.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from emurl.core import threads
from emurl.core.errors import EmurlError, InputError, WorkError
from emurl.core.files import at_home, create_file, write_atomically
from emurl.core.proxies import require_usable
from emurl.core.refusals import code_of, explain_folder, explain_remote, one_line

PROBE_S = 15.0  # longer than this nobody waits to hear that a store is not there


class Objects(Protocol):
    """What leases, claims and readers ask of a store."""

    url: str

    def create(self, key: str, data: bytes) -> bool:
        """Make an object if there is none; False when there is one that is not ours. `data` has to hold something unique."""

    def put(self, key: str, data: bytes) -> None:
        """Make or replace an object."""

    def read(self, key: str) -> bytes | None:
        """An object's bytes, None if there is none."""

    def read_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The bytes of those that are there."""

    def names(self, key: str) -> list[str]:
        """Names of the objects and folders directly below, sorted."""

    def below(self, key: str) -> dict[str, int]:
        """Every object below: its name relative to `key`, and its size."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are gone already do not matter."""


class Folder:
    """A store in a folder, shared by hosts or not. Needs no locks of the file system."""

    def __init__(self, root: Path, url: str | None = None) -> None:
        self.root = root
        self.url = url or str(root)

    def create(self, key: str, data: bytes) -> bool:
        """See `Objects`. Where the file system has no hard links a reader may find it empty for a moment."""
        with self._told():
            for _ in range(8):
                with contextlib.suppress(FileNotFoundError):  # somebody removed the empty folder meanwhile
                    return create_file(self.root / key, data)
            return create_file(self.root / key, data)

    def put(self, key: str, data: bytes) -> None:
        """See `Objects`."""
        with self._told(), write_atomically(self.root / key) as aside:
            aside.write_bytes(data)

    def read(self, key: str) -> bytes | None:
        """See `Objects`."""
        with self._told():
            try:
                return (self.root / key).read_bytes()
            except FileNotFoundError:
                return None
            except NotADirectoryError:
                if self.root.is_dir():
                    return None
                raise

    def read_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """See `Objects`."""
        return {key: data for key in keys if (data := self.read(key)) is not None}

    def names(self, key: str) -> list[str]:
        """See `Objects`."""
        with self._told():
            try:
                return sorted(os.listdir(self.root / key))  # noqa: PTH208  (names, not paths)
            except FileNotFoundError:
                return []
            except NotADirectoryError:
                if self.root.is_dir():  # a file beside the folders that are looked for
                    return []
                raise

    def below(self, key: str) -> dict[str, int]:
        """See `Objects`."""
        found: dict[str, int] = {}
        top = self.root / key
        for path in top.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    found[path.relative_to(top).as_posix()] = path.stat().st_size
        return found

    def delete(self, keys: Iterable[str]) -> None:
        """See `Objects`. Folders left empty go, too."""
        with self._told():
            for key in keys:
                path = self.root / key
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()
                for parent in list(path.relative_to(self.root).parents)[:-1]:
                    try:
                        (self.root / parent).rmdir()
                    except OSError:
                        break

    def probe(self, write: bool) -> None:
        """See `Store.probe`."""
        with self._told():
            if self.root.exists() and not self.root.is_dir():
                raise InputError(f"store {self.url}: is a file, expected a folder")
            if not write:
                with contextlib.suppress(FileNotFoundError):  # an empty store
                    os.listdir(self.root)  # noqa: PTH208
                return
            # In what is there already: a store that is only asked after is not begun.
            places = (self.root / ".work", self.root, *self.root.absolute().parents)
            there = next(place for place in places if os.path.lexists(place))
            trial = there / f".probe-{int(time.time())}-{secrets.token_hex(8)}"
            try:
                with trial.open("xb") as file:  # some bytes: an empty file can be made on a full disk
                    file.write(bytes(65_536))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                with contextlib.suppress(OSError):
                    trial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise explain_folder(self.url, error) from None


class Remote:
    """A store in a bucket, or at any fsspec URL whose file system can create conditionally."""

    def __init__(self, url: str, quick: bool = False) -> None:
        """Open it; nothing is asked of it yet. `quick`: do not try again, for the probe."""
        self.url = url
        self._fs, prefix = _open(url, quick)
        self._prefix = prefix.rstrip("/")
        self._s3 = hasattr(self._fs, "call_s3")

    def create(self, key: str, data: bytes) -> bool:
        """See `Objects`."""
        with self._told():
            for _ in range(8):
                try:
                    self._fs.pipe_file(self._at(key), data, mode="create")
                    return True
                except FileExistsError:
                    pass
                except Exception as error:
                    # Another conditional request for the same key was under way: S3 asks to try again.
                    if code_of(error) in ("ConditionalRequestConflict", "409"):
                        continue
                    if code_of(error) not in ("PreconditionFailed", "412"):
                        raise
                # An answer may be lost and the request sent again: then what is there is our own.
                return self.read(key) == data
            raise WorkError(f"store {self.url}: {key} cannot be created, the store is busy")

    def put(self, key: str, data: bytes) -> None:
        """See `Objects`."""
        with self._told():
            self._fs.pipe_file(self._at(key), data)

    def read(self, key: str) -> bytes | None:
        """See `Objects`."""
        return self.read_many([key]).get(key)

    def read_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """See `Objects`. All at once."""
        wanted = list(keys)
        if not wanted:
            return {}
        # One at a time by file: s3fs would ask for the size of each first.
        options = {"max_concurrency": 1} if self._s3 else {}
        found: dict[str, bytes] = {}
        with self._told():
            read = self._fs.cat_ranges([self._at(key) for key in wanted], None, None, on_error="return", **options)
            for key, data in zip(wanted, read, strict=True):
                if isinstance(data, bytes):
                    found[key] = data
                elif not isinstance(data, FileNotFoundError) or code_of(data) == "NoSuchBucket":
                    raise data
        return found

    def names(self, key: str) -> list[str]:
        """See `Objects`."""
        with self._told():
            if self._s3:
                return sorted({name.split("/")[0] for name in self._list_s3(key, "/")})
            try:
                listed = self._fs.ls(self._at(key), detail=False)
            except FileNotFoundError:
                return []
        top = self._at(key).lstrip("/") + "/"
        inside = {path.lstrip("/").removeprefix(top).strip("/") for path in listed if path.lstrip("/").startswith(top)}
        return sorted(name for name in inside if name)

    def below(self, key: str) -> dict[str, int]:
        """See `Objects`."""
        with self._told():
            if self._s3:
                return self._list_s3(key, "")
            found = self._fs.find(self._at(key), detail=True)
        top = self._at(key).lstrip("/") + "/"
        files = {path.lstrip("/"): int(info["size"] or 0) for path, info in found.items()}
        return {path.removeprefix(top): size for path, size in files.items() if path.startswith(top)}

    def _list_s3(self, key: str, delimiter: str) -> dict[str, int]:
        """Names below and their sizes, -1 for folders: one request a thousand, where s3fs asks again whenever it finds nothing."""
        bucket, _, prefix = self._at(key).partition("/")
        top = f"{prefix}/" if prefix else ""
        found: dict[str, int] = {}
        more: dict[str, str] = {}
        while True:
            page = self._fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=top, Delimiter=delimiter, **more)
            found |= {one["Key"].removeprefix(top): int(one["Size"]) for one in page.get("Contents", ())}
            found |= {one["Prefix"].removeprefix(top): -1 for one in page.get("CommonPrefixes", ())}
            if not page.get("IsTruncated"):
                # A key that ends in a slash is what consoles make of a folder.
                return {name: size for name, size in found.items() if name and (size < 0 or not name.endswith("/"))}
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, keys: Iterable[str]) -> None:
        """See `Objects`."""
        paths = [self._at(key) for key in keys]
        with self._told():
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    self._fs.rm_file(path)

    def put_file(self, key: str, path: Path) -> None:
        """Upload a file."""
        with self._told():
            self._fs.put_file(str(path), self._at(key))

    def get_file(self, key: str, path: Path) -> None:
        """Download an object to a file."""
        with self._told():
            self._fs.get_file(self._at(key), str(path))

    def sha256(self, key: str) -> str:
        """sha256 hex of an object's bytes, which are not kept."""
        with self._told(), self._fs.open(self._at(key), "rb", cache_type="readahead", block_size=8 * 2**20) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def probe(self, write: bool) -> None:
        """See `Store.probe`."""
        # In a thread of its own: a client may wait for longer than it was told.
        if not threads.within(PROBE_S, lambda: Remote(self.url, quick=True)._try(write), "store-probe"):
            raise WorkError(
                f"store {self.url}: does not answer within {PROBE_S:.0f} s, expected a store that can be reached from here"
            )

    def _try(self, write: bool) -> None:
        self.names("")
        if not write:
            return
        trial = f".leases/.probe-{int(time.time())}-{secrets.token_hex(8)}"
        first, second = secrets.token_bytes(16), secrets.token_bytes(16)
        try:
            made = self.create(trial, first)
            again = self.create(trial, second)
            whole = self.read(trial) == first
        finally:
            self.delete([trial])
        if not made or again or not whole:
            raise InputError(
                f"store {self.url}: does not create objects conditionally (If-None-Match), expected a store that does, as S3"
            )

    def _at(self, key: str) -> str:
        return f"{self._prefix}/{key}" if key else self._prefix

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except EmurlError:
            raise
        except Exception as error:
            raise explain_remote(self.url, error) from None


def open_place(url: str) -> Folder | Remote:
    """The folder or object store that a URL names; `~` is the home folder.

    Raises:
        InputError: the URL, or what is installed, does not do.
    """
    if not url.strip():
        raise InputError("store: empty, expected a folder or a URL such as s3://bucket/prefix")
    if "://" in url and not url.startswith("file://"):
        return Remote(url)
    try:
        return Folder(at_home(url.removeprefix("file://")), url)
    except InputError as error:
        raise InputError(f"store {error}") from None


def _open(url: str, quick: bool) -> tuple[Any, str]:
    import fsspec

    options: dict[str, Any] = {"use_listings_cache": False}
    scheme, _, rest = url.partition("://")
    if scheme not in fsspec.available_protocols():
        raise InputError(f"store {url}: nothing opens {scheme}://, expected a folder or a URL such as s3://bucket/prefix")
    if scheme in ("s3", "s3a"):
        if not rest.strip("/"):
            raise InputError(f"store {url}: names no bucket, expected s3://bucket or s3://bucket/prefix")
        options["config_kwargs"] = {
            "connect_timeout": PROBE_S / 5 if quick else 8,
            "read_timeout": PROBE_S / 3 if quick else 30,
            "retries": {"total_max_attempts": 1 if quick else 3, "mode": "standard"},
        }
        options["skip_instance_cache"] = quick
        # Clients are kept and found again by their options: one of another endpoint is another client.
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        require_usable(endpoint or "https://s3.amazonaws.com")
        if endpoint and "endpoint_url" not in fsspec.config.conf.get(scheme, {}):
            options["endpoint_url"] = endpoint
    try:
        filesystem, prefix = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        extra = "`pip install 'emurl[s3]'`" if scheme in ("s3", "s3a") else f"the package for {scheme}://"
        raise InputError(f"store {url}: cannot be opened ({one_line(error)}), expected {extra}") from None
    except Exception as error:  # each file system has its own way to refuse a URL
        expected = "a folder or an fsspec URL such as s3://bucket/prefix"
        raise InputError(f"store {url}: cannot be opened ({one_line(error)}), expected {expected}") from None
    if quick:
        filesystem.retries = 1
    if scheme in ("s3", "s3a") and getattr(filesystem, "session", 0) is None and not filesystem.kwargs:
        filesystem.session = _session()
    return filesystem, str(prefix)


def _session() -> Any:
    """A session of its own, which shares with the others what takes half a second to read: the description of the service."""
    from aiobotocore.session import AioSession

    session = AioSession()
    session.register_component("data_loader", _loader())
    return session


@cache
def _loader() -> Any:
    from botocore.loaders import create_loader

    return create_loader()
