"""Reading the file that `bundle` writes, which somebody else may have made to do harm.

Names, sizes and the index are looked at before a byte is written; every file is then read once, in chunks, up to the size its manifest says,
hashed on the way and written beside the store. Versions appear only when the whole file has proved true, ancestors first.

What this cannot prove is what a manifest says of how its files came to be: settings, metrics, fingerprint. Import from people you trust.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emurl.core.artifact import (
    MANIFEST,
    SHA256,
    Artifact,
    canonical_json,
    digest_of,
    folder_of,
    is_name,
    read_manifest,
    version_number,
)
from emurl.core.bundle import CHUNK, FORMAT, INDEX, KIND, Tick
from emurl.core.entry_names import collide, complain
from emurl.core.errors import InputError
from emurl.core.pickles import HEAD, pickled
from emurl.core.refusals import one_line

TEXT = 64 << 20  # bytes of the zip's own list, of the index and of a manifest, at most
MOST = 1_000  # artifacts
LAST = 10**9  # no version is counted so far, and the store could not count on from one

Sha256 = Annotated[str, Field(pattern=f"^{SHA256.pattern}$")]


class Row(BaseModel):
    """An artifact in the index."""

    model_config = ConfigDict(strict=True, extra="forbid")
    ref: str
    folder: str
    digest: Sha256
    manifest_sha256: Sha256


class Index(BaseModel):
    """The index of schema 1."""

    model_config = ConfigDict(strict=True, extra="forbid")
    kind: Literal["emurl-export"]
    schema_: Literal[1] = Field(alias="schema")
    ref: str
    artifacts: Annotated[list[Row], Field(min_length=1, max_length=MOST)]


@dataclass(frozen=True)
class Bundle:
    """What is in a file, looked at and not yet read: artifacts, ancestors first, the one that was asked for last."""

    path: Path
    archive: zipfile.ZipFile
    artifacts: tuple[Artifact, ...]

    def unpack(self, artifact: Artifact, folder: Path | None, tick: Tick = lambda _: None) -> None:
        """Read every file of an artifact, and write it below `folder` unless that is None.

        Raises:
            InputError: a file is not what its manifest says, or a pickle.
        """
        top = folder_of(artifact.pipeline, artifact.stage, artifact.version)
        for file in artifact.manifest["files"]:
            name, target = f"{top}/{file['name']}", None if folder is None else folder / file["name"]
            with contextlib.ExitStack() as stack:
                into = None
                if target is not None:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    into = stack.enter_context(target.open("xb"))
                self._read(name, file, into, tick)

    def _read(self, name: str, file: dict[str, Any], into: BinaryIO | None, tick: Tick) -> None:
        digest, size, head, tail = hashlib.sha256(), 0, b"", b""
        with _told(self.path, name), self.archive.open(name) as source:
            while chunk := source.read(CHUNK):
                size += len(chunk)
                if size > file["size"]:
                    break
                digest.update(chunk)
                head, tail = (head + chunk[: HEAD - len(head)], (tail + chunk)[-HEAD:])
                if into is not None:
                    into.write(chunk)
                tick(len(chunk))
        if size != file["size"]:
            raise refuse(self.path, name, f"does not have the {file['size']} bytes that it claims", "what its manifest says")
        if digest.hexdigest() != file["sha256"]:
            raise refuse(self.path, name, "has another sha256 than its manifest says", "the file that was exported")
        kind = pickled(name, head, tail)
        if kind is not None:
            raise refuse(self.path, name, kind, "none, for reading one runs what its writer wanted")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """Look at a file that `bundle.export` wrote.

    Raises:
        InputError: it is not one, not a whole one, or made to do harm; the line names the entry.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}), expected a file of `emurl artifacts export`"
        ) from None
    with file, contextlib.ExitStack() as stack:
        size = path.stat().st_size
        with _told(path, None):
            archive = stack.enter_context(zipfile.ZipFile(_Bounded(file)))  # type: ignore[arg-type]
        members = _members(path, archive, size)
        index = _index(path, archive, members)
        artifacts = _artifacts(path, archive, members, index)
        yield Bundle(path, archive, artifacts)


