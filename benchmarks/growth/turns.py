"""Measuring at many places so that they can be compared, and the straight line through what was found."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


def in_turns(places: Sequence[int], measure: Callable[[int], T], rounds: int) -> dict[int, list[T]]:
    """What `measure` finds at each place, there and back, `rounds` times.

    A machine that others use is now faster, now slower. Of a steady drift the way back has what the way there lacked.
    """
    found: dict[int, list[T]] = {place: [] for place in places}
    for _ in range(rounds):
        for place in (*places, *reversed(places)):
            found[place].append(measure(place))
    return found


def medians(found: Mapping[int, Sequence[T]], value: Callable[[T], float]) -> dict[int, float]:
    """The curve: place → the median of what was found there."""
    return {place: statistics.median(map(value, there)) for place, there in found.items()}


def ratio(found: Mapping[int, Sequence[T]], value: Callable[[T], float], place: int, to: int) -> float:
    """How many times as much there is at `place` as at `to`: the median over the turns."""
    pairs = zip(found[place], found[to], strict=True)
    return statistics.median(value(here) / value(there) for here, there in pairs)


@dataclass(frozen=True)
class Line:
    """`start` + `slope` × x."""

    start: float
    slope: float

    def at(self, x: float) -> float:
        return self.start + self.slope * x


def through(curve: Mapping[int, float]) -> Line:
    """The straight line through a curve of two places or more, by least squares."""
    slope, start = statistics.linear_regression(list(curve), list(curve.values()))
    return Line(start, slope)
