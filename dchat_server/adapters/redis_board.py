"""The board in Redis: what each worker said last and the leader's report, both on shard 0; see lua/post_board.lua.

Every time is that of the Redis server. A worker whose clock is wrong is neither taken for dead nor for young.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.ports_archive import Fenced
from dchat_server.ports_cluster import BEAT_S

_SHARD = 0


class RedisBoard:
    """`ports_cluster.Board` over `nodes`. Facts are JSON, some hundred bytes a worker."""

    def __init__(self, nodes: RedisNodes, *, beat_s: float = BEAT_S) -> None:
        self._nodes, self._beat_ms = nodes, int(beat_s * 1000)

    async def post(self, worker: str, facts: Mapping[str, Any]) -> None:
        keys = [self._nodes.keys.board()]
        await self._nodes.look(_SHARD, "post_board", keys, worker, orjson.dumps(dict(facts)), self._beat_ms)

    async def read(self) -> dict[str, Mapping[str, Any]]:
        """See the port. Each worker's facts also have `at` (ms since 1970) and `age_ms`."""
        return {worker: facts for worker, facts in (await self._all()).items() if facts["age_ms"] <= self._beat_ms}

    async def silent(self) -> list[str]:
        return [worker for worker, facts in (await self._all()).items() if facts["age_ms"] > self._beat_ms]

    async def remove(self, workers: Sequence[str], fence: int) -> None:
        if workers:
            await self._lead(fence, b"", workers)

    async def post_leader(self, fence: int, facts: Mapping[str, Any]) -> None:
        await self._lead(fence, orjson.dumps(dict(facts)), ())

    async def read_leader(self) -> Mapping[str, Any] | None:
        """See the port. The report also has `age_ms`."""
        time, entry = await self._nodes.pipe(_SHARD, [("TIME",), ("GET", self._nodes.keys.leader())])
        return None if entry is None else _facts(entry, _ms(time))

    async def tell(self, kind: str, facts: Mapping[str, Any], fence: int = 0) -> None:
        reply = await self._nodes.script(_SHARD, "tell", kind, orjson.dumps(dict(facts)), str(fence))
        _check(reply)

    async def _all(self) -> dict[str, dict[str, Any]]:
        time, entries = await self._nodes.pipe(_SHARD, [("TIME",), ("HGETALL", self._nodes.keys.board())])
        now = _ms(time)
        pairs = zip(entries[::2], entries[1::2], strict=True)
        return {worker.decode(): _facts(entry, now) for worker, entry in pairs}

    async def _lead(self, fence: int, report: bytes, workers: Sequence[str]) -> None:
        keys = self._nodes.keys
        places = [keys.state(_SHARD), keys.board(), keys.leader()]
        _check(await self._nodes.look(_SHARD, "lead_board", places, str(fence), report, *workers))


def _check(reply: Sequence[Any]) -> None:
    if reply[0] != 1:
        raise Fenced(int(reply[1]))


def _ms(time: Sequence[bytes]) -> int:
    return int(time[0]) * 1000 + int(time[1]) // 1000


def _facts(entry: bytes, now: int) -> dict[str, Any]:
    """An entry as lua/post_board.lua wrote it. A clock that was set back makes nobody younger than now."""
    at, _, facts = entry.partition(b" ")
    return {**orjson.loads(facts), "at": int(at), "age_ms": max(0, now - int(at))}
