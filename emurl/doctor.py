"""What is missing before a long run, and how to mend it: each check is quick, alone, and says what to do."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from emurl.core.artifact import DEFAULT_PIPELINE
from emurl.core.config import Config
from emurl.core.errors import EmurlError, InputError
from emurl.core.ffmpeg import ffmpeg_exe
from emurl.core.files import free_at
from emurl.core.proxies import without_user

if TYPE_CHECKING:
    from emurl.games.base import Game

Verdict = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Check:
    """One thing looked at: its verdict, what was seen, and how to mend it."""

    name: str
    verdict: Verdict
    seen: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        """The check as data."""
        return {"check": self.name, "verdict": self.verdict, "seen": self.seen, "mend": self.mend}


def examine(config: Config) -> list[Check]:
    """Every check on `config`, in the order a run would meet them; of another pipeline than speedrun, those that mean something there."""
    from emurl.games.settings import EmulatorSettings

    speedrun = config.pipeline == DEFAULT_PIPELINE
    plays = isinstance(getattr(config, "emulator", None), EmulatorSettings)
    board = speedrun and config.runs.source == "speedrun.com"
    meant = {
        _rom: plays, _leaderboard: board, _source: speedrun and not board, _space: speedrun, _sites: speedrun,
    }  # fmt: skip
    checks = []
    for look in (_python, _ffmpeg, _rom, _proxy, _leaderboard, _source, _sites, _store, _space, _prefect, _device, _tracking):
        if not meant.get(look, True):
            continue
        try:
            checks.append(look(config))
        except EmurlError as error:
            checks.append(Check(look.__name__.strip("_"), "missing", str(error), "see the line itself"))
    return checks + (_models(config) if speedrun else [])


def as_text(checks: list[Check]) -> str:
    """The checks as lines, each with its mend below."""
    signs = {"ok": "✓", "warning": "!", "missing": "✗"}
    lines = []
    for check in checks:
        lines.append(f"{signs[check.verdict]} {check.name:<12} {check.seen}")
        if check.mend:
            lines.append(f"  {'':<12} → {check.mend}")
    return "\n".join(lines)


def _python(config: Config) -> Check:
    import importlib.metadata
    import platform

    wanted = ("torch", "pyboy", "yt-dlp", "opencv-python-headless", "prefect", "wandb", "gymnasium")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in wanted)
    seen = f"{platform.python_version()}; {versions}"
    if sys.platform == "win32":
        return Check("python", "warning", f"{seen}; Windows, where nothing of this has been tried", "use WSL: it is Linux")
    return Check("python", "ok", seen)


def _ffmpeg(config: Config) -> Check:
    import imageio_ffmpeg

    path = ffmpeg_exe()
    return Check("ffmpeg", "ok", f"{imageio_ffmpeg.get_ffmpeg_version()} ({path.rsplit('/', 1)[-1]})")


def _rom(config: Config) -> Check:
    from emurl.envs.gameboy.console import GameBoy, has_clock, is_color, read_rom, rom_title
    from emurl.games import game_of_title
    from emurl.games.settings import rom_path

    path = rom_path(config.emulator)
    data = read_rom(path)
    game = game_of_title(rom_title(data))
    doubts = [*header_faults(data), *_other_rom(game, data)]
    if not doubts:
        with GameBoy(path) as console:
            console.tick(60)
    if is_color(data) and config.screen.by_palette:
        return Check(
            "rom", "warning", f"{path.name}: a color game, and screen.reading is palette: a video's shades will not be the emulator's",
            "set screen.channels: 3 for color, or screen.reading: luminance for four shades",
        )  # fmt: skip
    clock = "; its clock stands still, so it is always the same time of day" if has_clock(data) else ""
    if game is None or game.reader is None:
        return Check(
            "rom", "warning", f"{path.name}: {'; '.join(doubts) or 'runs'}{clock}; emurl cannot read its memory",
            "evaluation will report no milestones",
        )  # fmt: skip
    milestones = ", ".join(game.reader().milestones)
    if doubts:
        return Check(
            "rom", "warning", f"{path.name}: {'; '.join(doubts)}{clock}",
            f"milestones ({milestones}) may be wrong; bring the ROM that they were written for",
        )  # fmt: skip
    return Check("rom", "ok", f"{path.name} runs{clock}; milestones: {milestones}")


def header_faults(data: bytes) -> list[str]:
    """What a ROM's header says of its size (0x0148) and its checksum (0x014E, of all other bytes) and what is not so.

    The console itself looks at neither. A checksum of zero was never filled in, as in many a homemade ROM.
    """
    faults = []
    said = 0x8000 << data[0x148] if data[0x148] <= 8 else None
    if said != len(data):
        told = f"{said} bytes" if said else f"an unknown size ({data[0x148]:#04x})"
        faults.append(f"its header says {told}, the file has {len(data)}")
    checksum = int.from_bytes(data[0x14E:0x150], "big")
    found = (sum(data) - data[0x14E] - data[0x14F]) & 0xFFFF
    if checksum not in (0, found):
        faults.append(f"its checksum is {checksum:#06x}, its bytes give {found:#06x}")
    return faults


def _other_rom(game: Game | None, data: bytes) -> list[str]:
    """What to say of a ROM that has a known game's title and is another one."""
    if game is None or not game.md5:
        return []
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return [] if md5 in game.md5 else [f"its MD5 is {md5}, {game.name} is known as {', '.join(game.md5)}"]


