"""The leader's duty that lets old messages go: what is older than a room keeps its messages is gone for good.

How long that is, the room's own `retention` says (days), else the server's; 0 is for ever. Rooms are visited one after
the other through the archive's directory, a bounded number a minute, whether they are active or not. What lies wholly
before the cut goes in whole chunks, up to 40 a commit; a chunk that lies across it is rewritten once it holds something
much older. Then the log is told the new floor, and drops what it still has from before.

**Clocks.** What this drops cannot be brought back, so it must not believe a clock that jumped ahead. It goes on only
while the worker's clock has run evenly for `STEADY_S` (compared with the monotonic one, so a step is seen whichever way
it goes and whoever made it), and agrees with the clock of the message log's server, usually another machine, to within
`AGREE_S`. Otherwise it waits, and says so: `clock`. A clock that lags only drops less. If all clocks there are were set
ahead before the worker began, nobody can tell; the first `STEADY_S` are the time to notice.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import structlog

from dchat_server.archived import Hole, roster_at
from dchat_server.chunk import BadChunk, decode
from dchat_server.compactor_run import chunks_of
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from dchat_server.ports_archive import MAX_DROPS, MAX_ROSTER_PARTS, Archive, Chunk, Conflict, RoomChange, RoomRecord
from dchat_server.ports_cluster import Term
from dchat_server.ports_hot import HotLog
from dchat_server.roster import BadRoster

DAY_MS = 86_400_000
STEADY_S = 60.0
STEP_S = 60.0
"""A difference between two clocks that grew by more than this is a step."""
AGREE_S = 300.0
SLACK = 0.1
"""A chunk across the cut is rewritten when it begins this share of the time (at least a day) before it."""
PAGE = 50
_TIMES = 3
PAUSE_S = 20.0
"""Between two walks through all rooms, and between two looks at a clock that is not to be trusted."""

log = structlog.get_logger("dchat.retention")


class Cut(NamedTuple):
    """What one step takes from a room: chunks that go, what is left of the one across the cut, and the new floor."""

    drop: list[int]
    put: list[Chunk]
    floor: int

    @property
    def nothing(self) -> bool:
        return not self.drop


class Retention:
    """A duty of the leader. Where it is in its walk is remembered over terms, in memory only."""

    name = "retention"

    def __init__(
        self,
        archive: Archive,
        hot: HotLog,
        *,
        days: float,
        keep: int,
        rooms_per_minute: float = 600,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        fail_point: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._archive, self._hot, self._days, self._keep = archive, hot, days, keep
        self._per_room_s = 60.0 / rooms_per_minute
        self._clock = SteadyClock(wall, monotonic)
        self._fail_point = fail_point
        self._shard, self._after = 0, "room:"
        self._state = "waiting"
        self._last_error: str | None = None
        self._walked_at = 0
        self._totals: Counter[str] = Counter()

    async def run(self, term: Term) -> None:
        """Walk through all rooms again and again, until cancelled. Raises Fenced, TermOver."""
        try:
            while True:
                try:
                    await self._walk(term)
                    pause_s = PAUSE_S
                except (ArchiveUnavailable, BackendUnavailable) as error:
                    self._state = "archive_unavailable" if isinstance(error, ArchiveUnavailable) else "log_unavailable"
                    self._last_error, pause_s = str(error), 10.0
                await asyncio.sleep(pause_s)
        finally:
            self._state = "waiting"

    async def _walk(self, term: Term) -> None:
        """From where the last walk was left to the end of the last shard."""
        while self._shard < self._hot.shards:
            if not await self._trusted():
                return
            names = await self._page()
            records = await self._archive.rooms(names) if names else {}
            for room in names:
                self._after = f"room:{room}"  # first: one that fails each time must not hold up the others
                if room in records:
                    await self.visit(term, room, records[room])
                await asyncio.sleep(self._per_room_s)
            if len(names) < PAGE:
                self._shard, self._after = self._shard + 1, "room:"
                await asyncio.sleep(self._per_room_s)
        self._shard = 0
        self._walked_at = int(self._clock.wall() * 1000)

    async def _page(self) -> list[str]:
        entries = await self._archive.directory(self._shard, self._after, PAGE)
        return [entry.name for entry in entries if entry.kind == "room"]

    async def _trusted(self) -> bool:
        """Whether the clock may be believed; see above."""
        now_ms = await self._hot.now_ms()
        trusted = self._clock.steady() and abs(self._clock.wall() - now_ms / 1000) < AGREE_S
        state = "ok" if trusted else "clock"
        if state != self._state:
            (log.info if trusted else log.warning)("retention_clock", trusted=trusted, log_ms=now_ms)
        self._state = state
        return trusted

    async def visit(self, term: Term, room: str, record: RoomRecord) -> int:
        """Let go of what the room need not keep; how many events that were. Raises Fenced, TermOver."""
        self._totals["rooms"] += 1
        try:
            for _ in range(_TIMES):
                try:
                    gone = await self._expire(term, record)
                except Conflict:  # the compactor moved the room on
                    self._totals["conflicts"] += 1
                    record = (await self._archive.rooms([room]))[room]
                else:
                    return gone
        except (Hole, BadChunk, BadRoster, ValueError) as error:
            log.error("retention_failed", room=room, error=str(error))
            self._last_error = str(error)
        return 0

    async def _expire(self, term: Term, record: RoomRecord) -> int:
        gone = 0
        days = float(record.facts.get("retention") or 0) or self._days
        while days and record.floor <= record.watermark:
            after = await self._drop(term, record, int(self._clock.wall() * 1000 - days * DAY_MS), days)
            if after is None:
                break
            gone += after.floor - record.floor
            self._totals["events"] += after.floor - record.floor
            record = after
        await self._tell(term, record)
        return gone

    async def _drop(self, term: Term, record: RoomRecord, cut_ms: int, days: float) -> RoomRecord | None:
        """One commit; the record after it, or None when there was nothing to do."""
        chunks = await self._archive.chunks(record.room, record.floor, 1)
        if not chunks or not _old(record, chunks[0], cut_ms, days):
            return None
        chunks = await self._archive.chunks(record.room, record.floor, MAX_DROPS + 1)
        cut = cut_of(record, chunks, cut_ms, days)
        if cut.nothing:
            return None
        tail = record.tail
        if tail in cut.drop:
            tail = cut.put[-1].first if cut.put else 0
        after = replace(record, version=record.version + 1, floor=cut.floor, tail=tail, commit=secrets.token_hex(8))
        parts = None
        if cut.floor > record.roster_at + 1:
            # The roster is made from the stored one and all events since: those must not go before it is stored anew.
            parts = (await roster_at(self._archive, record)).encode(MAX_ROSTER_PARTS)
            after = replace(after, roster_at=record.watermark)
        self._fail_point("retention read")
        term.check()
        change = RoomChange(after, cut.put, cut.drop, parts, self._hot.shard_of(record.room))
        await self._archive.commit(term.fence, change)
        self._fail_point("retention committed")
        self._totals["chunks"] += len(cut.drop)
        log.debug("messages_expired", room=record.room, floor=cut.floor, chunks=len(cut.drop), days=days)
        return after

    async def _tell(self, term: Term, record: RoomRecord) -> None:
        """Have the log let go of it, too; also when the last leader died before it could."""
        if record.floor == 1:
            return
        here = await self._hot.room(record.room)
        if here is not None and here.floor < record.floor and here.head >= record.watermark:
            term.check()
            await self._hot.archived(term.fence, record.room, record.watermark, record.floor, self._keep, 0)
            self._fail_point("retention told")

    def facts(self) -> dict[str, Any]:
        """For the leader's report. `state` is `ok`; `clock` (it waits until the clock can be believed),
        `archive_unavailable`, `log_unavailable`, or `waiting` (this worker does not lead)."""
        return {
            "state": self._state,
            "walked_at": self._walked_at or None,
            "shard": self._shard,
            "rooms": self._totals["rooms"],
            "expired_events": self._totals["events"],
            "expired_chunks": self._totals["chunks"],
            "conflicts": self._totals["conflicts"],
            "last_error": self._last_error,
        }


def cut_of(record: RoomRecord, chunks: Sequence[Chunk], cut_ms: int, days: float) -> Cut:
    """What goes of these, the room's first chunks, when everything before `cut_ms` shall go."""
    drop = [chunk.first for chunk in chunks if chunk.ts < cut_ms][:MAX_DROPS]
    rest = chunks[len(drop) :]
    if not rest:
        return Cut(drop, [], chunks[len(drop) - 1].last + 1)
    across = rest[0]
    if len(drop) < MAX_DROPS and across.ts >= cut_ms:
        rows = decode(record.room, across.data)
        if rows[0].event.ts < cut_ms - _slack_ms(days):
            kept = [row for row in rows if row.event.ts >= cut_ms]
            put = chunks_of(kept)
            return Cut([*drop, across.first], put, put[0].first)
    return Cut(drop, [], across.first)


def _old(record: RoomRecord, first: Chunk, cut_ms: int, days: float) -> bool:
    """Whether the room's first chunk has something to be cut off."""
    if first.ts < cut_ms:
        return True
    return decode(record.room, first.data)[0].event.ts < cut_ms - _slack_ms(days)


def _slack_ms(days: float) -> float:
    return max(DAY_MS, SLACK * days * DAY_MS)


class SteadyClock:
    """The worker's clock, and whether it has run evenly for some time."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self.wall, self._monotonic = wall, monotonic
        self._since = monotonic()
        self._apart = wall() - self._since

    def steady(self) -> bool:
        """True when the clock was not set for `STEADY_S`. Asked seldom, it still sees every step."""
        now = self._monotonic()
        apart = self.wall() - now
        if abs(apart - self._apart) > STEP_S:
            log.warning("clock_stepped", by_s=round(apart - self._apart))
            self._since, self._apart = now, apart
        return now - self._since >= STEADY_S
