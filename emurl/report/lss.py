"""Split times as a file of LiveSplit, the timer that speedrunners use: its XML, version 1.7.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as Xml

from emurl.rewards.split_times import SplitTimes, Times, bests

VERSION = "1.7.0"
TICKS = 10_000_000  # a second, of LiveSplit's clock
PERSONAL_BEST = "Personal Best"


def livesplit(game: str, category: str, attempts: Sequence[SplitTimes], comparisons: Mapping[str, Times]) -> bytes:
    """The file: the quickest attempt is the personal best, and every one of them is in the history.

    Args:
        attempts: at least one, all with the same splits. comparisons: other times to run against, by name.
    """
    best = min(attempts, key=lambda run: (not run.finished, -sum(time is not None for time in run.seconds), run.seconds[-1:]))
    run = Xml.Element("Run", version=VERSION)
    Xml.SubElement(run, "GameIcon")
    Xml.SubElement(run, "GameName").text = _plain(game)
    Xml.SubElement(run, "CategoryName").text = _plain(category)
    metadata = Xml.SubElement(run, "Metadata")
    Xml.SubElement(metadata, "Run", id="")
    Xml.SubElement(metadata, "Platform", usesEmulator="False")
    Xml.SubElement(metadata, "Region")
    Xml.SubElement(metadata, "Variables")
    Xml.SubElement(run, "Offset").text = "00:00:00"
    Xml.SubElement(run, "AttemptCount").text = str(len(attempts))
    history = Xml.SubElement(run, "AttemptHistory")
    for number, attempt in enumerate(attempts, 1):
        _time(Xml.SubElement(history, "Attempt", id=str(number)), attempt.seconds[-1] if attempt.finished else None)
    segments = Xml.SubElement(run, "Segments")
    parts = [attempt.segments for attempt in attempts]
    golds = bests(parts)
    against = {PERSONAL_BEST: best.seconds, **comparisons}
    for split in range(len(golds)):
        segment = Xml.SubElement(segments, "Segment")
        Xml.SubElement(segment, "Name").text = f"Split {split + 1}"
        Xml.SubElement(segment, "Icon")
        times = Xml.SubElement(segment, "SplitTimes")
        for name, values in against.items():
            _time(Xml.SubElement(times, "SplitTime", name=name), values[split])
        _time(Xml.SubElement(segment, "BestSegmentTime"), golds[split])
        told = Xml.SubElement(segment, "SegmentHistory")
        for number, part in enumerate(parts, 1):
            _time(Xml.SubElement(told, "Time", id=str(number)), part[split])
    Xml.SubElement(run, "AutoSplitterSettings")
    Xml.indent(run)
    return bytes(Xml.tostring(run, encoding="UTF-8", xml_declaration=True)) + b"\n"


def time_span(seconds: float) -> str:
    """Seconds as LiveSplit writes them: 00:02:03.4000000, and days before it where there are some."""
    whole, ticks = divmod(round(seconds * TICKS), TICKS)
    days, rest = divmod(whole, 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}.{ticks:07d}"
    return f"{days}.{clock}" if days else clock


def _time(parent: Xml.Element, seconds: float | None) -> None:
    # A time that is not known is an element without anything in it.
    if seconds is not None:
        Xml.SubElement(parent, "RealTime").text = time_span(seconds)


def _plain(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(letter for letter in text if letter.isprintable())
