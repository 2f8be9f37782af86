"""Updates on their way from the network's loop to the window's thread: bounded, in order, nobody blocked. Pure.

Two threads meet here, and neither may stand still for the other. The window takes what is there, for a few
milliseconds at a time. The loop puts without waiting; before the stream's next event it awaits `drained`, so a window
that is slow slows the server down and not its own memory. What a person asked for is not held up by that: if its
answers find the box full, they stay on the loop's side, in order, and move over as soon as there is room.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A box for `capacity` items. `put` and `drained` belong to one asyncio loop, `take` to one other thread."""

    def __init__(self, capacity: int = 500) -> None:
        self._queue: queue.Queue[T] = queue.Queue(capacity)
        self._low = capacity // 2
        self._late: deque[T] = deque()
        self._space = asyncio.Event()
        self._waiting: asyncio.AbstractEventLoop | None = None
        """The loop that wants to hear when half of the box is empty."""

    def put(self, item: T) -> None:
        """Add `item` behind all others, at once."""
        self._late.append(item)
        self._move()

    async def drained(self) -> None:
        """Wait until the box has room for a while to come; others of the loop go on."""
        while self._late or self._queue.qsize() > self._low:
            self._space.clear()
            self._listen()
            await self._space.wait()

    def take(self, budget_s: float, clock: Callable[[], float] = time.perf_counter) -> Iterator[T]:
        """Yield what is there, the oldest first, until nothing is left or the taker has used `budget_s` up.

        At least one item is given when there is one, whatever the budget.
        """
        ends_at = clock() + budget_s
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return
            if self._waiting is not None and self._queue.qsize() <= self._low:
                self._wake()
            yield item
            if clock() >= ends_at:
                return

    @property
    def is_empty(self) -> bool:
        """Nothing waits to be taken, as far as the taker can see."""
        return self._queue.empty()

    def _move(self) -> None:
        with suppress(queue.Full):
            while self._late:
                self._queue.put_nowait(self._late[0])
                self._late.popleft()
        if self._late:
            self._listen()

    def _listen(self) -> None:
        self._waiting = asyncio.get_running_loop()
        # It may have been emptied between our look and our listening; then nobody would call.
        if self._queue.qsize() <= self._low:
            self._wake()

    def _wake(self) -> None:
        loop, self._waiting = self._waiting, None
        if loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(self._emptied)

    def _emptied(self) -> None:
        self._move()
        self._space.set()
