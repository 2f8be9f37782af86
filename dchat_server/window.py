"""The newest part of a shard's feed in memory: what a stream that was away for seconds is replayed from.

Bounded by entries and bytes. Offsets are dense, so finding a place in it is arithmetic.
"""

from __future__ import annotations

from collections import deque

from dchat_server.model import Event, Position
from dchat_server.wire import Frame, event_frame

MAX_ENTRIES = 4096
MAX_BYTES = 4 << 20


class Kept:
    """An event in the window; rendered once, when somebody first needs its bytes."""

    __slots__ = ("_frame", "event")

    def __init__(self, event: Event) -> None:
        self.event = event
        self._frame: Frame | None = None

    def frame(self) -> Frame:
        if self._frame is None:
            self._frame = event_frame(self.event)
        return self._frame


class Window:
    """The last entries of one shard, up to and including offset `last`."""

    def __init__(self, position: Position) -> None:
        self.last = position.offset
        self._entries: deque[Kept | None] = deque()
        self._bytes = 0

    @property
    def first(self) -> int:
        """The oldest offset held; last + 1 when empty."""
        return self.last - len(self._entries) + 1

    def add(self, event: Event) -> Kept:
        """Append an event; its own offset says where."""
        kept = Kept(event)
        self._append(event.offset, kept, len(event.body))
        return kept

    def skip(self, offset: int) -> None:
        """Append an entry that is shown to nobody."""
        self._append(offset, None, 0)

    def _append(self, offset: int, kept: Kept | None, size: int) -> None:
        if offset != self.last + 1:
            self._entries.clear()
            self._bytes = 0
        self.last = offset
        self._entries.append(kept)
        self._bytes += size
        while len(self._entries) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            oldest = self._entries.popleft()
            self._bytes -= len(oldest.event.body) if oldest is not None else 0

    def since(self, offset: int) -> list[Kept] | None:
        """The events after `offset`, or None when the window does not reach back that far."""
        if offset + 1 < self.first:
            return None
        missed = min(self.last - offset, len(self._entries))
        if missed <= 0:
            return []
        if missed < len(self._entries) // 2:
            newest = [entry for _, entry in zip(range(missed), reversed(self._entries), strict=False)]
            return [entry for entry in reversed(newest) if entry is not None]
        skip = len(self._entries) - missed
        return [entry for at, entry in enumerate(self._entries) if at >= skip and entry is not None]
