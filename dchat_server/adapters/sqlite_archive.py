"""The archive in one SQLite file: for a server on one machine.

All workers read, each with a few connections of its own; the leader's worker writes, through one thread (see
sqlite_writer.py). Every read is one statement or one transaction, so it sees one state of the file. The fence stands
in the file and is compared in each write's own transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from dchat_server.adapters.archive_forms import (
    Outline,
    check,
    digests,
    first_match,
    is_public,
    record_from,
    record_text,
    user_bytes,
    user_from,
)
from dchat_server.adapters.archive_threads import Threads
from dchat_server.adapters.sqlite_schema import begin_filling, connect, end_filling, prepare
from dchat_server.adapters.sqlite_writer import SqliteWriter
from dchat_server.errors import ArchiveUnavailable
from dchat_server.logs import logger
from dchat_server.ports_archive import Chunk, Conflict, Entry, Fenced, Mark, RoomChange, RoomRecord, UserRecord

T = TypeVar("T")
FILE = "archive.sqlite3"
_COLUMNS = "first, last, offset, ts, data"
_ROOM = "(SELECT id FROM rooms WHERE room = ?)"
_AT_ONCE = 500


class SqliteArchive:
    """`Archive` in the file `path`."""

    def __init__(self, path: Path, shards: int, *, readers: int = 4) -> None:
        """Opens nothing yet. `shards` must be the number the file was made with."""
        self._path, self._shards = path, shards
        self._writer = SqliteWriter(lambda: connect(path))
        self._threads = Threads("archive-reader", threads=readers, waiting=1000)
        self._own = threading.local()
        self._open: list[sqlite3.Connection] = []

    async def start(self) -> None:
        await self._prepare()

    async def stop(self) -> None:
        await self._writer.stop()
        await self._threads.stop()
        while self._open:
            self._open.pop().close()

    async def begin_filling(self, backup: str) -> None:
        await self._prepare(filling=True)
        await self._writer.run(lambda db: begin_filling(db, self._path, backup))

    async def end_filling(self, backup: str) -> None:
        await self._writer.run(lambda db: end_filling(db, backup))

    async def identity(self) -> str:
        return await self._prepare()

    async def fence(self) -> int:
        return await self._read(_fence)

    async def raise_fence(self, fence: int) -> None:
        def work(db: sqlite3.Connection) -> None:
            if (seen := _fence(db)) > fence:
                raise Fenced(seen)
            db.execute("UPDATE meta SET value = ? WHERE name = 'fence'", (fence,))

        await self._writer.run(work)

    async def marks(self) -> dict[int, Mark]:
        def work(db: sqlite3.Connection) -> dict[int, Mark]:
            return {shard: Mark(*mark) for shard, *mark in db.execute("SELECT shard, epoch, offset FROM marks")}

        return await self._read(work)

    async def seal(self, shard: int, epoch: int) -> int:
        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO seals VALUES (?, ?) ON CONFLICT (shard) DO UPDATE SET epoch = max(epoch, excluded.epoch)",
                (shard, epoch),
            )

        def look(db: sqlite3.Connection) -> int:
            return int(db.execute("SELECT epoch FROM seals WHERE shard = ?", (shard,)).fetchone()[0])

        await self._writer.run(work)
        return await self._read(look)

    async def rooms(self, names: Sequence[str]) -> dict[str, RoomRecord]:
        def work(db: sqlite3.Connection) -> dict[str, RoomRecord]:
            return {room: record_from(text) for room, text in _among(db, "SELECT room, record FROM rooms", names)}

        return await self._read(work)

    async def roster(self, room: str) -> tuple[int, list[bytes]]:
        def work(db: sqlite3.Connection) -> tuple[int, list[bytes]]:
            rows = db.execute(
                "SELECT rooms.roster_at, rosters.data FROM rooms LEFT JOIN rosters ON rosters.room = rooms.id"
                " WHERE rooms.room = ? ORDER BY rosters.part",
                (room,),
            ).fetchall()
            return (rows[0][0], [data for _, data in rows if data is not None]) if rows else (0, [])

        return await self._read(work)

    async def commit(self, fence: int, change: RoomChange) -> None:
        check(change)
        size = sum(len(chunk.data) for chunk in change.put) + sum(map(len, change.roster or ()))
        await self._writer.run(lambda db: _commit(db, fence, change), size=size)

    async def chunk(self, room: str, seq: int) -> Chunk | None:
        found = await self.chunks_back(room, seq, 1)
        return found[0] if found else None

    async def chunks(self, room: str, seq: int, limit: int) -> list[Chunk]:
        def work(db: sqlite3.Connection) -> list[Chunk]:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM chunks WHERE room = {_ROOM} AND first >="  # noqa: S608 - our own words
                f" (SELECT coalesce(max(first), 0) FROM chunks WHERE room = {_ROOM} AND first <= ?)"
                " ORDER BY first LIMIT ?",
                (room, room, seq, limit + 1),
            )
            return [chunk for chunk in map(Chunk._make, rows) if chunk.last >= seq][:limit]

        return await self._read(work)

    async def chunks_back(self, room: str, seq: int, limit: int) -> list[Chunk]:
        def work(db: sqlite3.Connection) -> list[Chunk]:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM chunks WHERE room = {_ROOM} AND first <= ?"  # noqa: S608 - our own words
                " ORDER BY first DESC LIMIT ?",
                (room, seq, limit),
            )
            return list(map(Chunk._make, rows))

        return await self._read(work)

    async def find(self, room: str, *, offset: int | None = None, ts: int | None = None) -> Chunk | None:
        def beyond(chunk: Outline) -> bool:
            return (offset is None or chunk.offset > offset) and (ts is None or chunk.ts >= ts)

        def work(db: sqlite3.Connection) -> Chunk | None:
            db.execute("BEGIN")  # all of it sees one state
            try:
                (number,) = db.execute(f"SELECT {_ROOM}", (room,)).fetchone()

                def at(seq: int) -> Outline | None:
                    row = db.execute(
                        "SELECT first, last, offset, ts FROM chunks WHERE room = ? AND first <= ?"
                        " ORDER BY first DESC LIMIT 1",
                        (number, seq),
                    ).fetchone()
                    return Outline._make(row) if row else None

                found = first_match(at, 2**62, beyond)
                if found is None:
                    return None
                row = db.execute(
                    f"SELECT {_COLUMNS} FROM chunks WHERE room = ? AND first = ?",  # noqa: S608 - our own words
                    (number, found.first),
                ).fetchone()
                return Chunk._make(row)
            finally:
                db.execute("ROLLBACK")

        return await self._read(work)

    async def save_users(self, fence: int, records: Sequence[tuple[int, UserRecord]]) -> None:
        def work(db: sqlite3.Connection) -> None:
            _check_fence(db, fence)
            for shard, record, data in packed:
                _save_user(db, shard, record, data)

        packed = [(shard, record, user_bytes(record)) for shard, record in records]
        await self._writer.run(work, size=sum(len(data) for _, _, data in packed))

    async def users(self, names: Sequence[str]) -> dict[str, UserRecord]:
        def work(db: sqlite3.Connection) -> dict[str, UserRecord]:
            return {user: user_from(data) for user, data in _among(db, "SELECT user, record FROM users", names)}

        return await self._read(work)

    async def token_user(self, digest: str) -> str | None:
        def work(db: sqlite3.Connection) -> str | None:
            row = db.execute("SELECT user FROM tokens WHERE digest = ?", (digest,)).fetchone()
            return str(row[0]) if row else None

        return await self._read(work)

    async def directory(self, shard: int, after: str, limit: int) -> list[Entry]:
        def work(db: sqlite3.Connection) -> list[Entry]:
            kind, _, name = after.partition(":")
            rooms, users = [], []
            if kind in ("", "room"):
                rooms = db.execute(
                    "SELECT room, public FROM rooms WHERE shard = ? AND room > ? ORDER BY room LIMIT ?",
                    (shard, name, limit),
                ).fetchall()
            if len(rooms) < limit:
                users = db.execute(
                    "SELECT user FROM users WHERE shard = ? AND user > ? ORDER BY user LIMIT ?",
                    (shard, name if kind == "user" else "", limit - len(rooms)),
                ).fetchall()
            return [Entry("room", room, bool(public)) for room, public in rooms] + [
                Entry("user", user, False) for (user,) in users
            ]

        return await self._read(work)

    async def write_units(self) -> float:
        return 0.0

    async def _prepare(self, *, filling: bool = False) -> str:
        try:
            return await asyncio.to_thread(prepare, self._path, self._shards, filling=filling)
        except (sqlite3.Error, OSError) as problem:
            logger().error("archive_start_failed", file=str(self._path), error=str(problem))
            raise ArchiveUnavailable from problem

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def in_thread(_: float) -> T:
            try:
                db: sqlite3.Connection | None = getattr(self._own, "db", None)
                if db is None:
                    db = self._own.db = connect(self._path, reading=True)
                    self._open.append(db)
                return work(db)
            except sqlite3.Error as problem:
                logger().error("archive_read_failed", file=str(self._path), error=str(problem))
                raise ArchiveUnavailable from problem

        return await self._threads.run(in_thread)


def _fence(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT value FROM meta WHERE name = 'fence'").fetchone()[0])


def _check_fence(db: sqlite3.Connection, fence: int) -> None:
    if (seen := _fence(db)) != fence:
        raise Fenced(seen)


def _among(db: sqlite3.Connection, select: str, names: Sequence[str]) -> list[tuple[str, bytes]]:
    """Rows of `select` (a name, then what belongs to it) for these names."""
    rows: list[tuple[str, bytes]] = []
    column = select.split()[1].rstrip(",")
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        rows += db.execute(f"{select} WHERE {column} IN ({','.join('?' * len(some))})", list(some))
    return rows


def _commit(db: sqlite3.Connection, fence: int, change: RoomChange) -> None:
    _check_fence(db, fence)
    record = change.record
    row = db.execute("SELECT id, version, step FROM rooms WHERE room = ?", (record.room,)).fetchone()
    number, version, step = row or (None, 0, "")
    if (version, step) == (record.version, record.commit):
        return  # a repeat of what is there
    if version != record.version - 1:
        raise Conflict(f"{record.room} is at version {version}")
    if change.read_under:
        (sealed,) = db.execute("SELECT epoch FROM seals WHERE shard = ?", (change.shard,)).fetchone() or (0,)
        if change.read_under < sealed:
            raise Conflict(f"shard {change.shard} is sealed at epoch {sealed}")
    if number is None:
        number = db.execute(
            "INSERT INTO rooms (room, shard, version, step, public, roster_at, record) VALUES (?, ?, 0, '', ?, 0, '')",
            (record.room, change.shard, is_public(record)),
        ).lastrowid
    db.execute(
        "UPDATE rooms SET version = ?, step = ?, record = ? WHERE id = ?",
        (record.version, record.commit, record_text(record), number),
    )
    db.executemany("DELETE FROM chunks WHERE room = ? AND first = ?", [(number, first) for first in change.drop])
    db.executemany(
        f"INSERT INTO chunks (room, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (room, first) DO UPDATE SET"  # noqa: S608
        " last = excluded.last, offset = excluded.offset, ts = excluded.ts, data = excluded.data",
        [(number, *chunk) for chunk in change.put],
    )
    if change.roster is not None:
        db.execute("UPDATE rooms SET roster_at = ? WHERE id = ?", (record.roster_at, number))
        db.execute("DELETE FROM rosters WHERE room = ?", (number,))
        parts = [(number, part, data) for part, data in enumerate(change.roster)]
        db.executemany("INSERT INTO rosters (room, part, data) VALUES (?, ?, ?)", parts)
    db.execute(
        "INSERT INTO marks VALUES (?, ?, ?) ON CONFLICT (shard) DO UPDATE SET epoch = excluded.epoch,"
        " offset = excluded.offset WHERE (excluded.epoch, excluded.offset) > (marks.epoch, marks.offset)",
        (change.shard, change.epoch, change.offset),
    )


def _save_user(db: sqlite3.Connection, shard: int, record: UserRecord, data: bytes) -> None:
    db.execute("INSERT OR REPLACE INTO users (user, shard, record) VALUES (?, ?, ?)", (record.user, shard, data))
    db.execute("DELETE FROM tokens WHERE user = ?", (record.user,))
    db.executemany("INSERT OR REPLACE INTO tokens VALUES (?, ?)", [(digest, record.user) for digest in digests(record)])
