"""A session that is kept connected:

the loop between `session.py`, which knows what to do, and `connection.py`, which can.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

from dchat_client.connection import Connection
from dchat_client.errors import ChatError, SignInNeeded, Unreachable
from dchat_client.items import Item, Phase
from dchat_client.session import Session


class Sleep(Protocol):
    """asyncio.sleep, or a test's own."""

    def __call__(self, delay: float, /) -> Awaitable[None]: ...


async def follow(
    connection: Connection,
    session: Session,
    *,
    first_patience_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Sleep = asyncio.sleep,
) -> AsyncGenerator[Item, None]:
    """Yield the session's items for ever, connecting again as often as it takes; commit each once it is
    taken.

    Nothing is read while the face works on an item, so a slow face slows the server down, not its own
    memory down. Raises ChatError when going on is useless: not signed in, no such room, refused; and the
    last error when there was no stream at all within `first_patience_s` (None: any time). Close it
    (contextlib.aclosing) to end the connection.
    """
    began = clock()
    was_live = False
    while True:
        attach = session.connecting(clock())
        for item in session.items():
            yield item
        failure: ChatError | None = None
        try:
            async with connection.stream(attach) as stream:
                while not session.closing:
                    session.reading(clock())
                    data = await _read(stream.read, session, clock)
                    if not data:
                        break
                    session.receive(data, clock())
                    for item in session.items():
                        yield item
                    was_live = was_live or session.status.phase is Phase.LIVE
                    if session.status.phase is Phase.OFFLINE:
                        raise SignInNeeded(session.status.reason, code="unauthorized", status=401)
        except ChatError as error:
            failure = error
        if failure is not None and not failure.retryable:
            session.stop(failure.detail)
            raise failure
        reason = failure.detail if failure else "the server closed the stream"
        session.lost(clock(), reason, retry_after_s=failure.retry_after_s if failure else None)
        connection.use_next_url()
        wait_s = session.status.retry_in_s or 0.0
        if not was_live and first_patience_s is not None and clock() + wait_s > began + first_patience_s:
            raise failure or Unreachable(reason, code="unreachable")
        for item in session.items():
            yield item
        await sleep(wait_s)


async def _read(read: Callable[[], Awaitable[bytes]], session: Session, clock: Callable[[], float]) -> bytes:
    deadline = session.deadline
    try:
        async with asyncio.timeout(None if deadline is None else max(0.0, deadline - clock())):
            return await read()
    except TimeoutError:
        raise Unreachable(f"nothing came for {session.idle_timeout_s:g} s", code="unreachable") from None
