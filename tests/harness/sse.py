"""A small reader of the stream, written apart from the client's: what checks must not share code with what it checks.

It reads what this server sends and refuses everything else loudly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson


class Told(NamedTuple):
    """One event: its JSON, and the cursor it carried, if any."""

    event: dict[str, Any]
    cursor: str | None


class SseReader:
    """`feed` bytes, get events. Raises ValueError for anything that is not this server's SSE."""

    def __init__(self) -> None:
        self._rest = b""
        self.retry_ms: int | None = None

    def feed(self, data: bytes) -> Iterator[Told]:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            kind = body = cursor = None
            for line in block.split(b"\n"):
                name, _, value = line.partition(b": ")
                if name == b"event" and kind is None:
                    kind = value.decode()
                elif name == b"data" and body is None:
                    body = value
                elif name == b"id" and cursor is None:
                    cursor = value.decode()
                elif name == b"retry" and value.isdigit():
                    self.retry_ms = int(value)
                else:
                    raise ValueError(f"an SSE line nobody expects: {line!r} in {block!r}")
            if kind is None or body is None:
                raise ValueError(f"an SSE block without event or data: {block!r}")
            event = orjson.loads(body)
            if event["type"] != kind:
                raise ValueError(f"event: {kind}, but its data say {event['type']}")
            yield Told(event, cursor)


class LineReader:
    """The same for the NDJSON form."""

    def __init__(self) -> None:
        self._rest = b""
        self.retry_ms: int | None = None

    def feed(self, data: bytes) -> Iterator[Told]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            event = orjson.loads(line)
            if event["type"] in ("hello", "ping"):
                yield Told(event, event["cursor"])  # these have a cursor of their own
            else:
                cursor = event.pop("cursor", None)
                yield Told(event, cursor)
