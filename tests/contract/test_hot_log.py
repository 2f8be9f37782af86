"""What every HotLog must do: in memory, on redis-server and on Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
import pytest_asyncio

from dchat_server import wire
from dchat_server.adapters.redis_hot import RedisHotLog
from dchat_server.adapters.redis_people import RedisPeople
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.errors import ClusterMismatch
from dchat_server.model import Draft, Event
from dchat_server.ports import Amendment, Trimmed
from dchat_server.ports_archive import Fenced
from dchat_server.ports_hot import HotLog
from tests.hot_logs import MemoryHotLog
from tests.redis_servers import KINDS, empty_nodes, redis_urls  # noqa: F401


@dataclass
class Setting:
    """A log, and how people get something into it."""

    log: HotLog
    memory: MemoryHotLog | None = None
    rooms: RedisRoomStore | None = None
    room_log: RedisRoomLog | None = None

    async def create(self, room: str) -> None:
        """Two events: the room, and ada who joins."""
        if self.memory is not None:
            self.memory.create(room, "ada")
        else:
            assert self.rooms is not None
            await self.rooms.create(room, "public", "ada", {"ada": "owner"}, topic="t", display_name=room)

    async def say(self, room: str, count: int) -> None:
        for number in range(count):
            if self.memory is not None:
                self.memory.say(room, "ada", f"{number}")
            else:
                assert self.room_log is not None
                draft = Draft("ada", f"{number}", wire.draft_body("ada", f"{number}", None, None))
                await self.room_log.send(room, draft)

    async def edit(self, room: str, target: int) -> None:
        if self.memory is not None:
            self.memory.edit(room, "ada", target, "new")
        else:
            assert self.room_log is not None
            await self.room_log.amend(room, "ada", Amendment("edit", target, "new"))

    async def seqs(self, room: str, after: int = 0) -> list[int] | None:
        """What the log still holds behind `after`; None when that has left it."""
        try:
            return [event.seq for event in await self.log.read(room, after, 1000)]
        except Trimmed:
            return None


@pytest_asyncio.fixture(params=("memory", *KINDS))
async def here(request: pytest.FixtureRequest, redis_urls: Any) -> AsyncIterator[Setting]:  # noqa: F811
    if request.param == "memory":
        memory = MemoryHotLog()
        yield Setting(cast(HotLog, memory), memory)
        return
    async with empty_nodes(redis_urls(request.param)) as nodes:
        room_log = RedisRoomLog(nodes)
        yield Setting(RedisHotLog(nodes, room_log, RedisPeople(nodes)), None, RedisRoomStore(nodes), room_log)


async def dirty(here: Setting) -> dict[str, int]:
    found = [each for shard in range(here.log.shards) for each in await here.log.dirty_rooms(shard, 100)]
    assert await here.log.dirty_count() == len(found)
    return {each.room: each.since for each in found}


async def test_a_log_belongs_with_the_first_archive_that_was_bound(here: Setting) -> None:
    await here.log.bind("one")
    await here.log.bind("one")
    with pytest.raises(ClusterMismatch):
        await here.log.bind("another")


async def test_rooms_are_dirty_from_their_first_event_that_is_not_archived(here: Setting) -> None:
    assert await dirty(here) == {}
    for room in ("hall", "den"):
        await here.create(room)
    before = await dirty(here)
    assert before.keys() == {"hall", "den"}
    await here.say("hall", 3)
    assert await dirty(here) == before
    assert await here.log.archived(1, "hall", 3, 1, 1000, 5000) == 5
    assert (await dirty(here))["hall"] == 5000
    assert await here.log.archived(1, "hall", 5, 1, 1000, 0) == 5
    assert (await dirty(here)).keys() == {"den"}
    await here.say("hall", 1)
    assert (await dirty(here)).keys() == {"hall", "den"}


async def test_as_many_dirty_rooms_as_were_asked_for_the_oldest_first(here: Setting) -> None:
    names = [f"room{number}" for number in range(30)]
    for name in names:
        await here.create(name)
    for shard in range(here.log.shards):
        few, all_of_them = await here.log.dirty_rooms(shard, 2), await here.log.dirty_rooms(shard, 100)
        assert few == all_of_them[:2]
        assert [each.since for each in all_of_them] == sorted(each.since for each in all_of_them)
        assert all(here.log.shard_of(each.room) == shard for each in all_of_them)


async def test_a_room_is_told_with_its_facts(here: Setting) -> None:
    assert await here.log.room("nowhere") is None
    await here.create("hall")
    await here.say("hall", 2)
    room = await here.log.room("hall")
    assert room is not None
    assert (room.head, room.watermark, room.floor) == (4, 0, 1)
    assert [first for _, first in room.epochs] == [1]
    assert {"kind", "created", "creator", "archived"} <= room.facts.keys()
    await here.log.archived(1, "hall", 3, 2, 1, 1)
    again = await here.log.room("hall")
    assert again is not None
    assert (again.head, again.watermark, again.floor) == (4, 3, 2)


@pytest.mark.parametrize(("keep", "first"), [(1000, 1), (10, 1), (4, 5), (1, 8), (0, 9)])
async def test_the_log_keeps_so_many_up_to_the_watermark_and_all_behind_it(
    here: Setting, keep: int, first: int
) -> None:
    await here.create("hall")
    await here.say("hall", 10)
    await here.log.archived(1, "hall", 8, 1, keep, 1)
    assert await here.seqs("hall", first - 1) == list(range(first, 13))
    assert first == 1 or await here.seqs("hall", first - 2) is None


async def test_what_lies_before_the_floor_goes_too_but_nothing_behind_the_watermark(here: Setting) -> None:
    await here.create("hall")
    await here.say("hall", 10)
    await here.log.archived(1, "hall", 8, 6, 1000, 1)
    assert await here.seqs("hall", 5) == list(range(6, 13))
    assert await here.seqs("hall", 4) is None
    await here.log.archived(1, "hall", 8, 12, 1000, 1)
    assert await here.seqs("hall", 8) == list(range(9, 13))


async def test_nothing_is_lowered_by_a_repeat_or_by_what_comes_late(here: Setting) -> None:
    await here.create("hall")
    await here.say("hall", 10)
    await here.log.archived(1, "hall", 9, 3, 2, 1)
    for _ in range(2):
        assert await here.log.archived(1, "hall", 5, 1, 1000, 1) == 12
    room = await here.log.room("hall")
    assert room is not None
    assert (room.watermark, room.floor) == (9, 3)
    assert await here.seqs("hall", 7) == [8, 9, 10, 11, 12]


async def test_a_log_that_lacks_what_was_archived_lets_go_of_nothing(here: Setting) -> None:
    assert await here.log.archived(1, "nowhere", 5, 1, 0, 0) == 0
    await here.create("hall")
    assert await here.log.archived(1, "hall", 5, 1, 0, 0) == 2
    assert await here.seqs("hall") == [1, 2]
    assert (await dirty(here)).keys() == {"hall"}


async def test_a_lower_fence_changes_nothing_in_any_shard(here: Setting) -> None:
    high, low = (3 << 32) + 7, (2 << 32) + 9
    rooms = [f"room{number}" for number in range(12)]
    for room in rooms:
        await here.create(room)
    await here.log.raise_fence(low)
    await here.log.raise_fence(low)
    await here.log.raise_fence(high)
    with pytest.raises(Fenced) as caught:
        await here.log.raise_fence(low)
    assert caught.value.seen == high
    before = await dirty(here)
    for room in rooms:
        with pytest.raises(Fenced):
            await here.log.archived(low, room, 2, 1, 0, 0)
        assert await here.seqs(room) == [1, 2]
    for shard in range(here.log.shards):
        with pytest.raises(Fenced):
            await here.log.caught_up(low, shard, 1)
    assert await dirty(here) == before
    await here.log.archived(high, rooms[0], 2, 1, 0, 0)


async def test_fences_of_63_bits_are_compared_exactly(here: Setting) -> None:
    """A double, Redis' own number, would take these two for the same."""
    await here.create("hall")
    await here.log.raise_fence(2**62 + 1)
    with pytest.raises(Fenced):
        await here.log.archived(2**62, "hall", 2, 1, 0, 0)
    with pytest.raises(Fenced):
        await here.log.archived(999, "hall", 2, 1, 0, 0)
    assert await here.log.archived(2**62 + 1, "hall", 2, 1, 0, 0) == 2


