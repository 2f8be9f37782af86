"""`GET /v1/events`: the stream as SSE, as JSON lines, and as long poll; one cursor for all three."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress

import orjson
import structlog
from aiohttp import web

from dchat_server import wire
from dchat_server.attach import Opened
from dchat_server.drain import reconnect_frame
from dchat_server.errors import ChatError
from dchat_server.http.auth import principal_of
from dchat_server.http.body import answer, query_int
from dchat_server.http.parts import ACCOUNTS, SLOTS
from dchat_server.http.request_ids import HEADER
from dchat_server.http.takeover import (
    LIVE_BUFFER,
    Gone,
    StreamConnection,
    bound_kernel_buffers,
    head_bytes,
    take_over,
)
from dchat_server.http.worker import WORKER, Worker
from dchat_server.logs import request_id
from dchat_server.model import is_name, iso, parse_iso
from dchat_server.stream import CLOSED, Stream

MAX_ROOMS = 200
MAX_POLL_S = 60
POLL_EVENTS = 500
_SINCE = re.compile(r"([0-9]{1,6})([smhd])")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

log = structlog.get_logger("dchat.events")


async def get_events(request: web.Request) -> web.StreamResponse:
    """GET /v1/events"""
    who = await principal_of(request, scope="read", ticket=True)
    worker = request.app[WORKER]
    poll_s = query_int(request, "poll", None, low=0, high=MAX_POLL_S)
    lines = poll_s is not None or _wants_lines(request)
    wanted = _wanted(request)
    cursor = request.headers.get("Last-Event-ID") or request.query.get("cursor") or None
    since_ms = _since_ms(request.query.get("since"))
    if worker.refuses_streams:
        raise ChatError("draining")
    if not worker.pump.alive:
        raise ChatError("backend_unavailable")
    if worker.hub.count >= worker.max_streams:
        raise ChatError("overloaded", "This worker has all the streams it can take; another one may have room.")
    slots = request.app[SLOTS]
    if not await slots.acquire(who.user):
        raise ChatError("too_many_streams", f"An account may have {worker.config.streams_per_user} streams open.")
    pending = Pending()
    stream = Stream(who.user, who.digest, pending, wanted=wanted, lines=lines, expires_at=who.expires_at)
    response: web.StreamResponse | None = None
    try:
        opened = await worker.opener.open(stream, cursor, None if cursor else since_ms)
        if request.app[ACCOUNTS].is_revoked(who.digest):  # while we were looking
            raise ChatError("unauthorized")
        if stream.mode == CLOSED:  # the hub sent its readers elsewhere meanwhile
            raise ChatError("draining")
        if poll_s is not None:
            response = await _poll(worker, opened, poll_s)
        else:
            response = await _stream(request, worker, opened)
        return response
    finally:
        if not isinstance(response, Gone):  # a stream that was taken over ends with its connection
            worker.hub.drop(stream)
            slots.release(who.user)


class Pending:
    """Where a stream's bytes go before it has a connection: nowhere; there are none yet."""

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass

    abort = close


async def _stream(request: web.Request, worker: Worker, opened: Opened) -> web.StreamResponse:
    stream = opened.stream
    headers = {
        "Content-Type": wire.NDJSON if stream.lines else f"{wire.SSE}; charset=utf-8",
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
    }
    if served := request_id.get():
        headers[HEADER] = served
    if "ticket" in request.query:
        headers["Access-Control-Allow-Origin"] = "*"
    transport, slots = request.transport, request.app[SLOTS]
    connection = StreamConnection(worker.hub, stream, lambda ended: slots.release(ended.user))
    if worker.may_take_over and transport is not None:
        gone = take_over(request, connection, head_bytes(headers))
        if gone is not None:
            stream.out = transport
            worker.spawn(_feed_connection(worker, opened, connection))
            return gone
    return await _ordinary(request, worker, opened, headers)


async def _feed_connection(worker: Worker, opened: Opened, connection: StreamConnection) -> None:
    """Replay, then let the stream go live. Nothing is awaited between the two."""
    stream = opened.stream
    try:
        await worker.opener.run(opened, _now(), connection.drain)
    except ChatError as error:
        log.warning("replay_failed", user=stream.user, error=str(error))
        worker.hub.close(stream, reconnect_frame(1000))
    except Exception:
        log.exception("replay_failed", user=stream.user)
        worker.hub.close(stream, reconnect_frame(1000))
    if stream.mode != CLOSED:
        connection.go_live()
        worker.hub.go_live(stream)


