"""Taking what somebody exported into a store: `emurl artifacts import`.

A version that is there already (same fingerprint, same files) is not made again. One whose number is taken by another gets the next
number, and what came from it says so; digests and fingerprints stay as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emurl.core import publishing
from emurl.core.artifact import SCHEMA, Artifact
from emurl.core.bundle import Tick, size_of
from emurl.core.errors import InputError, WorkError
from emurl.core.files import free_at
from emurl.core.refusals import explain_folder
from emurl.core.store import Output, Store
from emurl.core.unbundle import Bundle, opened


@dataclass(frozen=True)
class Imported:
    """What became of one artifact of the file: the ref it has there, the artifact in the store, and whether it is new there."""

    ref: str
    artifact: Artifact
    new: bool


def take_in(store: Store, path: Path, tick: Tick = lambda _: None) -> list[Imported]:
    """Put the artifacts of an exported file into the store, each whole or not at all, ancestors first, none before all have proved true.

    Raises:
        InputError: the file is not what `emurl artifacts export` writes; nothing has changed then.
        WorkError: the disk is full, or another process is making the same; the same command again goes on.
    """
    with opened(path) as bundle:
        there = {one.ref: found for one in bundle.artifacts if (found := _same(store, one)) is not None}
        new = [one for one in bundle.artifacts if one.ref not in there]
        if not new:
            for one in bundle.artifacts:
                bundle.unpack(one, None, tick)
            return [Imported(one.ref, there[one.ref], False) for one in bundle.artifacts]
        _require_room(store, size_of(new))
        last = new[-1]
        # Its place is where all are unpacked to: whatever goes wrong, that goes with it.
        with store.making(last.pipeline, last.stage, last.fingerprint, again=True, patient=False) as holding:
            aside = holding.folder.parent / "imported"
            for number, one in enumerate(bundle.artifacts):
                _unpack(bundle, one, store, aside / str(number) if one.ref not in there else None, tick)
            done: list[Imported] = []
            for number, one in enumerate(bundle.artifacts):
                if one.ref in there:
                    done.append(Imported(one.ref, there[one.ref], False))
                    continue
                named = {was.ref: was.artifact for was in done}
                with ExitStack() as stack:
                    output = holding
                    if one is not last:
                        reads = [named[ref].ref for ref in one.parents.values()]
                        making = store.making(one.pipeline, one.stage, one.fingerprint, again=True, patient=False, reads=reads)
                        output = stack.enter_context(making)
                    done.append(Imported(one.ref, _publish(store, one, output, aside / str(number), named), True))
    return done


def _unpack(bundle: Bundle, artifact: Artifact, store: Store, folder: Path | None, tick: Tick) -> None:
    try:
        if folder is not None:
            folder.mkdir(parents=True)
        bundle.unpack(artifact, folder, tick)
    except OSError as error:
        raise explain_folder(str(store.root), error) from None


def _publish(store: Store, artifact: Artifact, output: Output, files: Path, named: Mapping[str, Artifact]) -> Artifact:
    """`named`: what the parents are called here, by the ref they have in the file."""
    try:
        for path in files.iterdir():
            path.rename(output.folder / path.name)
    except OSError as error:
        output.check()
        raise explain_folder(str(store.root), error) from None
    parents: dict[str, Any] = {}
    for name, ref in artifact.parents.items():
        told = {"version": named[ref].version, "ref": named[ref].ref}
        parents[name] = {**artifact.manifest["parents"][name], **told}
    manifest = {**artifact.manifest, "parents": parents, "schema": SCHEMA}
    return publishing.publish(store, output, manifest, artifact.version)


def _same(store: Store, artifact: Artifact) -> Artifact | None:
    """The version in the store that holds the same and came from the same; the one of the same number if there are several."""
    wanted = _identity(artifact)
    found = None
    for number in store.versions(artifact.pipeline, artifact.stage):
        try:
            one = store.load(artifact.pipeline, artifact.stage, number)
        except InputError:  # `verify` tells of it
            continue
        if _identity(one) == wanted and (found is None or found.version != artifact.version):
            found = one
    return found


def _identity(artifact: Artifact) -> tuple[str, str, dict[str, str]]:
    parents = {name: str(parent["digest"]) for name, parent in artifact.manifest["parents"].items()}
    return artifact.fingerprint, artifact.digest, parents


def _require_room(store: Store, size: int) -> None:
    free = free_at(store.root)
    if size > free:
        raise WorkError(f"{store.root}: has {free >> 20:,} MiB free, expected {size >> 20:,} MiB for what is imported")
