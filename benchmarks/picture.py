"""The pictures of a run, as SVG: charts side by side, with a line for each server, or for each of its parts.

They are drawn by hand here, as some charts need no library. Their colours follow the reader's dark or light desktop;
lines also differ in their marks, for those who do not see colours apart.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from benchmarks.measure import Point

WIDTH, LEFT, TOP, BOTTOM = 1140, 66, 106, 104
CHART_WIDTH, CHART_HEIGHT, GAP, ROW_GAP, A_ROW = 288, 270, 92, 110, 3
MARKS = (
    "M-4.5 0A4.5 4.5 0 1 1 4.5 0A4.5 4.5 0 1 1-4.5 0Z",
    "M-4-4H4V4H-4Z",
    "M0-5.2 4.8 3.6H-4.8Z",
    "M0-5.4 5.4 0 0 5.4-5.4 0Z",
    "M0 5.2 4.8-3.6H-4.8Z",
    "M-5-1.4H-1.4V-5H1.4V-1.4H5V1.4H1.4V5H-1.4V1.4H-5Z",
    "M-5.4-1.8H5.4V1.8H-5.4Z",
)
STYLE = """
svg{--paper:#fff;--ink:#1b2030;--soft:#5a6275;--grid:#e3e7f0;
--s0:#2f52e0;--s1:#b3261e;--s2:#8a4fc4;--s3:#a06000;--s4:#00766c;--s5:#6b7280;--s6:#9a3f7a}
@media (prefers-color-scheme:dark){svg{--paper:#12151d;--ink:#eef1f8;--soft:#a6aec2;--grid:#2b3140;
--s0:#8aa4ff;--s1:#ff8a80;--s2:#cfa5ff;--s3:#f5b83d;--s4:#4fd1c5;--s5:#9aa3b5;--s6:#f0a3d0}}
text{fill:var(--ink);font-size:12.5px}
.soft{fill:var(--soft);font-size:11.5px}
.head{font-size:14px;font-weight:600}
.grid{stroke:var(--grid);fill:none}
.line{fill:none;stroke-width:1.8}
.ours{stroke-width:3}
"""


@dataclass(frozen=True)
class Chart:
    """Which points it shows, and what its axes are called. Both axes are logarithmic, or `x` has names."""

    of: str
    title: str
    x: str
    y: str
    names: tuple[str, ...] = ()
    even: str = ""
    """Axes that are not logarithmic: "x", "y" (from 0) or "xy"."""


SERVERS = ("D-Chat", "Nchan", "socket.io", "ngIRCd", "NATS", "bare loop")
CHARTS = (
    Chart("CPU a delivery", "CPU a delivery, 64 sends in flight", "streams in the room", "µs, less is better"),
    Chart("deliveries", "deliveries a second, 1,000 streams", "sends in flight", "deliveries/s, more is better"),
    Chart(
        "latency",
        "from send to delivery, 200 messages/s",
        "percentile",
        "ms, less is better",
        ("p50", "p90", "p99", "max"),
    ),
)


@dataclass(frozen=True)
class Picture:
    """Charts, the lines they may have, in the order of the legend, and what it all shows, in words."""

    title: str
    shows: str
    lines: tuple[str, ...]
    """Each has its colour and its mark; the first is drawn thick and above the others."""
    charts: tuple[Chart, ...] = field(repr=False)


SIDE_BY_SIDE = Picture(
    "D-Chat side by side with its peers", "CPU a delivery, deliveries a second and latency", SERVERS, CHARTS
)


class Axis:
    """Where values lie, logarithmically or evenly: from `low` to `high`, which are `begin` and `end` in pixels."""

    def __init__(self, low: float, high: float, begin: float, end: float, *, even: bool = False) -> None:
        self.low, self.high, self.begin, self.end, self.even = low, max(high, low * 1.1), begin, end, even

    def at(self, value: float) -> float:
        if self.even:
            part = (value - self.low) / (self.high - self.low)
        else:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return round(self.begin + part * (self.end - self.begin), 1)


def decades(values: Iterable[float]) -> list[float]:
    """1, 10, 100 and so on, around all values."""
    logs = [math.log10(max(value, 1e-3)) for value in values]
    low = math.floor(min(logs))
    return [10.0**power for power in range(low, max(math.ceil(max(logs)), low + 1) + 1)]


def steps(values: Iterable[float]) -> list[float]:
    """0 and up to six more, evenly, around all values: by 1, 2 or 5, or ten times as much, and so on."""
    most = max([*values, 1e-3])
    step = 10.0 ** math.floor(math.log10(most / 5))
    step *= next(times for times in (1, 2, 5, 10) if step * times * 6 >= most)
    return [round(number * step, 9) for number in range(math.ceil(most / step) + 1)]


def draw(points: Sequence[Point], about: str, picture: Picture = SIDE_BY_SIDE) -> str:
    """The charts of these points; those of the same place are shown as their median. `about`: date and machine."""
    who = [line for line in picture.lines if any(point.who == line for point in points)]
    rows = math.ceil(len(picture.charts) / A_ROW)
    height = TOP + rows * CHART_HEIGHT + (rows - 1) * ROW_GAP + BOTTOM
    words = f"{picture.shows} of {', '.join(who)}. {about}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t d" '
        "font-family=\"ui-sans-serif,system-ui,'Segoe UI',sans-serif\">",
        f'<title id="t">{escape(picture.title)}</title><desc id="d">{escape(words)}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" rx="14" fill="var(--paper)"/>',
        *_legend(picture, who),
    ]
    for number, chart in enumerate(picture.charts):
        row, column = divmod(number, A_ROW)
        left, top = LEFT + column * (CHART_WIDTH + GAP), TOP + row * (CHART_HEIGHT + ROW_GAP)
        parts += _chart(picture, chart, [point for point in points if point.chart == chart.of], left, top)
    parts.append(_text(LEFT - 40, height - 16, about, "soft"))
    return "\n".join([*parts, "</svg>", ""])


def _legend(picture: Picture, who: Iterable[str]) -> list[str]:
    parts, x = [], LEFT - 34.0
    for line in who:
        parts += [_mark(picture.lines.index(line), x, 30), _text(x + 12, 34.5, line)]
        x += 44 + 7.2 * len(line)
    return parts


def _chart(picture: Picture, chart: Chart, points: Sequence[Point], left: float, top: float) -> list[str]:
    bottom = top + CHART_HEIGHT
    parts = [
        _text(left - 40, top - 36, chart.title, "head"),
        _text(left - 40, top - 18, chart.y, "soft"),
        _text(left + CHART_WIDTH / 2, bottom + 40, chart.x, "soft", "middle"),
    ]
    if not points:
        return [*parts, _text(left, top + 30, "not measured", "soft")]
    ticks = (steps if "y" in chart.even else decades)(point.y for point in points)
    heights = Axis(ticks[0], ticks[-1], bottom, top, even="y" in chart.even)
    for tick in ticks:
        y = heights.at(tick)
        parts.append(f'<path class="grid" d="M{left} {y}h{CHART_WIDTH}"/>')
        parts.append(_text(left - 8, y + 4, _short(tick), "soft", "end"))
    places = _places(chart, points, left)
    for x, place in places.items():
        parts.append(_text(place, bottom + 20, x if isinstance(x, str) else _short(x), "soft", "middle"))
    for number, line in reversed(list(enumerate(picture.lines))):  # the first one last: above the others
        values = _values(points, line)
        parts += _line(number, [(places[x], heights.at(values[x])) for x in places if x in values])
    return parts


def _places(chart: Chart, points: Iterable[Point], left: float) -> dict[float | str, float]:
    """Where each `x` of the points lies, from left to right."""
    if chart.names:
        step = CHART_WIDTH / len(chart.names)
        return {name: left + step * (at + 0.5) for at, name in enumerate(chart.names)}
    values = sorted({float(point.x) for point in points})
    axis = Axis(values[0], values[-1], left, left + CHART_WIDTH, even="x" in chart.even)
    return {value: axis.at(value) for value in values}


def _values(points: Iterable[Point], line: str) -> dict[float | str, float]:
    """A line's `y` by its `x`: the median, where several rounds were measured."""
    found: dict[float | str, list[float]] = {}
    for point in points:
        if point.who == line:
            found.setdefault(point.x, []).append(point.y)
    return {x: statistics.median(values) for x, values in found.items()}


def _line(number: int, places: Sequence[tuple[float, float]]) -> list[str]:
    if not places:
        return []
    path, ours = "L".join(f"{x:g} {y:g}" for x, y in places), " ours" * (number == 0)
    line = f'<path class="line{ours}" stroke="var(--s{number})" d="M{path}"/>'
    return [line, *(_mark(number, x, y) for x, y in places)]


def _mark(number: int, x: float, y: float) -> str:
    return f'<path fill="var(--s{number})" transform="translate({x:g} {y:g})" d="{MARKS[number]}"/>'


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    anchor = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:g}" y="{y:g}"{kind}{anchor}>{escape(words)}</text>'


def _short(value: float) -> str:
    """A tick: 0.1, 10, 10 k, 1 M."""
    for size, word in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{word}"
    return f"{value:g}"
