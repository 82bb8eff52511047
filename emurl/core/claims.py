"""Publishing to an object store, whole or not at all, by any number of hosts, with nothing but conditional creates.

    .claims/<pipeline>/<stage>/v<N>.claim    who is uploading version N
    .claims/<pipeline>/<stage>/v<N>.end      how that ended: {"published": manifest} or {"burned": why}; made once, so there is one end

A publisher takes N by creating its claim, uploads the files, creates the end with the manifest in it, puts the manifest in its place, and
removes the claim and then the end. Somebody who finds a claim of a dead process creates a burned end, and if that is the first end removes
the files. Why nothing is lost or mixed:

* One end. Publisher and sweeper both *create* it, so a version is published or burned, never both. Whoever finds a published end
  puts the manifest there (it is in the end), so a publisher may die at any moment after.
* One uploader a number. Candidates count on from all claims, ends and versions, listed in this order: a version's manifest is there
  before its claim and end go, so a number is always seen in one of them. After its claim a publisher looks for an end or a manifest of N
  once more, because all of another's life at N may lie between its own listing and its claim.
* A burned number is not used again: its end stays until `retention.gc` finds it old, and a sweep removes what a zombie or a request still on
  its way puts there late. A zombie that wakes up finds the end, or after years its own claim gone, and removes its own files.
* A sweeper that was asleep may burn a version that was published and tidied meanwhile. It looks for the manifest after its create, and
  takes its end back: a burned end and a manifest together always mean this, for a manifest is only put under a published end.
* A manifest is only put while its end and claim are there. Removing a version leaves an end behind (`removed`), so a publisher that
  wakes up later than that cannot bring an empty version back; a sweep would see it by that end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from emurl.core.artifact import DEFAULT_PIPELINE, MANIFEST, folder_of, ref_of, version_number
from emurl.core.backends import Remote
from emurl.core.errors import EmurlError, WorkError
from emurl.core.lease import Lease, holder_of

CLAIMS = ".claims"
Dead = Callable[[dict[str, Any]], bool]


class Claims:
    """The versions of one stage in an object store, as those see them who publish, sweep and remove."""

    def __init__(self, remote: Remote, pipeline: str, stage: str) -> None:
        self._remote, self.pipeline, self.stage = remote, pipeline, stage
        self._top = f"{CLAIMS}/{pipeline}/{stage}"

    # --- publishing ----------------------------------------------------------------------------------------------

    def publish(
        self, lease: Lease, manifest: dict[str, Any], files: Iterable[tuple[str, Path]], wanted: int | None = None
    ) -> dict[str, Any]:
        """Upload files and their manifest as the next version (`wanted` where that is free); gives the manifest with its number.

        Raises:
            WorkError: the lease is lost, or the store does not answer.
        """
        files = list(files)
        while True:
            if not lease.confirm():
                raise WorkError(
                    f"{self.pipeline}/{self.stage}: another process took it over while this one was silent; its result counts"
                )
            number = self._claim(lease, wanted)
            manifest = {**manifest, "version": number}
            try:
                for name, path in files:
                    self._remote.put_file(f"{self._folder(number)}/{name}", path)
                there = self._remote.below(self._folder(number))
                if any(there.get(file["name"]) != file["size"] for file in manifest["files"]):
                    published = self._burn(number, "its files are not whole")
                else:
                    published = self._decide(number, lease.token, manifest)
            except EmurlError:
                try:
                    if self._burn(number, "its upload failed"):
                        return manifest
                except EmurlError:  # still away: a sweep does it
                    pass
                raise
            if published:
                return manifest

    def _claim(self, lease: Lease, wanted: int | None = None) -> int:
        """Take the next free number, or the one that is wanted."""
        while True:
            # Claims and ends before versions: see the module's docstring.
            taken = [*self.open_numbers(), *self._versions()]
            number = wanted if wanted is not None and wanted not in taken else max([0, *taken]) + 1
            claim = {"token": lease.token, "lease": lease.key, "generation": lease.generation, "time": time.time()}
            if not self._remote.create(self._key(number, "claim"), _json(claim)):
                continue
            if self._remote.read(self._key(number, "end")) is None and self._remote.read(self._manifest(number)) is None:
                return number
            self._remote.delete([self._key(number, "claim")])

    def _versions(self) -> list[int]:
        """Numbers under which there is anything, in the layout of schema 2 or 1."""
        names = self._remote.names(f"{self.pipeline}/{self.stage}")
        if self.pipeline == DEFAULT_PIPELINE:
            names += self._remote.names(self.stage)
        return [number for name in names if (number := version_number(name)) is not None]

    def _decide(self, number: int, token: str, manifest: dict[str, Any]) -> bool:
        """Publish, unless it was burned meanwhile. True when it is published."""
        self._remote.create(self._key(number, "end"), _json({"published": manifest, "token": token}))
        return self.settle(number)

    def _burn(self, number: int, why: str) -> bool:
        """End a version that will not be. True when it turns out to be published."""
        self._remote.create(self._key(number, "end"), _json({"burned": why, "time": time.time(), "by": time.time_ns()}))
        return self.settle(number)

    # --- what has ended is brought to its end ---------------------------------------------------------------------

    def open_numbers(self) -> list[int]:
        """Numbers with a claim or an end, ascending."""
        numbers = {version_number(name.partition(".")[0]) for name in self._remote.names(self._top)}
        return sorted(number for number in numbers if number is not None)

    def settle(self, number: int) -> bool:
        """Bring a version that has an end to it; anybody may, any number of times. True when it is published."""
        end = self._end(number)
        # The claim before the manifest: the claim goes only when the manifest is there.
        claim = self._read(number, "claim")
        manifest = self._remote.read(self._manifest(number))
        if end is None:
            return manifest is not None
        if "published" in end:
            return self._complete(number, end, claim, manifest is not None)
        if manifest is not None and "removed" not in end:
            self._remote.delete([self._key(number, "claim"), self._key(number, "end")])  # published before it was burned
            return True
        self._clear(number)
        self._remote.delete([self._key(number, "claim")])
        return False

    def _complete(self, number: int, end: dict[str, Any], claim: dict[str, Any] | None, there: bool) -> bool:
        if not there:
            if claim is None or claim["token"] != end["token"]:
                # Burned so long ago that the record is gone, and with it some of the files.
                self._remote.put(self._key(number, "end"), _json({"burned": "published too late", "time": time.time()}))
                self._clear(number)
                return False
            text = json.dumps(end["published"], indent=2, sort_keys=True).encode()
            made = self._remote.create(self._manifest(number), text)
            now = self._end(number)
            # No end: somebody has seen our manifest and tidied. A burned one: a late sweeper, who takes it back when it sees the manifest.
            if made and now is not None and "removed" in now:
                # Completed by somebody else and removed since.
                self._remote.delete([self._manifest(number)])
                return False
        self._remote.delete([self._key(number, "claim"), self._key(number, "end")])
        return True

    def _clear(self, number: int) -> None:
        names = self._remote.below(self._folder(number))
        self._remote.delete(f"{self._folder(number)}/{name}" for name in sorted(names, key=lambda name: name != MANIFEST))

    def sweep(self, dead: Dead) -> list[str]:
        """Burn the claims of the dead, complete what was decided, remove late files of the burned. Lines of what was done."""
        done = []
        for number in self.open_numbers():
            ref = ref_of(self.pipeline, self.stage, number)
            if self._end(number) is None:
                claim = self._read(number, "claim")
                if claim is None or not dead(claim):
                    continue
                published = self._burn(number, "its process is gone")
            else:
                late = bool(self._remote.below(self._folder(number)))
                published = self.settle(number)
                if not published and not late:
                    continue  # a record and nothing else
            done.append(f"{ref}: published, tidied" if published else f"{ref}: never published, its files removed")
        return done

    def remove(self, number: int) -> None:
        """Take a published version out, and leave a record that its number was used."""
        self.settle(number)
        self._remote.create(self._key(number, "end"), _json({"removed": True, "time": time.time(), "by": time.time_ns()}))
        self._clear(number)
        self._remote.delete([self._key(number, "claim")])

    def forget(self, older_than_s: float, dry_run: bool) -> list[str]:
        """Drop records of versions below the newest that are older than some seconds."""
        newest = max([0, *self._versions()])
        forgotten = []
        for number in self.open_numbers():
            end = self._end(number)
            if end is None or "published" in end or number >= newest or self._read(number, "claim") is not None:
                continue
            if time.time() - float(end.get("time", 0.0)) > older_than_s:
                forgotten.append(self._key(number, "end"))
        if not dry_run:
            self._remote.delete(forgotten)
        return forgotten

    # --- names ---------------------------------------------------------------------------------------------------

    def _folder(self, number: int) -> str:
        return folder_of(self.pipeline, self.stage, number)

    def _manifest(self, number: int) -> str:
        return f"{self._folder(number)}/{MANIFEST}"

    def _key(self, number: int, kind: str) -> str:
        return f"{self._top}/v{number}.{kind}"

    def _end(self, number: int) -> dict[str, Any] | None:
        return self._read(number, "end")

    def _read(self, number: int, kind: str) -> dict[str, Any] | None:
        data = self._remote.read(self._key(number, kind))
        if data is None:
            return None
        try:
            return dict(json.loads(data))
        except ValueError:
            raise WorkError(
                f"store {self._remote.url}: {self._key(number, kind)} is not readable, expected JSON; remove it"
            ) from None


def claimed_stages(remote: Remote) -> list[tuple[str, str]]:
    """(pipeline, stage) of everything that has a claim or an end."""
    return [(pipeline, stage) for pipeline in remote.names(CLAIMS) for stage in remote.names(f"{CLAIMS}/{pipeline}")]


def is_dead(remote: Remote, claim: dict[str, Any]) -> bool | None:
    """Whether the process of a claim can publish no more; None where only watching its lease tells."""
    generation, holder = holder_of(remote, claim["lease"])
    if generation != claim["generation"] or (holder is not None and holder.token != claim["token"]):
        return True
    state = holder.state() if holder is not None else "unknown"
    return None if state == "unknown" else state == "dead"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
