"""Opening a stream: memberships, where it starts, and what was missed. hub.py tells why nothing slips through."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Protocol

from dchat_server import wire
from dchat_server.cursor import Cursor
from dchat_server.errors import ChatError
from dchat_server.hub import Hub
from dchat_server.model import Event, Position
from dchat_server.ports import RoomLog, RoomStore
from dchat_server.pump import Pump
from dchat_server.stream import CLOSED, Stream
from dchat_server.window import Kept
from dchat_server.wire import Frame

CATCH_UP_S = 3.0
AT_ONCE = 50
"""Rooms whose logs are asked side by side."""
PAGE, PAGE_BYTES = 200, 128 * 1024
"""Events written at once during a replay, and about how many bytes; each write ends with a cursor. A client that cannot
take one within takeover.DRAIN_S would never get past it."""
READ, READ_BYTES = 1000, 1 << 20
"""Events read at once, and about how many bytes: the archive takes a while to answer, however few are asked for."""


class Epochs(Protocol):
    """What is known of a shard's past; `ShardState` is one."""

    @property
    def bases(self) -> Mapping[int, int]: ...

    def knows(self, epoch: int) -> bool: ...

    def kept(self, position: Position) -> bool: ...


@dataclass
class Opened:
    """A stream that is seated: its rooms, where it starts, H, and what can no longer be told."""

    stream: Stream
    rooms: dict[str, bool]
    start: list[Position]
    end: Cursor
    resuming: bool
    came_with: str | None
    """The cursor the client gave."""
    gaps: list[dict[str, Any]] = field(default_factory=list)


