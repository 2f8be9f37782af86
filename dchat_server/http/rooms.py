"""Rooms, members and the snapshot over HTTP."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from dchat_server.errors import ChatError
from dchat_server.http.auth import principal_of
from dchat_server.http.body import answer, no_content, presence_of, query_int, read_object, text_field
from dchat_server.http.messages import room_of
from dchat_server.http.parts import ACCOUNTS, LIMITER, SLOTS
from dchat_server.http.worker import WORKER, Worker
from dchat_server.lines import check_line
from dchat_server.model import ROLES, Standing, is_name, iso
from dchat_server.principals import Principal

_TOPIC, _NAME = 1000, 100
_SYNC_LIMIT = 5000
MAX_RETENTION_DAYS = 36_500


def room_object(standing: Standing, users: Sequence[str] | None) -> dict[str, Any]:
    """A room as its reader sees it."""
    room = standing.room
    value = {
        "room": room.name,
        "kind": room.kind,
        "display_name": room.display_name,
        "topic": room.topic,
        "members": room.members,
        "joined": standing.role is not None,
        "role": standing.role,
        "archived": room.archived,
        "head": room.head,
        "read": standing.read,
        "unread": standing.unread,
        "mentions": standing.mentions,
        "created_at": iso(room.created_at),
    }
    if room.retention_days:
        value["retention_days"] = room.retention_days
    if users is not None:
        value["users"] = users
    return value


async def room_objects(worker: Worker, standings: Sequence[Standing]) -> list[dict[str, Any]]:
    direct = [standing.room.name for standing in standings if standing.room.kind == "dm"]
    users = dict(zip(direct, await asyncio.gather(*map(worker.rooms.dm_users, direct)), strict=True))
    return [room_object(standing, users.get(standing.room.name)) for standing in standings]


async def _one(worker: Worker, user: str, room: str) -> dict[str, Any]:
    (value,) = await room_objects(worker, [await worker.rooms.standing(user, room)])
    return {"room": value}


def paging_cursor(name: str) -> str:
    """Where a list goes on, as an opaque string."""
    return base64.urlsafe_b64encode(b"n:" + name.encode()).rstrip(b"=").decode()


def name_after(request: web.Request) -> str:
    """The name a list goes on after; "" at its start. Raises ChatError bad_cursor."""
    text = request.query.get("cursor", "")
    if not text:
        return ""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        name = raw.decode("ascii")
    except (ValueError, binascii.Error):
        raise ChatError("bad_cursor") from None
    if not name.startswith("n:") or not is_name(name[2:]):
        raise ChatError("bad_cursor")
    return name[2:]


async def get_rooms(request: web.Request) -> web.StreamResponse:
    """GET /v1/rooms"""
    who = await principal_of(request, scope="read")
    worker = request.app[WORKER]
    limit = query_int(request, "limit", 100, low=1, high=200) or 100
    after, prefix = name_after(request), request.query.get("query", "").lower()
    if prefix and not is_name(prefix):
        return answer({"rooms": [], "next": None})
    joined_only = request.query.get("joined", "") in ("1", "true")
    standings, following = await worker.rooms.visible(
        who.user, after=after, limit=limit, prefix=prefix, joined_only=joined_only
    )
    following = paging_cursor(following) if following else None
    return answer({"rooms": await room_objects(worker, standings), "next": following})


async def post_room(request: web.Request) -> web.StreamResponse:
    """POST /v1/rooms"""
    who = await principal_of(request, scope="write")
    worker = request.app[WORKER]
    body = await read_object(request, worker.config.max_body_bytes)
    room, kind = text_field(body, "room", max_chars=32, required=True), body.get("kind", "public")
    if kind not in ("public", "private"):
        raise ChatError("invalid_request", "`kind` must be public or private.")
    topic, display_name = _line(body, "topic", _TOPIC) or "", _line(body, "display_name", _NAME) or room or ""
    await request.app[LIMITER].count_room(who.user)
    await asyncio.shield(worker.rooms.create(who.user, room or "", kind, topic, display_name))
    return answer(await _one(worker, who.user, room or ""), 201)


async def post_dm(request: web.Request) -> web.StreamResponse:
    """POST /v1/dms"""
    who = await principal_of(request, scope="write")
    worker = request.app[WORKER]
    users = (await read_object(request, worker.config.max_body_bytes)).get("users")
    if not isinstance(users, list) or not 1 <= len(users) <= 16 or not all(map(is_name, users)):
        raise ChatError("invalid_request", "`users` must be a list of 1 to 16 user names.")
    await _must_exist(request, [user for user in users if user != who.user])
    name, new = await asyncio.shield(worker.rooms.direct(who.user, users))
    return answer(await _one(worker, who.user, name), 201 if new else 200)


async def get_room(request: web.Request) -> web.StreamResponse:
    """GET /v1/rooms/{room}"""
    who = await principal_of(request, scope="read")
    return answer(await _one(request.app[WORKER], who.user, room_of(request)))


async def patch_room(request: web.Request) -> web.StreamResponse:
    """PATCH /v1/rooms/{room}"""
    who = await principal_of(request, scope="write")
    worker, room = request.app[WORKER], room_of(request)
    body = await read_object(request, worker.config.max_body_bytes)
    changes: dict[str, str] = {}
    topic, name = _line(body, "topic", _TOPIC), _line(body, "display_name", _NAME)
    if topic is not None:
        changes["topic"] = topic
    if name is not None:
        changes["display_name"] = name or room
    archived = body.get("archived")
    if archived is not None:
        if type(archived) is not bool:
            raise ChatError("invalid_request", "`archived` must be true or false.")
        changes["archived"] = "1" if archived else "0"
    days = body.get("retention_days")
    if days is not None:
        if isinstance(days, bool) or not isinstance(days, int | float) or not 0 <= days <= MAX_RETENTION_DAYS:
            raise ChatError("invalid_request", f"`retention_days` must be a number from 0 to {MAX_RETENTION_DAYS}.")
        changes["retention"] = f"{days:g}"
    if not changes:
        raise ChatError(
            "invalid_request", "Give at least one of `topic`, `display_name`, `archived` and `retention_days`."
        )
    await asyncio.shield(worker.rooms.update(who.user, who.admin, room, changes))
    return answer(await _one(worker, who.user, room))


async def delete_room(request: web.Request) -> web.StreamResponse:
    """DELETE /v1/rooms/{room}"""
    who = await principal_of(request, scope="write")
    worker = request.app[WORKER]
    await asyncio.shield(worker.rooms.update(who.user, who.admin, room_of(request), {"archived": "1"}))
    return no_content()


async def get_members(request: web.Request) -> web.StreamResponse:
    """GET /v1/rooms/{room}/members"""
    who = await principal_of(request, scope="read")
    limit = query_int(request, "limit", 100, low=1, high=500) or 100
    after = name_after(request)
    members = await request.app[WORKER].rooms.members(who.user, room_of(request))
    names = sorted(name for name in members if name > after)
    page = names[:limit]
    profiles = await request.app[ACCOUNTS].profiles(page)
    online = await request.app[SLOTS].online(page)
    value = [
        {
            "user": name,
            "display_name": profiles.get(name, name),
            "role": members[name],
            "presence": presence_of(name, online),
        }
        for name in page
    ]
    return answer({"members": value, "next": paging_cursor(page[-1]) if len(names) > limit else None})


async def put_member(request: web.Request) -> web.StreamResponse:
    """PUT /v1/rooms/{room}/members/{user}"""
    who = await principal_of(request, scope="write")
    worker, room, user = request.app[WORKER], room_of(request), _user_of(request, who)
    body = await read_object(request, worker.config.max_body_bytes, optional=True)
    role = body.get("role")
    if role is not None and role not in ROLES:
        raise ChatError("invalid_request", "`role` must be owner, moderator, member or reader.")
    await worker.rooms.check_readable(who.user, room)
    if user != who.user:
        await _must_exist(request, [user])
    role = await asyncio.shield(worker.rooms.put_member(who.user, who.admin, room, user, role))
    return answer({"member": {"user": user, "role": role}})


async def delete_member(request: web.Request) -> web.StreamResponse:
    """DELETE /v1/rooms/{room}/members/{user}"""
    who = await principal_of(request, scope="write")
    worker, room, user = request.app[WORKER], room_of(request), _user_of(request, who)
    await asyncio.shield(worker.rooms.remove_member(who.user, who.admin, room, user))
    return no_content()


async def get_sync(request: web.Request) -> web.StreamResponse:
    """GET /v1/sync"""
    who = await principal_of(request, scope="read")
    worker = request.app[WORKER]
    # The cursor first: what happens while the rooms are read is told again by the stream, and recognised by its seq.
    cursor = worker.hub.cursor.encode().decode()
    names = await worker.rooms.joined(who.user)
    standings = await worker.rooms.standings(who.user, names[:_SYNC_LIMIT])
    me = await request.app[ACCOUNTS].me(who)
    return answer({"user": me, "rooms": await room_objects(worker, standings), "cursor": cursor})


def _line(body: Mapping[str, Any], name: str, max_chars: int) -> str | None:
    """A member of the body that is one line of plain text."""
    text = text_field(body, name, max_chars=2 * max_chars)
    return None if text is None else check_line(name, text, max_chars)


def _user_of(request: web.Request, who: Principal) -> str:
    user = request.match_info["user"]
    if user == "me":
        return who.user
    if not is_name(user):
        raise ChatError("user_not_found")
    return user


async def _must_exist(request: web.Request, users: Sequence[str]) -> None:
    known = await request.app[ACCOUNTS].profiles(users)
    for user in users:
        if user not in known:
            raise ChatError("user_not_found", f"There is no user {user!r}.")
