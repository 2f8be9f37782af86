"""The one thread that writes to a SQLite file.

It takes whatever is queued (bounded in number and bytes) as one transaction with a savepoint for each piece of work, so
that many small changes share one sync of the disk. Each caller gets its own answer, and gets it after the commit.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dchat_server.adapters.archive_threads import WAIT_S
from dchat_server.errors import ArchiveUnavailable
from dchat_server.logs import logger

T = TypeVar("T")
MAX_QUEUED = 4096
MAX_QUEUED_BYTES = 64_000_000
MAX_TOGETHER = 256
MAX_TOGETHER_BYTES = 8_000_000


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    size: int
    deadline: float
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    result: Any = None
    problem: BaseException | None = None


class SqliteWriter:
    """Runs work on a connection of its own, in the order in which it was given."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """`connect` opens a connection without implicit transactions (isolation_level None)."""
        self._connect = connect
        self._db: sqlite3.Connection | None = None
        self._queue: deque[_Job] = deque()
        self._queued_bytes = 0
        self._news = threading.Condition()
        self._stopping = False
        self._failing = False
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[sqlite3.Connection], T], *, size: int = 0) -> T:
        """What `work` returned or raised, once that is on disk.

        What it raises undoes its own writes only. Raises ArchiveUnavailable when the queue is full or the file cannot
        be written; nothing of the work is there then, unless the last sync of the disk failed.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, size, time.monotonic() + WAIT_S, loop, loop.create_future())
        with self._news:
            if self._stopping or len(self._queue) >= MAX_QUEUED or self._queued_bytes + size > MAX_QUEUED_BYTES:
                raise ArchiveUnavailable
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="archive-writer", daemon=True)
                self._thread.start()
            self._queue.append(job)
            self._queued_bytes += size
            self._news.notify()
        answer: T = await job.answer
        return answer

    async def stop(self) -> None:
        """Write what is queued, refuse more, close the file. May be called again."""
        with self._news:
            self._stopping = True
            self._news.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while jobs := self._take():
            self._write(jobs)
            _answer(jobs)
        self._close()

    def _take(self) -> list[_Job]:
        """What is written together next; nothing when it is time to end."""
        with self._news:
            while not self._queue and not self._stopping:
                self._news.wait()
            jobs: list[_Job] = []
            size = 0
            while self._queue and len(jobs) < MAX_TOGETHER and (not jobs or size < MAX_TOGETHER_BYTES):
                jobs.append(self._queue.popleft())
                size += jobs[-1].size
            self._queued_bytes -= size
            return jobs

    def _write(self, jobs: Sequence[_Job]) -> None:
        try:
            if self._db is None:
                self._db = self._connect()
            self._db.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._step(self._db, job)
            self._db.execute("COMMIT")
        except Exception as problem:  # whatever it is, the thread goes on and every caller hears of it
            if not self._failing:
                logger().error("archive_write_failed", error=str(problem), changes=len(jobs))
            self._failing = True
            self._close()  # which rolls back; a fresh connection has a fresh chance
            for job in jobs:
                job.problem = ArchiveUnavailable()
        else:
            if self._failing:
                logger().info("archive_writes_again")
            self._failing = False

    @staticmethod
    def _step(db: sqlite3.Connection, job: _Job) -> None:
        if job.answer.cancelled():
            return
        if time.monotonic() >= job.deadline:
            job.problem = ArchiveUnavailable()
            return
        db.execute("SAVEPOINT step")
        try:
            job.result = job.work(db)
        except (sqlite3.OperationalError, sqlite3.InternalError):
            raise  # the disk or the file: nothing of this transaction can be trusted
        except Exception as problem:
            if not db.in_transaction:  # a damaged file ends the transaction by itself
                raise
            db.execute("ROLLBACK TO step")
            job.problem = problem
        db.execute("RELEASE step")

    def _close(self) -> None:
        if self._db is not None:
            try:
                self._db.close()
            except sqlite3.Error as problem:
                logger().error("archive_close_failed", error=str(problem))
            self._db = None


def _answer(jobs: Sequence[_Job]) -> None:
    """Tell the callers, with one call into each loop."""
    for loop in {job.loop for job in jobs}:
        try:
            loop.call_soon_threadsafe(_settle, [job for job in jobs if job.loop is loop])
        except RuntimeError:
            continue  # that loop is closed, and with it everybody who waited


def _settle(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if job.answer.done():
            continue
        if job.problem is not None:
            job.answer.set_exception(job.problem)
        else:
            job.answer.set_result(job.result)
