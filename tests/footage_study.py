"""How well screens are found and read, measured on drawn streams: `python -m tests.footage_study --layouts 300 --seed 0 --json`.

For every layout (see `footage_kinds`) a video is encoded, or taken from `--cache`; then the finder looks at the file as it
would at any other, and what it says is compared with where the game was drawn. The videos in which one screen was found
are decoded, too, and their frames compared with the emulator's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from footage_kinds import Layout, layouts
from footage_render import Painter, render

from emurl.config import FramesSettings
from emurl.speedruns.candidates import iou
from emurl.speedruns.decode import NOT_GAME, decode, plan
from emurl.speedruns.find_screen import Segment, find_in_pictures
from emurl.speedruns.video import sample

LEAST = FramesSettings.model_fields["min_confidence"].default
READ_FPS = 2.0


def measure(layout: Layout, cache: Path, read: bool = True) -> dict[str, Any]:
    """One video: how well the screen was found (`iou`, of the worst of its layouts), whether it was rejected, how long that
    took (wall and processor seconds), and the share of pixels that equal the emulator's (`same`, median over frames)."""
    path = render(layout, cache / f"s{layout.seed}n{layout.number}.mp4", cache)
    began, worked = time.perf_counter(), time.process_time()
    times, pictures = sample(path)
    segments = find_in_pictures(times, pictures, **({"side": layout.side} if layout.side else {}))
    ways = plan(times, pictures, [s for s in segments if s.rect is not None and s.confidence >= LEAST])
    facts: dict[str, Any] = {
        "number": layout.number, "kind": layout.kind, "expect": layout.expect, "integer": layout.integer,
        "scale": [round(s.rect[2] / 160, 3) for s in layout.screens], "scaler": [s.scaler for s in layout.screens],
        "wall_s": round(time.perf_counter() - began, 3), "cpu_s": round(time.process_time() - worked, 3),
        "rejected": not ways, "reasons": [s.reason for s in segments if s.reason], "sure": [round(s.confidence, 2) for s in segments],
    }  # fmt: skip
    if layout.expect != "screen":
        return facts
    facts["iou"] = round(_worst(layout, segments), 4)
    if read and ways:
        facts.update(_read(layout, path, ways, cache))
    return facts


def _worst(layout: Layout, segments: list[Segment]) -> float:
    """IoU in the middle of each layout's time, the least of them; rejected is 0."""
    shown = [s for s in layout.screens if s.start > 0 or s.end < 1] or [layout.screens[-1 if layout.side == "right" else 0]]
    worst = 1.0
    for screen in shown:
        middle = (screen.start + screen.end) / 2 * layout.seconds
        here = [s for s in segments if s.start <= middle <= s.end and s.rect is not None and s.confidence >= LEAST]
        worst = min(worst, iou(here[0].rect, screen.rect) if here and here[0].rect else 0.0)
    return worst


def _read(layout: Layout, path: Path, ways: list[Any], cache: Path) -> dict[str, Any]:
    """Decoded frames against the emulator's. A decoder may take the picture before or after a time: the nearest wins."""
    painter, same, kept, due = Painter(layout, cache, game_only=True), [], 0, 0
    for chunk in decode(path, ways, READ_FPS):
        for place, (frame, flags) in enumerate(zip(chunk.frames, chunk.flags, strict=True)):
            at = (chunk.first + place) / READ_FPS
            around = [t for t in (at + step / 59.0 for step in range(-4, 5)) if 0 <= t < layout.seconds]
            shown = [(s, t) for t in around if (s := painter.showing(t)) is not None]
            if not shown:
                continue
            due += 1
            if flags & NOT_GAME:
                continue
            kept += 1
            same.append(max(float((frame == painter.ranks(t, s.clip)).mean()) for s, t in shown))
    if not same:
        return {"same": 0.0, "kept": 0.0}
    return {
        "same": round(float(np.median(same)), 5),
        "mean_same": round(float(np.mean(same)), 5),
        "kept": round(kept / max(due, 1), 3),
    }


def study(count: int, seed: int, cache: Path, read: bool = True, workers: int = 1) -> dict[str, Any]:
    """All layouts, and what the issue asks of them."""
    drawn = layouts(count, seed)
    work = partial(measure, cache=cache, read=read)
    if workers == 1:
        facts = [_told(work(one)) for one in drawn]
    else:
        with ProcessPoolExecutor(workers) as pool:
            facts = [_told(fact) for fact in pool.map(work, drawn)]
    return {**summary(facts), "videos": facts}


def _told(fact: dict[str, Any]) -> dict[str, Any]:
    good = fact.get("iou", 1.0) >= 0.97 and (fact["expect"] == "screen" or fact["rejected"]) and fact.get("same", 1) > 0.95
    print("" if good else "**", json.dumps(fact), file=sys.stderr, flush=True)
    return fact


def summary(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares over videos, medians of seconds and of pixels, and every kind on its own."""
    one = [f for f in facts if f["expect"] == "screen"]
    rest = [f for f in facts if f["expect"] != "screen"]
    kinds: dict[str, list[bool]] = defaultdict(list)
    for fact in facts:
        kinds[fact["kind"]].append(fact["iou"] >= 0.97 if fact["expect"] == "screen" else fact["rejected"])
    whole = [f["same"] for f in one if "same" in f and f["integer"]]
    smooth = [f["same"] for f in one if "same" in f and not f["integer"]]
    return {
        "videos_with_a_screen": len(one),
        "found_share": round(float(np.mean([f["iou"] >= 0.97 for f in one])), 4) if one else None,
        "wrong_share": round(float(np.mean([f["iou"] < 0.97 and not f["rejected"] for f in one])), 4) if one else None,
        "videos_without": len(rest),
        "rejected_share": round(float(np.mean([f["rejected"] for f in rest])), 4) if rest else None,
        "seconds_median": round(float(np.median([f["wall_s"] for f in facts])), 2),
        "seconds_max": round(max(f["wall_s"] for f in facts), 2),
        "cpu_seconds_max": round(max(f["cpu_s"] for f in facts), 2),
        "same_integer": round(float(np.median(whole)), 5) if whole else None,
        "same_fractional": round(float(np.median(smooth)), 5) if smooth else None,
        "kept_median": round(float(np.median([f["kept"] for f in one if "kept" in f])), 4) if one else None,
        "right_by_kind": {kind: f"{sum(good)}/{len(good)}" for kind, good in sorted(kinds.items())},
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="How well are screens found and read?")
    parser.add_argument("--layouts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="keep the videos here (50 MB of game clips, about 13 MB a video)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--find-only", action="store_true", help="do not decode the videos")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as aside:
        cache = options.cache or Path(aside)
        cache.mkdir(parents=True, exist_ok=True)
        result = study(options.layouts, options.seed, cache, not options.find_only, options.workers)
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        print("\n".join(f"{name}: {value}" for name, value in result.items() if name != "videos"))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
