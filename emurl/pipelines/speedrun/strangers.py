"""Measuring the OOD detector: what it says of held-out footage, of pictures of no game, and of play that leaves the footage's route.

Off the route is where chance goes: it takes over from the bot somewhere on the way and walks into corners, menus and battles that no
runner shows. A frame of its play counts where no frame of the footage, trained on or held out, is the same within a few pixels. Nothing of
this is calibrated or trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emurl.core.settings import Natural, Positive, Settings
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS, GameBoy
from emurl.footage.catalog import evenly_spread
from emurl.footage.colors import differing
from emurl.footage.dataset import CHUNK, FrameReader
from emurl.footage.transitions import transitions
from emurl.games.base import Game
from emurl.games.settings import EmulatorSettings, rom_path
from emurl.models.dynamics import Dynamics
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun.ranks import separation
from emurl.rewards.calibration import OODSettings, Signs, scores_of_others
from emurl.rewards.novelty import KnownPatches
from emurl.rewards.ood import OODDetector, signs
from emurl.screen import CELL, GRID, ScreenSpec

METRICS: dict[str, str] = {
    "auroc_other": "↑ how well `compute_ood_scores` tells pictures of no game from held-out footage: area under the ROC curve; half noise,"
    " half the footage's own 8×8 tiles in disorder",
    "auroc_offroute": "↑ the same for play of chance that equals no frame of the footage; on a game that has a bot",
    "auroc_offroute_reconstruction": "`auroc_offroute` of the reconstruction error alone",
    "auroc_shuffled": "↑ how well `compute_temporal_ood_scores` tells successors drawn at random from those of held-out footage",
    "false_alarms": "↓ share of held-out footage whose combined score is called strange, by what is usual in the other held-out videos",
}

Pairs = tuple[np.ndarray, np.ndarray]
"""Frames and those one action later, each uint8 (N, 144, 160[, 3])."""


class OffRouteSettings(Settings):
    """Play off the footage's route; none where the game has no bot."""

    runs: Natural = 8  # of the bot; 0: `auroc_offroute` is not measured
    first_seed: Natural = 97_000  # of the bot's runs: seeds that the demo leaderboard does not show
    starts: Positive = 6  # moments of each run, drawn at random, from which chance goes on
    chance_steps: Positive = 40  # actions of chance from each
    same_pixels: Natural = (
        64  # pixels of 23,040, at most, in which a frame may differ from one of the footage and still be that frame
    )
    same_levels: Natural = 48  # of 255 by which a pixel of the footage may be off, where frames hold more than four shades


