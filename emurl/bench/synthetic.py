"""Made-up game screens for measurements that must work before any run is recorded: a walk over a tile map, with text boxes.

Shaped like the real thing where it matters to finding and decoding a screen: 8×8 tiles of four shades, a map that scrolls a
pixel at a time in steps of 16, flat areas, fine text, a blank picture now and then.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emurl.envs.gameboy.console import FRAMES_PER_SECOND
from emurl.screen import HEIGHT, WIDTH, ScreenSpec, to_gray

_STEP = 16


def synthetic_screens(count: int, seed: int = 0, per_second: float = 30.0) -> Iterator[np.ndarray]:
    """`count` screens, uint8 (144, 160) brightness ranks 0…3, of a game seen `per_second` times a second."""
    rng = np.random.default_rng([seed, 0x5C])
    tiles = _tiles(rng)
    letters = (rng.random((26, 8, 8)) < 0.45) * 3
    letters[:, 7] = letters[:, :, 7] = 0
    world = tiles[rng.choice(len(tiles), size=(60, 60), p=_weights(len(tiles)))]
    world = world.transpose(0, 2, 1, 3).reshape(480, 480)
    box_until, walk_until, text, pose = 0, 0, _box(rng, letters), np.zeros((HEIGHT, WIDTH), np.uint8)
    at, move = np.array([100.0, 100.0]), np.array([0.0, 0.0])
    speed = FRAMES_PER_SECOND / per_second  # pixels a screen: a step of 16 pixels takes 16 ticks
    for number in range(count):
        if number >= walk_until:
            ahead = [(0, 1), (1, 0), (0, -1), (-1, 0), (0, 0)][int(rng.integers(5))]
            move = np.array(ahead, float) * speed
            walk_until = number + int(rng.integers(1, 5) * _STEP / speed)
            at = np.round(at / _STEP) * _STEP
            if rng.random() < 0.25:
                box_until, text = number + int(rng.uniform(0.3, 2.0) * per_second), _box(rng, letters)
            if rng.random() < 0.08:
                at = rng.integers(0, 18, 2) * float(_STEP)
        if number >= box_until:
            at = np.clip(at + move, 0, [480 - HEIGHT, 480 - WIDTH])
        y, x = at.astype(int)
        pose = world[y : y + HEIGHT, x : x + WIDTH].copy()
        pose[64:80, 72:88] = np.where(tiles[3].repeat(2, 0).repeat(2, 1) > 1, 0, 3 - number // 8 % 2)
        if number < box_until:
            pose[96:] = text
        if number % 400 < 6:
            pose[:] = 3 if number % 800 < 6 else 0
        yield pose.astype(np.uint8)


def in_screen(screens: np.ndarray, spec: ScreenSpec) -> np.ndarray:
    """Screens uint8 (N, 144, 160) of four shades as frames of the screen `spec`: uint8 (N, *spec.shape)."""
    frames = to_gray(screens) if spec.shades == 256 else screens
    return np.repeat(frames[..., None], 3, axis=-1) if spec.channels == 3 else frames


def _tiles(rng: np.random.Generator) -> np.ndarray:
    """Twelve 8×8 tiles: three flat ones, the rest two or three shades of simple strokes."""
    tiles = np.zeros((12, 8, 8), np.uint8)
    tiles[0], tiles[1], tiles[2] = 3, 2, 0
    for tile in tiles[3:]:
        ground, ink = rng.permutation(4)[:2]
        tile[:] = ground
        tile[rng.random((8, 8)) < 0.2] = ink
        row, column = rng.integers(0, 7, 2)
        tile[row : row + 1] = ink
        tile[:, column : column + 2] = ink
    return tiles


def _weights(count: int) -> np.ndarray:
    weights = np.ones(count)
    weights[:2] = 5
    return weights / weights.sum()


def _box(rng: np.random.Generator, letters: np.ndarray) -> np.ndarray:
    """A text box, 48×160: white, framed, with two lines of made-up letters."""
    box = np.full((48, WIDTH), 3)
    box[2:46, 2:158] = 0
    box[4:44, 4:156] = 3
    for line in (12, 28):
        for column in range(int(rng.integers(6, 18))):
            if rng.random() > 0.15:
                box[line : line + 8, 8 + 8 * column : 16 + 8 * column] = 3 - letters[int(rng.integers(26))]
    return box
