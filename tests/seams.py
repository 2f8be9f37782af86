"""A room in a real Redis with an archive behind it, and the same room as a plain list.

Whatever reads the room here can be made to run into a compaction: before any round trip to Redis and any call of the
archive, `plan` says what happens there. The list is the judge of what it then reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from dchat_server.adapters.redis_feed import decode_entry
from dchat_server.adapters.redis_hot import RedisHotLog
from dchat_server.adapters.redis_missing import Missing
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_people import RedisPeople
from dchat_server.adapters.redis_restore import RedisRestorer
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.compactor_room import Progress, RoomSteps
from dchat_server.history import History, Page
from dchat_server.model import Control, Draft, Event, Message, iso, mentions_in, shard_of
from dchat_server.ports_archive import Archive
from dchat_server.publish import Publisher, fingerprint
from dchat_server.restore import Recall, marks
from dchat_server.retention import DAY_MS, Retention
from dchat_server.timeline import Timeline
from dchat_server.wire import body_fields, draft_body, fields, message_object
from tests.cluster_fakes import FakeTerm
from tests.redis_servers import SHARDS

ROOM = "lobby"
SHARD = shard_of(ROOM, SHARDS)
USERS = ("ada", "bob", "eve")


class Planted:
    """A port; `turn` is awaited before each of its calls."""

    def __init__(self, port: Any, turn: Callable[[], Awaitable[None]]) -> None:
        self._port, self._turn = port, turn

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not asyncio.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **more: Any) -> Any:
            await self._turn()
            return await method(*args, **more)

        return call


class PlantedNodes(RedisNodes):
    """Connections to Redis; `turn` is awaited before each round trip."""

    turn: Callable[[], Awaitable[None]] | None = None

    async def pipe(self, *args: Any, **more: Any) -> list[Any]:
        if self.turn is not None:
            await self.turn()
        return await super().pipe(*args, **more)


class Unlimited:
    """Everybody may send as much as they like."""

    def try_spend(self, subject: str) -> bool:
        return True

    async def spend(self, subject: str, count: int) -> tuple[int, float]:
        return count, 0.0


@dataclass
class Said:
    """A message as the list has it."""

    event: Event
    sender: str
    text: str
    edited_ms: int | None = None
    deleted: bool = False
    edits: list[int] = field(default_factory=list)
    reactions: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def reply_to(self) -> int | None:
        return body_fields(self.event).get("reply_to")

    def page(self) -> dict[str, Any]:
        """The message as a page has to show it."""
        event = self.event
        value: dict[str, Any] = {
            "id": f"{event.room}:{event.seq}",
            "room": event.room,
            "seq": event.seq,
            "epoch": event.epoch,
            "ts": iso(event.ts),
            "sender": self.sender,
        }
        if self.deleted:
            return {**value, "deleted": True}
        value |= {name: said for name, said in body_fields(event).items() if name not in ("sender", "text")}
        value["text"] = self.text
        if self.edited_ms is not None:
            value["edited_at"] = iso(self.edited_ms)
        emojis: dict[str, list[str]] = {}
        for (emoji, user), _ in sorted(self.reactions.items(), key=lambda item: item[1]):
            emojis.setdefault(emoji, []).append(user)
        if emojis:
            value["reactions"] = [{"emoji": each, "count": len(by), "users": by} for each, by in emojis.items()]
        return value


class Seam:
    """The room, how readers and writers see it (`timeline`, `history`, `publisher`, `store`), and the list."""

    def __init__(self, url: str, archive: Archive, keep: int) -> None:
        self.archive, self.keep, self._url = archive, keep, url
        self.plan: list[Iterable[str]] = []
        """What happens before the next round trips: names of methods of this class, for each."""
        self.turns = 0
        self.events: list[Event] = []
        self.said: dict[int, Said] = {}
        self.gone: set[int] = set()
        """Seqs of messages that were deleted, and of their edits."""
        self.floor = 1
        self.target = 0
        self._acting, self._heard = False, "0-0"
        self._lead = RedisNodes(url, SHARDS, marks=self._marks, seal=archive.seal)
        self.nodes = PlantedNodes(url, SHARDS, marks=self._marks, seal=archive.seal)
        planted = Planted(archive, self._turn)
        people = RedisPeople(self._lead)
        self.hot = RedisHotLog(self._lead, RedisRoomLog(self._lead), people)
        self.recall = Recall(archive, people)
        self.restorer = RedisRestorer(self._lead, archive, self.recall)
        missing = Missing(self.nodes, self.restorer.restore_rooms)
        self.log = RedisRoomLog(self._lead, Missing(self._lead, self.restorer.restore_rooms))
        self.store = RedisRoomStore(self.nodes, missing)
        self.timeline = Timeline(RedisRoomLog(self.nodes, missing), planted)  # type: ignore[arg-type]
        self.history = History(self.timeline)
        self.publisher = Publisher(self.timeline, self.history, Unlimited(), max_message_bytes=1000)
        self.term = FakeTerm(1)
        self._steps = RoomSteps(archive, self.hot, keep=keep)

    async def begin(self) -> None:
        first = RedisNodes(self._url, SHARDS)  # one that forgets again what was there before
        await first.start()
        await first.run(0, "FLUSHALL")
        await first.stop()
        await self._lead.start()
        await self.nodes.start()
        await self.archive.raise_fence(self.term.fence)
        await self.hot.raise_fence(self.term.fence)
        assert await self.store.create(ROOM, "public", "ada", {"ada": "owner"}, topic="", display_name="Lobby")
        for user in USERS[1:]:
            await self.store.set_member(ROOM, user, user, "join", "member", actor_roles=())
        await self._learn()
        self.nodes.turn = self._turn

    async def close(self) -> None:
        await self._lead.stop()
        await self.nodes.stop()

    # --- what happens in between ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def planned(self, *plan: Iterable[str]) -> AsyncIterator[None]:
        """Inside the block, the n-th round trip or call of the archive comes after what the n-th entry says."""
        self.plan, self.turns = list(plan), 0
        try:
            yield
        finally:
            self.plan = []

    async def _turn(self) -> None:
        if self._acting:
            return
        self.turns += 1
        if self.plan:
            self._acting = True
            try:
                for name in self.plan.pop(0):
                    await getattr(self, name)()
            finally:
                self._acting = False

    async def step(self) -> Progress:
        """The leader takes the room one step forward."""
        return await self._steps.advance(self.term, ROOM)

    async def archive_all(self) -> None:
        while (await self.step()).more:
            pass

    async def say(self) -> None:
        """Somebody says something meanwhile."""
        await self.send("bob", "meanwhile @eve")

    async def touch(self) -> None:
        """Bob reacts to message `target` meanwhile, or takes that back."""
        await self.react(self.target, "bob", "🎯")

    async def new_epoch(self) -> None:
        """Another server holds the room's shard from now on; nothing was lost."""
        await self._lead.run(SHARD, "HSET", self._lead.keys.state(SHARD), "run", "some other server")
        await self._lead.open_shard(SHARD)

    async def expire(self) -> None:
        """Retention takes the older half of what is archived."""
        record = (await self.archive.rooms([ROOM])).get(ROOM)
        if record is None:
            return
        oldest = self.events[(record.floor + record.watermark) // 2 - 1].ts
        retention = Retention(
            self.archive, self.hot, days=100, keep=self.keep, wall=lambda: (oldest + 100 * DAY_MS) / 1000
        )
        await retention.visit(self.term, ROOM, record)
        self._steps.forget()
        self.floor = (await self.archive.rooms([ROOM]))[ROOM].floor

    async def wipe(self) -> None:
        """Redis loses everything; nobody has noticed. What was not archived is gone, from the list as well."""
        await self._lead.run(0, "FLUSHALL")
        record = (await self.archive.rooms([ROOM])).get(ROOM)
        assert record is not None
        lost = self.events[record.watermark :]
        assert not {event.type for event in lost} - {"message"}, "only messages can be taken back from the list"
        for event in lost:
            del self.said[event.seq]
        del self.events[record.watermark :]

    # --- what people do -------------------------------------------------------------------------------------------

    async def send(self, user: str, text: str, client_id: str | None = None, reply_to: int | None = None) -> int:
        """The seq of a message, sent around `timeline`: at once."""
        print_ = fingerprint(text, reply_to) if client_id else ""
        draft = Draft(user, text, draft_body(user, text, client_id, reply_to), client_id, print_, mentions_in(text))
        sent = await self.log.send(ROOM, draft)
        await self._learn()
        return sent.seq

    async def edit(self, seq: int, text: str) -> Message:
        message = await self.publisher.edit(ROOM, self.said[seq].sender, seq, text)
        await self._learn()
        said = self.said[seq]
        edit = next(each for each in reversed(self.events) if each.type == "edit")
        said.text, said.edited_ms = text, edit.ts
        said.edits.append(edit.seq)
        return message

    async def delete(self, seq: int) -> None:
        said = self.said[seq]
        await self.publisher.delete(ROOM, said.sender, seq)
        await self._learn()
        said.deleted = True
        self.gone |= {seq, *said.edits}

    async def react(self, seq: int, user: str, emoji: str) -> Message:
        """Add a reaction, or take it back."""
        marks_ = self.said[seq].reactions
        add = (emoji, user) not in marks_
        message = await self.publisher.react(ROOM, user, seq, emoji, add)
        await self._learn()
        if add:
            marks_[emoji, user] = next(each.seq for each in reversed(self.events) if each.type == "reaction")
        else:
            del marks_[emoji, user]
        return message

    async def member(self) -> None:
        """Eve goes, or comes back."""
        there = "eve" in await self.store.members(ROOM)
        await self.store.set_member(ROOM, "eve", "eve", "leave" if there else "join", "" if there else "member")
        await self._learn()

    async def topic(self, text: str) -> None:
        body = fields(sender="ada", action="update", topic=text)
        await self.store.update(ROOM, "ada", False, ("owner",), {"topic": text}, body)
        await self._learn()

    async def _learn(self) -> None:
        """Put what is new at the end of the list, as streams were told of it."""
        rows = await self._lead.run(SHARD, "XRANGE", self._lead.keys.feed(SHARD), f"({self._heard}", "+")
        for place, row in rows:
            self._heard = place.decode()
            event = decode_entry(row, int(place.split(b"-")[1]))
            if isinstance(event, Control) or event.room != ROOM:
                continue
            self.events.append(event)
            assert event.seq == len(self.events)
            if event.type == "message":
                body = body_fields(event)
                self.said[event.seq] = Said(event, body["sender"], body["text"])

    async def _marks(self) -> Mapping[int, Any]:
        return await marks(self.archive, SHARDS)

    # --- what the list says ---------------------------------------------------------------------------------------

    def forward(self, after: int, limit: int, head: int) -> list[int]:
        """Seqs of a `read`, when the room has so many events."""
        start = max(after, self.floor - 1, 0)
        return list(range(start + 1, min(start + limit, head) + 1))

    def back(self, before: int | None, limit: int, head: int) -> list[int]:
        top = head if before is None else min(before - 1, head)
        return list(range(top, max(top - limit, self.floor - 1), -1))

    def shown(self, seqs: Sequence[int]) -> list[dict[str, Any]]:
        return [self.said[seq].page() for seq in seqs]

    def messages(self, head: int) -> list[int]:
        return [seq for seq in self.said if self.floor <= seq <= head]

    def thread(self, seq: int, head: int) -> list[int]:
        """Seqs of the messages that answer `seq`."""
        return [each for each in self.messages(head) if self.said[each].reply_to == seq]

    def page(self, name: str, seq: int | None, limit: int, head: int) -> Page:
        """What a page of `History` must be; its messages as seqs."""
        seqs = self.messages(head)
        if name == "after":
            found = [each for each in seqs if each > (seq or 0)]
            return Page(found[:limit], False, len(found) > limit)  # type: ignore[arg-type]
        older = [each for each in seqs if seq is None or each < seq]
        if name == "before":
            return Page(older[-limit:], len(older) > limit, False)  # type: ignore[arg-type]
        kept = older[-(limit // 2) :] if limit // 2 else []
        newer = [each for each in seqs if each >= (seq or 0)]
        rest = limit - len(kept)
        return Page(kept + newer[:rest], len(older) > len(kept), len(newer) > rest)  # type: ignore[arg-type]

    def same(self, got: Event, want: Event) -> bool:
        """Whether an event is what the list has: to the byte, but for what was said in a message that was deleted."""
        if tuple(got) == tuple(want):
            return True
        left = ("sender", "target", "client_id", "reply_to")
        kept = {name: said for name, said in body_fields(want).items() if name in left}
        scrubbed = want._replace(body=fields(**kept, deleted=True))
        return want.seq in self.gone and tuple(got) == tuple(scrubbed)

    def check(self, got: Sequence[Event], want: Sequence[int]) -> None:
        assert [event.seq for event in got] == list(want)
        for event in got:
            assert self.same(event, self.events[event.seq - 1]), (event, self.events[event.seq - 1])


def objects(messages: Iterable[Message]) -> list[dict[str, Any]]:
    return [message_object(message) for message in messages]


@asynccontextmanager
async def seam(url: str, archive: Archive, keep: int) -> AsyncIterator[Seam]:
    made = Seam(url, archive, keep)
    try:
        await made.begin()
        yield made
    finally:
        await made.close()
