"""Frames on disk: one packed shard a video, two small tables, and a reader that never loads what it is not asked for.

    screen.json       the ScreenSpec of every frame
    videos.parquet    one row a video: video_id, run_id, split, frames, fps, duration_s, rect, calibration, …
    frames.parquet    one row a frame: video (row of videos), index, time_s, flags
    shards/<id>.bin   frames back to back, `ScreenSpec.frame_bytes` each: 5760 bytes for four shades, 1/12 of an RGB array

Flags: 1 blank (one shade), 2 the same as the frame before, 4 not the game (a card, a menu of the stream). The samplers skip
1 and 4. A video is on one side only, `train` or `val`: neighboring frames are nearly the same, so frames of one video on
both sides would be cheating (`split_of` says how it stays there).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from emurl.core.errors import InputError
from emurl.footage.tables import with_columns
from emurl.screen import ScreenSpec, decode, encode

BLANK, DUPLICATE, NOT_GAME = 1, 2, 4
SKIPPED = BLANK | NOT_GAME
CHUNK = 256  # frames that whoever goes through all of the footage looks at in one go


@dataclass(frozen=True)
class VideoInfo:
    """One video of a frames artifact. `offset` is its first row in frames.parquet."""

    id: str
    run_id: str
    split: str
    count: int
    fps: float
    duration_s: float
    offset: int


class ShardWriter:
    """Writes one video's frames: `add` in order, `close` when whole. Until then the file at `path` does not exist.

    Use as a context manager: leaving it by an exception leaves nothing behind at `path`.
    """

    def __init__(self, path: Path, spec: ScreenSpec) -> None:
        self.path, self.spec, self.count = path, spec, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._aside = path.with_name(path.name + ".part")
        self._file: BinaryIO = self._aside.open("wb")

    def add(self, frames: np.ndarray) -> None:
        """Append frames uint8 (n, *spec.shape)."""
        self._file.write(encode(frames, self.spec).data)
        self.count += len(frames)

    def close(self) -> None:
        """Everything is on disk, under its own name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._aside.replace(self.path)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
            self._aside.unlink(missing_ok=True)


def split_of(video_ids: Sequence[str], val_share: float) -> dict[str, str]:
    """`train` or `val` for each video, from its id alone: sha256 as a number in [0, 1), below `val_share` is val.

    So a video never changes side when a leaderboard grows or shrinks. One exception, because a side without any video is of no
    use: with two or more videos all on one side, the one whose number is nearest to the other side stands in there, and goes
    back when one comes that belongs there. In a small collection that grows, with none below `val_share` yet, this can bring a
    held-out video to be trained on, never the other way: nothing is judged on what an earlier version learned.
    """
    numbers = {video: int(hashlib.sha256(video.encode()).hexdigest()[:12], 16) / 16**12 for video in sorted(set(video_ids))}
    sides = {video: "val" if number < val_share else "train" for video, number in numbers.items()}
    if len(sides) > 1 and len(set(sides.values())) == 1:
        if "val" in sides.values():
            sides[max(numbers, key=lambda video: numbers[video])] = "train"
        elif val_share > 0:
            sides[min(numbers, key=lambda video: numbers[video])] = "val"
    return sides


