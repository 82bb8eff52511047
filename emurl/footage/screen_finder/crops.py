"""What a person knows better: screens given by hand, per video, in configs/video_crop_config.json.

    {"<video id, run id or url>": {"rect": [x, y, width, height]}
                                | {"segments": [{"start": 0, "end": 61.5, "rect": [x, y, width, height]}, …]}
                                | {"skip": "why"}}

A key that begins with an underscore is a remark.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emurl.core.errors import InputError
from emurl.footage.screen_finder.finder import Segment

Crops = dict[str, list[Segment]]


def load_crops(path: Path) -> Crops:
    """Segments by key; a skipped video has one segment without a rectangle.

    Raises:
        InputError: the file is missing, no JSON, or an entry is none of the three forms.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"frames.crop_config: {path}: no such file, expected a JSON file of screens given by hand") from None
    except (OSError, ValueError) as error:
        raise InputError(f"frames.crop_config: {path}: no JSON ({' '.join(str(error).split())[:80]})") from None
    if not isinstance(entries, dict):
        raise InputError(f"frames.crop_config: {path}: a JSON {type(entries).__name__}, expected an object of videos")
    return {
        key: _segments(value, f"frames.crop_config: {path}: {key}") for key, value in entries.items() if not key.startswith("_")
    }


def _segments(value: Any, where: str) -> list[Segment]:
    if isinstance(value, dict) and "skip" in value:
        return [Segment(0.0, float("inf"), None, 1.0, f"skipped by hand: {value['skip']}")]
    if isinstance(value, dict) and "rect" in value:
        return [Segment(0.0, float("inf"), _rect(value["rect"], where), 1.0)]
    if isinstance(value, dict) and isinstance(value.get("segments"), list) and value["segments"]:
        try:
            return [Segment(float(s["start"]), float(s["end"]), _rect(s["rect"], where), 1.0) for s in value["segments"]]
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{where}: a segment needs start, end (seconds) and rect") from None
    raise InputError(f"{where}: expected `rect`, `segments` or `skip`")


def _rect(value: Any, where: str) -> tuple[float, float, float, float]:
    good = (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)
    )
    if not good or value[2] <= 0 or value[3] <= 0:
        raise InputError(f"{where}: rect is {value!r}, expected [x, y, width, height] in pixels of the video")
    x, y, width, height = (float(v) for v in value)
    return (x, y, width, height)
