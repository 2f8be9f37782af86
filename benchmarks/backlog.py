"""A message log full of messages that nobody has archived yet: written straight into a Redis, as workers would."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice

from benchmarks.chatter import LINES, PEOPLE, Chatter, Kind
from benchmarks.load import WrongResult
from dchat_server import wire
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.archived import chunks_from
from dchat_server.model import Draft, Sent, mentions_in
from dchat_server.ports_archive import Archive

SHARDS = 16
_BATCH = 250
ROLES = {name: "owner" if name == PEOPLE[0] else "member" for name in PEOPLE}


def redis_url(port: int) -> str:
    return f"redis://127.0.0.1:{port}"


@asynccontextmanager
async def opened(port: int) -> AsyncIterator[RedisNodes]:
    """The log's servers, as a worker has them."""
    nodes = RedisNodes(redis_url(port), SHARDS)
    await nodes.start()
    try:
        yield nodes
    finally:
        await nodes.stop()


@dataclass(frozen=True)
class Backlog:
    """`each` messages in each of these rooms, which are the same every time."""

    rooms: Sequence[str]
    each: int
    kind: Kind = LINES

    @property
    def messages(self) -> int:
        return self.each * len(self.rooms)

    async def write(self, nodes: RedisNodes) -> None:
        """Make the rooms, and have their five members write."""
        store, gate = RedisRoomStore(nodes), asyncio.Semaphore(8)

        async def one(room: str) -> None:
            async with gate:
                await store.create(room, "public", PEOPLE[0], ROLES, topic="", display_name=room)
                await self._send(nodes, room)

        await asyncio.gather(*map(one, self.rooms))

    async def write_more(self, nodes: RedisNodes) -> None:
        """The same messages once more, behind what is there. Not for kinds with a `client_id`."""
        for room in self.rooms:
            await self._send(nodes, room)

    async def _send(self, nodes: RedisNodes, room: str) -> None:
        log, drafts = RedisRoomLog(nodes), self._drafts(room)
        while some := list(islice(drafts, _BATCH)):
            for answer in await log.send_many(room, some):
                if not isinstance(answer, Sent):
                    raise WrongResult(f"a message to {room} was refused: {answer}")
        await log.settle()

    def bodies(self) -> Iterator[bytes]:
        """What is stored of the messages of the first room."""
        return (draft.body for draft in self._drafts(self.rooms[0]))

    async def check(self, archive: Archive, rooms: int = 1) -> None:
        """The archive has all of it, and of some rooms every byte. Raises WrongResult."""
        records = await archive.rooms(self.rooms)
        for room in self.rooms:
            if room not in records or records[room].messages != self.each:
                raise WrongResult(f"the archive has not all of {room}: {records.get(room)}")
        for room in self.rooms[:rooms]:
            expected = self._drafts(room)
            async for _, rows in chunks_from(archive, room, 1, records[room].watermark):
                for row in rows:
                    if row.event.type == "message" and row.event.body != next(expected).body:
                        raise WrongResult(f"{room}: {row.event} is not what was written")
            if next(expected, None) is not None:
                raise WrongResult(f"{room}: the end is missing")

    def _drafts(self, room: str) -> Iterator[Draft]:
        chatter = Chatter(self.kind, room)
        for _ in range(self.each):
            sender, text, client_id = chatter.sender(), chatter.text(), chatter.client_id()
            body = wire.draft_body(sender, text, client_id, None)
            fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16] if client_id else ""
            yield Draft(sender, text, body, client_id, fingerprint, mentions_in(text))
