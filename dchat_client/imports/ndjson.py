"""A room that `dchat export` wrote (exported.py), or lines of JSON from `dchat history --json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dchat_client.exported import FORMAT, VERSION
from dchat_client.imports.said import Said, UnfitSource

_MAX_LINE_BYTES = 16 << 20
_FACTS = ("room", "kind", "topic", "created_at")


class NdjsonRoom:
    """The messages in a file, as a Source (said.py). `facts` is what its first line says of the room.

    `is_whole` is known once all was read. Raises UnfitSource.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done = self.left_out = 0
        self.is_whole = False
        try:
            self.total = path.stat().st_size
            with path.open("rb") as file:
                first = _object(file.readline(_MAX_LINE_BYTES), path, 1)
        except OSError as error:
            raise UnfitSource(f"{path} cannot be read: {error.strerror or error}.") from None
        if first.get("type") == "room" and (first.get("format"), first.get("version")) != (FORMAT, VERSION):
            raise UnfitSource(f"{path} was written by a version of dchat export that this one does not know.")
        self.facts = {name: first[name] for name in _FACTS if isinstance(first.get(name), str)}
        # When the room was made tells it from another one of the same name, on another server.
        self._owner = f"{self.facts.get('room')}:{self.facts.get('created_at', '')}"

    def __iter__(self) -> Iterator[Said]:
        with self.path.open("rb") as file:
            number = 0
            while line := file.readline(_MAX_LINE_BYTES + 1):
                number += 1
                self.done += len(line)
                if len(line) > _MAX_LINE_BYTES:
                    raise UnfitSource(f"{self.path}, line {number}: longer than {_MAX_LINE_BYTES >> 20} MiB.")
                try:
                    row = _object(line, self.path, number)
                except UnfitSource:
                    if line.endswith(b"\n"):
                        raise
                    return  # torn: the export was interrupted here
                kind = row.get("type", "message")
                self.is_whole = self.is_whole or kind == "end"
                if kind != "message":
                    continue
                said = self._said(row)
                if said is None:
                    self.left_out += 1
                else:
                    yield said

    def remarks(self) -> list[str]:
        if self.is_whole:
            return []
        return [f"{self.path} does not say that it is whole: its last line is missing. dchat export goes on with it."]

    def _said(self, row: dict[str, Any]) -> Said | None:
        seq, sender, text, reply = (row.get(name) for name in ("seq", "sender", "text", "reply_to"))
        if type(seq) is not int or not isinstance(sender, str) or not isinstance(text, str) or not text:
            return None  # a deleted message has no text
        rows = row.get("reactions")
        reactions = [_reaction(each) for each in rows if isinstance(each, dict)] if isinstance(rows, list) else []
        ts = row.get("ts")
        return Said(
            key=self._key(seq),
            who=sender,
            when=f"{ts[:10]} {ts[11:19]}Z" if isinstance(ts, str) and len(ts) >= 20 else "",
            text=text,
            answers=self._key(reply) if type(reply) is int else None,
            is_edited=row.get("edited_at") is not None,
            reactions=tuple(reactions),
        )

    def _key(self, seq: int) -> str:
        return f"dchat:{self._owner}:{seq}"


def _reaction(row: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    users = row.get("users")
    return str(row.get("emoji") or "?"), tuple(map(str, users)) if isinstance(users, list) else ()


def _object(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UnfitSource(f"{path}, line {number}: this is no line of JSON that dchat export writes.")
    return value
