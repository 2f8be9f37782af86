"""The cluster's own business in memory: a board that all workers of a `MemoryCluster` share, and a leadership that does
what a test says. The contract suite of the board runs over the former just as over Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson

from dchat_server.errors import BackendUnavailable
from dchat_server.model import Control, Position
from dchat_server.ports_archive import Fenced
from dchat_server.ports_cluster import BEAT_S, Leader, Member, TermOver
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
        self._answer()
        found = {worker: self._entry(*entry) for worker, entry in self.facts.items()}
        return {worker: facts for worker, facts in found.items() if facts["age_ms"] <= self._beat_ms}

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

    def _answer(self) -> None:
        if self.down:
            raise BackendUnavailable

    def _raise(self, fence: int) -> None:
        if fence < self.fence:
            raise Fenced(self.fence)
        self.fence = fence

    def _entry(self, at: int, facts: bytes) -> dict[str, Any]:
        return {**orjson.loads(facts), "at": at, "age_ms": max(0, self._cluster.now_ms - at)}


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
        self.streams = 0

    async def start(self, me: Member) -> None:
        self.members = [*(self.members or ()), me]

    async def stop(self) -> None:
        self.members = None

    async def terms(self) -> AsyncIterator[FakeTerm]:
        yield FakeTerm(self.leader.fence if self.leader else 1)

    async def step_down(self) -> None:
        self.stepped_down += 1

    def set_streams(self, count: int) -> None:
        self.streams = count
