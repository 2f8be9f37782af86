"""The words of the domain as values: rooms, roles, positions, events. Standard library only.

A *position* is a place in a shard's feed: `(epoch, offset)`; `cursor.py` puts one a shard together. An event's own
place is `(room, epoch, seq)`.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
DM_NAME = re.compile(r"dm-[0-9a-f]{24}")
MENTION = re.compile(r"(?<![\w@.-])@([a-z0-9][a-z0-9._-]{0,31})")

KINDS = ("public", "private", "dm")
ROLES = ("owner", "moderator", "member", "reader")
WRITERS = ("owner", "moderator", "member")
MODERATORS = ("owner", "moderator")

_START = datetime(1970, 1, 1, tzinfo=UTC)

DURABLE_TYPES = ("message", "edit", "delete", "reaction", "member", "room")


def is_name(text: object) -> bool:
    """True when `text` may name a user or a room."""
    return isinstance(text, str) and NAME.fullmatch(text) is not None


def shard_of(name: str, shards: int) -> int:
    """The shard that holds a room or a user: the same on every worker, for good (CRC-32 of the name)."""
    return zlib.crc32(name.encode()) % shards


def mentions_in(text: str) -> tuple[str, ...]:
    """The user names a text calls with `@name`, each once, at most 50."""
    if "@" not in text:
        return ()
    found = dict.fromkeys(match.rstrip(".-_") or match for match in MENTION.findall(text))
    return tuple(found)[:50]


_YEAR_10000_MS = 253_402_300_800_000


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=64)
def iso(ms: int) -> str:
    """Milliseconds since 1970 as the contract's time: `2026-11-23T06:04:00.123Z`."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


def parse_iso(text: str) -> int:
    """The contract's time, or any ISO 8601 time, as milliseconds since 1970. A time without zone is UTC.

    Raises ValueError.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    ms = (moment - _START) // timedelta(milliseconds=1)
    if ms >= _YEAR_10000_MS:
        raise ValueError("a time after the year 9999")
    return ms


class Position(NamedTuple):
    """A place in one shard's feed. `offset` is dense: 1, 2, 3, … over all epochs that kept their tail."""

    epoch: int
    offset: int


class Event(NamedTuple):
    """One durable thing that happened in a room.

    `body` is the event's own JSON members without the opening brace (`"sender":"ada","text":"hi"}`): readers splice
    `seq` and the rest in front of it and never parse it. `offset` is its place in the shard's feed; `messages` how
    many messages the room had once it had happened.
    """

    room: str
    epoch: int
    seq: int
    type: str
    ts: int
    body: bytes
    offset: int
    messages: int


class Control(NamedTuple):
    """An entry of the feed that belongs to no room's history: `revoke`, `read`, `typing`, … Workers act on it; only
    `read` is shown, to its own user, and `typing`, to the others in the room."""

    type: str
    user: str
    body: bytes


class Draft(NamedTuple):
    """A message somebody wants to send, already checked. `body` is its wire form, see `Event.body`."""

    sender: str
    text: str
    body: bytes
    client_id: str | None = None
    fingerprint: str = ""
    mentions: tuple[str, ...] = ()


class Sent(NamedTuple):
    """Where a draft ended up. `repeated`: it had been stored before, under the same idempotency key."""

    room: str
    epoch: int
    seq: int
    ts: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """A room's own facts, as every reader sees them."""

    name: str
    kind: str
    topic: str
    display_name: str
    archived: bool
    created_at: int
    head: int
    epoch: int
    messages: int
    members: int
    retention_days: float = 0.0
    """How long messages are kept; 0: as the server says."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A room as one person sees it. `role` is None for somebody who has not joined."""

    room: Room
    role: str | None
    read: int
    unread: int
    mentions: int


@dataclass(slots=True)
class Message:
    """A message in its present state: edits applied, reactions counted, or a tombstone (`deleted`, no text)."""

    event: Event
    sender: str
    fields: dict[str, object]
    edited_at: int | None = None
    deleted: bool = False
    reactions: dict[str, list[str]] | None = None
    known: int = 0
    """The room's watermark when this was read; see ports.Amendment."""
