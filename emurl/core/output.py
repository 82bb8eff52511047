"""Where a running stage writes, and the manifest that its files become."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from emurl import __version__
from emurl.core.artifact import DEFAULT_PIPELINE, MANIFEST, SCHEMA, Artifact, digest_of
from emurl.core.errors import WorkError
from emurl.core.files import sha256_of_file
from emurl.core.lease import Lease
from emurl.core.scratch import Mirror


@dataclass
class Output:
    """Where a running stage writes: `path(...)` is published, `scratch` is for checkpoints and survives a kill.

    `cache` is the stage's own for all its runs, beside the store: what is there spares work, and may vanish at any time.
    `found` is the result, where there is one already (another process published it while this one waited): nothing need be done then.
    `lease`, `mirror` and `mark` are the store's.
    """

    folder: Path
    scratch: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cache: Path | None = None
    lease: Lease | None = None
    mirror: Mirror | None = None
    mark: Path | None = None
    found: Artifact | None = None

    def path(self, name: str) -> Path:
        """A path for a file to be published; its parent folders are made.

        Raises:
            WorkError: another process has taken the work over.
        """
        self.check()
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def note(self, line: str) -> None:
        """A remark kept in the manifest and shown at the end of the run."""
        self.notes.append(line)

    def scratch_saved(self, path: Path) -> None:
        """Say that a file in `scratch` is new, so that another machine can go on from it. Cheap; call it after each checkpoint.

        A folder store needs nothing. For a bucket the file is uploaded by a thread, at most one at a time and each in its turn, and
        the newest version wins. A failed upload is warned about once and tried again with the next file.
        """
        if self.mirror is not None:
            self.mirror.saved(path)

    def flush(self, seconds: float | None = None) -> None:
        """Wait until what was saved is uploaded, or `seconds` are over."""
        if self.mirror is not None:
            self.mirror.flush(seconds)

    def check(self) -> None:
        """Raise WorkError if another process has taken the work over. Asks only this machine; cheap."""
        if (self.lease is not None and self.lease.lost) or (self.mark is not None and not self.mark.exists()):
            raise WorkError(f"{self._name()}: another process took it over while this one was silent; its result counts")

    def _name(self) -> str:
        return self.folder.parent.parent.name.rpartition("-")[0] or str(self.folder)


def files_below(folder: Path) -> list[tuple[str, Path]]:
    """(name, path) of every file of an artifact but its manifest, by name."""
    found = [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()]
    return sorted((name, path) for name, path in found if name != MANIFEST)


def manifest_of(output: Output, facts: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a finished output, but for its version."""
    files = [
        {"name": name, "size": path.stat().st_size, "sha256": sha256_of_file(path)} for name, path in files_below(output.folder)
    ]
    return {
        "pipeline": DEFAULT_PIPELINE,
        "headline": None,
        "code_digest": None,
        **facts,
        "schema": SCHEMA,
        "metrics": finite(output.metrics),
        "notes": output.notes,
        "files": files,
        "digest": digest_of(facts["stage"], files),
        "code_revision": code_revision(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def finite(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics as JSON can hold them: numbers rounded to 6 significant digits, NaN and infinities as null."""
    cleaned: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, (bool, int, str)) or value is None:
            cleaned[name] = value
        else:
            number = float(value)
            cleaned[name] = float(f"{number:.6g}") if abs(number) < float("inf") else None
    return cleaned


@cache
def code_revision() -> str:
    """The git commit of the checkout the package lies in (with `+` when changed), else the package's version."""
    here = Path(__file__).resolve().parent
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if (here.parent.parent / ".git").exists():
            top = subprocess.run(
                ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
                cwd=here, capture_output=True, text=True, timeout=10, check=True,
            )  # fmt: skip
            return top.stdout.strip()
    return __version__
