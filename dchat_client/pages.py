"""The pages a face shows: which rooms it has open, and how much of each.

Told as `Asked`, then `PageCame` or `Unanswered`. One page at a time in a room. The newest messages of a room stay
wanted until they came, however often that fails, as long as it may succeed; older ones are asked for once, and again
when the face scrolls there again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from dchat_client.connection import Connection
from dchat_client.errors import ChatError
from dchat_client.history import newest, page
from dchat_client.updates import Asked, Failed, PageCame, Unanswered, Update

PAGE = 100
"""Messages a room begins with, and of each page further back."""
MOST_RELOADED = 1000
"""Messages read anew of a room after a gap; those before are fetched again when somebody goes there."""


class Pages:
    """The rooms a face has opened, and the pages under way."""

    def __init__(self, connection: Connection, emit: Callable[[Update], None]) -> None:
        self._connection, self._emit = connection, emit
        self._shown: dict[str, int] = {}
        """Room → how many of its messages the face has."""
        self._wanted: dict[str, int] = {}
        """Room → how many of its newest messages are to be read."""
        self._coming: set[str] = set()
        """Rooms whose newest messages are under way."""
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def wanted(self) -> tuple[str, ...]:
        """Rooms whose newest messages are still to come."""
        return tuple(self._wanted)

    def open(self, room: str) -> bool:
        """Want the room's newest messages. False when the face has them, or they are coming."""
        if room not in self._shown and room not in self._coming:
            self._wanted.setdefault(room, PAGE)
        return room in self._wanted

    def close(self, room: str) -> None:
        """Forget a room."""
        self._shown.pop(room, None)
        self._wanted.pop(room, None)

    def missed(self, rooms: Iterable[str]) -> list[str]:
        """Something of these rooms (none named: of any) did not come: want anew what is shown of them. Return which."""
        opened = self._shown.keys() | self._coming
        again = [room for room in (tuple(rooms) or tuple(opened)) if room in opened]
        for room in again:
            self._wanted[room] = min(max(self._shown.get(room, 0), PAGE), MOST_RELOADED)
        return again

    async def load(self, room: str) -> None:
        """Have the newest messages of a room, if they are still wanted; they replace what is shown."""
        async with self._under_way(room, f"Room {room} could not be read", lambda: room in self._wanted) as needed:
            if needed:
                # Not wanted while under way: who wants them meanwhile wants them from after that.
                count = self._wanted.pop(room)
                self._coming.add(room)
                try:
                    found = await newest(self._connection, room, count)
                except BaseException:
                    self._wanted.setdefault(room, count)
                    raise
                finally:
                    self._coming.discard(room)
                self._shown[room] = len(found.messages)
                self._emit(PageCame(room, found.messages, found.head, found.has_more))

    async def older(self, room: str, before: int) -> None:
        """Have the messages just below `before`, the oldest that is shown. Nothing while another page is under way."""
        if self._lock(room).locked():
            return
        async with self._under_way(room, "Older messages could not be read"):
            found = await page(self._connection, room, before=before, limit=PAGE)
            self._shown[room] = self._shown.get(room, 0) + len(found.messages)
            self._emit(PageCame(room, found.messages, found.head, found.has_more, before))

    @asynccontextmanager
    async def _under_way(self, room: str, what: str, needed: Callable[[], bool] = lambda: True) -> AsyncIterator[bool]:
        """Tell that a page is under way, and if so, that it does not come. Gives whether it is still `needed` when its
        turn has come.
        """
        async with self._lock(room):
            if not needed():
                yield False
                return
            self._emit(Asked(room))
            try:
                yield True
            except ChatError as error:
                self._emit(Unanswered(room))
                if not error.retryable:
                    self._wanted.pop(room, None)
                self._emit(Failed(what, error, room))
            except BaseException:
                self._emit(Unanswered(room))
                raise

    def _lock(self, room: str) -> asyncio.Lock:
        return self._locks.setdefault(room, asyncio.Lock())
