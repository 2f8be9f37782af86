"""Rate limits: leases are fast, and never let through more than one bucket for everybody would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lupa.lua51 import LuaRuntime

from dchat_server.errors import BackendUnavailable, ChatError
from dchat_server.limits import RateLimiter, UserLimits
from dchat_server.ports_accounts import LEASE_S
from tests.in_memory import MemoryBuckets


class Clock:
    """Whole microseconds, turned by hand."""

    def __init__(self) -> None:
        self.us = 1_800_000_000_000_000

    def __call__(self) -> float:
        return self.us / 1e6

    def turn(self, seconds: float) -> None:
        self.us += round(seconds * 1e6)


class LuaBuckets:
    """lua/take.lua itself, with the clock of a test. `spoil` changes its text."""

    def __init__(self, clock: Clock, spoil: Callable[[str], str] = lambda text: text) -> None:
        text = spoil((resources.files("dchat_server") / "lua" / "take.lua").read_text("utf-8"))
        self._clock, self._stored = clock, dict[str, str]()
        self._lua = LuaRuntime()
        self._lua.globals().redis = self._lua.table(call=self._call)
        self._take = self._lua.eval(f"function(KEYS, ARGV)\n{text}\nend")
        self.asked = 0

    def _call(self, command: str, *args: Any) -> Any:
        if command == "TIME":
            return self._lua.table(*(str(part) for part in divmod(self._clock.us, 1_000_000)))
        if command == "GET":
            return self._stored.get(args[0], False)
        assert command == "SET"
        self._stored[args[0]] = args[1]
        assert float(args[3]) > 0
        return True

    async def take(
        self, subject: str, what: str, count: int, *, rate: float, burst: int, spare: int = 0
    ) -> tuple[int, float]:
        self.asked += 1
        args = self._lua.table(str(count), str(spare), repr(rate), str(burst), str(int(LEASE_S * 1e6)))
        granted, wait_us = self._take(self._lua.table(f"{what} {subject}"), args).values()
        return int(granted), int(wait_us) / 1e6


def most_overdrawn(events: list[tuple[float, int]], rate: float, burst: int) -> float:
    """How far below zero these (time, count) would have brought one exact bucket."""
    level, last, worst = float(burst), events[0][0] if events else 0.0, 0.0
    for moment, count in events:
        level = min(burst, level + (moment - last) * rate) - count
        worst, last = min(worst, level), moment
    return -worst


async def play(
    buckets: Any, clock: Clock, steps: list[tuple[int, float, int]], rate: float, burst: int
) -> list[tuple[float, int]]:
    """Three workers spend as `steps` (worker, seconds before, count) say; what was let through, and when."""
    workers = [RateLimiter(buckets, "x", rate=rate, burst=burst, spare=4, clock=clock) for _ in range(3)]
    passed = []
    for worker, pause, count in steps:
        clock.turn(pause)
        if count == 1 and workers[worker].try_spend("ada"):
            passed.append((clock(), 1))
        else:
            granted, wait_s = await workers[worker].spend("ada", count)
            assert 0 <= granted <= count
            assert wait_s >= 0
            assert granted == count or wait_s > 0 or rate > 1e5
            if granted:
                passed.append((clock(), granted))
    return passed


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([0.0, 0.0, 0.001, 0.05, 0.1, 0.4, 0.9, 0.999, 1.0, 1.5, 7.0]) | st.floats(0, 2),
        st.sampled_from([1, 1, 1, 1, 2, 7, 60]),
    ),
    max_size=80,
)
# A little on three workers, a pause in which the bucket fills, then the leases on top of a full burst.
ON_TOP = [(worker, 0.0, 1) for worker in (0, 1, 2)] + [(0, 0.9, 46)] + [(worker, 0.0, 1) for worker in (0, 1, 2) * 4]


@settings(deadline=None, max_examples=150)
@example(steps=ON_TOP, rate=10.0, burst=50)
@given(steps=STEPS, rate=st.sampled_from([0.5, 3.0, 10.0, 100.0]), burst=st.sampled_from([1, 2, 5, 10, 50]))
def test_three_workers_never_let_through_more_than_one_bucket_would(
    steps: list[tuple[int, float, int]], rate: float, burst: int
) -> None:
    clock = Clock()
    passed = asyncio.run(play(LuaBuckets(clock), clock, steps, rate, burst))
    assert most_overdrawn(passed, rate, burst) <= 1e-3


def test_a_bucket_that_leaves_no_room_for_leases_is_caught() -> None:
    def spoil(text: str) -> str:
        assert text.count("local out = lent + lent_before") == 1
        return text.replace("local out = lent + lent_before", "local out = 0")

    clock = Clock()
    passed = asyncio.run(play(LuaBuckets(clock, spoil), clock, ON_TOP, 10.0, 50))
    assert most_overdrawn(passed, 10.0, 50) >= 1


@pytest.mark.parametrize("pause_s", [0.101, 0.15, 0.34, 0.7, 1.01, 3.0])
async def test_who_keeps_to_the_rate_is_never_refused_because_of_leases(pause_s: float) -> None:
    clock = Clock()
    limiter = RateLimiter(LuaBuckets(clock), "x", rate=10, burst=50, clock=clock)
    for _ in range(500):
        assert limiter.try_spend("ada") or (await limiter.spend("ada"))[0] == 1
        clock.turn(pause_s)


async def test_half_of_a_burst_and_four_fifths_of_a_steady_flow_need_no_round_trip() -> None:
    clock = Clock()
    buckets = LuaBuckets(clock)
    limiter = RateLimiter(buckets, "x", rate=10, burst=50, clock=clock)
    for _ in range(50):
        assert limiter.try_spend("ada") or (await limiter.spend("ada"))[0] == 1
    assert buckets.asked <= 25
    clock.turn(10)
    buckets.asked = 0
    for _ in range(100):
        assert limiter.try_spend("ada") or (await limiter.spend("ada"))[0] == 1
        clock.turn(0.11)
    assert buckets.asked <= 22


async def test_a_lease_ends_after_its_second() -> None:
    clock = Clock()
    limiter = RateLimiter(MemoryBuckets(clock), "x", rate=10, burst=50, clock=clock)
    assert not limiter.try_spend("ada")
    await limiter.spend("ada")
    assert limiter.try_spend("ada")
    clock.turn(LEASE_S)
    assert not limiter.try_spend("ada")


async def test_a_refusal_is_repeated_without_asking_until_there_can_be_more() -> None:
    clock = Clock()
    buckets = MemoryBuckets(clock)
    limiter = RateLimiter(buckets, "x", rate=1, burst=2, clock=clock)
    assert await limiter.spend("ada", 5) == (2, 1.0)
    asked = buckets.asked
    clock.turn(0.25)
    assert await limiter.spend("ada") == (0, 0.75)
    assert buckets.asked == asked
    clock.turn(0.75)
    assert (await limiter.spend("ada"))[0] == 1


async def test_who_waits_at_the_same_time_shares_a_round_trip_and_is_served_in_order() -> None:
    clock = Clock()
    buckets = MemoryBuckets(clock)
    limiter = RateLimiter(buckets, "x", rate=1, burst=10, spare=0, clock=clock)
    answers = await asyncio.gather(*(limiter.spend("ada") for _ in range(14)), limiter.spend("bob"))
    assert [granted for granted, _ in answers] == [1] * 10 + [0] * 4 + [1]
    assert all(wait_s > 0 for granted, wait_s in answers if not granted)
    assert buckets.asked == 2


async def test_an_unreachable_store_fails_those_who_wait_and_no_later_one() -> None:
    class Unreachable(MemoryBuckets):
        down = True

        async def take(self, *args: Any, **options: Any) -> tuple[int, float]:
            if self.down:
                raise BackendUnavailable
            return await super().take(*args, **options)

    buckets = Unreachable()
    limiter = RateLimiter(buckets, "x", rate=1, burst=10)
    answers = await asyncio.gather(*(limiter.spend("ada") for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [BackendUnavailable] * 3
    buckets.down = False
    assert (await limiter.spend("ada"))[0] == 1


async def test_somebody_who_went_away_while_waiting_takes_nothing_from_others() -> None:
    gate = asyncio.Event()

    class Slow(MemoryBuckets):
        async def take(self, *args: Any, **options: Any) -> tuple[int, float]:
            await gate.wait()
            return await super().take(*args, **options)

    limiter = RateLimiter(Slow(), "x", rate=0.01, burst=3, spare=0)
    waiting = [asyncio.create_task(limiter.spend("ada")) for _ in range(4)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    gate.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [answer[0] for answer in answers[1:] if not isinstance(answer, BaseException)] == [1, 1, 1]


async def test_a_limit_of_nothing_asks_nobody() -> None:
    buckets = MemoryBuckets()
    limiter = RateLimiter(buckets, "x", rate=0, burst=1)
    assert all(limiter.try_spend("ada") for _ in range(1000))
    assert await limiter.spend("ada", 500) == (500, 0.0)
    assert buckets.asked == 0


async def test_memory_is_bounded() -> None:
    limiter = RateLimiter(MemoryBuckets(), "x", rate=10, burst=50, most=100)
    for number in range(1000):
        await limiter.spend(f"u{number}")
    assert len(limiter._leases) == 100
    assert not limiter._waiting
    assert not limiter._pumps


async def test_rooms_are_counted_by_the_day() -> None:
    clock = Clock()
    limits = UserLimits(MemoryBuckets(clock), messages_per_s=10, messages_burst=50, rooms_per_day=3)
    for _ in range(3):
        await limits.count_room("ada")
    with pytest.raises(ChatError) as caught:
        await limits.count_room("ada")
    assert caught.value.code == "too_many_rooms"
    assert 28_000 < (caught.value.retry_after_s or 0) <= 28_800
    await limits.count_room("bob")


async def test_no_limit_of_rooms_is_none() -> None:
    limits = UserLimits(MemoryBuckets(), messages_per_s=0, messages_burst=50, rooms_per_day=0)
    for _ in range(500):
        await limits.count_room("ada")
    assert limits.messages.try_spend("ada")
