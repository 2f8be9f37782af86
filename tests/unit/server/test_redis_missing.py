"""When the archive is asked for what Redis has not: only while a shard is behind, and each time anew."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dchat_server.adapters.redis_missing import Missing
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from dchat_server.model import shard_of
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
