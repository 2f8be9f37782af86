"""A town: people who write, change, read the stream and walk through the history all at once, and what is to be said of
it in the end. A witness looks at log and archive themselves meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import aiohttp
import redis as redis_py

from dchat_server.adapters.redis_keys import Keys
from dchat_server.errors import ArchiveUnavailable
from dchat_server.ports_archive import Archive
from tests.harness.checker import Sight, Walk, Write, seams, violations
from tests.harness.crowd import Reader, Writer, caught_up, stop_all
from tests.harness.people import Person, house
from tests.harness.walkers import Changer, Walker

SHARDS = 16


class Witness:
    """Looks at each room some times a second: first in the log, then in the archive."""

    def __init__(self, redis_port: int, archive: Archive, rooms: Sequence[str], *, every_s: float = 0.05) -> None:
        self.sights: list[Sight] = []
        self._port, self._archive, self._rooms, self._every_s = redis_port, archive, list(rooms), every_s
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            with suppress(redis_py.RedisError, OSError, ArchiveUnavailable):
                self.sights += await self.look()
            await asyncio.sleep(self._every_s)

    async def look(self) -> list[Sight]:
        """The rooms as they are now. Rooms that the archive does not know yet are not among them."""
        logs = await asyncio.to_thread(self._logs)
        records = await self._archive.rooms(self._rooms)
        fence = await self._archive.fence()
        return [
            Sight(room, *logs[room], record.watermark, record.floor, fence)
            for room, record in records.items()
            if room in logs
        ]

    def _logs(self) -> dict[str, tuple[int, int, int]]:
        """room → first seq the log holds, the watermark it knows, its shard's fence."""
        keys, found = Keys(SHARDS), {}
        with redis_py.Redis(port=self._port, decode_responses=True, socket_timeout=5, protocol=2) as client:
            for room in self._rooms:
                with client.pipeline(transaction=True) as pipe:
                    pipe.hmget(keys.room(room) + ":meta", "head", "w")
                    pipe.xrange(keys.room(room) + ":log", count=1)
                    pipe.hget(keys.state(keys.shard(room)), "fence")
                    (head, known), rows, fence = pipe.execute()
                if head is not None:
                    first = int(rows[0][0].split("-")[1]) if rows else int(head) + 1
                    found[room] = (first, int(known or 0), int(fence or 0))
        return found


def writes_of(outcomes: Sequence[tuple[str, dict[str, Any], int]]) -> list[Write]:
    """What DynamoDB carried out or refused (`Dynamo.outcomes`), as the checker wants it."""
    return [
        Write(int(action["ExpressionAttributeValues"][":fence"]["N"]), status == 200, str(action.get("Key")))
        for _, asked, status in outcomes
        for action in _actions(asked)
        if ":fence" in action.get("ExpressionAttributeValues", ())
    ]


def _actions(asked: dict[str, Any]) -> list[dict[str, Any]]:
    if "TransactItems" in asked:
        return [action for item in asked["TransactItems"] for action in item.values()]
    return [asked]


