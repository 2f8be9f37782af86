"""One room, walked from its floor to its head through archive and log, and whether it is whole.

It runs beside everything else: chunks are rewritten, the watermark moves, retention takes the first ones. So what is
missing is looked for once more, where it may have gone meanwhile, before it is called missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dchat_server.archived import Hole, roster_at
from dchat_server.chunk import BadChunk, Row, decode
from dchat_server.errors import ChatError
from dchat_server.model import Event
from dchat_server.ports import Trimmed
from dchat_server.ports_archive import Archive, Chunk, Conflict, RoomRecord
from dchat_server.ports_hot import HotLog
from dchat_server.roster import BadRoster

MAX_PROBLEMS = 20
PROGRESS_EVENTS = 5000
_PAGE = 8
_LOG_PAGE = 200
_TIMES = 10

OnProgress = Callable[[Mapping[str, Any]], Awaitable[None]]


async def verify(archive: Archive, hot: HotLog, room: str, on_progress: OnProgress) -> dict[str, Any]:
    """Walk the room, saying now and then how far (`{"seq", "head", "events"}`); what was found:

    `ok`; `floor`, `watermark`, `head`; `events`, `messages`, `chunks`, `bytes` that were seen, and how many of the
    events `from_log`; `hole`, the first seq that is nowhere, or None; `epochs` [[epoch, first seq]…]; `roster_at`;
    `problems`, sentences, the first 20.

    Reads every chunk once, 8 at a time; nothing is kept. Raises ChatError room_not_found, ArchiveUnavailable,
    BackendUnavailable.
    """
    return await _Walk(archive, hot, room, on_progress).run()


@dataclass
class _Walk:
    archive: Archive
    hot: HotLog
    room: str
    on_progress: OnProgress
    record: RoomRecord = field(init=False)
    at: int = 0
    """The last seq that was seen."""
    last: Event | None = None
    head: int = 0
    hole: int | None = None
    events: int = 0
    messages: int = 0
    chunks: int = 0
    bytes: int = 0
    from_log: int = 0
    told_at: int = 0
    epochs: list[tuple[int, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    async def run(self) -> dict[str, Any]:
        await self._look()
        if not self.record.version and not self.head:
            raise ChatError("room_not_found")
        self.at = self.record.floor - 1
        for _ in range(_TIMES):
            await self._walk_archive()
            if await self._walk_log():
                break
            before = self.record.watermark
            await self._look()
            if self.record.watermark == before:  # it is in neither, and nobody is moving it
                self._missing(self.at + 1, "is in neither archive nor log")
                break
        await self._check_roster()
        return self._verdict()

    async def _look(self) -> None:
        found = (await self.archive.rooms([self.room])).get(self.room)
        self.record = found if found is not None else RoomRecord(self.room)
        here = await self.hot.room(self.room)
        self.head = here.head if here is not None else 0
        if here is not None and here.head < self.record.watermark:
            self._problem(f"The log ends at seq {here.head}, before the watermark {self.record.watermark}.")

    # --- the archive ----------------------------------------------------------------------------------------------

    async def _walk_archive(self) -> None:
        while self.at < self.record.watermark:
            page = await self.archive.chunks(self.room, self.at + 1, _PAGE)
            if not page or page[0].first > self.at + 1:
                await self._step_over(page[0] if page else None)
                continue
            for chunk in page:
                if chunk.first > self.at + 1 or self.at >= self.record.watermark:
                    break
                self._see_chunk(chunk)
            await self._tell()

    async def _step_over(self, behind: Chunk | None) -> None:
        """Go on behind a gap: retention may just have made it."""
        missing = self.at + 1
        await self._look()
        if missing < self.record.floor:
            self.at, self.last = self.record.floor - 1, None
            return
        self._missing(missing, "is not in the archive")
        self.at, self.last = (behind.first if behind is not None else self.record.watermark + 1) - 1, None

    def _see_chunk(self, chunk: Chunk) -> None:
        self.chunks += 1
        self.bytes += len(chunk.data)
        try:
            rows = decode(self.room, chunk.data)
        except BadChunk as error:
            self._missing(self.at + 1, f"cannot be read: {error}")
            self.at, self.last = chunk.last, None
            return
        newest = rows[-1].event
        if (rows[0].event.seq, newest.seq, newest.offset, newest.ts) != (*chunk[:2], chunk.offset, chunk.ts):
            self._problem(f"The chunk at seq {chunk.first} does not hold what it says.")
        for row in rows:
            # A chunk may begin before what is looked for, and end behind the watermark that is known.
            if row.event.seq > self.at:
                self._see(row)

    # --- the log --------------------------------------------------------------------------------------------------

    async def _walk_log(self) -> bool:
        """Go on in the log; False when it does not have what comes next."""
        if self.at >= self.head:
            return True
        if self.record.version and self.at == self.record.watermark:
            await self._compare_edge()
        while self.at < self.head:
            try:
                page = await self.hot.read(self.room, self.at, _LOG_PAGE)
            except Trimmed:
                return False
            if not page or page[0].seq != self.at + 1:
                return False
            for event in page:
                if event.seq != self.at + 1:
                    return False
                self._see(Row(event))
                self.from_log += 1
            await self._tell()
        return True

    async def _compare_edge(self) -> None:
        """The event at the watermark must be the same in both, if the log still has it."""
        try:
            page = await self.hot.read(self.room, self.at - 1, 1)
        except Trimmed:
            return
        if page and self.last is not None:
            here, there = page[0], self.last
            # The text of what was deleted stays in the log until that is trimmed.
            if here._replace(body=b"") != there._replace(body=b"") or (
                here.body != there.body and b'"deleted":true' not in there.body
            ):
                self._problem(f"Seq {self.at} is another event in the log than in the archive.")

    # --- what is seen ---------------------------------------------------------------------------------------------

    def _see(self, row: Row) -> None:
        event, last = row.event, self.last
        if event.seq == 1 and event.messages != (event.type == "message"):
            self._problem(f"The count of messages begins at {event.messages}.")
        if last is not None:
            if event.messages != last.messages + (event.type == "message"):
                self._problem(f"At seq {event.seq} the count of messages is {event.messages} after {last.messages}.")
            if event.ts < last.ts or event.offset <= last.offset or event.epoch < last.epoch:
                self._problem(f"Seq {event.seq} lies before the one before it in time, in the feed or in epochs.")
        if not self.epochs or self.epochs[-1][0] != event.epoch:
            self.epochs.append((event.epoch, event.seq))
        if row.state is not None and event.type != "message":
            self._problem(f"Seq {event.seq} has a message's state and is none.")
        self.at, self.last = event.seq, event
        self.events += 1
        self.messages += event.type == "message"
        if event.seq == self.record.watermark:
            self._check_record(event)

    def _check_record(self, last: Event) -> None:
        record = self.record
        if (last.messages, last.ts, last.offset) != (record.messages, record.ts, record.offset):
            self._problem(f"The record says {record.messages} messages at seq {last.seq}, the events {last.messages}.")
        epochs = [(epoch, first) for epoch, first in record.epochs if first >= self.epochs[0][1]]
        if [pair for pair in self.epochs[1:] if pair not in epochs]:
            self._problem("The record names other epochs than the events.")

    async def _check_roster(self) -> None:
        if not self.record.version:
            return
        try:
            await roster_at(self.archive, self.record)
        except Conflict:
            pass  # it was archived further meanwhile
        except (Hole, BadChunk, BadRoster) as error:
            self._problem(f"The list of people cannot be made: {error}.")

    def _missing(self, seq: int, detail: str) -> None:
        self.hole = seq if self.hole is None else self.hole
        self._problem(f"Seq {seq} {detail}.")

    def _problem(self, sentence: str) -> None:
        if len(self.problems) < MAX_PROBLEMS and sentence not in self.problems:
            self.problems.append(sentence)

    async def _tell(self) -> None:
        if self.events - self.told_at >= PROGRESS_EVENTS:
            self.told_at = self.events
            await self.on_progress({"seq": self.at, "head": self.head, "events": self.events})

    def _verdict(self) -> dict[str, Any]:
        return {
            "ok": not self.problems,
            "floor": self.record.floor,
            "watermark": self.record.watermark,
            "head": self.head,
            "events": self.events,
            "messages": self.messages,
            "chunks": self.chunks,
            "bytes": self.bytes,
            "from_log": self.from_log,
            "hole": self.hole,
            "epochs": [list(pair) for pair in self.epochs],
            "roster_at": self.record.roster_at,
            "problems": self.problems,
        }
