"""What the leader does to the log in Redis: what it sees, what it lets go of, and what an older leader may not."""

from __future__ import annotations

import pytest

from dchat_server.adapters.redis_hot import RedisHotLog
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_people import RedisPeople
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.errors import ClusterMismatch
from dchat_server.model import shard_of
from dchat_server.ports import Amendment, Trimmed
from dchat_server.ports_archive import Fenced
from tests.contract.servers import create, draft
from tests.redis_servers import SHARDS, nodes, redis_url, redis_urls  # noqa: F401

SHARD = shard_of("lobby", SHARDS)


@pytest.fixture
def server(nodes: RedisNodes) -> RedisNodes:  # noqa: F811
    return nodes


@pytest.fixture
def log(nodes: RedisNodes) -> RedisRoomLog:  # noqa: F811
    return RedisRoomLog(nodes)


@pytest.fixture
def hot(nodes: RedisNodes, log: RedisRoomLog) -> RedisHotLog:  # noqa: F811
    return RedisHotLog(nodes, log, RedisPeople(nodes))


async def lobby(server: RedisNodes, log: RedisRoomLog, messages: int) -> int:
    """A room with so many messages; its head."""
    await create(RedisRoomStore(server), "lobby", "ada")
    for number in range(messages):
        await log.send("lobby", draft("ada", f"m{number}"))
    edge = await log.edge("lobby")
    assert edge is not None
    return edge.head


async def test_a_room_is_dirty_until_all_of_it_is_archived_and_again_with_the_next_message(
    server: RedisNodes,
    log: RedisRoomLog,
    hot: RedisHotLog,
) -> None:
    head = await lobby(server, log, 5)
    first = (await log.read("lobby", 0, 1))[0]
    assert await hot.dirty_rooms(SHARD, 10) == [("lobby", first.ts)]
    assert await hot.dirty_count() == 1
    later = (await log.read("lobby", 4, 1))[0]
    assert await hot.archived(1, "lobby", 4, 1, 100, later.ts) == head
    assert await hot.dirty_rooms(SHARD, 10) == [("lobby", later.ts)]
    assert await hot.archived(1, "lobby", head, 1, 100, 0) == head
    assert await hot.dirty_rooms(SHARD, 10) == []
    await log.send("lobby", draft("ada", "more"))
    assert await hot.dirty_count() == 1
    # One that thinks all was archived, when something has come since, does not hide that.
    await hot.archived(1, "lobby", head, 1, 100, 0)
    assert await hot.dirty_count() == 1
    assert [each for shard in range(SHARDS) if shard != SHARD for each in await hot.dirty_rooms(shard, 10)] == []


@pytest.mark.parametrize("keep", [0, 1, 4, 1000])
async def test_the_log_keeps_what_is_not_archived_and_so_many_events_before(
    server: RedisNodes,
    log: RedisRoomLog,
    hot: RedisHotLog,
    keep: int,
) -> None:
    head = await lobby(server, log, 10)
    events = await log.read("lobby", 0, 100)
    watermark = head - 3
    await hot.archived(1, "lobby", watermark, 1, keep, events[watermark].ts)
    first = max(1, watermark - keep + 1)
    edge = await log.edge("lobby")
    assert edge is not None
    assert (edge.head, edge.watermark, edge.floor, edge.first) == (head, watermark, 1, first)
    last = events[first - 2] if first > 1 else None
    assert edge.cut == ((last.offset, last.ts) if last else (0, 0))
    assert await hot.read("lobby", first - 1, 100) == events[first - 1 :]
    if first > 1:
        with pytest.raises(Trimmed):
            await hot.read("lobby", first - 2, 100)
    # Said once more, by one who knows less, nothing comes back and nothing else goes.
    assert await hot.archived(1, "lobby", 2, 1, keep, 0) == head
    assert await log.edge("lobby") == edge


async def test_states_stay_until_they_are_folded_and_their_message_has_left(
    server: RedisNodes,
    log: RedisRoomLog,
    hot: RedisHotLog,
) -> None:
    head = await lobby(server, log, 6)
    await log.amend("lobby", "ada", Amendment("edit", 4, "edited"))
    state = server.keys.room("lobby") + ":msg:4"

    async def there() -> bool:
        return bool(await server.run(SHARD, "EXISTS", state))

    await hot.archived(1, "lobby", head, 1, 0, 1)  # all but the edit
    assert await there()
    await hot.archived(1, "lobby", head + 1, 1, 0, 0)
    assert not await there()  # the message itself had left before
    assert await server.run(SHARD, "EXISTS", server.keys.room("lobby") + ":touched") == 0


async def test_a_log_that_lacks_what_the_archive_holds_is_left_alone(
    server: RedisNodes,
    log: RedisRoomLog,
    hot: RedisHotLog,
) -> None:
    head = await lobby(server, log, 3)
    before = await log.edge("lobby")
    assert await hot.archived(1, "lobby", head + 5, 1, 0, 0) == head
    assert await log.edge("lobby") == before
    assert await hot.archived(1, "nowhere", 5, 1, 0, 0) == 0
    assert await hot.room("nowhere") is None


async def test_what_retention_took_is_let_go_of_even_when_it_should_be_kept(
    server: RedisNodes,
    log: RedisRoomLog,
    hot: RedisHotLog,
) -> None:
    head = await lobby(server, log, 9)
    await hot.archived(1, "lobby", head, 6, 1000, 0)
    edge = await log.edge("lobby")
    assert edge is not None
    assert (edge.floor, edge.first) == (6, 6)
    here = await hot.room("lobby")
    assert here is not None
    assert (here.head, here.watermark, here.floor) == (head, head, 6)
    assert (here.facts["kind"], here.facts["creator"], "retention" in here.facts) == ("public", "ada", False)


async def test_a_lower_fence_is_refused_everywhere(
    server: RedisNodes,
    log: RedisRoomLog,
    hot: RedisHotLog,
) -> None:
    head = await lobby(server, log, 3)
    high = 2**62 + 1  # more than a number of Lua can tell from its neighbour
    await hot.raise_fence(high)
    before = await log.edge("lobby")
    for late in (
        hot.raise_fence(high - 1),
        hot.archived(high - 1, "lobby", head, 1, 0, 0),
        hot.caught_up(7, SHARD, server.state(SHARD).epoch),
        hot.user_saved(high - 1, "ada", 1),
    ):
        with pytest.raises(Fenced) as refused:
            await late
        assert refused.value.seen == high
    assert await log.edge("lobby") == before
    await hot.raise_fence(high)
    assert await hot.archived(high + 1, "lobby", head, 1, 0, 0) == head
    with pytest.raises(Fenced):
        await hot.archived(high, "lobby", head, 1, 0, 0)


async def test_a_log_belongs_with_one_archive(server: RedisNodes, hot: RedisHotLog) -> None:
    await hot.bind("one")
    await hot.bind("one")
    with pytest.raises(ClusterMismatch, match="another archive"):
        await hot.bind("other")


async def test_the_logs_own_time_is_told(hot: RedisHotLog) -> None:
    one, other = await hot.now_ms(), await hot.now_ms()
    assert 1_700_000_000_000 < one <= other < one + 60_000
