"""A stream's connection, taken over from aiohttp.

An idle stream must cost next to nothing. aiohttp keeps a request, a task, a parser and a protocol object alive for as
long as a handler runs, some 11 KB. So once a stream is accepted its transport gets a protocol of ours and aiohttp is
told that the connection is gone; what stays is the transport and the stream.

What this relies on (aiohttp 3.14, tested in tests/unit/server/test_takeover.py):
  * `request.protocol` is the `RequestHandler`; its `transport` may be set to None, after which it closes nothing;
  * `_task_handler` is the task that runs the handler; with it cleared `connection_lost` cancels nothing;
  * `connection_lost(None)` takes the handler out of its server's books and drops the parser;
  * a response whose `prepare` raises ConnectionError ends the handler's loop without a word in the log.
Where any of it is missing `take_over` returns None and the caller streams through an ordinary `StreamResponse`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_protocol import RequestHandler

from dchat_server.hub import Hub
from dchat_server.stream import CLOSED, REPLAYING, Stream

SEND_BUFFER = 128 * 1024
"""What the kernel may hold for a client that does not read. Left alone it hides 4 MB."""
REPLAY_BUFFER = 256 * 1024
"""A replay waits for the client when so much is waiting to go out."""
LIVE_BUFFER = 2 << 20
"""A live stream that has so much waiting does not keep up and is cut."""
DRAIN_S = 10.0
USER_TIMEOUT_MS = 30_000
"""TCP gives up on a peer that acknowledges nothing for so long: two pings."""


class StreamConnection(asyncio.Protocol):
    """The protocol of a stream's connection: it only listens for the end and for pressure."""

    __slots__ = ("_hub", "_on_close", "_stream", "_waiter", "transport")

    def __init__(self, hub: Hub, stream: Stream, on_close: Callable[[Stream], None]) -> None:
        self._hub, self._stream, self._on_close = hub, stream, on_close
        self._waiter: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport | None = None

    def adopt(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=REPLAY_BUFFER, low=REPLAY_BUFFER // 4)
        bound_kernel_buffers(transport)

    def go_live(self) -> None:
        """The stream is live: from now on pressure means that the client does not keep up."""
        if self.transport is not None:
            self.transport.set_write_buffer_limits(high=LIVE_BUFFER, low=LIVE_BUFFER // 4)

    def data_received(self, data: bytes) -> None:
        """A client has nothing to say on a stream; whatever it sends is dropped."""

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._hub.drop(self._stream)
        self._wake()
        self._on_close(self._stream)

    def pause_writing(self) -> None:
        if self._stream.mode != REPLAYING:
            self._hub.cut(self._stream)
        elif self._waiter is None:
            self._waiter = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        self._wake()

    async def drain(self) -> None:
        """Wait until the client has taken what was written; a client that takes nothing for `DRAIN_S` is cut."""
        if self._waiter is not None and self._stream.mode != CLOSED:
            try:
                await asyncio.wait_for(asyncio.shield(self._waiter), DRAIN_S)
            except TimeoutError:
                self._hub.cut(self._stream)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def bound_kernel_buffers(transport: asyncio.BaseTransport) -> None:
    """Cap what the kernel hides of a client that does not read, and notice a dead peer."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family == getattr(socket, "AF_UNIX", None):
        return
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    except OSError:
        pass  # the peer has gone already; connection_lost is on the way


class Gone(web.StreamResponse):
    """What a handler returns when its connection is no longer aiohttp's."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        raise ConnectionResetError("the connection was taken over")


def head_bytes(headers: dict[str, str]) -> bytes:
    """A response head whose body ends with the connection."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{lines}Connection: close\r\n\r\n".encode("ascii")


def can_take_over(request: web.Request) -> bool:
    """True when this aiohttp is one whose connections can be taken over, and this one is in a state for it."""
    handler: Any = request.protocol
    return (
        isinstance(handler, RequestHandler)
        and request.transport is not None
        and hasattr(handler, "_task_handler")
        and getattr(handler, "_manager", None) is not None
        and not request.transport.is_closing()
    )


def take_over(request: web.Request, connection: StreamConnection, head: bytes) -> web.StreamResponse | None:
    """Write `head`, give the transport to `connection`, and return what the handler must return at once.

    None when it cannot be done; nothing has been written then.
    """
    if not can_take_over(request):
        return None
    handler: Any = request.protocol
    transport = request.transport
    assert transport is not None
    transport.write(head)
    connection.adopt(transport)
    handler.transport = None
    handler._task_handler = None
    handler.connection_lost(None)
    return Gone()
