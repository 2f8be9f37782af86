"""The cluster's own business in memory: a board that all workers of a `MemoryCluster` share, and a leadership that does
what a test says. The contract suite of the board runs over the former just as over Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from dchat_server.errors import ArchiveUnavailable, BackendUnavailable, ChatError
from dchat_server.model import Control, Position
from dchat_server.ports_archive import Fenced, RoomRecord
from dchat_server.ports_cluster import BEAT_S, Leader, Member, TermOver
from dchat_server.ports_hot import HotRoom
from tests.fakes import MemoryCluster


class MemoryBoard:
    """Implements `Board`. Tests look at `told` and may set `down`."""

    def __init__(self, cluster: MemoryCluster, *, beat_s: float = BEAT_S) -> None:
        self._cluster, self._beat_ms = cluster, int(beat_s * 1000)
        self.facts: dict[str, tuple[int, bytes]] = {}
        self.report: tuple[int, bytes] | None = None
        self.fence = 0
        self.down = False
        self.told: list[tuple[str, dict[str, Any]]] = []

    async def post(self, worker: str, facts: Mapping[str, Any]) -> None:
        self._answer()
        self.facts[worker] = (self._cluster.now_ms, orjson.dumps(dict(facts)))

    async def read(self) -> dict[str, Mapping[str, Any]]:
        return {worker: facts for worker, facts in self._all().items() if facts["age_ms"] <= self._beat_ms}

    async def silent(self) -> list[str]:
        return [worker for worker, facts in self._all().items() if facts["age_ms"] > self._beat_ms]

    async def remove(self, workers: Sequence[str], fence: int) -> None:
        self._answer()
        self._raise(fence)
        for worker in workers:
            self.facts.pop(worker, None)

    async def post_leader(self, fence: int, facts: Mapping[str, Any]) -> None:
        self._answer()
        self._raise(fence)
        self.report = (self._cluster.now_ms, orjson.dumps(dict(facts)))

    async def read_leader(self) -> Mapping[str, Any] | None:
        self._answer()
        return None if self.report is None else self._entry(*self.report)

    async def tell(self, kind: str, facts: Mapping[str, Any], fence: int = 0) -> None:
        self._answer()
        if fence:
            self._raise(fence)
        self.told.append((kind, dict(facts)))
        shard = self._cluster.shards[0]
        shard.head += 1
        shard.feed.append((Position(shard.epoch, shard.head), Control(kind, "", orjson.dumps(dict(facts)))))
        self._cluster.news.set()

    def _all(self) -> dict[str, dict[str, Any]]:
        self._answer()
        return {worker: self._entry(*entry) for worker, entry in self.facts.items()}

    def _answer(self) -> None:
        if self.down:
            raise BackendUnavailable

    def _raise(self, fence: int) -> None:
        if fence < self.fence:
            raise Fenced(self.fence)
        self.fence = fence

    def _entry(self, at: int, facts: bytes) -> dict[str, Any]:
        return {**orjson.loads(facts), "at": at, "age_ms": max(0, self._cluster.now_ms - at)}


class FakeInspected:
    """What a log and an archive know of rooms, set by a test: stands for `HotLog` and `Archive` in an `Inspector`."""

    def __init__(self) -> None:
        self.hot: dict[str, HotRoom] = {}
        self.records: dict[str, RoomRecord] = {}
        self.down: set[str] = set()
        self.steps: list[dict[str, Any]] = []
        self.found: dict[str, Any] | ChatError = {"ok": True}
        self.waits: asyncio.Event | None = None
        """A verification waits for it, when there is one."""

    async def room(self, room: str) -> HotRoom | None:
        if "log" in self.down:
            raise BackendUnavailable
        return self.hot.get(room)

    async def rooms(self, names: Sequence[str]) -> dict[str, RoomRecord]:
        if "archive" in self.down:
            raise ArchiveUnavailable
        return {name: self.records[name] for name in names if name in self.records}

    async def verify(self, room: str, on_progress: Callable[[Mapping[str, Any]], Awaitable[None]]) -> Mapping[str, Any]:
        for step in self.steps:
            await on_progress(step)
        if self.waits is not None:
            await self.waits.wait()
        if isinstance(self.found, ChatError):
            raise self.found
        return self.found


class FakeTerm:
    """A term that lasts until `end`."""

    def __init__(self, fence: int = 1) -> None:
        self.fence, self._over = fence, asyncio.Event()

    @property
    def valid(self) -> bool:
        return not self._over.is_set()

    def check(self) -> None:
        if not self.valid:
            raise TermOver

    async def over(self) -> None:
        await self._over.wait()

    def end(self) -> None:
        self._over.set()


class FakeLeadership:
    """Implements `Leadership`: what a test sets is what a worker sees."""

    def __init__(self, leader: Leader | None = None, members: Sequence[Member] | None = None) -> None:
        self.leader, self.members = leader, members
        self.state = "connected"
        self.stepped_down = 0
        self.stands = True
        self.streams = 0

    async def start(self, me: Member) -> None:
        self.members = [*(self.members or ()), me]

    async def stop(self) -> None:
        self.members = None

    async def terms(self) -> AsyncIterator[FakeTerm]:
        yield FakeTerm(self.leader.fence if self.leader else 1)

    async def step_down(self) -> None:
        self.stepped_down += 1

    def withdraw(self) -> None:
        self.stands = False

    def stand(self) -> None:
        self.stands = True

    def set_streams(self, count: int) -> None:
        self.streams = count
