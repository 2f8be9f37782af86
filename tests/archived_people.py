"""A message log in Redis with an archive behind it, as tests of people use it: what is saved, lost and brought back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson

from dchat_server.adapters.redis_accounts import RedisAccountStore
from dchat_server.adapters.redis_feed import decode_entry
from dchat_server.adapters.redis_hot import RedisHotLog
from dchat_server.adapters.redis_missing import Missing
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_people import RedisPeople
from dchat_server.adapters.redis_restore import RedisRestorer
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.errors import ArchiveUnavailable
from dchat_server.keeper import Keeper
from dchat_server.model import Control, shard_of
from dchat_server.ports_accounts import Account, Token
from dchat_server.restore import Recall, Walk, marks
from dchat_server.tokens import digest, new_id
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm
from tests.redis_servers import SHARDS


@dataclass
class Worker:
    """One worker's adapters, and the duties it would have as the leader."""

    nodes: RedisNodes
    people: RedisPeople
    recall: Recall
    store: RedisAccountStore
    rooms: RedisRoomStore
    hot: RedisHotLog
    restorer: RedisRestorer
    keeper: Keeper
    walk: Walk


class World:
    """`archive` serves all workers; `term` is the present leader's."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.archive = MemoryArchive()
        self.term = FakeTerm(1)
        self.away = False
        self.archive.gate = self._gate
        self._workers: list[Worker] = []

    async def begin(self) -> Worker:
        """The first worker, over an empty server and an empty archive."""
        nodes = RedisNodes(self.url, SHARDS)
        await nodes.start()
        await nodes.run(0, "FLUSHALL")
        await nodes.stop()
        worker = await self.worker()
        await self.archive.raise_fence(self.term.fence)
        return worker

    async def worker(self) -> Worker:
        nodes = RedisNodes(self.url, SHARDS, marks=lambda: marks(self.archive, SHARDS), seal=self.archive.seal)
        await nodes.start()
        people = RedisPeople(nodes)
        recall = Recall(self.archive, people)
        hot = RedisHotLog(nodes, RedisRoomLog(nodes), people)
        restorer = RedisRestorer(nodes, self.archive, recall)
        one = Worker(
            nodes,
            people,
            recall,
            RedisAccountStore(nodes, recall),
            RedisRoomStore(nodes, Missing(nodes, restorer.restore_rooms)),
            hot,
            restorer,
            Keeper(hot, self.archive, restorer, interval_s=0.02),
            Walk(hot, self.archive, restorer, people, per_s=1e6, pause_s=0.02),
        )
        self._workers.append(one)
        return one

    async def wipe(self) -> None:
        """Everything in Redis is gone, and nobody has noticed."""
        await self._workers[0].nodes.run(0, "FLUSHALL")

    async def close(self) -> None:
        for worker in self._workers:
            await worker.nodes.stop()

    async def _gate(self, step: str) -> None:
        if self.away:
            raise ArchiveUnavailable


@asynccontextmanager
async def world(url: str) -> AsyncIterator[tuple[World, Worker]]:
    made = World(url)
    try:
        yield made, await made.begin()
    finally:
        await made.close()


def account(username: str = "ada", **changes: object) -> Account:
    fields = {"display_name": "Ada L.", "admin": False, "status": "", "created_at": 1_800_000_000_000, "password": "p1"}
    return Account(username=username, **{**fields, **changes})  # type: ignore[arg-type]


def token(secret: str, *, kind: str = "session", expires_at: int | None = None, created_at: int = 1) -> Token:
    return Token(new_id(), digest(secret), kind, "müde ☾", ("read", "write"), created_at, expires_at)


def now_ms() -> int:
    return int(time.time() * 1000)


async def told(worker: Worker, user: str) -> list[tuple[str, list[str]]]:
    """What workers were told about a person's tokens, oldest first: (type, digests)."""
    shard = shard_of(user, SHARDS)
    rows = await worker.nodes.run(shard, "XRANGE", worker.nodes.keys.feed(shard), "-", "+")
    entries = [decode_entry(row, int(place.split(b"-")[1])) for place, row in rows]
    return [
        (entry.type, sorted(orjson.loads(entry.body)["digests"]))
        for entry in entries
        if isinstance(entry, Control) and entry.user == user and entry.type in ("revoke", "account")
    ]
