"""The leader's duty that takes idle rooms out of Redis: where nothing happened for days, the archive has everything.

What goes is what grows: the log, and what became of its messages. What stays is what lists and open streams ask for at
once (the room's facts, who is in it, what they have not read), some hundred bytes a person. With that gone too, nobody
could open a stream while the archive is away, for nobody would know what rooms they are in.

The room comes back by being used: readers find its messages in the archive (timeline.py), and the next event begins a
new log behind the old one. So doing this too early, by a clock that is wrong, costs a read of the archive and no more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from dchat_server.ports_archive import Archive, RoomRecord
from dchat_server.ports_cluster import Term
from dchat_server.ports_hot import HotLog

DAY_MS = 86_400_000
PAGE = 100
PAUSE_S = 600.0
"""Between two walks through all rooms."""
REMEMBERED = 100_000
"""Rooms known to be out already, so that a walk does not touch them again."""

log = structlog.get_logger("dchat.idle")


class Idle:
    """A duty of the leader. `days` without an event make a room idle; 0: none ever is."""

    name = "idle"

    def __init__(
        self,
        archive: Archive,
        hot: HotLog,
        *,
        days: float,
        rooms_per_s: float = 50,
        pause_s: float = PAUSE_S,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._archive, self._hot, self._days = archive, hot, days
        self._per_room_s, self._pause_s, self._wall = 1 / rooms_per_s, pause_s, wall
        self._out: dict[str, int] = {}
        """Room → watermark at which it was taken out."""
        self._total, self._error = 0, ""

    def facts(self) -> Mapping[str, Any]:
        """For the leader's report: rooms taken out since this worker began, and the last error."""
        return {"taken_out": self._total, "error": self._error}

    async def run(self, term: Term) -> None:
        """Walk through all rooms again and again, until cancelled. Raises Fenced, TermOver."""
        self._out.clear()  # another leader may have seen a room come back and go again
        while True:
            try:
                await self.walk(term)
                self._error = ""
            except (ArchiveUnavailable, BackendUnavailable) as error:
                self._error = str(error)
                log.warning("idle_waits", error=self._error)
            await asyncio.sleep(min(self._pause_s, max(1.0, self._days * 86_400 / 4)))

    async def walk(self, term: Term) -> None:
        """Once through the archive's directory; `rooms_per_s` at most. A read a hundred rooms, a round trip for each
        that is taken out."""
        if not self._days:
            return
        for shard in range(self._hot.shards):
            after = "room:"
            while True:
                entries = await self._archive.directory(shard, after, PAGE)
                names = [entry.name for entry in entries if entry.kind == "room"]
                if not names:
                    break
                after = f"room:{names[-1]}"
                for record in (await self._archive.rooms(names)).values():
                    await self._visit(term, record)
                await asyncio.sleep(self._per_room_s * len(names))

    async def _visit(self, term: Term, record: RoomRecord) -> None:
        idle = record.watermark > 0 and record.ts < self._wall() * 1000 - self._days * DAY_MS
        if not idle or self._out.get(record.room) == record.watermark:
            return
        term.check()
        head = await self._hot.archived(term.fence, record.room, record.watermark, record.floor, 0, 0)
        if head != record.watermark:
            return  # something happened there just now, or Redis has to be brought forward first
        self._total += 1
        self._out[record.room] = record.watermark
        if len(self._out) > REMEMBERED:
            del self._out[next(iter(self._out))]
