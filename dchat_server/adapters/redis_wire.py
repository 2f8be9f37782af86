"""The hot connections to Redis: batches out, batches of replies in, and nothing in between.

redis-py opens the connection (TLS, AUTH, SELECT, names); its transport is then given to the small protocol below,
which packs with hiredis, parses with hiredis and tells one function a batch. That costs a third to a sixth of the CPU
of redis-py's own command path (`make bench ARGS=wire`). All commands of the server go this way; only the locator,
which asks once in a while, uses redis-py's clients.

What this relies on (redis-py 8, tested in tests/unit/server/test_redis_wire.py): `AbstractConnection.connect()`
leaves an asyncio `_writer` whose `transport` it may be parted from, and nothing unread in its reader.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import hiredis
import structlog
from redis._parsers.base import BaseParser
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Value = str | bytes | int | float
Told = Callable[[list[Any] | Exception], None]
"""Hears the raw replies to a batch, in which an error reply is an exception, or why there are none. Called once, from
no task in particular."""

log = structlog.get_logger("dchat.wire")


@contextmanager
def connection_errors() -> Iterator[None]:
    """Around what redis-py does with connections of its own: what it lets out comes out as a ConnectionError. When the
    server cuts one while it signs in, uvloop has the next write raise RuntimeError (redis-py 8.1, uvloop 0.23). Who
    answers may be no Redis (InvalidResponse), and what gives the password may fail in ways of its own."""
    try:
        yield
    except (ResponseError, RedisConnectionError, RedisTimeoutError, OSError):
        raise
    except Exception as error:
        raise RedisConnectionError(f"The connection to Redis is broken: {error}") from error


class _Call(NamedTuple):
    """A batch of commands that was sent, and is answered by so many replies."""

    told: Told
    replies: int
    deadline: float


class RedisWire(asyncio.Protocol):
    """One connection. `open` makes it; `send` and `call` may be used by all, replies come in order."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer  # kept: one that is let go closes its transport
        self._transport = writer.transport
        self._reader = hiredis.Reader(protocolError=RedisConnectionError, replyError=BaseParser.parse_error)
        self._waiting: deque[_Call] = deque()
        self._replies: list[Any] = []
        self._watch: asyncio.TimerHandle | None = None
        """Looks after calls that wait too long: one timer for all, as few ever do."""
        self.closed = False

    @classmethod
    async def open(cls, connection: AbstractConnection) -> RedisWire:
        """Connect and take over. Raises RedisError, OSError."""
        done = False
        try:
            with connection_errors():
                await connection.connect()  # type: ignore[no-untyped-call]
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # redis-py swallows what it is cancelled with while it connects
                raise asyncio.CancelledError
            reader, writer = connection._reader, connection._writer
            if reader is None or reader.at_eof() or writer is None or writer.transport.is_closing():
                raise RedisConnectionError("Redis closed the connection at once.")  # we would not be told of it again
            done = True
        finally:
            writer = connection._writer
            connection._writer = connection._reader = None  # what closes now is ours to close
            if writer is not None and not done:
                writer.transport.abort()
        assert writer is not None
        wire = cls(writer)
        writer.transport.set_protocol(wire)
        return wire

    async def call(self, commands: Sequence[Sequence[Value]], timeout_s: float) -> list[Any]:
        """`send` for tasks: the raw replies. Raises redis' ConnectionError and TimeoutError; the connection is of no
        use after either."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.send(commands, timeout_s, partial(_settle, future))
        return await future

    def send(self, commands: Sequence[Sequence[Value]], timeout_s: float, told: Told) -> None:
        """Send `commands` as one write. `told` hears of their replies, or of a ConnectionError or TimeoutError of
        redis', after which the connection is of no use. No batch of a connection may have a shorter `timeout_s`
        than those before it. Raises ConnectionError when it is closed already; nobody is told then."""
        if self.closed:
            raise RedisConnectionError("The connection to Redis is closed.")
        packed = [hiredis.pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type]
        # Not before: what cannot be packed is never answered.
        self._waiting.append(_Call(told, len(commands), time.monotonic() + timeout_s))
        try:
            self._transport.write(packed[0] if len(packed) == 1 else b"".join(packed))
        except Exception as error:  # what ended it is not known here yet
            self._waiting.pop()
            self._end(broken := RedisConnectionError(f"The connection to Redis is broken: {error}"))
            raise broken from error
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(timeout_s, self._look)

    def close(self) -> None:
        self._end(RedisConnectionError("The connection to Redis was closed."))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._replies.append(reply)
                while self._waiting and len(self._replies) >= self._waiting[0].replies:
                    call = self._waiting.popleft()
                    replies, self._replies = self._replies, []
                    _tell(call, replies)
        except RedisConnectionError as error:
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(RedisConnectionError(f"Redis closed the connection: {exc}"))

    def _look(self) -> None:
        """End the connection if the oldest call has waited too long, else look again when it would have."""
        self._watch = None
        if self._waiting:
            left = self._waiting[0].deadline - time.monotonic()
            if left <= 0:
                self._end(RedisTimeoutError("Redis did not answer in time."))
            else:
                self._watch = asyncio.get_running_loop().call_later(left, self._look)

    def _end(self, error: Exception) -> None:
        self.closed = True
        self._transport.abort()
        if self._watch is not None:
            self._watch.cancel()
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            _tell(call, error)


def _tell(call: _Call, outcome: list[Any] | Exception) -> None:
    try:
        call.told(outcome)
    except Exception:  # a fault of theirs: those who wait behind must hear of their own
        log.exception("reply_not_taken")


def _settle(future: asyncio.Future[list[Any]], outcome: list[Any] | Exception) -> None:
    if future.done():  # whoever waited has given up
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