def heldout(reader: FrameReader, stride: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` evenly spread held-out pairs: their videos and first frames, each int64 (n,)."""
    video, index = transitions(reader, "val", stride)
    places = evenly_spread(count, len(video))
    return video[places], index[places]


def measure_detector(
    detector: OODDetector, own: Signs, videos: np.ndarray, pairs: Pairs, settings: OODSettings, seed: int
) -> dict[str, float]:
    """`METRICS` that need no emulator.

    Args:
        own: signs of held-out pairs, (N,) each, and their `videos` (N,). pairs: the frames of some of them, from which as many pictures of
            no game and wrong successors are made.
    """
    rng = np.random.default_rng([seed, 0x00D])
    frame, combined = scores_of_others(own, videos, settings)
    now, later = pairs
    mixed, changed = disorder(rng, later[1::2])
    other = np.concatenate([noise(rng, detector, later[::2]), mixed[changed]])
    temporal = detector.calibration.score("surprise", own["surprise"])
    wrong = detector.compute_temporal_ood_scores(now, later[rng.permutation(len(later))])
    return {
        "auroc_other": separation(frame, detector.compute_ood_scores(other)),
        "auroc_shuffled": separation(temporal, wrong),
        "false_alarms": float(detector.is_strange(combined).mean()),
    }


def noise(rng: np.random.Generator, detector: OODDetector, like: np.ndarray) -> np.ndarray:
    """Pictures of the shape of `like` (N, …) whose pixels are drawn one by one."""
    return rng.integers(0, detector.tokenizer.shades, like.shape).astype(np.uint8)


def disorder(rng: np.random.Generator, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames (N, 144, 160[, C]) with their 8×8 tiles in disorder: the game's own drawing, and no picture of it.

    Returns:
        The pictures, and which of them are none of the game's: bool (N,). A blank picture in disorder is the picture it was.
    """
    side, mixed = CELL // 2, np.empty_like(frames)
    for place, frame in enumerate(frames):
        rows, columns = frame.shape[0] // side, frame.shape[1] // side
        tiles = frame.reshape(rows, side, columns, side, -1).swapaxes(1, 2).reshape(rows * columns, side, side, -1)
        tiles = tiles[rng.permutation(len(tiles))].reshape(rows, columns, side, side, -1)
        mixed[place] = tiles.swapaxes(1, 2).reshape(frame.shape)
    return mixed, (mixed != frames).reshape(len(frames), -1).any(axis=1)


def measure_offroute(
    detector: OODDetector, own: Signs, videos: np.ndarray, played: Pairs, settings: OODSettings
) -> dict[str, float]:
    """`auroc_offroute`, with and without novelty, of what `play_offroute` gives against held-out signs (N,); nothing where that is empty."""
    if not len(played[1]):
        return {}
    frame, _ = scores_of_others(own, videos, settings)
    found = detector.signs(*played)
    return {
        "auroc_offroute": separation(frame, detector.calibration.frame_score(found)),
        "auroc_offroute_reconstruction": separation(own["reconstruction"], found["reconstruction"]),
    }


def play_offroute(
    game: Game,
    emulator: EmulatorSettings,
    reader: FrameReader,
    ticks: int,
    settings: OffRouteSettings,
    seed: int,
    tracker: Tracker,
) -> Pairs:
    """Pairs of chance's play, `ticks` apart, whose second frame is none of the footage's.

    Args:
        game: one with a bot. ticks: 1/59.7 s between the frames of a pair, as the dynamics model learned it.
    """
    assert game.bot is not None
    spec, rom = reader.spec, rom_path(emulator)
    press = min(emulator.press_ticks, ticks - 1)
    now: list[np.ndarray] = []
    later: list[np.ndarray] = []
    with tracker.progress(settings.runs, "play off the route", "runs") as bar:
        for number in range(settings.runs):
            rng = np.random.default_rng([seed, number, 0x0FF])
            states = _states(game, rom, spec, settings.first_seed + number, ticks)
            console = GameBoy(rom, spec)
            try:
                for place in rng.choice(len(states), min(settings.starts, len(states)), replace=False):
                    console.load(states[int(place)])
                    console.step(None, ticks, press)
                    for action in rng.integers(0, len(BUTTONS), settings.chance_steps):
                        now.append(console.frame().copy())
                        console.step(int(action), ticks, press)
                        later.append(console.frame().copy())
            finally:
                console.close()
            bar.update(1)
    tracker.doing("looking for frames of it in the footage")
    if not now:
        return np.zeros((0, *spec.shape), np.uint8), np.zeros((0, *spec.shape), np.uint8)
    first, second = np.stack(now), np.stack(later)
    strange = ~shown(second, reader, settings.same_pixels, settings.same_levels)
    return first[strange], second[strange]


_STATE_EVERY = 40  # actions of a run between the states that chance goes on from


def _states(game: Game, rom: Path, spec: ScreenSpec, seed: int, ticks: int) -> Sequence[bytes]:
    states: list[bytes] = []

    def look(console: GameBoy) -> None:
        if console.frames % (_STATE_EVERY * ticks) == 0:
            states.append(console.save())

    console = GameBoy(rom, spec)
    try:
        assert game.bot is not None
        game.bot(console, seed, look, render_every=0)
    finally:
        console.close()
    return states


def shown(frames: np.ndarray, reader: FrameReader, same_pixels: int, same_levels: int = 0) -> np.ndarray:
    """Whether any frame of any video is the same as each of `frames` (N, …) but for `same_pixels`: bool (N,).

    Of 256 shades a pixel is the same that is no more than `same_levels` off in any channel: so much is compression.
    """
    found = np.zeros(len(frames), bool)
    if not len(frames):
        return found
    levels = same_levels if reader.spec.shades == 256 else 0
    sums = _cell_sums(frames)
    # What the sums over a cell differ by says how many of its pixels do, at least: most frames need not be looked at one by one.
    free, each = levels * CELL * CELL, reader.spec.shades - 1 - levels
    for place, video in enumerate(reader.videos):
        for start in range(0, video.count, CHUNK):
            footage = reader.read(place, np.arange(start, min(start + CHUNK, video.count)))
            theirs = _cell_sums(footage)
            for one in np.flatnonzero(~found):
                least = np.maximum(np.abs(theirs - sums[one]).max(axis=2) - free, 0).sum(axis=1)
                near = np.flatnonzero(least <= same_pixels * each)
                if len(near):
                    shape = (-1, *frames.shape[1:3], reader.spec.channels)
                    differ = differing(footage[near].reshape(shape), frames[one].reshape(shape), levels)
                    found[one] = bool((differ.sum(axis=(1, 2)) <= same_pixels).any())
    return found


def _cell_sums(frames: np.ndarray) -> np.ndarray:
    """Sum of the values in each cell, channel by channel: int32 (N, 90, channels)."""
    n, height, width = frames.shape[:3]
    cut = frames.reshape(n, height // CELL, CELL, width // CELL, CELL, -1)
    return cut.sum(axis=(2, 4), dtype=np.int32).reshape(n, GRID[0] * GRID[1], -1)


def heldout_signs(
    tokenizer: Tokenizer,
    dynamics: Dynamics,
    known: KnownPatches,
    reader: FrameReader,
    video: np.ndarray,
    index: np.ndarray,
    stride: int,
) -> Signs:
    """Signs of the held-out pairs that begin with frames `index` (n,) of videos `video` (n,), tokens and all."""
    parts = []
    for start in range(0, len(index), CHUNK):
        at = slice(start, start + CHUNK)
        now, later = reader.gather(video[at], index[at]), reader.gather(video[at], index[at] + stride)
        grids = tokenizer.encode(now), tokenizer.encode(later)
        misread, surprise = signs(tokenizer, dynamics, *grids, later)
        parts.append({"reconstruction": misread, "surprise": surprise, "novelty": known.novelty(grids[1].cpu().numpy())})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def known_patches(tokenizer: Tokenizer, reader: FrameReader, settings: OODSettings) -> KnownPatches:
    """Arrangements of tokens in the training videos; the stage, which has the footage's tokens, need not encode it again."""
    video = np.repeat(reader.split("train"), [reader.videos[place].count for place in reader.split("train")])
    index = np.concatenate([np.zeros(0, np.int64), *(np.arange(reader.videos[place].count) for place in reader.split("train"))])
    chosen = evenly_spread(settings.known_grids, len(index))
    grids = [np.zeros((0, *GRID), np.uint16)]
    for start in range(0, len(chosen), CHUNK):
        part = chosen[start : start + CHUNK]
        grids.append(tokenizer.encode(reader.gather(video[part], index[part])).cpu().numpy().astype(np.uint16))
    return KnownPatches.of(np.concatenate(grids), settings.patches)
