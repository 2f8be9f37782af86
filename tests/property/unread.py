"""What "unread" means, as a plain list, and a driver that does the same things to a real log.

* A message is unread when it lies behind the place up to which one has read, and was not deleted.
* One has read up to one's marker. Writing something moves it there: one has read what one wrote, and all before it.
* The marker moves forward; with `unread` it goes exactly where it is put, own messages or not.
* Who comes in has read everything before; who is not in a room has nothing unread there.
* A mention counts while its message does and its text, as it is now, calls one who was in the room when it did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dchat_server.errors import ChatError
from dchat_server.history import History
from dchat_server.model import mentions_in
from dchat_server.ports import RoomLog, RoomStore
from dchat_server.publish import Publisher
from dchat_server.rooms import Rooms

USERS = ("ada", "bob", "cat")
ROOMS = ("hall", "yard")
TEXTS = ("hi", "@ada hear", "@bob @cat: both", "@dan")


@dataclass
class Said:
    seq: int
    sender: str
    called: set[str]
    deleted: bool = False


@dataclass
class PlainRoom:
    """A room as a list of what was said."""

    members: set[str]
    head: int
    said: list[Said] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)

    def counts(self, user: str) -> tuple[int, int]:
        """(unread, mentions)"""
        if user not in self.members:
            return 0, 0
        new = [each for each in self.said if each.seq > self.read.get(user, 0) and not each.deleted]
        return len(new), sum(user in each.called for each in new)


class NoLimit:
    def try_spend(self, subject: str) -> bool:
        return True

    async def spend(self, subject: str, count: int) -> tuple[int, float]:
        return count, 0.0


class Driver:
    """Does each thing twice: to the plain list and to the log."""

    def __init__(self, log: RoomLog, store: RoomStore) -> None:
        self.rooms = Rooms(store, log)
        self.publisher = Publisher(log, History(log), NoLimit(), max_message_bytes=16384)
        self.plain = {room: PlainRoom({"ada"}, 2) for room in ROOMS}
        self.announced: Callable[[str], list[dict[str, object]]] = lambda user: []
        """What one's other devices were told since it was last asked."""

    async def begin(self) -> None:
        for room in ROOMS:
            await self.rooms.create("ada", room, "public", "", "")

    async def say(self, user: str, room: str, text: str) -> None:
        here = self.plain[room]
        if user not in here.members:
            return
        sent = await self.publisher.send(room, self.publisher.draft(user, {"text": text}))
        here.head += 1
        assert sent.seq == here.head
        here.said.append(Said(here.head, user, set(mentions_in(text)) & here.members))
        here.read[user] = here.head

    async def edit(self, user: str, room: str, which: int, text: str) -> None:
        here = self.plain[room]
        mine = [each for each in here.said if each.sender == user and not each.deleted]
        if user in here.members and mine:
            each = mine[which % len(mine)]
            await self.publisher.edit(room, user, each.seq, text)
            each.called = set(mentions_in(text)) & here.members
            here.head += 1

    async def delete(self, user: str, room: str, which: int) -> None:
        here = self.plain[room]
        if user in here.members and here.said:
            each = here.said[which % len(here.said)]
            try:
                await self.publisher.delete(room, user, each.seq)
            except ChatError as error:
                if error.code != "forbidden" or each.sender == user or user == "ada":
                    raise
                return
            here.head += not each.deleted
            each.deleted = True

    async def react(self, user: str, room: str, which: int) -> None:
        here = self.plain[room]
        there = [each for each in here.said if not each.deleted]
        if user in here.members and there:
            each = there[which % len(there)]
            before = (await self.rooms.seat(user, room)).room.head
            await self.publisher.react(room, user, each.seq, "x", which % 2 == 0)
            here.head += (await self.rooms.seat(user, room)).room.head - before

    async def read(self, user: str, room: str, seq: int, back: bool) -> None:
        here = self.plain[room]
        if user in here.members:
            seq = min(seq, here.head)
            here.read[user] = seq if back else max(here.read.get(user, 0), seq)
            self.announced(user)
            standing = await self.rooms.mark_read(user, room, seq, back)
            assert (standing.unread, standing.mentions) == here.counts(user)
            assert standing.read == here.read[user]
            for told in self.announced(user):
                assert told == {"type": "read", "room": room, "read": standing.read, "unread": standing.unread}

    async def come(self, user: str, room: str) -> None:
        here = self.plain[room]
        if user not in here.members:
            await self.rooms.put_member(user, False, room, user, None)
            here.members.add(user)
            here.read[user] = max(here.read.get(user, 0), here.head)
            here.head += 1

    async def go(self, user: str, room: str) -> None:
        here = self.plain[room]
        if user in here.members and user != "ada":
            await self.rooms.remove_member(user, False, room, user)
            here.members.remove(user)
            here.head += 1

    async def check(self) -> None:
        for user in USERS:
            standings = await self.rooms.standings(user, ROOMS)
            assert [standing.room.name for standing in standings] == list(ROOMS)
            for standing in standings:
                here = self.plain[standing.room.name]
                assert standing.room.head == here.head
                assert standing.room.messages == len(here.said)
                assert (standing.unread, standing.mentions) == here.counts(user), f"{user} in {standing.room.name}"
