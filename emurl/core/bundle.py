"""One file that holds an artifact and all it came from: what `emurl artifacts export` writes, and `import` (`unbundle`) reads.

A plain zip, nothing compressed, so that any tool lists it and no entry can unpack to more than there is:

    emurl-export.json                        schema, the ref that was asked for, and a row an artifact, ancestors first
    <pipeline>/<stage>/v<N>/manifest.json    as in the store; its sha256 is in the row, and it holds the sha256 of every file
    <pipeline>/<stage>/v<N>/…                its files

Equal artifacts give equal bytes: entries are in order and carry no time.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emurl.core.artifact import MANIFEST, SCHEMA, Artifact, folder_of, split_ref, version_number
from emurl.core.entry_names import collide, complain
from emurl.core.errors import InputError, WorkError
from emurl.core.files import write_atomically
from emurl.core.refusals import writing

if TYPE_CHECKING:
    from emurl.core.store import Store

INDEX = "emurl-export.json"
KIND = "emurl-export"
FORMAT = 1
CHUNK = 1 << 20
_WHEN = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can name
Tick = Callable[[int], None]
"""Told how many bytes more are done."""


def ancestry(store: Store, artifact: Artifact) -> list[Artifact]:
    """An artifact and all it came from, each once, ancestors first.

    Raises:
        InputError: one of them is not in the store, or another is there under its name.
    """
    found: dict[str, Artifact] = {}
    waiting: list[tuple[Artifact, bool]] = [(artifact, False)]
    while waiting:
        one, done = waiting.pop()
        if one.ref in found:
            continue
        if done:
            found[one.ref] = one
            continue
        waiting.append((one, True))
        waiting += [(_parent(store, one, name, ref), False) for name, ref in sorted(one.parents.items()) if ref not in found]
    return list(found.values())


def _parent(store: Store, child: Artifact, name: str, ref: str) -> Artifact:
    pipeline, stage, version = split_ref(ref)
    try:
        parent = store.load(pipeline, stage, version_number(version) or 0)
    except InputError:
        raise InputError(
            f"{child.ref}: its parent {ref} is not in the store {store.url}, expected all that it came from"
        ) from None
    if parent.digest != child.manifest["parents"][name]["digest"]:
        raise InputError(f"{child.ref}: {ref} in the store {store.url} is not the one it was made from, expected that one")
    return parent


def size_of(artifacts: Iterable[Artifact]) -> int:
    """Bytes of all their files."""
    return sum(int(file["size"]) for one in artifacts for file in one.manifest["files"])


def export(
    store: Store, artifact: Artifact, target: Path, *, replace: bool = False, tick: Tick = lambda _: None
) -> list[Artifact]:
    """Write an artifact and all it came from as one file, whole or not at all.

    Args:
        replace: write over a file that is there already.

    Returns:
        What is in the file, ancestors first.

    Raises:
        InputError: `target` is there already or cannot be written, or an ancestor is missing.
        WorkError: a file is not what its manifest says or was removed meanwhile, or the disk is full.
    """
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise InputError(f"{target}: cannot be written, expected a file name in a folder that exists")
    if target.exists() and not replace:
        raise InputError(f"{target}: is there already, expected a new file name, or --force")
    every = ancestry(store, artifact)
    _check_names(every)
    manifests = {one.ref: _text({**one.manifest, "schema": SCHEMA}) for one in every}
    index = {
        "kind": KIND,
        "schema": FORMAT,
        "ref": artifact.ref,
        "artifacts": [
            {
                "ref": one.ref,
                "folder": folder_of(one.pipeline, one.stage, one.version),
                "digest": one.digest,
                "manifest_sha256": hashlib.sha256(manifests[one.ref]).hexdigest(),
            }
            for one in every
        ],
    }
    with writing(str(target)), write_atomically(target, sync=True) as aside, zipfile.ZipFile(aside, "x") as archive:
        archive.writestr(_entry(INDEX), _text(index))
        for one in every:
            folder = folder_of(one.pipeline, one.stage, one.version)
            archive.writestr(_entry(f"{folder}/{MANIFEST}"), manifests[one.ref])
            for file in one.manifest["files"]:
                _put(archive, f"{folder}/{file['name']}", one, file, tick)
    return every


def _check_names(artifacts: Iterable[Artifact]) -> None:
    """Refuse to write what nobody could take in again."""
    for one in artifacts:
        names = [MANIFEST, *(str(file["name"]) for file in one.manifest["files"])]
        wrong = next(((name, *found) for name in names if (found := complain(name)) is not None), None) or collide(names)
        if wrong is not None:
            raise InputError(f"{one.ref}: {ascii(wrong[0])[:160]} {wrong[1]}, expected {wrong[2]}")


def _put(archive: zipfile.ZipFile, name: str, artifact: Artifact, file: dict[str, Any], tick: Tick) -> None:
    digest, entry = hashlib.sha256(), _entry(name)
    entry.file_size = file["size"]  # decides whether it needs the larger headers
    try:
        source = artifact.path(file["name"]).open("rb")
    except (OSError, InputError):
        raise WorkError(f"{artifact.ref}: {file['name']} is missing, `emurl artifacts verify` tells more") from None
    size = 0
    with source, archive.open(entry, "w") as into:
        while (chunk := source.read(CHUNK)) and size <= file["size"]:
            into.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            tick(len(chunk))
    if size != file["size"] or digest.hexdigest() != file["sha256"]:
        raise WorkError(f"{artifact.ref}: {file['name']} is not what its manifest says, `emurl artifacts verify` tells more")


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _WHEN)
    entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16  # the same on every system
    return entry


def _text(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True).encode()
