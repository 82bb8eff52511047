"""Where numbers and pictures go: the console, TensorBoard and Weights & Biases. The one module that imports W&B.

W&B runs offline unless it finds a key (`WANDB_API_KEY` or a login of any host) and its host answers, one group a pipeline run, one job
type a stage. A resumed offline run would erase its first part when synced, so every try is a new run in the same group. What a stage
reads and makes is told as artifacts by reference, with the store's digests, so that W&B draws the lineage; also offline, where `wandb
sync` tells it later. Whatever goes wrong with a tracker is a line, and costs the stage seconds at most.
"""

from __future__ import annotations

import contextlib
import netrc
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from emurl.core import lineage, threads
from emurl.core.artifact import Artifact
from emurl.core.errors import InputError, Pruned
from emurl.core.progress import Progress, Pulse, say
from emurl.core.refusals import one_line


@dataclass(frozen=True)
class Label:
    """What the run of a stage is besides one of its pipeline run: a trial of a sweep.

    Attributes:
        name: stands behind the stage's in the names of its runs. tags: of the run in W&B. facts: more of its configuration, JSON-ready.
        listen: is given the scalars and the step of each `Tracker.log`, and may raise `Pruned`.
    """

    name: str = ""
    tags: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    listen: Callable[[dict[str, float], int], None] | None = None


PLAIN = Label()  # nothing besides


class Tracker:
    """What a stage reports to. Without sinks it still shows progress; `silent()` shows nothing."""

    def __init__(self, stage: str = "", quiet: bool = False, media_s: float = 0.0) -> None:
        self.stage = stage
        self.quiet = quiet
        self.media_s = media_s
        self.listen: Callable[[dict[str, float], int], None] | None = None
        self._board: Any = None
        self._copy: Any = None  # a second board, which is told scalars alone
        self._wandb: Any = None
        self._shown: dict[str, float] = {}  # when a picture of a name was last told
        self._held: dict[str, tuple[np.ndarray, int]] = {}  # the newest of those that came too soon
        self._doing = ("at work", time.monotonic())
        self._bars: list[Progress] = []

    @classmethod
    def silent(cls) -> Tracker:
        """A tracker for tests: takes everything, shows nothing."""
        return cls(quiet=True)

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, stage: str, folder: Path, group: str, config: dict[str, Any], *, tensorboard: bool, wandb: bool, project: str,
        media_s: float = 0.0, tags: Sequence[str] = (), number: int = 1, label: Label = PLAIN,
    ) -> Iterator[Tracker]:  # fmt: skip
        """A tracker with its sinks open.

        Args:
            folder: where they write. group: names the pipeline run. config: by which runs are compared, JSON-ready.
            media_s: least seconds between two pictures of one name. tags: of the run. number: which try of the stage it is.
            label: what the run is besides.
        """
        tracker = cls(stage, media_s=media_s)
        tracker.listen = label.listen
        called = f"{stage}-{label.name}" if label.name else stage
        exit_code = 1
        try:
            if tensorboard:
                from torch.utils.tensorboard import SummaryWriter

                tracker._board = SummaryWriter(str(folder / "tensorboard" / group / called))
            if wandb:
                name = f"{group}-{called}" + (f"-try{number}" if number > 1 else "")
                about = {
                    "project": project,
                    "group": group,
                    "job_type": stage,
                    "name": name,
                    "config": config,
                    "tags": [*tags, *label.tags],
                }
                tracker._wandb = _start_wandb(stage, folder, about)
            with tracker.pulse():
                yield tracker
            exit_code = 0
        except Pruned:
            exit_code = 0  # it did not fail
            tracker._tell(lambda run: run.summary.update({"pruned": True}))
            raise
        finally:
            for held, (color, step) in tracker._held.items():
                tracker._show(held, color, step)
            if tracker._board is not None:
                tracker._board.close()
            tracker._tell(lambda run: _within(FINISH_S + 5.0, lambda: run.finish(exit_code=exit_code)))

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

    def log(self, values: dict[str, float], step: int, tags: bool = False) -> None:
        """Scalars at a step; names are joined to the stage's: `reward/loss`. `tags`: for TensorBoard they are whole tags already."""
        for board in (self._board, self._copy):
            for name, value in values.items() if board is not None else ():
                board.add_scalar(name if tags else f"{self.stage}/{name}", float(value), step)
        if self._wandb is not None:
            numbers = {f"{self.stage}/{name}": float(value) for name, value in values.items()}
            self._tell(lambda run: run.log(numbers | {self._axis: step}))
        if self.listen is not None:
            self.listen(values, step)

    @contextlib.contextmanager
    def copied_to(self, folder: Path | None) -> Iterator[None]:
        """Write scalars to TensorBoard files in `folder`, too, while inside; None: no more than always."""
        if folder is None:
            yield
            return
        from torch.utils.tensorboard import SummaryWriter

        try:
            self._copy = SummaryWriter(str(folder))
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be written to ({error.strerror or error}), expected a folder for TensorBoard"
            ) from None
        try:
            yield
        finally:
            self._copy.close()
            self._copy = None

    def image(self, name: str, picture: np.ndarray, step: int) -> None:
        """A picture, uint8 (H, W) or (H, W, 3). What comes too soon after another of its name waits, and gives way to a newer one."""
        color = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)
        now = time.monotonic()
        if name in self._shown and now - self._shown[name] < self.media_s:
            self._held[name] = color, step
            return
        self._shown[name] = now
        self._held.pop(name, None)
        self._show(name, color, step)

    def _show(self, name: str, color: np.ndarray, step: int) -> None:
        if self._board is not None:
            self._board.add_image(f"{self.stage}/{name}", color, step, dataformats="HWC")
        if self._wandb is not None:
            wandb = _wandb()
            self._tell(lambda run: run.log({f"{self.stage}/{name}": wandb.Image(color), self._axis: step}))

    def file(self, name: str, path: Path) -> None:
        """A finished file worth looking at: a PNG, a GIF, an MP4 or an HTML page."""
        if self._wandb is None:
            return
        wandb = _wandb()
        if path.suffix in (".gif", ".mp4"):
            self._tell(lambda run: run.log({f"{self.stage}/{name}": wandb.Video(str(path))}))
        elif path.suffix == ".png":
            self._tell(lambda run: run.log({f"{self.stage}/{name}": wandb.Image(str(path))}))
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

    def used(self, artifact: Artifact, where: str) -> None:
        """The stage reads `artifact`, whose files lie below the URI `where`."""
        self._lineage(artifact, where, used=True)

    def made(self, artifact: Artifact, where: str) -> None:
        """The stage has published `artifact`, whose files lie below the URI `where`."""
        self._lineage(artifact, where, used=False)
        self._tell(lambda run: run.summary.update({"ref": artifact.ref, "digest": artifact.digest}))

    def _lineage(self, artifact: Artifact, where: str, used: bool) -> None:
        if self._wandb is None:
            return
        try:
            _within(ANSWER_S, lambda: _tell_artifact(self._wandb, lineage.told(artifact, where), used))
        except Exception as error:  # numbers are still taken
            say(f"  W&B: {type(error).__name__}: {one_line(error)}: is not told of {artifact.ref}")

    @contextlib.contextmanager
    def progress(self, total: float, description: str, unit: str = "it") -> Iterator[Progress]:
        """Show how far `total` units of work are, with an ETA, on stderr."""
        bar = Progress(total, description, unit, self.quiet)
        self._bars.append(bar)
        try:
            yield bar
        finally:
            self._bars.remove(bar)
            bar.close()

    def doing(self, what: str) -> None:
        """Say what the work is at from now on (`measures itself on held-out videos`), for whoever waits long for its next line."""
        self._doing = what, time.monotonic()

    def pulse(self) -> contextlib.AbstractContextManager[object]:
        """While inside, a long silence is broken by what the work is at."""
        return contextlib.nullcontext() if self.quiet else Pulse(self.stage, self._at)

    def _at(self) -> tuple[str, float] | None:
        if not self._bars:
            return self._doing
        bar = self._bars[-1]
        return None if bar.is_seen else (f"{bar.description}, {bar.place}", bar.spoke)

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
FLUSH_S = 1.0  # that a run which is killed loses at most: W&B keeps what it is told in memory, and its first half would be empty
FINISH_S = 20.0  # for it to take the rest of a run, which is kept offline, too; W&B itself would wait for as long as it takes


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


