"""Taking a backup: everything that was acknowledged before it began, while everybody goes on chatting.

Theory of operation
-------------------
The archive keeps everything for good, but is some seconds behind. So what the message log has that is not archived is
noted first: rooms with how far they go, and people. Then the leader is waited for until it has archived those rooms
that far; those people are taken from the log itself. After that the archive is copied, and all that was noted is in it.

*What happens meanwhile* may be in the file or not, room by room. Of each room it is a run without holes: its record is
read first, and nothing behind the record's watermark is taken. An edit or a deletion that came while the room's chunks
were read may be seen in its message without being there as an event. A room that lets go of old messages at that very
moment is read anew.

Every chunk and roster is unpacked on its way, so a damaged archive is noticed here and not on the day the backup is
needed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from dchat_server.archived import Hole, chunks_from
from dchat_server.backup_file import BackupWriter
from dchat_server.chunk import BadChunk
from dchat_server.compactor_run import chunks_of
from dchat_server.errors import ArchiveUnavailable
from dchat_server.ports_archive import Archive, Entry
from dchat_server.ports_hot import HotLog
from dchat_server.roster import BadRoster
from dchat_server.roster import decode as decode_roster

PAGE = 50
MOST = 100_000
"""Rooms, and people, of a shard that may wait to be archived when a backup begins."""
LOOK_S = 0.25
PATIENCE_S = 60.0
_ROOMS_AT_ONCE = 100
_TIMES = 5

OnProgress = Callable[[str, Mapping[str, int], int], None]
"""Told what is being done, what was written so far, and how many bytes that are."""


class NotReady(Exception):
    """The archive cannot be brought up to now, or is damaged. The text is a sentence with the next step."""


class _Patient:
    """An archive that is asked again, for up to `PATIENCE_S`, when it does not answer."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call: Callable[..., Awaitable[Any]] = getattr(self._archive, name)

        async def asked(*args: Any) -> Any:
            ends, pause_s = time.monotonic() + PATIENCE_S, 0.5
            while True:
                try:
                    return await call(*args)
                except ArchiveUnavailable:
                    if time.monotonic() > ends:
                        raise
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, 5.0)

        return asked


def patient(archive: Archive) -> Archive:
    """The archive, for work of hours: a throttle or a short outage does not end it."""
    return cast(Archive, _Patient(archive))


class Backup:
    """Writes what `archive` holds into `file`; `hot` is the message log before it, None when only what is archived is
    asked for. Waits at most `wait_s` for the leader."""

    def __init__(
        self, archive: Archive, hot: HotLog | None, file: BackupWriter, on_progress: OnProgress, *, wait_s: float
    ) -> None:
        self._archive, self._hot, self._file = patient(archive), hot, file
        self._tell, self._wait_s = on_progress, wait_s
        self._waiting: dict[str, int] = {}
        """room → the seq up to which it has to be archived."""
        self._unsaved: set[tuple[int, str]] = set()
        """(shard, name) of people of whom the log knows more than the archive."""

    async def take(self, shards: int) -> None:
        """All of it, but for the end of the file. Raises NotReady, ArchiveUnavailable, BackendUnavailable, OSError."""
        if self._hot is not None:
            ends = time.monotonic() + self._wait_s
            await self._note(self._hot, ends)
            await self._archived(ends)
        for shard, mark in sorted((await self._archive.marks()).items()):
            self._file.shard(shard, mark)
        await self._people(shards)
        for shard in range(shards):
            async for page in self._directory(shard, "room:"):
                for entry in page:
                    if entry.kind == "room":
                        await self._room(shard, entry.name)
                self._told("rooms")

    # --- up to now ------------------------------------------------------------------------------------------------

    async def _note(self, hot: HotLog, ends: float) -> None:
        """What the log has before the archive, at this moment."""
        while behind := await hot.behind():  # until then the log lacks what the archive holds, not the other way
            await self._pause(ends, f"{len(behind)} shards of the message log are still being brought back")
        for shard in range(hot.shards):
            people, rooms = await hot.changed_users(shard, MOST), await hot.dirty_rooms(shard, MOST)
            if MOST in (len(people), len(rooms)):
                raise NotReady(
                    "The archive is too far behind; see dchat admin lag, and try again once it has caught up."
                )
            self._unsaved |= {(shard, each.user) for each in people}
            for dirty in rooms:
                here = await hot.room(dirty.room)
                if here is not None:
                    self._waiting[dirty.room] = here.head

    async def _archived(self, ends: float) -> None:
        """Return when every noted room is archived as far as it went."""
        while True:
            names = list(self._waiting)
            for at in range(0, len(names), _ROOMS_AT_ONCE):
                for room, record in (await self._archive.rooms(names[at : at + _ROOMS_AT_ONCE])).items():
                    if record.watermark >= self._waiting[room]:
                        del self._waiting[room]
            if not self._waiting:
                return
            self._told(f"waiting until {len(self._waiting)} rooms are archived")
            some = ", ".join(sorted(self._waiting)[:3])
            await self._pause(ends, f"{len(self._waiting)} rooms are not archived yet ({some})")

    async def _pause(self, ends: float, why: str) -> None:
        if time.monotonic() > ends:
            raise NotReady(
                f"Waited {self._wait_s:g} s, and {why}. Does a worker lead? See dchat admin lag. Give it longer with "
                "--wait SECONDS; --archived takes what the archive has by now."
            )
        await asyncio.sleep(LOOK_S)

    # --- what there is --------------------------------------------------------------------------------------------

    async def _people(self, shards: int) -> None:
        unsaved = frozenset(self._unsaved)
        for shard, name in sorted(unsaved):
            assert self._hot is not None
            record = await self._hot.user(name)
            if record is not None:
                self._file.person(shard, record)
        for shard in range(shards):
            async for page in self._directory(shard, "user:"):
                names = [each.name for each in page if each.kind == "user" and (shard, each.name) not in unsaved]
                for record in (await self._archive.users(names)).values():
                    self._file.person(shard, record)
                self._told("people")

    async def _directory(self, shard: int, after: str) -> AsyncIterator[list[Entry]]:
        kind = after.partition(":")[0]
        while True:
            page = await self._archive.directory(shard, after, PAGE)
            if not page:
                return
            yield page
            if page[-1].kind != kind:
                return
            after = f"{kind}:{page[-1].name}"

    async def _room(self, shard: int, room: str) -> None:
        place = self._file.place()
        for _ in range(_TIMES):
            try:
                return await self._copy(shard, room)
            except (BadChunk, BadRoster) as error:
                raise NotReady(f"The archive is damaged; see dchat admin verify {room}. ({error})") from error
            except Hole as error:  # old messages were dropped while we read, or it is damaged
                self._file.rewind(place)
                hole = error
        raise NotReady(f"The archive is damaged; see dchat admin verify {room}. ({hole})")

    async def _copy(self, shard: int, room: str) -> None:
        # In this order the roster is not later than the record, and no chunk ends before its watermark.
        at, roster = await self._archive.roster(room)
        record = (await self._archive.rooms([room]))[room]
        if at < record.floor - 1:
            raise Hole(room, at + 1, "was dropped since the roster was read")
        decode_roster(roster)
        self._file.room(shard, replace(record, roster_at=at), roster)
        async for chunk, rows in chunks_from(self._archive, room, record.floor, record.watermark):
            if chunk.last <= record.watermark:
                self._file.chunk(chunk)
                continue
            for part in chunks_of([row for row in rows if row.event.seq <= record.watermark]):
                self._file.chunk(part)

    def _told(self, what: str) -> None:
        self._tell(what, self._file.counts, self._file.size)
