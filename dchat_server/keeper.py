"""People durable in the archive: a duty of the leader that saves each record soon after it changed.

The message log notes who changed, and takes the note away only when the very version that was saved is still the last
one. So whatever dies, and wherever, a record is saved once more at worst and never too seldom.

How late a record may be: `interval_s` and the time a round takes, while the archive answers. A loss of the message
log's data in that time takes the change with it: a token that was just revoked would come back. Changes of accounts and
tokens are therefore saved before those of rooms and read markers, however many of these wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice, zip_longest
from typing import Any

import structlog

from dchat_server.errors import ChatError
from dchat_server.ports_archive import Archive, Fenced, UserRecord
from dchat_server.ports_cluster import Term, TermOver
from dchat_server.ports_hot import ChangedUser, HotLog, Restorer

log = structlog.get_logger("dchat.keeper")

INTERVAL_S = 2.0
MOST = 100
"""People of a shard that are saved in a round."""
GROUP = 25
"""People that are saved in one call of the archive."""
BACKOFF_S = 30.0

_Change = tuple[int, ChangedUser]


class Keeper:
    """Saves people who changed. `restorer` brings them forward first in shards that lost data, so that nothing older
    is written over what the archive has."""

    name = "keeper"

    def __init__(
        self,
        hot: HotLog,
        archive: Archive,
        restorer: Restorer,
        *,
        interval_s: float = INTERVAL_S,
        most: int = MOST,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._hot, self._archive, self._restorer = hot, archive, restorer
        self._interval_s, self._most, self._wall = interval_s, most, wall
        self._since: dict[str, int] = {}
        """Who waits, and since when this leader has known (ms)."""
        self._saved = 0
        self._failed: set[str] = set()
        self._error = ""

    def facts(self) -> Mapping[str, Any]:
        """For the leader's report. `state` is ok, waiting (an outage, see `error`) or failing (people in `failed`
        cannot be saved, the others can); `waiting` people at least, the first of them since `since` (ms)."""
        return {
            "state": "waiting" if self._error else "failing" if self._failed else "ok",
            "waiting": len(self._since),
            "since": min(self._since.values(), default=None),
            "saved": self._saved,
            "failed": sorted(self._failed)[:10],
            "error": self._error,
        }

    async def run(self, term: Term) -> None:
        """Until cancelled. Raises Fenced, TermOver."""
        self._since.clear()
        pause_s = self._interval_s
        while True:
            try:
                full = await self.save(term)
                pause_s, self._error = (0.0 if full else self._interval_s), ""
            except ChatError as error:
                pause_s = min(max(pause_s, self._interval_s) * 2, BACKOFF_S)
                self._error = f"{error.code}: {error.detail}"
                log.warning("keeper_waits", waiting=len(self._since), error=self._error)
            await asyncio.sleep(pause_s)

    async def save(self, term: Term) -> bool:
        """One round over all shards, a bounded number of people of each; True when more may wait. Raises Fenced,
        TermOver, ArchiveUnavailable, BackendUnavailable."""
        shards = range(self._hot.shards)
        listed = await asyncio.gather(*(self._hot.changed_users(shard, self._most) for shard in shards))
        self._note(listed)
        await self._settle(listed)
        # One of each shard in turn: what comes first may be all that an outage lets through.
        turns = chain.from_iterable(
            zip_longest(*([(shard, each) for each in some] for shard, some in enumerate(listed)))
        )
        changes = iter([change for change in turns if change is not None])
        failed: set[str] = set()
        while group := list(islice(changes, GROUP)):
            failed |= await self._save_group(term, group)
        self._failed = failed
        return not failed and any(len(some) >= self._most for some in listed)

    async def _save_group(self, term: Term, changes: Sequence[_Change]) -> set[str]:
        """Save these people; those whose records nothing can be done with. One of those must not keep the rest from
        being saved."""
        records = await asyncio.gather(*(self._hot.user(change.user) for _, change in changes))
        there = [(shard, record) for (shard, _), record in zip(changes, records, strict=True) if record is not None]
        term.check()
        failed: set[str] = set()
        try:
            await self._save_records(term, there)
        except (ChatError, Fenced, TermOver):
            raise
        except Exception:
            for shard, record in there:
                try:
                    await self._save_records(term, [(shard, record)])
                except (ChatError, Fenced, TermOver):
                    raise
                except Exception as error:
                    log.exception("person_not_saved", user=record.user, error=repr(error))
                    failed.add(record.user)
        for _, change in changes:
            if change.user not in failed:
                term.check()
                await self._hot.user_saved(term.fence, change.user, change.version)
                self._since.pop(change.user, None)
                self._saved += 1
        return failed

    async def _save_records(self, term: Term, records: Sequence[tuple[int, UserRecord]]) -> None:
        if records:
            await self._archive.save_users(term.fence, records)

    async def _settle(self, listed: Sequence[Sequence[ChangedUser]]) -> None:
        """In shards that are behind, make people as new as the archive has them before they are saved there."""
        behind = await self._hot.behind()
        users = [change.user for shard in behind for change in listed[shard]]
        if users:
            await self._restorer.restore_users(users)

    def _note(self, listed: Sequence[Sequence[ChangedUser]]) -> None:
        now = int(self._wall() * 1000)
        for change in chain.from_iterable(listed):
            self._since.setdefault(change.user, now)
        if all(len(some) < self._most for some in listed):  # then these are all: another leader may have saved the rest
            waiting = {change.user for change in chain.from_iterable(listed)}
            self._since = {user: since for user, since in self._since.items() if user in waiting}
