"""A room in a file: what `dchat export` writes and `dchat import ndjson` reads.

Lines of JSON, UTF-8. The first says which room it is, the last that the file is whole; between them stands a line for
each message, oldest first, exactly as the server's pages give it:

    {"type":"room","format":"dchat-export","version":1,"room":"lobby","kind":"public","topic":…,"created_at":…}
    {"id":"lobby:2","room":"lobby","seq":2,"ts":…,"sender":"ada","text":"hi"}
    {"type":"end","messages":1,"head":2}

A file is only ever appended to, a page at a time. So one that was cut short, however, has whole lines and at most one
torn one at its end; opening it again cuts that (or the line that says `end`) and tells from which `seq` it goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from dchat_client.bookmark import let_go, lock
from dchat_client.terminal import json_line

FORMAT, VERSION = "dchat-export", 1
_FACTS = ("room", "kind", "display_name", "topic", "created_at", "users")
_BLOCK = 1 << 20
_MAX_LINE_BYTES = 16 << 20


class NotThisExport(Exception):
    """A file cannot be gone on with; the text says why."""


def first_line(room: dict[str, Any]) -> dict[str, Any]:
    """Return what the first line says, from a room as the server describes it."""
    facts = {name: room[name] for name in _FACTS if room.get(name)}
    return {"type": "room", "format": FORMAT, "version": VERSION, **facts}


def last_line(messages: int, head: int) -> dict[str, Any]:
    """Return what the last line says: how many messages there are, and the room's newest `seq` at that time."""
    return {"type": "end", "messages": messages, "head": head}


class ExportFile:
    """A room's file, open to be gone on with. Use it as a context manager; nobody else can open it meanwhile.

    `after` is the `seq` up to which the room is there, `messages` how many messages that is. Entering reads the file
    once. Raises NotThisExport and OSError.
    """

    def __init__(self, path: Path, room: dict[str, Any]) -> None:
        self.path = path
        self.after = self.messages = 0
        self._first = first_line(room)
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        # What people said is for whoever made the file, unless they say otherwise.
        self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        try:
            if not lock(self._file):
                raise NotThisExport(f"{self.path} is being written by another dchat export.")
            self._find_place(self._file)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            let_go(self._file)

    def write(self, messages: Iterable[dict[str, Any]]) -> None:
        """Append messages, in one write."""
        for message in messages:
            self._put(message)
            self.messages += 1
            self.after = int(message["seq"])
        self._flush()

    def finish(self, head: int) -> None:
        """Say that the file is whole, and have it on the disk."""
        self._put(last_line(self.messages, head))
        os.fsync(self._flush())

    def _find_place(self, file: IO[bytes]) -> None:
        lines, end = _count(file)
        file.seek(0)
        # Before anything is cut: whatever is not ours stays as it is.
        if not lines:
            if not _line(self._first).startswith(file.read(_BLOCK)):
                raise self._no_export()
            file.seek(0)
            file.truncate()
            self._put(self._first)
            self._flush()
            return
        self._check(_object(file.readline(_MAX_LINE_BYTES)))
        file.truncate(end)
        start = _start_of_line(file, end - 1)
        file.seek(start)
        last = _object(file.readline(_MAX_LINE_BYTES))
        self.messages = lines - 1
        if last.get("type") == "end":
            file.seek(start)
            file.truncate()
            self.messages, self.after = lines - 2, _number(last, "head")
        elif lines > 1:
            self.after = _number(last, "seq")
        if self.after < 0 or self.messages < 0:
            raise NotThisExport(f"The last line of {self.path} makes no sense; --anew begins anew.")

    def _check(self, found: dict[str, Any]) -> None:
        if found.get("format") != FORMAT or found.get("version") != VERSION:
            raise self._no_export()
        if any(found.get(name) != self._first.get(name) for name in ("room", "created_at")):
            raise NotThisExport(
                f"{self.path} is the export of another room; give another name, or --anew to replace it."
            )

    def _no_export(self) -> NotThisExport:
        return NotThisExport(f"{self.path} is there and is no export; give another name, or --anew to replace it.")

    def _put(self, value: dict[str, Any]) -> None:
        if self._file is None:
            raise RuntimeError("the file is used outside its `with`")
        self._file.write(_line(value))

    def _flush(self) -> int:
        if self._file is None:
            raise RuntimeError("the file is used outside its `with`")
        self._file.flush()
        return self._file.fileno()


def _line(value: dict[str, Any]) -> bytes:
    return json_line(value).encode() + b"\n"


def _count(file: IO[bytes]) -> tuple[int, int]:
    """Return how many whole lines there are, and where the last of them ends."""
    lines = end = at = 0
    while block := file.read(_BLOCK):
        lines += block.count(b"\n")
        if (found := block.rfind(b"\n")) >= 0:
            end = at + found + 1
        at += len(block)
    return lines, end


def _start_of_line(file: IO[bytes], end: int) -> int:
    """Return where the line begins whose line end stands at `end`."""
    at = end
    while at > 0:
        block = min(at, 1 << 16)
        file.seek(at - block)
        if (found := file.read(block).rfind(b"\n")) >= 0:
            return at - block + found + 1
        at -= block
    return 0


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: dict[str, Any], name: str) -> int:
    found = value.get(name)
    return found if type(found) is int else -1