class Town:
    """Six people in two rooms. The first room has two who change things and one who only writes, the second one each;
    everybody's stream is read, by some restlessly; two walk."""

    def __init__(self, people: Sequence[Person], rooms: Sequence[str]) -> None:
        self.people, self.rooms = people, rooms
        self.writers: list[Writer] = []
        self.changers: list[Changer] = []
        self.readers: list[Reader] = []
        self.walkers: list[Walker] = []
        self.marks: list[tuple[dict[str, int], str]] = []
        """Heads and cursor at some moments: places to come back to."""
        self.witness: Witness | None = None
        self.writes: Callable[[], Sequence[Write]] = tuple
        """What was written to the archive, where that is known."""
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.heads: dict[str, int] = {}

    async def start(
        self, *, pause_s: float = 0.01, forms: Sequence[str] = ("sse", "ndjson"), witness: Witness | None = None
    ) -> Town:
        self.witness = witness
        one, other = self.rooms
        await self.mark()
        heads, cursor = self.marks[0]
        self.writers = [Writer(self.people[0], one, pause_s=pause_s), Writer(self.people[1], other, pause_s=pause_s)]
        self.changers = [
            Changer(self.people[at], room, pause_s=pause_s) for at, room in ((2, one), (3, one), (4, other))
        ]
        self.readers = [
            Reader(
                self.people[at % len(self.people)],
                forms=forms,
                restless=(20, 300) if at % 2 else None,
                cursor=cursor,
                starts=heads,
                allowed=frozenset(self.rooms),
                idle_s=6,
                seed=at,
            )
            for at in range(6)
        ]
        self.walkers = [Walker(person, self.rooms, seed=at) for at, person in enumerate(self.people[-2:])]
        for each in (*self.readers, *self.writers, *self.changers, *self.walkers):
            each.start()
        return self

    async def mark(self) -> None:
        """Remember where everybody is, for readers that come back there in the end."""
        self.marks.append(await self.people[5].sync())

    async def run(self, seconds: float) -> None:
        """Let them go on for a while, and remember where they were."""
        await asyncio.sleep(seconds / 2)
        await self.mark()
        await asyncio.sleep(seconds / 2)

    def leave(self, url: str) -> None:
        """Ask this worker nothing more, until `come_back`. Who reads there leaves when its pings stop."""
        for person in self.people:
            person.urls.remove(url)

    def come_back(self, url: str) -> None:
        for person in self.people:
            person.urls.append(url)

    @property
    def done(self) -> int:
        """How many messages and changes were acknowledged."""
        return sum(each.acknowledged for each in (*self.writers, *self.changers))

    @property
    def walks(self) -> list[Walk]:
        return [walk for walker in self.walkers for walk in walker.walks]

    async def quiet(self) -> None:
        """Nobody writes any more; everybody has seen everything; those who come back have come back."""
        for writer in self.writers:
            writer.stopped = True
        await asyncio.gather(*(writer.task for writer in self.writers if writer.task))
        await asyncio.gather(*(changer.stop() for changer in self.changers))
        self.heads = {room: await self.people[0].head(room) for room in self.rooms}
        for at, (heads, cursor) in enumerate(self.marks):
            late = Reader(
                self.people[at % len(self.people)],
                forms=("sse", "ndjson", "poll"),
                restless=(100, 900) if at % 2 else None,
                cursor=cursor,
                starts=heads,
                seed=100 + at,
            )
            self.readers.append(late.start())
        await caught_up(self.readers, self.heads)
        await asyncio.gather(*(walker.stop() for walker in self.walkers))
        for room in self.rooms:
            for walker in self.walkers:
                await walker.walk(room)

    async def end(self, *, lossy: bool = False) -> list[str]:
        """Everything that must not be."""
        await self.quiet()
        await stop_all(self.readers)
        if self.witness is not None:
            self.witness.sights += await self.witness.look()
            await self.witness.stop()
        self.history = {room: await self.people[0].history(room) for room in self.rooms}
        attempts = [attempt for each in (*self.writers, *self.changers) for attempt in each.attempts]
        said = {(attempt.room, attempt.seq): attempt.text for attempt in attempts}
        originals = {
            room: [
                {**message, "text": said[room, message["seq"]]}
                if (room, message["seq"]) in said and ("edited_at" in message or message.get("deleted"))
                else message
                for message in messages
            ]
            for room, messages in self.history.items()
        }
        records = [reader.record for reader in self.readers]
        found = violations(originals, attempts, records, heads=self.heads, lossy=lossy)
        changes = [change for changer in self.changers for change in changer.changes]
        sights = self.witness.sights if self.witness is not None else ()
        return found + seams(self.history, records, self.walks, changes, sights, self.writes())

    def close(self) -> None:
        """End all tasks, whatever became of the test."""
        for task in (
            *(each.task for each in (*self.writers, *self.changers, *self.walkers)),
            *(reader._task for reader in self.readers),
            self.witness._task if self.witness is not None else None,
        ):
            if task is not None:
                task.cancel()

    def __str__(self) -> str:
        edits = sum(len(changer.changes) for changer in self.changers)
        connections = sum(reader.record.connections for reader in self.readers)
        return (
            f"{self.done} acknowledged, {edits} of them changes; heads {self.heads}; {len(self.walks)} walks; "
            f"{connections} connections; {len(self.witness.sights) if self.witness else 0} sights"
        )


async def town(http: aiohttp.ClientSession, urls: Sequence[str]) -> Town:
    """Six new people in two new rooms, not yet at it."""
    return Town(*await house(http, urls, 6, rooms=2))


async def some_time(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether something becomes true within so many seconds."""
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        await asyncio.sleep(0.05)
    return condition()
