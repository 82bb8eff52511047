"""The whole footage as tokens, written once by the stage that trains the tokenizer and read by everyone else.

    tokens/grids.npy    uint16 (frames, 9, 10): row n is row n of frames.parquet, video after video; every frame, usable or not
    tokens/index.json   the frames artifact's digest, the vocabulary, and each video's id and number of frames, in that order

180 bytes a frame. One file, mapped into memory: there are more videos on a leaderboard than files a process may hold open.
"""

from __future__ import annotations

import json

import numpy as np

from emurl.core.errors import InputError
from emurl.core.output import Output
from emurl.core.store import Artifact
from emurl.core.tracking import Tracker
from emurl.footage.dataset import CHUNK, FrameReader
from emurl.models.tokenizer import Tokenizer

GRIDS, INDEX = "tokens/grids.npy", "tokens/index.json"


def write_tokens(output: Output, reader: FrameReader, frames: Artifact, tokenizer: Tokenizer, tracker: Tracker) -> None:
    """Tokenize every frame of `frames`, which `reader` reads, into `tokens/` of `output`.

    Raises:
        ValueError: the vocabulary has more tokens than 16 bits can name.
    """
    if tokenizer.vocab > 2**16:
        raise ValueError(f"vocab is {tokenizer.vocab}, expected at most {2**16}")
    total = sum(video.count for video in reader.videos)
    grids = np.lib.format.open_memmap(output.path(GRIDS), mode="w+", dtype=np.uint16, shape=(total, 9, 10))
    with tracker.progress(total, "tokens of the footage", "frames") as bar:
        for place, video in enumerate(reader.videos):
            for start in range(0, video.count, CHUNK):
                part = np.arange(start, min(start + CHUNK, video.count))
                grids[video.offset + part] = tokenizer.encode(reader.read(place, part)).cpu().numpy()
                bar.update(len(part))
    grids.flush()
    index = {
        "frames": frames.digest,
        "vocab": tokenizer.vocab,
        "videos": [{"video_id": video.id, "frames": video.count} for video in reader.videos],
    }
    output.path(INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")


class Tokens:
    """The footage of a frames artifact as a tokenizer artifact says it.

    Attributes:
        reader: of the frames. vocab: how many tokens there are.

    Raises:
        InputError: the tokenizer artifact holds no tokens, or those of other frames.
    """

    def __init__(self, reader: FrameReader, frames: Artifact, tokenizer: Artifact) -> None:
        self.reader = reader
        try:
            index = json.loads(tokenizer.path(INDEX).read_text(encoding="utf-8"))
            self._grids = np.asarray(np.load(tokenizer.path(GRIDS), mmap_mode="r", allow_pickle=False))
            self.vocab = int(index["vocab"])
            made_of = str(index["frames"])
        except InputError:
            raise InputError(f"{tokenizer.ref}: holds no tokens of the footage; run the tokenizer stage again") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{tokenizer.ref}: its tokens cannot be read ({error}); run the tokenizer stage again") from None
        total = sum(video.count for video in reader.videos)
        if made_of != frames.digest or self._grids.shape != (total, 9, 10) or self._grids.dtype != np.uint16:
            raise InputError(
                f"{tokenizer.ref}: holds the tokens of other frames than {frames.ref}; run the tokenizer stage again, "
                "or give its frames with --input"
            )
        self._first = np.array([video.offset for video in reader.videos], np.int64)

    @property
    def all(self) -> np.ndarray:
        """Every frame of every video, uint16 (frames, 9, 10), memory-mapped."""
        return self._grids

    def grids(self, video: int) -> np.ndarray:
        """Every frame of a video, uint16 (N, 9, 10), memory-mapped."""
        return self._grids[self._first[video] : self._first[video] + self.reader.videos[video].count]

    def read(self, video: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Grids int64 (n, …, 9, 10) of frames `index` (n, …) of videos `video` (n,)."""
        first = self._first[video].reshape(-1, *[1] * (index.ndim - 1))
        return self._grids[first + index].astype(np.int64)
