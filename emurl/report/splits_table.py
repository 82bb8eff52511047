"""Split times as a table for the terminal."""

from __future__ import annotations

import shutil
from typing import Any


def stopwatch(seconds: float | None) -> str:
    """Seconds as runners read them: 1:02.3, 1:00:02.3; a dash for none."""
    if seconds is None:
        return "-"
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02d}" if hours else f"{minutes}") + f":{rest // 10:02d}.{rest % 10}"


def ahead_or_behind(seconds: float | None, other: float | None) -> str:
    """How much later than `other`: +1.2, -0.8, +1:02.3; nothing where one of the two is missing."""
    if seconds is None or other is None:
        return ""
    apart = round((seconds - other) * 10) / 10
    told = stopwatch(abs(apart)) if abs(apart) >= 60 else f"{abs(apart):.1f}"
    return ("-" if apart < 0 else "+") + told


def as_text(told: dict[str, Any]) -> str:
    """What `emurl.splits.splits` returned, as a table."""
    if not told["splits"]:
        return f"{told['reward']}: the runs of the footage have no splits in common"
    return _all_as_text(told) if "runs" in told else _one_as_text(told)


def _left_out(count: int) -> list[str]:
    """The line that says how many splits are not in the table, if any."""
    what = "split that no run shows is" if count == 1 else "splits that no run shows are"
    return [f"{count} {what} left out"] if count else []


def _one_as_text(told: dict[str, Any]) -> str:
    rows = told["splits"]
    passed = sum(row["seconds"] is not None for row in rows)
    end = "" if told["finished"] else ", not to the end"
    shown = [row for row in rows if row["seconds"] is not None or row["median_seconds"] is not None]
    lines = [
        f"{told['video'] or told['run']}: {passed} of {len(rows)} splits of {told['reward']}{end}",
        "",
    ]
    lines.append(f"{'split':>5}  {'time':>9}  {'segment':>9}  {'± median':>9}")
    for row in shown:
        apart = ahead_or_behind(row["seconds"], row["median_seconds"])
        lines.append(
            f"{row['number']:>5}  {stopwatch(row['seconds']):>9}  {stopwatch(row['segment_seconds']):>9}  {apart:>9}".rstrip()
        )
    return "\n".join(lines + _left_out(len(rows) - len(shown)))


def _all_as_text(told: dict[str, Any]) -> str:
    """Runs as rows; splits as columns, in as many bands as the width of the terminal asks for."""
    shown = [place for place, row in enumerate(told["splits"]) if row["passed_by"]]
    lines = [f"{len(told['runs'])} runs, {len(told['splits'])} splits of {told['reward']}"]
    rows = [(one["run"], [one["splits"][place]["seconds"] for place in shown]) for one in told["runs"]]
    rows += [
        (name, [told["splits"][place][key] for place in shown])
        for name, key in (
            ("median", "median_seconds"),
            ("median segment", "median_segment_seconds"),
            ("best segment", "best_segment_seconds"),
        )
    ]
    cells = [[stopwatch(value) for value in values] for _, values in rows]
    first = max(len(name) for name, _ in rows)
    each = 2 + max((len(cell) for row in cells for cell in row), default=0)
    count = max(1, (shutil.get_terminal_size((142, 24)).columns - first) // each)
    for begin in range(0, len(shown), count):
        heads = [str(told["splits"][place]["number"]) for place in shown[begin : begin + count]]
        lines += ["", " " * first + "".join(head.rjust(each) for head in heads)]
        for place, (name, _) in enumerate(rows):
            if place == len(told["runs"]):
                lines.append("─" * (first + each * len(heads)))
            lines.append(name.ljust(first) + "".join(cell.rjust(each) for cell in cells[place][begin : begin + count]))
    return "\n".join(lines + _left_out(len(told["splits"]) - len(shown)))
