"""An archive with a watch beside it: how long each kind of read takes, and how often one fails. For metrics."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from dchat_server.errors import ArchiveUnavailable
from dchat_server.latency import Histogram
from dchat_server.ports_archive import Archive

T = TypeVar("T")
READS = ("rooms", "roster", "chunk", "chunks", "chunks_back", "find", "users", "token_user", "directory")
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Watch(Histogram):
    """What was measured of one kind of read."""

    def __init__(self) -> None:
        super().__init__(BOUNDS_S)
        self.errors = 0


class MeteredArchive:
    """The same archive; `watches` has what was measured, by the name of the method. A read that was given up on
    (cancelled) is not counted; one that ended with ArchiveUnavailable counts as an error and in its time."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.watches = {name: Watch() for name in READS}
        for name, watch in self.watches.items():
            setattr(self, name, _watched(getattr(archive, name), watch))

    def as_archive(self) -> Archive:
        """This, as what it is to whoever uses it."""
        return cast(Archive, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive, name)


def _watched(read: Callable[..., Awaitable[T]], watch: Watch) -> Callable[..., Awaitable[T]]:
    @functools.wraps(read)
    async def watched(*args: Any, **more: Any) -> T:
        began = time.perf_counter()
        try:
            found = await read(*args, **more)
        except ArchiveUnavailable:
            watch.errors += 1
            watch.note(time.perf_counter() - began)
            raise
        watch.note(time.perf_counter() - began)
        return found

    return watched
