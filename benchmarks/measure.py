"""A figure, and the goal it is held against."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Goal:
    """What a figure is to be: at least or at most a value."""

    value: float
    least: bool

    def met(self, value: float) -> bool:
        return value >= self.value if self.least else value <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {number(self.value)}"


def at_least(value: float) -> Goal:
    return Goal(value, True)


def at_most(value: float) -> Goal:
    return Goal(value, False)


@dataclass
class Figure:
    """One line of the table: what was measured, in one round or several."""

    what: str
    unit: str
    values: list[float]
    goal: Goal | None = None
    note: str = ""
    """Where it comes from or what it consists of; of the last round."""
    who: str = "D-Chat"
    """The server it is of."""

    @property
    def value(self) -> float:
        """The median of the rounds; NaN where nothing could be measured."""
        return statistics.median(self.values) if self.values else math.nan

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        if not self.values:
            return "not measured"
        return "met" if self.goal.met(self.value) else "MISSED"

    @property
    def spread(self) -> str:
        """Smallest to largest, where there were several rounds."""
        return f"{number(min(self.values))} to {number(max(self.values))}" if len(self.values) > 1 else ""


@dataclass(frozen=True)
class Point:
    """A place on a curve of the picture (`picture.py`)."""

    chart: str
    who: str
    x: float | str
    y: float


def figure(what: str, value: float, unit: str, goal: Goal | None = None, note: str = "") -> Figure:
    return Figure(what, unit, [value], goal, note)


def merge(rounds: Iterable[Iterable[Figure]]) -> list[Figure]:
    """The same figures of several rounds as one each, in the order of the first round."""
    merged: dict[tuple[str, str], Figure] = {}
    for figures in rounds:
        for each in figures:
            known = merged.setdefault((each.what, each.who), replace(each, values=[]))
            known.values += each.values
            known.note = each.note
    return list(merged.values())


def over(figures: Iterable[Figure], what: str, goals: Mapping[str, Goal]) -> list[Figure]:
    """How many times as much D-Chat has as each of these peers; without a value where one was not measured."""
    of = {each.who: each for each in figures if each.what == what}
    found = []
    for peer, goal in goals.items():
        values = [of["D-Chat"].value / of[peer].value] if peer in of and of[peer].value else []
        found.append(Figure(f"{what}, D-Chat over {peer}", "×", values, goal))
    return found


def number(value: float) -> str:
    """Three digits that count, and no more noise than that."""
    if math.isnan(value):
        return "–"
    if value >= 1_000_000:
        return f"{value / 1e6:.2f} M"
    if value >= 10_000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


@dataclass(frozen=True)
class Sizes:
    """How much each benchmark does. The defaults are for figures, `SMALL` is for correctness."""

    fanout_streams: int = 1000
    streams_curve: tuple[int, ...] = (100, 300, 1000, 3000, 10_000)
    senders_curve: tuple[int, ...] = (1, 4, 16)  # and 64, from the other curve
    curve_deliveries: int = 1_500_000
    fanout_messages: int = 3000
    paced_messages: int = 100
    paced_rate: int = 20
    sends: int = 20_000
    latency_messages: int = 1000
    latency_rate: int = 200
    batches: int = 120
    idle_streams: int = 5000
    people: int = 20
    rooms: int = 20
    missed: int = 10_000
    missed_in_logs: int = 10_000
    history: int = 20_000
    small_history: int = 1000
    pages: int = 300
    starts: int = 5
    wire_calls: int = 5000
    backlog: int = 100_000
    small_rooms: int = 2000
    small_room: int = 50
    unit_messages: int = 20_000
    quiet_messages: int = 400
    beside_backlog: int = 500_000
    archived: int = 100_000
    deep_pages: int = 200
    missed_in_archive: int = 10_000
    small: bool = field(default=False)


SMALL = Sizes(
    fanout_streams=40,
    streams_curve=(10, 20),
    senders_curve=(1, 4),
    curve_deliveries=1000,
    fanout_messages=120,
    paced_messages=10,
    paced_rate=40,
    sends=300,
    latency_messages=40,
    batches=4,
    idle_streams=60,
    people=2,
    rooms=4,
    missed=320,
    missed_in_logs=4500,  # more than a worker keeps in memory
    history=500,
    small_history=200,
    pages=12,
    starts=1,
    wire_calls=50,
    backlog=2400,
    small_rooms=20,
    small_room=8,
    unit_messages=450,
    quiet_messages=4,
    beside_backlog=1600,
    archived=2400,
    deep_pages=5,
    missed_in_archive=5000,
    small=True,
)
