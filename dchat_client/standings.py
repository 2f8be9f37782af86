"""How rooms stand with the server, and where one's read markers are. Told as `Synced`, `RoomIs`, `Marked`, `Passed`.

A marker is shown as moved at once and told one request at a time, the last place only. While one is under way, and in a
picture that was asked for before it ended, what the server says of that room's counts may be older than ours: it is
left out. A marker that could not be told is not kept: the next picture says what is so, for a badge must neither stick
nor be hidden.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from dchat_client.address import segment
from dchat_client.connection import Connection
from dchat_client.errands import rows_of
from dchat_client.errors import ChatError
from dchat_client.updates import Marked, Passed, RoomIs, Row, Synced, Update


class Standings:
    """Asks for counts and tells read markers. The methods that return True want `tell` or `look` to be run."""

    def __init__(self, connection: Connection, emit: Callable[[Update], None]) -> None:
        self._connection, self._emit = connection, emit
        self._marks: dict[str, tuple[int, bool]] = {}
        """Room → where its marker is to be, and whether that is backwards; while the server is being told."""
        self._moves: dict[str, int] = {}
        """Room → how often its marker was moved or ended being told."""
        self._heads: dict[str, int] = {}
        """Room → the newest seq that was counted in the last picture of it."""
        self._skipped: set[str] = set()
        """Rooms whose counts were left out of a picture, and are to be looked at once the marker is told."""
        self._syncing = asyncio.Lock()
        self._sync_wanted = False

    async def sync(self) -> None:
        """Take all rooms from the server. Those who want it while one is under way share the next. Never raises for
        the network: the next connection syncs.
        """
        self._sync_wanted = True
        async with self._syncing:
            if self._sync_wanted:
                self._sync_wanted = False
                with suppress(ChatError):
                    before = dict(self._moves)
                    answer = await self._connection.request("GET", "/v1/sync")
                    rooms = [self._checked(row, before) for row in rows_of(answer, "rooms")]
                    self._emit(Synced(answer.get("user") or {}, rooms))
                for room in self._skipped - self._marks.keys():
                    await self.look_again(room)

    async def look(self, room: str) -> None:
        """Take one room from the server. Raises ChatError."""
        before = dict(self._moves)
        row = (await self._connection.request("GET", f"/v1/rooms/{segment(room)}")).get("room")
        if isinstance(row, dict):
            self._skipped.discard(room)
            self._emit(RoomIs(self._checked(row, before)))

    def mark(self, room: str, seq: int, *, back: bool) -> bool:
        """Move the marker. True when `tell` has to be run for it."""
        self._emit(Marked(room, seq))
        self._moves[room] = self._moves.get(room, 0) + 1
        is_being_told = room in self._marks
        self._marks[room] = (seq, back)
        return not is_being_told

    async def tell(self, room: str) -> None:
        """Tell the server where the marker is, until it knows the last place."""
        told: tuple[int, bool] | None = None
        try:
            while (mark := self._marks[room]) != told:
                seq, back = mark
                body = {"seq": seq, "unread": True} if back else {"seq": seq}
                await self._connection.request("PUT", f"/v1/rooms/{segment(room)}/read", body=body)
                told = mark
        except ChatError:
            return
        finally:
            del self._marks[room]
            self._moves[room] = self._moves.get(room, 0) + 1
        # A mark within what was counted leaves a part of it unread; how much, only the server can tell.
        if told is not None and (told[1] or room in self._skipped or told[0] < self._heads.get(room, 0)):
            await self.look_again(room)

    def moved_elsewhere(self, event: Row) -> bool:
        """The stream says that the marker was moved. True when the room has to be looked at."""
        room = event.get("room")
        if not isinstance(room, str) or room in self._marks:
            return False  # the echo of our own; where another device was quicker, the next picture tells
        self._emit(Passed(event))
        # How many are unread is known only together with a head.
        return bool(event.get("unread"))

    async def look_again(self, room: str) -> None:
        """`look`, without a word when it cannot be done."""
        with suppress(ChatError):
            await self.look(room)

    def _checked(self, row: Row, before: dict[str, int]) -> Row:
        """Return the row without its counts when the marker was moved since `before`."""
        room, head = str(row.get("room")), row.get("head")
        self._heads[room] = head if type(head) is int else 0
        if room not in self._marks and self._moves.get(room, 0) == before.get(room, 0):
            return row
        self._skipped.add(room)
        return {name: value for name, value in row.items() if name not in ("read", "unread", "mentions")}
