"""Who is writing something just now, told to the others in the room. Nothing of it is kept.

A client says so again and again while somebody types, in as many rooms as they like, and each time it would cost every
stream of the room a write, and the feed, which is bounded, a place. So a worker passes on at most one of a person and
room each `EACH_S`, and in that time of one person in `MOST` rooms and of `MOST` people in one room. The rest has the
same answer, refusals included, and no effect. What is passed on holds for `HOLDS_S`: who goes on typing is told again
before it ends, and who stops is forgotten without a word.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from dchat_server import wire
from dchat_server.model import iso
from dchat_server.ports import RoomStore

EACH_S = 3.0
HOLDS_S = 6.0
MOST = 5
MOST_IN_ALL = 10_000
"""Remembered at a time."""


class Typists:
    """What this worker passed on within the last `EACH_S`."""

    def __init__(self, store: RoomStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._told: dict[tuple[str, str], tuple[float, asyncio.Future[None]]] = {}
        """(user, room) → when it was told, and what became of that. Oldest first."""
        self._counts: Counter[str] = Counter()
        """How often a user (`@name`) or a room is in there."""

    async def tell(self, user: str, room: str) -> None:
        """Tell the room that `user` is writing. One round trip, or none. Raises ChatError room_not_found, not_a_member,
        read_only, room_archived."""
        now = self._clock()
        self._forget(now - EACH_S)
        key = (user, room)
        if key in self._told:
            # Who says it twice at once gets the same answer twice, also when that is a refusal.
            await asyncio.shield(self._told[key][1])
        elif len(self._told) >= MOST_IN_ALL or max(self._counts["@" + user], self._counts[room]) >= MOST:
            await self._store.typing(room, user, b"")
        else:
            until = iso(int((time.time() + HOLDS_S) * 1000))
            body = b"{" + wire.fields(type="typing", room=room, sender=user, until=until)
            telling = asyncio.ensure_future(self._store.typing(room, user, body))
            self._told[key] = now, telling
            self._counts.update(("@" + user, room))
            telling.add_done_callback(lambda done: self._ended(key, done))
            await asyncio.shield(telling)

    def _ended(self, key: tuple[str, str], telling: asyncio.Future[None]) -> None:
        """What failed is asked anew with the next one."""
        failed = telling.cancelled() or telling.exception() is not None
        if failed and key in self._told and self._told[key][1] is telling:
            self._drop(key)

    def _forget(self, before: float) -> None:
        while self._told:
            key, (at, _) = next(iter(self._told.items()))
            if at > before:
                break
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        del self._told[key]
        user, room = key
        for name in ("@" + user, room):
            self._counts[name] -= 1
            if not self._counts[name]:
                del self._counts[name]
