"""Publishing to a folder, whole or not at all: a version is written aside, synced and renamed once. The rename is the conditional create.

    .work/<work>/made-<token>/files                          where the stage writes
    <pipeline>/<stage>/.made-<16 of the fingerprint>-<token>  its copy, only where a stage's folder is on another disk than `.work`

A rename does not lead from one disk to another, so there the files are copied beside the versions first, and that copy is renamed. Whoever
takes the work over puts both away, and then the rename of the process that was taken over fails.
"""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

from emurl.core.artifact import MANIFEST, version_number
from emurl.core.errors import WorkError
from emurl.core.files import TRASH, remove_tree, sync_folder, sync_tree
from emurl.core.lease import Lease
from emurl.core.output import Output

_COPY = ".made-"


def publish(
    root: Path, places: list[str], output: Output, manifest: dict[str, Any], lease: Lease, wanted: int | None = None
) -> tuple[Path, dict[str, Any]]:
    """Make a finished output the next version of its stage.

    Args:
        root: the store. places: every folder in it where versions of the stage may lie, by number; the first gets the new one.
        wanted: the number it is to have where that is free.

    Returns:
        The version's folder, and the manifest with its number.

    Raises:
        WorkError: the work was taken over by another process.
        OSError: the disk refuses.
    """
    top, files = root / places[0], output.folder
    top.mkdir(parents=True, exist_ok=True)
    try:
        while True:
            taken = [version_number(path.name) for place in places for path in (root / place).glob("v*")]
            number = max([0, *(one for one in taken if one is not None)]) + 1
            if wanted is not None and wanted not in taken:
                number = wanted
            manifest = {**manifest, "version": number}
            (files / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")
            sync_tree(files)
            if not lease.confirm() or (output.mark is not None and not output.mark.exists()):
                raise WorkError(f"{places[0]}: another process took it over while this one was silent; its result counts")
            target = top / f"v{number}"
            try:
                # Fails when there is such a version (it is never empty), or when another process took over and put these files away.
                files.rename(target)
            except OSError as error:
                if target.exists():
                    continue
                if error.errno != errno.EXDEV or files != output.folder:
                    raise
                files = top / f"{_COPY}{manifest['fingerprint'][:16]}-{lease.token}"
                shutil.copytree(output.folder, files)
                continue
            break
    finally:
        if files != output.folder:
            remove_tree(files)
    sync_folder(top)
    return target, manifest


def half_copied(root: Path, work: str) -> list[Path]:
    """Copies that a process left which was killed while it published the work called `<pipeline>-<stage>-<16 of the fingerprint>`."""
    return [path for path in root.glob(f"*/*/{_COPY}*") if work_of(path) == work]


def work_of(copy: Path) -> str:
    """The name of the work that a copy is of."""
    return "-".join((copy.parent.parent.name, copy.parent.name, copy.name.removeprefix(_COPY).partition("-")[0]))


def left_over(root: Path) -> list[Path]:
    """Every copy in a store, of works that are going on or not."""
    return sorted(root.glob(f"*/*/{_COPY}*"))


def trash_in(root: Path) -> list[Path]:
    """What was being removed on another disk than `.work` when a process was killed."""
    return sorted(root.glob(f"*/*/{TRASH}*"))
