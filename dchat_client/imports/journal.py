"""What of all sources is in a room already: so that a repeated import brings only what is not there yet.

The server knows the keys of messages for 24 hours; this knows them for good, in a small SQLite file for each room and
user. It is a memory, not the truth: what was sent and not noted in time is found out by its key when it is sent again.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from dchat_client.config import ConfigError

_COMMIT_EVERY_S = 1.0


class Journal:
    """The messages that are in a room, by digest, with their `seq` there. Use it as a context manager.

    `path` None keeps it in memory. One import at a time may use a file. Raises ConfigError.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._committed_at = clock()
        self._db: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        try:
            if self._path is not None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            db = sqlite3.connect(self._path or ":memory:", timeout=0, check_same_thread=False)
            db.executescript("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
            db.execute("CREATE TABLE IF NOT EXISTS sent (digest BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID")
            db.commit()
            # Takes the lock now, and not at the first message.
            db.execute("BEGIN EXCLUSIVE")
            db.commit()
        except (OSError, sqlite3.Error) as error:
            if "locked" in str(error):
                raise ConfigError("Another import into this room is running.") from None
            raise ConfigError(f"{self._path} cannot be used ({error}); --forget begins it anew.") from None
        self._db = db
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._db is not None:
            self._db.commit()
            self._db.close()
            self._db = None

    def seq(self, digest: bytes) -> int | None:
        """Return the `seq` of a message that is in the room; 0 when it is there and the number is not known."""
        row = self._open.execute("SELECT seq FROM sent WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else int(row[0])

    def note(self, digest: bytes, seq: int) -> None:
        """Note that a message is in the room. It is on the disk a second later, or at the end."""
        self._open.execute("INSERT OR IGNORE INTO sent VALUES (?, ?)", (digest, seq))
        if self._clock() - self._committed_at >= _COMMIT_EVERY_S:
            self._open.commit()
            self._committed_at = self._clock()

    @property
    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise RuntimeError("the journal is used outside its `with`")
        return self._db