class Opener:
    """Opens streams on one worker."""

    def __init__(
        self, hub: Hub, pump: Pump, log: RoomLog, rooms: RoomStore, epochs: Callable[[int], Epochs], worker: str
    ) -> None:
        self._hub, self._pump, self._log, self._rooms = hub, pump, log, rooms
        self._epochs, self._worker = epochs, worker

    async def open(self, stream: Stream, cursor_text: str | None, since_ms: int | None) -> Opened:
        """Seat `stream`. Raises ChatError room_not_found when it names a room the person may not read.

        Two or three round trips. Whatever happens, the caller drops the stream in the end.
        """
        self._hub.watch(stream)
        cursor = Cursor.decode(cursor_text) if cursor_text else None
        if cursor is not None and len(cursor.positions) != len(self._hub.windows):
            cursor = None
        if cursor is not None and self._plausible(cursor):
            await self._pump.reach(cursor, CATCH_UP_S)
        rooms = await self._readable(stream)
        end = self._hub.seat(stream, rooms)
        rooms = {channel.name: channel.public for channel in stream.channels}
        resuming = cursor_text is not None or since_ms is not None
        opened = Opened(stream, rooms, list(end.positions), end, resuming, cursor_text)
        if cursor is not None:
            await self._start_at(opened, cursor)
        elif cursor_text:
            opened.gaps = await self._all_gaps(rooms)
        elif since_ms is not None:
            await self._start_since(opened, since_ms)
        return opened

    async def run(self, opened: Opened, time: str, drain: Callable[[], Awaitable[None]]) -> None:
        """Write hello, gaps and what was missed; the caller then lets the stream go live, without waiting for anything
        in between. `drain` waits for a slow client."""
        stream = opened.stream
        place = Cursor(tuple(opened.start)).encode()
        # A client that got the hello and not the gap must come back to the gap: one write, and no new cursor before it.
        first = opened.came_with if opened.gaps else place
        frames = [
            wire.control_frame(
                "hello", worker=self._worker, protocol=1, time=time, rooms=sorted(opened.rooms), cursor=first
            )
        ]
        if opened.gaps:
            frames.append(wire.control_frame("gap", rooms=opened.gaps, refetch=True))
        stream.out.write(stream.encode(frames, place.encode()))
        if opened.resuming:
            replayed = 0
            async for frames, cursor in self.missed(opened):
                if stream.mode == CLOSED:
                    return
                replayed += len(frames)
                stream.out.write(stream.encode(frames, cursor.encode().encode()))
                await drain()
            if stream.mode != CLOSED:
                done = wire.control_frame("resumed", replayed=replayed)
                stream.out.write(stream.encode([done], opened.end.encode().encode()))

    async def missed(self, opened: Opened) -> AsyncIterator[tuple[list[Frame], Cursor]]:
        """What lies between start and end in the stream's rooms, in pages, each with the cursor behind it.

        Shard by shard, each in feed order. From memory where that reaches back far enough, else from the room logs.
        """
        reached = list(opened.start)
        last = {gap["room"]: gap["to"] for gap in opened.gaps}
        for shard, (start, end) in enumerate(zip(opened.start, opened.end.positions, strict=True)):
            rooms = [room for room in opened.rooms if self._hub.shard_of(room) == shard]
            if rooms and start.offset < end.offset:
                kept = self._hub.windows[shard].since(start.offset)
                if kept is not None:
                    mine = [item for item in kept if item.event.room in opened.rooms and _within(item.event, end)]
                    for page in _pages(mine):
                        events = [item.event for item in page]
                        self._told(shard, events, reached)
                        yield _without_holes(events, [item.frame() for item in page], last), Cursor(tuple(reached))
                else:
                    given_up: list[dict[str, Any]] = []
                    async for events in self._from_logs(rooms, start.offset, end, given_up):
                        told = [wire.control_frame("gap", rooms=list(given_up), refetch=True)] if given_up else []
                        last |= {gap["room"]: gap["to"] for gap in given_up}
                        given_up.clear()
                        frames = told + _without_holes(events, [wire.event_frame(event) for event in events], last)
                        self._told(shard, events, reached)
                        yield frames, Cursor(tuple(reached))
            reached[shard] = end

    def _told(self, shard: int, events: Sequence[Event], reached: list[Position]) -> None:
        """Note what is about to be told: where that leads, and for the hub how far each room was seen, should it be
        lost later."""
        for room, seq in {event.room: event.seq for event in events}.items():  # the last one of each
            self._hub.saw(room, seq)
        reached[shard] = Position(events[-1].epoch, events[-1].offset)

    async def _from_logs(
        self, rooms: list[str], after: int, end: Position, given_up: list[dict[str, Any]]
    ) -> AsyncIterator[list[Event]]:
        """Events of these rooms behind offset `after` up to `end`, by offset, in pages. Memory: two reads a room, about
        READ_BYTES in all. Before the first page, `given_up` gets a gap for each room whose retention took events from
        among them."""
        sizes = dict.fromkeys(rooms, max(20, PAGE // len(rooms)))
        heads: list[tuple[int, str]] = []
        """Of each room that has more: the offset of its next event."""
        pages: dict[str, list[Event]] = {}
        """What was read of each room and lies up to `end`, the last one first."""
        ahead: dict[str, asyncio.Task[list[Event]]] = {}

        async def fetch(room: str, after_seq: int) -> None:
            page = await (ahead.pop(room, None) or self._log.read(room, after_seq, sizes[room]))
            all_wanted = bool(page) and _within(page[-1], end)
            if not all_wanted:
                page = list(takewhile(lambda event: _within(event, end), page))
            if not page:
                return
            pages[room] = page[::-1]
            heapq.heappush(heads, (page[0].offset, room))
            # As many as fit by what those were like, so that few reads do and none is large.
            size = sum(len(event.body) + 200 for event in page)
            sizes[room] = max(20, min(READ, READ_BYTES // 2 * len(page) // size) // len(rooms))
            if all_wanted:
                ahead[room] = asyncio.create_task(self._log.read(room, page[-1].seq, sizes[room]))

        async def begin(room: str) -> None:
            first, head, gone = await self._log.locate(room, offset=after)
            if gone:
                given_up.append({"room": room, "from": 1, "to": gone})
            if first <= head:
                await fetch(room, first - 1)

        try:
            for at in range(0, len(rooms), AT_ONCE):
                await asyncio.gather(*map(begin, rooms[at : at + AT_ONCE]))
            out: list[Event] = []
            out_bytes = 0
            while heads:
                _, room = heads[0]
                page = pages[room]
                event = page.pop()
                out.append(event)
                out_bytes += len(event.body)
                if page:
                    heapq.heapreplace(heads, (page[-1].offset, room))
                else:
                    heapq.heappop(heads)
                    await fetch(room, event.seq)
                if len(out) >= PAGE or out_bytes >= PAGE_BYTES:
                    yield out
                    out, out_bytes = [], 0
            if out:
                yield out
        finally:
            for task in ahead.values():
                task.cancel()
            await asyncio.gather(*ahead.values(), return_exceptions=True)

    async def _readable(self, stream: Stream) -> dict[str, bool]:
        """Room → public, for the rooms this stream is to carry."""
        if stream.wanted is None:
            names = await self._rooms.joined(stream.user)
            return dict.fromkeys(names, False)
        seats = await self._rooms.seats(stream.user, stream.wanted)
        found: dict[str, bool] = {}
        for name, seat in zip(stream.wanted, seats, strict=True):
            if seat is None or (seat.role is None and seat.room.kind != "public"):
                raise ChatError("room_not_found", f"There is no room {name!r} that you may read.")
            found[name] = seat.room.kind == "public"
        return found

    def _plausible(self, cursor: Cursor) -> bool:
        """True when waiting for our reader may bring us to this cursor."""
        here = self._hub.cursor.positions
        return all(
            wanted.offset <= have.offset + 1_000_000 and wanted.epoch <= have.epoch + 1000
            for wanted, have in zip(cursor.positions, here, strict=True)
        )

    async def _start_at(self, opened: Opened, cursor: Cursor) -> None:
        for shard, position in enumerate(cursor.positions):
            end, epochs = opened.end.positions[shard], self._epochs(shard)
            rooms = [room for room in opened.rooms if self._hub.shard_of(room) == shard]
            if epochs.kept(position) and position.offset <= end.offset:
                opened.start[shard] = position
            elif position.epoch in epochs.bases and epochs.bases[position.epoch] <= end.offset:
                # What the client saw beyond the epoch's end is gone; go on from there and say so.
                base = epochs.bases[position.epoch]
                opened.start[shard] = Position(position.epoch, base)
                for room in rooms:
                    first, head, _ = await self._log.locate(room, offset=base)
                    opened.gaps.append({"room": room, "from": first, "to": max(first, head)})
            elif position.epoch < opened.end.positions[shard].epoch:
                opened.start[shard] = position
                opened.gaps += await self._restored_gaps(rooms, position)
            else:
                opened.gaps += await self._all_gaps(rooms)

    async def _all_gaps(self, rooms: Mapping[str, bool] | list[str]) -> list[dict[str, Any]]:
        """Gaps for a place nobody knows: everything up to each room's head may have been missed."""
        names = list(rooms)
        seats = await self._rooms.seats("", names)
        return [
            {"room": name, "from": 1, "to": seat.room.head}
            for name, seat in zip(names, seats, strict=True)
            if seat is not None
        ]

    async def _restored_gaps(self, rooms: list[str], position: Position) -> list[dict[str, Any]]:
        """Gaps for a place of an epoch whose end nobody knows: the shard was wiped, and its rooms came back from the
        archive, each up to where it was archived. What the archive has behind the place is replayed; the rest is gone.

        A room that does not know the epoch was not there then, or the place is none of ours: all of it may be news.
        """
        gaps = []
        for room in rooms:
            edge = await self._log.edge(room)
            if edge is None:
                continue
            first = 1
            if any(epoch <= position.epoch for epoch, _ in edge.epochs):
                first = next((seq for epoch, seq in edge.epochs if epoch > position.epoch), edge.head + 1)
            gaps.append({"room": room, "from": first, "to": max(first, edge.head)})
        return gaps

    async def _start_since(self, opened: Opened, since_ms: int) -> None:
        for room in opened.rooms:
            first, head, _ = await self._log.locate(room, since_ms=since_ms)
            if first > head:
                continue
            events = await self._log.read(room, first - 1, 1)
            if not events:  # lost since
                continue
            (event,) = events
            shard = self._hub.shard_of(room)
            if event.offset - 1 < opened.start[shard].offset:
                opened.start[shard] = Position(event.epoch, event.offset - 1)


def _without_holes(events: Sequence[Event], frames: Sequence[Frame], last: dict[str, int]) -> list[Frame]:
    """The frames, with a gap in front of each event that does not follow what was told `last` of its room: servers that
    lose their data one after the other can take from under a replay what was not read yet."""
    out: list[Frame] = []
    for event, frame in zip(events, frames, strict=True):
        before = last.get(event.room, event.seq)
        if event.seq > before + 1:
            gap = {"room": event.room, "from": before + 1, "to": event.seq - 1}
            out.append(wire.control_frame("gap", rooms=[gap], refetch=True))
        last[event.room] = event.seq
        out.append(frame)
    return out


def _pages(kept: Sequence[Kept]) -> Iterator[Sequence[Kept]]:
    """The same in parts of `PAGE` events or `PAGE_BYTES`, whichever is less."""
    start = size = 0
    for end, item in enumerate(kept, 1):
        size += len(item.event.body)
        if end - start == PAGE or size >= PAGE_BYTES or end == len(kept):
            yield kept[start:end]
            start, size = end, 0


def _within(event: Event, end: Position) -> bool:
    """True when the event lies up to `end`. One of a later epoch does not, whatever its offset: a tail was lost."""
    return event.offset <= end.offset and event.epoch <= end.epoch
