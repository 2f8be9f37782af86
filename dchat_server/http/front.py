"""The short way for the one request that counts: a message sent by a program with a token.

aiohttp's parser, tasks, router, middlewares and response cost several times as much CPU as everything that the server
itself does for a send. So the requests that look exactly as programs send them are answered here, in the connection: a
POST of JSON to a plain room name, HTTP/1.1 with keep-alive, `Authorization: Bearer` with a token seen within a minute,
and nothing unusual (head.py). All others go the ordinary way, through aiohttp and the routes, which answers these too,
just the same.

*Where a request begins.* Bytes are only looked at where the one before is known to have ended, by the same plain rules.
A connection on which that was ever in doubt (a chunked body, an upgrade, requests sent ahead of answers) is left to
aiohttp for good.

*What is left to the ordinary way* is everything that is known before the log is asked: a request that is refused for
what it says, an unknown token, a limit that needs a round trip, a worker that is about to end. From there on the
message may be stored, so the answer is given here.

What this relies on (aiohttp 3.14, tested in tests/e2e/test_front.py and tests/unit/server/test_front.py): a server
makes its connections by being called; a connection's `_waiter` is a future that is not done while it waits for a
request, and is None before the first one (`_request_count` is 0); `_request_in_progress` and `_handler_waiter` are what
its `shutdown` waits for; it closes itself when it idles past `_next_keepalive_close_time`. Where aiohttp has none of
that, all go the ordinary way.
"""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from time import monotonic
from typing import Any

import orjson
import structlog
from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.web_protocol import RequestHandler

from dchat_server.accounts import Accounts
from dchat_server.errors import ChatError
from dchat_server.http.body import BODY_S, parse_object
from dchat_server.http.head import Head, read_head
from dchat_server.http.messages import stored
from dchat_server.http.parts import ACCOUNTS
from dchat_server.http.problems import PROBLEM, note_refusal, problem_headers, problem_of
from dchat_server.http.request_ids import new_id, sane, with_ids
from dchat_server.http.worker import WORKER, Worker
from dchat_server.logs import request_id
from dchat_server.model import Draft, Sent

MAX_BEHIND_BYTES = 64 * 1024
"""What a client may send ahead while a message of its is being stored; more waits in the kernel."""

_RELIES_ON = (
    "_waiter",
    "_request_count",
    "_messages",
    "_request_in_progress",
    "_handler_waiter",
    "_next_keepalive_close_time",
    "_paused",
)
_ANSWER = b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nDate: %b\r\nX-Request-Id: %b\r\n%b\r\n%b"
_CLOSE = b"Connection: close\r\n"
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}

log = structlog.get_logger("dchat.http")


class Server(web.Server):
    """aiohttp's server, with connections of ours."""

    app: web.Application

    def __call__(self) -> RequestHandler:
        return Connection(self, self.app[WORKER], self.app[ACCOUNTS], **self._kwargs)


