"""The message log in memory: rooms, their logs, the feed, and what can befall a Redis server.

`MemoryCluster` is the server, `MemoryNodes` what one worker knows of it; the three ports stand on a worker's nodes. The
contract suites run over them just as over Redis, so tests that use them instead of Redis are worth something. Written
from the ports' words, not from the scripts.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from dchat_server import wire
from dchat_server.errors import ChatError
from dchat_server.model import Control, Draft, Event, Message, Position, Room, Sent, shard_of
from dchat_server.ports import Amendment, Batch, Change, Edge, Lost, Marker, Overtaken, Place, Seat, Take, take_nothing

SHARDS = 4


@dataclass
class MemoryRoom:
    """One room: its log and everything the log is folded into."""

    kind: str
    topic: str
    display_name: str
    created_at: int
    archived: bool = False
    retention_days: float = 0.0
    log: list[Event] = field(default_factory=list)
    members: dict[str, str] = field(default_factory=dict)
    posted: dict[str, tuple[int, int]] = field(default_factory=dict)
    touched: dict[int, dict[str, Any]] = field(default_factory=dict)
    mentioned: dict[str, set[int]] = field(default_factory=dict)

    @property
    def messages(self) -> int:
        return self.log[-1].messages if self.log else 0


@dataclass
class MemoryShard:
    """One shard: its feed and all that is stored with it."""

    epoch: int
    head: int = 0
    bases: dict[int, int] = field(default_factory=dict)
    feed: list[tuple[Position, Event | Control]] = field(default_factory=list)
    rooms: dict[str, MemoryRoom] = field(default_factory=dict)
    once: dict[tuple[str, str, str], tuple[str, Sent]] = field(default_factory=dict)
    markers: dict[tuple[str, str], Marker] = field(default_factory=dict)
    joined: dict[str, set[str]] = field(default_factory=dict)

    @property
    def first(self) -> int:
        return self.feed[0][0].offset if self.feed else self.head + 1


@dataclass(frozen=True)
class MemoryState:
    """What a worker knows of a shard; see `Epochs` in attach.py."""

    epoch: int
    head: int
    first: int
    bases: Mapping[int, int]

    def knows(self, epoch: int) -> bool:
        return epoch == self.epoch or epoch in self.bases

    def kept(self, position: Position) -> bool:
        return position.epoch == self.epoch or (
            position.epoch in self.bases and position.offset <= self.bases[position.epoch]
        )


class MemoryCluster:
    """All shards. `now_ms` is the clock."""

    def __init__(self, shards: int = SHARDS) -> None:
        self.shards = [MemoryShard(epoch=1000) for _ in range(shards)]
        self.now_ms = 1_764_000_000_000
        self.news = asyncio.Event()

    def shard(self, name: str) -> int:
        return shard_of(name, len(self.shards))

    def home(self, name: str) -> MemoryShard:
        return self.shards[self.shard(name)]

    def append(self, room: str, kind: str, body: bytes) -> Event:
        shard = self.home(room)
        log = shard.rooms[room].log
        self.now_ms += 1
        shard.head += 1
        event = Event(
            room,
            shard.epoch,
            len(log) + 1,
            kind,
            self.now_ms,
            body,
            shard.head,
            shard.rooms[room].messages + (kind == "message"),
        )
        log.append(event)
        shard.feed.append((Position(shard.epoch, shard.head), event))
        self.news.set()
        return event

    def announce(self, user: str, kind: str, body: bytes, room: str | None = None) -> None:
        shard = self.home(room or user)
        shard.head += 1
        shard.feed.append((Position(shard.epoch, shard.head), Control(kind, user, body)))
        self.news.set()

    # --- what befalls a server ------------------------------------------------------------------------------------

    def snapshot(self, shard: int) -> MemoryShard:
        return copy.deepcopy(self.shards[shard])

    def restart(self, shard: int, kept: MemoryShard | None = None) -> None:
        """The shard's server comes back, with everything or with what was `kept`; that is a new epoch."""
        lost = self.shards[shard]
        back = self.shards[shard] = copy.deepcopy(kept or lost)
        back.bases = {**back.bases, back.epoch: back.head}
        back.epoch = max(back.epoch, lost.epoch) + 1
        self.news.set()

    def wipe(self, shard: int) -> None:
        self.shards[shard] = MemoryShard(epoch=self.shards[shard].epoch + 7)
        self.news.set()

    def trim(self, shard: int, keep: int) -> None:
        feed = self.shards[shard].feed
        del feed[: max(0, len(feed) - keep)]


