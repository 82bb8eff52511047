"""What a tracker is told of where things came from: an artifact by reference and by digest, and the facts of a try. Knows no tracker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from emurl.core.artifact import MANIFEST, Artifact
from emurl.core.output import code_revision

MOST_FILES = 1_000  # that are told one by one; a store's manifest names them all


@dataclass(frozen=True)
class Reference:
    """A file of an artifact, where it lies: name, URI, sha256, bytes."""

    name: str
    uri: str
    digest: str
    size: int


@dataclass(frozen=True)
class Told:
    """An artifact as a tracker keeps it: `speedrun-reward`, of type `reward`, alias `store-v3`, with what its manifest says of it."""

    name: str
    kind: str
    alias: str
    description: str
    metadata: dict[str, Any]
    references: tuple[Reference, ...]


def told(artifact: Artifact, where: str) -> Told:
    """`artifact`, whose files lie below the URI `where`; nothing is read, and nothing copied. The same version is always told alike."""
    manifest = artifact.manifest
    files = sorted(manifest["files"], key=lambda file: str(file["name"]))
    references = tuple(
        Reference(str(file["name"]), f"{where}/{quote(str(file['name']))}", str(file["sha256"]), int(file["size"]))
        for file in files[:MOST_FILES]
    )
    if not references or len(files) > MOST_FILES:  # the digest is of the stage's name and of all files
        references = (*references, Reference(MANIFEST, f"{where}/{MANIFEST}", artifact.digest, 0))
    metadata = {
        "ref": artifact.ref,
        "digest": artifact.digest,
        "fingerprint": artifact.fingerprint,
        "parents": artifact.parents,
        "files": len(files),
        "bytes": sum(int(file["size"]) for file in files),
        "code_revision": manifest.get("code_revision"),
        "created": manifest.get("created"),
    }
    return Told(
        f"{artifact.pipeline}-{artifact.stage}", artifact.stage, f"store-v{artifact.version}", f"{artifact.ref} of an emurl store",
        metadata, references,
    )  # fmt: skip


def uri_of(store: Any, artifact: Artifact) -> str:
    """Where a version of `store` lies: `file:///…/data/speedrun/reward/v3`, `s3://bucket/prefix/speedrun/reward/v3`."""
    if store.remote is None:
        return artifact.local.absolute().as_uri()
    return str(store.where(artifact.key))


def config_of(
    settings: dict[str, Any], facts: dict[str, Any], group: str, number: int, more: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """The configuration of a try: the stage's settings as `emurl compare` names them, its parents' refs, and what it is under `emurl`.

    Args:
        more: what else stands under `emurl`: of which sweep it is a trial.
    """
    parents = facts.get("parents", {})
    about = {
        **{name: facts.get(name) for name in ("pipeline", "stage", "fingerprint", "code_digest", "headline")},
        "parent_digests": {name: parent["digest"] for name, parent in parents.items()},
        "code_revision": code_revision(),
        "group": group,
        "try": number,
        "resumed": number > 1,
        **more,
    }
    return {**settings, "parents": {name: parent["ref"] for name, parent in parents.items()}, "emurl": about}