class Connection(RequestHandler):
    """A client's connection: plain sends are answered here, the rest by aiohttp."""

    __slots__ = (
        *("_accounts", "_behind", "_begun", "_held", "_last", "_lost_track", "_patience", "_rest", "_sending"),
        "_worker",
    )

    def __init__(self, server: Server, worker: Worker, accounts: Accounts, **options: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._worker, self._accounts = worker, accounts
        self._last: tuple[bytes, Head] = (b"", Head(0))
        """The last head as it came, and what it says: clients repeat themselves."""
        self._lost_track = False
        """True once it is not certain where requests begin."""
        self._rest = 0
        """Bytes that aiohttp has still to get of the body it is reading."""
        self._begun = b""
        """A plain send whose body has not all come, for which `_patience` waits."""
        self._patience: asyncio.TimerHandle | None = None
        self._sending = False
        self._held = b""
        """The request whose message is being stored."""
        self._behind = b""
        """What came meanwhile."""

    # --- bytes come ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._sending:
            self._hold(data)
        elif self._lost_track or not data:  # aiohttp itself calls with nothing, to have its parser go on
            super().data_received(data)
        elif self._rest:
            self._pass_on(data, self._rest - len(data))
        else:
            self._begin(self._begun + data if self._begun else data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._be_patient(b"")
        super().connection_lost(exc)

    def _begin(self, data: bytes) -> None:
        """`data` begins with a request."""
        end = data.find(b"\r\n\r\n")
        raw = data[:end] if end > 0 else b""
        if raw != self._last[0]:
            self._last = (raw, head) if (head := read_head(raw)) is not None else (b"", Head(0))
        head = self._last[1]
        missing = end + 4 + head.length - len(data)
        if not self._last[0]:
            self._be_patient(b"")
            self._lost_track = True
            super().data_received(data)
        elif missing > 0 and head.room and head.length <= self._worker.config.max_body_bytes:
            self._be_patient(data)
        else:
            self._be_patient(b"")
            if not (missing == 0 and head.room and self._send(head, data, data[end + 4 :])):
                self._pass_on(data, missing)

    def _pass_on(self, data: bytes, missing: int) -> None:
        """Give aiohttp (part of) a request of whose body `missing` bytes are still to come."""
        self._rest, self._lost_track = missing, missing < 0
        super().data_received(data)

    def _be_patient(self, begun: bytes) -> None:
        """Wait for the rest of what has `begun`; of nothing: do not wait any more."""
        if begun and self._patience is None:
            self._patience = self._loop.call_later(BODY_S, self._lose_patience)
        elif not begun and self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._begun = begun

    def _lose_patience(self) -> None:
        """aiohttp waits for the rest, and answers when it does not come."""
        data = self._begun
        self._be_patient(b"")
        self._pass_on(data, data.index(b"\r\n\r\n") + 4 + self._last[1].length - len(data))

    def _hold(self, data: bytes) -> None:
        """Keep what a client sends while its message is being stored."""
        full = len(self._behind) >= MAX_BEHIND_BYTES
        self._behind += data
        if not full and len(self._behind) >= MAX_BEHIND_BYTES:
            self._pause_transport_reading()

    # --- a send ----------------------------------------------------------------------------------------------------

    def _send(self, head: Head, data: bytes, body: bytes) -> bool:
        """Begin to store a message; False when it must go the ordinary way, and nothing has happened."""
        worker, began = self._worker, monotonic()
        who = self._accounts.at(head.digest)
        if who is None or "write" not in who.scopes or worker.draining or not self._is_free():
            return False
        try:
            draft = worker.publisher.draft(who.user, parse_object(body))
            if not worker.publisher.post(head.room, draft, partial(self._stored, head, draft, began)):
                return False
        except ChatError:
            return False
        self._sending = self._request_in_progress = True
        self._held = data
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def _is_free(self) -> bool:
        """True while aiohttp waits for a request and the client takes its answers."""
        waiter = self._waiter
        waits = not waiter.done() if waiter is not None else not self._request_count  # it has not begun yet
        return waits and not (self._messages or self._paused or self._close)

    def _stored(self, head: Head, draft: Draft, began: float, outcome: Sent | Exception | None) -> None:
        """The log has answered; None: this is for the ordinary way after all."""
        held, self._held = self._held, b""
        self._sending = self._request_in_progress = False
        if isinstance(outcome, Sent):
            self._worker.acknowledge(head.room, outcome, began)
            self._answer(head, 200 if outcome.repeated else 201, b"application/json", stored(outcome, draft))
        elif outcome is not None:
            self._refuse(head, outcome)
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        behind, self._behind = self._behind, b""
        if self.transport is None:
            return
        if outcome is None:
            super().data_received(held)
        if len(behind) >= MAX_BEHIND_BYTES:
            self._resume_transport_reading()
        if behind:
            self.data_received(behind)

    def _refuse(self, head: Head, error: Exception) -> None:
        head = head._replace(request_id=_named(head))
        token = request_id.set(head.request_id)
        try:
            path = f"/v1/rooms/{head.room}/messages"
            if not isinstance(error, ChatError):
                log.error("request_failed", method="POST", path=path, exc_info=error)
                error = ChatError("internal", "The server made a mistake; it is in its log.")
                self._worker.refused[error.code] += 1
            else:
                note_refusal(self._worker, error, "POST", path)
            headers = "".join(f"{name}: {value}\r\n" for name, value in problem_headers(error).items())
            self._answer(head, error.status, PROBLEM.encode(), orjson.dumps(problem_of(error)), headers.encode())
        finally:
            request_id.reset(token)

    def _answer(self, head: Head, status: int, kind: bytes, body: bytes, headers: bytes = b"") -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        ending = self._close or self._force_close or self._worker.draining
        if ending:
            headers += _CLOSE
        date = rfc822_formatted_time().encode()
        named = _named(head).encode()
        transport.write(_ANSWER % (status, _REASONS[status], kind, len(body), date, named, headers, body))
        if ending:
            self.force_close()


def _named(head: Head) -> str:
    """The id of the request: its balancer's, else a new one."""
    return head.request_id if head.request_id and sane(head.request_id) else new_id()


def install(runner: web.AppRunner, app: web.Application) -> None:
    """Put the short way before aiohttp, and have all requests named. Call it between `setup` of the runner and the
    start of its sites."""
    server = runner.server
    if server is not None:
        # Its requests are `web.Request`: the application makes them.
        server.request_handler = with_ids(server.request_handler)  # type: ignore[assignment]
    if type(server) is web.Server and all(hasattr(RequestHandler, name) for name in _RELIES_ON):
        server.__class__ = Server
        server.app = app  # type: ignore[attr-defined] # it is one of ours now