async def test_no_shard_is_behind_where_nothing_was_lost(here: Setting) -> None:
    await here.create("hall")
    assert await here.log.behind() == []


async def test_the_state_of_a_message_stays_until_it_left_the_log_and_its_last_change_is_archived(
    here: Setting,
) -> None:
    if here.room_log is None:
        pytest.skip("nothing but Redis keeps states")
    await here.create("hall")
    await here.say("hall", 6)
    await here.edit("hall", 3)

    async def state(seq: int) -> str:
        assert here.room_log is not None
        (message,) = await here.room_log.present([event])
        return str(message.fields["text"])

    event: Event = (await here.log.read("hall", 2, 1))[0]
    await here.log.archived(1, "hall", 8, 1, 6, 1)
    assert await state(3) == "new"
    await here.log.archived(1, "hall", 8, 1, 0, 1)  # gone from the log; the edit, seq 9, is not archived
    assert await state(3) == "new"
    edge = await here.room_log.edge("hall")
    assert edge is not None
    assert (edge.first, edge.watermark, edge.head) == (9, 8, 9)
    await here.log.archived(1, "hall", 9, 1, 0, 0)
    shard, prefix = here.log.shard_of("hall"), here.room_log._keys.room("hall")
    assert await here.room_log._nodes.run(shard, "EXISTS", f"{prefix}:msg:3", prefix + ":touched") == 0
