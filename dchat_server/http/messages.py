"""Messages over HTTP: send, page, change."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
from aiohttp import web

from dchat_server import wire
from dchat_server.errors import ChatError
from dchat_server.history import DEFAULT_LIMIT, MAX_LIMIT
from dchat_server.http.auth import principal_of
from dchat_server.http.body import answer, no_content, parse_object, query_int, read_body, read_object
from dchat_server.http.problems import problem_of
from dchat_server.http.worker import WORKER
from dchat_server.model import Draft, Sent, is_name
from dchat_server.publish import MAX_BATCH

_MAX_SEQ = 2**53 - 1


def room_of(request: web.Request) -> str:
    """The room in the path; a name that cannot exist is one that does not."""
    room = request.match_info["room"]
    if not is_name(room):
        raise ChatError("room_not_found")
    return room


def seq_of(request: web.Request) -> int:
    text = request.match_info["seq"]
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and 1 <= int(text) <= _MAX_SEQ):
        raise ChatError("message_not_found", "A message's seq is a whole number from 1.")
    return int(text)


async def post_message(request: web.Request) -> web.StreamResponse:
    """POST /v1/rooms/{room}/messages"""
    began = time.monotonic()
    who = await principal_of(request, scope="write")
    worker, room = request.app[WORKER], room_of(request)
    if request.content_type == wire.NDJSON:
        return await _post_batch(request, who.user, room)
    draft = worker.publisher.draft(who.user, await read_object(request, worker.config.max_body_bytes))
    sent = await worker.publisher.send(room, draft)
    worker.acknowledge(room, sent, began)
    status = 200 if sent.repeated else 201
    return web.Response(body=stored(sent, draft), status=status, content_type="application/json")


def stored(sent: Sent, draft: Draft) -> bytes:
    """The body of the answer to a send."""
    return b'{"message":%b}' % wire.sent_message(sent, draft)


async def _post_batch(request: web.Request, user: str, room: str) -> web.Response:
    worker = request.app[WORKER]
    raw = await read_body(request, worker.config.max_batch_bytes)
    lines = [line for line in raw.split(b"\n") if line.strip()]
    if not 1 <= len(lines) <= MAX_BATCH:
        raise ChatError("invalid_request", f"A batch has 1 to {MAX_BATCH} lines; this has {len(lines)}.")
    drafts: list[Draft | ChatError] = []
    for line in lines:
        try:
            drafts.append(worker.publisher.draft(user, parse_object(line)))
        except ChatError as error:
            drafts.append(error)
    outcomes = await worker.publisher.send_many(room, drafts)
    answers = []
    for draft, outcome in zip(drafts, outcomes, strict=True):
        if isinstance(outcome, Sent) and isinstance(draft, Draft):
            status = 200 if outcome.repeated else 201
            answers.append(b'{"status":%d,"message":%b}\n' % (status, wire.sent_message(outcome, draft)))
        elif isinstance(outcome, ChatError):
            value = {"status": outcome.status, "error": problem_of(outcome)}
            if outcome.retryable:
                value["retry_after"] = outcome.retry_after_s
            answers.append(orjson.dumps(value) + b"\n")
    return web.Response(body=b"".join(answers), content_type=wire.NDJSON)


async def get_messages(request: web.Request) -> web.StreamResponse:
    """GET /v1/rooms/{room}/messages"""
    who = await principal_of(request, scope="read")
    worker, room = request.app[WORKER], room_of(request)
    limit = query_int(request, "limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT) or DEFAULT_LIMIT
    sides = {side: query_int(request, side, None, low=0, high=_MAX_SEQ) for side in ("before", "after", "around")}
    given = [side for side, seq in sides.items() if seq is not None]
    if len(given) > 1:
        raise ChatError("invalid_request", "Give one of `before`, `after` and `around`.")
    seat = await worker.rooms.seat(who.user, room)
    if sides["after"] is not None:
        page = await worker.history.after(room, sides["after"], limit)
    elif sides["around"] is not None:
        page = await worker.history.around(room, sides["around"], limit)
    else:
        page = await worker.history.before(room, sides["before"], limit)
    more = page.more_before or page.more_after
    value = {
        "messages": [wire.message_object(message) for message in page.messages],
        "head": max(seat.room.head, page.messages[-1].event.seq if page.messages else 0),
        "has_more": more,
    }
    if sides["around"] is not None:
        value |= {"has_more_before": page.more_before, "has_more_after": page.more_after}
    return answer(value)


async def get_message(request: web.Request) -> web.StreamResponse:
    """GET /v1/rooms/{room}/messages/{seq}"""
    who = await principal_of(request, scope="read")
    worker, room = request.app[WORKER], room_of(request)
    await worker.rooms.check_readable(who.user, room)
    return answer({"message": wire.message_object(await worker.history.one(room, seq_of(request)))})


async def get_thread(request: web.Request) -> web.StreamResponse:
    """GET /v1/rooms/{room}/messages/{seq}/thread"""
    who = await principal_of(request, scope="read")
    worker, room, seq = request.app[WORKER], room_of(request), seq_of(request)
    limit = query_int(request, "limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT) or DEFAULT_LIMIT
    after = query_int(request, "after", None, low=0, high=_MAX_SEQ) or 0
    seat = await worker.rooms.seat(who.user, room)
    thread = await worker.history.thread(room, seq, after, limit)
    value: dict[str, Any] = {
        "root": wire.message_object(thread.root),
        "messages": [wire.message_object(message) for message in thread.replies],
        "head": max(seat.room.head, thread.replies[-1].event.seq if thread.replies else seq),
        "has_more": thread.next is not None,
    }
    if thread.next is not None:
        value["next"] = thread.next
    return answer(value)


async def patch_message(request: web.Request) -> web.StreamResponse:
    """PATCH /v1/rooms/{room}/messages/{seq}"""
    who = await principal_of(request, scope="write")
    worker, room = request.app[WORKER], room_of(request)
    await worker.rooms.check_readable(who.user, room)
    body = await read_object(request, worker.config.max_body_bytes)
    message = await asyncio.shield(worker.publisher.edit(room, who.user, seq_of(request), body.get("text")))
    return answer({"message": wire.message_object(message)})


async def delete_message(request: web.Request) -> web.StreamResponse:
    """DELETE /v1/rooms/{room}/messages/{seq}"""
    who = await principal_of(request, scope="write")
    worker, room = request.app[WORKER], room_of(request)
    await worker.rooms.check_readable(who.user, room)
    await asyncio.shield(worker.publisher.delete(room, who.user, seq_of(request)))
    return no_content()


async def put_reaction(request: web.Request) -> web.StreamResponse:
    """PUT /v1/rooms/{room}/messages/{seq}/reactions/{emoji}"""
    return await _react(request, True)


async def delete_reaction(request: web.Request) -> web.StreamResponse:
    """DELETE /v1/rooms/{room}/messages/{seq}/reactions/{emoji}"""
    return await _react(request, False)


async def _react(request: web.Request, add: bool) -> web.StreamResponse:
    who = await principal_of(request, scope="write")
    worker, room = request.app[WORKER], room_of(request)
    await worker.rooms.check_readable(who.user, room)
    emoji = request.match_info["emoji"]
    react = worker.publisher.react(room, who.user, seq_of(request), emoji, add)
    return answer({"message": wire.message_object(await asyncio.shield(react))})


async def post_typing(request: web.Request) -> web.StreamResponse:
    """POST /v1/rooms/{room}/typing"""
    who = await principal_of(request, scope="write")
    await request.app[WORKER].typists.tell(who.user, room_of(request))
    return no_content()


async def put_read(request: web.Request) -> web.StreamResponse:
    """PUT /v1/rooms/{room}/read"""
    who = await principal_of(request, scope="write")
    worker, room = request.app[WORKER], room_of(request)
    body = await read_object(request, worker.config.max_body_bytes)
    seq, back = body.get("seq"), body.get("unread", False)
    if type(seq) is not int or not 0 <= seq <= _MAX_SEQ or type(back) is not bool:
        raise ChatError("invalid_request", "`seq` must be a whole number, `unread` true or false.")
    standing = await asyncio.shield(worker.rooms.mark_read(who.user, room, seq, back))
    return answer({"room": room, "read": standing.read, "unread": standing.unread, "mentions": standing.mentions})
