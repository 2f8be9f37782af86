"""Terms as both adapters make them, and how they are handed to the one who works with them."""

from __future__ import annotations

import asyncio
import time
from typing import Self

from dchat_server.ports_cluster import TermOver

FOR_GOOD = float("inf")


def clock() -> float:
    """Seconds that never go back and, where the system can count so, go on while it sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class LeaseTerm:
    """A term until a deadline (by `clock`), which moves on as long as somebody confirms the lease.

    `end` may be called by any thread and counts at once, the rest belongs to the loop. What is over stays over: neither
    a later `extend` nor a clock brings it back.
    """

    def __init__(self, fence: int, deadline: float = FOR_GOOD) -> None:
        self._fence, self._deadline = fence, deadline
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._ended = False
        self.why = ""
        """What ended it, in a few words."""

    @property
    def fence(self) -> int:
        return self._fence

    @property
    def valid(self) -> bool:
        if not self._ended and clock() >= self._deadline:
            self._end("deadline")
        return not self._ended

    @property
    def left_s(self) -> float:
        """Seconds to the deadline; 0 when it is over."""
        return max(0.0, self._deadline - clock()) if self.valid else 0.0

    def check(self) -> None:
        if not self.valid:
            raise TermOver(f"the term with fence {self._fence} is over ({self.why})")

    async def over(self) -> None:
        while self.valid:
            try:
                async with asyncio.timeout(None if self._deadline == FOR_GOOD else self.left_s):
                    await self._news.wait()
            except TimeoutError:
                continue  # the deadline may have moved meanwhile

    def extend(self, deadline: float) -> bool:
        """Move the deadline, unless the term is over; says whether it is still on."""
        if self.valid:
            self._deadline = max(self._deadline, deadline)
        return not self._ended

    def end(self, why: str) -> None:
        """It is over. From any thread; may be repeated."""
        self._end(why)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    def _end(self, why: str) -> None:
        if not self._ended:
            self.why = why
            self._ended = True


class Terms:
    """The terms of one worker, for its one reader. A worker stands for election only while `wanted` is set: its reader
    waits for a term, and it has not withdrawn. So work of the last term has ended before the next one begins, and
    nobody leads idly."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self._withdrawn = False
        self._waiting: asyncio.Future[LeaseTerm | None] | None = None
        self._last: LeaseTerm | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LeaseTerm:
        if self._last is not None:
            await self._last.over()
        if self._closed:
            raise StopAsyncIteration
        waiting: asyncio.Future[LeaseTerm | None] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._want()
        try:
            term = await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and (term := waiting.result()) is not None:
                term.end("nobody took it")
            raise
        finally:
            self._waiting = None
            self._want()
        if term is None:
            raise StopAsyncIteration
        self._last = term
        return term

    def offer(self, term: LeaseTerm) -> bool:
        """Hand a term to the reader; False (and the term is over) when nobody waits for one any more."""
        if self._waiting is None or self._waiting.done() or self._withdrawn:
            term.end("nobody waits for it")
            return False
        self._waiting.set_result(term)
        self._want()
        return True

    def withdraw(self) -> None:
        """Want no more terms, until `stand`. What was handed out already goes on."""
        self._withdrawn = True
        self._want()

    def stand(self) -> None:
        """Want terms again, once the reader waits for one."""
        self._withdrawn = False
        self._want()

    def close(self) -> None:
        """No more terms: the reader's iteration ends."""
        self._closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _want(self) -> None:
        if self._waiting is not None and not self._waiting.done() and not self._withdrawn:
            self.wanted.set()
        else:
            self.wanted.clear()
