"""When the archive is asked for what Redis has not: only while a shard is behind, and each time anew."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dchat_server.adapters.redis_missing import Missing
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable, ChatError
from dchat_server.model import Draft, shard_of
from dchat_server.ports import Amendment
from dchat_server.wire import draft_body
from tests.redis_servers import SHARDS, nodes, redis_url, redis_urls  # noqa: F401

ROOMS = [next(f"room{n}" for n in range(99) if shard_of(f"room{n}", SHARDS) == shard) for shard in range(SHARDS)]
"""One of each shard."""


class Asked:
    """Stands in for the restorer: notes what it is asked for, and knows `known`."""

    def __init__(self, *known: str) -> None:
        self.known, self.calls = set(known), list[list[str]]()

    async def __call__(self, rooms: Sequence[str]) -> set[str]:
        self.calls.append(list(rooms))
        return self.known & set(rooms)


async def flag(nodes: RedisNodes, shard: int, value: str) -> None:  # noqa: F811
    await nodes.run(shard, "HSET", nodes.keys.state(shard), "behind", value)


async def test_a_whole_shard_has_everything_and_the_archive_is_not_asked(nodes: RedisNodes) -> None:  # noqa: F811
    asked = Asked(*ROOMS)
    assert await Missing(nodes, asked).rooms(ROOMS) == set()
    assert asked.calls == []


async def test_only_rooms_of_shards_that_are_behind_are_asked_for(nodes: RedisNodes) -> None:  # noqa: F811
    asked = Asked(ROOMS[1])
    missing = Missing(nodes, asked)
    await flag(nodes, 1, "1")
    await flag(nodes, 2, "1")
    assert await missing.rooms(ROOMS) == {ROOMS[1]}
    assert asked.calls == [ROOMS[1:3]]
    await flag(nodes, 1, "0")
    await flag(nodes, 2, "0")
    assert await missing.rooms(ROOMS) == set()  # nothing is remembered
    await flag(nodes, 1, "1")
    assert await missing.rooms(ROOMS) == {ROOMS[1]}


async def test_without_an_archive_nothing_comes_back(nodes: RedisNodes) -> None:  # noqa: F811
    missing = Missing(nodes)
    await flag(nodes, 1, "1")
    assert await missing.rooms(ROOMS) == set()
    with pytest.raises(BackendUnavailable, match="no archive"):
        await missing.settle(ROOMS[1])


async def test_a_shard_whose_state_is_gone_is_opened_and_then_behind_when_it_had_one(
    nodes: RedisNodes,  # noqa: F811
) -> None:
    async def marks() -> dict[int, object]:
        return {}

    nodes._marks = marks  # type: ignore[assignment]
    await nodes.run(2, "FLUSHALL")
    assert await Missing(nodes, Asked()).behind(2)


async def test_an_archive_that_is_away_is_an_error_and_not_a_room_that_is_not_there(
    nodes: RedisNodes,  # noqa: F811
) -> None:
    async def away(rooms: Sequence[str]) -> set[str]:
        raise ArchiveUnavailable

    await flag(nodes, 1, "1")
    with pytest.raises(ArchiveUnavailable):
        await Missing(nodes, away).rooms(ROOMS)


async def nobody(rooms: Sequence[str]) -> set[str]:
    return set()


async def test_what_is_done_in_a_room_that_nobody_knows_finds_no_room_also_while_the_shard_is_behind(
    nodes: RedisNodes,  # noqa: F811
) -> None:
    for shard in range(SHARDS):
        await flag(nodes, shard, "1")
    missing = Missing(nodes, nobody)
    log, store = RedisRoomLog(nodes, missing), RedisRoomStore(nodes, missing)
    draft = Draft("ada", "hi", draft_body("ada", "hi", None, None))
    for answer in await log.send_many("nowhere", [draft, draft]):
        assert isinstance(answer, ChatError)
        assert answer.code == "room_not_found"
    for change in (
        log.amend("nowhere", "ada", Amendment("edit", 3, "new")),
        store.set_member("nowhere", "ada", "ada", "join", "member"),
        store.update("nowhere", "ada", True, (), {"topic": "t"}, b'"a":1}'),
    ):
        with pytest.raises(ChatError, match="room_not_found"):
            await change
    assert await store.create("nowhere", "public", "ada", {"ada": "owner"}, topic="", display_name="n")
    assert (await log.send("nowhere", draft)).seq == 3


async def test_a_shard_that_loses_its_data_again_and_again_is_out_of_reach_and_no_fault_of_ours(
    nodes: RedisNodes,  # noqa: F811
) -> None:
    """The room was brought back, and is gone before the script runs again."""

    async def in_vain(rooms: Sequence[str]) -> set[str]:
        return set(rooms)

    for shard in range(SHARDS):
        await flag(nodes, shard, "1")
    missing = Missing(nodes, in_vain)
    log, store = RedisRoomLog(nodes, missing), RedisRoomStore(nodes, missing)
    for change in (
        log.send("hall", Draft("ada", "hi", draft_body("ada", "hi", None, None))),
        log.amend("hall", "ada", Amendment("edit", 3, "new")),
        store.set_member("hall", "ada", "ada", "join", "member"),
    ):
        with pytest.raises(BackendUnavailable):
            await change
