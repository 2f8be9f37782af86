"""Putting a backup into an empty archive, of whichever kind.

It is written as a leader would write it, with the lowest of all fences, so that every leader to come outranks it. Rooms
go in steps of bounded size, each under a name made of the backup's and a number: what was interrupted goes on when it
is repeated, and no step is made twice. Until the last one nobody can start on the archive (`Archive.begin_filling`).

The message log that then begins must be an empty one. To its first worker it looks like one that has lost everything,
and it gets back what it needs in the same way (restore.py): new epochs, offsets above those of the backup's marks, and
a `gap` for whoever comes with a cursor from before.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from dchat_server.backup import OnProgress, patient
from dchat_server.backup_file import Part, Summary, chunk_from, parts, person_from, room_from, shard_from
from dchat_server.ports_archive import (
    MAX_PUT_BYTES,
    MAX_PUTS,
    Archive,
    Chunk,
    Conflict,
    Mark,
    RoomChange,
    RoomRecord,
    UserRecord,
)

FENCE = 1
PEOPLE = 25
"""Saved in one call."""


@dataclass(slots=True)
class _Room:
    """A room on its way: what the file says of it, and what is not written yet. `step` is the last one made."""

    shard: int
    record: RoomRecord
    roster: list[bytes] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    size: int = 0
    step: int = 0
    last: Chunk | None = None
    """The chunk that was written last."""


class Refill:
    """Writes what the undamaged file `path` holds, of which `summary` tells, into `archive`."""

    def __init__(self, archive: Archive, path: Path, summary: Summary, on_progress: OnProgress) -> None:
        self._archive, self._path, self._summary, self._tell = patient(archive), path, summary, on_progress
        self._counts = {"people": 0, "rooms": 0, "chunks": 0}
        self._bytes = 0
        self._marks: dict[int, Mark] = {}
        self._people: list[tuple[int, UserRecord]] = []
        self._room: _Room | None = None

    async def run(self) -> None:
        """All of it. May be repeated after any end. Raises ClusterMismatch when the archive is not empty, BadBackup,
        ArchiveUnavailable, Fenced when a leader is at work in it."""
        await self._archive.begin_filling(self._summary.backup)
        await self._archive.raise_fence(FENCE)
        for part in parts(self._path):
            await self._take(part)
            self._bytes += len(part.body)
        await self._archive.end_filling(self._summary.backup)

    async def _take(self, part: Part) -> None:
        kind, body = part
        if kind == b"P" and self._room is not None:
            self._room.roster.append(body)
        elif kind == b"C" and self._room is not None:
            await self._add(self._room, chunk_from(body))
        elif kind == b"S":
            shard, mark = shard_from(body)
            self._marks[shard] = mark
        elif kind in (b"U", b"F"):
            self._people.append(person_from(body))
            if len(self._people) >= PEOPLE:
                await self._save_people()
        elif kind in (b"R", b"E"):
            await self._save_people()
            await self._end_room()
            if kind == b"R":
                shard, record, _ = room_from(body)
                self._room = _Room(shard, record)

    async def _save_people(self) -> None:
        if self._people:
            await self._archive.save_users(FENCE, self._people)
            self._note("people", len(self._people))
            self._people.clear()

    async def _add(self, room: _Room, chunk: Chunk) -> None:
        if len(room.chunks) == MAX_PUTS or room.size + len(chunk.data) > MAX_PUT_BYTES:
            # Not the room as it was at any time, but nobody sees it: it takes the last step to make it whole.
            last = room.chunks[-1]
            await self._step(
                room, replace(room.record, watermark=last.last, ts=last.ts, offset=last.offset, roster_at=0)
            )
        room.chunks.append(chunk)
        room.size += len(chunk.data)

    async def _end_room(self) -> None:
        if (room := self._room) is not None:
            await self._step(room, room.record, room.roster)
            self._note("rooms", 1)
        self._room = None

    async def _step(self, room: _Room, record: RoomRecord, roster: list[bytes] | None = None) -> None:
        room.step += 1
        room.last = room.chunks[-1] if room.chunks else room.last
        record = replace(
            record,
            version=room.step,
            commit=f"{self._summary.backup}-{room.step}",
            tail=room.last.first if room.last is not None else 0,
        )
        # The room's own place, too: it may have been read later than the marks.
        own = Mark(record.epochs[-1][0] if record.epochs else 0, record.offset)
        epoch, offset = max(own, self._marks.get(room.shard, own))
        change = RoomChange(record, room.chunks, roster=roster, shard=room.shard, epoch=epoch, offset=offset)
        try:
            await self._archive.commit(FENCE, change)
        except Conflict:
            there = (await self._archive.rooms([record.room])).get(record.room)
            if there is None or there.version < record.version or not _same(there.commit, record.commit):
                raise
        self._note("chunks", len(room.chunks))
        room.chunks, room.size = [], 0

    def _note(self, what: str, count: int) -> None:
        self._counts[what] += count
        self._tell("restoring", self._counts, self._bytes)


def _same(one: str, other: str) -> bool:
    """Whether both steps are of one backup."""
    return one.rpartition("-")[0] == other.rpartition("-")[0]
