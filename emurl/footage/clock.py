"""The clock of a video file, put right: seconds of footage since its first picture.

A chunk of a recorded stream goes on counting where the chunk before it ended, and a clock that jumps by hours, or back, was set
and not waited for. `sample` reads times by this clock and `decode` tells ffmpeg the same rule, so that both mean one moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av


@dataclass(frozen=True)
class Piece:
    """A stretch of the file whose clock runs on: its first and last time there, and the footage before it, all in seconds."""

    first: float
    last: float
    before: float


@dataclass(frozen=True)
class Clock:
    """The pieces of a file in their order, at least one, and the seconds of pictures that it really holds."""

    pieces: tuple[Piece, ...]
    held_s: float

    @property
    def jumps(self) -> bool:
        """Whether the file's own clock jumps; what it says of its length is then wrong, and what lies where is not known to a seek."""
        return len(self.pieces) > 1

    def duration_s(self, told: float) -> float:
        """Seconds of footage of a file whose header tells that many; a header knows of pictures that are cut off, and of no jump."""
        return self.held_s if self.jumps or not told else told

    def reader(self) -> Callable[[float | None], float]:
        """A function from times of the file, asked for in the file's order, to seconds of footage. None is a picture without a
        time: it is shown when the one before it was."""
        place, last = 0, float("-inf")

        def read(time: float | None) -> float:
            nonlocal place, last
            if time is None:
                time = max(last, self.pieces[place].first)
            while place + 1 < len(self.pieces) and (time < last or time > self.pieces[place].last + 1e-6):
                place, last = place + 1, float("-inf")
            last = time
            piece = self.pieces[place]
            return piece.before + max(0.0, time - piece.first)

        return read


def clock_of(path: Path, longest_gap_s: float) -> Clock:
    """Read a file's clock from its packets; nothing is decoded. A gap between two pictures that is longer, or runs back, is a jump.

    Packets say what a file really holds: a container that was cut off in the middle still promises all of it.
    """
    facts = path.stat()
    return _read(str(path), facts.st_size, facts.st_mtime_ns, longest_gap_s)


@lru_cache(maxsize=64)
def _read(path: str, size: int, changed: int, longest_gap_s: float) -> Clock:
    """`size` and `changed` are there to know the file again."""
    found: list[tuple[float, float]] = []  # first and last time of each piece
    sent: float | None = None
    length = 0.0
    try:
        with av.open(f"file:{path}") as container:
            for packet in container.demux(container.streams.video[0]):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is None or not packet.time_base or not packet.size or packet.is_corrupt:
                    continue
                # Packets come in the order they are decoded in, which is not quite the one they are shown in. Only the times of the
                # first order run on; some containers do not tell them of the first few.
                shown, before = float(stamp * packet.time_base), sent
                sent = before if packet.dts is None else float(packet.dts * packet.time_base)
                if found and (before is None or sent is None or 0 <= sent - before <= longest_gap_s):
                    found[-1] = min(found[-1][0], shown), max(found[-1][1], shown)
                else:
                    found.append((shown, shown))
                length = float((packet.duration or 0) * packet.time_base)
    except av.FFmpegError:
        pass  # what was read before the damage counts
    pieces, held = [], 0.0
    for first, last in found:
        pieces.append(Piece(first, last, held))
        held += last - first
    return Clock(tuple(pieces) or (Piece(0.0, 0.0, 0.0),), held + length)
