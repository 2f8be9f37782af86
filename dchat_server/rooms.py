"""Rooms and who is in them: what people see of a room, what their role lets them do, how much they have not read."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence

from dchat_server import wire
from dchat_server.errors import ChatError
from dchat_server.model import DM_NAME, MODERATORS, ROLES, Standing, is_name
from dchat_server.ports import Marker, RoomLog, RoomStore, Seat

_START = Marker(0, 0, 0, False)
MAX_DM_USERS = 16


class Rooms:
    """What people do with rooms, checked against their roles."""

    def __init__(self, store: RoomStore, log: RoomLog) -> None:
        self._store, self._log = store, log

    # --- what one sees -------------------------------------------------------------------------------------------

    async def seat(self, user: str, room: str) -> Seat:
        """The room, when `user` may read it. Raises ChatError room_not_found, for an unknown room just as for one
        that is none of their business."""
        seat = (await self._store.seats(user, (room,)))[0] if is_name(room) else None
        if seat is None or (seat.role is None and seat.room.kind != "public"):
            raise ChatError("room_not_found")
        return seat

    async def check_readable(self, user: str, room: str) -> None:
        """Raise ChatError room_not_found unless `user` may read the room. One round trip."""
        if is_name(room):
            kind, role = await self._store.role(user, room)
            if role is not None or kind == "public":
                return
        raise ChatError("room_not_found")

    async def standings(self, user: str, names: Sequence[str]) -> list[Standing]:
        """Those of the rooms that exist and that `user` may see, with unread counts. Three round trips."""
        seats, markers = await asyncio.gather(self._store.seats(user, names), self._store.markers(user, names))
        seen = [
            (seat, _read_to(marker or _START, seat.posted))
            for seat, marker in zip(seats, markers, strict=True)
            if seat is not None and (seat.role is not None or seat.room.kind == "public")
        ]
        behind = {
            seat.room.name: read
            for seat, (read, messages) in seen
            if seat.role is not None and seat.room.messages > messages
        }
        counts = await self._store.count_since(user, behind) if behind else {}
        out = []
        for seat, (read, messages) in seen:
            deleted, mentions = counts.get(seat.room.name, (0, 0))
            unread = max(0, seat.room.messages - messages - deleted) if seat.role is not None else 0
            out.append(Standing(seat.room, seat.role, min(read, seat.room.head), unread, mentions))
        return out

    async def standing(self, user: str, room: str) -> Standing:
        found = await self.standings(user, (room,)) if is_name(room) else []
        if not found:
            raise ChatError("room_not_found")
        return found[0]

    async def joined(self, user: str) -> list[str]:
        return await self._store.joined(user)

    async def visible(
        self, user: str, *, after: str, limit: int, prefix: str = "", joined_only: bool = False
    ) -> tuple[list[Standing], str | None]:
        """Rooms one may see, by name, and the name to go on after (None at the end)."""
        mine = [name for name in await self._store.joined(user) if name > after and name.startswith(prefix)]
        public = [] if joined_only else await self._store.public_rooms(after, limit + 1, prefix)
        names = sorted({*mine, *public})
        page = names[:limit]
        return await self.standings(user, page), page[-1] if len(names) > limit else None

    async def members(self, user: str, room: str) -> dict[str, str]:
        await self.check_readable(user, room)
        return await self._store.members(room)

    async def dm_users(self, room: str) -> list[str]:
        return sorted(await self._store.members(room))

    # --- what one does -------------------------------------------------------------------------------------------

    async def create(self, creator: str, room: str, kind: str, topic: str, display_name: str) -> None:
        if not is_name(room) or DM_NAME.fullmatch(room):
            raise ChatError("invalid_request", "A room name has 1 to 32 of a-z 0-9 . _ - and starts with a-z or 0-9.")
        members = {creator: "owner"}
        if not await self._store.create(room, kind, creator, members, topic=topic, display_name=display_name):
            raise ChatError("room_taken", f"There is a room {room!r} already.")

    async def direct(self, creator: str, users: Sequence[str]) -> tuple[str, bool]:
        """The room of exactly these people; (name, whether it is new). The same people always get the same room."""
        people = sorted({creator, *users})
        if not 1 <= len(people) <= MAX_DM_USERS:
            raise ChatError("invalid_request", f"A direct conversation has at most {MAX_DM_USERS} people.")
        name = "dm-" + hashlib.sha256("\n".join(people).encode()).hexdigest()[:24]
        members = dict.fromkeys((creator, *people), "member")
        new = await self._store.create(name, "dm", creator, members, topic="", display_name=", ".join(people))
        return name, new

    async def update(self, user: str, admin: bool, room: str, changes: Mapping[str, str]) -> None:
        """Topic and display name (moderators), archive flag and retention (in days; owners)."""
        seat = await self.seat(user, room)
        archived, retention = changes.get("archived"), changes.get("retention")
        roles: Sequence[str] = ("owner",) if archived is not None or retention is not None else MODERATORS
        if seat.room.kind == "dm":
            if archived is not None:
                raise ChatError("forbidden", "A direct conversation cannot be archived.")
            if retention is not None:
                raise ChatError("forbidden", "A direct conversation keeps its messages as long as the server does.")
            roles = ROLES
        known = {"topic": seat.room.topic, "display_name": seat.room.display_name}
        known["archived"] = "1" if seat.room.archived else "0"
        known["retention"] = f"{seat.room.retention_days:g}"
        if archived is None and seat.room.archived:
            raise ChatError("room_archived")
        new = {**known, **changes}
        if new == known and (seat.role in roles or admin):
            return
        action = "update" if archived in (None, known["archived"]) else "archive" if archived == "1" else "unarchive"
        about = {"kind": seat.room.kind, "topic": new["topic"], "display_name": new["display_name"]}
        if retention is not None:
            about["retention"] = retention
        body = wire.fields(sender=user, action=action, **about)
        await self._store.update(room, user, admin, roles, changes, body)

    async def put_member(self, actor: str, admin: bool, room: str, user: str, role: str | None) -> str:
        """Join, invite, or give a role; the role they have then. `user` must exist."""
        seat = await self.seat(actor, room)
        if seat.room.kind == "dm":
            raise ChatError("forbidden", "The people of a direct conversation do not change; start another one.")
        present = (await self._store.seats(user, (room,)))[0]
        theirs = present.role if present else None
        if theirs is not None and role in (None, theirs):
            return theirs
        if theirs is None:
            await self._let_in(seat, actor, admin, user, role or "member")
            return role or "member"
        assert role is not None
        may, over = (("owner",), ()) if "owner" in (role, theirs) else (MODERATORS, ("moderator", "member", "reader"))
        await self._store.set_member(room, actor, user, "role", role, admin=admin, actor_roles=may, user_roles=over)
        return role

    async def _let_in(self, seat: Seat, actor: str, admin: bool, user: str, role: str) -> None:
        room = seat.room.name
        if actor == user:
            if role != "member" and not (admin or role == "reader"):
                raise ChatError("forbidden", "One joins as member.")
            await self._store.set_member(room, actor, user, "join", role, admin=admin)
        else:
            may: Sequence[str] = ("owner",) if role == "owner" else MODERATORS
            if role == "member":
                may = ("owner", "moderator", "member")
            await self._store.set_member(room, actor, user, "invite", role, admin=admin, actor_roles=may)
        # What was said before one came is not "unread". Should this step be lost, it is, until one has looked.
        before = Marker(seat.room.head, seat.room.messages, seat.room.head, False)
        body = wire.fields(type="read", room=room, read=before.seq, unread=0)
        await self._store.mark(user, room, before, b"{" + body)

    async def remove_member(self, actor: str, admin: bool, room: str, user: str) -> None:
        """Leave, or make somebody leave. Doing it twice is no error."""
        seat = await self.seat(actor, room)
        if seat.room.kind == "dm":
            raise ChatError("forbidden", "One cannot leave a direct conversation.")
        if actor == user:
            if seat.role == "owner":
                await self._hand_over(room, actor)
            await self._store.set_member(room, actor, user, "leave", "")
            return
        theirs = (await self._store.seats(user, (room,)))[0]
        over = () if seat.role == "owner" else ("moderator", "member", "reader")
        if theirs is not None and theirs.role == "owner" and seat.role != "owner" and not admin:
            raise ChatError("forbidden", "Only an owner may remove an owner.")
        await self._store.set_member(
            room, actor, user, "kick", "", admin=admin, actor_roles=MODERATORS, user_roles=over
        )

    async def _hand_over(self, room: str, owner: str) -> None:
        """When the last owner goes, a moderator, else a member, becomes owner: no room is without."""
        others = await self._store.members(room)
        others.pop(owner, None)
        if others and "owner" not in others.values():
            heir = min(others, key=lambda user: (ROLES.index(others[user]), user))
            await self._store.set_member(room, owner, heir, "role", "owner", actor_roles=("owner",))

    async def mark_read(self, user: str, room: str, seq: int, back: bool) -> Standing:
        """Move the read marker, forward only unless `back`; the room as it stands then."""
        seat = await self.seat(user, room)
        if seat.role is None:
            raise ChatError("not_a_member", "Read markers are for members.")
        seq = min(seq, seat.room.head)
        messages = seat.room.messages
        if seq < seat.room.head:
            events = await self._log.read(room, seq - 1, 1) if seq > 0 else []
            messages = events[0].messages if events else 0
            if events and events[0].seq > seq:  # what lay there was given up: count up to the first that is kept
                messages -= events[0].type == "message"
        marker = Marker(seq, messages, seat.room.head, back)
        (old,) = await self._store.markers(user, (room,))
        still_back = old is not None and old.back and not back and seq < old.head  # see lua/mark_read.lua
        read, counted = (seq, messages) if still_back else _read_to(marker, seat.posted)
        counts = await self._store.count_since(user, {room: read})
        unread = max(0, seat.room.messages - counted - counts[room][0])
        body = wire.fields(type="read", room=room, read=read, unread=unread)
        await self._store.mark(user, room, marker, b"{" + body)
        return await self.standing(user, room)


def _read_to(marker: Marker, posted: tuple[int, int]) -> tuple[int, int]:
    """(seq, messages) up to which somebody has read: what one wrote oneself one has read, too, unless one moved
    the marker back after writing it."""
    seq, messages = posted
    if seq > (marker.head if marker.back else marker.seq):
        return seq, messages
    return marker.seq, marker.messages
