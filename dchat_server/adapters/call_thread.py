"""A thread for a library that blocks: calls go in from the loop, outcomes come back as futures."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any


class CallThread:
    """Makes calls one after the other in a thread of its own, which never keeps the process from ending.

    Nothing bounds its queue but its users: each waits for one call at a time.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._last: Future[Any] | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def run(self, call: Callable[[], Any]) -> Future[Any]:
        """Make the call when those before it are done. One that is cancelled before its turn is not made."""
        future: Future[Any] = Future()
        if self._last is not None:
            future.set_exception(RuntimeError("the thread has ended"))
        else:
            self._calls.put((future, call))
        return future

    def end(self, last: Callable[[], Any]) -> Future[Any]:
        """Make one last call and end, also when nobody waits for it. May be repeated: the first one is the last."""
        if self._last is None:
            self._last = self.run(last)
            self._calls.put(None)
        return self._last

    def _run(self) -> None:
        while (job := self._calls.get()) is not None:
            future, call = job
            if not future.set_running_or_notify_cancel():
                if future is not self._last:
                    continue
                future = Future()
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            del future, call, job  # what they hold should not wait for the next call
