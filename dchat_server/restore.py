"""Bringing back what the message log's servers have lost.

Theory of operation
-------------------
A shard that lost data is *behind* until it has everything again. Meanwhile `Recall` brings back whoever is asked for
and is not there, and the leader's `Walk` goes through the archive's directory and brings back everybody and every room.
Both may do the same at once, and as often as they like: restoring takes nothing away that is newer.

What the archive said may be old when it arrives, if the shard has lost its data once more in between. So each record
is restored under the epoch that held *before* the archive was asked, and refused under a later one: ask again.

Who the first administrator is, is kept like a person's record, under the name `FIRST`, which nobody can have: after a
loss, no newcomer takes that place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Protocol

import structlog

from dchat_server.errors import ArchiveUnavailable, BackendUnavailable, ChatError
from dchat_server.model import is_name
from dchat_server.ports_archive import Archive, Entry, Mark, UserRecord
from dchat_server.ports_cluster import Term
from dchat_server.ports_hot import HotLog, Restorer

log = structlog.get_logger("dchat.restore")

FIRST = "!first"
"""Under this name the archive keeps the choice of the first administrator: account `state` (claimed or settled) and
`username`. Shard 0."""

GROUP = 50
_TIMES = 4


class PeopleLog(Protocol):
    """People in the message log, as far as bringing them back goes."""

    @property
    def shards(self) -> int: ...

    def shard_of(self, name: str) -> int: ...

    async def epoch(self, shard: int) -> int:
        """The epoch the shard is at. One round trip."""
        ...

    async def unsure(self, user: str) -> bool:
        """True when the archive may know more of this person: their shard is behind, and they were not compared with
        the archive since. One round trip."""
        ...

    async def restore(self, record: UserRecord, epoch: int) -> bool:
        """Make this person at least as new as the record; False when the shard is not at `epoch` any more. One round
        trip."""
        ...

    async def add_names(self, shard: int, users: Sequence[str], public_rooms: Sequence[str]) -> None:
        """Put names into the shard's lists of people and of public rooms. Two round trips. Repeatable."""
        ...


async def marks(archive: Archive, shards: int) -> dict[int, Mark]:
    """The archive's marks, for RedisNodes. One that was ever led has at least the lowest of every shard: people are
    saved without a mark, so a shard without rooms would seem never to have held anything. Two reads."""
    told = await archive.marks()
    if await archive.fence() > 0:
        told |= {shard: max(Mark(1, 0), told.get(shard, Mark(0, 0))) for shard in range(shards)}
    return told


