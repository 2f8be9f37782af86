"""One's own messages that were not sent, kept in files over restarts of a face.

Each running face has a file of its own, so two of one account never send the same entry. The first face that starts
after another has ended takes over what that one left. A file is replaced in one step with every change, before the
first try to send; with the entry's key, so that one that was stored although nobody heard of it is not stored twice.
The server forgets keys after 24 hours: what is older than that, less an hour for clocks, comes back as failed, for a
person to decide.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from dchat_client import bookmark
from dchat_client.config import ConfigError, write_private
from dchat_client.outbox import Entry

SAFE_S = 23 * 3600.0
"""How long after it was written an entry may be sent by itself."""
MOST_FACES = 8
"""Files of faces that run at once; further ones keep nothing."""


class UnsentFiles:
    """The entries of one face of one account, in `folder`. A context manager: it holds the face's file meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: IO[bytes] | None = None
        self._path: Path | None = None
        self._stored: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            bookmark.let_go(self._lock)
            self._lock = None

    def take_over(self, now_s: float) -> tuple[list[Entry], list[Entry]]:
        """Return what was left by faces that have ended: entries to send, and entries that failed or are too old.

        Call it once, first. `now_s` is in seconds since 1970, as each entry's `tag` is. A file that cannot be read is
        put aside. Raises ConfigError when the folder cannot be written to.
        """
        rows: list[dict[str, Any]] = []
        taken: list[tuple[Path, IO[bytes]]] = []
        for number in range(MOST_FACES):
            path = self._folder / (f"unsent-{number}.json" if number else "unsent.json")
            if self._path is not None and not path.exists():
                continue
            lock = self._locked(path)
            if lock is None:
                continue
            rows += _read(path)
            if self._path is None:
                self._path, self._lock = path, lock
            else:
                taken.append((path, lock))
        rows.sort(key=lambda row: row["written"])
        self._write(rows)
        for path, lock in taken:
            with suppress(OSError):
                path.unlink()
            bookmark.let_go(lock)
        late = {row["client_id"] for row in rows if row["failed"] or not 0 <= now_s - row["written"] < SAFE_S}
        entries = [_entry(row) for row in rows]
        return (
            [entry for entry in entries if entry.client_id not in late],
            [entry for entry in entries if entry.client_id in late],
        )

    def keep(self, waiting: Iterable[Entry], failed: Iterable[Entry]) -> None:
        """Keep these, and nothing else. Raises ConfigError."""
        rows = [_row(entry, failed=False) for entry in waiting] + [_row(entry, failed=True) for entry in failed]
        if rows != self._stored:
            self._write(rows)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        if self._path is not None and (rows or self._path.exists()):
            write_private(self._path, json.dumps(rows) + "\n")
        self._stored = rows

    def _locked(self, path: Path) -> IO[bytes] | None:
        """Return the lock on `path`, which goes away with the process; None when a running face has it."""
        lock_path = path.with_name(path.name + ".lock")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = open(lock_path, "ab")  # noqa: SIM115 - it is held until the face ends
        except OSError as error:
            raise ConfigError(f"{lock_path} cannot be opened: {error.strerror or error}.") from None
        if bookmark.lock(lock):
            return lock
        lock.close()
        return None


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text("utf-8"))
        return [_row(_entry(row), failed=bool(row["failed"])) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        with suppress(OSError):
            os.replace(path, path.with_suffix(".unreadable"))
        return []


def _entry(row: dict[str, Any]) -> Entry:
    reply_to = row["reply_to"]
    return Entry(
        str(row["room"]),
        str(row["text"]),
        str(row["client_id"]),
        reply_to if isinstance(reply_to, int) else None,
        float(row["written"]),
    )


def _row(entry: Entry, *, failed: bool) -> dict[str, Any]:
    return {
        "room": entry.room,
        "text": entry.text,
        "client_id": entry.client_id,
        "reply_to": entry.reply_to,
        "written": entry.tag,
        "failed": failed,
    }
