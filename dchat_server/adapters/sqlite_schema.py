"""The SQLite file of an archive: its tables, and opening it.

Several processes may start on the same folder at once. Whoever gets the write lock first makes the tables, in one
transaction with the schema's number; the others wait for that and find them.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from dchat_server.adapters.archive_forms import half_filled, not_empty
from dchat_server.errors import ClusterMismatch

SCHEMA = 1
APPLICATION = 0x44436861  # "DCha"
BUSY_S = 5.0
"""How long a statement waits for another process that writes."""
_WAL_LIMIT_BYTES = 64_000_000

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE marks (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, offset INTEGER NOT NULL);
CREATE TABLE seals (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL);
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY,
    room TEXT NOT NULL UNIQUE,
    shard INTEGER NOT NULL,
    version INTEGER NOT NULL,
    step TEXT NOT NULL,
    public INTEGER NOT NULL,
    roster_at INTEGER NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX rooms_of_shard ON rooms (shard, room, public);
CREATE TABLE rosters (
    room INTEGER NOT NULL REFERENCES rooms, part INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (room, part)
);
CREATE TABLE chunks (
    room INTEGER NOT NULL REFERENCES rooms,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (room, first)
);
CREATE TABLE users (user TEXT PRIMARY KEY, shard INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX users_of_shard ON users (shard, user);
CREATE TABLE tokens (digest TEXT PRIMARY KEY, user TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX tokens_of_user ON tokens (user);
"""


def connect(path: Path, *, reading: bool = False) -> sqlite3.Connection:
    """A connection to a file that `prepare` has seen. To be used by one thread at a time. Raises sqlite3.Error."""
    # `rw`: a file that was taken away must not come back empty.
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        db.execute("PRAGMA query_only = ON" if reading else "PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    except BaseException:
        db.close()
        raise
    return db


def prepare(path: Path, shards: int, *, filling: bool = False) -> str:
    """Make the file and its tables where they are missing; the archive's identity.

    Raises ClusterMismatch when the file belongs to something else, to a later version, or to another number of shards,
    or (unless `filling`) has got only a part of a backup; sqlite3.Error or OSError when it cannot be read or written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Never open a file that is there: closing it again would take away all locks this process has on it through SQLite,
    # and another process, thinking itself alone, would remove the write-ahead log under our connections.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    db = connect(path)
    try:
        # One transaction, or a file that another worker finishes between two of the questions would look like neither.
        db.execute("BEGIN")
        _check_owner(db, path)
        db.execute("COMMIT")
        _use_wal(db)
        db.execute("BEGIN IMMEDIATE")
        _check_owner(db, path)
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            _create(db, shards)
        db.execute("COMMIT")
        meta = dict(db.execute("SELECT name, value FROM meta").fetchall())
    finally:
        db.close()
    if meta["shards"] != shards:
        raise ClusterMismatch(f"{path} holds {meta['shards']} shards; set DCHAT_SHARDS={meta['shards']}.")
    if meta.get("filling") and not filling:
        raise ClusterMismatch(half_filled(str(path)))
    return str(meta["identity"])


def begin_filling(db: sqlite3.Connection, path: Path, backup: str) -> None:
    """`Archive.begin_filling`, in a transaction. Raises ClusterMismatch."""
    meta = dict(db.execute("SELECT name, value FROM meta").fetchall())
    if meta.get("filling") == backup:
        return
    if meta["fence"] or meta.get("filling"):
        raise ClusterMismatch(not_empty(str(path)))
    db.execute("INSERT OR REPLACE INTO meta VALUES ('filling', ?)", (backup,))


def end_filling(db: sqlite3.Connection, backup: str) -> None:
    """`Archive.end_filling`, in a transaction."""
    db.execute("DELETE FROM meta WHERE name = 'filling' AND value = ?", (backup,))


def _check_owner(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    owner = db.execute("PRAGMA application_id").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if owner != APPLICATION and (owner or version or tables):
        raise ClusterMismatch(f"{path} is a database of another program; give D-Chat its own folder.")
    if version > SCHEMA:
        raise ClusterMismatch(f"{path} was written by a later version of D-Chat (schema {version}, here {SCHEMA}).")


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. SQLite does not wait by itself when several processes do this at once."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def _create(db: sqlite3.Connection, shards: int) -> None:
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            db.execute(statement)
    meta = {"identity": secrets.token_hex(16), "shards": shards, "fence": 0}
    db.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {SCHEMA}")
