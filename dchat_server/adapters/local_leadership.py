"""Leadership without an ensemble: of the processes of one machine, the one that holds a file's lock leads.

The kernel frees the lock when its holder dies, however it dies, and never before: so a term has no deadline. A frozen
process goes on leading, as it goes on holding everything else of this machine's only server.

The lock file says who leads, for the others to read. Should it be deleted or replaced, its holder notices within a
second and its term is over; the fence keeps apart what happens in that second.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from dchat_server.adapters.terms import LeaseTerm, Terms
from dchat_server.ports_cluster import Leader, Member

log = structlog.get_logger("dchat.leadership")

TRY_S = 1.0
"""How often those who wait try the lock, and the holder looks at it."""
AFTER_YOU_S = 3.0
"""How long one that stepped down lets others try first."""
FENCE_S = 30.0
"""How long a fence is waited for, before another process may try to get one."""


class LocalLeadership:
    """A worker's part in the election of its machine's leader. One for each worker process."""

    def __init__(self, lock_path: Path, next_fence: Callable[[], Awaitable[int]]) -> None:
        """`next_fence` gives a number higher than any used before: the stored fence + 1. It may fail."""
        self._path, self._next_fence = lock_path, next_fence
        self._me = ""
        self._terms = Terms()
        self._term: LeaseTerm | None = None
        self._leader: Leader | None = None
        self._running: asyncio.Task[None] | None = None
        self._resigned = asyncio.Event()

    async def start(self, me: Member) -> None:
        if self._running is None:
            self._me = me.worker
            self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._term is not None:
            self._term.end("stopped")
        self._terms.close()
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.wait([self._running], timeout=5)

    def terms(self) -> Terms:
        return self._terms

    async def step_down(self) -> None:
        term = self._term
        if term is None or not term.valid:
            return
        self._resigned.clear()
        term.end("stepped down")
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._resigned.wait()

    def withdraw(self) -> None:
        self._terms.withdraw()
        if self._term is not None:
            self._term.end("withdrawn")

    def stand(self) -> None:
        self._terms.stand()

    def set_streams(self, count: int) -> None:
        """Nobody here needs to know."""

    @property
    def leader(self) -> Leader | None:
        return self._leader

    @property
    def members(self) -> Sequence[Member] | None:
        return None

    @property
    def state(self) -> str:
        return "local"

    async def _run(self) -> None:
        pause_s = 0.0
        while True:
            try:
                stepped_down = await self._try()
                pause_s = AFTER_YOU_S if stepped_down else TRY_S
            except Exception as error:  # the lock cannot be had, or the archive gives no fence: both may pass
                log.warning("cannot_lead", error=f"{type(error).__name__}: {error}")
                pause_s = min(max(TRY_S, 2 * pause_s), 10.0)
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.0))

    async def _try(self) -> bool:
        """Lead if the lock is free, and we are wanted; whether it ended by stepping down."""
        # Not in a thread, for a task that is cancelled meanwhile would leave the lock behind. These calls touch one
        # small file of a local disk and wait for nobody.
        fd = _lock(self._path) if self._terms.wanted.is_set() else None
        if fd is None:
            self._leader = _who(self._path)
            return False
        try:
            async with asyncio.timeout(FENCE_S):
                fence = await self._next_fence()
            return await self._lead(fd, fence)
        finally:
            self._leader = None
            os.ftruncate(fd, 0)
            os.close(fd)
            self._resigned.set()

    async def _lead(self, fd: int, fence: int) -> bool:
        term = LeaseTerm(fence)
        if not self._terms.offer(term):
            return False
        self._term, self._leader = term, Leader(self._me, fence)
        text = json.dumps({"worker": self._me, "fence": fence}).encode()
        over = asyncio.ensure_future(term.over())
        try:
            os.pwrite(fd, text, 0)
            log.info("term_begins", fence=fence)
            while term.valid:
                await asyncio.wait([over], timeout=TRY_S)
                if term.valid and not _same(fd, self._path):
                    term.end("lock file replaced")
        finally:
            over.cancel()
            term.end("standing no more")
            self._term = None
            log.info("term_over", fence=fence, why=term.why)
        return term.why == "stepped down"


def _lock(path: Path) -> int | None:
    """The open, locked file; None when somebody else has the lock."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _same(fd, path):
            os.ftruncate(fd, 0)
            return fd
    except BlockingIOError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _same(fd: int, path: Path) -> bool:
    """Whether the path still leads to this file."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _who(path: Path) -> Leader | None:
    """Who says in the file that it leads."""
    try:
        about = json.loads(path.read_bytes())
        return Leader(str(about["worker"]), int(about["fence"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
