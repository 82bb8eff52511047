"""How strange is what a folder of footage shows, to a tokenizer and a dynamics model? Also where `OODDetector` is imported from.

    python tools/ood_detector.py TOKENIZER DYNAMICS [--store data] [--frames frames] [--pairs 512] [--json]

TOKENIZER, DYNAMICS and --frames are refs (`tokenizer@v3`) in the store, or folders. Prints the scores of held-out pairs one
action apart, and beside them those of two known strangers: the same frames with a chance successor, and frames of noise.

    from tools.ood_detector import OODDetector
    detector = OODDetector.from_tokenizer("tokenizer", "dynamics")
    scores = detector.compute_combined_ood_scores(frames_t, frames_t1)   # (N,)
    adjusted = detector.shrink_gains(rewards, detector.get_reward_multiplier(scores))
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a file: the repository's root is not on the path, the installed package is
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from emurl.core.errors import EmurlError
from emurl.rewards.ood import OODDetector, describe

__all__ = ["OODDetector", "main"]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    parser = argparse.ArgumentParser(description="How strange is footage to a tokenizer and a dynamics model?")
    parser.add_argument("tokenizer", help="ref or folder")
    parser.add_argument("dynamics", help="ref or folder")
    parser.add_argument("--store", default="data", help="store the refs are of (default: data)")
    parser.add_argument("--frames", default="frames", help="ref or folder of frames (default: the newest in the store)")
    parser.add_argument("--pairs", type=int, default=512, help="how many pairs (default: 512)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout and nothing else")
    options = parser.parse_args(arguments)
    try:
        figures = measure(options.tokenizer, options.dynamics, options.store, options.frames, options.pairs)
    except EmurlError as error:
        print(f"ood_detector: {error}", file=sys.stderr)
        return error.exit_code
    if options.json:
        print(json.dumps(figures))
        return 0
    for name, row in figures.items():
        print(f"{name:<10}" + "  ".join(f"{key} {value:.3g}" for key, value in row.items()))
    return 0


def measure(tokenizer: str, dynamics: str, store: str, frames: str, pairs: int) -> dict[str, dict[str, float]]:
    """Scores of held-out pairs, of pairs whose second frame is any other, and of noise."""
    import numpy as np

    from emurl.core.store import Store
    from emurl.footage.dataset import FrameReader

    detector = OODDetector.from_tokenizer(tokenizer, dynamics, store)
    folder = Path(frames) if Path(frames).is_dir() else Store(store).get(frames).folder
    reader = FrameReader(folder)
    rng = np.random.default_rng(0)
    now, later = reader.pairs(rng, pairs, "val", detector.frame_stride)
    noise = rng.integers(0, reader.spec.shades, later.shape).astype(np.uint8)
    return {
        "held_out": describe(detector, now, later),
        "shuffled": describe(detector, now, later[rng.permutation(len(later))]),
        "noise": describe(detector, now, noise),
    }


if __name__ == "__main__":
    sys.exit(main())
