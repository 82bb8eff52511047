"""A stand-in for footage: a scrolling 16×16 tile world with a player, text boxes and a title, in four shades.

Only what the learning tests need: frames whose change is a move, a text box or nothing, in an order that means progress.
"""

from __future__ import annotations

import numpy as np

MOVES = {2: (-1, 0), 3: (1, 0), 4: (0, -1), 5: (0, 1)}  # up, down, left, right by their button's index: (rows, columns)


class TileWorld:
    """One fixed map, the same for every video; `video(seed)` is one walk through it."""

    def __init__(self, seed: int = 0, kinds: int = 12, size: int = 40) -> None:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 4, (kinds, 4, 4))
        self.cells = coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)
        self.cells[0] = 3
        smooth = rng.integers(0, kinds, (size // 4, size // 4)).repeat(4, 0).repeat(4, 1)
        noise = rng.random((size, size)) < 0.3
        kind = np.where(noise, rng.integers(0, kinds, (size, size)), smooth)
        self.map = self.cells[kind].transpose(0, 2, 1, 3).reshape(size * 16, size * 16)
        self.player = rng.integers(0, 2, (4, 16, 16), dtype=np.uint8) * 3  # one picture a direction
        self.glyphs = rng.integers(0, 2, (40, 8, 8), dtype=np.uint8) * 3
        self.size = size

    def frame(self, row: float, column: float, facing: int) -> np.ndarray:
        """The screen with the player at a map cell (fractions are steps half made), facing 0 … 3."""
        top, left = round(row * 16) - 64, round(column * 16) - 64
        frame = self.map[top : top + 144, left : left + 160].copy()
        frame[64:80, 64:80] = self.player[facing]
        return frame

    def text(self, frame: np.ndarray, letters: np.ndarray) -> np.ndarray:
        """`frame` with a text box over its lower third that says `letters` (up to 36 indices)."""
        frame = frame.copy()
        frame[96:] = 3
        frame[96:98], frame[142:], frame[96:, :2], frame[96:, 158:] = 0, 0, 0, 0
        for number, letter in enumerate(letters):
            row, column = divmod(number, 18)
            y, x = 112 + 16 * row, 8 + 8 * column
            frame[y : y + 8, x : x + 8] = self.glyphs[letter]
        return frame

    def video(self, seed: int, steps: int = 120, per_step: int = 2) -> tuple[np.ndarray, np.ndarray]:
        """A walk from the upper left to the lower right: (frames uint8 (N, 144, 160), the button of each frame (N,))."""
        rng = np.random.default_rng(seed)
        row, column, facing = 6, 6, 1
        frames, actions = [], []
        title = np.full((144, 160), 3, np.uint8)
        title[40:72, 32:128] = self.cells[1:7].transpose(1, 0, 2).reshape(16, 96).repeat(2, 0)
        frames += [title] * 4
        actions += [6] * 4
        for step in range(steps):
            if step % 20 == 0:
                said = np.random.default_rng(step).integers(0, 40, 36)
                base = self.frame(row, column, facing)
                for count in (12, 24, 36):
                    frames.append(self.text(base, said[:count]))
                    actions.append(0)
            action = int(rng.choice([2, 3, 4, 5], p=[0.05, 0.45, 0.05, 0.45]))
            down, right = MOVES[action]
            facing = action - 2
            if not (5 <= row + down < self.size - 6 and 5 <= column + right < self.size - 7):
                continue
            for part in range(per_step):
                share = (part + 1) / per_step
                frames.append(self.frame(row + down * share, column + right * share, facing))
                actions.append(action)
            row, column = row + down, column + right
        return np.stack(frames), np.array(actions)