class MemoryNodes:
    """What one worker knows of the cluster. `gate` is awaited before each call of a port is carried out."""

    def __init__(self, cluster: MemoryCluster, gate: Callable[[], Awaitable[None]] | None = None) -> None:
        self.cluster, self.gate = cluster, gate
        self._states = {shard: self.look(shard) for shard in range(len(cluster.shards))}

    async def turn(self) -> MemoryCluster:
        if self.gate is not None:
            await self.gate()
        return self.cluster

    def state(self, shard: int) -> MemoryState:
        return self._states[shard]

    def look(self, shard: int) -> MemoryState:
        here = self.cluster.shards[shard]
        return MemoryState(here.epoch, here.head, here.first, dict(here.bases))

    def open_shard(self, shard: int) -> MemoryState:
        self._states[shard] = self.look(shard)
        return self._states[shard]


class MemoryFeed:
    """Implements `Feed`. `take` is the reading itself, without waiting."""

    def __init__(self, nodes: MemoryNodes) -> None:
        self._nodes = nodes
        self.positions: dict[int, Position] = {}

    def groups(self) -> Sequence[Sequence[int]]:
        return [range(len(self._nodes.cluster.shards))]

    async def start(self, backlog: int) -> dict[int, Position]:
        for at in range(len(self._nodes.cluster.shards)):
            state = self._nodes.open_shard(at)
            self.positions[at] = _place(state, max(state.first - 1, state.head - backlog))
        return dict(self.positions)

    async def read(self, shards: Sequence[int], take: Take = take_nothing) -> AsyncIterator[list[Change]]:
        while True:
            self._nodes.cluster.news.clear()
            changes = [change for shard in shards for change in self.take(shard, 1000)]
            if not take(changes):
                yield changes
            await asyncio.wait([asyncio.ensure_future(self._nodes.cluster.news.wait())], timeout=0.05)

    def take(self, at: int, limit: int) -> Iterator[Batch | Lost | Overtaken]:
        """What a read of up to `limit` entries of this shard brings."""
        state, mine = self._nodes.open_shard(at), self.positions[at]
        if mine.epoch != state.epoch and not state.kept(mine):
            if mine.epoch in state.bases:
                place = Position(mine.epoch, state.bases[mine.epoch])
            else:  # a lineage of which we know nothing: what is younger than our epoch is new to us
                older = [end for epoch, end in state.bases.items() if epoch < mine.epoch]
                place = _place(state, max([state.first - 1, *older]))
            self.positions[at] = place
            yield Lost(at, place)
            return
        if mine.offset + 1 < state.first:
            self.positions[at] = Position(state.epoch, state.head)
            yield Overtaken(at, self.positions[at])
            return
        entries = [entry for entry in self._nodes.cluster.shards[at].feed if entry[0].offset > mine.offset][:limit]
        if entries:
            self.positions[at] = entries[-1][0]
            yield Batch(at, [entry for _, entry in entries], entries[-1][0])


def _place(state: MemoryState, offset: int) -> Position:
    for epoch in sorted(state.bases):
        if offset <= state.bases[epoch]:
            return Position(epoch, offset)
    return Position(state.epoch, offset)


