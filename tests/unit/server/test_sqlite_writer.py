"""The thread that writes to a SQLite file: work done together, each with its own outcome, bounded."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

from dchat_server.adapters import sqlite_writer
from dchat_server.adapters.sqlite_writer import SqliteWriter
from dchat_server.errors import ArchiveUnavailable

Work = Callable[[sqlite3.Connection], object]


class Place:
    """A file with one table of numbers, its writer, and how often a transaction was ended."""

    def __init__(self, path: Path) -> None:
        self.path, self.commits, self.gate = path, 0, threading.Event()
        self.gate.set()
        self.broken = ""
        with self.connect() as db:
            db.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
        db.close()
        self.commits = 0
        self.writer = SqliteWriter(self.connect)

    def connect(self) -> sqlite3.Connection:
        if self.broken:
            raise sqlite3.OperationalError(self.broken)
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        db.set_trace_callback(self._trace)
        return db

    def _trace(self, statement: str) -> None:
        self.commits += statement == "COMMIT"

    def insert(self, number: int) -> Work:
        def work(db: sqlite3.Connection) -> int:
            self.gate.wait(30)
            db.execute("INSERT INTO numbers VALUES (?)", (number,))
            return number

        return work

    def numbers(self) -> list[int]:
        db = sqlite3.connect(self.path)
        found = [row[0] for row in db.execute("SELECT n FROM numbers ORDER BY n")]
        db.close()
        return found


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path / "numbers.sqlite3")
    yield place
    place.gate.set()
    await place.writer.stop()


async def test_what_is_given_together_is_written_together(place: Place) -> None:
    found = await asyncio.gather(*(place.writer.run(place.insert(number)) for number in range(200)))
    assert found == list(range(200)) == place.numbers()
    assert place.commits <= 3


async def test_work_that_fails_undoes_only_itself(place: Place) -> None:
    def failing(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO numbers VALUES (99)")
        raise LookupError("no")

    outcomes = await asyncio.gather(
        place.writer.run(place.insert(1)),
        place.writer.run(failing),
        place.writer.run(place.insert(1)),  # breaks a constraint
        place.writer.run(place.insert(2)),
        return_exceptions=True,
    )
    kinds = [type(each) for each in outcomes]
    assert kinds == [int, LookupError, sqlite3.IntegrityError, int]
    assert place.numbers() == [1, 2]


async def test_a_queue_that_is_full_refuses_and_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_writer, "MAX_QUEUED", 10)
    place.gate.clear()
    first = asyncio.create_task(place.writer.run(place.insert(0)))
    await asyncio.sleep(0.05)  # the thread has taken it
    tasks = [asyncio.create_task(place.writer.run(place.insert(number))) for number in range(1, 20)]
    await asyncio.sleep(0.01)
    assert sum(task.done() for task in tasks) == 9
    place.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in outcomes[10:]] == [ArchiveUnavailable] * 9
    await first
    assert place.numbers() == list(range(11))


async def test_a_queue_with_too_many_bytes_refuses(place: Place) -> None:
    place.gate.clear()
    first = asyncio.create_task(place.writer.run(place.insert(0)))
    await asyncio.sleep(0.05)
    half = sqlite_writer.MAX_QUEUED_BYTES // 2
    waiting = [asyncio.create_task(place.writer.run(place.insert(number), size=half)) for number in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(ArchiveUnavailable):
        await place.writer.run(place.insert(3), size=1)
    place.gate.set()
    await asyncio.gather(first, *waiting)
    await place.writer.run(place.insert(4), size=half)


async def test_work_nobody_waits_for_any_more_is_not_done(place: Place) -> None:
    place.gate.clear()
    first = asyncio.create_task(place.writer.run(place.insert(0)))
    await asyncio.sleep(0.05)
    given_up = asyncio.create_task(place.writer.run(place.insert(1)))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    place.gate.set()
    await first
    await place.writer.run(place.insert(2))
    assert place.numbers() == [0, 2]


async def test_work_that_waited_too_long_is_not_done(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.gate.clear()
    first = asyncio.create_task(place.writer.run(place.insert(0)))
    await asyncio.sleep(0.05)
    monkeypatch.setattr(sqlite_writer, "WAIT_S", 0.01)
    late = asyncio.create_task(place.writer.run(place.insert(1)))
    await asyncio.sleep(0.05)
    place.gate.set()
    with pytest.raises(ArchiveUnavailable):
        await late
    await first
    assert place.numbers() == [0]


async def test_what_is_queued_at_the_end_is_still_written(place: Place) -> None:
    place.gate.clear()
    tasks = [asyncio.create_task(place.writer.run(place.insert(number))) for number in range(500)]
    await asyncio.sleep(0)
    stopping = asyncio.create_task(place.writer.stop())
    await asyncio.sleep(0.05)
    place.gate.set()
    await stopping
    await asyncio.gather(*tasks)
    assert place.numbers() == list(range(500))
    with pytest.raises(ArchiveUnavailable):
        await place.writer.run(place.insert(501))


async def test_a_file_that_cannot_be_opened_is_unavailable_until_it_can(place: Place) -> None:
    place.broken = "unable to open database file"
    with structlog.testing.capture_logs() as lines:
        for number in (1, 2, 3):
            with pytest.raises(ArchiveUnavailable):
                await place.writer.run(place.insert(number))
        place.broken = ""
        await place.writer.run(place.insert(4))
    assert [line["event"] for line in lines] == ["archive_write_failed", "archive_writes_again"]  # once, not each time
    assert place.numbers() == [4]
