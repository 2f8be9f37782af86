"""The message log in Redis as the leader sees it: `ports_hot.HotLog`.

The people's half is in redis_people.py. All writes are scripts that compare the leader's fence with the shard's
(lua/common.lua, `fence_holds`), so a leader whose term is over changes nothing, whenever its command arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_people import RedisPeople
from dchat_server.adapters.redis_room_log import RedisRoomLog, parse_epochs
from dchat_server.adapters.redis_wire import Value
from dchat_server.errors import ClusterMismatch
from dchat_server.model import Event
from dchat_server.ports_archive import Fenced, UserRecord
from dchat_server.ports_hot import ChangedUser, Dirty, HotRoom

FACTS = ("kind", "topic", "display_name", "archived", "created", "creator", "retention")


class RedisHotLog:
    """Implements `HotLog`."""

    def __init__(self, nodes: RedisNodes, room_log: RedisRoomLog, people: RedisPeople) -> None:
        self._nodes, self._keys = nodes, nodes.keys
        self._log, self._people = room_log, people

    @property
    def shards(self) -> int:
        return self._keys.shards

    def shard_of(self, name: str) -> int:
        return self._keys.shard(name)

    async def now_ms(self) -> int:
        seconds, micros = await self._nodes.run(0, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def bind(self, archive: str) -> None:
        state = self._keys.state(0)
        _, bound = await self._nodes.pipe(0, [("HSETNX", state, "archive", archive), ("HGET", state, "archive")])
        if bytes(bound).decode() != archive:
            raise ClusterMismatch(
                "This Redis belongs with another archive than the one that is configured here. All workers of a "
                "cluster must use the same DCHAT_DYNAMODB_TABLE (or, on one machine, the same DCHAT_DATA_DIR)."
            )

    async def fence(self) -> int:
        """The highest fence that any shard saw; 0 when there was none. One round trip a server."""
        questions: list[tuple[int, Sequence[Value]]] = [
            (shard, ("HGET", self._keys.state(shard), "fence")) for shard in range(self._keys.shards)
        ]
        return max(int(reply or 0) for reply in await self._nodes.ask(questions))

    async def raise_fence(self, fence: int) -> None:
        for shard in range(self._keys.shards):
            await self._fenced(shard, "raise_fence", fence)

    async def dirty_rooms(self, shard: int, limit: int) -> list[Dirty]:
        rows = await self._nodes.run(shard, "ZRANGE", self._keys.dirty(shard), 0, limit - 1, "WITHSCORES")
        return [Dirty(room.decode(), int(float(since))) for room, since in zip(rows[::2], rows[1::2], strict=True)]

    async def dirty_count(self) -> int:
        questions: list[tuple[int, Sequence[Value]]] = [
            (shard, ("ZCARD", self._keys.dirty(shard))) for shard in range(self._keys.shards)
        ]
        return sum(await self._nodes.ask(questions))

    async def room(self, room: str) -> HotRoom | None:
        names = ("head", "w", "floor", "epochs", *FACTS)
        shard = self._keys.shard(room)
        epoch, reply = await self._nodes.pipe(
            shard, [("HGET", self._keys.state(shard), "epoch"), ("HMGET", self._keys.room(room) + ":meta", *names)]
        )
        head, watermark, floor, epochs, *values = reply
        if head is None:
            return None
        facts = {name: value.decode() for name, value in zip(FACTS, values, strict=True) if value is not None}
        return HotRoom(
            room,
            int(head),
            int(watermark or 0),
            int(floor or 1),
            tuple(parse_epochs(epochs)),
            facts,
            int(epoch or 0),
        )

    async def read(self, room: str, after: int, limit: int) -> list[Event]:
        return await self._log.read(room, after, limit)

    async def archived(self, fence: int, room: str, watermark: int, floor: int, keep: int, since: int) -> int:
        shard, prefix = self._keys.shard(room), self._keys.room(room)
        return int((await self._fenced(shard, "archived", fence, prefix, room, watermark, floor, keep, since))[1])

    async def changed_users(self, shard: int, limit: int) -> list[ChangedUser]:
        return await self._people.changed_users(shard, limit)

    async def user(self, user: str) -> UserRecord | None:
        return await self._people.user(user)

    async def user_saved(self, fence: int, user: str, version: int) -> None:
        await self._people.user_saved(fence, user, version)

    async def behind(self) -> list[int]:
        questions: list[tuple[int, Sequence[Value]]] = [
            (shard, ("HGET", self._keys.state(shard), "behind")) for shard in range(self._keys.shards)
        ]
        replies = await self._nodes.ask(questions)
        return [shard for shard, flag in enumerate(replies) if flag == b"1"]

    async def caught_up(self, fence: int, shard: int, epoch: int) -> None:
        await self._fenced(shard, "caught_up", fence, epoch)

    async def _fenced(self, shard: int, name: str, fence: int, *args: Value) -> Any:
        reply = await self._nodes.script(shard, name, fence, *args)
        if reply[0] == b"fenced":
            raise Fenced(int(reply[1]))
        return reply
