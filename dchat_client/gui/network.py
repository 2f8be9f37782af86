"""The thread that talks to the server, so that the window never waits for it.

The thread has an asyncio loop of its own, in it an `Engine` while somebody is signed in. Two ways lead across, and no
other: the window hands coroutines over (`ask`, `do`), the loop puts letters into a `Mailbox`, which the window empties
when it has time. A letter is an update of the model, a `Reply` to something asked, or that the engine has `Ended`.
What is asked never blocks the window, whatever the server does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dchat_client.config import ConfigError
from dchat_client.connection import Connection
from dchat_client.engine import Engine
from dchat_client.errors import ChatError, Refused, ServerFault
from dchat_client.gui.mailbox import Mailbox
from dchat_client.unsent import UnsentFiles
from dchat_client.updates import Dropped, Queued, Settled, Update

MOST_ASKED = 200
"""Requests of the person that may be under way at once; whoever asks for more has a stuck key."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """What was asked is done; `then` is called with it in the window's thread."""

    then: Callable[[Any], object]
    value: Any


@dataclass(frozen=True, slots=True)
class Ended:
    """The engine of sign-in number `run` has ended by itself: signed out elsewhere, refused, or a fault of ours."""

    error: ChatError
    run: int


Letter = Update | Reply | Ended


class Network:
    """The thread. `start` it once; everything but `mailbox.put` is called from the window's thread."""

    def __init__(self, mailbox: Mailbox[Letter]) -> None:
        self._mailbox = mailbox
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._closing: asyncio.Event | None = None
        self._engine: Engine | None = None
        self._engine_task: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._run = 0
        # A daemon: should it hang in the system, the program ends all the same.
        self._thread = threading.Thread(target=self._live, name="dchat-network", daemon=True)

    def start(self) -> None:
        """Start the thread and return once its loop runs."""
        self._thread.start()
        self._ready.wait(10)

    def close(self, timeout_s: float = 3.0) -> bool:
        """End everything and wait for the thread, at most `timeout_s`. True when it has ended."""
        if self._loop is not None and self._closing is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def run(self) -> int:
        """The number of the present sign-in; an `Ended` of an earlier one is of no interest."""
        return self._run

    def sign_in(self, urls: Sequence[str], token: str, folder: Path) -> None:
        """Keep the mailbox up to date with what this account sees, from now on.

        `folder` is for own messages that are not sent when all this ends; those of an earlier time are sent now.
        """
        self._run += 1
        self._submit(self._replace_engine(self._follow(tuple(urls), token, folder, self._run)))

    def sign_out(self) -> None:
        """Stop that. What was put into the mailbox before stays there."""
        self._run += 1
        self._submit(self._replace_engine(None))

    def tell(self, work: Callable[[Engine], object]) -> None:
        """Have `work(engine)` done in the loop; what comes of it, the engine tells. Nothing when nobody is in."""

        async def told() -> None:
            result = work(self._engine) if self._engine is not None else None
            if isinstance(result, Awaitable):
                await result

        self._submit(told())

    def ask(self, work: Callable[[Engine], Awaitable[T]], then: Callable[[T], object]) -> None:
        """The same, and `then` is called with the result in the window's thread."""

        async def asked() -> None:
            if self._engine is not None:
                self._mailbox.put(Reply(then, await work(self._engine)))

        self._submit(asked())

    def do(self, work: Callable[[], Coroutine[Any, Any, T]], then: Callable[[T | ChatError], object]) -> None:
        """Have a request without an engine done; `then` gets its result or what went wrong."""

        async def done() -> None:
            try:
                value: T | ChatError = await work()
            except ChatError as error:
                value = error
            except Exception as error:  # a fault of ours; whoever waits for the answer must get one
                value = _fault(error)
            self._mailbox.put(Reply(then, value))

        self._submit(done())

    # In the thread

    def _live(self) -> None:
        asyncio.run(self._stay())

    async def _stay(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._closing.wait()
        for task in (*self._tasks, *([self._engine_task] if self._engine_task else [])):
            task.cancel()

    def _submit(self, work: Coroutine[Any, Any, None]) -> None:
        def begin() -> None:
            if len(self._tasks) >= MOST_ASKED:
                work.close()
                return
            task = asyncio.ensure_future(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        loop = self._loop
        try:
            if loop is None:
                raise RuntimeError("the network has not been started")
            loop.call_soon_threadsafe(begin)
        except RuntimeError:  # closed: the window is closing
            work.close()

    async def _replace_engine(self, work: Coroutine[Any, Any, None] | None) -> None:
        before, self._engine_task, self._engine = self._engine_task, None, None
        if before is not None:
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)
        if work is not None:
            self._engine_task = asyncio.ensure_future(work)

    async def _follow(self, urls: tuple[str, ...], token: str, folder: Path, run: int) -> None:
        try:
            with UnsentFiles(folder) as unsent:
                await self._chat(urls, token, unsent)
        except ConfigError as error:
            self._mailbox.put(Ended(Refused(str(error), code="not_kept"), run))
        except ChatError as error:
            self._mailbox.put(Ended(error, run))
        except Exception as error:  # a fault of ours; said aloud, for a window that only stands still helps nobody
            self._mailbox.put(Ended(_fault(error), run))

    async def _chat(self, urls: tuple[str, ...], token: str, unsent: UnsentFiles) -> None:
        waiting, failed = unsent.take_over(time.time())

        def emit(update: Update) -> None:
            self._mailbox.put(update)
            if isinstance(update, Queued | Settled | Dropped):
                with suppress(ConfigError):  # a full disk keeps nothing; sending goes on
                    unsent.keep(*engine.unsent)

        async with Connection(urls, token) as connection:
            engine = Engine(connection, emit, drained=self._mailbox.drained, waiting=waiting, failed=failed)
            self._engine = engine
            await engine.run()


def _fault(error: Exception) -> ChatError:
    return ServerFault(f"this program has a fault: {type(error).__name__}: {error}", code="fault")
