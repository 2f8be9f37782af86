"""Reading back: pages of messages, single messages, and who answered one.

A room's log (over both, what Redis holds and what the archive holds: timeline.py) has every event; a page shows only
messages, in their present state. The cost of a page depends on its size and on how many other events lie between, never
on the room's length. Answers have no index: they are looked for from their message on, so many events a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from dchat_server import wire
from dchat_server.errors import ChatError
from dchat_server.model import Event, Message
from dchat_server.ports import Moved, RoomLog

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
MOST_SCANNED = 2000
"""Events looked through for answers in one request, about; ten reads of the log, or of the archive."""
SCANNED_AT_ONCE = 200
MOST_TRIES = 8
"""How often a page is begun anew when the room was archived further while it was read."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Page:
    """Messages oldest first, and whether there are more on either side."""

    messages: list[Message]
    more_before: bool
    more_after: bool


@dataclass(frozen=True, slots=True)
class Thread:
    """A message and what was said in answer to it, oldest first. `next`: how far was looked, when there may be more."""

    root: Message
    replies: list[Message]
    next: int | None


class History:
    """Pages over the room log."""

    def __init__(self, log: RoomLog) -> None:
        self._log = log

    async def before(self, room: str, seq: int | None, limit: int) -> Page:
        """The last `limit` messages before `seq` (None: the newest)."""

        async def read() -> Page:
            found, more = await self._back(room, seq, limit)
            return Page(await self._log.present(found), more, False)

        return await settled(read)

    async def after(self, room: str, seq: int, limit: int) -> Page:
        """The first `limit` messages after `seq`."""

        async def read() -> Page:
            found, more = await self._forward(room, seq, limit)
            return Page(await self._log.present(found), False, more)

        return await settled(read)

    async def around(self, room: str, seq: int, limit: int) -> Page:
        """About half of `limit` before `seq`, then the message itself and what follows."""

        async def read() -> Page:
            older, more_before = await self._back(room, seq, limit // 2)
            newer, more_after = await self._forward(room, seq - 1, limit - len(older))
            return Page(await self._log.present(older + newer), more_before, more_after)

        return await settled(read)

    async def one(self, room: str, seq: int) -> Message:
        """One message. Raises ChatError message_not_found, also for the seq of another kind of event."""

        async def read() -> Message:
            (message,) = await self._log.present([await self._event(room, seq)])
            return message

        return await settled(read)

    async def thread(self, room: str, seq: int, after: int, limit: int) -> Thread:
        """A message and the first `limit` that answer it behind seq `after`. Looks through `MOST_SCANNED` events and
        then says how far it came. Raises ChatError message_not_found."""

        async def read() -> Thread:
            root = await self._event(room, seq)
            found, further = await self._answers(room, seq, max(after, seq), limit)
            first, *replies = await self._log.present([root, *found])
            return Thread(first, replies, further)

        return await settled(read)

    async def _event(self, room: str, seq: int) -> Event:
        """The event of a message, as it was sent."""
        events = await self._log.read(room, seq - 1, 1)
        if not events or events[0].seq != seq or events[0].type != "message":
            raise ChatError("message_not_found", f"{room} has no message {seq}.")
        return events[0]

    async def _answers(self, room: str, seq: int, after: int, limit: int) -> tuple[list[Event], int | None]:
        """Messages that answer message `seq`, and behind which seq to go on, if there may be more."""
        found: list[Event] = []
        for _ in range(MOST_SCANNED // SCANNED_AT_ONCE):
            events = await self._log.read(room, after, SCANNED_AT_ONCE)
            found += [event for event in events if _answers(event, seq)]
            if len(found) > limit:
                return found[:limit], found[limit - 1].seq
            if len(events) < SCANNED_AT_ONCE:
                return found, None
            after = events[-1].seq
        return found, after

    async def _back(self, room: str, before: int | None, limit: int) -> tuple[list[Event], bool]:
        found: list[Event] = []
        while len(found) <= limit:
            events = await self._log.read_back(room, before, _chunk(limit))
            found += [event for event in events if event.type == "message"]
            if not events or events[-1].seq <= 1:
                break
            before = events[-1].seq
        return found[:limit][::-1], len(found) > limit

    async def _forward(self, room: str, after: int, limit: int) -> tuple[list[Event], bool]:
        found: list[Event] = []
        while len(found) <= limit:
            events = await self._log.read(room, after, _chunk(limit))
            found += [event for event in events if event.type == "message"]
            if len(events) < _chunk(limit):
                break
            after = events[-1].seq
        return found[:limit], len(found) > limit


async def settled(read: Callable[[], Awaitable[_T]]) -> _T:
    """What `read` gives, begun anew while the room moves from the log to the archive under it."""
    for _ in range(MOST_TRIES):
        try:
            return await read()
        except Moved:
            continue
    raise ChatError("overloaded", "The room is being archived; try again shortly.")


def _answers(event: Event, seq: int) -> bool:
    # Most do not, and are not parsed: within a text these quotes would have backslashes in front.
    return (
        event.type == "message"
        and b'"reply_to":%d' % seq in event.body
        and wire.body_fields(event).get("reply_to") == seq
    )


def _chunk(limit: int) -> int:
    return limit + 10
