"""The message log as the leader sees it, in memory: for tests of what stands on `HotLog`.

`MemoryHotLog` is one object for all leaders of a test. Tests write to it with `append` and its short forms, which make
just the events that the scripts make, and may have it lose things.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from dchat_server import wire
from dchat_server.errors import ClusterMismatch
from dchat_server.model import Event, shard_of
from dchat_server.ports import Trimmed
from dchat_server.ports_archive import Fenced, UserRecord
from dchat_server.ports_hot import ChangedUser, Dirty, HotRoom
from dchat_server.roster import fold_facts


@dataclass
class HotRoomState:
    """One room: `events` are what the log still holds."""

    events: list[Event] = field(default_factory=list)
    head: int = 0
    messages: int = 0
    ts: int = 0
    watermark: int = 0
    floor: int = 1
    epochs: list[tuple[int, int]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The first seq that the log holds."""
        return self.events[0].seq if self.events else self.head + 1


class MemoryHotLog:
    """`HotLog` in memory. `gate` is as in `MemoryArchive`."""

    def __init__(self, shards: int = 4, gate: Callable[[str], Awaitable[None]] | None = None) -> None:
        self.gate = gate
        self.rooms: dict[str, HotRoomState] = {}
        self.dirty: dict[str, int] = {}
        self.calls: list[str] = []
        self.clock_ms = 1_764_000_000_000
        self.server_ms: int | None = None
        self.epoch = 1000
        self.fence = 0
        self.offsets = [0] * shards
        self.users: dict[str, UserRecord] = {}
        self.changed: dict[str, int] = {}
        self.behind_shards: set[int] = set()
        self._archive = ""

    # --- what people do -------------------------------------------------------------------------------------------

    def append(self, room: str, kind: str, /, **body: Any) -> Event:
        """Add one event, a millisecond after the last."""
        self.clock_ms += 1
        here = self.rooms.setdefault(room, HotRoomState())
        shard = self.shard_of(room)
        self.offsets[shard] += 1
        here.head += 1
        here.messages += kind == "message"
        here.ts = max(here.ts, self.clock_ms)
        if not here.epochs or here.epochs[-1][0] != self.epoch:
            here.epochs.append((self.epoch, here.head))
        event = Event(
            room, self.epoch, here.head, kind, here.ts, wire.fields(**body), self.offsets[shard], here.messages
        )
        here.events.append(event)
        here.facts = fold_facts(here.facts, [event])
        self.dirty.setdefault(room, here.ts)
        return event

    def create(self, room: str, owner: str = "ada", kind: str = "public") -> None:
        """A room with its owner, as lua/create_room.lua makes it."""
        self.append(room, "room", sender=owner, action="create", kind=kind, topic="", display_name="")
        self.member(room, owner, "join", "owner")

    def say(self, room: str, sender: str, text: str) -> Event:
        return self.append(room, "message", sender=sender, text=text)

    def edit(self, room: str, sender: str, target: int, text: str) -> Event:
        return self.append(room, "edit", sender=sender, target=target, text=text)

    def delete(self, room: str, sender: str, target: int) -> Event:
        return self.append(room, "delete", sender=sender, target=target)

    def react(self, room: str, sender: str, target: int, emoji: str, action: str = "add") -> Event:
        return self.append(room, "reaction", sender=sender, target=target, emoji=emoji, action=action)

    def member(self, room: str, user: str, action: str, role: str | None = None) -> Event:
        return self.append(room, "member", sender=user, user=user, action=action, role=role)

    # --- what befalls it ------------------------------------------------------------------------------------------

    def lose_tail(self, room: str, events: int) -> None:
        """The server comes back without the room's last events, in a new epoch."""
        here = self.rooms[room]
        gone = here.events[len(here.events) - events :]
        here.events = here.events[: len(here.events) - events]
        here.head -= len(gone)
        here.messages -= sum(event.type == "message" for event in gone)
        self.new_epoch()

    def new_epoch(self) -> None:
        """The server restarts: what is written from now on has another epoch, and offsets far above the old ones."""
        self.epoch += 1
        self.offsets = [offset + 1_000_000 for offset in self.offsets]

    # --- the port -------------------------------------------------------------------------------------------------

    @property
    def shards(self) -> int:
        return len(self.offsets)

    def shard_of(self, name: str) -> int:
        return shard_of(name, self.shards)

    async def now_ms(self) -> int:
        return self.server_ms if self.server_ms is not None else self.clock_ms

    async def bind(self, archive: str) -> None:
        self._archive = self._archive or archive
        if self._archive != archive:
            raise ClusterMismatch("another archive")

    async def raise_fence(self, fence: int) -> None:
        await self._pass("before raise_fence")
        self._raise(fence)
        await self._pass("after raise_fence")

    async def dirty_rooms(self, shard: int, limit: int) -> list[Dirty]:
        await self._pass("before dirty_rooms")
        rooms = sorted((since, room) for room, since in self.dirty.items() if self.shard_of(room) == shard)
        return [Dirty(room, since) for since, room in rooms[:limit]]

    async def dirty_count(self) -> int:
        await self._pass("before dirty_count")
        return len(self.dirty)

    async def room(self, room: str) -> HotRoom | None:
        await self._pass("before room")
        here = self.rooms.get(room)
        if here is None:
            return None
        return HotRoom(room, here.head, here.watermark, here.floor, tuple(here.epochs), dict(here.facts), self.epoch)

    async def read(self, room: str, after: int, limit: int) -> list[Event]:
        await self._pass("before read")
        here = self.rooms[room]
        if after >= here.head:
            return []
        if after + 1 < here.first:
            raise Trimmed(room)
        at = after + 1 - here.first
        return here.events[at : at + limit]

    async def archived(self, fence: int, room: str, watermark: int, floor: int, keep: int, since: int) -> int:
        await self._pass("before archived")
        self._raise(fence)
        here = self.rooms.get(room)
        if here is None or here.head < watermark:
            return here.head if here is not None else 0
        here.watermark, here.floor = max(here.watermark, watermark), max(here.floor, floor)
        first = max(1, here.watermark - keep + 1)
        if here.floor > first:
            first = min(here.floor, here.watermark + 1)
        del here.events[: max(0, first - here.first)]
        if here.head == here.watermark:
            self.dirty.pop(room, None)
        elif since and room in self.dirty:
            self.dirty[room] = since
        await self._pass("after archived")
        return here.head

    async def changed_users(self, shard: int, limit: int) -> list[ChangedUser]:
        found = [ChangedUser(user, version) for user, version in self.changed.items() if self.shard_of(user) == shard]
        return found[:limit]

    async def user(self, user: str) -> UserRecord | None:
        return self.users.get(user)

    async def user_saved(self, fence: int, user: str, version: int) -> None:
        self._raise(fence)
        if self.changed.get(user, 0) <= version:
            self.changed.pop(user, None)

    async def behind(self) -> list[int]:
        return sorted(self.behind_shards)

    async def caught_up(self, fence: int, shard: int, epoch: int) -> None:
        self._raise(fence)
        self.behind_shards.discard(shard)

    def _raise(self, fence: int) -> None:
        if fence < self.fence:
            raise Fenced(self.fence)
        self.fence = fence

    async def _pass(self, step: str) -> None:
        when, _, method = step.partition(" ")
        if when == "before":
            self.calls.append(method)
        if self.gate is not None:
            await self.gate(step)
