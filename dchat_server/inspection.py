"""One room as operators see it: where it stands in the log and in the archive, and whether it is whole. Never what was
said there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from dchat_server.errors import ChatError
from dchat_server.model import iso
from dchat_server.ports_archive import Archive, RoomRecord
from dchat_server.ports_hot import HotLog, HotRoom

ANSWER_S = 3.0

Progress = Callable[[Mapping[str, Any]], Awaitable[None]]
Verify = Callable[[str, Progress], Awaitable[Mapping[str, Any]]]
"""Walks a room (its name) through archive and log and says how far it is now and then; what it found."""


class Inspector:
    """Looks at single rooms, for operators. One room is verified at a time."""

    def __init__(self, hot: HotLog, archive: Archive, verify: Verify) -> None:
        self._hot, self._archive, self._verify = hot, archive, verify
        self._busy = False

    async def room(self, room: str) -> dict[str, Any]:
        """Where the room stands, in the form of `GET /v1/cluster/rooms/{room}`. A round trip to each of the two.

        What does not answer is None, and `errors` says why. Raises ChatError room_not_found when neither knows the
        room, and the failure when neither answers.
        """
        hot, archived = await asyncio.gather(_asked(self._hot.room(room)), _asked(self._record(room)))
        errors = []
        for part, found in (("log", hot), ("archive", archived)):
            if isinstance(found, ChatError):
                errors.append({"part": part, "detail": found.detail})
        if isinstance(hot, ChatError) and isinstance(archived, ChatError):
            raise hot
        log = hot if isinstance(hot, HotRoom) else None
        record = archived if isinstance(archived, RoomRecord) else None
        if log is None and record is None and not errors:
            raise ChatError("room_not_found")
        head = log.head if log else None
        return {
            "room": room,
            "head": head,
            "log": None if log is None else _of_log(log),
            "archive": None if record is None else _of_archive(record),
            "lag": None
            if head is None or isinstance(archived, ChatError)
            else head - (record.watermark if record else 0),
            "errors": errors,
        }

    @asynccontextmanager
    async def verifying(self) -> AsyncIterator[Verify]:
        """The right to verify a room, for the length of the block. Raises ChatError overloaded when somebody has it."""
        if self._busy:
            raise ChatError("overloaded", "This worker is verifying a room already; try again when it is done.")
        self._busy = True
        try:
            yield self._verify
        finally:
            self._busy = False

    async def _record(self, room: str) -> RoomRecord | None:
        return (await self._archive.rooms([room])).get(room)


async def _asked(question: Awaitable[Any]) -> Any:
    """The answer, or the ChatError it ended with."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await question
    except ChatError as error:
        return error
    except TimeoutError:
        return ChatError("backend_unavailable", f"It did not answer within {ANSWER_S:g} s.")


def _of_log(room: HotRoom) -> dict[str, Any]:
    return {
        "head": room.head,
        "watermark": room.watermark,
        "floor": room.floor,
        "epoch": room.epochs[-1][0] if room.epochs else None,
    }


def _of_archive(record: RoomRecord) -> dict[str, Any]:
    return {
        "version": record.version,
        "watermark": record.watermark,
        "floor": record.floor,
        "messages": record.messages,
        "last_at": iso(record.ts) if record.ts else None,
        "tail": record.tail,
        "roster_at": record.roster_at,
    }