class MemoryRoomLog:
    """Implements `RoomLog`."""

    def __init__(self, nodes: MemoryNodes) -> None:
        self._nodes = nodes

    async def send(self, room: str, draft: Draft) -> Sent:
        (outcome,) = await self.send_many(room, (draft,))
        if isinstance(outcome, ChatError):
            raise outcome
        return outcome

    def post(self, room: str, draft: Draft, told: Callable[[Sent | Exception | None], None]) -> None:
        def stored(task: asyncio.Task[list[Sent | ChatError]]) -> None:
            told(task.result()[0])

        asyncio.ensure_future(self.send_many(room, (draft,))).add_done_callback(stored)

    async def send_many(self, room: str, drafts: Sequence[Draft]) -> list[Sent | ChatError]:
        cluster = await self._nodes.turn()
        return [self._store(cluster, room, draft) for draft in drafts]

    def _store(self, cluster: MemoryCluster, name: str, draft: Draft) -> Sent | ChatError:
        shard, sender = cluster.home(name), draft.sender
        room = shard.rooms.get(name)
        if room is None or (sender not in room.members and room.kind != "public"):
            return ChatError("room_not_found")
        if sender not in room.members:
            return ChatError("not_a_member")
        key = (name, sender, draft.client_id or "")
        if draft.client_id is not None and key in shard.once:
            fingerprint, sent = shard.once[key]
            if fingerprint != draft.fingerprint:
                return ChatError("idempotency_conflict")
            return Sent(sent.room, sent.epoch, sent.seq, sent.ts, repeated=True)
        if room.members[sender] == "reader":
            return ChatError("read_only")
        if room.archived:
            return ChatError("room_archived")
        event = cluster.append(name, "message", draft.body)
        room.posted[sender] = (event.seq, event.messages)
        for user in draft.mentions:
            if user in room.members:
                room.mentioned.setdefault(user, set()).add(event.seq)
        sent = Sent(name, event.epoch, event.seq, event.ts)
        if draft.client_id is not None:
            shard.once[key] = (draft.fingerprint, sent)
        return sent

    async def amend(self, room: str, actor: str, amendment: Amendment) -> bool:
        cluster = await self._nodes.turn()
        here = cluster.home(room).rooms.get(room)
        if here is None or (actor not in here.members and here.kind != "public"):
            raise ChatError("room_not_found")
        role = here.members.get(actor)
        if role is None:
            raise ChatError("not_a_member")
        if role == "reader":
            raise ChatError("read_only")
        if here.archived:
            raise ChatError("room_archived")
        if amendment.others and role not in amendment.others:
            raise ChatError("forbidden")
        action, target, value = amendment.action, amendment.target, amendment.value
        state = here.touched.get(target, {})
        if state.get("deleted"):
            if action == "delete":
                return False
            raise ChatError("message_deleted")
        body: dict[str, Any] = {"sender": actor, "target": target}
        marks: dict[tuple[str, str], int] = dict(state.get("marks", {}))
        if action == "edit":
            state = {**state, "text": value, "edited": cluster.now_ms + 1}
            for user in amendment.former:
                here.mentioned.get(user, set()).discard(target)
            for user in amendment.mentions:
                if user in here.members:
                    here.mentioned.setdefault(user, set()).add(target)
            body["text"] = value
        elif action == "delete":
            state = {"deleted": True}
            for user in amendment.mentions:
                here.mentioned.get(user, set()).discard(target)
        else:
            present = (value, actor) in marks
            if present == (action == "add"):
                return False
            if action == "add":
                marks[value, actor] = len(here.log) + 1
            else:
                del marks[value, actor]
            state = {**state, "marks": marks}
            body |= {"emoji": value, "action": action}
        here.touched[target] = state
        kind = action if action in ("edit", "delete") else "reaction"
        cluster.append(room, kind, orjson.dumps(body)[1:])
        return True

    async def read(self, room: str, after: int, limit: int) -> list[Event]:
        log = self._log(await self._nodes.turn(), room)
        return log[max(0, after) :][:limit]

    async def read_back(self, room: str, before: int | None, limit: int) -> list[Event]:
        log = self._log(await self._nodes.turn(), room)
        return log[: len(log) if before is None else max(0, before - 1)][::-1][:limit]

    async def edge(self, room: str) -> Edge | None:
        log = self._log(await self._nodes.turn(), room)
        epochs = [
            (event.epoch, event.seq) for at, event in enumerate(log) if not at or log[at - 1].epoch != event.epoch
        ]
        return Edge(len(log), 0, 1, 1, (0, 0), epochs) if log else None

    async def locate(self, room: str, *, offset: int | None = None, since_ms: int | None = None) -> Place:
        log = self._log(await self._nodes.turn(), room)
        if not log:
            return Place(0, 0)
        for event in log:
            if event.offset > offset if offset is not None else event.ts >= (since_ms or 0):
                return Place(event.seq, len(log))
        return Place(len(log) + 1, len(log))

    async def present(self, events: Sequence[Event]) -> list[Message]:
        cluster = await self._nodes.turn()
        out = []
        for event in events:
            fields = wire.body_fields(event)
            message = Message(event, fields.pop("sender"), fields)
            state = cluster.home(event.room).rooms[event.room].touched.get(event.seq, {})
            message.deleted = bool(state.get("deleted"))
            if "text" in state:
                fields["text"], message.edited_at = state["text"], state["edited"]
            for emoji, user in sorted(state.get("marks", {}), key=state.get("marks", {}).__getitem__):
                message.reactions = message.reactions or {}
                message.reactions.setdefault(emoji, []).append(user)
            out.append(message)
        return out

    @staticmethod
    def _log(cluster: MemoryCluster, room: str) -> list[Event]:
        here = cluster.home(room).rooms.get(room)
        return list(here.log) if here is not None else []


