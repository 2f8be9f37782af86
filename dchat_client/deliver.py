"""An outbox that is emptied:

the loop between `outbox.py`, which knows what to send, and `connection.py`, which can.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from dchat_client.connection import Connection
from dchat_client.errors import ChatError, ServerFault, Unreachable
from dchat_client.outbox import Outbox, Outcome


async def deliver(
    connection: Connection,
    outbox: Outbox,
    settled: Callable[[Outcome], None],
    *,
    patience_s: float | None = None,
    waiting: Callable[[float, ChatError | None], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Send until the outbox is empty, in order; call `settled` for each entry that is stored or refused for
    good.

    `waiting(seconds, error)` is called before each wait. Raises ChatError when nobody is signed in, and the
    last error when nothing was settled for `patience_s`; what is left stays in the outbox, to be sent
    again.
    """
    progress_at = clock()
    last: ChatError | None = None
    while len(outbox):
        if outbox.blocked is not None:
            raise outbox.blocked
        pause_s = outbox.ready_at - clock()
        if pause_s > 0:
            if last is not None and patience_s is not None and clock() + pause_s > progress_at + patience_s:
                raise last
            if waiting is not None:
                waiting(pause_s, last)
            await sleep(pause_s)
        batch = outbox.take(clock())
        if not batch:
            continue
        try:
            answers = await connection.post_batch(batch[0].room, batch)
        except ChatError as error:
            # After a fault of the server (500) nobody knows either; the keys make a repeat safe.
            if error.retryable or isinstance(error, ServerFault):
                last = error
                outbox.unclear(error, clock())
                continue
            outcomes = outbox.failed(error)
        else:
            outcomes = outbox.answered(answers, clock())
            if len(outcomes) < len(batch):
                halt = answers[len(outcomes)].error if len(answers) > len(outcomes) else None
                last = halt or Unreachable("the answer was cut off", code="unreachable")
        if outcomes:
            progress_at = clock()
        for outcome in outcomes:
            settled(outcome)
