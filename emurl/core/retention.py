"""Care of a store: is every file as its manifest says, what did dead processes leave, and what may go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from emurl.core import claims, folder_publishing
from emurl.core.artifact import MANIFEST, Artifact, digest_of, ref_of, split_ref, version_number
from emurl.core.backends import Folder
from emurl.core.errors import InputError, WorkError
from emurl.core.files import TRASH, discard, remove_tree, sha256_of_file
from emurl.core.lease import Watch, generation_of, hold_to_tidy, holder_of, is_held, read_by
from emurl.core.output import files_below
from emurl.core.scratch import remove_work
from emurl.core.tags import every_tag
from emurl.core.threads import each

if TYPE_CHECKING:
    from emurl.core.store import Store

LEASES, WORK, CACHE = ".leases", ".work", ".cache"
RECORD_S = 7 * 86_400.0  # how long a burned number is remembered: nothing on its way to a store is that late
PROBE_S = 3_600.0


def verify(store: Store) -> list[str]:
    """Every problem found, one line each; an empty list when all is well. Reads every byte of the store."""
    problems: list[str] = []
    digests: dict[str, str] = {}
    children: list[tuple[str, str, str]] = []
    for pipeline in store.pipelines():
        for stage in store.stages(pipeline):
            for number in store.versions(pipeline, stage):
                ref = ref_of(pipeline, stage, number)
                try:
                    artifact = store.load(pipeline, stage, number)
                except InputError as error:
                    problems.append(str(error))
                    continue
                digests[ref] = artifact.digest
                problems += _verify_files(store, artifact)
                children += [
                    (ref, parent, artifact.manifest["parents"][name]["digest"]) for name, parent in artifact.parents.items()
                ]
    for ref, parent, digest in children:
        if parent not in digests:
            problems.append(f"{ref}: its parent {parent} is not in the store")
        elif digests[parent] != digest:
            problems.append(f"{ref}: its parent {parent} has digest {digests[parent][:12]}, expected {digest[:12]}")
    problems += [f"{store.where(key)}: has no {MANIFEST}" for key in _headless(store)]
    return problems


def _verify_files(store: Store, artifact: Artifact) -> list[str]:
    problems = []
    if artifact.digest != digest_of(artifact.stage, artifact.manifest["files"]):
        problems.append(f"{artifact.ref}: its digest is not that of its list of files")
    expected = {file["name"]: file for file in artifact.manifest["files"]}
    if store.remote is None:
        present = {name: path.stat().st_size for name, path in files_below(artifact.local)}
    else:
        present = {name: size for name, size in store.remote.below(artifact.key).items() if name != MANIFEST}
    for name in sorted(expected.keys() - present.keys()):
        problems.append(f"{artifact.ref}: {name} is missing")
    for name in sorted(present.keys() - expected.keys()):
        problems.append(f"{artifact.ref}: {name} is not in its manifest")
    same = []
    for name in sorted(expected.keys() & present.keys()):
        if present[name] != expected[name]["size"]:
            problems.append(f"{artifact.ref}: {name} has {present[name]} bytes, expected {expected[name]['size']}")
        else:
            same.append(name)
    for name, sha256 in _hashes(store, artifact, same):
        if sha256 != expected[name]["sha256"]:
            problems.append(f"{artifact.ref}: {name} has changed, its sha256 is not the manifest's")
    return problems


def _hashes(store: Store, artifact: Artifact, names: list[str]) -> Iterator[tuple[str, str]]:
    remote = store.remote
    if remote is None:
        yield from ((name, sha256_of_file(artifact.local / name)) for name in names)
        return
    # A store far away answers each file late, not slowly.
    yield from zip(names, each(lambda name, stop: remote.sha256(f"{artifact.key}/{name}"), names, 4), strict=True)


def _headless(store: Store) -> list[str]:
    """Folders of versions that have files and no manifest, and are not just being made."""
    found = []
    for top in store.objects.names(""):
        if top.startswith("."):
            continue
        below = store.objects.names(top)
        places = [top] if any(version_number(name) for name in below) else []
        for place in [*places, *(f"{top}/{name}" for name in below if version_number(name) is None)]:
            numbers = [number for name in store.objects.names(place) if (number := version_number(name)) is not None]
            keys = {f"{place}/v{number}/{MANIFEST}": number for number in numbers}
            for key in sorted(keys.keys() - store.objects.read_many(keys).keys()):
                claim = f"{claims.CLAIMS}/{place}/v{keys[key]}.claim"
                if (
                    store.objects.read(claim) is None
                    and store.objects.read(key) is None
                    and store.objects.below(key.rpartition("/")[0])
                ):
                    found.append(key.rpartition("/")[0])
    return found


class _Leases:
    """What is known of every lease of a store after having watched the silent ones."""

    def __init__(self, store: Store, patient: bool) -> None:
        self._objects = store.objects
        self.keys = [f"{LEASES}/{name}" for name in self._objects.names(LEASES) if not name.startswith(".probe-")]
        self._silent: dict[str, tuple[int, str]] = {}
        watches = {key: Watch(self._objects, key) for key in self.keys}
        while watches:
            for key, watch in list(watches.items()):
                generation, state = watch.look()
                if state == "dead":
                    self._silent[key] = (generation, watch.holder.token if watch.holder else "")
                if state != "unknown" or watch.beats or not patient:
                    del watches[key]
            if watches:
                time.sleep(0.2)

    def free(self, key: str) -> bool:
        """Whether nobody holds a lease, as of now."""
        held = is_held(self._objects, key)
        if held is not None:
            return not held
        generation, holder = holder_of(self._objects, key)
        return self._silent.get(key) == (generation, holder.token if holder else "")

    def remove(self, key: str) -> None:
        """Remove what is left of a lease that is free."""
        generation, _ = self._silent.get(key, (0, ""))
        names = self._objects.names(key)
        # Not what a new holder has made since: only what was there when we looked.
        gone = [name for name in names if (number := generation_of(name)) is None or number <= generation]
        self._objects.delete(f"{key}/{name}" for name in gone)


def sweep(store: Store, patient: bool = True) -> list[str]:
    """Clean what dead processes left: claims, leases, half-made files, and the work of what has been published since.

    Scratch of work that is not finished stays, somebody may go on from it; `gc` removes that.

    Args:
        patient: watch the silent leases of other machines for their time to live, and count them as dead when it is over.

    Returns:
        A line for each thing done.
    """
    leases = _Leases(store, patient)
    done: list[str] = []
    remote = store.remote
    if remote is not None:
        for pipeline, stage in claims.claimed_stages(remote):

            def dead(claim: dict) -> bool:
                known = claims.is_dead(remote, claim)
                return leases.free(claim["lease"]) if known is None else known

            done += claims.Claims(remote, pipeline, stage).sweep(dead)
    finished = {f"{one.pipeline}-{one.stage}-{one.fingerprint[:16]}" for one in _readable(store)}
    for key in leases.keys:
        if leases.free(key):
            leases.remove(key)
            done.append(f"{key}: its process is gone")
    if remote is not None:
        for name in remote.names(WORK):
            if name not in finished or not leases.free(f"{LEASES}/{name}"):
                continue
            with hold_to_tidy(remote, f"{LEASES}/{name}") as ours:
                if ours:
                    remove_work(remote, f"{WORK}/{name}")
                    done.append(f"{WORK}/{name}: published since")
        old = [name for name in remote.names(LEASES) if name.startswith(".probe-") and _is_old(name)]
        remote.delete(f"{LEASES}/{name}" for name in old)
    return done + _sweep_local(store, leases, finished)


def _sweep_local(store: Store, leases: _Leases, finished: set[str]) -> list[str]:
    done = []
    top = store.root / WORK
    copies = folder_publishing.left_over(store.root) if store.remote is None else []
    works = set()
    for path in sorted(top.glob("*")):
        if path.name.startswith(TRASH):
            remove_tree(path)
        elif path.name.startswith(".probe-"):
            if _is_old(path.name):
                path.unlink(missing_ok=True)
        else:
            works.add(path.name)
    for name in sorted(works | {folder_publishing.work_of(copy) for copy in copies}):
        if not leases.free(f"{LEASES}/{name}"):
            continue
        with hold_to_tidy(store.objects, f"{LEASES}/{name}") as ours:
            if ours:
                done += _sweep_work(store, top / name, name in finished)
    for gone in folder_publishing.trash_in(store.root) if store.remote is None else []:
        remove_tree(gone)
    return done


def _sweep_work(store: Store, work: Path, finished: bool) -> list[str]:
    """Remove what a work that nobody is at has no use for any more."""
    done = []
    for copy in folder_publishing.half_copied(store.root, work.name) if store.remote is None else []:
        discard(copy, work.parent)
        done.append(f"{copy.relative_to(store.root).as_posix()}: half-made files")
    if finished or not any(work.rglob("*")):
        if work.exists():
            discard(work, work.parent)
            done.append(f"{WORK}/{work.name}: published since")
        return done
    for made in [*work.glob("made-*"), *work.glob(".upload-*")]:
        discard(made, work.parent) if made.is_dir() else made.unlink(missing_ok=True)
        done.append(f"{WORK}/{work.name}: half-made files")
    return done


def _readable(store: Store) -> list[Artifact]:
    artifacts = []
    for pipeline in store.pipelines():
        for stage in store.stages(pipeline):
            for number in store.versions(pipeline, stage):
                try:
                    artifacts.append(store.load(pipeline, stage, number))
                except InputError:  # `verify` tells of it
                    continue
    return artifacts


def _is_old(name: str) -> bool:
    """Whether `.probe-<seconds>-<token>` was made more than an hour ago."""
    told = name.split("-")[1]
    return not told.isdigit() or time.time() - int(told) > PROBE_S


def gc(store: Store, keep: int = 3, dry_run: bool = False) -> list[str]:
    """Remove old versions and left-over work. What stays: the newest `keep` versions of each stage, those that have a tag, what running
    stages read, and all that these came from.

    Of what stages keep for later (`Output.cache`), files that no artifact holds go, too.

    Args:
        keep: how many versions of each stage stay in any case. dry_run: only tell.

    Returns:
        The refs, work folders and files that were (or with `dry_run` would be) removed.
    """
    artifacts = {artifact.ref: artifact for artifact in store.all()}
    kept: set[str] = set()
    by_stage: dict[tuple[str, str], list[str]] = {}
    for ref, artifact in artifacts.items():
        by_stage.setdefault((artifact.pipeline, artifact.stage), []).append(ref)

    def keep_all(queue: list[str]) -> None:
        while queue:
            ref = queue.pop()
            if ref in artifacts and ref not in kept:
                kept.add(ref)
                queue += artifacts[ref].parents.values()

    keep_all([ref for refs in by_stage.values() for ref in refs[max(len(refs) - keep, 0) :]])
    removed: list[str] = []
    for ref, artifact in artifacts.items():
        if ref not in kept:
            # Anew each time: removing takes a while, and meanwhile a stage may begin or somebody name a version.
            keep_all([*_being_read(store), *every_tag(store)])
        if ref not in kept:
            removed.append(ref)
            if not dry_run:
                store.remove(artifact)
    removed += _gc_work(store, dry_run)
    removed += _gc_caches(store, dry_run)
    if store.remote is not None:
        for pipeline, stage in claims.claimed_stages(store.remote):
            removed += claims.Claims(store.remote, pipeline, stage).forget(RECORD_S, dry_run)
    return removed


def _being_read(store: Store) -> list[str]:
    """Refs of what the stages read that are being made, here or anywhere."""
    names = store.objects.names(LEASES)
    return [ref for name in names if not name.startswith(".probe-") for ref in read_by(store.objects, f"{LEASES}/{name}")]


def require(store: Store, what: str, refs: Mapping[str, str | None]) -> None:
    """Refuse to go on with work whose parents have been removed since they were chosen.

    Args:
        what: how the work is called. refs: the parents, with their digests where those are known.

    Raises:
        WorkError: the store does not hold one of them any more, or another of that name.
    """
    for ref, digest in refs.items():
        pipeline, stage, version = split_ref(ref)
        try:
            there = store.load(pipeline, stage, version_number(version) or 0)
        except InputError:
            there = None
        if there is None or (digest is not None and there.digest != digest):
            raise WorkError(f"{what}: {ref}, which it is made of, was removed meanwhile; run again")


def _gc_work(store: Store, dry_run: bool) -> list[str]:
    top = store.root / WORK
    names = {path.name for path in top.glob("[!.]*")} | {name for name in store.objects.names(WORK) if not name.startswith(".")}
    removed = []
    for name in sorted(names):
        if is_held(store.objects, f"{LEASES}/{name}") is not False:
            continue
        if dry_run:
            removed.append(f"{WORK}/{name}")
            continue
        with hold_to_tidy(store.objects, f"{LEASES}/{name}") as ours:
            if ours:
                discard(top / name, top)
                if store.remote is not None:
                    remove_work(store.remote, f"{WORK}/{name}")
                removed.append(f"{WORK}/{name}")
    return removed


def _gc_caches(store: Store, dry_run: bool) -> list[str]:
    removed = []
    for cache in sorted((store.root / CACHE).glob("*/files")):
        if is_held(Folder(cache.parent), ".lease") is not False:
            continue
        for file in sorted(path for path in cache.rglob("*") if path.is_file()):
            # One link: no artifact holds it any more (with a dry run, those that would go still do).
            if file.stat().st_nlink == 1:
                removed.append(file.relative_to(store.root).as_posix())
                if not dry_run:
                    file.unlink(missing_ok=True)
    return removed
