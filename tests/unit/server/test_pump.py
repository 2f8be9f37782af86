from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from unittest import mock

import pytest

from dchat_server import pump as pump_module
from dchat_server import wire
from dchat_server.cursor import Cursor
from dchat_server.errors import BackendUnavailable
from dchat_server.hub import Hub, Stream
from dchat_server.model import Event, Position
from dchat_server.ports import Batch, Change, FeedDown, Lost, Overtaken, Place, Take, take_nothing
from dchat_server.pump import Pump, _slices
from tests.fakes import MemoryCluster, MemoryFeed, MemoryNodes, MemoryRoomLog, MemoryRoomStore
from tests.property.sse import decode


@pytest.fixture(autouse=True, params=["at once", "by the task"])
def quiet(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(Script, "offers", request.param == "at once")
    monkeypatch.setattr(pump_module, "log", mock.Mock())
    monkeypatch.setattr(pump_module, "GRACE_S", 0.05)


class Script:
    """A feed that does what a test tells it: hands changes out, fails, or stays silent."""

    offers = True
    """Whether `take` is asked first; else the reader's task gets everything."""

    def __init__(self, *groups: Sequence[int]) -> None:
        self._groups = groups or ([0],)
        self.next: asyncio.Queue[list[Change] | Exception] = asyncio.Queue()
        self.positions = {0: Position(1, 0), 1: Position(1, 0)}

    def groups(self) -> Sequence[Sequence[int]]:
        return self._groups

    async def start(self, backlog: int) -> dict[int, Position]:
        return self.positions

    async def read(self, shards: Sequence[int], take: Take = take_nothing) -> AsyncIterator[list[Change]]:
        while True:
            given = await self.next.get()
            if isinstance(given, Exception):
                raise given
            if not (self.offers and take(given)):
                yield given


class Out:
    def __init__(self) -> None:
        self.data = b""
        self.writes = 0
        self.closed = False

    def write(self, data: bytes) -> None:
        self.data += data
        self.writes += 1

    def close(self) -> None:
        self.closed = True

    abort = close

    @property
    def types(self) -> list[str]:
        return [each.type for each in decode(self.data)]


def event(offset: int, text: str = "hi", *, body: bytes | None = None, kind: str = "message") -> Event:
    fields = wire.fields(sender="ada", text=text) if body is None else body
    return Event("hall", 1, offset, kind, 0, fields, offset, offset)


def batch(*events: Event) -> Batch:
    return Batch(0, events, Position(1, events[-1].offset))


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


class Setting:
    def __init__(self, feed: Script) -> None:
        self.feed = feed
        self.hub = Hub([Position(1, 0), Position(1, 0)], lambda room: 0)
        nodes = MemoryNodes(MemoryCluster(2))
        self.breaks = 0
        self.pump = Pump(feed, self.hub, MemoryRoomLog(nodes), self._broke)
        self.out = Out()
        stream = Stream("ada", "d", self.out, wanted=None, lines=False, expires_at=None)
        self.hub.watch(stream)
        self.hub.seat(stream, {"hall": False})
        self.hub.go_live(stream)

    def _broke(self) -> None:
        self.breaks += 1

    async def __aenter__(self) -> Setting:
        self.pump.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.pump.stop()


async def test_what_the_feed_brings_goes_out() -> None:
    async with Setting(Script()) as here:
        here.feed.next.put_nowait([batch(event(1), event(2))])
        await until(lambda: here.out.types == ["message", "message"])
        assert here.pump.alive


async def test_a_short_break_is_told_to_nobody() -> None:
    async with Setting(Script()) as here:
        here.feed.next.put_nowait(FeedDown("gone"))
        here.feed.next.put_nowait([batch(event(1))])
        await until(lambda: here.out.types)
        assert here.out.types == ["message"]


async def test_a_longer_one_is_degraded_and_then_recovered_each_once() -> None:
    async with Setting(Script()) as here:
        for _ in range(3):
            here.feed.next.put_nowait(FeedDown("gone"))
        await until(lambda: here.out.types == ["degraded"])
        assert not here.pump.alive
        here.feed.next.put_nowait([])
        await until(lambda: here.pump.alive)
        here.feed.next.put_nowait([batch(event(1))])
        await until(lambda: len(here.out.types) == 3)
        assert here.out.types == ["degraded", "recovered", "message"]


async def test_a_connect_that_hangs_is_degraded_too() -> None:
    async with Setting(Script()) as here:
        await until(lambda: here.out.types == ["degraded"])
        here.feed.next.put_nowait([])
        await until(lambda: here.out.types == ["degraded", "recovered"])


async def test_two_readers_that_are_down_recover_when_both_are_back() -> None:
    async with Setting(Script([0], [1])) as here:
        await until(lambda: here.out.types == ["degraded"])
        here.feed.next.put_nowait([])
        await asyncio.sleep(0.1)
        assert here.out.types == ["degraded"]
        here.feed.next.put_nowait([])
        await until(lambda: here.out.types == ["degraded", "recovered"])


async def test_a_reader_that_hears_nothing_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Setting(Script()) as here:
        here.feed.next.put_nowait([])
        await until(lambda: here.pump.alive)
        monkeypatch.setattr(pump_module, "ALIVE_S", 0.01)
        await asyncio.sleep(0.03)
        assert not here.pump.alive

        def alive_once_it_hears() -> bool:
            here.feed.next.put_nowait([])  # again with each look: on a busy machine 10 ms are over before one
            return here.pump.alive

        await until(alive_once_it_hears)


async def test_an_entry_nobody_can_read_sends_readers_away_rather_than_be_missing_silently() -> None:
    async with Setting(Script()) as here:
        here.feed.positions[0] = Position(1, 3)
        here.feed.next.put_nowait([batch(event(1), event(2, kind="member", body=b"no json"), event(3))])
        await until(lambda: here.out.closed)
        assert here.out.types[-1] == "reconnect"
        assert here.hub.cursor.positions[0] == Position(1, 3)
        assert here.breaks == 1
        here.feed.next.put_nowait([batch(event(4))])
        await until(lambda: here.hub.cursor.positions[0] == Position(1, 4))


async def test_readers_that_were_overtaken_are_sent_to_the_logs() -> None:
    async with Setting(Script()) as here:
        here.feed.next.put_nowait([Overtaken(0, Position(1, 900)), Batch(0, [event(901)], Position(1, 901))])
        await until(lambda: here.out.closed)
        assert here.out.types == ["reconnect"]
        assert here.breaks == 1


async def test_reach_waits_for_the_reader_and_no_longer_than_it_may() -> None:
    async with Setting(Script()) as here:
        wanted = Cursor((Position(1, 2), Position(1, 0)))
        assert not await here.pump.reach(wanted, 0.02)
        waiting = [asyncio.create_task(here.pump.reach(wanted, 10)) for _ in range(3)]
        await asyncio.sleep(0.01)
        here.feed.next.put_nowait([batch(event(1))])
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in waiting)
        here.feed.next.put_nowait([batch(event(2))])
        assert await asyncio.gather(*waiting) == [True] * 3
        assert await here.pump.reach(wanted, 0)


