"""One room's step of compaction: the next events of its log go into the archive, in one commit.

    record ── read the run behind the watermark ── take hold of the chunks it touches ── fold ── pack ── commit ── trim

The commit moves the watermark, and everything the run did to older chunks is in it. So whatever dies between two of
these, the archive is right at its watermark, and the next step begins there: nothing is remembered here that is not
there, too. What is cached (a room's record and its last chunk) only saves reads; a commit that starts from a stale one
is refused (`Conflict`), and after an unclear answer the record is read again, which tells where the room stands.

**What a commit costs** in DynamoDB's write units (a KB each, twice that in a transaction): 2 for each KB of chunks,
rounded up a chunk, and about 6 for the record and the fence. A full chunk of chat has 6 to 9 KB (chunk.py), so a room
that talks a lot, 10 chunks a commit, pays 13 to 19 for 200 messages. As items of their own they would cost 200, without
any of the guarantees, and 800 in a transaction with the watermark each.

A room that talks little pays for each commit anew, so its last chunk is rewritten with what is new until it has
`OPEN_BYTES`. With one event a commit that is (2 + 4 + 6 + 8) / 4 = 5 units for the chunk on average; closing it at 1 KB
would make it 2, of some 8 or 11 in all, and pages would be read from four times as many chunks; leaving it open for
longer costs more with each commit and saves nothing. A last chunk of more than `OPEN_BYTES` is left alone also when a
large run follows: to write it again costs more than half a chunk saves.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from dchat_server.archived import Hole, roster_at
from dchat_server.chunk import BadChunk
from dchat_server.compactor_reach import Cut, Reach
from dchat_server.compactor_run import (
    MAX_RUN_BYTES,
    MAX_RUN_EVENTS,
    Known,
    Packed,
    Stuck,
    bounded,
    check_epochs,
    check_run,
    chunks_of,
    next_record,
    packed_run,
    roster_after,
    roster_due,
    takes_more,
)
from dchat_server.fold import edits_from, scrub
from dchat_server.model import Event
from dchat_server.ports import Trimmed
from dchat_server.ports_archive import MAX_PUT_BYTES, MAX_PUTS, Archive, Chunk, RoomChange, RoomRecord
from dchat_server.ports_cluster import Term
from dchat_server.ports_hot import HotLog, HotRoom
from dchat_server.roster import BadRoster

_THREAD_EVENTS = 300
"""A run with more rows than this is packed in a thread: from here on the loop would stand for more than 2 ms."""
_REST = 0.5
"""After such work nothing like it is begun for so many times as long as it took; see `_aside`."""
_FIRST_READ = 100
_MOST_READ = 500

log = structlog.get_logger("dchat.compactor")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a room stands after a step. `head` 0: it is not in the log. `behind`: the log has lost what the archive
    holds; it must be brought forward first. `since` is the time of the first event that is not archived, 0 when there
    is none."""

    room: str
    watermark: int
    head: int
    since: int = 0
    behind: bool = False
    events: int = 0
    messages: int = 0
    chunk_bytes: tuple[int, ...] = ()
    """Packed size of every chunk that was written."""

    @property
    def more(self) -> bool:
        """There are events to go on with at once."""
        return not self.behind and self.head > self.watermark


