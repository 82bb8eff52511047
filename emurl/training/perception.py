"""What the agent makes of a frame: its tokens, and how far into the game it is. Every frame is looked at once.

A screen that comes again, and in a game most do, is remembered and not looked at again: the networks, not the consoles, are
what a rollout waits for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from emurl.core.recall import key_of, recall
from emurl.models.cells import NamedCells

REMEMBERED = 20_000  # frames; their tokens take 15 MB
BATCH = 256  # frames a look: large enough to keep a GPU busy, small enough for a laptop's memory


class FrameEncoder(Protocol):
    """What `Perception` needs of a tokenizer."""

    def encode(self, frames: Any) -> torch.Tensor:
        """Frames uint8 (B, 144, 160) to tokens long (B, 9, 10)."""
        ...

    def decode(self, tokens: Any) -> torch.Tensor:
        """Tokens long (B, 9, 10) to frames uint8 (B, 144, 160)."""
        ...


class FrameScorer(Protocol):
    """What `Perception` needs of a reward model."""

    def __call__(self, frames: Any) -> torch.Tensor:
        """Frames uint8 (B, 144, 160) to progress Φ (B,)."""
        ...


class Perception:
    """The frozen models that stand between the screen and the agent; they remember what they made of `REMEMBERED` frames."""

    def __init__(self, tokenizer: FrameEncoder, reward: FrameScorer, device: torch.device | str = "cpu") -> None:
        self.tokenizer, self.reward, self.device = tokenizer, reward, torch.device(device)
        self._encoded: dict[bytes, np.ndarray] = {}
        self._progress: dict[bytes, np.ndarray] = {}
        self._cells: NamedCells | None = None
        if getattr(tokenizer, "of_cells", False):
            self._cells = NamedCells(partial(self._look, tokenizer.encode_cells))  # type: ignore[attr-defined]

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (B, 144, 160) to tokens int16 (B, 9, 10)."""
        look = partial(self._look, self.tokenizer.encode) if self._cells is None else self._cells.encode
        return self._recall(self._encoded, look, frames).astype(np.int16, copy=False)

    def progress(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (B, 144, 160) to progress Φ float32 (B,), in the reward model's unit (seconds of a speedrun)."""
        return self._recall(self._progress, partial(self._look, self.reward), frames).astype(np.float32)

    def reconstruct(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (B, 144, 160) as their tokens say them, same shape."""
        return self._look(lambda some: self.tokenizer.decode(self.tokenizer.encode(some)), frames)

    def forget(self) -> None:
        """Remember nothing. A network rounds a frame a little differently in another batch, so who wants the very same bits
        again, as a resumed run does, has to begin with the same memory."""
        self._encoded.clear()
        self._progress.clear()
        if self._cells is not None:
            self._cells.forget()

    def _recall(self, known: dict[bytes, np.ndarray], look: Callable[[np.ndarray], np.ndarray], frames: np.ndarray) -> np.ndarray:
        keys = [key_of(frame) for frame in frames]
        if len(known) > REMEMBERED:
            known.clear()
        return np.stack(recall(known, keys, lambda places: look(frames[places])))

    @torch.inference_mode()
    def _look(self, model: Callable[[torch.Tensor], torch.Tensor], frames: np.ndarray) -> np.ndarray:
        parts = [model(torch.from_numpy(frames[at : at + BATCH]).to(self.device)) for at in range(0, len(frames), BATCH)]
        return torch.cat(parts).cpu().numpy()
