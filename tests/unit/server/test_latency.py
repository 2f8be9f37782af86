"""How long things took: what is measured, of how much, what is given up. Merging: property/test_server_latency.py."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dchat_server.latency import (
    BOUNDS_S,
    EACH_S,
    GIVE_UP_S,
    MOST_AWAITED,
    MOST_PASSED,
    WINDOW_S,
    Histogram,
    Recent,
    Trail,
    percentile_ms,
    summary_ms,
)
from dchat_server.stream import Channel


def test_the_bounds_rise_and_hold_those_that_people_draw() -> None:
    assert list(BOUNDS_S) == sorted(set(BOUNDS_S))
    assert {0.001, 0.0025, 0.005, 0.01, 0.1, 1.0, 10.0} <= set(BOUNDS_S)
    assert max(high / low for low, high in pairwise(BOUNDS_S)) < 1.3


def test_a_time_is_counted_in_the_bucket_whose_bound_it_does_not_exceed() -> None:
    histogram = Histogram((0.1, 0.2))
    for seconds in (0.0, 0.1, 0.100001, 0.2, 9.0):
        histogram.note(seconds)
    assert (histogram.counts, histogram.seconds) == ([2, 2, 1], pytest.approx(9.400001))
    assert histogram.up_to((0.1, 0.2)) == [("0.1", 2.0), ("0.2", 4.0), ("+Inf", 5.0)]
    assert histogram.up_to((0.2,)) == [("0.2", 4.0), ("+Inf", 5.0)], "some of the bounds, the same counts"


def test_what_is_recent_is_forgotten_after_the_window_and_not_before() -> None:
    histogram, now = Histogram(), 100.0
    recent = Recent(histogram, now)
    histogram.note(0.001)
    for _ in range(int(WINDOW_S)):
        now += 1.0
        assert [count for _, count in recent.look(now)] == [1]
    histogram.note(0.5)
    assert [count for _, count in recent.look(now + 1.0)] == [1], "the first one is older than the window by now"
    assert recent.look(now + 2 * WINDOW_S) == []


def test_a_worker_that_looks_seldom_tells_of_no_more_than_happened() -> None:
    histogram = Histogram()
    recent = Recent(histogram, 0.0)
    for at in range(1, 1000):
        histogram.note(0.001)
        assert sum(count for _, count in recent.look(at * 7.0)) <= 3
    assert len(recent._before) <= 4, "nor does it keep more"


def test_nothing_measured_has_no_percentiles() -> None:
    assert percentile_ms((), 0.99) is None
    assert summary_ms(()) is None
    assert summary_ms([[3, 0]]) is None


def test_percentiles_of_one_are_that_one() -> None:
    histogram = Histogram()
    histogram.note(0.0024)
    told = summary_ms(Recent(Histogram(), 0).look(0) or [[histogram.counts.index(1), 1]])
    assert told is not None
    assert told["count"] == 1
    assert all(2.0 <= told[share] <= 2.5 for share in ("p50", "p95", "p99"))


def test_what_took_longer_than_all_bounds_is_told_as_the_last() -> None:
    assert percentile_ms([[len(BOUNDS_S), 4]], 0.99) == BOUNDS_S[-1] * 1000


class Stage:
    """A trail whose clock stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.trail = Trail(lambda: self.now)
        self.channels: dict[str, Channel] = {}

    def channel(self, room: str) -> Channel:
        return self.channels.setdefault(room, Channel(room, 0, public=True))

    def passed(self, room: str, seq: int, at: float) -> None:
        self.now, self.channel(room).last = at, seq
        self.trail.passed([self.channel(room)])

    def sent(self, room: str, seq: int, began: float) -> None:
        if began >= self.trail.due:
            self.trail.sent(self.channel(room), seq, began)

    @property
    def measured(self) -> tuple[int, float]:
        return sum(self.trail.times.counts), round(self.trail.times.seconds, 6)


def test_a_delivery_is_timed_whether_it_comes_before_the_answer_or_after_it() -> None:
    here = Stage()
    here.sent("hall", 1, 1000.0)
    here.passed("hall", 1, 1000.5)
    assert here.measured == (1, 0.5)
    here.passed("hall", 2, 1001.25)
    here.passed("hall", 3, 1007.0)
    here.sent("hall", 2, 1001.0)
    assert here.measured == (2, 0.75), "the time is that of its own delivery, not of what came later"


def test_what_is_waited_for_does_not_end_with_another_rooms_or_an_earlier_event() -> None:
    here = Stage()
    here.sent("hall", 5, 1000.0)
    here.passed("den", 9, 1000.1)
    here.passed("hall", 4, 1000.2)
    assert here.measured == (0, 0)
    here.passed("hall", 6, 1000.3)
    assert here.measured == (1, 0.3)
    here.passed("hall", 7, 1000.4)
    assert here.measured == (1, 0.3)


def test_of_many_sends_one_in_ten_milliseconds_is_timed_also_while_they_are_slow() -> None:
    here = Stage()
    for seq in range(1, 101):  # a stall: of all these nothing has been delivered yet
        here.sent("hall", seq, 1000.0 + seq * EACH_S / 10)
    here.passed("hall", 100, 1001.0)
    count, seconds = here.measured
    assert 9 <= count <= 11
    assert 0.9 < seconds / count < 1.0


def test_what_is_waited_for_is_bounded_and_makes_way_in_time() -> None:
    here = Stage()
    for number in range(MOST_AWAITED + 5):
        here.sent(f"r{number}", 1, 1000.0 + number)
    assert sum(map(len, here.trail._awaited.values())) == MOST_AWAITED
    later = 1000.0 + MOST_AWAITED + 5 + GIVE_UP_S
    here.sent("late", 1, later)
    here.passed("late", 1, later + 0.5)
    assert here.measured == (1, 0.5)
    assert not here.trail._awaited
    assert here.trail._count == 0


def test_a_room_in_which_nothing_came_for_long_tells_nothing() -> None:
    here = Stage()
    here.sent("hall", 1, 1000.0)
    here.passed("hall", 2, 1000.0 + GIVE_UP_S)
    assert here.measured == (0, 0)
    here.passed("den", 1, 2000.0)
    for number in range(MOST_PASSED):
        here.passed(f"r{number}", 1, 2000.0)
    here.sent("den", 1, 1999.0)
    assert here.measured == (0, 0), "delivered so long ago that nobody knows when"
    here.passed("den", 2, 2001.0)
    assert here.measured == (0, 0)


def test_a_broken_feed_ends_the_waiting() -> None:
    here = Stage()
    here.sent("hall", 1, 1000.0)
    here.trail.forget()
    here.passed("hall", 1, 1000.5)
    assert here.measured == (0, 0)