class Recall:
    """Brings people back when somebody asks for them. All of it raises ArchiveUnavailable, and may be repeated."""

    def __init__(self, archive: Archive, people: PeopleLog, *, at_once: int = 8, waiting: int = 1000) -> None:
        self._archive, self._people = archive, people
        self._looking = _Gate(at_once, waiting)
        self._tokens = _Gate(max(1, at_once // 2), waiting)
        """Of their own, so that bad tokens keep nobody else waiting."""

    async def epoch(self, shard: int) -> int:
        """See `PeopleLog.epoch`."""
        return await self._people.epoch(shard)

    async def restore_users(self, users: Sequence[str]) -> set[str]:
        """Make these people at least as new as the archive has them; those it knows. One read of the archive and a
        round trip a person, for `GROUP` names."""
        known: set[str] = set()
        for group in _groups(list(dict.fromkeys(users))):
            async with self._looking.passed():
                known |= await self._restore(group)
        return known

    async def settle(self, user: str) -> None:
        """See to it that the archive has nothing newer of this person: before a change, or where a list that is there
        may be short. One round trip, when it has not."""
        if await self._people.unsure(user):
            await self.restore_users([user])

    async def token(self, shard: int, digest: str) -> bool:
        """Bring back the owner of a token; False when the archive knows none. Two reads of the archive."""
        async with self._tokens.passed():
            user = await self._archive.token_user(digest)
            return user is not None and self._people.shard_of(user) == shard and bool(await self.restore_users([user]))

    async def names(self, shard: int, after: str, limit: int) -> list[str]:
        """Up to `limit` names of people of a shard behind `after`, sorted. One read."""
        async with self._looking.passed():
            entries = await self._archive.directory(shard, f"user:{after}", limit + 1)  # one may be FIRST
        return [entry.name for entry in entries if entry.kind == "user" and is_name(entry.name)][:limit]

    async def first(self) -> None:
        """Bring back the choice of the first administrator: somebody whom the archive knows, if it knows anybody."""
        async with self._looking.passed():
            for _ in range(_TIMES):
                epoch = await self._people.epoch(0)
                choice = await self._first()
                if choice is None or await self._people.restore(choice, epoch):
                    return
        raise BackendUnavailable

    async def _restore(self, names: Sequence[str]) -> set[str]:
        known: set[str] = set()
        left = list(names)
        for _ in range(_TIMES):
            epochs = {shard: await self._people.epoch(shard) for shard in {self._home(name) for name in left}}
            records = await self._archive.users(left)
            if FIRST in records and (choice := await self._first()) is not None:
                records[FIRST] = choice
            known |= records.keys()
            left = [
                name for name, each in records.items() if not await self._people.restore(each, epochs[self._home(name)])
            ]
            if not left:
                return known
        raise BackendUnavailable

    async def _first(self) -> UserRecord | None:
        """The choice as it is to hold: somebody who is not there (a loss came before they were saved) gives way to the
        eldest of those who are."""
        kept = (await self._archive.users([FIRST])).get(FIRST)
        if kept is not None and await self._archive.users([kept.account["username"]]):
            return kept
        some = [name for shard in range(self._people.shards) for name in await self._some(shard)]
        people = await self._archive.users(some)
        if not people:
            return None
        eldest = min(people.values(), key=lambda record: (int(record.account.get("created", 0)), record.user))
        return choice("claimed", eldest.user)

    async def _some(self, shard: int) -> list[str]:
        entries = await self._archive.directory(shard, "user:", 5)
        return [entry.name for entry in entries if entry.kind == "user" and is_name(entry.name)]

    def _home(self, name: str) -> int:
        return 0 if name == FIRST else self._people.shard_of(name)


def choice(state: str, username: str) -> UserRecord:
    """The record of the choice of the first administrator."""
    return UserRecord(FIRST, {"state": state, "username": username}, {}, (), {})


class Walk:
    """A duty of the leader: goes through the directory of shards that are behind and brings back what is in it, names
    first, for until then lists of people and rooms lack them. At most `per_s` entries a second.

    Interrupted by an outage it goes on where it was; a new leader begins again, which finds most of it done.
    """

    name = "walk"

    def __init__(
        self,
        hot: HotLog,
        archive: Archive,
        restorer: Restorer,
        people: PeopleLog,
        *,
        per_s: float = 1000,
        pause_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hot, self._archive, self._restorer, self._people = hot, archive, restorer, people
        self._per_s, self._pause_s, self._clock = per_s, pause_s, clock
        self._reached: dict[int, tuple[int, str]] = {}
        """shard → (its epoch, the last entry that was brought back)."""
        self._behind: tuple[int, ...] = ()
        self._names = self._users = self._rooms = 0
        self._error = ""

    def facts(self) -> Mapping[str, Any]:
        """For the leader's report. `state` is idle, walking or waiting (see `error`); what was brought back is counted
        since this worker began."""
        state = "waiting" if self._error else "walking" if self._behind else "idle"
        facts = {"names": self._names, "users": self._users, "rooms": self._rooms, "error": self._error}
        return {"state": state, "behind": list(self._behind), **facts}

    async def run(self, term: Term) -> None:
        """Until cancelled. Raises Fenced, TermOver."""
        pause_s = self._pause_s
        while True:
            try:
                self._behind = tuple(await self._hot.behind())
                if self._behind:
                    await self._walk(term)
                    self._behind = tuple(await self._hot.behind())
                pause_s, self._error = self._pause_s, ""
            except ChatError as error:
                pause_s, self._error = min(pause_s * 2, 30.0), f"{error.code}: {error.detail}"
                log.warning("walk_waits", error=self._error)
            await asyncio.sleep(pause_s)

    async def _walk(self, term: Term) -> None:
        epochs = {shard: await self._people.epoch(shard) for shard in self._behind}
        for shard, epoch in epochs.items():
            if self._reached.get(shard, (0, ""))[0] != epoch:
                log.info("walk_begins", shard=shard, epoch=epoch)
                async for entries in self._entries(term, shard, ""):
                    await self._add_names(shard, entries)
                self._reached[shard] = epoch, ""
        for shard, epoch in epochs.items():
            async for entries in self._entries(term, shard, self._reached[shard][1]):
                await self._bring(entries)
                self._reached[shard] = epoch, f"{entries[-1].kind}:{entries[-1].name}"
            term.check()
            # One that lost its data again meanwhile has to be walked again.
            if await self._people.epoch(shard) == epoch:
                await self._hot.caught_up(term.fence, shard, epoch)
                log.info("walk_ended", shard=shard, users=self._users, rooms=self._rooms)

    async def _entries(self, term: Term, shard: int, after: str) -> AsyncIterator[list[Entry]]:
        """The shard's directory behind `after`, in groups, no faster than `per_s`."""
        while True:
            term.check()
            began = self._clock()
            entries = await self._archive.directory(shard, after, GROUP)
            if not entries:
                return
            yield entries
            after = f"{entries[-1].kind}:{entries[-1].name}"
            await asyncio.sleep(max(0.0, began + len(entries) / self._per_s - self._clock()))

    async def _add_names(self, shard: int, entries: Sequence[Entry]) -> None:
        users = [entry.name for entry in entries if entry.kind == "user" and is_name(entry.name)]
        await self._people.add_names(shard, users, [entry.name for entry in entries if entry.public])
        self._names += len(entries)

    async def _bring(self, entries: Sequence[Entry]) -> None:
        rooms = [entry.name for entry in entries if entry.kind == "room"]
        users = [entry.name for entry in entries if entry.kind == "user"]
        if rooms:
            self._rooms += len(await self._restorer.restore_rooms(rooms))
        if users:
            self._users += len(await self._restorer.restore_users(users))


class _Gate:
    """Lets `at_once` through and `waiting` wait; whoever comes then is told so at once."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free, self._most, self._waiting = asyncio.Semaphore(at_once), waiting, 0

    @asynccontextmanager
    async def passed(self) -> AsyncIterator[None]:
        if self._waiting >= self._most:
            raise ArchiveUnavailable("Too much is being brought back at once; try again shortly.")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()


def _groups(names: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while group := list(islice(rest, GROUP)):
        yield group
