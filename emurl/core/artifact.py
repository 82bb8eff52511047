"""What an artifact is: a manifest, and files that are fetched when they are asked for. And how artifacts are named and hashed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import UnionType
from typing import Any, Protocol, TypeVar

from emurl.core.errors import InputError, WorkError
from emurl.core.files import is_disk_full, sha256_of_file, write_atomically
from emurl.core.refusals import one_line

Read = TypeVar("Read")

SCHEMA = 2
MANIFEST = "manifest.json"
LATEST = "latest"
DEFAULT_PIPELINE = "speedrun"  # what a ref without a pipeline means, and whose all artifacts of schema 1 are
_VERSION = re.compile(r"v([1-9][0-9]{0,17})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_DEEPEST = 100  # levels of a manifest: deeper ones stop what walks and prints it, and settings have five
SHA256 = re.compile(r"[0-9a-f]{64}")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(value: Any) -> str:
    """sha256 hex of a JSON-ready value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_of(stage: str, files: list[dict[str, Any]]) -> str:
    """The digest of an artifact: over its stage's name and its files' names and hashes."""
    return sha256_of([stage, [[file["name"], file["sha256"]] for file in files]])


def version_number(name: str) -> int | None:
    """7 for `v7`; None for anything else."""
    match = _VERSION.fullmatch(name)
    return int(match[1]) if match else None


def is_name(text: str) -> bool:
    """Whether a pipeline or a stage may be called so."""
    return _NAME.fullmatch(text) is not None


def ref_of(pipeline: str, stage: str, number: int) -> str:
    """`reward@v3` for the speedrun pipeline, `vgc/league@v2` for the others."""
    return f"{stage}@v{number}" if pipeline == DEFAULT_PIPELINE else f"{pipeline}/{stage}@v{number}"


def folder_of(pipeline: str, stage: str, number: int) -> str:
    """The folder of a version, below a store or in an exported file."""
    return f"{pipeline}/{stage}/v{number}"


def ref_at(key: str) -> str:
    """The ref of what lies at `<pipeline>/<stage>/v<N>` in a store, or as older versions of emurl wrote it at `<stage>/v<N>`."""
    *pipeline, stage, version = key.split("/")
    return ref_of(pipeline[0] if pipeline else DEFAULT_PIPELINE, stage, int(version.removeprefix("v")))


def split_ref(ref: str) -> tuple[str, str, str]:
    """Pipeline, stage and version (`latest`, or as it was written) of a ref.

    Raises:
        InputError: it is not a ref.
    """
    name, at, version = ref.partition("@")
    pipeline, slash, stage = name.rpartition("/")
    if not is_name(stage) or (slash and not is_name(pipeline)) or (at and not version):
        raise InputError(f"{ref}: not the name of an artifact, expected STAGE, STAGE@VERSION or PIPELINE/STAGE@VERSION")
    return pipeline or DEFAULT_PIPELINE, stage, version or LATEST


class Source(Protocol):
    """Where the files of an artifact that is not here are fetched from."""

    def fetch(self, name: str, target: Path) -> None:
        """Write the file called `name` to `target`."""


