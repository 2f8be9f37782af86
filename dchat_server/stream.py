"""A stream and a room as the hub sees them: who listens, in which form, and where the bytes go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dchat_server import wire
from dchat_server.wire import Frame

LIVE, LIVE_LINES, REPLAYING, CLOSED = 0, 1, 2, 3
"""A stream's mode. 0 is the one the fast path of `flush` serves."""


class Outlet(Protocol):
    """Where a stream's bytes go; an asyncio transport is one."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        """Close once what was written has gone out."""

    def abort(self) -> None:
        """Close now."""


class Stream:
    """One open stream. `wanted` names its rooms, or is None when it follows all of the person's rooms."""

    __slots__ = (
        "_changes", "channels", "digest", "expires_at", "lines", "mode", "out", "queue", "queued", "user", "waiting",
        "wanted",
    )  # fmt: skip

    def __init__(
        self,
        user: str,
        digest: str,
        out: Outlet,
        *,
        wanted: tuple[str, ...] | None = None,
        lines: bool = False,
        expires_at: int | None = None,
    ) -> None:
        self.user, self.digest, self.out = user, digest, out
        self.wanted, self.lines, self.expires_at = wanted, lines, expires_at
        self.mode = REPLAYING
        self.channels: list[Channel] = []
        self.queue: list[bytes] | None = None
        self.queued = 0
        self.waiting = 0
        """Bytes that waited to go out when the stream was last pinged."""
        self._changes: list[tuple[str, bool]] | None = None

    def encode(self, frames: Sequence[Frame], cursor: bytes | None) -> bytes:
        """These events as one write in the stream's own form."""
        return (wire.ndjson if self.lines else wire.sse)(frames, cursor)

    def note(self, room: str, member: bool) -> bool:
        """Remember a membership change when the stream is not seated yet."""
        if self._changes is None:
            return False
        self._changes.append((room, member))
        return True

    def watch(self) -> None:
        self._changes = []

    def changed(self) -> list[tuple[str, bool]]:
        """The changes noted since `watch`; ends the noting."""
        changes, self._changes = self._changes or [], None
        return changes


class Channel:
    """A room as this worker's streams see it."""

    __slots__ = ("dead", "last", "name", "pending", "public", "seq", "shard", "streams")

    def __init__(self, name: str, shard: int, public: bool) -> None:
        self.name, self.shard, self.public = name, shard, public
        self.streams: list[Stream] = []
        self.dead = 0
        self.pending: list[Frame] = []
        self.seq = 0
        """The newest seq that went out here, or was acknowledged here to its sender."""
        self.last = 0
        """The newest seq whose event was put here."""

    def live(self) -> list[Stream]:
        return [stream for stream in self.streams if stream.mode != CLOSED]