def _start_wandb(stage: str, folder: Path, about: dict[str, Any]) -> Any:
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
            return _init(stage, folder, about, way)
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


def _init(stage: str, folder: Path, about: dict[str, Any], mode: str) -> Any:
    wandb = _wandb()
    folder.mkdir(parents=True, exist_ok=True)
    asked = {
        "silent": True, "console": "off", "x_disable_stats": True, "x_disable_meta": True, "disable_git": True, "save_code": False,
        "init_timeout": INIT_S, "finish_timeout": FINISH_S, "finish_timeout_raises": True,
        "x_transaction_log_flush_interval": FLUSH_S, "transaction_log_flush_interval": FLUSH_S,
    }  # fmt: skip
    quiet = wandb.Settings(**{name: value for name, value in asked.items() if name in wandb.Settings.model_fields})
    run = wandb.init(
        # An id of its own: with WANDB_RUN_ID set, all stages would be one run. Resumed by nobody, see the module's docstring.
        **about, dir=str(folder), id=secrets.token_hex(4), resume="never", mode=mode, settings=quiet,  # type: ignore[arg-type]
    )  # fmt: skip
    run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
    return run


def _tell_artifact(run: Any, told: lineage.Told, used: bool) -> None:
    """Log an artifact as what the run makes, or as what it uses.

    A run that uses one tells it whole: W&B knows by its digest that it is what another run has made. `use_artifact` would do so as well, but
    not offline, and online it waits for an answer.
    """
    wandb = _wandb()
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry
    from wandb.sdk.lib.paths import LogicalPath

    artifact = wandb.Artifact(told.name, told.kind, description=told.description, metadata=told.metadata)
    for one in told.references:
        artifact.manifest.add_entry(
            ArtifactManifestEntry(path=LogicalPath(one.name), digest=one.digest, ref=one.uri, size=one.size)
        )
    if used:
        run._log_artifact(artifact, aliases=[told.alias], is_user_created=True, use_after_commit=True)
    else:
        run.log_artifact(artifact, aliases=["latest", told.alias])


def _within(seconds: float, what: Callable[[], Any]) -> None:
    """Do something that may ask a network that is gone; after `seconds` it is left behind.

    Raises:
        TimeoutError: it was.
    """
    if not threads.within(seconds, what, "wandb"):
        raise TimeoutError(f"no answer within {seconds:g} s")
