"""Charts as inline SVG: no library, no network, a few hundred bytes each, and colors that follow the page's theme.

Colors are CSS variables `--c0` … `--c4` of the page; text and lines use `currentColor`. Numbers are rounded to a tenth of a
pixel so that the same data gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

LEFT, RIGHT, TOP, BOTTOM = 46, 12, 14, 30  # margins, px
COLORS = 5


@dataclass(frozen=True)
class Line:
    """A named curve: points (x, y); not-a-numbers are left out. `color` is 0 … 4."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: int = 0


def number(value: float | int | str | bool | None) -> str:
    """A figure as people read it: four significant digits, no trailing zeros, an en dash for none."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return f"{value:.4g}"


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round numbers from `low` to `high`, both included if they are round."""
    if not math.isfinite(low) or not math.isfinite(high) or high <= low:
        return [low]
    raw = (high - low) / count
    unit = 10 ** math.floor(math.log10(raw))
    step = next(size * unit for size in (1, 2, 2.5, 5, 10) if size * unit >= raw * 0.999)

    def slack(steps: float) -> float:
        return 4 * math.ulp(max(1.0, abs(steps)))  # what rounding takes from a whole number, and no more

    first = math.ceil(low / step - slack(low / step))
    return [round(k * step, 12) for k in range(first, math.floor(high / step + slack(high / step)) + 1)]


def _svg(width: int, height: int, body: list[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{''.join(body)}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str = "middle", kind: str = "tick") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def thin(x: Sequence[float], y: Sequence[float], most: int = 400) -> tuple[list[float], list[float]]:
    """At most `most` points of a curve, evenly chosen, ends kept, without the points that are no numbers."""
    points = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if len(points) > most:
        points = [points[round(k * (len(points) - 1) / (most - 1))] for k in range(most)]
    return [a for a, _ in points], [b for _, b in points]


def line_chart(lines: Sequence[Line], title: str, x_label: str = "step", width: int = 460, height: int = 220) -> str:
    """Curves over a common axis; the legend is the page's business when there is more than one."""
    curves = [(line, *thin(line.x, line.y)) for line in lines]
    xs = [x for _, points, _ in curves for x in points]
    ys = [y for _, _, points in curves for y in points]
    if not xs:
        return _svg(width, height, [_text(width / 2, height / 2, "no data")], title)
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    x1 = x1 if x1 > x0 else x0 + 1
    pad = (y1 - y0) * 0.05 if y1 > y0 else max(abs(y0) * 0.1, 0.5)
    y0, y1 = y0 - pad, y1 + pad

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x0) / (x1 - x0) * (width - LEFT - RIGHT)
        return across, height - BOTTOM - (y - y0) / (y1 - y0) * (height - TOP - BOTTOM)

    body = []
    for tick in ticks(y0, y1):
        _, y = at(x0, tick)
        body.append(f'<line x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        body.append(_text(LEFT - 6, y + 3.5, number(float(tick)), "end"))
    for tick in ticks(x0, x1):
        x, _ = at(tick, y0)
        body.append(_text(x, height - BOTTOM + 15, _short(tick)))
    body.append(_text(width - RIGHT, height - 3, x_label, "end", "label"))
    for line, px, py in reversed(curves):  # the first curve lies on top
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(a, b) for a, b in zip(px, py, strict=True)))
        if len(px) == 1:
            x, y = at(px[0], py[0])
            body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="dot c{line.color % COLORS}"/>')
        elif px:
            body.append(f'<polyline points="{path}" class="curve c{line.color % COLORS}"/>')
    return _svg(width, height, body, title)


def _short(value: float) -> str:
    if abs(value) >= 10_000 and value % 1000 == 0:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def bar_chart(
    groups: Sequence[str], series: Mapping[str, Sequence[float]], title: str, width: int = 760, height: int = 260
) -> str:
    """Shares 0 … 1 as bars: a group a milestone, a bar a player, each with its value above."""
    body = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = height - BOTTOM - tick * (height - TOP - BOTTOM)
        body.append(f'<line x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        body.append(_text(LEFT - 6, y + 3.5, f"{tick:.0%}", "end"))
    room = (width - LEFT - RIGHT) / max(1, len(groups))
    breadth = min(34.0, 0.78 * room / max(1, len(series)))
    for place, group in enumerate(groups):
        middle = LEFT + (place + 0.5) * room
        body.append(_text(middle, height - BOTTOM + 16, group.replace("_", " "), kind="label"))
        for order, (name, shares) in enumerate(series.items()):
            share = min(1.0, max(0.0, shares[place]))
            tall = share * (height - TOP - BOTTOM)
            x = middle + (order - len(series) / 2) * breadth
            top = height - BOTTOM - max(tall, 1.0)
            body.append(
                f'<rect x="{x + 1.5:.1f}" y="{top:.1f}" width="{breadth - 3:.1f}" height="{max(tall, 1.0):.1f}" rx="2" '
                f'class="bar c{order % COLORS}"><title>{escape(name)}: {group} {share:.0%}</title></rect>'
            )
            if breadth >= 22:
                body.append(_text(x + breadth / 2, top - 4, f"{100 * share:.0f}"))
    return _svg(width, height, body, title)
