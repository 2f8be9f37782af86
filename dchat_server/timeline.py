"""A room from its first event to its last: what the message log holds and what the archive holds, as one.

Theory of operation
-------------------
The archive holds `floor` to `watermark`, the log `first` to `head`, and `first` <= `watermark` + 1: an event leaves the
log only after the archive has it. So whatever the log cannot give, the archive can, when it is asked *afterwards*.

*Presence.* What became of a message is in Redis until it is folded into the archive and the message has left the log.
A page reads the watermark first, then the archive, then Redis; when the watermark still is the same by then, nothing
was folded in between, and what Redis does not know of never happened. Else `present` raises Moved and the page begins
anew (history.py).

*Retention* moves `floor`. What lies before it is not there any more, for anybody; `read` begins behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from dchat_server import chunk as chunks
from dchat_server.errors import ArchiveUnavailable, ChatError
from dchat_server.model import Draft, Event, Message, Sent
from dchat_server.ports import Amendment, Archived, Edge, Place, RoomLog, Trimmed
from dchat_server.ports_archive import Archive, Chunk

AT_ONCE = 8
"""Chunks asked for in one read of the archive, at most."""

MOST_TURNS = 8
"""How often the log may lose its beginning to retention while somebody reads there."""

log = structlog.get_logger("dchat.timeline")


class Timeline:
    """`RoomLog` over a log and an archive."""

    def __init__(self, room_log: RoomLog, archive: Archive) -> None:
        self._log, self._archive = room_log, archive

    async def send(self, room: str, draft: Draft) -> Sent:
        return await self._log.send(room, draft)

    def post(self, room: str, draft: Draft, told: Callable[[Sent | Exception | None], None]) -> None:
        self._log.post(room, draft, told)

    async def send_many(self, room: str, drafts: Sequence[Draft]) -> list[Sent | ChatError]:
        return await self._log.send_many(room, drafts)

    async def amend(self, room: str, actor: str, amendment: Amendment) -> bool:
        return await self._log.amend(room, actor, amendment)

    async def edge(self, room: str) -> Edge | None:
        return await self._log.edge(room)

    async def present(self, events: Sequence[Event]) -> list[Message]:
        return await self._log.present(events)

    async def read(self, room: str, after: int, limit: int) -> list[Event]:
        out: list[Event] = []
        after, idle_turns = max(after, 0), 0
        while len(out) < limit:
            try:
                return out + await self._log.read(room, after, limit - len(out))
            except Trimmed:
                edge = await self._log.edge(room)
            if edge is None:
                return out
            more = await self._archived(room, max(after + 1, edge.floor), limit - len(out), edge)
            if more:
                out += more
                after, idle_turns = more[-1].seq, 0
                continue
            after = max(after, edge.first - 1)  # all of it lies before the floor: the log itself begins behind
            idle_turns += 1
            if idle_turns > MOST_TURNS:
                raise ArchiveUnavailable("The room is being archived; try again shortly.")
        return out

    async def read_back(self, room: str, before: int | None, limit: int) -> list[Event]:
        out = await self._log.read_back(room, before, limit)
        if len(out) == limit or (out and out[-1].seq == 1):
            return out
        edge = await self._log.edge(room)
        if edge is None:
            return out
        top = out[-1].seq - 1 if out else edge.head if before is None else min(before - 1, edge.head)
        if top > edge.watermark and not out:
            # The log was empty, and is not any more: somebody spoke in an idle room.
            out = await self._log.read_back(room, before, limit)
            top = out[-1].seq - 1 if out else edge.watermark
        out = [event for event in out if event.seq >= edge.floor]
        if top >= edge.floor and len(out) < limit:
            out += await self._archived_back(room, top, limit - len(out), edge)
        return out

    async def locate(self, room: str, *, offset: int | None = None, since_ms: int | None = None) -> Place:
        try:
            return await self._log.locate(room, offset=offset, since_ms=since_ms)
        except Trimmed as error:
            place = error.place
        found = await self._archive.find(room, offset=offset, ts=since_ms)
        if found is None:
            return place
        # The archive's own: retention moves it there first, and may have died before it told the log.
        floor = max(place.given_up + 1, await self._floor(room))
        for event, _ in chunks.decode(room, found.data):
            if event.offset > offset if offset is not None else event.ts >= (since_ms or 0):
                # Where it begins exactly at the floor, more may have been wanted: better told once too often.
                given_up = floor - 1 if event.seq <= floor else 0
                return Place(min(max(event.seq, floor), place.first), place.head, given_up)
        return place

    async def _archived(self, room: str, seq: int, limit: int, edge: Edge) -> list[Event]:
        """Events from `seq` on up to the watermark, dense; from later on when retention took the first of them."""
        while seq <= edge.watermark:
            # Looked for from their end, they are one query of DynamoDB; from their start they would be two.
            last = min(seq + limit - 1, edge.watermark)
            if back := await self._archived_back(room, last, last - seq + 1, edge):
                return back[::-1]
            seq = await self._floor(room)  # beyond all of them by now
        return []

    async def _archived_back(self, room: str, seq: int, limit: int, edge: Edge) -> list[Event]:
        """Events from `seq` back to the floor, newest first, dense."""
        out: list[Event] = []
        while seq >= edge.floor and len(out) < limit:
            found = await self._archive.chunks_back(room, seq, _at_once(limit - len(out)))
            if not found or found[0].last < seq:
                if await self._floor(room) > seq:
                    break
                raise _hole(room, seq)
            for each in found:
                if each.last < seq:
                    raise _hole(room, seq)
                low = max(edge.floor, seq - (limit - len(out)) + 1)
                out += reversed(_events(room, each, low, seq, edge))
                seq = min(seq, each.first) - 1
                if len(out) >= limit or seq < edge.floor:
                    break
        return out

    async def _floor(self, room: str) -> int:
        """The floor as the archive itself says: retention moves it there first."""
        record = (await self._archive.rooms((room,))).get(room)
        return record.floor if record else 1


def _at_once(events: int) -> int:
    """How many chunks to ask for. Most hold 200 events, those of a quiet room some 50: what is read in vain costs read
    units, a second read costs time."""
    return min(1 if events == 1 else 2 + events // chunks.MAX_EVENTS, AT_ONCE)


def _events(room: str, chunk: Chunk, low: int, high: int, edge: Edge) -> list[Event]:
    """A chunk's events with seqs `low` to `high`."""
    rows = chunks.decode(room, chunk.data)
    if (rows[0].event.seq, rows[-1].event.seq) != (chunk.first, chunk.last):
        raise _hole(room, chunk.first)
    wanted = rows[max(0, low - chunk.first) : max(0, high + 1 - chunk.first)]
    return [Archived.of(event, state, edge.watermark) for event, state in wanted]


def _hole(room: str, seq: int) -> ArchiveUnavailable:
    """What must not happen: the archive lacks what it promised. Nothing is shown rather than something wrong."""
    log.error("archive_hole", room=room, seq=seq)
    return ArchiveUnavailable(f"The archive lacks event {seq} of the room; its operator has to look.")
