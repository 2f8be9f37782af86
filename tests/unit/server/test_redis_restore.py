"""Bringing rooms back from the archive: as they were, once, and never over anything newer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from dchat_server.adapters import redis_restore
from dchat_server.errors import ArchiveUnavailable, ChatError
from dchat_server.ports_archive import RoomRecord
from tests.archives import MemoryArchive
from tests.redis_servers import redis_urls  # noqa: F401
from tests.seams import ROOM, SHARD, Seam, seam


@pytest_asyncio.fixture
async def here(redis_urls: Callable[[str], str]) -> AsyncIterator[Seam]:  # noqa: F811
    async with seam(redis_urls("redis"), MemoryArchive(), 3) as made:
        yield made


async def picture(here: Seam) -> list[object]:
    """All that Redis itself holds of the room, but for its log, touched messages, and under which epoch it is."""
    nodes, prefix = here._lead, here._lead.keys.room(ROOM)
    keys = sorted(await nodes.run(SHARD, "KEYS", prefix + ":*"))
    out: list[object] = []
    for key in keys:
        name = key.decode().removeprefix(prefix)
        kind = bytes(await nodes.run(SHARD, "TYPE", key)).decode()
        if kind == "hash" and not name.startswith(":msg:"):
            flat = await nodes.run(SHARD, "HGETALL", key)
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            for passing in (b"epoch", b"epochs", b"cut"):
                fields.pop(passing, None)
            out.append((name, fields))
        elif kind == "zset" and name != ":touched":
            out.append((name, await nodes.run(SHARD, "ZRANGE", key, 0, -1, "WITHSCORES")))
    return out


async def fill(here: Seam) -> None:
    for number in range(12):
        seq = await here.send(("ada", "bob")[number % 2], f"number {number} @eve", f"key {number}")
    await here.edit(seq - 2, "for @bob now")
    await here.delete(seq - 1)
    await here.react(seq, "ada", "👍")
    await here.topic("a new topic")
    await here.member()
    await here.archive_all()


async def test_a_room_comes_back_as_it_was(here: Seam) -> None:
    await fill(here)
    before = await picture(here)
    await here.wipe()
    await here._lead.open_shard(SHARD)
    assert await picture(here) == []
    assert await here.restorer.restore_rooms([ROOM, "nowhere"]) == {ROOM}
    assert await picture(here) == before
    assert here.restorer.restored == 1
    again = await picture(here)
    await here.send("ada", "after")
    newer = await picture(here)
    assert newer != again
    assert await here.restorer.restore_rooms([ROOM]) == {ROOM}  # takes nothing away
    assert await picture(here) == newer
    assert here.restorer.restored == 1


async def test_those_who_want_the_same_room_at_once_share_the_work(here: Seam) -> None:
    await fill(here)
    await here.wipe()
    await here._lead.open_shard(SHARD)
    assert isinstance(here.archive, MemoryArchive)
    here.archive.calls.clear()
    found = await asyncio.gather(*(here.restorer.restore_rooms([ROOM]) for _ in range(20)))
    assert found == [{ROOM}] * 20
    assert here.archive.calls.count("rooms") == 1
    assert here.restorer.restored == 1
    assert not here.restorer._under_way


async def test_one_who_goes_away_takes_nothing_from_the_others(here: Seam) -> None:
    await fill(here)
    await here.wipe()
    await here._lead.open_shard(SHARD)
    first = asyncio.create_task(here.restorer.restore_rooms([ROOM]))
    second = asyncio.create_task(here.restorer.restore_rooms([ROOM]))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == {ROOM}


async def test_what_the_archive_said_before_the_shard_was_lost_once_more_is_not_believed(here: Seam) -> None:
    await fill(here)
    await here.wipe()
    await here._lead.open_shard(SHARD)
    assert isinstance(here.archive, MemoryArchive)
    once = True

    async def lose_again(step: str) -> None:
        nonlocal once
        if step == "after rooms" and once:
            once = False
            await here._lead.run(SHARD, "FLUSHALL")
            await here._lead.open_shard(SHARD)

    here.archive.gate = lose_again
    here.archive.calls.clear()
    assert await here.restorer.restore_rooms([ROOM]) == {ROOM}
    assert here.archive.calls.count("rooms") == 2


async def test_an_archive_that_is_away_is_told_and_asked_again_next_time(here: Seam) -> None:
    await fill(here)
    await here.wipe()
    await here._lead.open_shard(SHARD)
    assert isinstance(here.archive, MemoryArchive)

    async def away(step: str) -> None:
        raise ArchiveUnavailable

    here.archive.gate = away
    with pytest.raises(ArchiveUnavailable):
        await here.restorer.restore_rooms([ROOM])
    here.archive.gate = None
    assert await here.restorer.restore_rooms([ROOM]) == {ROOM}


async def test_the_newest_keys_come_back_with_the_time_they_have_left(
    here: Seam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_restore, "MOST_KEYS", 4)
    for number in range(800):
        await here.send("ada", f"number {number}", f"key {number}")
    await here.archive_all()
    await here.wipe()
    await here._lead.open_shard(SHARD)
    await here.restorer.restore_rooms([ROOM])
    head = len(here.events)
    assert await here.send("ada", "number 799", "key 799") == head
    with pytest.raises(ChatError, match="idempotency_conflict"):
        await here.send("ada", "something else", "key 798")
    key = here._lead.keys.once(ROOM, "ada", "key 799")
    left_ms = int(await here._lead.run(SHARD, "PTTL", key))
    assert 23 * 3_600_000 < left_ms <= 24 * 3_600_000
    # Older ones than are brought back are new messages.
    assert await here.send("ada", "number 1", "key 1") == head + 1


async def test_a_deleted_message_does_not_come_back_under_its_key(here: Seam) -> None:
    seq = await here.send("ada", "in anger", "key")
    await here.delete(seq)
    await here.archive_all()
    head = len(here.events)
    await here.wipe()
    await here._lead.open_shard(SHARD)
    await here.restorer.restore_rooms([ROOM])
    assert await here.send("ada", "in anger", "key") == seq
    assert len(here.events) == head


async def test_a_room_that_nobody_knows_is_none(here: Seam) -> None:
    assert await here.restorer.restore_rooms(["nowhere"]) == set()
    assert (await here.archive.rooms(["nowhere"])).get("nowhere", RoomRecord("nowhere")).version == 0