def write_index(folder: Path, spec: ScreenSpec, videos: list[dict[str, Any]], flags: list[np.ndarray]) -> None:
    """Write the tables beside the shards. `videos` rows hold at least video_id, run_id, split, frames, fps, duration_s;
    `flags[i]` is uint8 (frames of video i,). Frame n of a video is at n / fps seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = [len(one) for one in flags]
    assert counts == [row["frames"] for row in videos], "one flag a frame"
    index = np.concatenate([np.arange(n, dtype=np.int32) for n in counts]) if counts else np.zeros(0, np.int32)
    video = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    rates = np.repeat([float(row["fps"]) for row in videos], counts)
    pd.DataFrame(
        {
            "video": video,
            "index": index,
            "time_s": (index / rates).astype(np.float32),
            "flags": np.concatenate(flags).astype(np.uint8) if flags else np.zeros(0, np.uint8),
        }
    ).to_parquet(folder / "frames.parquet", index=False)
    pd.DataFrame(videos).to_parquet(folder / "videos.parquet", index=False)
    (folder / "screen.json").write_text(json.dumps(spec.to_dict()), encoding="utf-8")


class FrameReader:
    """Random access to the frames of an artifact folder. Shards are memory-mapped; the index takes five bytes a frame.

    `videos` lists them in the order of videos.parquet; a video is named by its place in that list. Every sampler draws
    uniformly over usable frames (not blank, the game) of a split with the generator it is given: same generator, same frames.

    Raises `InputError` when the folder is no frames artifact, its tables disagree, or a shard is missing or of another length.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        kinds = {"video_id": str, "run_id": str, "split": str, "frames": int, "fps": float, "duration_s": float}
        try:
            file = self.folder / "screen.json"
            self.spec = ScreenSpec.from_dict(json.loads(file.read_text(encoding="utf-8")))
            file = self.folder / "videos.parquet"
            table = with_columns(*kinds)(file)
            file = self.folder / "frames.parquet"
            frames = with_columns("video", "flags", alone=True)(file)
            self._bounds = np.concatenate([[0], np.cumsum(table["frames"].to_numpy(np.int64))])
            if not _in_order(frames["video"].to_numpy(), self._bounds):
                raise ValueError("it does not hold the frames that videos.parquet counts")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.folder}: no frames artifact ({file.name}: {' '.join(str(error).split())[:120]})") from None
        self._flags = frames["flags"].to_numpy(np.uint8)
        rows = zip(*(table[name].map(kind) for name, kind in kinds.items()), self._bounds[:-1].tolist(), strict=True)
        self.videos = [VideoInfo(*row) for row in rows]
        for video in self.videos:
            self._check(video)
        self._maps: list[np.ndarray | None] = [None] * len(self.videos)
        self._starts: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        self._ranges: dict[tuple[str, int, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def split(self, name: str) -> list[int]:
        """Places of the videos of `train` or `val` (or `all`)."""
        return [place for place, video in enumerate(self.videos) if name in ("all", video.split)]

    def usable(self, video: int) -> np.ndarray:
        """Indices of a video's frames that show the game: int32, ascending."""
        first, bounds = self._first(1, 0)
        return first[bounds[video] : bounds[video + 1]]

    def flags(self, video: int) -> np.ndarray:
        """Flags of all frames of a video, uint8 (count,)."""
        return self._flags[self._bounds[video] : self._bounds[video + 1]]

    def read(self, video: int, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames `indices` (n,) of a video: uint8 (n, 144, 160)."""
        return decode(self._map(video)[np.asarray(indices, np.int64)], self.spec)

    def gather(self, videos: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Frame `indices[i]` of video `videos[i]` for every i, any shape s: uint8 (*s, 144, 160)."""
        flat_videos, flat_indices = np.ravel(videos), np.ravel(indices)
        data = np.empty((len(flat_videos), self.spec.frame_bytes), np.uint8)
        # In the order they lie on disk: what is not in memory yet is then read forwards.
        order = np.argsort(self._bounds[flat_videos] + flat_indices, kind="stable")
        for place, video, index in zip(order.tolist(), flat_videos[order].tolist(), flat_indices[order].tolist(), strict=True):
            shard = self._maps[video]
            data[place] = (self._map(video) if shard is None else shard)[index]
        return decode(data, self.spec).reshape(*np.shape(videos), *self.spec.shape)

    def batch(self, rng: np.random.Generator, n: int, split: str) -> np.ndarray:
        """Random frames of a split: uint8 (n, 144, 160)."""
        return self.gather(*self._draw(rng, n, split, 1, 0))

    def pairs(self, rng: np.random.Generator, n: int, split: str, stride: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames and those `stride` frames later in the same video, each uint8 (n, 144, 160)."""
        clips = self.clips(rng, n, split, 2, stride)
        return clips[:, 0], clips[:, 1]

    def clips(self, rng: np.random.Generator, n: int, split: str, length: int, stride: int = 1) -> np.ndarray:
        """Runs of `length` usable frames of one video, `stride` frames apart: uint8 (n, length, 144, 160)."""
        videos, starts = self._draw(rng, n, split, length, stride)
        steps = stride * np.arange(length)
        return self.gather(np.repeat(videos[:, None], length, axis=1), starts[:, None] + steps)

    def ordered_pairs(
        self, rng: np.random.Generator, n: int, split: str, max_distance: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Two different usable frames of one video, earlier first: (n, 144, 160), (n, 144, 160), seconds between them (n,).

        `max_distance` is the largest number of frames between them; None: anywhere in the video.
        """
        videos, first = self._draw(rng, n, split, 2, 0)
        second = np.empty_like(first)
        for video in np.unique(videos):
            here = np.flatnonzero(videos == video)
            usable = self.usable(video)
            place = np.searchsorted(usable, first[here])
            reach = len(usable) if max_distance is None else max_distance
            low = np.searchsorted(usable, first[here] - reach)
            high = np.searchsorted(usable, first[here] + reach, side="right") - 1
            # Any usable frame within reach but the frame itself; where there is none, its neighbor.
            other = low + np.floor(rng.random(len(here)) * np.maximum(high - low, 1)).astype(np.int64)
            other = np.where(other >= place, other + 1, other)
            second[here] = usable[np.where(other < len(usable), other, place - 1)]
        earlier, later = np.minimum(first, second), np.maximum(first, second)
        rates = np.array([video.fps for video in self.videos])[videos]
        return self.gather(videos, earlier), self.gather(videos, later), (later - earlier) / rates

    def _shard(self, video: VideoInfo) -> Path:
        return self.folder / "shards" / f"{video.id}.bin"

    def _check(self, video: VideoInfo) -> None:
        path, wanted = self._shard(video), video.count * self.spec.frame_bytes
        try:
            size = path.stat().st_size
        except OSError as error:
            told = f"{path}: {error.strerror}, expected {wanted} bytes ({video.count} frames); run the frames stage again"
            raise InputError(told) from None
        if size != wanted:
            raise InputError(f"{path}: {size} bytes, expected {wanted} ({video.count} frames); run the frames stage again")

    def _map(self, video: int) -> np.ndarray:
        """A shard's frames as on disk, uint8 (count, frame_bytes), mapped when first asked for."""
        found = self._maps[video]
        if found is None:
            self._check(self.videos[video])  # gone or cut short since then, it would end the process at the first access
            found = _mapped(self._shard(self.videos[video]), self.videos[video].count * self.spec.frame_bytes)
            found = self._maps[video] = found.reshape(-1, self.spec.frame_bytes)
        return found

    def _first(self, length: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
        """Usable frames that start a run of `length` usable ones, video after video: int32; and where each's begin: (videos + 1,)."""
        if (length, stride) not in self._starts:
            found = [np.zeros(0, np.int32)]
            for video in range(len(self.videos)):
                good = self.flags(video) & SKIPPED == 0
                if stride == 0:  # only as many usable frames are asked for, wherever they are
                    fits = good if np.count_nonzero(good) >= length else good[:0]
                else:
                    fits = good[: max(len(good) - stride * (length - 1), 0)].copy()
                    for step in range(1, length):
                        fits &= good[step * stride : step * stride + len(fits)]
                found.append(np.flatnonzero(fits).astype(np.int32))
            self._starts[length, stride] = np.concatenate(found), np.cumsum([len(one) for one in found])
        return self._starts[length, stride]

    def _range(self, split: str, length: int, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The runs of a split, numbered: its videos (v,), where each's numbers end, what to add to find them in `_first`."""
        key = (split, length, stride)
        if key not in self._ranges:
            _, bounds = self._first(length, stride)
            places = np.array(self.split(split), np.int64)
            ends = np.cumsum(bounds[places + 1] - bounds[places])
            self._ranges[key] = places, ends, bounds[places + 1] - ends
        return self._ranges[key]

    def _draw(self, rng: np.random.Generator, n: int, split: str, length: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
        """`n` runs, uniform over all runs of the split: videos (n,) and first frames (n,)."""
        stride = stride if length > 1 else 0
        places, ends, shift = self._range(split, length, stride)
        if not len(ends) or ends[-1] == 0:
            raise InputError(f"{self.folder}: the {split} split has no {length} usable frames {max(stride, 1)} apart")
        drawn = rng.integers(int(ends[-1]), size=n)
        owner = np.searchsorted(ends, drawn, side="right")
        return places[owner], self._first(length, stride)[0][drawn + shift[owner]].astype(np.int64)


def _in_order(videos: np.ndarray, bounds: np.ndarray) -> bool:
    """Whether the frames' videos are 0, 0, … 1, 1, … as often as the `bounds` between them say."""
    if len(videos) != bounds[-1] or (bounds[1:] < bounds[:-1]).any():
        return False
    return all((videos[first:last] == number).all() for number, (first, last) in enumerate(pairwise(bounds)))


def _mapped(path: Path, size: int) -> np.ndarray:
    """A file of `size` bytes as an array that is read when looked at: uint8 (size,), read-only.

    Mapped by torch, which closes the file after it: a numpy map keeps one open for each, and there are more videos on a
    leaderboard than files a process may hold.
    """
    import torch

    if not size:
        return np.zeros(0, np.uint8)
    try:
        found = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).numpy()
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be mapped into memory ({str(error).splitlines()[0]})") from None
    found.flags.writeable = False
    return found