class QueueOutlet:
    """Bounded bytes between the hub and an ordinary response."""

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self._transport = transport
        self._parts: list[bytes] = []
        self._size = 0
        self._ready = asyncio.Event()
        self.closed = False

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > LIVE_BUFFER:
            self.abort()
        self._ready.set()

    def close(self) -> None:
        self.closed = True
        self._ready.set()

    def abort(self) -> None:
        self._parts = []
        self.close()
        if self._transport is not None:  # whoever writes to a client that does not read waits for ever
            self._transport.abort()

    async def take(self) -> bytes:
        """What was written since; b"" once it is closed."""
        await self._ready.wait()
        self._ready.clear()
        parts, self._parts, self._size = self._parts, [], 0
        if self.closed:
            self._ready.set()
        return b"".join(parts)


async def _ordinary(
    request: web.Request, worker: Worker, opened: Opened, headers: dict[str, str]
) -> web.StreamResponse:
    """The stream as an ordinary aiohttp response, where the connection cannot be taken over."""
    stream, outlet = opened.stream, QueueOutlet(request.transport)
    stream.out = outlet
    if request.transport is not None:
        bound_kernel_buffers(request.transport)
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)

    async def drain() -> None:
        await response.write(await outlet.take())

    try:
        await worker.opener.run(opened, _now(), drain)
        worker.hub.go_live(stream)
        while data := await outlet.take():
            await response.write(data)
    finally:
        worker.hub.drop(stream)
    return response


class PollOutlet:
    """Collects lines for one answer; `first` is done as soon as there is something to tell."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def write(self, data: bytes) -> None:
        self.lines += [line for line in data.split(b"\n") if line and not line.startswith(b'{"type":"ping"')]
        if self.lines:
            self.close()

    def close(self) -> None:
        if not self.first.done():
            self.first.set_result(None)

    abort = close


async def _poll(worker: Worker, opened: Opened, poll_s: int) -> web.Response:
    """What was missed, at once; else what comes within `poll_s` seconds."""
    stream = opened.stream
    try:
        lines = [wire.control_frame("gap", rooms=opened.gaps, refetch=True).data] if opened.gaps else []
        place = opened.end.encode()
        async for frames, reached in worker.opener.missed(opened):
            lines += [frame.data for frame in frames]
            if len(lines) >= POLL_EVENTS:
                place = reached.encode()
                break
        if not lines and poll_s:
            outlet = stream.out = PollOutlet()
            worker.hub.go_live(stream)
            with suppress(TimeoutError):
                await asyncio.wait_for(outlet.first, poll_s)
            worker.hub.flush()  # its cursor may be ahead of what was written
            lines = outlet.lines
            place = worker.hub.cursor.encode().decode() if stream.mode != CLOSED else place
        events = [orjson.loads(line) for line in lines]
        for event in events:
            place = event.pop("cursor", place)
        return answer({"events": events, "cursor": place}, headers={"Cache-Control": "no-store"})
    finally:
        worker.hub.drop(stream)


def _wants_lines(request: web.Request) -> bool:
    accept = request.headers.get("Accept", "*/*").lower()
    if wire.NDJSON in accept:
        return True
    if any(word in accept for word in (wire.SSE, "*/*", "text/*")):
        return False
    raise ChatError("not_acceptable")


def _wanted(request: web.Request) -> tuple[str, ...] | None:
    text = request.query.get("rooms")
    if text is None:
        return None
    names = tuple(dict.fromkeys(name for name in text.split(",") if name))
    if not names:
        raise ChatError("invalid_request", "`rooms` names no room.")
    if len(names) > MAX_ROOMS:
        raise ChatError("invalid_request", f"`rooms` may name at most {MAX_ROOMS} rooms.")
    for name in names:
        if not is_name(name):
            raise ChatError("room_not_found", "There is no room of that name that you may read.")
    return names


def _since_ms(text: str | None) -> int | None:
    if not text:
        return None
    now = time.time() * 1000
    if match := _SINCE.fullmatch(text):
        return int(now - int(match[1]) * _UNIT_MS[match[2]])
    try:
        return max(0, parse_iso(text.replace(" ", "+")))
    except (ValueError, OverflowError):
        raise ChatError("invalid_request", "`since` is like 30s, 10m, 2h, 1d, or an ISO 8601 time.") from None


def _now() -> str:
    return iso(int(time.time() * 1000))
