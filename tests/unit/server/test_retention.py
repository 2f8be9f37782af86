"""Old messages go, when a room is old enough and the clock may be believed, and nothing else goes with them."""

from __future__ import annotations

import asyncio

import pytest

from dchat_server import retention as module
from dchat_server.archived import chunks_from, roster_at
from dchat_server.compactor import Compactor
from dchat_server.errors import ArchiveUnavailable
from dchat_server.ports_archive import Fenced, RoomRecord
from dchat_server.ports_cluster import TermOver
from dchat_server.retention import DAY_MS, STEADY_S, Retention, SteadyClock
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm
from tests.hot_logs import MemoryHotLog

ROOM = "lobby"


class Bench:
    """A log, an archive, and a clock that tests turn: the log's, which everybody's follows."""

    def __init__(self) -> None:
        self.archive, self.hot, self.term = MemoryArchive(), MemoryHotLog(), FakeTerm(5)
        self.compactor = Compactor(self.archive, self.hot, interval_s=1, keep=100)
        self.monotonic = 1000.0
        self.ahead_s = 0.0

    def new(self, days: float = 10.0, **options: float) -> Retention:
        return Retention(
            self.archive,
            self.hot,
            days=days,
            keep=100,
            wall=lambda: self.hot.clock_ms / 1000 + self.ahead_s,
            monotonic=lambda: self.monotonic,
            rooms_per_minute=1e9,
            **options,
        )

    def pass_days(self, days: float) -> None:
        self.hot.clock_ms += int(days * DAY_MS)
        self.monotonic += days * 86_400

    async def archive_all(self) -> None:
        while await self.compactor.round(self.term):
            pass

    async def days_of_talk(self, days: int, messages: int = 100, room: str = ROOM) -> None:
        """A day's messages are archived at its end."""
        if room not in self.hot.rooms:
            self.hot.create(room)
        for day in range(days):
            for at in range(messages):
                self.hot.say(room, "ada", f"{day}.{at} @ada")
            await self.archive_all()
            self.pass_days(1)

    async def record(self, room: str = ROOM) -> RoomRecord:
        return (await self.archive.rooms([room]))[room]

    async def oldest_ms(self, room: str = ROOM) -> int:
        """The time of the oldest event that is still there, after seeing that all of them are."""
        record = await self.record(room)
        first = 0
        async for _, rows in chunks_from(self.archive, room, record.floor, record.watermark):
            first = first or rows[0].event.ts
        return first


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.archive.raise_fence(5)
    return bench


async def test_what_is_older_than_the_room_keeps_it_goes_and_the_rest_stays(bench: Bench) -> None:
    await bench.days_of_talk(30)
    before = await roster_at(bench.archive, await bench.record())
    gone = await bench.new(days=10).visit(bench.term, ROOM, await bench.record())
    record = await bench.record()
    assert gone == record.floor - 1 > 1900
    cut = bench.hot.clock_ms - 10 * DAY_MS
    assert cut - 1.1 * DAY_MS <= await bench.oldest_ms() <= cut + 1.1 * DAY_MS
    assert bench.hot.rooms[ROOM].floor == record.floor
    assert await roster_at(bench.archive, record) == before
    assert await bench.new(days=10).visit(bench.term, ROOM, record) == 0
    await bench.days_of_talk(1)  # and the room goes on
    assert (await bench.record()).watermark == 3102
    await bench.oldest_ms()


async def test_the_last_chunk_goes_too_and_the_room_goes_on_behind_it(bench: Bench) -> None:
    await bench.days_of_talk(2)
    bench.pass_days(300)
    await bench.new(days=10).visit(bench.term, ROOM, await bench.record())
    record = await bench.record()
    assert (record.floor, record.watermark, record.tail, record.messages) == (203, 202, 0, 200)
    assert await bench.archive.chunks(ROOM, 1, 10) == []
    assert bench.hot.rooms[ROOM].events == []
    await bench.days_of_talk(1)
    assert (await bench.record()).watermark == 302
    roster = await roster_at(bench.archive, await bench.record())
    assert roster.members == {"ada": "owner"}
    assert roster.posted == {"ada": (302, 300)}


async def test_a_chunk_that_begins_long_before_the_cut_is_rewritten(bench: Bench) -> None:
    await bench.days_of_talk(60, messages=1)
    assert len(await bench.archive.chunks(ROOM, 1, 10)) == 1
    await bench.new(days=10).visit(bench.term, ROOM, await bench.record())
    record = await bench.record()
    cut = bench.hot.clock_ms - 10 * DAY_MS
    assert await bench.oldest_ms() >= cut
    assert record.tail == record.floor == 54
    bench.pass_days(0.5)
    assert await bench.new(days=10).visit(bench.term, ROOM, record) == 0  # not for every little bit


async def test_many_chunks_go_in_several_commits(bench: Bench) -> None:
    await bench.days_of_talk(1, messages=200 * 90)
    await bench.days_of_talk(12, messages=1)
    bench.archive.calls.clear()
    await bench.new(days=10).visit(bench.term, ROOM, await bench.record())
    assert 3 <= bench.archive.calls.count("commit") <= 4
    assert (await bench.record()).floor > 18_000


async def test_a_room_s_own_time_counts_and_for_ever_is_the_default(bench: Bench) -> None:
    await bench.days_of_talk(30)
    record = await bench.record()
    assert await bench.new(days=0).visit(bench.term, ROOM, record) == 0
    bench.hot.append(ROOM, "room", sender="ada", action="update", topic="", display_name="", retention="5")
    await bench.archive_all()
    assert await bench.new(days=0).visit(bench.term, ROOM, await bench.record()) > 2000
    assert bench.hot.clock_ms - 6.2 * DAY_MS < await bench.oldest_ms() < bench.hot.clock_ms - 3.8 * DAY_MS


