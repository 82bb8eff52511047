"""A finished output becomes a version: on a folder by `folder_publishing`, on an object store by `claims`."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emurl.core import claims, folder_publishing, retention
from emurl.core.artifact import MANIFEST, Artifact, folder_of
from emurl.core.backends import Remote, explain_folder
from emurl.core.errors import EmurlError
from emurl.core.files import discard
from emurl.core.lease import Lease
from emurl.core.output import Output, files_below
from emurl.core.scratch import remove_work

if TYPE_CHECKING:
    from emurl.core.store import Store


class Files:
    """Files of one version in an object store."""

    def __init__(self, remote: Remote, key: str) -> None:
        self._remote, self.key = remote, key

    def fetch(self, name: str, target: Path) -> None:
        """Download one."""
        self._remote.get_file(f"{self.key}/{name}", target)


def publish(store: Store, output: Output, manifest: dict[str, Any], number: int | None = None) -> Artifact:
    """Make the files of an output of `Store.making` a version.

    Args:
        manifest: all of it but the version. number: the version it is to be where nothing is called so; else the next one.

    Raises:
        WorkError: the work was taken over by another process, a parent was removed, or the store does not answer.
    """
    lease = output.lease
    if lease is None:
        raise ValueError("an output that is not of Store.making cannot be published")
    output.check()
    digests = {parent: manifest["parents"][name]["digest"] for name, parent in Artifact(output.folder, manifest).parents.items()}
    retention.require(store, manifest["stage"], digests)
    if store.remote is None:
        places = store.places(manifest["pipeline"], manifest["stage"])
        try:
            target, manifest = folder_publishing.publish(store.root, places, output, manifest, lease, number)
        except OSError as error:
            output.check()  # files that vanish: another process took over
            raise explain_folder(str(store.root), error) from None
        artifact = Artifact(target, manifest)
    else:
        artifact = _publish_remote(store, store.remote, output, manifest, lease, number)
    output.mark = None
    with contextlib.suppress(EmurlError, OSError):  # published all the same; a sweep removes the rest
        _drop_work(store, output, lease)
    return artifact


def _publish_remote(
    store: Store, remote: Remote, output: Output, manifest: dict[str, Any], lease: Lease, number: int | None
) -> Artifact:
    pipeline, stage = str(manifest["pipeline"]), str(manifest["stage"])
    manifest = claims.Claims(remote, pipeline, stage).publish(lease, manifest, files_below(output.folder), number)
    artifact = Artifact(store.cached(manifest), manifest, Files(remote, folder_of(pipeline, stage, manifest["version"])))
    with contextlib.suppress(OSError):  # what is here need not be downloaded again
        (output.folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")
        artifact.local.parent.mkdir(parents=True, exist_ok=True)
        output.folder.rename(artifact.local)
    return artifact


def _drop_work(store: Store, output: Output, lease: Lease) -> None:
    work = output.folder.parent.parent
    if not lease.confirm():  # whoever took over meanwhile may be at work there
        return
    if output.mirror is not None and store.remote is not None:
        output.mirror.close()
        output.mirror.flush(30.0)
        remove_work(store.remote, f"{work.parent.name}/{work.name}")
    discard(work, work.parent)
