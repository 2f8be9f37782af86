"""Which archived chunks a run of events touches: an edit, a deletion or a reaction may be about any message there is.

A step takes hold of the chunks it needs, up to a bound. A run that would need more is cut short before the event that
is one too many; the rest follows in the next step. Only a deletion can need more than the bound all by itself: it
takes the text of the message's edits, wherever they are. Then the step does part of that beforehand, see `Cut.scrub`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import structlog

from dchat_server.chunk import Row, decode
from dchat_server.fold import target_of
from dchat_server.model import Event
from dchat_server.ports_archive import Archive, Chunk, Conflict, RoomRecord

MAX_CHUNKS = 26
"""Archived chunks that one step may change: with what it adds they fit into one commit."""
MAX_BYTES = 1_500_000
"""The same, in packed bytes."""

log = structlog.get_logger("dchat.compactor")


class Cut(NamedTuple):
    """How much of a run one step can take on: its first `events`. 0: the first one needs more chunks than a step may
    change. It deletes message `scrub`; the chunks at hand are the first of those with edits of it, up to seq `until`.
    """

    events: int
    scrub: int = 0
    until: int = 0


class Reach:
    """The archived chunks that one step of a room has at hand, unpacked."""

    def __init__(self, archive: Archive, record: RoomRecord, tail: Chunk | None) -> None:
        self._archive, self._record = archive, record
        self._held: dict[int, tuple[Chunk, list[Row]]] = {}
        self._bytes = 0
        if tail is not None:
            self._hold(tail)

    @property
    def chunks(self) -> list[tuple[Chunk, list[Row]]]:
        """By first seq."""
        return [self._held[first] for first in sorted(self._held)]

    def rows(self) -> dict[int, Row]:
        """All rows at hand, by seq."""
        return {row.event.seq: row for _, rows in self._held.values() for row in rows}

    async def cut(self, events: Sequence[Event]) -> Cut:
        """Take hold of what the run touches, as far as that is possible. About one read a chunk."""
        record = self._record
        for at, event in enumerate(events):
            target = target_of(event)
            if target is None or not record.floor <= target <= record.watermark:
                continue
            if not await self._take(target):
                return Cut(at)
            if event.type != "delete":
                continue
            row = self._row(target)
            for first, last in row.state.edits if row is not None and row.state is not None else ():
                seq = max(first, record.floor)
                while seq <= min(last, record.watermark):
                    if not await self._take(seq):
                        return Cut(at) if at else Cut(0, target, seq)
                    seq = await self._next(seq)
        return Cut(len(events))

    async def _take(self, seq: int) -> bool:
        """Have the chunk that holds `seq` at hand; False when that is one too many."""
        if self._holding(seq) is not None:
            return True
        if len(self._held) >= MAX_CHUNKS or self._bytes > MAX_BYTES:
            return False
        chunk = await self._archive.chunk(self._record.room, seq)
        if chunk is None or chunk.last < seq:
            await self._missed(seq)
            return True
        self._hold(chunk)
        return True

    def _hold(self, chunk: Chunk) -> None:
        self._held[chunk.first] = chunk, decode(self._record.room, chunk.data)
        self._bytes += len(chunk.data)

    async def _missed(self, seq: int) -> None:
        """Raise Conflict when retention has just taken it. Otherwise the archive is damaged: what is gone cannot be
        changed, and the rest of the room must not wait for it. verify.py tells where."""
        room = self._record.room
        if (await self._archive.rooms([room]))[room].version != self._record.version:
            raise Conflict(f"{room} was changed meanwhile")
        log.error("archive_lacks_event", room=room, seq=seq)

    async def _next(self, seq: int) -> int:
        """The first seq behind the chunk that holds `seq`; where there is none, the first that is in a chunk again."""
        holding = self._holding(seq)
        if holding is not None:
            return holding.last + 1
        behind = await self._archive.chunks(self._record.room, seq, 1)
        return behind[0].first if behind else self._record.watermark + 1

    def _holding(self, seq: int) -> Chunk | None:
        """The chunk at hand that holds `seq`."""
        return next((chunk for chunk, _ in self._held.values() if chunk.first <= seq <= chunk.last), None)

    def _row(self, seq: int) -> Row | None:
        for chunk, rows in self._held.values():
            if chunk.first <= seq <= chunk.last:
                return rows[seq - chunk.first]
        return None
