"""What the archive holds of one room, unpacked: its rows in order, and its people at the watermark."""

from __future__ import annotations

from collections.abc import AsyncIterator

from dchat_server.chunk import Row, decode
from dchat_server.ports_archive import Archive, Chunk, Conflict, RoomRecord
from dchat_server.roster import Roster
from dchat_server.roster import decode as decode_roster

_PAGE = 8
"""Chunks read at once: half a megabyte at most, a few times that unpacked."""


class Hole(Exception):
    """The archive lacks what a room's record promises: `seq` is the first that is missing."""

    def __init__(self, room: str, seq: int, detail: str = "is missing") -> None:
        super().__init__(f"{room}: seq {seq} {detail}")
        self.room, self.seq = room, seq


async def chunks_from(archive: Archive, room: str, seq: int, last: int) -> AsyncIterator[tuple[Chunk, list[Row]]]:
    """The chunks that hold seqs `seq` to `last`, each with all its rows. One read for each 8 chunks.

    Raises Hole where one does not join the next, and BadChunk.
    """
    while seq <= last:
        page = await archive.chunks(room, seq, _PAGE)
        for chunk in page:
            if chunk.first > last:
                break
            rows = decode(room, chunk.data)
            if chunk.first > seq or (rows[0].event.seq, rows[-1].event.seq) != (chunk.first, chunk.last):
                raise Hole(room, seq)
            yield chunk, rows
            seq = chunk.last + 1
        if not page or (seq <= last and page[-1].first > last):
            raise Hole(room, seq)


async def roster_at(archive: Archive, record: RoomRecord) -> Roster:
    """The room's people at the watermark of its record: the stored roster and what happened since. Two or three reads,
    and one for each 8 chunks behind the stored one.

    Raises Conflict when the record is not the latest, Hole, BadChunk, BadRoster.
    """
    if not record.version:
        return Roster()
    at, parts = await archive.roster(record.room)
    if at > record.watermark:
        raise Conflict(f"{record.room}: the roster is of seq {at}, the record of {record.watermark}")
    roster = decode_roster(parts)
    async for _, rows in chunks_from(archive, record.room, at + 1, record.watermark):
        for row in rows:
            if at < row.event.seq <= record.watermark:
                roster.apply(row.event)
    return roster
