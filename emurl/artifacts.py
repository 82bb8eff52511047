"""The versioned store: every stage leaves one folder, seen whole or not at all.

    <store>/<stage>/v<N>/manifest.json      what it is, what it came from, what it measured, sha256 of every file
    <store>/<stage>/v<N>/…                  its files
    <store>/.work/<stage>-<fingerprint>/    where an unfinished stage keeps its files and checkpoints; survives a kill
    <store>/.cache/<stage>/                 what a stage keeps for its next run to be quicker; of use, never needed

An artifact is written aside, synced to disk and renamed once. Its *digest* covers the stage's name and its files, so two runs with the
same result have the same digest; its *fingerprint* covers settings, parents' digests and code version, so equal fingerprints
need not be computed twice. The store is a local folder or any fsspec URL (`s3://bucket/prefix`); a remote store is mirrored in
a local cache, and its manifest is uploaded last.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emurl import __version__
from emurl.errors import InputError, WorkError

SCHEMA = 1
MANIFEST = "manifest.json"
_VERSION = re.compile(r"v([1-9][0-9]*)")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(value: Any) -> str:
    """sha256 hex of a JSON-ready value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    """sha256 hex of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Artifact:
    """A published version: its local folder and its manifest."""

    folder: Path
    manifest: dict[str, Any]

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
        """How it is named on the command line: `reward@v3`."""
        return f"{self.stage}@v{self.version}"

    @property
    def digest(self) -> str:
        """sha256 over the stage's name and the files' hashes."""
        return str(self.manifest["digest"])

    @property
    def fingerprint(self) -> str:
        """sha256 over what it was made from."""
        return str(self.manifest["fingerprint"])

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
        return {stage: f"{stage}@v{parent['version']}" for stage, parent in self.manifest["parents"].items()}

    def path(self, name: str) -> Path:
        """The local path of one of its files or folders.

        Raises:
            InputError: it holds no such file.
        """
        found = self.folder / name
        if not found.exists():
            raise InputError(f"{self.ref}: holds no {name}, expected one at {found}")
        return found


@dataclass
class Output:
    """Where a running stage writes: `path(...)` is published, `scratch` is for checkpoints and survives a kill.

    `cache` is the stage's own for all its runs, beside the store: what is there spares work, and may vanish at any time.
    """

    folder: Path
    scratch: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cache: Path | None = None

    def path(self, name: str) -> Path:
        """A path for a file to be published; its parent folders are made."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def note(self, line: str) -> None:
        """A remark kept in the manifest and shown at the end of the run."""
        self.notes.append(line)