async def test_stopping_leaves_no_task() -> None:
    here = Setting(Script([0], [1]))
    before = asyncio.all_tasks()
    here.pump.start()
    await asyncio.sleep(0)
    await here.pump.stop()
    assert asyncio.all_tasks() == before


def test_a_large_batch_is_cut_into_slices_that_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "SLICE_BYTES", 1000)
    whole = batch(*(event(offset, "x" * 300) for offset in range(1, 21)))
    parts = list(_slices(whole))
    assert [entry for part, _ in parts for entry in part.entries] == list(whole.entries)
    assert [more for _, more in parts] == [True] * (len(parts) - 1) + [False]
    assert len(parts) > 4
    for part, _ in parts:
        last = part.entries[-1]
        assert isinstance(last, Event)
        assert part.position == Position(1, last.offset)
    assert parts[-1][0].position == whole.position


async def test_a_large_batch_goes_out_in_several_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "SLICE_BYTES", 1000)
    async with Setting(Script()) as here:
        here.feed.next.put_nowait([batch(*(event(offset, "x" * 300) for offset in range(1, 21)))])
        await until(lambda: len(here.out.types) == 20)
        assert here.out.writes > 4


async def test_a_tail_that_is_lost_is_told_by_what_the_rooms_log_kept() -> None:
    """With the feed, the hub and the log in memory: three of five messages are gone, and new ones have been written."""
    cluster = MemoryCluster(1)
    store = MemoryRoomStore(MemoryNodes(cluster))
    log = MemoryRoomLog(MemoryNodes(cluster))
    await store.create("hall", "public", "ada", {"ada": "owner"}, topic="", display_name="")
    feed = MemoryFeed(MemoryNodes(cluster))
    places = await feed.start(0)
    hub = Hub([places[0]], cluster.shard)
    out = Out()
    stream = Stream("ada", "d", out, wanted=None, lines=False, expires_at=None)
    hub.watch(stream)
    hub.seat(stream, {"hall": False})
    hub.go_live(stream)
    pump = Pump(feed, hub, log)
    pump.start()
    kept = None
    for number in range(5):
        if number == 2:
            kept = cluster.snapshot(0)
        cluster.append("hall", "message", wire.fields(sender="ada", text=str(number)))
    await until(lambda: len(out.types) == 5)
    cluster.restart(0, kept)
    for number in range(4):
        cluster.append("hall", "message", wire.fields(sender="ada", text=f"new {number}"))
    await until(lambda: len(out.types) == 10)
    await pump.stop()
    told = [json.loads(each.data) for each in decode(out.data)]
    assert told[5] == {"type": "gap", "rooms": [{"room": "hall", "from": 5, "to": 7}], "refetch": True}
    assert [(each["epoch"], each["seq"]) for each in told[6:]] == [(1001, 5), (1001, 6), (1001, 7), (1001, 8)]


async def test_a_log_that_does_not_answer_delays_the_news_of_a_loss_and_loses_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = 0

    async def locate(self: MemoryRoomLog, room: str, **where: int) -> Place:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise BackendUnavailable
        return Place(1, 0)

    monkeypatch.setattr(MemoryRoomLog, "locate", locate)
    async with Setting(Script()) as here:
        here.feed.next.put_nowait([batch(event(1), event(2))])
        await until(lambda: len(here.out.types) == 2)
        here.feed.next.put_nowait([Lost(0, Position(1, 0))])
        await until(lambda: len(here.out.types) == 3)
        assert here.out.types[-1] == "gap"
        assert tries == 3