def refuse(path: Path, name: str | None, what: str, expected: str) -> InputError:
    """The line about an entry of a file."""
    shown = "" if name is None else f"{(name if name.isprintable() else ascii(name))[:160]} "
    return InputError(f"{path}: {shown}{what}, expected {expected}")


class _Bounded:
    """A file of which no more than `TEXT` bytes are read at a time: zipfile takes the whole list of entries into memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable, self.close = file.seek, file.tell, file.seekable, lambda: None

    def read(self, count: int = -1) -> bytes:
        """As of a file."""
        data = self._file.read(TEXT + 1 if count < 0 else min(count, TEXT + 1))
        if len(data) > TEXT:
            raise zipfile.BadZipFile(f"its list of entries is longer than {TEXT >> 20} MiB")
        return data


@contextlib.contextmanager
def _told(path: Path, name: str | None) -> Iterator[None]:
    """What zipfile says of a file that is broken, as one line."""
    try:
        yield
    # zipfile lets through what its parts raise on nonsense: struct.error, UnicodeDecodeError, OverflowError, NotImplementedError, …
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        EOFError,
        ValueError,
        ArithmeticError,
        RuntimeError,
        LookupError,
        TypeError,
    ) as error:
        raise refuse(
            path, name, f"is damaged or cut off ({one_line(error)})", "a whole file of `emurl artifacts export`"
        ) from None
    except OSError as error:
        if error.errno is not None and name is None:
            raise InputError(f"{path}: cannot be read ({error.strerror}), expected a file of `emurl artifacts export`") from None
        if error.errno is None:
            raise refuse(
                path, name, f"is damaged or cut off ({one_line(error)})", "a whole file of `emurl artifacts export`"
            ) from None
        raise


# --- names -----------------------------------------------------------------------------------------------------------


def _members(path: Path, archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The entries by name; every one a plain file inside, and none that could be taken for another."""
    found = {info.orig_filename: info for info in archive.infolist()}
    for info in archive.infolist():
        wrong = complain(info.orig_filename) or _complain_of_entry(info)
        if wrong is not None:
            raise refuse(path, info.orig_filename, *wrong)
    both = collide(info.orig_filename for info in archive.infolist())
    if both is not None:
        raise refuse(path, *both)
    if sum(info.file_size for info in found.values()) > size:
        raise refuse(path, None, f"claims more bytes than its own {size}", "entries that do not share theirs")
    return found


