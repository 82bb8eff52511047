"""Does a frame of a video give the tokens that the emulator gives at the same moment?

A demo leaderboard can play its runs again, so the emulator's screen at any moment of a video is known. A real site offers no such
thing; then the measure is null, and the artifact's notes say so.
"""

from __future__ import annotations

import numpy as np

from emurl.footage.dataset import FrameReader
from emurl.games.settings import BroadcastSettings
from emurl.models.tokenizer import Tokenizer

PAIRS = 512  # moments the agreement is of
CHUNK = 128  # frames at a time


def same_moments(reader: FrameReader, settings: BroadcastSettings, count: int = PAIRS) -> tuple[np.ndarray, np.ndarray] | None:
    """About `count` usable held-out frames and the emulator's screens at the same moments: each uint8 (n, 144, 160[, 3]).

    None if no held-out video is of the demo leaderboard. Only frames that fall on a picture of the video are taken.
    """
    leaderboard = settings.open()
    recordings = {place: leaderboard.recording(reader.videos[place].run_id) for place in reader.split("val")}
    known = {place: recording for place, recording in recordings.items() if recording is not None}
    streamed, played = [], []
    for place, recording in known.items():
        shown = reader.usable(place)
        at = shown * recording.fps / reader.videos[place].fps
        exact = np.abs(at - at.round()) < 1e-6
        moments = (at.round().astype(np.int64) - recording.power_on_frame)[exact]
        wanted = dict(zip(moments.tolist(), shown[exact].tolist(), strict=True))
        chosen = sorted(moment for moment in wanted if moment >= 0)[:: max(1, len(wanted) * len(known) // count)]
        taken = set(chosen)
        found = {number: screen.copy() for number, screen in enumerate(recording.screens(reader.spec)) if number in taken}
        kept = [moment for moment in chosen if moment in found]
        if kept:
            streamed.append(reader.read(place, [wanted[moment] for moment in kept]))
            played.append(np.stack([found[moment] for moment in kept]))
    return (np.concatenate(streamed), np.concatenate(played)) if streamed else None


def token_agreement(tokenizer: Tokenizer, pair: tuple[np.ndarray, np.ndarray]) -> float:
    """Share of tokens that are the same for `pair[0]` and `pair[1]`, each (N, 144, 160[, 3])."""
    equal = [
        (tokenizer.encode(pair[0][start : start + CHUNK]) == tokenizer.encode(pair[1][start : start + CHUNK])).float().mean((1, 2)).cpu()
        for start in range(0, len(pair[0]), CHUNK)
    ]  # fmt: skip
    return float(np.concatenate(equal).mean())