@dataclass(frozen=True)
class Artifact:
    """A published version: its manifest, and its files.

    Attributes:
        local: the folder where its files lie, or will lie once they have been asked for.
        manifest: the whole manifest.
        source: where its files come from; None when they are all in `local`.
    """

    local: Path
    manifest: dict[str, Any]
    source: Source | None = None

    @property
    def pipeline(self) -> str:
        """The pipeline of the stage that made it."""
        return str(self.manifest.get("pipeline", DEFAULT_PIPELINE))

    @property
    def stage(self) -> str:
        """The stage that made it."""
        return str(self.manifest["stage"])

    @property
    def version(self) -> int:
        """Its number, counted from 1 in its stage."""
        return int(self.manifest["version"])

    @property
    def ref(self) -> str:
        """How it is named on the command line: `reward@v3`, `vgc/league@v2`."""
        return ref_of(self.pipeline, self.stage, self.version)

    @property
    def key(self) -> str:
        """Its folder in an object store; of an older one, where that has it."""
        return str(getattr(self.source, "key", folder_of(self.pipeline, self.stage, self.version)))

    @property
    def digest(self) -> str:
        """sha256 over the stage's name and the files' hashes."""
        return str(self.manifest["digest"])

    @property
    def fingerprint(self) -> str:
        """sha256 over what it was made from."""
        return str(self.manifest["fingerprint"])

    @property
    def headline(self) -> str | None:
        """The name of its main metric, where the manifest tells."""
        return self.manifest.get("headline")

    @property
    def metrics(self) -> dict[str, Any]:
        """What the stage measured."""
        return dict(self.manifest["metrics"])

    @property
    def settings(self) -> dict[str, Any]:
        """The settings it was made with."""
        return dict(self.manifest["settings"])

    @property
    def parents(self) -> dict[str, str]:
        """Its parents' refs by stage."""
        told = self.manifest["parents"].items()
        return {name: str(parent.get("ref") or ref_of(self.pipeline, name, parent["version"])) for name, parent in told}

    def parent(self, name: str) -> str:
        """The ref of the parent that is called `name`.

        Raises:
            InputError: it was made without one.
        """
        if name not in self.parents:
            raise InputError(f"{self.ref}: was made without {name}, expected one that was made with it: run {self.stage}")
        return self.parents[name]

    @property
    def folder(self) -> Path:
        """The local folder with every file in it; what is missing is fetched.

        Raises:
            WorkError: a file cannot be fetched, or is not what the manifest says.
        """
        self._fetch(self.manifest["files"] if self.source is not None else [])
        return self.local

    def path(self, name: str) -> Path:
        """The local path of one of its files or folders; what is missing of it is fetched.

        Raises:
            InputError: it holds no such file.
            WorkError: a file cannot be fetched, or is not what the manifest says.
        """
        if self.source is not None:
            wanted = PurePosixPath(name).as_posix()
            self._fetch([file for file in self.manifest["files"] if f"{file['name']}/".startswith(f"{wanted}/")])
        found = self.local / name
        if not found.exists():
            raise InputError(f"{self.ref}: holds no {name}, expected one at {found}")
        return found

    def read(self, name: str, reader: Callable[[Path], Read]) -> Read:
        """What `reader` makes of one of its files.

        Raises:
            InputError: it holds no such file, or one that the reader cannot read: what the stage wrote is damaged, or of another emurl.
            WorkError: as `path`.
        """
        path = self.path(name)
        try:
            return reader(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise InputError(f"{self.ref}: {name} cannot be read ({reason}); run {self.stage} again") from None

    def _fetch(self, files: list[dict[str, Any]]) -> None:
        if self.source is None or not files:
            return
        try:
            for file in files:
                target = self.local / file["name"]
                # A file is only ever put there whole and with the right hash: its size is enough to know it by.
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    if target.stat().st_size == file["size"]:
                        continue
                with write_atomically(target) as aside:
                    self.source.fetch(file["name"], aside)
                    if aside.stat().st_size != file["size"] or sha256_of_file(aside) != file["sha256"]:
                        raise WorkError(
                            f"{self.ref}: {file['name']} is not what its manifest says, `emurl artifacts verify` tells more"
                        )
            text = json.dumps(self.manifest, indent=2, sort_keys=True)
            if not (self.local / MANIFEST).exists():
                with write_atomically(self.local / MANIFEST) as aside:
                    aside.write_text(text, encoding="utf-8")
        except OSError as error:
            if is_disk_full(error):
                raise WorkError(f"{self.ref}: the disk of {self.local} is full; free some and run again") from None
            reason = error.strerror or str(error)
            raise WorkError(f"{self.ref}: cannot be kept at {self.local} ({reason}), EMURL_CACHE names another folder") from None


def read_manifest(text: bytes | str, where: str) -> dict[str, Any]:
    """A manifest of schema 1 or 2, as one of schema 2.

    Args:
        text: what the file holds. where: its path or URL, for the message.

    Raises:
        InputError: it is not a manifest, or one of a schema that is not known here.
    """
    try:
        told = json.loads(text)
        schema = told["schema"]
        if schema not in (1, SCHEMA):
            raise InputError(f"{where}: schema {schema}, expected 1 or {SCHEMA}; a newer emurl may have written it")
        absent: dict[str, Any] = {
            "pipeline": DEFAULT_PIPELINE,
            "headline": None,
            "code_digest": None,
            "notes": [],
            "created": "",
            "duration_s": None,
        }
        manifest = {**absent, **told}
        wanted: dict[str, type | UnionType] = {
            "pipeline": str, "stage": str, "version": int, "fingerprint": str, "digest": str, "headline": str | None,
            "settings": dict, "parents": dict, "metrics": dict, "notes": list, "files": list, "created": str,
            "duration_s": int | float | None,
        }  # fmt: skip
        for key, kind in wanted.items():
            if not isinstance(manifest[key], kind):
                expected = kind.__name__ if isinstance(kind, type) else str(kind)
                raise TypeError(f"{key} is {type(manifest[key]).__name__}, expected {expected}")
        for name, value in manifest["metrics"].items():
            if not isinstance(value, (bool, int, float, str)) and value is not None:
                raise TypeError(f"metrics.{name} is {type(value).__name__}, expected a number, a text or null")
        if not SHA256.fullmatch(manifest["digest"]):  # a part of it is the name of a folder
            raise ValueError(f"digest is {manifest['digest'][:80]!r}, expected 64 hex digits")
        for file in manifest["files"]:
            name, size, sha256 = file["name"], file["size"], file["sha256"]
            parts = PurePosixPath(name).parts
            # A name that leads out of the folder would be written wherever it says.
            if not parts or ".." in parts or PurePosixPath(name).is_absolute() or "\\" in name or ":" in parts[0]:
                raise ValueError(f"file name {name!r} leads out of the artifact")
            if "\0" in name:
                raise ValueError(f"file name {name!r} has a NUL, which no disk takes")
            if not isinstance(size, int) or isinstance(size, bool) or not isinstance(sha256, str):
                raise TypeError(f"{name} has no size or sha256")
            if not SHA256.fullmatch(sha256):
                raise ValueError(f"sha256 of {name} is {sha256[:80]!r}, expected 64 hex digits")
        if not all(isinstance(note, str) for note in manifest["notes"]):
            raise TypeError("notes has what is no text")
        if _is_deeper(manifest, _DEEPEST):
            raise ValueError(f"nested more than {_DEEPEST} deep")
        for parent in manifest["parents"].values():
            int(parent["version"]), str(parent["digest"])
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{where}: not a manifest ({type(error).__name__}: {str(error)[:200]})") from None
    return manifest


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether JSON is nested deeper; level by level, because what is too deep cannot be walked down."""
    here = [value]
    for _ in range(levels):
        here = [
            inner for one in here if isinstance(one, dict | list) for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(here)
