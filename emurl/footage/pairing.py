"""What only a game whose insides are known lets us measure: is text still legible, and does a stream's frame give the tokens the
emulator's gives?

The embedded game brings its font, and its broadcast replays recorded runs, so the emulator's screen at any moment of a video can be
made again. A real site offers neither; then both measures are null, and the artifact's notes say so.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from emurl.footage.dataset import FrameReader
from emurl.games.mossdale import world
from emurl.games.mossdale.broadcast import Broadcast
from emurl.games.mossdale.broadcast.playthrough import screens
from emurl.games.mossdale.drawing import read_groups
from emurl.games.settings import BroadcastSettings
from emurl.models.tokenizer import Tokenizer

TILE = 8
PAIRS = 512  # moments the agreement is of
CHUNK = 128


@cache
def glyphs() -> np.ndarray:
    """The font of the embedded game as canonical tiles, each once, the blank first: uint8 (N, 64), 0 ink, 3 ground."""
    drawn = [drawing for group in read_groups(world.GAME / "font.txt") for drawing in group.drawings]
    tiles = np.unique(3 - np.array(drawn, np.int64).reshape(len(drawn), -1).clip(0, 3), axis=0).astype(np.uint8)
    blank = np.full((1, TILE * TILE), 3, np.uint8)
    return np.concatenate([blank, tiles[(tiles != 3).any(axis=1)]])


def cut_tiles(frames: np.ndarray) -> np.ndarray:
    """Frames (N, 144, 160) as tiles (N·360, 64)."""
    n, height, width = frames.shape
    cut = frames.reshape(n, height // TILE, TILE, width // TILE, TILE).transpose(0, 1, 3, 2, 4)
    return cut.reshape(-1, TILE * TILE)


def legible(frames: np.ndarray, said: np.ndarray, font: np.ndarray) -> tuple[int, int]:
    """(letters still read, letters there) of frames (N, 144, 160) and what was made of them.

    A letter is there where an aligned tile of the frame is exactly a glyph of `font` (N, 64), whose first is the blank and does not
    count. It is still read if of all glyphs, the blank included, its own is nearest to the tile made of it.
    """
    number = {glyph.tobytes(): place for place, glyph in enumerate(font)}
    true, made = cut_tiles(frames), cut_tiles(said)
    # Few tiles are ink on ground with some ink: only those are looked up.
    possible = np.flatnonzero(((true == font.min()) | (true == font.max())).all(axis=1) & (true == font.min()).any(axis=1))
    which = np.array([number.get(true[place].tobytes(), 0) for place in possible], np.int64)
    letters, which = possible[which > 0], which[which > 0]
    wanted = font.astype(np.float32)
    distance = np.square(wanted).sum(axis=1) - 2.0 * made[letters].astype(np.float32) @ wanted.T
    return int((distance.argmin(axis=1) == which).sum()), len(letters)


def text_legibility(tokenizer: Tokenizer, frames: np.ndarray) -> float | None:
    """Share of the letters in frames (N, 144, 160) that are still read in their reconstruction; None if there are no letters."""
    read = there = 0
    for start in range(0, len(frames), CHUNK):
        part = frames[start : start + CHUNK]
        counts = legible(part, tokenizer.decode(tokenizer.encode(part)).cpu().numpy(), glyphs())
        read, there = read + counts[0], there + counts[1]
    return read / there if there else None


def same_moments(reader: FrameReader, settings: BroadcastSettings, count: int = PAIRS) -> tuple[np.ndarray, np.ndarray] | None:
    """About `count` usable held-out frames and the emulator's screens at the same moments: each uint8 (n, 144, 160).

    None if no held-out video is of the broadcast's. Only frames that fall on a frame of the video are taken.
    """
    broadcast = Broadcast(settings)
    entries = {entry.id: entry for entry in broadcast.entries}
    videos = [place for place in reader.split("val") if reader.videos[place].run_id in entries]
    streamed, played = [], []
    for place in videos:
        video = reader.videos[place]
        entry, truth = entries[video.run_id], broadcast.truth(video.run_id)
        shown = reader.usable(place)
        at = shown * truth["fps"] / video.fps
        exact = np.abs(at - at.round()) < 1e-6
        moments = (at.round().astype(np.int64) - truth["power_on_frame"])[exact]
        wanted = dict(zip(moments.tolist(), shown[exact].tolist(), strict=True))
        chosen = sorted(moment for moment in wanted if moment >= 0)[:: max(1, len(wanted) * len(videos) // count)]
        taken = set(chosen)
        film = enumerate(screens(broadcast.rom, entry.play, truth["fps"], entry.look.after_s))
        found = {number: screen.copy() for number, screen in film if number in taken}
        kept = [moment for moment in chosen if moment in found]
        if kept:
            streamed.append(reader.read(place, [wanted[moment] for moment in kept]))
            played.append(np.stack([found[moment] for moment in kept]))
    return (np.concatenate(streamed), np.concatenate(played)) if streamed else None


def token_agreement(tokenizer: Tokenizer, pair: tuple[np.ndarray, np.ndarray]) -> float:
    """Share of tokens that are the same for `pair[0]` and `pair[1]`, each (N, 144, 160)."""
    equal = [
        (tokenizer.encode(pair[0][start : start + CHUNK]) == tokenizer.encode(pair[1][start : start + CHUNK])).float().mean((1, 2)).cpu()
        for start in range(0, len(pair[0]), CHUNK)
    ]  # fmt: skip
    return float(np.concatenate(equal).mean())
