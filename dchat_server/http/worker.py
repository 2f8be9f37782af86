"""What a request finds behind it: the parts of the worker that serves it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import structlog
from aiohttp import web

from dchat_server.attach import Opener
from dchat_server.config import Config
from dchat_server.history import History
from dchat_server.hub import Hub
from dchat_server.latency import Histogram
from dchat_server.logs import Ration
from dchat_server.model import Sent
from dchat_server.publish import Publisher
from dchat_server.pump import Pump
from dchat_server.rooms import Rooms
from dchat_server.typists import Typists

log = structlog.get_logger("dchat.worker")

MOST_TOLD = 10
"""Refusals a second that are logged: without Redis each send is one."""


@dataclass
class Worker:
    """One worker process."""

    name: str
    config: Config
    hub: Hub
    pump: Pump
    opener: Opener
    publisher: Publisher
    history: History
    rooms: Rooms
    typists: Typists
    started: float
    max_streams: int
    """Streams this process takes; more are refused as overloaded."""
    draining: bool = False
    """`/readyz` says that nothing more is to be sent here; each answer is the last one on its connection."""
    refuses_streams: bool = False
    """Those that are open are being sent elsewhere."""
    refused: Counter[str] = field(default_factory=Counter)
    """Requests refused, by code."""
    told_refusals: Ration = field(default_factory=lambda: Ration(MOST_TOLD))
    """Refusals of the server's own that are logged."""
    sends: Histogram = field(default_factory=Histogram)
    """How long sends take that are acknowledged, from the request to the answer."""
    may_take_over: bool = field(default=True)
    """False makes streams ordinary aiohttp responses (for tests, and where a take-over is not possible)."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def acknowledge(self, room: str, sent: Sent, began: float) -> None:
        """A send is about to be answered whose request was there at `began`, by the monotonic clock."""
        # One that is repeated was delivered long ago.
        self.hub.saw(room, sent.seq, None if sent.repeated else began)
        self.sends.note(monotonic() - began)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` as a task that is kept until it ends; `stop` of the worker cancels it."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_failed", task=task.get_name(), exc_info=error)


WORKER: web.AppKey[Worker] = web.AppKey("worker", Worker)
