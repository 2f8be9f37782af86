"""Who leads: a queue of nodes, the first of which leads under a lease. The theory is in zookeeper.py."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import structlog
from kazoo.exceptions import NoNodeError  # type: ignore[import-untyped]

from dchat_server.adapters.terms import LeaseTerm, Terms, clock
from dchat_server.adapters.zookeeper_client import Session, ZooKeeperTrouble
from dchat_server.adapters.zookeeper_members import waker, within
from dchat_server.ports_cluster import Leader

GENERATION_BITS = 56
"""A czxid has fewer, unless an ensemble elects leaders of its own 16 million times."""

log = structlog.get_logger("dchat.zookeeper")

LOOK_S = 2.0
"""How often those who do not lead look who does."""
LEASE = 2 / 3
"""Share of the session time-out for which a confirmed round trip holds."""
CONFIRM = 1 / 5
"""Share of the session time-out between two confirmations."""


class Election:
    """This worker in the queue. `leader` is None while nobody leads or nobody can say."""

    def __init__(self, root: str, worker: str, terms: Terms, generation: int = 0) -> None:
        self.folder, self._worker, self._terms = f"{root}/election", worker, terms
        self._first_fence = generation << GENERATION_BITS
        self.leader: Leader | None = None
        self.term: LeaseTerm | None = None
        self.resigned = asyncio.Event()
        """Set when nothing of ours stands in the queue, or nobody can tell."""
        self._look = asyncio.Event()
        self._change = asyncio.Event()

    def wake(self) -> None:
        """See at once whether we still want to stand."""
        self._change.set()

    def look(self) -> None:
        """See soon who leads: it may be another."""
        self._look.set()

    def end_term(self, why: str) -> None:
        if self.term is not None:
            self.term.end(why)
            self.term = None

    async def watch(self, session: Session) -> None:
        """Keep `leader` as the ensemble has it, some seconds late at most."""
        first = ""
        while True:
            self._look.clear()
            names = await self._queue(session)
            if not names:
                first, self.leader = "", None
            elif names[0] != first or self.leader is None:
                with suppress(NoNodeError):
                    node = await session.get(f"{self.folder}/{names[0]}")
                    first = names[0]
                    if session.state == "connected":
                        self.leader = Leader(node.data.decode("utf-8", "replace"), self._first_fence + node.czxid)
            await within(self._look, LOOK_S * random.uniform(0.7, 1.0))

    async def stand(self, session: Session) -> None:
        """Stand whenever the reader of the terms waits for one, and lead when it is our turn. Returns never."""
        while True:
            await self.clear(session)
            self.resigned.set()
            self._look.set()
            await self._terms.wanted.wait()
            path, made = await session.create(f"{self.folder}/{_mark(session)}-", self._worker.encode(), sequence=True)
            await self._until_turn(session, path.rpartition("/")[2], self._first_fence + made.czxid)

    async def clear(self, session: Session, timeout_s: float | None = None) -> None:
        """Remove whatever this session has ever stood with, acknowledged or not."""
        mark = _mark(session)
        for name in await session.children(self.folder, timeout_s=timeout_s):
            if name.startswith(f"{mark}-"):
                await session.delete(f"{self.folder}/{name}", timeout_s=timeout_s)

    async def _until_turn(self, session: Session, node: str, fence: int) -> None:
        """Wait for our turn and lead. Returns when we stand no more."""
        change = self._change
        watch = waker(change)
        while self._terms.wanted.is_set():
            change.clear()
            losses, began = session.losses, clock()
            queue = await self._queue(session)
            if node not in queue:
                log.warning("election_node_removed", node=node)
                return
            at = queue.index(node)
            if at == 0:
                await self._lead(session, node, fence, began, losses)
                return
            if await session.exists(f"{self.folder}/{queue[at - 1]}", watch):
                # Should the watch be lost, or our own node be deleted by somebody, this finds out.
                await within(change, max(session.timeout_s, LOOK_S))

    async def _lead(self, session: Session, node: str, fence: int, began: float, losses: int) -> None:
        """Give the term to its reader, and confirm the lease until it is over."""
        term = LeaseTerm(fence, began + session.timeout_s * LEASE)
        # In this order: a loss before the first line shows in the number, one behind it goes to the term.
        session.on_loss = term.end
        if session.losses != losses:
            term.end("session suspended")
        if not self._terms.offer(term):
            return
        self.term = term
        self._look.set()
        log.info("term_begins", fence=fence)
        over = asyncio.ensure_future(term.over())
        try:
            while term.valid:
                await asyncio.wait([over], timeout=session.timeout_s * CONFIRM)
                if term.valid:
                    await self._confirm(session, node, term)
        finally:
            over.cancel()
            session.on_loss = None
            self.end_term("standing no more")
            log.info("term_over", fence=fence, why=term.why)

    async def _confirm(self, session: Session, node: str, term: LeaseTerm) -> None:
        began = clock()
        try:
            there = await session.confirm(f"{self.folder}/{node}", term.left_s)
        except ZooKeeperTrouble:
            await asyncio.sleep(0.05)
            return  # asked again, until the deadline
        if not there:
            term.end("election node removed")
        term.extend(began + session.timeout_s * LEASE)

    async def _queue(self, session: Session) -> list[str]:
        """Names of the nodes that stand, the first one first."""
        return sorted(await session.children(self.folder), key=lambda name: name[-10:])


def _mark(session: Session) -> str:
    return f"{session.id & 0xFFFF_FFFF_FFFF_FFFF:016x}"
