"""Pairs of frames one action apart, gathered from somebody's play."""

from __future__ import annotations

import numpy as np

from emurl.footage.pairs import Collector, Pairs
from emurl.screen import ScreenSpec


def walk(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames of `count` consoles that change everywhere."""
    before = rng.integers(0, 4, (count, 144, 160)).astype(np.uint8)
    return before, (before + 1) % 4


def test_rare_changes_are_all_kept_and_common_ones_are_not(tmp_path):
    rng = np.random.default_rng(0)
    collector = Collector(ScreenSpec(), 10, 24, rng, block=5)
    for step in range(20):
        before, after = walk(rng, 3)
        if step % 4 == 0:  # the last console opens a menu in a corner
            after[2] = before[2]
            after[2, 100:140, 120:] ^= 3
        if step == 7:  # too little to be a change
            after[1] = before[1]
            after[1, 0, :23] ^= 3
        collector.watch(before, np.array([0, 1, 2]), after)
    pairs = collector.pairs()
    frames = pairs.frames(np.arange(len(pairs)))
    menus = (frames[:, 0, :96] == frames[:, 1, :96]).all(axis=(1, 2))
    assert menus.sum() == 5 and (~menus).sum() == 10
    assert (pairs.actions[menus] == 2).all()
    assert set(pairs.episode[menus] % 3) == {2} and set((pairs.episode // 3).tolist()) == {0, 1, 2, 3}  # consoles, blocks of five
    again = Collector(ScreenSpec(), 10, 24, rng, block=5)
    again.restore(collector.tensors())
    assert again.met == collector.met and again.steps == 20
    assert np.array_equal(again.pairs().packed, pairs.packed) and np.array_equal(again.pairs().episode, pairs.episode)
    pairs.save(tmp_path / "pairs.npz")
    assert (Pairs.load(tmp_path / "pairs.npz", ScreenSpec()).packed == pairs.packed).all()


def test_nothing_seen_is_nothing_kept():
    pairs = Collector(ScreenSpec(), 10, 24, np.random.default_rng(0), 24).pairs()
    assert len(pairs) == 0 and len(pairs.join(pairs)) == 0 and pairs.frames(np.arange(0)).shape == (0, 2, 144, 160)
