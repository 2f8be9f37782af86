"""Who is there, and what each person calls themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from dchat_server.model import is_name
from dchat_server.ports_accounts import AccountStore

AGE_S = 60.0
_MOST = 20_000


class Profiles:
    """Display names, remembered for `AGE_S`; a change is announced to all workers and dropped at once."""

    def __init__(self, store: AccountStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._names: dict[str, tuple[str, float]] = {}

    async def of(self, usernames: Iterable[str]) -> dict[str, str]:
        """user name → display name, of those that exist, in the order asked for.

        No round trip for names seen within a minute, else one a server.
        """
        now = self._clock()
        known: dict[str, str | None] = {}
        for username in usernames:
            entry = self._names.get(username)
            known[username] = entry[0] if entry is not None and now - entry[1] < AGE_S else None
        missing = [username for username, shown in known.items() if shown is None]
        if missing:
            for username, shown in (await self._store.display_names(missing)).items():
                known[username] = shown
                self._names.pop(username, None)
                self._names[username] = (shown, now)
            while len(self._names) > _MOST:
                del self._names[next(iter(self._names))]
        return {username: shown for username, shown in known.items() if shown is not None}

    async def find(self, query: str, limit: int, after: str) -> tuple[dict[str, str], str | None]:
        """user name → display name of those after `after` whose user name begins with `query`, sorted; and
        the last name when there are more. Two round trips a server.
        """
        prefix = query.strip().lower().removeprefix("@")
        if prefix and not is_name(prefix):
            return {}, None
        usernames = await self._store.usernames(after, limit + 1, prefix)
        more = usernames[limit - 1] if len(usernames) > limit else None
        return await self.of(usernames[:limit]), more

    def drop(self, username: str) -> None:
        """Look this one up again."""
        self._names.pop(username, None)

    def clear(self) -> None:
        self._names.clear()

    def sweep(self) -> None:
        """Let go of what is too old to be used."""
        now = self._clock()
        self._names = {name: entry for name, entry in self._names.items() if now - entry[1] < AGE_S}
