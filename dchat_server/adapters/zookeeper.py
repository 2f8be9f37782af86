"""Membership and leadership by a ZooKeeper ensemble.

Theory of operation. Below the root (`/dchat`, or `/folder/dchat`) there are

    workers/<id>                      ephemeral, JSON: who is there
    election/<session>-<sequence>     ephemeral and sequential, holding the worker's id: who stands, in order

The first of the election leads. Everybody else watches the one before (so that a death wakes one, not all), and looks
every few seconds who is first, only to be able to say so. The id of the transaction that created the leader's node is
its fence: nodes lead in the order in which they were created, so it rises from term to term.

A term is a lease. It ends at a deadline by our own clock, two thirds of the session time-out after the beginning of the
last confirmed round trip, and it ends at once when kazoo says that the connection is suspended or lost. The round trip
is a `sync`, which the ensemble's leader answers, and then an `exists` of our node: a mere read is answered by a server
that has been cut off from the others, for as long as its `syncLimit`. The last third is for what the ensemble's leader
may not know: servers tell it only every half tick whom they have heard, and a session has at least two ticks.

After a loss the worker does not take its old place again, even if its session is still good: it deletes the node and
stands anew, with a higher fence. What it cannot delete, because it is cut off, goes with the session.

Everything here repeats itself until it is so: each round (after each connection, and after anything unexpected) makes
the folders, our worker node, and an election node if one is wanted. Lost answers therefore do no harm: an election
node whose creation was not acknowledged bears our session in its name, and is removed before the next.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

import structlog
from kazoo.exceptions import NoNodeError  # type: ignore[import-untyped]

from dchat_server.adapters.terms import Terms, clock
from dchat_server.adapters.zookeeper_client import Access, Session, ZooKeeperTrouble
from dchat_server.adapters.zookeeper_election import Election
from dchat_server.adapters.zookeeper_members import Membership, by_name
from dchat_server.ports_cluster import Leader, Member

log = structlog.get_logger("dchat.zookeeper")

SLOWEST_RETRY_S = 5.0
CLOSE_S = 5.0


class ZooKeeperLeadership:
    """A worker's part in membership and election; see the theory above. One for each worker process."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._terms = Terms()
        self._members: Membership | None = None
        self._election: Election | None = None
        self._session: Session | None = None
        self._running: asyncio.Task[None] | None = None
        self._streams: int | None = None
        self._state = "lost"

    async def start(self, me: Member) -> None:
        if self._running is not None:
            return
        self._members = Membership(self._access.root, me)
        if self._streams is not None:
            self._members.streams = self._streams
        self._election = Election(self._access.root, me.worker, self._terms, self._access.generation)
        self._running = asyncio.create_task(self._run(self._members, self._election))

    async def stop(self) -> None:
        self._terms.close()
        if self._election is not None:
            self._election.end_term("stopped")
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.wait([self._running], timeout=CLOSE_S + 2)

    def terms(self) -> Terms:
        return self._terms

    async def step_down(self) -> None:
        election = self._election
        if election is None or election.term is None or not election.term.valid:
            return
        election.resigned.clear()
        election.term.end("stepped down")
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await election.resigned.wait()

    def withdraw(self) -> None:
        self._terms.withdraw()
        if self._election is not None:
            self._election.end_term("withdrawn")
            self._election.wake()

    def stand(self) -> None:
        self._terms.stand()

    def set_streams(self, count: int) -> None:
        self._streams = count
        if self._members is not None:
            self._members.streams = count

    @property
    def leader(self) -> Leader | None:
        return self._election.leader if self._election is not None else None

    @property
    def members(self) -> Sequence[Member] | None:
        return by_name(self._members.all) if self._members is not None and self._members.all is not None else None

    @property
    def state(self) -> str:
        return self._state

    async def _run(self, members: Membership, election: Election) -> None:
        """One session after the other, for good."""
        pause_s = 0.0
        while True:
            session: Session | None = None
            try:
                session = self._session = Session(self._access, self._on_state)
                await session.open()
                pause_s = 0.0
                await self._attend(session, members, election)
            except ZooKeeperTrouble as error:
                log.warning("zookeeper_given_up", error=str(error), hint="a new connection is tried")
            except Exception:
                log.exception("zookeeper_failed")
            finally:
                if session is not None:
                    await self._leave(session, election)
            pause_s = min(max(0.1, 2 * pause_s), SLOWEST_RETRY_S)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))

    async def _attend(self, session: Session, members: Membership, election: Election) -> None:
        """Take part for as long as the session lives. Raises ZooKeeperTrouble when it does not any more."""
        pause_s = 0.0
        while True:
            # Cut off for longer, the session has ended; or an ensemble that was wiped does not want us (see Session).
            await session.until_connected(max(session.timeout_s, self._access.session_s))
            losses, began = session.losses, clock()
            try:
                await session.ensure(members.folder)
                await session.ensure(election.folder)
                await members.join(session)
                log.info("zookeeper_connected", session_timeout_s=session.timeout_s)
                await _until_one_ends(
                    session.until_lost(losses),
                    members.watch(session, on_change=election.look),
                    election.watch(session),
                    election.stand(session),
                )
            except (ZooKeeperTrouble, NoNodeError) as error:
                log.warning("zookeeper_trouble", error=str(error) or type(error).__name__)
            finally:
                election.end_term("session suspended")
                election.resigned.set()
            # A round that ends at once must not be begun over and over.
            pause_s = 0.0 if clock() - began > SLOWEST_RETRY_S else min(max(0.05, 2 * pause_s), SLOWEST_RETRY_S)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))

    async def _leave(self, session: Session, election: Election) -> None:
        """Take our node out of the queue and end the session, as far as anybody listens."""
        self._session = None
        election.end_term("session lost")
        self._forget("lost")
        if session.state == "connected":
            with suppress(ZooKeeperTrouble, NoNodeError):
                await election.clear(session, timeout_s=1.0)
        await session.close(CLOSE_S)
        election.resigned.set()

    def _on_state(self) -> None:
        session = self._session
        if session is None or session.state == self._state:
            return
        if session.state == "connected":
            self._state = "connected"
        else:
            log.warning("zookeeper_" + session.state)
            self._forget(session.state)

    def _forget(self, state: str) -> None:
        """Nobody can say now who is there and who leads."""
        self._state = state
        if self._members is not None and self._election is not None:
            self._members.all, self._election.leader = None, None


async def _until_one_ends(*works: Coroutine[Any, Any, None]) -> None:
    """Do all of it side by side until one ends, however, then cancel the others. Raises what ended it."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
