"""Rooms, members and read markers in Redis.

A room's own keys are on its shard and change atomically, events included. The set of rooms a person is in is on the
person's shard; it is written *before* somebody is let in and cleaned *after* somebody is gone, so whatever dies in
between it names a room too many, never one too few, and `:members` is asked each time.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from dchat_server import wire
from dchat_server.adapters.redis_missing import Missing
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_room_log import OWN_KEY_S, now_ms, refusal
from dchat_server.adapters.redis_wire import Value
from dchat_server.model import Room
from dchat_server.ports import Marker, Seat

MAX_MEMBERS = 100_000
_ASKED = 11
"""Which argument of create_room.lua says that the archive knows no such room."""
_META = ("kind", "topic", "display_name", "archived", "created", "head", "epoch", "n", "retention")


class RedisRoomStore:
    """Implements `RoomStore`."""

    def __init__(
        self, nodes: RedisNodes, missing: Missing | None = None, settle: Callable[[str], Awaitable[None]] | None = None
    ) -> None:
        """`settle` (restore.Recall.settle) sees to it that the archive has nothing newer of a person."""
        self._nodes, self._keys = nodes, nodes.keys
        self._missing, self._settle_person = missing or Missing(nodes), settle

    async def create(
        self, room: str, kind: str, creator: str, members: Mapping[str, str], *, topic: str, display_name: str
    ) -> bool:
        for user in members:
            await self._note(user, "add", room)
        shard = self._keys.shard(room)
        args: list[Value] = [
            now_ms(),
            self._keys.room(room),
            room,
            creator,
            self._once(room, creator),
            OWN_KEY_S,
            kind,
            topic,
            display_name,
            self._keys.public_rooms(shard) if kind == "public" else "",
            wire.fields(sender=creator, action="create", kind=kind, topic=topic, display_name=display_name),
            "0",
        ]
        for user, role in members.items():
            action = "join" if user == creator else "invite"
            args += [user, role, wire.fields(sender=creator, user=user, action=action, role=role)]
        reply = await self._nodes.script(shard, "create_room", *args)
        if reply[0] == b"behind":
            if await self._missing.settle(room):
                return False
            args[_ASKED] = "1"
            reply = await self._nodes.script(shard, "create_room", *args)
        return bool(reply[0] == b"ok")

    async def update(
        self, room: str, actor: str, admin: bool, roles: Sequence[str], changes: Mapping[str, str], body: bytes
    ) -> None:
        args: list[Value] = [now_ms(), self._keys.room(room), room, actor, self._once(room, actor), OWN_KEY_S]
        args += [",".join(roles), "1" if admin else "0", body]
        for field, value in changes.items():
            args += [field, value]
        reply = await self._missing.script(room, "update_room", *args)
        if reply[0] != b"ok":
            raise refusal(reply[0], room)

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
        leaving = action in ("leave", "kick")
        if not leaving:
            await self._note(user, "add", room)
        reply = await self._missing.script(
            room,
            "set_member",
            now_ms(),
            self._keys.room(room),
            room,
            actor,
            self._once(room, actor),
            OWN_KEY_S,
            user,
            action,
            role,
            ",".join(actor_roles),
            ",".join(user_roles),
            "1" if admin else "0",
            MAX_MEMBERS,
            wire.fields(sender=actor, user=user, action=action, role=role or None),
        )
        status = bytes(reply[0]).decode()
        if status not in ("ok", "unchanged"):
            raise refusal(reply[0], room)
        # Coming and going may overlap: each puts the name back when, after its own step, the user is in the room.
        if leaving:
            await self._note(user, "remove", room)
            _, present = await self.role(user, room)
        if not leaving or present is not None:
            await self._note(user, "add", room)
        return status

    async def _note(self, user: str, action: str, room: str) -> None:
        """Put a room into the person's own list, or take it out. One round trip."""
        await self._nodes.script(self._keys.shard(user), "join_set", self._keys.user(user), user, action, room)

    async def seats(self, user: str, rooms: Sequence[str]) -> list[Seat | None]:
        def ask(prefix: str) -> list[tuple[Value, ...]]:
            return [
                ("HMGET", prefix + ":meta", *_META),
                ("HLEN", prefix + ":members"),
                ("HGET", prefix + ":members", user),
                ("HGET", prefix + ":posted", user),
            ]

        replies = await self._ask_rooms(rooms, ask)
        gone = [room for room in rooms if replies[room][0][0] is None]
        back = await self._missing.rooms(gone) if gone else ()
        if back:
            replies |= await self._ask_rooms(back, ask)
        return [_seat(room, replies[room]) for room in rooms]

    async def role(self, user: str, room: str) -> tuple[str | None, str | None]:
        prefix = self._keys.room(room)
        ask = [("HGET", prefix + ":meta", "kind"), ("HGET", prefix + ":members", user)]
        kind, role = await self._nodes.pipe(self._keys.shard(room), ask)
        if kind is None and await self._missing.rooms((room,)):
            kind, role = await self._nodes.pipe(self._keys.shard(room), ask)
        return (kind.decode() if kind else None), (role.decode() if kind and role else None)

    async def joined(self, user: str) -> list[str]:
        await self._settle(user)
        names = await self._nodes.run(self._keys.shard(user), "SMEMBERS", self._keys.joined(user))
        rooms = sorted(name.decode() for name in names)

        def ask(prefix: str) -> list[tuple[Value, ...]]:
            return [("HEXISTS", prefix + ":members", user)]

        replies = await self._ask_rooms(rooms, ask)
        absent = [room for room in rooms if not replies[room][0]]
        back = await self._missing.rooms(absent) if absent else ()
        if back:
            replies |= await self._ask_rooms(back, ask)
        return [room for room in rooms if replies[room][0]]

    async def members(self, room: str) -> dict[str, str]:
        ask = ("HGETALL", self._keys.room(room) + ":members")
        flat = await self._nodes.run(self._keys.shard(room), *ask)
        if not flat and await self._missing.rooms((room,)):
            flat = await self._nodes.run(self._keys.shard(room), *ask)
        return {user.decode(): role.decode() for user, role in zip(flat[::2], flat[1::2], strict=True)}

    async def public_rooms(self, after: str, limit: int, prefix: str = "") -> list[str]:
        low = f"({after}" if after and after >= prefix else f"[{prefix}" if prefix else "-"
        high = f"[{prefix}\xff".encode("latin-1") if prefix else "+"
        found = await self._nodes.ask(
            [
                (shard, ("ZRANGEBYLEX", self._keys.public_rooms(shard), low, high, "LIMIT", 0, limit))
                for shard in range(self._keys.shards)
            ]
        )
        return sorted(name.decode() for names in found for name in names)[:limit]

    async def markers(self, user: str, rooms: Sequence[str]) -> list[Marker | None]:
        if not rooms:
            return []
        await self._settle(user)
        rows = await self._nodes.run(self._keys.shard(user), "HMGET", self._keys.markers(user), *rooms)
        return [_marker(row.split()) if row else None for row in rows]

    async def mark(self, user: str, room: str, marker: Marker, body: bytes) -> Marker:
        await self._settle(user)
        reply = await self._nodes.script(
            self._keys.shard(user),
            "mark_read",
            self._keys.markers(user),
            room,
            marker.seq,
            marker.messages,
            marker.head,
            "1" if marker.back else "0",
            user,
            body,
        )
        return _marker(reply)

    async def typing(self, room: str, user: str, body: bytes) -> None:
        reply = await self._missing.script(room, "typing", self._keys.room(room), user, body, durable=False)
        if reply[0] != b"ok":
            raise refusal(reply[0], room)

    async def count_since(self, user: str, rooms: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        def ask(prefix: str) -> list[tuple[Value, ...]]:
            room = prefix.rsplit(":", 1)[1]
            return [
                ("ZCOUNT", prefix + ":deleted", rooms[room] + 1, "+inf"),
                ("ZCOUNT", f"{prefix}:mentions:{user}", rooms[room] + 1, "+inf"),
            ]

        replies = await self._ask_rooms(list(rooms), ask)
        return {room: (int(deleted), int(mentions)) for room, (deleted, mentions) in replies.items()}

    async def _settle(self, user: str) -> None:
        if self._settle_person is not None:
            await self._settle_person(user)

    async def _ask_rooms(self, rooms: Iterable[str], ask: Any) -> dict[str, list[Any]]:
        """The same questions about many rooms, in one round trip a server."""
        names = list(rooms)
        questions = [ask(self._keys.room(room)) for room in names]
        replies = iter(
            await self._nodes.ask(
                [
                    (self._keys.shard(room), command)
                    for room, group in zip(names, questions, strict=True)
                    for command in group
                ]
            )
        )
        return {room: [next(replies) for _ in group] for room, group in zip(names, questions, strict=True)}

    def _once(self, room: str, actor: str) -> str:
        return self._keys.once(room, actor, "\0" + secrets.token_hex(8))


def _seat(room: str, replies: list[Any]) -> Seat | None:
    meta, members, role, posted = replies
    if meta[0] is None:
        return None
    kind, topic, display_name, archived, created, head, epoch, messages, retention = meta
    own = posted.split() if posted else (0, 0)
    return Seat(
        Room(
            room,
            kind.decode(),
            topic.decode(),
            display_name.decode(),
            archived == b"1",
            int(created),
            int(head),
            int(epoch),
            int(messages),
            int(members),
            float(retention or 0),
        ),
        role.decode() if role else None,
        (int(own[0]), int(own[1])),
    )


def _marker(row: Sequence[bytes]) -> Marker:
    return Marker(int(row[0]), int(row[1]), int(row[2]), row[3] == b"1")
