"""The versioned store: every stage leaves one folder, seen whole or not at all, on a folder and on `s3://`, by any number of hosts.

    <store>/<pipeline>/<stage>/v<N>/manifest.json    what it is, what it came from, what it measured, sha256 of every file
    <store>/<pipeline>/<stage>/v<N>/…                its files
    <store>/<stage>/v<N>/…                           the same, as older versions of emurl wrote it (pipeline speedrun); read, never written
    <store>/.leases/<work>/                          who is making what (`lease`)
    <store>/.work/<work>/                            an unfinished stage's files and checkpoints; survives a kill (`scratch`)
    <store>/.tags/<pipeline>/<stage>/<tag>.json      which version `policy@best` means (`tags`)
    <store>/.claims/<pipeline>/<stage>/              versions being published to an object store (`claims`)
    <store>/.cache/<stage>/                          what a stage keeps for its next run to be quicker; of use, never needed

<work> is <pipeline>-<stage>-<16 of the fingerprint>. An artifact's *digest* covers the stage's name and its files, so two runs with the same
result have the same digest; its *fingerprint* covers settings, parents' digests and code, so equal fingerprints need not be
computed twice. How a version is published on a folder is said in `folder_publishing`, on an object store in `claims`. A remote
store's files are downloaded when they are asked for, into a cache whose folders are named by version *and* digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from emurl.core import claims, folder_publishing, publishing, retention, tags
from emurl.core.artifact import (
    DEFAULT_PIPELINE,
    LATEST,
    MANIFEST,
    SCHEMA,
    Artifact,
    canonical_json,
    digest_of,
    is_name,
    read_manifest,
    ref_at,
    ref_of,
    sha256_of,
    split_ref,
    version_number,
)
from emurl.core.backends import Folder, Objects, Remote, explain_folder, open_place
from emurl.core.errors import EmurlError, InputError, NotMade, Pruned, WorkError
from emurl.core.files import at_home, discard, is_disk_full, sha256_of_file
from emurl.core.lease import Lease
from emurl.core.output import Output, code_revision, files_below, manifest_of
from emurl.core.refusals import meant
from emurl.core.scratch import Mirror, remove_work

__all__ = [
    "MANIFEST", "SCHEMA", "Artifact", "Output", "Store", "canonical_json", "code_revision", "digest_of", "files_below", "ref_of",
    "sha256_of", "sha256_of_file", "split_ref",
]  # fmt: skip

LEASES = ".leases"
WORK = ".work"
UPLOAD_S = 10.0  # that a stage which ends early waits for a bucket to have its last checkpoint


class Store:
    """A store of artifacts at a local folder or an fsspec URL.

    Attributes:
        url: as it was given. objects: the place itself. root: the folder, or the local one that stands for a remote store.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.url = os.fspath(url)
        place = open_place(self.url)
        self.remote = place if isinstance(place, Remote) else None
        self.objects: Objects = place
        if isinstance(place, Folder):
            self.root = place.root
        else:
            cache = at_home(os.environ.get("EMURL_CACHE") or Path("~", ".cache", "emurl"))
            self.root = cache / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        self._place = place
        self._read: dict[str, bytes] = {}  # manifests by folder of the version

    def probe(self, write: bool = True) -> None:
        """Ask once whether the store can be used, before any work; answers within about 15 s.

        Args:
            write: also whether objects can be made, only once, and removed.

        Raises:
            InputError: what was given is wrong: no such bucket, no credentials, access denied, a folder that cannot be written.
            WorkError: it is right and does not work: no answer, a full disk.
        """
        self._place.probe(write)
        if self.remote is not None and write:
            try:
                Folder(self.root).probe(write=True)
            except InputError as error:
                raise InputError(f"{error} (it keeps files of {self.url}; EMURL_CACHE names another)") from None

    # --- reading -------------------------------------------------------------------------------------------------

    def pipelines(self) -> list[str]:
        """Names of the pipelines that have a version, sorted."""
        return sorted({pipeline for pipeline, _ in self._pairs()})

    def stages(self, pipeline: str = DEFAULT_PIPELINE) -> list[str]:
        """Names of a pipeline's stages that have a version, sorted."""
        return sorted({stage for name, stage in self._pairs() if name == pipeline})

    def versions(self, pipeline: str, stage: str) -> list[int]:
        """Published version numbers of a stage, ascending."""
        return sorted(self._manifests(pipeline, stage))

    def get(self, ref: str) -> Artifact:
        """The artifact called `[PIPELINE/]STAGE@vN` or `…@TAG`, or the newest of a stage for `[PIPELINE/]STAGE[@latest]`.

        Raises:
            InputError: there is none of that name, or its manifest cannot be read.
        """
        pipeline, stage, version = split_ref(ref)
        found = self._manifests(pipeline, stage)
        numbers = sorted(found)
        if not numbers:
            raise self._not_made(ref, pipeline, stage)
        number = numbers[-1] if version == LATEST else version_number(version if version.startswith("v") else f"v{version}")
        if number is None:
            number = tags.number_of(self, ref, pipeline, stage, version, numbers)
        if number not in found:
            have = ", ".join(f"v{n}" for n in numbers[-8:])
            raise InputError(f"{ref}: the store {self.url} holds no such version, expected one of {have}")
        return self._artifact(*found[number])

    def _not_made(self, ref: str, pipeline: str, stage: str) -> InputError:
        """What to say where a stage has no version: what makes one, or what may have been meant where nothing does."""
        from emurl.core.pipeline import find_pipeline  # whose tables read settings, which a store does not need

        try:
            known = [*find_pipeline(pipeline).by_name]
        except InputError:  # nobody knows that pipeline here
            known = self.stages(pipeline)
        if stage in known:
            return NotMade(f"{ref}: the store {self.url} holds no {stage}", pipeline, stage)
        of = f" in {pipeline}" if known else f", and no pipeline {pipeline}"
        hint = meant(stage, known) or (f", expected one of {', '.join(known)}" if known else "")
        return InputError(f"{ref}: the store {self.url} holds no {stage}, and there is no such stage{of}{hint}")

    def all(self) -> list[Artifact]:
        """Every artifact, by pipeline, stage and version."""
        artifacts = []
        for pipeline, stage in sorted(self._pairs()):
            found = self._manifests(pipeline, stage)
            artifacts += [self._artifact(*found[number]) for number in sorted(found)]
        return artifacts

    def find(self, pipeline: str, stage: str, fingerprint: str) -> Artifact | None:
        """The newest version of a stage with this fingerprint, or None."""
        found = self._manifests(pipeline, stage, known=True)
        for number in sorted(found, reverse=True):
            artifact = self._artifact(*found[number])
            if artifact.fingerprint == fingerprint:
                return artifact if self._is_still(*found[number]) else self.find(pipeline, stage, fingerprint)
        return None

    def _is_still(self, key: str, data: bytes) -> bool:
        """Whether a version's manifest is the one that was read; if not (its number was used again by hand), all are forgotten."""
        same = self.objects.read(f"{key}/{MANIFEST}") == data
        if not same:
            self._read.clear()
        return same

    def load(self, pipeline: str, stage: str, number: int) -> Artifact:
        """One version of a stage.

        Raises:
            InputError: there is none, or its manifest cannot be read.
        """
        for place in self.places(pipeline, stage):
            data = self.objects.read(f"{place}/v{number}/{MANIFEST}")
            if data is not None:
                return self._artifact(f"{place}/v{number}", data)
        raise InputError(f"{ref_of(pipeline, stage, number)}: the store {self.url} holds no such version")

    def where(self, key: str) -> str:
        """A key of the store as people write it, for messages."""
        return f"{self.url.rstrip('/')}/{key}"

    def places(self, pipeline: str, stage: str) -> list[str]:
        """Where versions of a stage lie: the folder of schema 2, and for speedrun that of schema 1."""
        return [f"{pipeline}/{stage}", *([stage] if pipeline == DEFAULT_PIPELINE else [])]

    def _pairs(self) -> set[tuple[str, str]]:
        pairs: set[tuple[str, str]] = set()
        for top in self.objects.names(""):
            if not is_name(top):
                continue
            below = self.objects.names(top)
            if any(version_number(name) for name in below):
                pairs.add((DEFAULT_PIPELINE, top))  # a stage of an older emurl
            pairs |= {(top, name) for name in below if is_name(name) and version_number(name) is None}
        return {pair for pair in pairs if self._manifests(*pair)}

    def _manifests(self, pipeline: str, stage: str, known: bool = False) -> dict[int, tuple[str, bytes]]:
        """Every published version of a stage: where it lies, and its manifest as it is written.

        Args:
            known: manifests that this store has read before will do, for they never change.
        """
        found: dict[int, tuple[str, bytes]] = {}
        for place in reversed(self.places(pipeline, stage)):
            folders = {number: f"{place}/v{number}" for name in self.objects.names(place) if (number := version_number(name))}
            have = {folder: self._read[folder] for folder in folders.values() if known and folder in self._read}
            keys = {f"{folder}/{MANIFEST}": folder for folder in folders.values() if folder not in have}
            have |= {keys[key]: data for key, data in self.objects.read_many(keys).items()}
            self._read.update(have)
            found |= {number: (folder, have[folder]) for number, folder in folders.items() if folder in have}
        return found

    def _artifact(self, key: str, data: bytes) -> Artifact:
        where = self.where(f"{key}/{MANIFEST}")
        manifest = read_manifest(data, where)
        told, lies = ref_of(manifest["pipeline"], manifest["stage"], manifest["version"]), ref_at(key)
        if told != lies:  # copied or renamed by hand: gc, which goes by refs, would take one for the other
            raise InputError(f"{where}: is the manifest of {told}, expected that of {lies}; remove what was copied there")
        if self.remote is None:
            return Artifact(self.root / key, manifest)
        return Artifact(self.cached(manifest), manifest, publishing.Files(self.remote, key))

    def cached(self, manifest: dict[str, Any]) -> Path:
        """Where the files of a version in an object store lie on this machine."""
        name = f"v{manifest['version']}-{manifest['digest'][:16]}"
        return self.root / str(manifest["pipeline"]) / str(manifest["stage"]) / name

    # --- writing -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def making(
        self, pipeline: str, stage: str, fingerprint: str, *, again: bool = False, patient: bool = True, reads: Iterable[str] = ()
    ) -> Iterator[Output]:
        """Hold the work of one (pipeline, stage, fingerprint); publish with `publish` inside the block.

        Args:
            again: it is to be made although there is such a version; `Output.found` then tells only of one published since this call.
            patient: watch a holder of another machine for the lease's time to live, rather than refuse at once.
            reads: refs of the artifacts it is made of, which `gc` keeps meanwhile.

        Raises:
            InputError: the store cannot be written.
            WorkError: another process is at the same work, one of `reads` is gone, the disk is full, or the store does not answer.
        """
        if not is_name(pipeline) or not is_name(stage):
            raise InputError(f"{pipeline}/{stage}: not a name for a stage, expected letters, digits, - and _")
        key, what = f"{pipeline}-{stage}-{fingerprint[:16]}", f"{pipeline}/{stage}"
        work, reads = self.root / WORK / key, list(reads)
        known = {one.version for one in self._of(pipeline, stage, fingerprint)}
        lease = Lease.take(
            self.objects, f"{LEASES}/{key}", what, patient=patient, reads=reads,
            done=lambda: any(one.version not in known for one in self._of(pipeline, stage, fingerprint)),
        )  # fmt: skip
        made = work / f"made-{lease.token}"
        mirror = None if self.remote is None else Mirror(self.remote, f"{WORK}/{key}", work / "scratch", lease, what)
        output = Output(made / "files", work / "scratch", lease=lease, mirror=mirror, mark=made / "mark")
        given_up = False  # pruned: nobody will go on from what it has saved
        output.cache = self.root / ".cache" / (stage if pipeline == DEFAULT_PIPELINE else f"{pipeline}-{stage}")
        try:
            retention.require(self, what, dict.fromkeys(reads))  # from here on gc keeps them
            self._prepare(output, work)
            self._tidy(pipeline, stage)
            since = [one for one in self._of(pipeline, stage, fingerprint) if not (again and one.version in known)]
            output.found = max(since, key=lambda one: one.version, default=None)
            yield output
        except Pruned:
            given_up = True
            if mirror is not None:
                mirror.flush(UPLOAD_S)  # or an upload under way would end after all is removed
            raise
        except BaseException as error:
            if mirror is not None:
                mirror.flush(UPLOAD_S)  # the last checkpoint is what the next try goes on from
            if is_disk_full(error):
                raise WorkError(f"{stage}: the disk of {self.root} is full; free some and run again") from None
            if isinstance(error, OSError):
                output.check()  # files that vanish: another process took over
            raise
        finally:
            if mirror is not None:
                mirror.close()
            shutil.rmtree(work if given_up else made, ignore_errors=True)
            if given_up and self.remote is not None:
                with contextlib.suppress(EmurlError):  # gc takes it away
                    remove_work(self.remote, f"{WORK}/{key}")
            lease.release()

    def _of(self, pipeline: str, stage: str, fingerprint: str) -> list[Artifact]:
        artifacts = []
        for key, data in self._manifests(pipeline, stage, known=True).values():
            with contextlib.suppress(InputError):
                one = self._artifact(key, data)
                if one.fingerprint == fingerprint and self._is_still(key, data):
                    artifacts.append(one)
        return artifacts

    def _tidy(self, pipeline: str, stage: str) -> None:
        """Complete what a dead publisher of this stage had decided, before the same is made again."""
        remote = self.remote
        if remote is not None:
            claims.Claims(remote, pipeline, stage).sweep(lambda claim: claims.is_dead(remote, claim) is True)

    def _prepare(self, output: Output, work: Path) -> None:
        try:
            # Half-written files of a killed run are of no use; its scratch is.
            for old in [*work.glob("made-*"), *folder_publishing.half_copied(self.root, work.name)]:
                discard(old, self.root / WORK)
            output.folder.mkdir(parents=True)
            (output.folder.parent / "mark").touch()
            output.scratch.mkdir(exist_ok=True)
        except OSError as error:
            raise explain_folder(str(self.root), error) from None
        if output.mirror is not None:
            output.mirror.fetch()

    def publish(self, output: Output, facts: dict[str, Any]) -> Artifact:
        """Turn a finished `Output` into the next version of `facts["stage"]`.

        Args:
            facts: pipeline, stage, headline, fingerprint, code_digest, settings, parents ({stage: {version, digest, ref}}), duration_s.

        Raises:
            WorkError: the work was taken over by another process, a parent was removed, or the store does not answer.
        """
        output.check()
        return publishing.publish(self, output, manifest_of(output, facts))

    # --- keeping -------------------------------------------------------------------------------------------------

    def remove(self, artifact: Artifact) -> None:
        """Take a version out of the store, and out of the cache of this machine.

        Raises:
            InputError, WorkError: it cannot be removed.
        """
        if self.remote is not None:
            for place in self.places(artifact.pipeline, artifact.stage)[1:]:
                files = sorted(self.remote.below(f"{place}/v{artifact.version}"), key=lambda name: name != MANIFEST)
                # The manifest goes first: a version without one is not a version.
                self.remote.delete(f"{place}/v{artifact.version}/{name}" for name in files)
            claims.Claims(self.remote, artifact.pipeline, artifact.stage).remove(artifact.version)
        with self._explained():
            discard(artifact.local, self.root / WORK)
        self._read.clear()

    def verify(self) -> list[str]:
        """Every problem found, one line each; an empty list when all is well. Reads every byte."""
        return retention.verify(self)

    def sweep(self, patient: bool = True) -> list[str]:
        """Clean what dead processes left. Lines of what was done. See `retention.sweep`."""
        with self._explained():
            return retention.sweep(self, patient)

    def gc(self, keep: int = 3, dry_run: bool = False) -> list[str]:
        """Remove old versions and left-over work. See `retention.gc`."""
        with self._explained():
            return retention.gc(self, keep, dry_run)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """What the disk refuses, as one line."""
        try:
            yield
        except OSError as error:
            raise explain_folder(str(self.root), error) from None
