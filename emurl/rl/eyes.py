"""What the agent makes of a frame: its tokens, and how far into the game it is. Every frame is looked at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch

from emurl.models.policy import Policy

BATCH = 256  # frames a look: large enough to keep a GPU busy, small enough for a laptop's memory


class FrameEncoder(Protocol):
    """What `Eyes` needs of a tokenizer."""

    def encode(self, frames: Any) -> torch.Tensor:
        """Frames uint8 (B, 144, 160) to tokens long (B, 9, 10)."""
        ...

    def decode(self, tokens: Any) -> torch.Tensor:
        """Tokens long (B, 9, 10) to frames uint8 (B, 144, 160)."""
        ...


class FrameScorer(Protocol):
    """What `Eyes` needs of a reward model."""

    def __call__(self, frames: Any) -> torch.Tensor:
        """Frames uint8 (B, 144, 160) to progress Φ (B,)."""
        ...


class Eyes:
    """The frozen models that stand between the screen and the agent."""

    def __init__(self, tokenizer: FrameEncoder, reward: FrameScorer, device: torch.device | str = "cpu") -> None:
        self.tokenizer, self.reward, self.device = tokenizer, reward, torch.device(device)

    def tokens(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (B, 144, 160) to tokens int16 (B, 9, 10)."""
        return self._look(self.tokenizer.encode, frames).astype(np.int16)

    def progress(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (B, 144, 160) to progress Φ float32 (B,), in the reward model's unit (seconds of a speedrun)."""
        return self._look(self.reward, frames).astype(np.float32)

    def reconstruction(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (B, 144, 160) as their tokens say them, same shape."""
        return self._look(lambda some: self.tokenizer.decode(self.tokenizer.encode(some)), frames)

    @torch.inference_mode()
    def _look(self, model: Callable[[torch.Tensor], torch.Tensor], frames: np.ndarray) -> np.ndarray:
        parts = [model(torch.from_numpy(frames[at : at + BATCH]).to(self.device)) for at in range(0, len(frames), BATCH)]
        return torch.cat(parts).cpu().numpy()


class Memory:
    """The last C token grids of every console, which is what a policy reads: `contexts` int16 (N, C, 9, 10), newest last."""

    def __init__(self, consoles: int, context: int, grid: tuple[int, int] = (9, 10)) -> None:
        self.contexts = np.zeros((consoles, context, *grid), np.int16)

    def push(self, tokens: np.ndarray) -> None:
        """Remember what every console shows now: tokens (N, 9, 10)."""
        self.contexts[:, :-1] = self.contexts[:, 1:].copy()
        self.contexts[:, -1] = tokens

    def begin(self, console: int, tokens: np.ndarray) -> None:
        """Start anew on one console: its first grid (9, 10) stands for the frames before it, too."""
        self.contexts[console] = tokens


@torch.inference_mode()
def odds(policy: Policy, contexts: np.ndarray, device: torch.device | str) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities float32 (B, actions) and values (B,) of contexts int16 (B, C, 9, 10), in batches."""
    logs, values = [], []
    for at in range(0, len(contexts), BATCH):
        tokens = torch.from_numpy(contexts[at : at + BATCH]).to(device).long()
        logits, value = policy(tokens)
        logs.append(torch.log_softmax(logits.float(), dim=-1).cpu())
        values.append(value.float().cpu())
    return torch.cat(logs).numpy(), torch.cat(values).numpy()


def draw(log_probs: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Sample actions (B,) from log-probabilities (B, A) by the Gumbel trick; `noise` (B, A) is standard Gumbel."""
    return np.argmax(log_probs + noise, axis=-1)
