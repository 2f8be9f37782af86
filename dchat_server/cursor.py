"""Cursors: a place in everything that happens, one feed position a shard, as an opaque string.

Layout before base64url: version byte, number of shards, smallest epoch, then for each shard its epoch less that and
its offset (all unsigned LEB128), then two bytes of CRC-32. The sum is no secret: a cursor gives no rights, it only
says where to go on, and what lies there is checked against the reader's memberships every time.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from dchat_server.model import Position

_CURSOR_VERSION = 1


class Cursor(NamedTuple):
    """A place in everything that happens: one `Position` a shard."""

    positions: tuple[Position, ...]

    def encode(self) -> str:
        """The opaque form clients keep: about 90 characters with 16 shards."""
        return LiveCursor(self.positions).encode().decode()

    @classmethod
    def decode(cls, text: str) -> Cursor | None:
        """The cursor that `encode` wrote; None for anything else (the caller then announces a gap)."""
        if len(text) > 4096:
            return None
        try:
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            return None
        if len(raw) < 5 or raw[0] != _CURSOR_VERSION or zlib.crc32(raw[:-2]).to_bytes(4, "big")[:2] != raw[-2:]:
            return None
        numbers = _numbers(raw[1:-2])
        if numbers is None or len(numbers) < 4 or len(numbers) != 2 + 2 * numbers[0]:
            return None
        base = numbers[1]
        pairs = zip(numbers[2::2], numbers[3::2], strict=True)
        return cls(tuple(Position(base + epoch, offset) for epoch, offset in pairs))


class LiveCursor:
    """A cursor that moves: the place up to which a worker has read. Encoding costs about 2 µs, as only the shards
    that moved are written anew."""

    __slots__ = ("_base", "_encoded", "_head", "_parts", "positions")

    def __init__(self, positions: Sequence[Position]) -> None:
        self.positions = list(positions)
        self._encoded: bytes | None = None
        self._rebase()

    def _rebase(self) -> None:
        self._base = min(position.epoch for position in self.positions)
        head = bytearray((_CURSOR_VERSION,))
        _put(head, len(self.positions))
        _put(head, self._base)
        self._head = bytes(head)
        self._parts = [self._part(position) for position in self.positions]

    def _part(self, position: Position) -> bytes:
        out = bytearray()
        _put(out, position.epoch - self._base)
        _put(out, position.offset)
        return bytes(out)

    def move(self, shard: int, position: Position) -> None:
        """Set the place of one shard."""
        old, self.positions[shard] = self.positions[shard], position
        self._encoded = None
        if old.epoch == position.epoch:
            self._parts[shard] = self._part(position)
        else:
            self._rebase()

    def encode(self) -> bytes:
        """What `Cursor.encode` gives, as bytes."""
        if self._encoded is None:
            raw = self._head + b"".join(self._parts)
            raw += zlib.crc32(raw).to_bytes(4, "big")[:2]
            self._encoded = base64.urlsafe_b64encode(raw).rstrip(b"=")
        return self._encoded

    def snapshot(self) -> Cursor:
        return Cursor(tuple(self.positions))


def _put(out: bytearray, value: int) -> None:
    """Append `value` as an unsigned LEB128 number."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _numbers(raw: bytes) -> list[int] | None:
    numbers: list[int] = []
    value = shift = 0
    for byte in raw:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value = shift = 0
        elif shift > 63:
            return None
    return numbers if shift == 0 else None