async def test_the_walk_visits_idle_rooms_of_all_shards_and_goes_on_where_it_was(bench: Bench) -> None:
    rooms = [f"room-{at}" for at in range(120)]
    for room in rooms:
        await bench.days_of_talk(1, messages=2, room=room)
    bench.pass_days(100)
    retention = bench.new(days=10)
    bench.pass_days(STEADY_S / 86_400)
    failing = True

    async def fail_once(step: str) -> None:
        nonlocal failing
        if step == "before commit" and failing and len(bench.archive.calls) > 300:
            failing = False
            raise ArchiveUnavailable

    bench.archive.gate = fail_once
    with pytest.raises(ArchiveUnavailable):
        await retention._walk(bench.term)
    reached = retention._shard, retention._after
    assert reached > (0, "room:")
    calls = len(bench.archive.calls)
    await retention._walk(bench.term)
    visited = bench.archive.calls[calls:].count("commit")
    assert 0 < visited < 120
    assert sum([(await bench.record(room)).floor > 1 for room in rooms]) == 119
    assert retention.facts()["walked_at"] is not None
    await retention._walk(bench.term)  # the one that failed comes with the next walk
    assert all([(await bench.record(room)).floor > 1 for room in rooms])
    assert retention.facts()["expired_events"] == 120 * 4


async def test_a_new_floor_that_the_log_was_not_told_is_told_by_the_next_visit(bench: Bench) -> None:
    await bench.days_of_talk(30)

    def die(name: str) -> None:
        if name == "retention committed":
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await bench.new(days=10, fail_point=die).visit(bench.term, ROOM, await bench.record())  # type: ignore[arg-type]
    assert bench.hot.rooms[ROOM].floor == 1
    await bench.new(days=10).visit(bench.term, ROOM, await bench.record())
    assert bench.hot.rooms[ROOM].floor == (await bench.record()).floor > 1


async def test_compactor_and_retention_of_one_room_do_not_harm_each_other(bench: Bench) -> None:
    await bench.days_of_talk(30)
    record = await bench.record()
    bench.hot.say(ROOM, "ada", "late")
    await bench.archive_all()
    retention = bench.new(days=10)
    assert await retention.visit(bench.term, ROOM, record) > 1900
    assert retention.facts()["conflicts"] == 1  # what it began with was old
    bench.hot.say(ROOM, "ada", "later")
    bench.hot.edit(ROOM, "ada", 5, "of a message that is gone")
    for _ in range(3):
        await bench.archive_all()
        await asyncio.sleep(0.15)
    assert (await bench.record()).watermark == bench.hot.rooms[ROOM].head
    await bench.oldest_ms()


@pytest.mark.parametrize("end", [Fenced, TermOver])
async def test_a_leader_whose_term_is_over_drops_nothing(bench: Bench, end: type[Exception]) -> None:
    await bench.days_of_talk(30)
    if end is Fenced:
        await bench.archive.raise_fence(6)
    else:
        bench.term.end()
    with pytest.raises(end):
        await bench.new(days=10).visit(bench.term, ROOM, await bench.record())
    assert (await bench.record()).floor == 1


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_a_clock_is_steady_when_it_ran_evenly_for_some_time() -> None:
    wall, monotonic = [5000.0], [100.0]
    clock = SteadyClock(lambda: wall[0], lambda: monotonic[0])

    def wait(seconds: float, wall_seconds: float) -> bool:
        monotonic[0] += seconds
        wall[0] += wall_seconds
        return clock.steady()

    assert not wait(10, 10)
    assert wait(STEADY_S, STEADY_S + 5)
    assert not wait(60, 3660)  # an hour ahead
    assert not wait(STEADY_S / 2, STEADY_S / 2)
    assert not wait(60, -3500)  # and back
    assert not wait(STEADY_S / 2, STEADY_S / 2)
    assert wait(STEADY_S, STEADY_S)


async def test_nothing_goes_by_a_clock_that_jumped_ahead(bench: Bench) -> None:
    await bench.days_of_talk(3)
    retention = bench.new(days=10)
    bench.monotonic += 5000
    bench.ahead_s = 365 * 86_400.0 - 5000
    await retention._walk(bench.term)
    assert retention.facts()["state"] == "clock"
    assert (await bench.record()).floor == 1


async def test_nothing_goes_by_a_clock_that_differs_from_the_log_s(bench: Bench) -> None:
    await bench.days_of_talk(3)
    bench.ahead_s = 365 * 86_400.0
    retention = bench.new(days=10)
    bench.hot.clock_ms += 5_000_000
    bench.monotonic += 5000
    bench.hot.server_ms = bench.hot.clock_ms
    assert retention._clock.steady()
    await retention._walk(bench.term)
    assert retention.facts()["state"] == "clock"
    assert (await bench.record()).floor == 1
    bench.hot.server_ms += 365 * DAY_MS  # both agree: then so much time has passed
    await retention._walk(bench.term)
    assert retention.facts()["state"] == "ok"
    assert (await bench.record()).floor > 1


async def test_it_runs_until_cancelled(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.01)
    await bench.days_of_talk(30)
    retention = bench.new(days=10)
    task = asyncio.create_task(retention.run(bench.term))
    await asyncio.sleep(0.05)
    assert (await bench.record()).floor == 1  # the clock has not run for long enough
    bench.pass_days(1)
    async with asyncio.timeout(30):
        while (await bench.record()).floor == 1:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert retention.facts()["state"] == "waiting"