class RoomSteps:
    """Takes rooms forward, one step a call. Any number of rooms side by side, a room only once at a time."""

    def __init__(
        self,
        archive: Archive,
        hot: HotLog,
        *,
        keep: int,
        fail_point: Callable[[str], None] = lambda name: None,
        max_known: int = 2000,
    ) -> None:
        self._archive, self._hot, self._keep, self._fail_point = archive, hot, keep, fail_point
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._max_known = max_known
        self._one = asyncio.Semaphore(1)

    def forget(self, room: str | None = None) -> None:
        """Ask the archive again where the room (None: every room) stands."""
        if room is None:
            self._known.clear()
        else:
            self._known.pop(room, None)

    async def advance(self, term: Term, room: str) -> Progress:
        """Archive the next run of the room and let go of what the log need not keep. Repeatable at any point.

        Three calls to the log and one or two to the archive, plus one for each older chunk that is touched. Raises
        Stuck, Conflict, Fenced, TermOver, ArchiveUnavailable, BackendUnavailable; nothing is half done then.
        """
        try:
            return await self._advance(term, room)
        except BaseException:
            self.forget(room)  # where it stands now, only the archive knows
            raise

    async def _advance(self, term: Term, room: str) -> Progress:
        here = await self._hot.room(room)
        known = await self._know(room)
        if here is not None and here.watermark > known.record.watermark:
            self.forget(room)  # somebody else has archived it further
            known = await self._know(room)
        record = known.record
        self._fail_point("known")
        if here is None:
            return Progress(room, record.watermark, 0)
        if here.head < record.watermark:
            return Progress(room, record.watermark, here.head, behind=True)
        check_epochs(record, here.epochs)
        events = await self._read(record, here)
        self._fail_point("read")
        if not events:
            return await self._trim(term, record, here.head, None, Progress(room, record.watermark, here.head))
        reach = Reach(self._archive, record, known.tail)
        cut = await reach.cut(bounded(events))
        self._fail_point("reached")
        if not cut.events:
            return await self._scrub(term, known, reach, cut, here)
        run, packed = await self._pack(known, reach, events[: cut.events])
        self._fail_point("packed")
        progress = await self._commit(term, known, run, packed, here.read_under)
        behind = events[len(run)] if len(run) < len(events) else None
        return await self._trim(term, self._known[room].record, here.head, behind, progress)

    # --- what there is --------------------------------------------------------------------------------------------

    async def _know(self, room: str) -> Known:
        if room in self._known:
            self._known.move_to_end(room)
            return self._known[room]
        record = (await self._archive.rooms([room])).get(room, RoomRecord(room))
        tail = await self._archive.chunk(room, record.tail) if record.tail else None
        self._remember(Known(record, tail if tail is not None and takes_more(tail) else None))
        return self._known[room]

    def _remember(self, known: Known) -> None:
        self._known[known.record.room] = known
        self._known.move_to_end(known.record.room)
        while len(self._known) > self._max_known:
            self._known.popitem(last=False)

    async def _read(self, record: RoomRecord, here: HotRoom) -> list[Event]:
        """The run behind the watermark and, when there is one, the event behind that."""
        events: list[Event] = []
        size, limit = 0, _FIRST_READ
        while len(events) <= MAX_RUN_EVENTS and size < MAX_RUN_BYTES:
            try:
                page = await self._hot.read(record.room, record.watermark + len(events), limit)
            except Trimmed as error:
                raise Stuck(
                    record.room,
                    "trimmed",
                    f"the log has let go of seq {record.watermark + len(events) + 1}, which is not archived "
                    f"(it knows of an archive up to {here.watermark})",
                ) from error
            events += page
            size += sum(len(event.body) + 64 for event in page)
            if len(page) < limit:
                break
            # As many as fit by what those so far were like, so that few reads do and none is large.
            limit = max(1, min(_MOST_READ, len(events) * (MAX_RUN_BYTES - size) // max(size, 1)))
        check_run(record, events)
        return events

    # --- what is made of it ---------------------------------------------------------------------------------------

    async def _pack(self, known: Known, reach: Reach, run: Sequence[Event]) -> tuple[Sequence[Event], Packed]:
        """As much of the run as fits into one commit, packed."""
        while True:
            if len(run) + sum(len(rows) for _, rows in reach.chunks) > _THREAD_EVENTS:
                packed = await self._aside(packed_run, known, reach, run)
            else:
                packed = packed_run(known, reach, run)
            fits = len(packed.put) <= MAX_PUTS and sum(len(chunk.data) for chunk in packed.put) <= MAX_PUT_BYTES
            if fits or len(run) == 1:
                return run, packed
            run = run[: len(run) // 2]

    async def _scrub(self, term: Term, known: Known, reach: Reach, cut: Cut, here: HotRoom) -> Progress:
        """Take the text from some of a message's edits: the next event deletes it, and has too many for one step. The
        watermark stays; what is done is remembered in the message's state."""
        put: list[Chunk] = []
        for _, rows in reach.chunks:
            after = [
                row._replace(state=edits_from(row.state, cut.until))
                if row.event.seq == cut.scrub and row.state is not None
                else row
                for row in scrub(rows, cut.scrub)
            ]
            if after != rows:
                put += chunks_of(after)
        record = replace(known.record, version=known.record.version + 1, commit=secrets.token_hex(8))
        shard = self._hot.shard_of(record.room)
        await self._make(term, RoomChange(record, put, shard=shard, read_under=here.read_under))
        self.forget(record.room)
        self._fail_point("scrubbed")
        sizes = tuple(len(chunk.data) for chunk in put)
        return Progress(record.room, record.watermark, here.head, chunk_bytes=sizes)

    async def _commit(
        self, term: Term, known: Known, run: Sequence[Event], packed: Packed, read_under: int
    ) -> Progress:
        old, last = known.record, run[-1]
        record = next_record(old, run, packed.tail)
        parts = None
        if roster_due(known, run):
            parts = await self._roster(old, run)
            record = replace(record, roster_at=last.seq if parts is not None else old.roster_at)
            self._fail_point("roster")
        shard = self._hot.shard_of(old.room)
        change = RoomChange(
            record,
            packed.put,
            roster=parts,
            shard=shard,
            epoch=last.epoch,
            offset=last.offset,
            read_under=read_under,
        )
        await self._make(term, change)
        tail = packed.put[-1] if packed.put[-1].first == packed.tail and takes_more(packed.put[-1]) else None
        self._remember(Known(record, tail, sum(map(len, parts)) if parts is not None else known.roster_bytes))
        self._fail_point("committed")
        sizes = tuple(len(chunk.data) for chunk in packed.put)
        return Progress(
            old.room,
            record.watermark,
            record.watermark,
            events=len(run),
            messages=record.messages - old.messages,
            chunk_bytes=sizes,
        )

    async def _roster(self, old: RoomRecord, run: Sequence[Event]) -> list[bytes] | None:
        """The roster after the run, to be stored; None when it is too large for that, or cannot be made any more."""
        try:
            roster = await roster_at(self._archive, old)
        except (Hole, BadChunk, BadRoster) as error:
            log.error("roster_unreadable", room=old.room, error=str(error))
            return None
        return await self._aside(roster_after, roster, run)

    async def _aside(self, work: Callable[..., _T], *args: object) -> _T:
        """What `work` returns, from a thread, one at a time and with rests.

        The thread and the loop take turns with Python's lock, and the loop gives it away with each look at a socket.
        Next to eight threads that pack, a message that somebody sent to this worker took half a second.
        """
        async with self._one:
            began = time.monotonic()
            done = await asyncio.to_thread(work, *args)
            await asyncio.sleep(_REST * (time.monotonic() - began))
            return done

    async def _make(self, term: Term, change: RoomChange) -> None:
        term.check()
        await self._archive.commit(term.fence, change)

    async def _trim(
        self, term: Term, record: RoomRecord, head: int, behind: Event | None, progress: Progress
    ) -> Progress:
        """Tell the log how far the archive goes."""
        term.check()
        since = behind.ts if behind is not None else 0
        head = await self._hot.archived(term.fence, record.room, record.watermark, record.floor, self._keep, since)
        self._fail_point("trimmed")
        return replace(progress, head=head, since=since, behind=head < record.watermark)
