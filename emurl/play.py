"""Watch an agent: screen | what its tokens say | progress | how likely each button was, to a window or a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from emurl.core.artifact import DEFAULT_PIPELINE
from emurl.core.config import Config
from emurl.core.errors import InputError
from emurl.core.refusals import require_file
from emurl.core.store import Artifact, Store
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import FRAMES_PER_SECOND
from emurl.pipelines.shared.playing import consoles, emulator_of
from emurl.pipelines.speedrun.course import judge_in
from emurl.pipelines.speedrun.players import load_perception, player_of
from emurl.report.film import write_gif, write_mp4
from emurl.report.panel import Panel
from emurl.screen import to_gray
from emurl.training.evaluate import play, replay
from emurl.training.supervised import resolve_device

PLAYERS = ("policy", "behavior")


def watch(
    config: Config, store: Store, ref: str, *, steps: int, seed: int, video: str | None, sticky: float = 0.0
) -> dict[str, Any]:
    """Play one episode of `ref` (a `policy` or `behavior` artifact) from power-on, by the rules of `evaluation`, and show it.

    Args:
        sticky: chance that an action is the one before again.

    Returns:
        What came of it: `{ref, wait, steps, milestones, success, progress, video}`.

    Raises:
        InputError: no such artifact, a stage that does not play, a file of another kind, or no display for a window.
    """
    if steps < 1:
        raise InputError(f"--steps {steps}: expected a number of actions ≥ 1")
    if not 0 <= sticky <= 1:
        raise InputError(f"--sticky {sticky}: expected a chance from 0 to 1")
    require_file("--video", video, ".gif", ".mp4")
    artifact = store.get(ref)
    if artifact.pipeline != DEFAULT_PIPELINE or artifact.stage not in PLAYERS:
        where = f" of {artifact.pipeline}" if artifact.pipeline != DEFAULT_PIPELINE else ""
        raise InputError(f"{ref}: stage {artifact.stage}{where} does not play, expected one of {', '.join(PLAYERS)}")
    window = _open_window() if video is None else None

    device = resolve_device(config.device)
    settings = emulator_of(artifact, config.policy.emulator)
    models = _models_of(artifact, store)
    perception, spec = load_perception(models, device)
    player = player_of(artifact.stage, artifact, perception, device)
    envs = consoles(settings, spec, 1, facts=True)
    tracker = Tracker("play")
    try:
        with tracker.progress(steps, "play", "actions") as bar:
            (record,) = play(
                envs, perception, player, max_steps=steps, seed=seed, wait_ticks=config.evaluation.wait_ticks, sticky=sticky,
                judge=judge_in(models, device), tick=lambda: bar.update(1),
            )  # fmt: skip
        panel = Panel.of(spec, record)
        moments = list(replay(envs, perception, player, record))
    finally:
        envs.close()
    reconstructions = to_gray(perception.reconstruct(np.stack([moment.frame for moment in moments])), spec)
    pictures = (panel.draw(moment, seen, at) for at, (moment, seen) in enumerate(zip(moments, reconstructions, strict=True)))
    rate = FRAMES_PER_SECOND / settings.frame_skip
    if window is not None:
        _show(window, pictures, rate)
    elif str(video).endswith(".gif"):
        write_gif(Path(str(video)), pictures, round(1000 / rate))
    else:
        write_mp4(Path(str(video)), pictures, rate)
    return {
        "ref": artifact.ref,
        "wait": record.wait,
        "steps": record.steps,
        "milestones": record.reached,
        "success": record.success,
        "progress": round(record.progress[-1], 3),
        "video": video,
    }


def _models_of(artifact: Artifact, store: Store) -> dict[str, Artifact]:
    """The tokenizer the player was made with, and the reward model that steered it (the newest, if none did)."""
    return {"tokenizer": store.get(artifact.parent("tokenizer")), "reward": store.get(artifact.parents.get("reward", "reward"))}


def _open_window() -> Any:
    try:
        import tkinter

        window = tkinter.Tk()
    except Exception as error:  # tkinter missing, or its TclError: no display
        raise InputError(f"play: no window can be opened ({error}), expected a display or --video FILE") from None
    window.title("emurl")
    return window


def _show(window: Any, pictures: Iterable[np.ndarray], rate: float) -> None:
    """Pictures at `rate` a second until they end or the window is closed."""
    import tkinter

    from PIL import Image, ImageTk

    label = tkinter.Label(window)
    label.pack()
    waiting = iter(pictures)

    def step() -> None:
        picture = next(waiting, None)
        if picture is not None:
            shown = ImageTk.PhotoImage(Image.fromarray(picture))
            label.configure(image=shown)
            label.image = shown  # type: ignore[attr-defined]  # Tk keeps no reference of its own
            window.after(round(1000 / rate), step)

    step()
    window.mainloop()
