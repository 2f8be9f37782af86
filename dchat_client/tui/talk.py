"""The engine at work within the app: what it tells goes to the model at once, and what is not sent is kept.

An engine that has given up (signed out) is followed by another one when the person wants to connect again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from textual.worker import Worker

from dchat_client.config import ConfigError
from dchat_client.engine import Engine
from dchat_client.errors import ChatError
from dchat_client.items import Phase, Status
from dchat_client.outbox import Entry
from dchat_client.unsent import UnsentFiles
from dchat_client.updates import Dropped, Queued, Settled, StatusIs, Update

if TYPE_CHECKING:
    from dchat_client.tui.app import ChatApp

MakeEngine = Callable[..., Engine]
"""(emit, drained=…, waiting=…, failed=…) → an engine, as Engine takes them."""
_TURN = 50
"""Updates that are taken before keys and drawing have their turn."""


class Talk:
    """Owns the engine and what is not sent; tells the app what has changed."""

    def __init__(
        self,
        app: ChatApp,
        make_engine: MakeEngine,
        connection: AbstractAsyncContextManager[object],
        unsent: UnsentFiles,
    ) -> None:
        """Raises ConfigError when what is not sent cannot be kept."""
        self._app = app
        self._make_engine, self._connection, self._unsent = make_engine, connection, unsent
        self._worker: Worker[None] | None = None
        self._retry_at: float | None = None
        self._taken = 0
        self.left_over = unsent.take_over(time.time())
        """What an earlier run did not send: what is sent now, and what failed or is too old."""
        self.engine = self._new(*self.left_over)

    def begin(self) -> None:
        """Have the engine run."""
        self._worker = self._app.run_worker(self._run(self.engine), group="engine")

    def reconnect(self) -> None:
        """Connect again now, also when it was given up."""
        if self._worker is not None and self._worker.is_running:
            self.engine.reconnect()
            return
        self.engine = self._new(*self.engine.unsent)
        self.begin()
        if self._app.room is not None:
            self._app.ask(self.engine.open_room(self._app.room))

    def keep_unsent(self) -> None:
        """Keep what is not sent, as it is now."""
        try:
            self._unsent.keep(*self.engine.unsent)
        except ConfigError as error:
            self._app.say(f"What is not sent cannot be kept: {error}", bad=True)

    @property
    def left_s(self) -> float | None:
        """Seconds until the next try to connect; None when none is due."""
        return None if self._retry_at is None else self._retry_at - time.monotonic()

    def _new(self, waiting: Sequence[Entry], failed: Sequence[Entry]) -> Engine:
        return self._make_engine(self._take, drained=self._drained, waiting=waiting, failed=failed)

    async def _run(self, engine: Engine) -> None:
        try:
            async with self._connection:
                await engine.run()
        except ChatError as error:
            self._take(StatusIs(Status(Phase.OFFLINE, reason=error.detail)))
            self._app.say(error.detail + (f" {error.next_step}" if error.next_step else ""), bad=True)

    def _take(self, update: Update) -> None:
        self._taken += 1
        if isinstance(update, Queued | Settled | Dropped):
            self.keep_unsent()
        if isinstance(update, StatusIs):
            left_s = update.status.retry_in_s
            self._retry_at = None if left_s is None else time.monotonic() + left_s
        self._app.changed(self._app.chat.apply(update, time.monotonic()))

    async def _drained(self) -> None:
        if self._taken >= _TURN:
            self._taken = 0
            await asyncio.sleep(0)


def left_over_words(waiting: int, failed: int) -> str:
    """Return what to say at the start about what an earlier run did not send."""
    words = []
    if waiting:
        words.append(f"{waiting} not sent last time; sending {'it' if waiting == 1 else 'them'} now.")
    if failed:
        words.append(f"{failed} failed or waited for too long; select {'it' if failed == 1 else 'them'} to try again.")
    return " ".join(words)
