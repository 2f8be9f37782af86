"""Blocking calls on a bounded number of threads, with a bound on how many wait and for how long."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from dchat_server.errors import ArchiveUnavailable

T = TypeVar("T")
WAIT_S = 8.0
"""How long a call may take from being asked for to its end, about."""


class Threads:
    """`threads` calls at a time, and at most `waiting` more that wait for one of them to end."""

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._busy = 0
        self._lock = threading.Lock()

    async def run(self, work: Callable[[float], T], *, wait_s: float = WAIT_S) -> T:
        """What `work(deadline)` returns or raises; `deadline` is in `time.monotonic()`.

        Raises ArchiveUnavailable at once when too many wait, and when no thread was free before the deadline. A caller
        that is cancelled leaves a call behind that has begun.
        """
        deadline = time.monotonic() + wait_s
        with self._lock:
            if self._busy >= self._most:
                raise ArchiveUnavailable
            self._busy += 1
        try:
            future = self._pool.submit(_in_time, work, deadline)
        except RuntimeError as problem:  # stopped
            self._leave()
            raise ArchiveUnavailable from problem
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    async def stop(self) -> None:
        """Let what has begun end, and refuse the rest. May be called again."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    def _leave(self, _: Future[T] | None = None) -> None:
        with self._lock:
            self._busy -= 1


def _in_time(work: Callable[[float], T], deadline: float) -> T:
    if time.monotonic() >= deadline:
        raise ArchiveUnavailable
    return work(deadline)
