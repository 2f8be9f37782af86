"""The short way for the one request that counts: a message sent by a program with a token.

aiohttp's router, middlewares and response cost as much CPU as everything the server itself does for a send. So the
requests that look exactly as programs send them are answered here: a POST to a plain room name, HTTP/1.1 with
keep-alive, `Authorization: Bearer` with a token seen within a minute, `Content-Type: application/json`, and nothing
unusual. All others go the ordinary way, through the routes, which answers these too, just the same.

What this relies on (aiohttp 3.14, tested in tests/e2e/test_front.py): `AppRunner.server.request_handler` is
what new connections call with each request; an answer needs `prepare`, `write_eof` and `keep_alive`, no more.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from time import monotonic

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time

from dchat_server.accounts import Accounts
from dchat_server.errors import ChatError
from dchat_server.http.body import parse_object, read_body
from dchat_server.http.messages import stored
from dchat_server.http.parts import ACCOUNTS
from dchat_server.http.problems import mistake, problem_response
from dchat_server.http.worker import WORKER, Worker

_ROUTE = re.compile(r"/v1/rooms/([a-z0-9][a-z0-9._-]{0,31})/messages")
_HEAD = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\nDate: %b\r\n\r\n"
_CREATED, _OK = b"201 Created", b"200 OK"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Front:
    """Answers plain sends; `ordinary` answers the rest."""

    def __init__(self, app: web.Application, ordinary: Handler) -> None:
        self._worker: Worker = app[WORKER]
        self._accounts: Accounts = app[ACCOUNTS]
        self._ordinary = ordinary

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.method == hdrs.METH_POST and (route := _ROUTE.fullmatch(request.raw_path)) is not None:
            headers = request.headers
            token = headers.get(hdrs.AUTHORIZATION, "")
            if (
                token[:7] == "Bearer "
                and headers.get(hdrs.CONTENT_TYPE) == "application/json"
                and (who := self._accounts.peek(token[7:])) is not None
                and "write" in who.scopes
                and hdrs.EXPECT not in headers
                and request.keep_alive
                and request.version == HttpVersion11
            ):
                return await self._send(request, who.user, route[1])
        return await self._ordinary(request)

    async def _send(self, request: web.Request, user: str, room: str) -> web.StreamResponse:
        worker, began = self._worker, monotonic()
        try:
            body = parse_object(await read_body(request, worker.config.max_body_bytes))
            draft = worker.publisher.draft(user, body)
            sent = await worker.publisher.send(room, draft)
        except ChatError as error:
            worker.refused[error.code] += 1
            response = problem_response(error)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            response = mistake(request, worker)
        else:
            worker.acknowledge(room, sent, began)
            if not worker.draining:
                return Written(_OK if sent.repeated else _CREATED, stored(sent, draft))
            response = web.Response(
                body=stored(sent, draft), status=200 if sent.repeated else 201, content_type="application/json"
            )
        if worker.draining:
            response.force_close()
        return response


class Written(web.StreamResponse):
    """A JSON answer that is bytes already, head and all, on a connection that stays open."""

    _keep_alive = True

    def __init__(self, status: bytes, body: bytes) -> None:
        self._data = _HEAD % (status, len(body), rfc822_formatted_time().encode()) + body
        self._status = int(status[:3])

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        transport.write(self._data)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """All was written in `prepare`."""


def install(runner: web.AppRunner, app: web.Application) -> None:
    """Put the short way before the routes. Call it between `setup` of the runner and the start of its sites."""
    server = runner.server
    if server is not None:
        # Its requests are `web.Request`: the application makes them.
        server.request_handler = Front(app, server.request_handler)  # type: ignore[assignment]