def _leaderboard(config: Config) -> Check:
    base = config.runs.api_base
    shown = without_user(base)
    if config.broadcast is not None:
        from emurl.games.settings import broadcasting

        cache = Path(config.broadcast.cache).absolute()
        there = next(folder for folder in (cache, *cache.parents) if folder.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            return Check("leaderboard", "missing", f"broadcast.cache: {cache}: cannot be written", "name a folder that can")
        return Check(
            "leaderboard", "ok", f"{shown}, of {broadcasting(config.broadcast).name}, served by emurl itself while it is read"
        )
    from emurl.footage.leaderboard.http import Session
    from emurl.footage.leaderboard.speedrun_com import Leaderboard, choose

    # As the stage reads it: by name, abbreviation or id.
    game = Leaderboard(base, Session(10.0, tries=2, pause_s=0.5)).game(config.runs.game)
    chosen, _ = choose(game, config.runs.categories)
    return Check("leaderboard", "ok", f"{shown} knows {game.name} ({game.id}), {', '.join(one.name for one in chosen)}")


def _source(config: Config) -> Check:
    """Where the videos are that no leaderboard lists; of a site's listing the first is looked for."""
    from dataclasses import replace

    from emurl.footage.leaderboard.pages import Shelf
    from emurl.footage.sources import addresses, folder
    from emurl.footage.sources.gather import gather
    from emurl.footage.sources.listing import Listings
    from emurl.pipelines.speedrun.runs import wanted_of

    runs, wanted = config.runs, wanted_of(config.runs)
    if runs.source == "folder":
        return Check("source", "ok", f"{runs.path}: {len(folder.videos_in(Path(runs.path)))} videos, used where they are")
    if runs.source == "urls":
        return Check("source", "ok", f"{runs.path}: {len(addresses.read_addresses(Path(runs.path)))} addresses")
    listings = Listings(cookies=runs.cookies, pause_s=runs.pause_s, timeout_s=10.0, retries=1)
    found = gather(replace(wanted, listed=LOOKED_AT, bounds=replace(wanted.bounds, runs=1)), listings, Shelf(None))
    if not found.rows:
        told = f"of the first {found.runs} videos none can be had" if found.runs else "nothing is listed"
        return Check("source", "warning", f"{found.game}: {told}", "see runs.query, runs.shortest_s and runs.longest_s")
    return Check("source", "ok", f"{found.game}: {found.rows[0].url} and maybe more")


def _proxy(config: Config) -> Check:
    from emurl.core.proxies import require_proxy, variables

    named = variables()
    for name, value in named.items():
        require_proxy(name, value, "PySocks")
    told = ", ".join(f"{name} {without_user(value)}" for name, value in named.items())
    return Check("proxy", "ok", f"{told}, but for this machine" if told else "none")


def _store(config: Config) -> Check:
    from emurl.core.engine import open_store

    store = open_store(config)
    problems = store.verify()
    if problems:
        return Check(
            "store", "warning", f"{config.store}: {problems[0]} ({len(problems)} in all)", "emurl artifacts verify lists them"
        )
    return Check("store", "ok", f"{config.store}: {len(store.all())} artifacts, all sound")


LOOKED_AT = 20  # videos of a listing, for one that can be had
OLD_DAYS = 90  # after which a site has most likely changed since


def _sites(config: Config) -> Check:
    """What yt-dlp needs for the sites that a real leaderboard links to; the demo's videos and a folder's need nothing."""
    import datetime
    import importlib.metadata

    from emurl.footage.download import youtube

    asked = config.broadcast is None and config.runs.source != "folder"
    version = importlib.metadata.version("yt-dlp")
    with contextlib.suppress(ValueError):
        year, month, day = (int(part) for part in version.split(".")[:3])
        age = (datetime.date.today() - datetime.date(year, month, day)).days
        if age > OLD_DAYS and asked:
            return Check("sites", "warning", f"yt-dlp {version} is {age} days old, and sites change", youtube.INSTALL)
    lacking = youtube.missing()
    if lacking and asked and config.runs.source not in ("twitch", "archive"):
        return Check(
            "sites", "warning", f"yt-dlp lacks {' and '.join(lacking)}: YouTube will offer few formats or none", youtube.INSTALL
        )
    return Check(
        "sites", "ok", f"yt-dlp {version}" + (f"; {' and '.join(lacking)} for YouTube missing, unused" if lacking else "")
    )


# 720p footage of 4 Mbit/s; packed frames are 5,760 bytes each.
VIDEO_BYTES_A_MINUTE = 30e6
MINUTES_A_RUN = {True: 1.5, False: 120.0}  # of a demo leaderboard, of a real one


def _space(config: Config) -> Check:
    from emurl.core.store import Store

    minutes = MINUTES_A_RUN[config.broadcast is not None] * min(config.runs.max_runs, config.videos.max_videos)
    fetched = 0.0 if config.runs.source == "folder" else VIDEO_BYTES_A_MINUTE  # a folder's are second names of what is there
    need = minutes * (fetched + config.frames.fps * 60 * 5760) + 1e9
    free = free_at(Store(config.store).root)
    seen = f"{free / 1e9:.0f} GB free; about {need / 1e9:.0f} GB will be wanted"
    return Check(
        "space", "ok" if free > need else "missing", seen, "" if free > need else "another store, or fewer runs.max_runs"
    )


def _prefect(config: Config) -> Check:
    """Asked of the environment alone: a profile of Prefect's may name a server, too."""
    import requests

    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return Check("prefect", "ok", "no server is named: a flow starts its own")
    shown = without_user(url)
    try:
        requests.get(f"{url.rstrip('/')}/health", timeout=5.0)
    except (requests.RequestException, ValueError) as error:
        return Check(
            "prefect", "warning", f"PREFECT_API_URL: {shown}: no answer ({type(error).__name__})",
            "prefect server start, or unset PREFECT_API_URL: a flow starts its own; emurl run needs none",
        )  # fmt: skip
    return Check("prefect", "ok", f"a server answers at {shown}")


def _device(config: Config) -> Check:
    import torch

    from emurl.training.supervised import resolve_device

    device = resolve_device(config.device)
    if device.type == "cpu":
        big = config.pipeline == DEFAULT_PIPELINE and config.tokenizer.dim >= 192
        seen = f"cpu, {torch.get_num_threads()} threads"
        return Check("device", "warning" if big else "ok", seen, "networks of this size want a GPU" if big else "")
    return Check("device", "ok", f"{device}: {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device))


def _models(config: Config) -> list[Check]:
    """What the newest models in the store measured of themselves; none where the store has none or cannot be read."""
    from emurl.core.store import Store
    from emurl.pipelines.speedrun.health import of_store

    try:
        store = Store(config.store)
    except EmurlError:
        return []  # the check of the store has said so
    try:
        health = of_store(store)
    except InputError as error:
        return [Check("models", "warning", str(error), "emurl artifacts verify, then make that stage again")]
    except EmurlError:
        return []  # and so here
    return [
        Check(stage, "warning" if one.unmet else "ok", one.seen, "; ".join(dict.fromkeys(norm.mend for norm in one.unmet)))
        for stage, one in health.items()
    ]


def _tracking(config: Config) -> Check:
    from emurl.core.tracking import wandb_mode

    if not config.tracking.wandb:
        return Check("tracking", "ok", "W&B is switched off; TensorBoard writes to the store")
    mode, why = wandb_mode()
    if mode == "disabled":
        return Check("tracking", "ok", f"{why}: no runs; TensorBoard writes to the store")
    if mode == "offline":
        return Check("tracking", "ok", f"{why}: runs are kept offline", "wandb login, or wandb sync later")
    return Check("tracking", "ok", f"{why}: runs go {mode}; offline where its host does not answer")
