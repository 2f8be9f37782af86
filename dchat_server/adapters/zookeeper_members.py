"""Who is there: a node for each worker, which goes with its session."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from kazoo.exceptions import NodeExistsError, NoNodeError  # type: ignore[import-untyped]

from dchat_server.adapters.zookeeper_client import Session, Watch
from dchat_server.ports_cluster import Member

log = structlog.get_logger("dchat.zookeeper")

TELL_S = 10.0
"""How often the number of streams is told, if it has changed, and those of the others are asked for."""
READS_PER_S = 5
"""Nodes that a worker reads a second at most to keep these numbers: with very many workers they are asked for less
often."""


class Membership:
    """This worker among the others. `all` is None while nobody can say."""

    def __init__(self, root: str, me: Member) -> None:
        self.folder, self.me = f"{root}/workers", me
        self.streams = me.streams
        self.all: dict[str, Member] | None = None
        self._mine = f"{self.folder}/{me.worker}"

    async def join(self, session: Session) -> None:
        """Have our node be there and ours. Repeatable; some round trips.

        One of the same name is of an earlier run or session of ours, and goes; unless its worker began later than we
        did: then two have been given one name, and the later one has it.
        """
        for _ in range(3):
            try:
                await session.create(self._mine, self._about_me())
                return
            except NodeExistsError:
                pass
            with suppress(NoNodeError):
                there = await session.get(self._mine)
                if there.owner == session.id:
                    return
                other = _member(self.me.worker, there.data)
                if other is not None and other.started_at > self.me.started_at:
                    log.error("worker_name_taken", worker=self.me.worker, by=other.address)
                    return
                await session.delete(self._mine, there.version)

    async def watch(self, session: Session, on_change: Callable[[], None]) -> None:
        """Keep `all` as the ensemble has it, and what the ensemble has of us as it is. `on_change` is called when
        somebody came or went."""
        told, change = self.streams, asyncio.Event()
        watch = waker(change)
        while True:
            change.clear()
            names = await session.children(self.folder, watch)
            found = await session.get_all([f"{self.folder}/{name}" for name in names])
            members = [_member(name, node.data) for name, node in zip(names, found, strict=True) if node is not None]
            if session.state == "connected":
                self.all = {member.worker: member for member in members if member is not None}
            on_change()
            if self.me.worker not in names:
                await self.join(session)
            await within(change, max(TELL_S, len(names) / READS_PER_S) * random.uniform(0.8, 1.0))
            if told != self.streams:
                told = self.streams
                await self._tell(session)

    async def _tell(self, session: Session) -> None:
        with suppress(NoNodeError):
            if (await session.get(self._mine)).owner == session.id:
                await session.set(self._mine, self._about_me())

    def _about_me(self) -> bytes:
        me = dataclasses.replace(self.me, streams=self.streams)
        about = {"address": me.address, "version": me.version, "started_at": me.started_at, "streams": me.streams}
        return json.dumps(about).encode()


def by_name(members: dict[str, Member]) -> Sequence[Member]:
    return [members[name] for name in sorted(members)]


def waker(event: asyncio.Event) -> Watch:
    """A watch that sets an event of the loop. Make one for many requests: kazoo keeps each one that it is given."""
    loop = asyncio.get_running_loop()

    def wake(_: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(event.set)

    return wake


async def within(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for `event`, no longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


def _member(worker: str, data: bytes) -> Member | None:
    """The member that a node's data describes; None when it is not of ours."""
    try:
        about = json.loads(data)
        return Member(
            worker, str(about["address"]), str(about["version"]), int(about["started_at"]), int(about["streams"])
        )
    except (ValueError, KeyError, TypeError):
        return None
