"""The leader and the board: it takes down what dead workers said, and reports once a second what it does itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from dchat_server.errors import ChatError
from dchat_server.ports_cluster import Board, Leadership, Term

log = structlog.get_logger("dchat.reaper")

REPORT_S = 1.0
REAP_S = 5.0

Source = Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""A part of the report. It must not wait for anything that may be away."""


class Reaper:
    """A duty of the leader. `sources` fill the report: name of the part → what it says. Raises Fenced."""

    name = "reaper"

    def __init__(self, worker: str, leadership: Leadership, board: Board, sources: Mapping[str, Source]) -> None:
        self._worker, self._leadership, self._board, self._sources = worker, leadership, board, sources
        self.reaped = 0

    async def run(self, term: Term) -> None:
        """Report and reap until cancelled. A board that does not answer is tried again with the next report."""
        loop = asyncio.get_running_loop()
        reaped_at = 0.0
        while True:
            due = loop.time() + REPORT_S
            try:
                await self.report(term)
                if loop.time() - reaped_at >= REAP_S:
                    reaped_at = loop.time()
                    await self.reap(term)
            except ChatError as error:
                log.warning("board_unavailable", error=str(error))
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def report(self, term: Term) -> None:
        """Post what the leader knows. One round trip."""
        facts: dict[str, Any] = {"worker": self._worker, "epoch": term.fence}
        for part, source in self._sources.items():
            found = source()
            facts[part] = dict(await found if inspect.isawaitable(found) else found)
        term.check()
        await self._board.post_leader(term.fence, facts)

    async def reap(self, term: Term) -> None:
        """Take down workers that are silent and no members any more. Two round trips, mostly one."""
        members = self._leadership.members
        there = {member.worker for member in members or ()}
        gone = [worker for worker in await self._board.silent() if worker not in there]
        if gone:
            term.check()
            await self._board.remove(gone, term.fence)
            self.reaped += len(gone)
            log.info("workers_reaped", workers=gone)
