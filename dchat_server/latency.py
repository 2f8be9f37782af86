"""How long sends and deliveries take: histograms that cost next to nothing to fill and that add up over workers.

Theory of operation
-------------------
*Sends.* Whoever answers a send notes the time since it had the request, in a histogram with fixed bounds: one clock
read, one search among `BOUNDS_S`, one addition.

*Deliveries.* A worker times what it sent and delivered itself, so one monotonic clock is enough. Nothing is counted a
delivery: once a flush, `Trail.passed` writes down which rooms had events and up to which seq. Of the sends that are
acknowledged, one each `EACH_S` by the time of its request (and so not fewer while things are slow) is looked up there,
or waited for, as the event may go out before its acknowledgement comes or after it.

*Over workers.* Each worker posts what its histograms gained in the last `WINDOW_S`. Counts add up, percentiles do not:
those of the cluster are read off the sum. They are exact to one bucket, a quarter of their value.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any

from dchat_server.stream import Channel

WINDOW_S = 10.0
EACH_S = 0.01
MOST_AWAITED = 64
GIVE_UP_S = 60.0
"""An event that did not come by then was lost, or nobody is left to whom it could be given."""
MOST_PASSED = 64

_STEPS = ("1", "1.25", "1.6", "2", "2.5", "3.15", "4", "5", "6.3", "8")
BOUNDS_S = tuple(float(f"{step}e{power}") for power in range(-4, 2) for step in _STEPS)
"""0.1 ms to 80 s, ten a decade (the preferred numbers of ISO 3). All workers must have the same."""

Sparse = Sequence[Sequence[int]]
"""A histogram's counts as they are posted: [bucket, count] of those that are not empty, in order."""


class Histogram:
    """How many times were how long. `counts` has one more than `bounds_s`: for those that took longer."""

    def __init__(self, bounds_s: Sequence[float] = BOUNDS_S) -> None:
        self.bounds_s = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.seconds = 0.0

    def note(self, seconds: float) -> None:
        """Count one that took so long. A bound belongs to the bucket below it."""
        self.counts[bisect_left(self.bounds_s, seconds)] += 1
        self.seconds += seconds

    def up_to(self, bounds_s: Iterable[float]) -> list[tuple[str, float]]:
        """How many took at most so long, for some of the bounds and for all, as Prometheus wants them."""
        rising = list(accumulate(self.counts))
        rows = [(str(bound), float(rising[bisect_left(self.bounds_s, bound)])) for bound in bounds_s]
        return [*rows, ("+Inf", float(rising[-1]))]


class Recent:
    """What a histogram gained in the last `WINDOW_S`. Call `look` about once a second."""

    def __init__(self, histogram: Histogram, now: float) -> None:
        self._histogram = histogram
        self._before = deque([(now, histogram.counts[:])])

    def look(self, now: float) -> Sparse:
        """The counts gained since the look that is `WINDOW_S` ago, or the first one."""
        while len(self._before) > 1 and self._before[1][0] <= now - WINDOW_S:
            self._before.popleft()
        counts = self._histogram.counts[:]
        old = self._before[0][1]
        self._before.append((now, counts))
        return [[at, new - old[at]] for at, new in enumerate(counts) if new > old[at]]


def merged(parts: Iterable[Sparse]) -> Sparse:
    """The histogram of everything that is in any of these."""
    total: dict[int, int] = {}
    for part in parts:
        for at, count in part:
            total[at] = total.get(at, 0) + count
    return [[at, total[at]] for at in sorted(total)]


def percentile_ms(counts: Sparse, share: float) -> float | None:
    """The time, in ms, that this share of them (0 to 1) did not exceed, as if each bucket were evenly filled; None when
    there are none. What took longer than the last bound counts as that."""
    rank = share * sum(count for _, count in counts)
    below = 0
    for at, count in counts:
        if count and below + count >= rank:
            low = BOUNDS_S[at - 1] if at else 0.0
            high = BOUNDS_S[min(at, len(BOUNDS_S) - 1)]
            return round((low + (high - low) * (rank - below) / count) * 1000, 3)
        below += count
    return None


def summary_ms(counts: Sparse) -> dict[str, Any] | None:
    """`{"p50","p95","p99","count"}`, times in ms; None when nothing was measured."""
    total = sum(count for _, count in counts)
    if not total:
        return None
    return {f"p{share}": percentile_ms(counts, share / 100) for share in (50, 95, 99)} | {"count": total}


class Trail:
    """Up to where each room's events were lately given to its streams, and the sends that are waited for there."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.times = Histogram()
        self._clock = clock
        self.due = 0.0
        """Of the sends whose request was there from this time on the next one is followed."""
        self._passed: deque[tuple[str, int, float]] = deque(maxlen=MOST_PASSED)
        self._awaited: dict[str, list[tuple[int, float]]] = {}
        self._count = 0

    def passed(self, channels: Iterable[Channel]) -> None:
        """What these rooms had was given to the streams that are here."""
        now = self._clock()
        for channel in channels:
            self._passed.append((channel.name, channel.last, now))
            if channel.name in self._awaited:
                self._end(channel.name, channel.last, now)

    def sent(self, channel: Channel, seq: int, began: float) -> None:
        """A send whose request was there at `began`, not before `due`, was acknowledged with this seq, in a room that
        has streams here."""
        self.due, room = began + EACH_S, channel.name
        if channel.last >= seq and not channel.pending:
            at = None
            for name, last, when in reversed(self._passed):
                if name == room:
                    if last < seq:
                        break
                    at = when
            if at is not None:  # else it is so long ago that nobody knows
                self.times.note(at - began)
        else:
            if self._count >= MOST_AWAITED:
                self._give_up(began - GIVE_UP_S)
            if self._count < MOST_AWAITED:
                self._awaited.setdefault(room, []).append((seq, began))
                self._count += 1

    def forget(self) -> None:
        """The feed broke: what is waited for may never come."""
        self._awaited.clear()
        self._count = 0

    def _end(self, room: str, last: int, now: float) -> None:
        waiting = self._awaited.pop(room)
        left = [each for each in waiting if each[0] > last]
        if left:
            self._awaited[room] = left
        self._count -= len(waiting) - len(left)
        for seq, began in waiting:
            if seq <= last and now - began < GIVE_UP_S:
                self.times.note(now - began)

    def _give_up(self, before: float) -> None:
        self._awaited = {
            room: left
            for room, waiting in self._awaited.items()
            if (left := [each for each in waiting if each[1] > before])
        }
        self._count = sum(map(len, self._awaited.values()))
