"""Where numbers and pictures go: the console, TensorBoard and Weights & Biases. The one module that imports W&B.

W&B runs offline unless it finds a key (`WANDB_API_KEY` or a login of any host) and its host answers, one group a pipeline run, one job
type a stage. A resumed offline run would erase its first part when synced, so every try is a new run in the same group.
"""

from __future__ import annotations

import contextlib
import netrc
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from emurl.core.errors import InputError
from emurl.core.progress import Progress, say
from emurl.core.refusals import one_line


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
            tracker._tell(lambda run: run.finish(exit_code=exit_code))

    def _tell(self, what: Callable[[Any], Any]) -> None:
        """Tell W&B's run something; where that fails, nothing more: numbers must not end the work."""
        if self._wandb is None:
            return
        try:
            what(self._wandb)
        except Exception as error:
            self._wandb = None
            say(f"  W&B: {type(error).__name__}: {one_line(error)}: the rest of {self.stage} is not told to it")

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
            self._tell(lambda run: run.log(numbers | {self._axis: step}))

    def image(self, name: str, picture: np.ndarray, step: int) -> None:
        """A picture, uint8 (H, W) or (H, W, 3)."""
        color = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)
        if self._board is not None:
            self._board.add_image(f"{self.stage}/{name}", color, step, dataformats="HWC")
        if self._wandb is not None:
            wandb = _wandb()
            self._tell(lambda run: run.log({f"{self.stage}/{name}": wandb.Image(color), self._axis: step}))

    def file(self, name: str, path: Path) -> None:
        """A finished file worth looking at: a GIF, an MP4 or an HTML page."""
        if self._wandb is None:
            return
        wandb = _wandb()
        if path.suffix in (".gif", ".mp4"):
            self._tell(lambda run: run.log({f"{self.stage}/{name}": wandb.Video(str(path))}))
        elif path.suffix == ".html":
            self._tell(lambda run: run.log({f"{self.stage}/{name}": wandb.Html(str(path), inject=False)}))

    def summary(self, values: dict[str, Any]) -> None:
        """The stage's final metrics, by which runs are compared."""
        numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
        if self._wandb is not None:
            self._tell(lambda run: run.summary.update({f"{self.stage}/{name}": value for name, value in numbers.items()}))
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


MODES = {
    "online": "online",
    "run": "online",
    "shared": "shared",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
CLOUD = ("api.wandb.ai", "api.forge.coreweave.com")  # W&B's own service, under its names
ANSWER_S = 5.0  # for W&B's host to answer at all
INIT_S = 30.0  # for it to take a run; W&B itself would wait for a minute and a half


def has_wandb_key() -> bool:
    """Whether W&B would know who we are: a key in the environment or its settings, or a login at the host it goes to. Asks no network."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    # A file that is no text, a user without a home: then there is none.
    with contextlib.suppress(OSError, ValueError, RuntimeError, KeyError, netrc.NetrcParseError):
        settings = _wandb().setup().settings
        if settings.api_key:
            return True
        host = urlsplit(str(settings.base_url)).netloc
        known = netrc.netrc(_netrc_file())
        return any(known.authenticators(name) for name in (*CLOUD, host) if name == host or host in CLOUD)
    return False


def _netrc_file() -> str:
    places = [Path("~/.netrc").expanduser(), Path("~/_netrc").expanduser()]
    return os.environ.get("NETRC") or str(next((place for place in places if place.exists()), places[0]))


def _wandb() -> Any:
    """W&B, which would report on us to its makers, and complain where it cannot: quiet unless the user says otherwise."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb


def wandb_mode() -> tuple[str, str]:
    """How runs go to W&B (online, shared, offline, disabled) and why, as far as can be said without a network.

    Raises:
        InputError: WANDB_MODE is none of its modes.
    """
    told = os.environ.get("WANDB_MODE") or ""
    if told and told not in MODES:
        raise InputError(f"WANDB_MODE: {told!r}, expected one of {', '.join(MODES)}")
    mode = MODES.get(told, "online")
    if mode in ("offline", "disabled"):
        return mode, f"WANDB_MODE is {told}"
    return (mode, "W&B has a key") if has_wandb_key() else ("offline", "W&B has no key")


def _start_wandb(stage: str, folder: Path, group: str, settings: dict[str, Any], project: str) -> Any:
    """A run of W&B, offline where its host cannot be had; None where W&B is disabled or fails here. Numbers must not end the work."""
    mode, why = wandb_mode()
    if mode == "disabled":
        return None
    if mode == "offline" and os.environ.get("WANDB_MODE") in ("online", "run", "shared"):
        say(f"  {why}, and WANDB_MODE is {os.environ['WANDB_MODE']}: the run is kept offline (wandb login, or wandb sync later)")
    if mode != "offline":
        trouble = _no_answer()
        if trouble:
            mode = "offline"
            say(f"  W&B: {trouble}: the run is kept offline (wandb sync later)")
    for way in dict.fromkeys((mode, "offline")):
        try:
            return _init(stage, folder, group, settings, project, way)
        except Exception as error:
            kept = "kept offline (wandb sync later)" if way != "offline" else "not told to W&B"
            say(f"  W&B: {type(error).__name__}: {one_line(error)}: the run is {kept}")
    return None


def _no_answer() -> str:
    """Why W&B's host cannot be asked; empty when it can."""
    import requests

    try:
        url = str(_wandb().setup().settings.base_url)
    except Exception as error:
        return one_line(error)
    try:
        requests.get(url, timeout=ANSWER_S, auth=lambda request: request)
    except (requests.RequestException, ValueError) as error:
        return f"no answer of {url} ({type(error).__name__})"
    return ""


def _init(stage: str, folder: Path, group: str, settings: dict[str, Any], project: str, mode: str) -> Any:
    wandb = _wandb()
    folder.mkdir(parents=True, exist_ok=True)
    quiet = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True, save_code=False,
        init_timeout=INIT_S,
    )  # fmt: skip
    run = wandb.init(
        # An id of its own: with WANDB_RUN_ID set, all stages would be one run. Resumed by nobody, see the module's docstring.
        project=project, group=group, job_type=stage, name=f"{group}-{stage}", dir=str(folder), id=secrets.token_hex(4), resume="never",
        config=settings, mode=mode, settings=quiet,  # type: ignore[arg-type]
    )  # fmt: skip
    run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
    return run
