"""The versioned store: every stage leaves one folder, seen whole or not at all.

    <store>/<stage>/v<N>/manifest.json      what it is, what it came from, what it measured, sha256 of every file
    <store>/<stage>/v<N>/…                  its files
    <store>/.work/<stage>-<fingerprint>/    where an unfinished stage keeps its files and checkpoints; survives a kill

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
    """Where a running stage writes: `path(...)` is published, `scratch` is for checkpoints and survives a kill."""

    folder: Path
    scratch: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

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
        return self._load(stage, number)

    def all(self) -> list[Artifact]:
        """Every artifact, by stage and version."""
        return [self._load(stage, number) for stage in self.stages() for number in self.versions(stage)]

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        """The newest version of `stage` with this fingerprint, or None."""
        for number in reversed(self.versions(stage)):
            artifact = self._load(stage, number, download=False)
            if artifact.fingerprint == fingerprint:
                return self._load(stage, number)
        return None

    def _load(self, stage: str, number: int, download: bool = True) -> Artifact:
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
            yield Output(folder=work / "files", scratch=work / "scratch")

    def publish(self, output: Output, facts: dict[str, Any]) -> Artifact:
        """Turn a finished `Output` into the next version of `facts["stage"]`.

        `facts` holds stage, fingerprint, settings, parents ({stage: {version, digest}}), code_version, duration_s.
        """
        stage = facts["stage"]
        files = [
            {"name": name, "size": path.stat().st_size, "sha256": sha256_of_file(path)}
            for name, path in _files_below(output.folder)
        ]
        manifest = {
            "schema": SCHEMA,
            **facts,
            "metrics": _finite(output.metrics),
            "notes": output.notes,
            "files": files,
            "digest": _digest(stage, files),
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
                for file in [*files, {"name": MANIFEST}]:  # the manifest last: without it the version is not there
                    self._remote.put_file(str(output.folder / file["name"]), f"{remote}/{file['name']}")
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
        return self._load(stage, number)

    # --- care ----------------------------------------------------------------------------------------------------

    def verify(self) -> list[str]:
        """Every problem found, one line each; an empty list when all is well."""
        problems: list[str] = []
        digests: dict[str, str] = {}
        children: list[tuple[str, str, str]] = []
        for stage in self.stages():
            for number in self.versions(stage):
                ref = f"{stage}@v{number}"
                try:
                    artifact = self._load(stage, number)
                except InputError as error:
                    problems.append(str(error))
                    continue
                digests[ref] = artifact.digest
                problems += _verify_files(artifact)
                for parent, facts in artifact.manifest["parents"].items():
                    children.append((ref, f"{parent}@v{facts['version']}", facts["digest"]))
        for ref, parent, digest in children:
            if parent not in digests:
                problems.append(f"{ref}: its parent {parent} is not in the store")
            elif digests[parent] != digest:
                problems.append(f"{ref}: its parent {parent} has digest {digests[parent][:12]}, expected {digest[:12]}")
        if self._remote is None:
            for folder in sorted(self.root.glob("[!.]*/v*")):
                if _VERSION.fullmatch(folder.name) and not (folder / MANIFEST).exists():
                    problems.append(f"{folder}: has no {MANIFEST}")
        return problems

    def gc(self, keep: int = 3, dry_run: bool = False) -> list[str]:
        """Remove all but the newest `keep` versions of each stage and what they came from, and left-over work.

        Returns the refs and work folders that were (or with `dry_run` would be) removed.
        """
        artifacts = {artifact.ref: artifact for artifact in self.all()}
        kept: set[str] = set()
        queue = [f"{stage}@v{number}" for stage in self.stages() for number in self.versions(stage)[-keep:]]
        while queue:
            ref = queue.pop()
            if ref in artifacts and ref not in kept:
                kept.add(ref)
                queue += artifacts[ref].parents.values()
        removed = [ref for ref in artifacts if ref not in kept]
        for ref in removed:
            if dry_run:
                continue
            artifact = artifacts[ref]
            if self._remote is not None:
                self._remote.rm(f"{self._prefix}/{artifact.stage}/v{artifact.version}", recursive=True)
            # The manifest goes first: a version without one is not a version.
            (artifact.folder / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(artifact.folder, ignore_errors=True)
        for work in sorted((self.root / ".work").glob("*")):
            if _is_free(work):
                removed.append(f".work/{work.name}")
                if not dry_run:
                    shutil.rmtree(work, ignore_errors=True)
        return removed


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


def _files_below(folder: Path) -> list[tuple[str, Path]]:
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


def _digest(stage: str, files: list[dict[str, Any]]) -> str:
    return sha256_of([stage, [[file["name"], file["sha256"]] for file in files]])


def _verify_files(artifact: Artifact) -> list[str]:
    problems = []
    if artifact.digest != _digest(artifact.stage, artifact.manifest["files"]):
        problems.append(f"{artifact.ref}: its digest is not that of its list of files")
    expected = {file["name"]: file for file in artifact.manifest["files"]}
    present = dict(_files_below(artifact.folder))
    for name in sorted(expected.keys() - present.keys()):
        problems.append(f"{artifact.ref}: {name} is missing")
    for name in sorted(present.keys() - expected.keys()):
        problems.append(f"{artifact.ref}: {name} is not in its manifest")
    for name in sorted(expected.keys() & present.keys()):
        size = present[name].stat().st_size
        if size != expected[name]["size"]:
            problems.append(f"{artifact.ref}: {name} has {size} bytes, expected {expected[name]['size']}")
        elif sha256_of_file(present[name]) != expected[name]["sha256"]:
            problems.append(f"{artifact.ref}: {name} has changed, its sha256 is not the manifest's")
    return problems


def _is_free(work: Path) -> bool:
    try:
        with (work / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


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
