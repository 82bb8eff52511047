"""The network of Nature DQN (2015) over canonical frames: it scales and stacks them by itself, so that a rollout holds each once.

What it reads is what Gymnasium's `ResizeObservation` and `FrameStackObservation` make of gray frames, pixel by pixel.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from gymnasium import spaces

from emurl.agents.base import Carry, Observation
from emurl.agents.ppo.networks import ActorCritic, Begun, Outputs, space_to_json, unroll
from emurl.core.errors import InputError
from emurl.models.base import Pretrained
from emurl.screen import ScreenSpec, to_gray

SMALLEST, LARGEST = 36, 256  # pixels a side: what the three convolutions see at least, and what a screen has at most
DEEPEST, WIDEST = 16, 8192  # frames of a stack, size of a GRU's state


class PixelPolicy(Pretrained):
    """Scaled and stacked frames, three convolutions, an optional GRU, a policy head and a value head.

    Args:
        actions: how many. height, width: of a scaled frame. stack: frames of the present and before. shades: of a frame.
        hidden: size of the GRU's state; 0: none.

    Raises:
        InputError: a frame is scaled to fewer pixels than the convolutions need.
    """

    def __init__(
        self, actions: int, height: int = 84, width: int = 84, stack: int = 4, shades: int = 4, hidden: int = 0
    ) -> None:  # fmt: skip
        super().__init__(actions=actions, height=height, width=width, stack=stack, shades=shades, hidden=hidden)
        if min(height, width) < SMALLEST:
            raise InputError(f"a frame of {height}×{width}: expected at least {SMALLEST}×{SMALLEST}, which the network needs")
        # A damaged config.json must not be built.
        for name, value, (low, high) in (
            ("height", height, (SMALLEST, LARGEST)), ("width", width, (SMALLEST, LARGEST)), ("stack", stack, (1, DEEPEST)),
            ("shades", shades, (2, 256)), ("hidden", hidden, (0, WIDEST)), ("actions", actions, (1, 1024)),
        ):  # fmt: skip
            if not isinstance(value, int) or not low <= value <= high:
                raise InputError(f"{name} {value!r}: expected {low} to {high}")
        self.actions, self.size, self.stack, self.shades = actions, (height, width), stack, shades
        self.body = ActorCritic(space_to_json(spaces.Box(0, 255, (stack, height, width), np.uint8)), actions, hidden)

    @property
    def recurrent(self) -> bool:
        """Whether there is a GRU."""
        return self.body.recurrent

    @property
    def module(self) -> PixelPolicy:
        """Itself."""
        return self

    @property
    def value_head(self) -> torch.nn.Module:
        """What tells the value."""
        return self.body.value_head

    def initial(self, n: int) -> Carry:
        """`stack` uint8 (N, stack, H, W) of frames before, of which there are none: `seen` bool (N,) is False."""
        return {"stack": np.zeros((n, self.stack, *self.size), np.uint8), "seen": np.zeros(n, bool), **self.body.initial(n)}

    def inputs(self, carry: Carry, observation: Observation) -> tuple[np.ndarray, Carry]:
        """The stack that ends with these frames uint8 (N, 144, 160), and the carry after it; the first frame fills its stack."""
        small = self.scaled(np.asarray(observation))
        stack = np.concatenate([carry["stack"][:, 1:], small[:, None]], axis=1)
        fresh = ~carry["seen"]
        stack[fresh] = small[fresh, None]
        return stack, carry | {"stack": stack, "seen": np.ones(len(stack), bool)}

    def scaled(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (N, 144, 160) in gray and in the size that is read, uint8 (N, H, W)."""
        height, width = self.size
        gray = to_gray(frames, ScreenSpec(shades=self.shades))
        return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in gray])

    def evaluate(self, inputs: np.ndarray) -> Outputs:
        """Logits (B, A) and values (B,) of stacks (B, stack, H, W); of equal ones, which in a game are many, once."""
        places: dict[bytes, int] = {}
        of = np.array([places.setdefault(one.tobytes(), len(places)) for one in inputs])
        if len(places) == len(inputs):
            return self.body.evaluate(inputs)
        logits, values = self.body.evaluate(inputs[np.unique(of, return_index=True)[1]])
        where = torch.from_numpy(of).to(self.device)
        return logits[where], values[where]

    def step(self, carry: Carry, observation: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, Carry]:
        """One step of the GRU."""
        stack, after = self.inputs(carry, observation)
        logits, values, memory = self.body.step(after, stack)
        return logits, values, after | memory

    def sequence(self, carry: Carry, observations: np.ndarray, starts: np.ndarray, begun: Begun) -> Outputs:
        """Logits (T, B, A) and values (T, B) of frames (T, B, 144, 160)."""
        return self.body.sequence(carry, unroll(self, carry, observations, starts, begun), starts, begun)

    def forget(self) -> None:
        """Nothing is kept."""