class MemoryRoomStore:
    """Implements `RoomStore`."""

    def __init__(self, nodes: MemoryNodes) -> None:
        self._nodes = nodes

    async def create(
        self, room: str, kind: str, creator: str, members: Mapping[str, str], *, topic: str, display_name: str
    ) -> bool:
        cluster = await self._nodes.turn()
        shard = cluster.home(room)
        if room in shard.rooms:
            return False
        here = shard.rooms[room] = MemoryRoom(kind, topic, display_name, cluster.now_ms)
        cluster.append(
            room,
            "room",
            wire.fields(sender=creator, action="create", kind=kind, topic=topic, display_name=display_name),
        )
        for user, role in members.items():
            here.members[user] = role
            cluster.home(user).joined.setdefault(user, set()).add(room)
            action = "join" if user == creator else "invite"
            cluster.append(room, "member", wire.fields(sender=creator, user=user, action=action, role=role))
        return True

    async def update(
        self, room: str, actor: str, admin: bool, roles: Sequence[str], changes: Mapping[str, str], body: bytes
    ) -> None:
        cluster = await self._nodes.turn()
        here = self._visible(cluster, actor, room)
        self._check(here, actor, admin, roles)
        here.topic = changes.get("topic", here.topic)
        here.display_name = changes.get("display_name", here.display_name)
        here.archived = changes.get("archived", "1" if here.archived else "0") == "1"
        here.retention_days = float(changes.get("retention", here.retention_days))
        cluster.append(room, "room", body)

    async def set_member(
        self,
        room: str,
        actor: str,
        user: str,
        action: str,
        role: str,
        *,
        admin: bool = False,
        actor_roles: Sequence[str] = (),
        user_roles: Sequence[str] = (),
    ) -> str:
        cluster = await self._nodes.turn()
        here = self._visible(cluster, actor, room)
        if actor_roles:
            self._check(here, actor, admin, actor_roles)
        theirs = here.members.get(user)
        leaving = action in ("leave", "kick")
        if not leaving and here.archived:
            raise ChatError("room_archived")
        if theirs is None and (leaving or action == "role"):
            return "unchanged"
        if theirs is not None and not leaving and (action != "role" or theirs == role):
            return "unchanged"
        if theirs is not None and not admin and user_roles and theirs not in user_roles:
            raise ChatError("forbidden")
        if leaving:
            del here.members[user]
            cluster.home(user).joined.get(user, set()).discard(room)
        else:
            here.members[user] = role
            cluster.home(user).joined.setdefault(user, set()).add(room)
        cluster.append(room, "member", wire.fields(sender=actor, user=user, action=action, role=role or None))
        return "ok"

    @staticmethod
    def _visible(cluster: MemoryCluster, actor: str, room: str) -> MemoryRoom:
        here = cluster.home(room).rooms.get(room)
        if here is None or (actor not in here.members and here.kind != "public"):
            raise ChatError("room_not_found")
        return here

    @staticmethod
    def _check(here: MemoryRoom, actor: str, admin: bool, roles: Sequence[str]) -> None:
        if not admin:
            if actor not in here.members:
                raise ChatError("not_a_member")
            if here.members[actor] not in roles:
                raise ChatError("forbidden")

    async def seats(self, user: str, rooms: Sequence[str]) -> list[Seat | None]:
        cluster = await self._nodes.turn()
        return [self._seat(cluster, user, name) for name in rooms]

    @staticmethod
    def _seat(cluster: MemoryCluster, user: str, name: str) -> Seat | None:
        here = cluster.home(name).rooms.get(name)
        if here is None:
            return None
        last = here.log[-1]
        room = Room(
            name,
            here.kind,
            here.topic,
            here.display_name,
            here.archived,
            here.created_at,
            last.seq,
            last.epoch,
            here.messages,
            len(here.members),
            here.retention_days,
        )
        return Seat(room, here.members.get(user), here.posted.get(user, (0, 0)))

    async def role(self, user: str, room: str) -> tuple[str | None, str | None]:
        cluster = await self._nodes.turn()
        here = cluster.home(room).rooms.get(room)
        return (here.kind, here.members.get(user)) if here is not None else (None, None)

    async def joined(self, user: str) -> list[str]:
        cluster = await self._nodes.turn()
        names = sorted(cluster.home(user).joined.get(user, ()))
        await self._nodes.turn()
        return [name for name in names if user in await self.members(name)]

    async def members(self, room: str) -> dict[str, str]:
        here = self._nodes.cluster.home(room).rooms.get(room)
        return dict(here.members) if here is not None else {}

    async def public_rooms(self, after: str, limit: int, prefix: str = "") -> list[str]:
        cluster = await self._nodes.turn()
        names = (name for shard in cluster.shards for name, room in shard.rooms.items() if room.kind == "public")
        return sorted(name for name in names if name > after and name.startswith(prefix))[:limit]

    async def markers(self, user: str, rooms: Sequence[str]) -> list[Marker | None]:
        cluster = await self._nodes.turn()
        return [cluster.home(user).markers.get((user, room)) for room in rooms]

    async def mark(self, user: str, room: str, marker: Marker, body: bytes) -> Marker:
        cluster = await self._nodes.turn()
        markers = cluster.home(user).markers
        old = markers.get((user, room))
        if old is not None and not marker.back and marker.seq <= old.seq:
            return old
        if old is not None and old.back and not marker.back and marker.seq < old.head:
            marker = Marker(marker.seq, marker.messages, old.head, True)  # still behind what was moved back from
        markers[user, room] = marker
        cluster.announce(user, "read", body)
        return marker

    async def typing(self, room: str, user: str, body: bytes) -> None:
        cluster = await self._nodes.turn()
        here = self._visible(cluster, user, room)
        if user not in here.members:
            raise ChatError("not_a_member")
        if here.members[user] == "reader":
            raise ChatError("read_only")
        if here.archived:
            raise ChatError("room_archived")
        if body:
            cluster.announce(user, "typing", body, room)

    async def count_since(self, user: str, rooms: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        cluster = await self._nodes.turn()
        out = {}
        for name, seq in rooms.items():
            here = cluster.home(name).rooms[name]
            deleted = [target for target, state in here.touched.items() if state.get("deleted")]
            mentioned = here.mentioned.get(user, set())
            out[name] = (sum(at > seq for at in deleted), sum(at > seq for at in mentioned))
        return out
