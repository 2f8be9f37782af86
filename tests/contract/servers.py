"""The message log on everything it runs on: in memory, redis-server, Valkey, a Redis Cluster of three masters.

A `Place` is one such log, empty at first. `worker()` gives the three ports as one more worker has them; what befalls
the server underneath is done through the place as well, so that a contract covers losses too.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import redis as redis_py
from redis.crc import key_slot

from dchat_server import wire
from dchat_server.adapters.redis_feed import RedisFeed
from dchat_server.adapters.redis_keys import Keys
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.model import Draft, Event
from dchat_server.ports import Batch, Change, Feed, Lost, Overtaken, RoomLog, RoomStore
from tests.fakes import SHARDS, MemoryCluster, MemoryFeed, MemoryNodes, MemoryRoomLog, MemoryRoomStore, MemoryShard
from tests.harness.redis import RedisCluster, RedisServer

KINDS = ("memory", "redis", "valkey", "cluster")


@dataclass
class Ports:
    """What one worker has of the log."""

    log: RoomLog
    store: RoomStore
    feed: Feed
    nodes: Any


class Place(ABC):
    """One log and what may happen to it."""

    def __init__(self) -> None:
        self.keys = Keys(SHARDS)

    @abstractmethod
    async def worker(self) -> Ports: ...

    @abstractmethod
    async def new_epoch(self, room: str) -> None:
        """Another server holds the room's shard from now on; nothing was lost."""

    @abstractmethod
    async def save(self) -> None:
        """What was written up to here survives `crash`."""

    @abstractmethod
    async def crash(self) -> None:
        """The server dies and comes back with what was saved last."""

    @abstractmethod
    async def wipe(self) -> None:
        """Everything is gone, and no connection notices."""

    @abstractmethod
    async def trim(self, room: str, keep: int) -> None:
        """The feed of the room's shard keeps so many entries."""

    @abstractmethod
    async def close(self) -> None:
        """End everything this place began."""


class MemoryPlace(Place):
    def __init__(self) -> None:
        super().__init__()
        self.cluster = MemoryCluster()
        self._saved: list[MemoryShard] = [self.cluster.snapshot(shard) for shard in range(SHARDS)]

    async def worker(self) -> Ports:
        nodes = MemoryNodes(self.cluster)
        return Ports(MemoryRoomLog(nodes), MemoryRoomStore(nodes), MemoryFeed(nodes), nodes)

    async def new_epoch(self, room: str) -> None:
        self.cluster.restart(self.cluster.shard(room))

    async def save(self) -> None:
        self._saved = [self.cluster.snapshot(shard) for shard in range(SHARDS)]

    async def crash(self) -> None:
        for shard, saved in enumerate(self._saved):
            self.cluster.restart(shard, saved)

    async def wipe(self) -> None:
        for shard in range(SHARDS):
            self.cluster.wipe(shard)

    async def trim(self, room: str, keep: int) -> None:
        self.cluster.trim(self.cluster.shard(room), keep)

    async def close(self) -> None:
        pass


class RedisPlace(Place):
    """On real servers. `server` is None where nothing is to happen to it."""

    def __init__(self, url: str, server: RedisServer | None = None) -> None:
        super().__init__()
        self.url, self.server = url, server
        self._workers: list[RedisNodes] = []

    async def worker(self) -> Ports:
        nodes = RedisNodes(self.url, SHARDS)
        self._workers.append(nodes)
        await nodes.start()
        return Ports(RedisRoomLog(nodes), RedisRoomStore(nodes), RedisFeed(nodes), nodes)

    async def close(self) -> None:
        for nodes in self._workers:
            await nodes.stop()
        await asyncio.sleep(0.01)  # sockets are closed by the loop's next turns

    async def new_epoch(self, room: str) -> None:
        nodes, shard = self._workers[0], self.keys.shard(room)
        await nodes.run(shard, "HSET", self.keys.state(shard), "run", "some other server")
        await nodes.open_shard(shard)

    async def save(self) -> None:
        assert self.server is not None
        await asyncio.to_thread(self.server.ask, "SAVE")

    async def crash(self) -> None:
        assert self.server is not None
        await asyncio.to_thread(self.server.restart)

    async def wipe(self) -> None:
        assert self.server is not None
        await asyncio.to_thread(self.server.ask, "FLUSHALL")

    async def trim(self, room: str, keep: int) -> None:
        shard = self.keys.shard(room)
        await self._workers[0].run(shard, "XTRIM", self.keys.feed(shard), "MAXLEN", keep)


