"""The archive, shut when it turns out to be another cluster's.

Redis remembers which archive belongs with it. A worker that was given another one (each machine with a SQLite file of
its own, say) must not read from it, and must on no account say what the message log may let go of. It chats on without:
recent messages are there, old ones are out of reach, and it never leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from dchat_server.errors import ArchiveUnavailable, BackendUnavailable, ClusterMismatch
from dchat_server.ports_archive import Archive

log = structlog.get_logger("dchat.archive")

AGAIN_S = 5.0
_SHUT = "This worker's archive is not the one that belongs with its message log; its operator has to look."


class GuardedArchive:
    """`Archive`, as it is; or one that answers nothing, once it is `foreign`."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.foreign = False

    def __getattr__(self, name: str) -> Any:
        if self.foreign and name != "stop":
            return _shut
        return getattr(self._archive, name)

    async def check(self, bind: Callable[[str], Awaitable[None]]) -> None:
        """Find out whether this archive belongs here: `bind` (HotLog.bind) raises ClusterMismatch when it does not.

        Raises ArchiveUnavailable, also when it is foreign.
        """
        try:
            await bind(await self._archive.identity())
        except ClusterMismatch as error:
            if not self.foreign:
                log.error("foreign_archive", error=str(error))
            self.foreign = True
        if self.foreign:
            raise ArchiveUnavailable(_SHUT)

    async def check_later(self, bind: Callable[[str], Awaitable[None]]) -> None:
        """The same, as soon as the archive answers."""
        while True:
            try:
                await self.check(bind)
                return
            except (ArchiveUnavailable, BackendUnavailable):
                if self.foreign:
                    return
                await asyncio.sleep(AGAIN_S)


async def _shut(*args: Any, **more: Any) -> Any:
    raise ArchiveUnavailable(_SHUT)
