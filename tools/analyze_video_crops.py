"""Where is the game's screen in these videos? Prints the segments found, and draws a contact sheet.

    python tools/analyze_video_crops.py VIDEO... [--json] [--sheet FILE]

With --json one document: a list of {video, segments: [{start, end, rect: [x, y, width, height], confidence}]}. What is
printed for a video can be put into configs/video_crop_config.json. Exit code 1 when a video has no screen that could be
trusted, 2 when one cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from emurl.core.arguments import Parser
from emurl.core.errors import InputError
from emurl.core.refusals import require_file


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = Parser(prog="analyze_video_crops", description="Where is the game's screen in these videos?")
    parser.add_argument("video", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout and nothing else")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a contact sheet (PNG) of all videos")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except InputError as error:
        print(f"analyze_video_crops: {error}", file=sys.stderr)
        return error.exit_code


def _run(options: argparse.Namespace) -> int:
    require_file("--sheet", options.sheet, ".png")

    import cv2
    import numpy as np

    from emurl.footage.screen_finder.finder import find_screen
    from emurl.footage.screen_finder.sheet import contact_sheet
    from emurl.footage.video import NotAVideo

    found, sheets, code = [], [], 0
    for video in options.video:
        try:
            segments = find_screen(video)
        except NotAVideo as error:
            raise InputError(f"{video}: {error}, expected a video") from None
        found.append({"video": str(video), "segments": [segment.to_dict() for segment in segments]})
        if all(segment.rect is None for segment in segments):
            code = 1
        if options.sheet:
            sheets.append(contact_sheet(video, segments))
        if not options.json:
            for segment in segments:
                place = (
                    "rejected: " + segment.reason
                    if segment.rect is None
                    else "x {:.2f} y {:.2f} w {:.2f} h {:.2f}".format(*segment.rect)
                )
                print(f"{video}  {segment.start:7.1f} – {segment.end:7.1f} s  {place}  (confidence {segment.confidence:.2f})")
    if options.json:
        print(json.dumps(found, indent=2))
    if options.sheet:
        width = max(sheet.shape[1] for sheet in sheets)
        padded = [np.pad(sheet, ((0, 0), (0, width - sheet.shape[1]), (0, 0))) for sheet in sheets]
        if not cv2.imwrite(str(options.sheet), np.concatenate(padded)[..., ::-1]):
            raise InputError(f"--sheet {options.sheet}: cannot be written, expected a .png in a folder that can")
    return code


if __name__ == "__main__":
    sys.exit(main())
