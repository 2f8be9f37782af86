"""Open streams per user and worker in Redis, see lua/hold_streams.lua."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.ports_accounts import HOLD_S

_AT_ONCE = 200


class RedisSlotStore:
    """`ports_accounts.SlotStore` over `nodes`."""

    def __init__(self, nodes: RedisNodes) -> None:
        self._nodes = nodes

    async def hold(self, user: str, worker: str, count: int, limit: int) -> bool:
        return (await self._say(self._nodes.keys.shard(user), worker, limit, [(user, count)]))[0] == 1

    async def set_counts(self, worker: str, counts: Mapping[str, int]) -> None:
        shards: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for user, count in counts.items():
            shards[self._nodes.keys.shard(user)].append((user, count))
        await asyncio.gather(*(self._set_counts(shard, worker, some) for shard, some in shards.items()))

    async def present(self, users: Sequence[str]) -> set[str]:
        keys = self._nodes.keys
        replies = await self._nodes.ask([(keys.shard(user), ("EXISTS", keys.streams(user))) for user in users])
        return {user for user, there in zip(users, replies, strict=True) if there}

    async def _set_counts(self, shard: int, worker: str, counts: list[tuple[str, int]]) -> None:
        for start in range(0, len(counts), _AT_ONCE):
            await self._say(shard, worker, 0, counts[start : start + _AT_ONCE])

    async def _say(self, shard: int, worker: str, limit: int, counts: list[tuple[str, int]]) -> list[int]:
        keys = [self._nodes.keys.streams(user) for user, _ in counts]
        reply = await self._nodes.look(
            shard, "hold_streams", keys, worker, int(HOLD_S * 1000), limit, *(count for _, count in counts)
        )
        return list(map(int, reply))
