"""Watch an agent: screen | what it sees | progress | how likely each button was, to a window, a file or a page."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from emurl.core.artifact import DEFAULT_PIPELINE
from emurl.core.config import Config
from emurl.core.errors import InputError
from emurl.core.pipeline import Pipeline, find_pipeline
from emurl.core.refusals import require_file
from emurl.core.registry import discover
from emurl.core.store import Artifact, Store
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import FRAMES_PER_SECOND
from emurl.pipelines.shared.playing import consoles
from emurl.report.film import write_gif, write_mp4, write_page
from emurl.report.panel import Panel
from emurl.training.evaluate import Record, play, replay
from emurl.training.scores import Rules
from emurl.training.supervised import resolve_device

MOST_EPISODES = 1000


def watch(
    config: Config, store: Store, ref: str, *, steps: int | None, seed: int, video: str | None, sticky: float = 0.0, episodes: int = 1
) -> dict[str, Any]:  # fmt: skip
    """Play episodes of `ref` (an artifact of a stage that plays) from power-on, by the rules of `evaluation`, and show the best.

    Args:
        steps: actions an episode takes at most; None: as many as `evaluation` gives it (`evaluation.max_steps`).
        sticky: chance that an action is the one before again. episodes: side by side, each with dice of its own.

    Returns:
        What came of it: `{ref, wait, steps, limit, milestones, success, progress, video}`; of several `{ref, success_rate, steps_mean,
        milestone_mean, episodes, video}`, where `episodes` are one such document each.

    Raises:
        InputError: no such artifact, a stage that does not play, a file of another kind, or no display for a window.
    """
    rules = getattr(config, "evaluation", Rules())
    if steps is None:
        steps = rules.max_steps
    if steps < 1:
        raise InputError(f"--steps {steps}: expected a number of actions ≥ 1")
    if not 0 <= sticky <= 1:
        raise InputError(f"--sticky {sticky}: expected a chance from 0 to 1")
    if not 1 <= episodes <= MOST_EPISODES:
        raise InputError(f"--episodes {episodes}: expected 1 to {MOST_EPISODES}")
    require_file("--video", video, ".gif", ".mp4", ".html")
    artifact = store.get(ref)
    players = _players_of(artifact, ref)
    window = _open_window() if video is None and episodes == 1 else None

    stand = players.stand(config, artifact, store, resolve_device(config.device))
    envs = consoles(stand.emulator, stand.spec, episodes, facts=True)
    tracker = Tracker("play")
    try:
        with tracker.progress(steps, "play", "actions") as bar:
            records = play(
                envs, stand.perception, stand.player, max_steps=steps, seed=seed, wait_ticks=rules.wait_ticks, sticky=sticky,
                judge=stand.judge, tick=lambda: bar.update(1),
            )  # fmt: skip
        best = max(records, key=lambda one: (bool(one.success), len(one.reached), one.gained))
        if window is not None or video is not None:
            panel = Panel.of(stand.spec, best)
            moments = list(replay(envs, stand.perception, stand.player, best))
            seen = stand.seen(np.stack([moment.frame for moment in moments]))
            pictures = (panel.draw(moment, one, at) for at, (moment, one) in enumerate(zip(moments, seen, strict=True)))
            _present(pictures, window, video, FRAMES_PER_SECOND / stand.emulator.frame_skip, artifact.ref)
    finally:
        envs.close()
    told = [_told(record, steps) for record in records]
    if episodes == 1:
        return {"ref": artifact.ref, **told[0], "video": video}
    read = best.success is not None
    return {
        "ref": artifact.ref,
        "success_rate": float(np.mean([bool(one.success) for one in records])) if read else None,
        "steps_mean": float(np.mean([one.steps for one in records])),
        "milestone_mean": float(np.mean([len(one.reached) for one in records])) if read else None,
        "episodes": told,
        "video": video,
    }


def as_text(facts: dict[str, Any]) -> str:
    """What `watch` returned, for people."""
    lines = [f"{name}: {value}" for name, value in facts.items() if name != "episodes"]
    for number, one in enumerate(facts.get("episodes", ())):
        far = list(one["milestones"])[-1] if one["milestones"] else "nothing"
        lines.append(f"episode {number}: {one['steps']} actions, {len(one['milestones'])} milestones, the last {far}")
    played = facts.get("episodes", [facts])
    cut = sum(one["steps"] == one["limit"] and not one["success"] for one in played)
    if cut:  # else a policy that is only slow looks like one that fails
        which = "it" if len(played) == 1 else f"{cut} of {len(played)} episodes"
        lines.append(f"{which} ended at the limit of {played[0]['limit']} actions, not at the goal; --steps N allows more")
    return "\n".join(lines)


def ref_of(ref: str | None, pipeline: str) -> str:
    """What `ref` means where settings of `pipeline` are at hand: a stage of it, or else of the one pipeline that has such a player.

    None: the pipeline's own player.
    """
    tables = discover("pipelines")
    if ref is None:
        ref = next(iter(getattr(_players(tables[pipeline]), "PLAYERS", ())), "policy")
    stage = ref.partition("@")[0]
    having = [name for name, table in tables.items() if stage in table.by_name]
    if pipeline not in having and len(having) == 1:
        pipeline = having[0]
    return ref if "/" in ref or pipeline == DEFAULT_PIPELINE else f"{pipeline}/{ref}"


def _players(table: Pipeline) -> Any:
    """The module of a pipeline that says who plays in it: `PLAYERS`, its stages that do, and `stand`; without one, nobody."""
    module = f"{table.module}.players"
    return importlib.import_module(module) if importlib.util.find_spec(module) is not None else None


def _told(record: Record, limit: int) -> dict[str, Any]:
    return {
        "wait": record.wait,
        "steps": record.steps,
        "limit": limit,
        "milestones": record.reached,
        "success": record.success,
        "progress": round(record.progress[-1], 3) if record.progress else None,
    }


def _players_of(artifact: Artifact, ref: str) -> Any:
    """The module that says who plays in the artifact's pipeline.

    Raises:
        InputError: the artifact's stage does not.
    """
    players = _players(find_pipeline(artifact.pipeline))
    stages = getattr(players, "PLAYERS", ())
    if artifact.stage not in stages:
        told = f"one of {', '.join(stages)}" if stages else "one of a pipeline whose stages do"
        raise InputError(f"{ref}: stage {artifact.stage} of {artifact.pipeline} does not play, expected {told}")
    return players


def _present(pictures: Iterable[np.ndarray], window: Any, video: str | None, rate: float, title: str) -> None:
    """Show pictures at `rate` a second: in the window, or else in the file."""
    if window is not None:
        _show(window, pictures, rate)
    elif str(video).endswith(".gif"):
        write_gif(Path(str(video)), pictures, round(1000 / rate))
    elif str(video).endswith(".html"):
        write_page(Path(str(video)), pictures, round(1000 / rate), title)
    else:
        write_mp4(Path(str(video)), pictures, rate)


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