class Shared:
    """Servers that all tests of a run share, started when first asked for."""

    def __init__(self) -> None:
        self._single: dict[str, RedisServer] = {}
        self._cluster: RedisCluster | None = None

    def url(self, kind: str) -> str:
        if kind == "cluster":
            self._cluster = self._cluster or RedisCluster()
            return self._cluster.url
        if kind not in self._single:
            self._single[kind] = RedisServer(kind=kind)
        return self._single[kind].url

    def empty(self, kind: str) -> None:
        self.url(kind)
        servers = self._cluster.nodes if kind == "cluster" and self._cluster else [self._single[kind]]
        for server in servers:
            with redis_py.Redis(port=server.port, protocol=2) as client:
                client.flushall()

    def move(self, shard: int, *, pause_s: float = 0.0) -> None:
        """Have the next node of the cluster take a shard over, key by key, as resharding does. Blocks."""
        assert self._cluster is not None
        nodes = self._cluster.nodes
        slot = key_slot(Keys(SHARDS).feed(shard).encode())
        at = next(at for at, node in enumerate(nodes) if _serves(node, slot))
        source, target = nodes[at], nodes[(at + 1) % len(nodes)]
        source_id, target_id = source.ask("CLUSTER", "MYID"), target.ask("CLUSTER", "MYID")
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 10):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            time.sleep(pause_s)
        for node in (target, source, *nodes):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def close(self) -> None:
        for server in self._single.values():
            server.close()
        if self._cluster is not None:
            self._cluster.close()


def _serves(node: RedisServer, slot: int) -> bool:
    with redis_py.Redis(port=node.port, decode_responses=True, protocol=2) as client:
        client.response_callbacks.clear()
        ranges = client.execute_command("CLUSTER", "SLOTS")
    return any(first <= slot <= last and master[1] == node.port for first, last, master, *_ in ranges)


def shared_servers() -> Iterator[Shared]:
    shared = Shared()
    try:
        yield shared
    finally:
        shared.close()


@asynccontextmanager
async def place_of(kind: str, shared: Shared) -> AsyncIterator[Place]:
    """An empty log of this kind; nothing happens to its servers."""
    place: Place = MemoryPlace()
    if kind != "memory":
        shared.empty(kind)
        place = RedisPlace(shared.url(kind))
    try:
        yield place
    finally:
        await place.close()


@asynccontextmanager
async def mortal_place_of(kind: str) -> AsyncIterator[Place]:
    """An empty log of this kind on a server of its own, to which anything may happen."""
    if kind == "memory":
        yield MemoryPlace()
        return
    with RedisServer(kind=kind) as server:
        place = RedisPlace(server.url, server)
        try:
            yield place
        finally:
            await place.close()


# --- what tests of a log say and hear -------------------------------------------------------------------------------


def draft(sender: str, text: str, client_id: str | None = None, *, mentions: tuple[str, ...] = ()) -> Draft:
    body = wire.draft_body(sender, text, client_id, None)
    return Draft(sender, text, body, client_id, fingerprint=text.encode().hex() if client_id else "", mentions=mentions)


async def create(store: RoomStore, room: str, *members: str, kind: str = "public") -> None:
    """A room of the first of these people, with the others in it."""
    roles = {user: "owner" if user == members[0] else "member" for user in members}
    assert await store.create(room, kind, members[0], roles, topic="", display_name=room.title())


class Hearing:
    """A worker's reading of the feed, as a list that grows."""

    def __init__(self, feed: Feed) -> None:
        self.changes: list[Change] = []
        self.breaks = 0
        self.turns = 0
        self._feed = feed
        self._offers = 0
        self._tasks = [asyncio.create_task(self._read(group)) for group in feed.groups()]

    async def _read(self, group: Any) -> None:
        while True:
            try:
                async for changes in self._feed.read(group, self._take):
                    self._took(changes)
            except Exception as error:
                if type(error).__name__ != "FeedDown":
                    raise
                self.breaks += 1
                await asyncio.sleep(0.02)

    def _take(self, changes: list[Change]) -> bool:
        """Every other time, so that both ways are taken, and one behind the other."""
        self._offers += 1
        if self._offers % 2:
            self._took(changes)
        return self._offers % 2 == 1

    def _took(self, changes: list[Change]) -> None:
        self.turns += 1
        self.changes += changes

    @property
    def events(self) -> list[Event]:
        return [
            entry
            for change in self.changes
            if isinstance(change, Batch)
            for entry in change.entries
            if isinstance(entry, Event)
        ]

    @property
    def news(self) -> list[Lost | Overtaken]:
        return [change for change in self.changes if not isinstance(change, Batch)]

    async def until(self, condition: Callable[[Hearing], Any]) -> None:
        async with asyncio.timeout(20):
            while not condition(self):
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def hearing(feed: Feed, *, backlog: int = 0) -> AsyncIterator[Hearing]:
    await feed.start(backlog)
    heard = Hearing(feed)
    try:
        yield heard
    finally:
        await heard.stop()
