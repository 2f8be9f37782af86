"""Bringing rooms back into Redis from the archive: `ports_hot.Restorer`.

A room comes back as it was at its watermark: its facts, members, who wrote where, who was called, what was deleted.
Messages do not: readers find them in the archive (timeline.py). Idempotency keys of the last 24 hours come back too, so
a message that was acknowledged before the loss and is sent again is still the same message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import partial

import structlog

from dchat_server import chunk, wire
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_room_log import CLIENT_KEY_S
from dchat_server.adapters.redis_wire import Value
from dchat_server.archived import Hole, roster_at
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from dchat_server.model import Event
from dchat_server.ports_archive import Archive, Conflict, RoomRecord
from dchat_server.publish import fingerprint
from dchat_server.restore import Recall
from dchat_server.roster import BadRoster, Roster

AT_ONCE = 8
"""Rooms brought back side by side."""
MOST_KEYS = 20_000
"""Idempotency keys brought back for a room: its newest."""
ANY = "*"
_PIECE = 500
_TIMES = 4

log = structlog.get_logger("dchat.restore")


class RedisRestorer:
    """Implements `Restorer`. Two callers that want the same room share the work."""

    def __init__(self, nodes: RedisNodes, archive: Archive, people: Recall) -> None:
        self._nodes, self._keys, self._archive, self._people = nodes, nodes.keys, archive, people
        self._under_way: dict[str, asyncio.Task[bool]] = {}
        self._few = asyncio.Semaphore(AT_ONCE)
        self.restored = 0

    async def restore_rooms(self, rooms: Sequence[str]) -> set[str]:
        names = list(dict.fromkeys(rooms))
        tasks = []
        for name in names:
            task = self._under_way.get(name)
            if task is None:
                task = self._under_way[name] = asyncio.create_task(self._restore(name))
                task.add_done_callback(partial(self._done, name))
            tasks.append(task)
        # A caller that goes away must not end what others wait for.
        there = await asyncio.gather(*map(asyncio.shield, tasks))
        return {name for name, known in zip(names, there, strict=True) if known}

    async def restore_users(self, users: Sequence[str]) -> set[str]:
        return await self._people.restore_users(users)

    def _done(self, room: str, task: asyncio.Task[bool]) -> None:
        self._under_way.pop(room, None)
        if not task.cancelled():
            task.exception()  # it was told to those who waited, if anybody still did

    async def _restore(self, room: str) -> bool:
        """Make the room whole; True when there is one."""
        async with self._few:
            for _ in range(_TIMES):
                # Should the shard lose its data once more meanwhile, what the archive says now may be old.
                epoch = await self._people.epoch(self._keys.shard(room))
                try:
                    head = await self._restore_under(epoch, room, (await self._archive.rooms((room,))).get(room))
                except Conflict:
                    continue  # it was archived further just now
                except (Hole, chunk.BadChunk, BadRoster) as error:
                    log.error("room_not_restored", room=room, error=str(error))
                    raise ArchiveUnavailable(
                        "The archive lacks a part of the room; its operator has to look."
                    ) from error
                if head >= 0:
                    return head > 0
        raise BackendUnavailable

    async def _restore_under(self, epoch: int, room: str, record: RoomRecord | None) -> int:
        shard, prefix = self._keys.shard(room), self._keys.room(room)
        if record is None or record.version == 0:
            # Not known to the archive. What Redis has of it, if anything, is all there is.
            return int(await self._nodes.script(shard, "restore_room", epoch, prefix, room, "", 0))
        raw = await self._nodes.run(shard, "HGET", prefix + ":meta", "head")
        had = int(raw or 0)
        args: list[Value] = [record.watermark]
        if had < record.watermark:
            args = _arguments(record, await roster_at(self._archive, record))
            await self._keys_back(record)
        index = self._keys.public_rooms(shard) if record.facts.get("kind") == "public" else ""
        head = int(await self._nodes.script(shard, "restore_room", epoch, prefix, room, index, *args))
        if had < record.watermark and head > 0:
            self.restored += 1
            log.warning("room_restored", room=room, watermark=record.watermark, had=had)
        return head

    async def _keys_back(self, record: RoomRecord) -> None:
        """Put the idempotency keys of the room's newest messages back, each with the time it has left."""
        room, shard = record.room, self._keys.shard(record.room)
        oldest_ts = int(time.time() * 1000) - CLIENT_KEY_S * 1000
        seq, count = record.watermark, 0
        while seq >= record.floor and count < MOST_KEYS:
            found = await self._archive.chunks_back(room, seq, 4)
            events = [row.event for each in found for row in chunk.decode(room, each.data)]
            commands = [command for event in events if (command := self._once(event, oldest_ts)) is not None]
            for at in range(0, len(commands), _PIECE):
                await self._nodes.pipe(shard, commands[at : at + _PIECE])
            count += len(commands)
            if not found or min(event.ts for event in events) < oldest_ts:
                return
            seq = found[-1].first - 1

    def _once(self, event: Event, oldest_ts: int) -> tuple[Value, ...] | None:
        """The command that remembers where this message went (as lua/common.lua does), if its key still holds."""
        left_ms = event.ts - oldest_ts
        if event.type != "message" or left_ms <= 0 or b'"client_id"' not in event.body:
            return None
        body = wire.body_fields(event)
        client_id, text = body.get("client_id"), body.get("text")
        if client_id is None:
            return None
        key = self._keys.once(event.room, body["sender"], client_id)
        # Of a deleted message nobody knows the text any more: what comes under its key is taken for it (lua/send.lua).
        print_ = ANY if text is None else fingerprint(text, body.get("reply_to"))
        value = f"{print_} {event.seq} {event.ts} {event.epoch}"
        return ("SET", key, value, "NX", "PX", min(left_ms, CLIENT_KEY_S * 1000))


def _arguments(record: RoomRecord, people: Roster) -> list[Value]:
    """What lua/restore_room.lua is told of a room, from the watermark on."""

    def pairs(items: Iterable[tuple[str, Value]]) -> list[Value]:
        flat: list[Value] = [part for pair in items for part in pair]
        return [len(flat), *flat]

    epochs = " ".join(f"{epoch}:{first}" for epoch, first in record.epochs)
    return [
        record.watermark,
        record.floor,
        epochs,
        record.ts,
        record.messages,
        record.offset,
        *pairs(record.facts.items()),
        *pairs(people.members.items()),
        *pairs((user, f"{seq} {messages}") for user, (seq, messages) in people.posted.items()),
        len(people.deleted),
        *people.deleted,
        *(part for user, seqs in people.mentions.items() for seq in seqs for part in (user, seq)),
    ]
