"""What the agent makes of a frame: its tokens, and how far into the game it is. Every frame is looked at once.

A screen that comes again, and in a game most do, is remembered and not looked at again: the networks, not the consoles, are
what a rollout waits for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from emurl.models.policy import Policy

REMEMBERED = 20_000  # frames; their tokens take 15 MB
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
    """The frozen models that stand between the screen and the agent; they remember what they made of `REMEMBERED` frames."""

    def __init__(self, tokenizer: FrameEncoder, reward: FrameScorer, device: torch.device | str = "cpu") -> None:
        self.tokenizer, self.reward, self.device = tokenizer, reward, torch.device(device)
        self._tokens: dict[bytes, np.ndarray] = {}
        self._progress: dict[bytes, np.ndarray] = {}

    def tokens(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (B, 144, 160) to tokens int16 (B, 9, 10)."""
        return self._recall(self._tokens, self.tokenizer.encode, frames).astype(np.int16)

    def progress(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (B, 144, 160) to progress Φ float32 (B,), in the reward model's unit (seconds of a speedrun)."""
        return self._recall(self._progress, self.reward, frames).astype(np.float32)

    def reconstruction(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (B, 144, 160) as their tokens say them, same shape."""
        return self._look(lambda some: self.tokenizer.decode(self.tokenizer.encode(some)), frames)

    def forget(self) -> None:
        """Remember nothing. A network rounds a frame a little differently in another batch, so who wants the very same bits
        again, as a resumed run does, has to begin with the same memory."""
        self._tokens.clear()
        self._progress.clear()

    def _recall(
        self, known: dict[bytes, np.ndarray], model: Callable[[torch.Tensor], torch.Tensor], frames: np.ndarray
    ) -> np.ndarray:
        keys = [hashlib.blake2b(frame.tobytes(), digest_size=16).digest() for frame in frames]
        if len(known) > REMEMBERED:
            known.clear()
        return np.stack(recall(known, keys, lambda places: self._look(model, frames[places])))

    @torch.inference_mode()
    def _look(self, model: Callable[[torch.Tensor], torch.Tensor], frames: np.ndarray) -> np.ndarray:
        parts = [model(torch.from_numpy(frames[at : at + BATCH]).to(self.device)) for at in range(0, len(frames), BATCH)]
        return torch.cat(parts).cpu().numpy()


def recall(known: dict[bytes, Any], keys: Sequence[bytes], compute: Callable[[list[int]], Iterable[Any]]) -> list[Any]:
    """What is `known` of every key; what is not is computed first, once a key: `compute(places)` for places in `keys`."""
    new = {key: place for place, key in enumerate(keys) if key not in known}
    if new:
        known.update(zip(new, compute(list(new.values())), strict=True))
    return [known[key] for key in keys]


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


class Mind:
    """A policy that does not change for a while, as during a rollout: what it thought of a context once, it remembers."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._known: dict[bytes, tuple[np.ndarray, np.float32]] = {}

    def odds(self, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As the function `odds`."""
        keys = [context.tobytes() for context in contexts]
        thoughts = recall(self._known, keys, lambda places: zip(*odds(self.policy, contexts[places]), strict=True))
        return np.stack([logs for logs, _ in thoughts]), np.array([value for _, value in thoughts], np.float32)


@torch.inference_mode()
def odds(policy: Policy, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities float32 (B, actions) and values (B,) of contexts int16 (B, C, 9, 10), in batches."""
    logs, values = [], []
    for at in range(0, len(contexts), BATCH):
        tokens = torch.from_numpy(contexts[at : at + BATCH]).to(policy.device).long()
        logits, value = policy(tokens)
        logs.append(torch.log_softmax(logits.float(), dim=-1).cpu())
        values.append(value.float().cpu())
    return torch.cat(logs).numpy(), torch.cat(values).numpy()


def draw(log_probs: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Sample actions (B,) from log-probabilities (B, A) by the Gumbel trick; `noise` (B, A) is standard Gumbel."""
    return np.argmax(log_probs + noise, axis=-1)
