"""Care of a store: is every file as its manifest says, and what may go."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

from emurl.artifacts import MANIFEST, Artifact, Store, digest_of, files_below, sha256_of_file
from emurl.errors import InputError


def verify(store: Store) -> list[str]:
    """Every problem found, one line each; an empty list when all is well."""
    problems: list[str] = []
    digests: dict[str, str] = {}
    children: list[tuple[str, str, str]] = []
    for stage in store.stages():
        for number in store.versions(stage):
            ref = f"{stage}@v{number}"
            try:
                artifact = store.load(stage, number)
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
    for folder in sorted(store.root.glob("[!.]*/v*")):
        if not (folder / MANIFEST).exists():
            problems.append(f"{folder}: has no {MANIFEST}")
    return problems


def gc(store: Store, keep: int = 3, dry_run: bool = False) -> list[str]:
    """Remove all but the newest `keep` versions of each stage and what they came from, and left-over work.

    Of what stages keep for later (`Output.cache`), files that no artifact holds go, too.
    Returns the refs, work folders and files that were (or with `dry_run` would be) removed.
    """
    artifacts = {artifact.ref: artifact for artifact in store.all()}
    kept: set[str] = set()
    queue = [f"{stage}@v{number}" for stage in store.stages() for number in store.versions(stage)[-keep:]]
    while queue:
        ref = queue.pop()
        if ref in artifacts and ref not in kept:
            kept.add(ref)
            queue += artifacts[ref].parents.values()
    removed = [ref for ref in artifacts if ref not in kept]
    for ref in removed:
        if dry_run:
            continue
        store.remove(artifacts[ref])
    for work in sorted((store.root / ".work").glob("*")):
        if _is_free(work):
            removed.append(f".work/{work.name}")
            if not dry_run:
                shutil.rmtree(work, ignore_errors=True)
    for cache in sorted((store.root / ".cache").glob("*/files")):
        for file in sorted(path for path in cache.rglob("*") if path.is_file()) if _is_free(cache.parent) else []:
            # One link: no artifact holds it any more (with a dry run, those that would go still do).
            if file.stat().st_nlink == 1:
                removed.append(file.relative_to(store.root).as_posix())
                if not dry_run:
                    file.unlink(missing_ok=True)
    return removed


def _verify_files(artifact: Artifact) -> list[str]:
    problems = []
    if artifact.digest != digest_of(artifact.stage, artifact.manifest["files"]):
        problems.append(f"{artifact.ref}: its digest is not that of its list of files")
    expected = {file["name"]: file for file in artifact.manifest["files"]}
    present = dict(files_below(artifact.folder))
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
