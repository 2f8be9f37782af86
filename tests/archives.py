"""Archives for tests: in memory (here), SQLite, DynamoDB.

`MemoryArchive` is for tests of what stands on the port; tests/contract/test_archive.py holds it to what the others do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import uuid4

from dchat_server.adapters.archive_forms import check, digests, is_public
from dchat_server.errors import ClusterMismatch
from dchat_server.ports_archive import (
    Chunk,
    Conflict,
    Entry,
    Fenced,
    Mark,
    RoomChange,
    RoomRecord,
    UserRecord,
)

T = TypeVar("T")


class MemoryArchive:
    """`Archive` in memory, one object for all workers of a test.

    `gate`, when set, is awaited with `"before commit"` and `"after commit"` (likewise for every other method) around
    each call. What it raises, the caller gets: ArchiveUnavailable before or after a commit are the two outcomes that a
    lost answer has; anything else is the death of the caller at that step.
    """

    def __init__(self, gate: Callable[[str], Awaitable[None]] | None = None) -> None:
        self.gate = gate
        self.calls: list[str] = []
        """The names of the methods that were called."""
        self._identity = uuid4().hex
        self._filling = ""
        self._fence = 0
        self._marks: dict[int, Mark] = {}
        self._seals: dict[int, int] = {}
        self._records: dict[str, RoomRecord] = {}
        self._rosters: dict[str, tuple[int, list[bytes]]] = {}
        self._chunks: dict[str, dict[int, Chunk]] = {}
        self._users: dict[str, UserRecord] = {}
        self._tokens: dict[str, str] = {}
        self._directory: dict[int, dict[str, Entry]] = {}

    async def start(self) -> None:
        await self._pass("before start")
        if self._filling:
            raise ClusterMismatch("It has got only a part of a backup.")
        await self._pass("after start")

    async def stop(self) -> None:
        pass

    async def begin_filling(self, backup: str) -> None:
        await self._pass("before begin_filling")
        if self._filling != backup and (self._filling or self._fence):
            raise ClusterMismatch("It is not empty.")
        self._filling = backup
        await self._pass("after begin_filling")

    async def end_filling(self, backup: str) -> None:
        await self._pass("before end_filling")
        if self._filling == backup:
            self._filling = ""
        await self._pass("after end_filling")

    async def identity(self) -> str:
        return await self._read("identity", lambda: self._identity)

    async def fence(self) -> int:
        return await self._read("fence", lambda: self._fence)

    async def raise_fence(self, fence: int) -> None:
        await self._pass("before raise_fence")
        if fence < self._fence:
            raise Fenced(self._fence)
        self._fence = fence
        await self._pass("after raise_fence")

    async def seal(self, shard: int, epoch: int) -> int:
        await self._pass("before seal")
        self._seals[shard] = max(self._seals.get(shard, 0), epoch)
        await self._pass("after seal")
        return self._seals[shard]

    async def marks(self) -> dict[int, Mark]:
        return await self._read("marks", lambda: dict(self._marks))

    async def rooms(self, names: Sequence[str]) -> dict[str, RoomRecord]:
        return await self._read("rooms", lambda: {name: self._records[name] for name in names if name in self._records})

    async def roster(self, room: str) -> tuple[int, list[bytes]]:
        at, parts = await self._read("roster", lambda: self._rosters.get(room, (0, [])))
        return at, list(parts)

    async def commit(self, fence: int, change: RoomChange) -> None:
        check(change)
        await self._pass("before commit")
        self._commit(fence, change)
        await self._pass("after commit")

    def _commit(self, fence: int, change: RoomChange) -> None:
        self._check_fence(fence)
        record = change.record
        there = self._records.get(record.room, RoomRecord(record.room))
        if (there.version, there.commit) == (record.version, record.commit):
            return
        if there.version != record.version - 1:
            raise Conflict(f"{record.room} is at version {there.version}")
        if 0 < change.read_under < self._seals.get(change.shard, 0):
            raise Conflict(f"shard {change.shard} is sealed at epoch {self._seals[change.shard]}")
        chunks = self._chunks.setdefault(record.room, {})
        for first in change.drop:
            chunks.pop(first, None)
        for chunk in change.put:
            chunks[chunk.first] = chunk
        if change.roster is not None:
            self._rosters[record.room] = record.roster_at, list(change.roster)
        if record.version == 1:
            self._enter(change.shard, Entry("room", record.room, is_public(record)))
        known = self._marks.get(change.shard, Mark(0, 0))
        self._marks[change.shard] = max(known, Mark(change.epoch, change.offset))
        self._records[record.room] = record

    async def chunk(self, room: str, seq: int) -> Chunk | None:
        return await self._read("chunk", lambda: next(iter(self._back(room, seq)), None))

    async def chunks(self, room: str, seq: int, limit: int) -> list[Chunk]:
        found = await self._read("chunks", lambda: [each for each in self._sorted(room) if each.last >= seq])
        return found[:limit]

    async def chunks_back(self, room: str, seq: int, limit: int) -> list[Chunk]:
        return (await self._read("chunks_back", lambda: self._back(room, seq)))[:limit]

    async def find(self, room: str, *, offset: int | None = None, ts: int | None = None) -> Chunk | None:
        def beyond(chunk: Chunk) -> bool:
            return (offset is None or chunk.offset > offset) and (ts is None or chunk.ts >= ts)

        return await self._read("find", lambda: next(filter(beyond, self._sorted(room)), None))

    async def save_users(self, fence: int, records: Sequence[tuple[int, UserRecord]]) -> None:
        await self._pass("before save_users")
        self._check_fence(fence)
        for shard, record in records:
            for digest in [digest for digest, user in self._tokens.items() if user == record.user]:
                del self._tokens[digest]
            self._tokens.update(dict.fromkeys(digests(record), record.user))
            self._users[record.user] = record
            self._enter(shard, Entry("user", record.user, False))
        await self._pass("after save_users")

    async def users(self, names: Sequence[str]) -> dict[str, UserRecord]:
        return await self._read("users", lambda: {name: self._users[name] for name in names if name in self._users})

    async def token_user(self, digest: str) -> str | None:
        return await self._read("token_user", lambda: self._tokens.get(digest))

    async def directory(self, shard: int, after: str, limit: int) -> list[Entry]:
        entries = await self._read("directory", lambda: dict(self._directory.get(shard, {})))
        return [entries[key] for key in sorted(entries) if key > after][:limit]

    async def write_units(self) -> float:
        return 0.0

    async def _pass(self, step: str) -> None:
        when, _, method = step.partition(" ")
        if when == "before":
            self.calls.append(method)
        if self.gate is not None:
            await self.gate(step)

    async def _read(self, method: str, read: Callable[[], T]) -> T:
        await self._pass(f"before {method}")
        found = read()
        await self._pass(f"after {method}")
        return found

    def _check_fence(self, fence: int) -> None:
        if fence != self._fence:
            raise Fenced(self._fence)

    def _enter(self, shard: int, entry: Entry) -> None:
        self._directory.setdefault(shard, {})[f"{entry.kind}:{entry.name}"] = entry

    def _sorted(self, room: str) -> list[Chunk]:
        chunks = self._chunks.get(room, {})
        return [chunks[first] for first in sorted(chunks)]

    def _back(self, room: str, seq: int) -> list[Chunk]:
        return [chunk for chunk in reversed(self._sorted(room)) if chunk.first <= seq]