class Store:
    """A store of artifacts at a local folder or an fsspec URL."""

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.url = os.fspath(url)
        self._remote: Any = None
        self._prefix = ""
        if "://" in self.url and not self.url.startswith("file://"):
            self._remote, self._prefix = _open_remote(self.url)
            cache = Path(os.environ.get("EMURL_CACHE", Path.home() / ".cache" / "emurl"))
            self.root = cache / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        else:
            self.root = Path(self.url.removeprefix("file://"))

    # --- reading -------------------------------------------------------------------------------------------------

    def stages(self) -> list[str]:
        """Names of the stages that have a version, sorted."""
        if self._remote is not None:
            names = {path.split("/")[-3] for path in self._remote.glob(f"{self._prefix}/*/v*/{MANIFEST}")}
        else:
            names = {path.parent.parent.name for path in self.root.glob(f"[!.]*/v*/{MANIFEST}")}
        return sorted(names)

    def versions(self, stage: str) -> list[int]:
        """Published version numbers of a stage, ascending."""
        if self._remote is not None:
            names = [path.split("/")[-2] for path in self._remote.glob(f"{self._prefix}/{stage}/v*/{MANIFEST}")]
        else:
            names = [path.parent.name for path in (self.root / stage).glob(f"v*/{MANIFEST}")]
        return sorted(int(match[1]) for name in names if (match := _VERSION.fullmatch(name)))

    def get(self, ref: str) -> Artifact:
        """The artifact called `stage@vN`, or the newest of a stage for `stage` or `stage@latest`.

        Raises:
            InputError: there is none of that name, or its manifest cannot be read.
        """
        stage, _, version = ref.partition("@")
        numbers = self.versions(stage)
        if not numbers:
            raise InputError(f"{ref}: the store {self.url} holds no {stage}, expected one: `emurl run {stage}` makes it")
        if version in ("", "latest"):
            number = numbers[-1]
        else:
            match = _VERSION.fullmatch(version if version.startswith("v") else f"v{version}")
            if match is None or int(match[1]) not in numbers:
                have = ", ".join(f"v{n}" for n in numbers[-8:])
                raise InputError(f"{ref}: the store {self.url} holds no such version, expected one of {have}")
            number = int(match[1])
        return self.load(stage, number)

    def all(self) -> list[Artifact]:
        """Every artifact, by stage and version."""
        return [self.load(stage, number) for stage in self.stages() for number in self.versions(stage)]

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        """The newest version of `stage` with this fingerprint, or None."""
        for number in reversed(self.versions(stage)):
            artifact = self.load(stage, number, download=False)
            if artifact.fingerprint == fingerprint:
                return self.load(stage, number)
        return None

    def load(self, stage: str, number: int, download: bool = True) -> Artifact:
        """Version `number` of `stage`; without `download`, a remote one's manifest alone."""
        folder = self.root / stage / f"v{number}"
        if self._remote is not None and not (folder / MANIFEST).exists():
            remote = f"{self._prefix}/{stage}/v{number}"
            if not download:
                return Artifact(folder, json.loads(self._remote.cat_file(f"{remote}/{MANIFEST}")))
            self._download(remote, folder)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if manifest["schema"] != SCHEMA:
                raise InputError(f"{folder / MANIFEST}: schema {manifest['schema']}, expected {SCHEMA}")
            Artifact(folder, manifest).digest  # noqa: B018  (a manifest without one is broken)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder / MANIFEST}: not a manifest ({type(error).__name__}: {error})") from None
        return Artifact(folder, manifest)

    def remove(self, artifact: Artifact) -> None:
        """Take a version out of the store."""
        if self._remote is not None:
            self._remote.rm(f"{self._prefix}/{artifact.stage}/v{artifact.version}", recursive=True)
        # The manifest goes first: a version without one is not a version.
        (artifact.folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(artifact.folder, ignore_errors=True)

    def _download(self, remote: str, folder: Path) -> None:
        aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        for path in self._remote.find(remote):
            target = aside / path[len(remote) + 1 :]
            target.parent.mkdir(parents=True, exist_ok=True)
            self._remote.get_file(path, str(target))
        with contextlib.suppress(OSError):  # another process was faster: its copy is as good
            aside.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)

    # --- writing -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self, stage: str, fingerprint: str) -> Iterator[Output]:
        """Hold the work folder of one (stage, fingerprint); publish with `publish` inside the block.

        Raises:
            InputError: the store is not writable.
            WorkError: another process is at the same work.
        """
        work = self.root / ".work" / f"{stage}-{fingerprint[:16]}"
        try:
            (work / "scratch").mkdir(parents=True, exist_ok=True)
            lock = (work / "lock").open("w")
        except OSError as error:
            reason = f"not writable ({error.strerror}), expected a folder we may write to"
            raise InputError(f"store {self.url}: {reason}") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise WorkError(f"{stage}: another process is running it with the same settings in {work}") from None
            # Half-written files of a killed run are of no use; its scratch is.
            shutil.rmtree(work / "files", ignore_errors=True)
            (work / "files").mkdir()
            yield Output(folder=work / "files", scratch=work / "scratch", cache=self.root / ".cache" / stage)

    def publish(self, output: Output, facts: dict[str, Any]) -> Artifact:
        """Turn a finished `Output` into the next version of `facts["stage"]`.

        `facts` holds stage, fingerprint, settings, parents ({stage: {version, digest}}), code_version, duration_s.
        """
        stage = facts["stage"]
        files = [
            {"name": name, "size": path.stat().st_size, "sha256": sha256_of_file(path)}
            for name, path in files_below(output.folder)
        ]
        manifest = {
            "schema": SCHEMA,
            **facts,
            "metrics": _finite(output.metrics),
            "notes": output.notes,
            "files": files,
            "digest": digest_of(stage, files),
            "code_revision": code_revision(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        (self.root / stage).mkdir(parents=True, exist_ok=True)
        while True:
            number = max([0, *self.versions(stage)]) + 1
            manifest["version"] = number
            (output.folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")
            _sync_tree(output.folder)
            if self._remote is not None:
                remote = f"{self._prefix}/{stage}/v{number}"
                for name in [*(str(file["name"]) for file in files), MANIFEST]:  # without its manifest a version is not there
                    self._remote.put_file(str(output.folder / name), f"{remote}/{name}")
            target = self.root / stage / f"v{number}"
            try:
                output.folder.rename(target)
            except OSError:
                if target.exists():  # somebody published this number meanwhile
                    continue
                raise
            break
        _sync_folder(target.parent)
        shutil.rmtree(output.folder.parent, ignore_errors=True)
        return self.load(stage, number)


def code_revision() -> str:
    """The git commit of the checkout the package lies in (with `+` when changed), else the package's version."""
    import subprocess

    here = Path(__file__).resolve().parent
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        top = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
        if (here.parent / ".git").exists():
            return top.stdout.strip()
    return __version__


def _open_remote(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        filesystem, prefix = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        expected = "a folder or an fsspec URL such as s3://bucket/prefix"
        raise InputError(f"store {url}: cannot be opened ({error}), expected {expected}") from None
    return filesystem, prefix.rstrip("/")


def files_below(folder: Path) -> list[tuple[str, Path]]:
    """(name, path) of every file of an artifact but its manifest, by name."""
    found = [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()]
    return sorted((name, path) for name, path in found if name != MANIFEST)


def _finite(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics as JSON can hold them: numbers rounded to 6 significant digits, NaN and infinities as null."""
    cleaned: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, (bool, int, str)) or value is None:
            cleaned[name] = value
        else:
            number = float(value)
            cleaned[name] = float(f"{number:.6g}") if abs(number) < float("inf") else None
    return cleaned


def digest_of(stage: str, files: list[dict[str, Any]]) -> str:
    """The digest of an artifact: over its stage's name and its files' names and hashes."""
    return sha256_of([stage, [[file["name"], file["sha256"]] for file in files]])


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            _sync_folder(path)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