def _complain_of_entry(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a link", "plain files"
    if kind == stat.S_IFDIR:
        return "is a folder", "plain files"
    if kind not in (0, stat.S_IFREG):
        return "is a device, a pipe or a socket", "plain files"
    if info.flag_bits & 0x1:
        return "is encrypted", "plain files"
    if info.compress_type != zipfile.ZIP_STORED:
        return "is compressed and could unpack to any size", "entries stored as they are"
    if info.compress_size != info.file_size:
        return f"claims {info.file_size} bytes and has {info.compress_size}", "its own size"
    return None


# --- the index and the manifests -------------------------------------------------------------------------------------


def _text(path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str) -> bytes:
    if name not in members:
        raise refuse(path, name, "is missing", "a whole file of `emurl artifacts export`")
    if members[name].file_size > TEXT:
        raise refuse(path, name, f"has {members[name].file_size} bytes", f"at most {TEXT >> 20} MiB")
    with _told(path, name):
        return archive.read(name)


def _index(path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Index:
    text = _text(path, archive, members, INDEX)
    try:
        told = json.loads(text)
        kind, schema = told["kind"], told["schema"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise refuse(path, INDEX, f"is not an index ({type(error).__name__}: {one_line(error)})", "that of an export") from None
    if kind != KIND or schema != FORMAT:
        raise refuse(
            path,
            INDEX,
            f"is {str(kind)[:40]!r} of schema {str(schema)[:20]}",
            f"{KIND} of schema {FORMAT}; a newer emurl may have written it",
        )
    try:
        return Index.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise refuse(path, INDEX, f"is not an index ({where}: {first['msg']})", "that of an export") from None


def _artifacts(path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], index: Index) -> tuple[Artifact, ...]:
    known: dict[str, Artifact] = {}
    expected = {INDEX}
    for row in index.artifacts:
        name = f"{row.folder}/{MANIFEST}"
        text = _text(path, archive, members, name)
        if hashlib.sha256(text).hexdigest() != row.manifest_sha256:
            raise refuse(path, name, "has another sha256 than the index says", "the manifest that was exported")
        artifact = Artifact(Path(row.folder), read_manifest(text, f"{path}: {name}"))
        where = f"{path}: {name}"
        _check_manifest(path, name, artifact)
        if (artifact.ref, row.folder) != (row.ref, folder_of(artifact.pipeline, artifact.stage, artifact.version)):
            raise refuse(path, name, f"is the manifest of {artifact.ref}", f"that of {row.ref}")
        if artifact.ref in known:
            raise InputError(f"{where}: is in the index twice, expected each artifact once")
        _check_parents(path, name, artifact, known)
        expected |= {name, *_check_files(path, row.folder, artifact, members)}
        if artifact.digest != row.digest or artifact.digest != digest_of(artifact.stage, artifact.manifest["files"]):
            raise refuse(path, name, "has a digest that is not that of its files", "the manifest that was exported")
        known[artifact.ref] = artifact
    if index.ref != index.artifacts[-1].ref:
        raise refuse(
            path, INDEX, f"is of {index.ref[:80]!r} and ends with {index.artifacts[-1].ref}", "what was asked for at its end"
        )
    for name in members.keys() - expected:
        raise refuse(path, name, "is of no artifact in the index", "nothing else")
    return tuple(known.values())


def _check_manifest(path: Path, name: str, artifact: Artifact) -> None:
    manifest = artifact.manifest
    number = manifest["version"]
    if not all(
        is_name(text) and len(text) <= 64 and version_number(text) is None for text in (artifact.pipeline, artifact.stage)
    ):
        raise refuse(path, name, "names a pipeline or a stage that cannot be", "letters, digits, - and _")
    if isinstance(number, bool) or not 1 <= number < LAST:
        raise refuse(path, name, f"is of version {str(number)[:40]}", f"a number from 1 to {LAST - 1:,}")
    if not SHA256.fullmatch(artifact.fingerprint):  # it becomes the name of a folder
        raise refuse(path, name, "has a fingerprint that is none", "64 hexadecimal digits")
    try:
        canonical_json(manifest)
    except (ValueError, RecursionError):
        raise refuse(path, name, "holds a number that is none", "finite numbers") from None


def _check_files(path: Path, folder: str, artifact: Artifact, members: dict[str, zipfile.ZipInfo]) -> set[str]:
    """The names of the entries of an artifact's files."""
    found: set[str] = set()
    for file in artifact.manifest["files"]:
        name, size, where = f"{folder}/{file['name']}", file["size"], f"{folder}/{MANIFEST}"
        if file["name"] == MANIFEST or name in found:
            raise refuse(path, where, f"names {file['name'][:80]!r} twice, or without a hash", "each file once, with its sha256")
        if name not in members:
            raise refuse(path, name, "is missing", "every file that the manifest names")
        if members[name].file_size != size:
            raise refuse(path, name, f"has {members[name].file_size} bytes and claims {size}", "what its manifest says")
        found.add(name)
    return found


def _check_parents(path: Path, name: str, artifact: Artifact, known: dict[str, Artifact]) -> None:
    for stage, ref in artifact.parents.items():
        told = artifact.manifest["parents"][stage]
        if ref not in known or known[ref].digest != told["digest"]:
            raise refuse(path, name, f"comes from {ref[:80]}, which is not before it", "all that it came from, ancestors first")
