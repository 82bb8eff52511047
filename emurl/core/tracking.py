"""Where numbers and pictures go: the console, TensorBoard and Weights & Biases. The one module that imports W&B.

W&B runs offline unless a key is set (`WANDB_API_KEY` or a login in ~/.netrc), one group a pipeline run, one job type a
stage. A resumed offline run would erase its first part when synced, so every try is a new run in the same group.
"""

from __future__ import annotations

import contextlib
import netrc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from emurl.core.progress import Progress, say


class Tracker:
    """What a stage reports to. Without sinks it still shows progress; `silent()` shows nothing."""

    def __init__(self, stage: str = "", quiet: bool = False) -> None:
        self.stage = stage
        self.quiet = quiet
        self._board: Any = None
        self._wandb: Any = None

    @classmethod
    def silent(cls) -> Tracker:
        """A tracker for tests: takes everything, shows nothing."""
        return cls(quiet=True)

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, stage: str, folder: Path, group: str, settings: dict[str, Any], *, tensorboard: bool, wandb: bool, project: str
    ) -> Iterator[Tracker]:
        """A tracker with its sinks open; `folder` is where they write, `group` names the pipeline run."""
        tracker = cls(stage)
        exit_code = 1
        try:
            if tensorboard:
                from torch.utils.tensorboard import SummaryWriter

                tracker._board = SummaryWriter(str(folder / "tensorboard" / group / stage))
            if wandb:
                tracker._wandb = _start_wandb(stage, folder, group, settings, project)
            yield tracker
            exit_code = 0
        finally:
            if tracker._board is not None:
                tracker._board.close()
            if tracker._wandb is not None:
                tracker._wandb.finish(exit_code=exit_code)

    @property
    def _axis(self) -> str:
        """W&B's own step only ever grows and drops what comes below it; a stage that trains twice counts from 0 twice."""
        return f"{self.stage}/step"

    def log(self, values: dict[str, float], step: int) -> None:
        """Scalars at a step; names are joined to the stage's: `reward/loss`."""
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{self.stage}/{name}", float(value), step)
        if self._wandb is not None:
            numbers = {f"{self.stage}/{name}": float(value) for name, value in values.items()}
            self._wandb.log(numbers | {self._axis: step})

    def image(self, name: str, picture: np.ndarray, step: int) -> None:
        """A picture, uint8 (H, W) or (H, W, 3)."""
        color = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)
        if self._board is not None:
            self._board.add_image(f"{self.stage}/{name}", color, step, dataformats="HWC")
        if self._wandb is not None:
            import wandb

            self._wandb.log({f"{self.stage}/{name}": wandb.Image(color), self._axis: step})

    def file(self, name: str, path: Path) -> None:
        """A finished file worth looking at: a GIF, an MP4 or an HTML page."""
        if self._wandb is None:
            return
        import wandb

        if path.suffix in (".gif", ".mp4"):
            self._wandb.log({f"{self.stage}/{name}": wandb.Video(str(path))})
        elif path.suffix == ".html":
            self._wandb.log({f"{self.stage}/{name}": wandb.Html(str(path), inject=False)})

    def summary(self, values: dict[str, Any]) -> None:
        """The stage's final metrics, by which runs are compared."""
        numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
        if self._wandb is not None:
            self._wandb.summary.update({f"{self.stage}/{name}": value for name, value in numbers.items()})
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(f"{self.stage}/final/{name}", float(value), 0)

    @contextlib.contextmanager
    def progress(self, total: float, description: str, unit: str = "it") -> Iterator[Progress]:
        """Show how far `total` units of work are, with an ETA, on stderr."""
        bar = Progress(total, description, unit, self.quiet)
        try:
            yield bar
        finally:
            bar.close()

    def message(self, line: str) -> None:
        """A line for the person at the console."""
        if not self.quiet:
            say(f"  {line}")


def has_wandb_key() -> bool:
    """Whether W&B would know who we are."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    return False


def _start_wandb(stage: str, folder: Path, group: str, settings: dict[str, Any], project: str) -> Any:
    import wandb

    mode = os.environ.get("WANDB_MODE") or ("online" if has_wandb_key() else "offline")
    if mode == "disabled":
        return None
    folder.mkdir(parents=True, exist_ok=True)
    quiet = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True, save_code=False
    )
    run = wandb.init(
        project=project, group=group, job_type=stage, name=f"{group}-{stage}", dir=str(folder),
        config=settings, mode=mode, settings=quiet,  # type: ignore[arg-type]
    )  # fmt: skip
    run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
    return run
