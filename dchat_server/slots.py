"""How many streams a person may have open, over all workers, and so who is there.

Each worker knows its own count of each user and tells the store, always as an absolute number: so a
repeated or lost message does no harm, and a worker that was killed is forgotten when its last word is
`HOLD_S` old. `refresh` says everything again in time, and puts right whatever went wrong meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from weakref import WeakValueDictionary

from dchat_server.errors import BackendUnavailable
from dchat_server.ports_accounts import HOLD_S, SlotStore

REFRESH_S = HOLD_S / 3


class Slots:
    """The streams of this worker's users. `limit` 0 is no limit: nobody waits for the store then."""

    def __init__(self, store: SlotStore, worker: str, limit: int) -> None:
        self._store, self._worker, self._limit = store, worker, limit
        self._counts: dict[str, int] = {}
        self._taking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changed: set[str] = set()
        self._telling: asyncio.Task[None] | None = None

    async def acquire(self, user: str) -> bool:
        """Take a place for one more stream; False when the user has as many as may be. One round trip.

        Raises BackendUnavailable. Each True needs one `release`.
        """
        if self._limit <= 0:
            self._counts[user] = self._counts.get(user, 0) + 1
            self._tell(user)
            return True
        async with self._taking.setdefault(user, asyncio.Lock()):
            wanted = self._counts.get(user, 0) + 1
            told_by_others = self._telling is not None and not self._telling.done()
            try:
                if not await self._store.hold(user, self._worker, wanted, self._limit):
                    return False
            except BaseException:
                self._tell(user)  # it may have been counted all the same
                raise
            counted = self._counts[user] = self._counts.get(user, 0) + 1
            if counted != wanted or told_by_others:  # what they said may have come after what we said
                self._tell(user)
            return True

    def release(self, user: str) -> None:
        """Give a place back. Told to the store soon, together with others."""
        count = self._counts.get(user, 0) - 1
        if count > 0:
            self._counts[user] = count
        else:
            self._counts.pop(user, None)
        self._tell(user)

    async def online(self, users: Sequence[str]) -> set[str]:
        """Those of these users who have a stream open, here or on another worker. One round trip a server. Raises
        BackendUnavailable."""
        here = {user for user in users if user in self._counts}
        return here | await self._store.present([user for user in users if user not in here])

    async def refresh(self) -> None:
        """Say again what holds; call it every `REFRESH_S`. Raises BackendUnavailable."""
        if self._counts:
            await self._store.set_counts(self._worker, dict(self._counts))

    def _tell(self, user: str) -> None:
        self._changed.add(user)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        while self._changed:
            await asyncio.sleep(0.01)  # a drain ends thousands of streams: say it in few words
            users, self._changed = self._changed, set()
            with suppress(BackendUnavailable):  # refresh says what stays; the rest ends by itself
                await self._store.set_counts(self._worker, {user: self._counts.get(user, 0) for user in users})

    async def stop(self) -> None:
        """Give everything back. Call it when all streams are closed."""
        users = self._changed | self._counts.keys()
        self._counts.clear()
        if self._telling is not None:
            self._telling.cancel()
            with suppress(asyncio.CancelledError):
                await self._telling
        with suppress(BackendUnavailable):
            await self._store.set_counts(self._worker, dict.fromkeys(users, 0))
