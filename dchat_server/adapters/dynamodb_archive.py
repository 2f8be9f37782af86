"""The archive in a DynamoDB table: for servers on several machines. docs/archive.md describes the table.

This is the side that the event loop sees. What is asked of DynamoDB blocks a thread of a bounded pool; writes to one
shard take turns, because DynamoDB refuses two transactions that touch the same item at the same time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from dchat_server.adapters import dynamodb_items as items
from dchat_server.adapters.archive_forms import Outline, check
from dchat_server.adapters.archive_threads import WAIT_S, Threads
from dchat_server.adapters.dynamodb_client import READ_S, Calls, Refused, connect
from dchat_server.adapters.dynamodb_cluster import Cluster
from dchat_server.adapters.dynamodb_items import integer, number, string
from dchat_server.adapters.dynamodb_people import People
from dchat_server.adapters.dynamodb_reads import Reads
from dchat_server.adapters.dynamodb_rooms import Rooms
from dchat_server.errors import ArchiveUnavailable, ClusterMismatch
from dchat_server.ports_archive import Chunk, Entry, Fenced, Mark, RoomChange, RoomRecord, UserRecord

T = TypeVar("T")
_MAX_WAITING = 256


class _Table(NamedTuple):
    """What the threads use."""

    client: Any
    calls: Calls
    reads: Reads
    cluster: Cluster
    rooms: Rooms
    people: People


class DynamoDbArchive:
    """`Archive` in the table `table`, which exists (`dchat-server init-table` makes it)."""

    def __init__(
        self,
        table: str,
        shards: int,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        threads: int = 16,
        wait_s: float = WAIT_S,
        read_s: float = READ_S,
    ) -> None:
        """Asks nobody yet. `wait_s` bounds a call with all its repeats, `read_s` one attempt."""
        self._name, self._shards, self._endpoint, self._region = table, shards, endpoint, region
        self._thread_count, self._wait_s, self._read_s = threads, wait_s, read_s
        # Apart, so that many readers do not keep the leader from writing.
        self._readers = Threads("archive-read", threads=threads, waiting=_MAX_WAITING)
        self._writers = Threads("archive-write", threads=threads, waiting=_MAX_WAITING)
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._in_line = 0
        self._making = threading.Lock()
        self._made: _Table | None = None
        self._identity = ""

    async def start(self) -> None:
        self._identity = await self._run(lambda at, end: at.cluster.prepare(end), starting=True)

    async def stop(self) -> None:
        await asyncio.gather(self._readers.stop(), self._writers.stop())
        if self._made is not None:
            self._made.client.close()

    async def begin_filling(self, backup: str) -> None:
        self._identity = await self._run(
            lambda at, end: at.cluster.begin_filling(backup, end), writing=self._wait_s, starting=True
        )

    async def end_filling(self, backup: str) -> None:
        await self._run(lambda at, end: at.cluster.end_filling(backup, end), writing=self._wait_s)

    async def identity(self) -> str:
        if not self._identity:
            await self.start()
        return self._identity

    async def fence(self) -> int:
        return integer(await self._run(lambda at, end: at.reads.get(items.cluster(), end) or {}), "fence")

    async def raise_fence(self, fence: int) -> None:
        """Seen by all shards once it returns. The whole cluster's fence first: from then on no lower one can be raised,
        so it does not matter who dies in between, or in which order two leaders reach the shards. One item a call, not
        all in a transaction, which an earlier leader that is still busy could hold up for long."""
        await self.identity()
        await self._run(lambda at, end: at.cluster.raise_fence(items.cluster(), fence, end), writing=self._wait_s)

        def some(hand: int) -> Callable[[_Table, float], None]:
            def work(at: _Table, end: float) -> None:
                for shard in range(hand, self._shards, self._thread_count):
                    at.cluster.raise_fence(items.shard(shard), fence, end)

            return work

        hands = min(self._thread_count, self._shards)
        raising = (self._run(some(each), writing=self._wait_s) for each in range(hands))
        outcomes = await asyncio.gather(*raising, return_exceptions=True)
        problems = [each for each in outcomes if each is not None]
        for problem in sorted(problems, key=lambda each: not isinstance(each, Fenced)):
            raise problem

    async def marks(self) -> dict[int, Mark]:
        keys = [items.shard(shard) for shard in range(self._shards)]
        found = await self._run(lambda at, end: at.reads.batch(keys, end))
        return {
            int(string(item, "PK").partition("#")[2]): Mark(integer(item, "mark_epoch"), integer(item, "mark_offset"))
            for item in found
            if "mark_epoch" in item
        }

    async def seal(self, shard: int, epoch: int) -> int:
        def work(at: _Table, end: float) -> int:
            try:
                at.calls(
                    "update_item",
                    end,
                    TableName=self._name,
                    Key=items.shard(shard),
                    UpdateExpression="SET seal = :seal, v = :v",
                    ConditionExpression="attribute_not_exists(seal) OR seal < :seal",
                    ExpressionAttributeValues={":seal": number(epoch), ":v": number(items.FORM)},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    ReturnConsumedCapacity="TOTAL",
                )
            except Refused as refused:  # sealed as high already, or higher
                return max(epoch, integer(refused.reasons[0] or {}, "seal"))
            return epoch

        return await self._run(work, writing=self._wait_s)

    async def rooms(self, names: Sequence[str]) -> dict[str, RoomRecord]:
        return await self._run(lambda at, end: at.rooms.records(names, end))

    async def roster(self, room: str) -> tuple[int, list[bytes]]:
        return await self._run(lambda at, end: at.rooms.roster(room, end))

    async def commit(self, fence: int, change: RoomChange) -> None:
        check(change)
        async with self._turn(change.shard) as left_s:
            await self._run(lambda at, end: at.rooms.commit(fence, change, end), writing=left_s)

    async def chunk(self, room: str, seq: int) -> Chunk | None:
        return next(iter(await self.chunks_back(room, seq, 1)), None)

    async def chunks(self, room: str, seq: int, limit: int) -> list[Chunk]:
        return await self._run(lambda at, end: at.rooms.chunks(room, seq, limit, end))

    async def chunks_back(self, room: str, seq: int, limit: int) -> list[Chunk]:
        return await self._run(lambda at, end: at.rooms.chunks_back(room, seq, limit, end))

    async def find(self, room: str, *, offset: int | None = None, ts: int | None = None) -> Chunk | None:
        def beyond(chunk: Outline) -> bool:
            return (offset is None or chunk.offset > offset) and (ts is None or chunk.ts >= ts)

        return await self._run(lambda at, end: at.rooms.find(room, beyond, end))

    async def save_users(self, fence: int, records: Sequence[tuple[int, UserRecord]]) -> None:
        by_shard: defaultdict[int, list[UserRecord]] = defaultdict(list)
        for shard, record in records:
            by_shard[shard].append(record)
        for shard, those in by_shard.items():
            await self._save(fence, shard, those)

    async def users(self, names: Sequence[str]) -> dict[str, UserRecord]:
        return await self._run(lambda at, end: at.people.records(names, end))

    async def token_user(self, digest: str) -> str | None:
        return await self._run(lambda at, end: at.people.token_user(digest, end))

    async def directory(self, shard: int, after: str, limit: int) -> list[Entry]:
        return await self._run(lambda at, end: at.people.directory(shard, after, limit, end))

    async def write_units(self) -> float:
        return self._made.calls.spent if self._made is not None else 0.0

    async def _save(self, fence: int, shard: int, records: Sequence[UserRecord]) -> None:
        async with self._turn(shard) as left_s:
            await self._run(lambda at, end: at.people.save(fence, shard, records, end), writing=left_s)

    @asynccontextmanager
    async def _turn(self, shard: int) -> AsyncIterator[float]:
        """Have the shard to oneself; how many seconds are left of those a call may take."""
        if self._in_line >= _MAX_WAITING:
            raise ArchiveUnavailable
        began, turn = time.monotonic(), self._turns[shard]
        self._in_line += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await turn.acquire()
        except TimeoutError as problem:
            raise ArchiveUnavailable from problem
        finally:
            self._in_line -= 1
        try:
            yield self._wait_s - (time.monotonic() - began)
        finally:
            turn.release()

    async def _run(
        self, work: Callable[[_Table, float], T], *, writing: float | None = None, starting: bool = False
    ) -> T:
        """What `work` returns; `writing` says that it writes, and for how many seconds it may."""

        def in_thread(deadline: float) -> T:
            try:
                at = self._table()
            except ClusterMismatch as problem:  # not even a client can be made
                if starting:
                    raise
                raise ArchiveUnavailable from problem
            try:
                return work(at, deadline)
            except ClusterMismatch as problem:
                if starting:
                    raise
                raise at.calls.unavailable("archive_table_wrong", error=str(problem)) from problem

        if writing is not None:
            return await self._writers.run(in_thread, wait_s=writing)
        return await self._readers.run(in_thread, wait_s=self._wait_s)

    def _table(self) -> _Table:
        with self._making:
            if self._made is None:
                client = connect(self._endpoint, self._region, connections=2 * self._thread_count, read_s=self._read_s)
                calls = Calls(client, self._name, read_s=self._read_s)
                reads = Reads(calls, self._name)
                cluster = Cluster(calls, reads, self._name, self._shards)
                rooms, people = Rooms(calls, reads, self._name), People(calls, reads, self._name)
                self._made = _Table(client, calls, reads, cluster, rooms, people)
            return self._made
