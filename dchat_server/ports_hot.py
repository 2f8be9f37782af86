"""What the leader does to the message log's servers, as a protocol: see what has changed there since it was archived,
let go of what the archive holds, and bring back what they have lost.

Each write carries the leader's fence; a shard refuses (`Fenced`) one lower than the highest it saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from dchat_server.model import Event
from dchat_server.ports_archive import UserRecord


class Dirty(NamedTuple):
    """A room with events that are not archived, the oldest of them about since `since` (ms)."""

    room: str
    since: int


class ChangedUser(NamedTuple):
    """A person whose record changed; `version` rises with each change."""

    user: str
    version: int


@dataclass(frozen=True, slots=True)
class HotRoom:
    """A room as the message log has it. `watermark` and `floor` are what it knows of the archive (as in RoomRecord);
    `epochs` and `facts` have RoomRecord's form."""

    room: str
    head: int
    watermark: int
    floor: int
    epochs: tuple[tuple[int, int], ...]
    facts: Mapping[str, str]
    read_under: int = 0
    """The shard's epoch, read before the rest."""


class HotLog(Protocol):
    """The message log, as the leader sees it. Everything here may be repeated."""

    @property
    def shards(self) -> int: ...

    def shard_of(self, name: str) -> int: ...

    async def now_ms(self) -> int:
        """The time by the log's own server. One round trip."""
        ...

    async def bind(self, archive: str) -> None:
        """Say which archive (`Archive.identity`) belongs with this log. Raises ClusterMismatch when it is another."""
        ...

    async def raise_fence(self, fence: int) -> None:
        """From now on refuse lower fences, in all shards. Raises Fenced when one has seen a higher one."""
        ...

    async def dirty_rooms(self, shard: int, limit: int) -> list[Dirty]:
        """Rooms with events that are not archived, oldest first. One round trip."""
        ...

    async def dirty_count(self) -> int:
        """How many rooms have events that are not archived. One round trip a server."""
        ...

    async def room(self, room: str) -> HotRoom | None:
        """The room, or None when it is not there. One round trip."""
        ...

    async def read(self, room: str, after: int, limit: int) -> list[Event]:
        """Up to `limit` events after seq `after`, dense. Raises ports.Trimmed when those are not here (any more)."""
        ...

    async def archived(self, fence: int, room: str, watermark: int, floor: int, keep: int, since: int) -> int:
        """Say that the archive holds the room up to `watermark`, and nothing before `floor`: lets go of log entries
        (but for the last `keep` up to the watermark) and of states that are folded. `since` is the time (ms) of the
        first event behind the watermark, or 0: when there is none the room is not dirty any more.

        Returns the room's head (0: no such room). One round trip. Raises Fenced.
        """
        ...

    async def changed_users(self, shard: int, limit: int) -> list[ChangedUser]:
        """People whose record is to be saved. One round trip."""
        ...

    async def user(self, user: str) -> UserRecord | None:
        """The person's record as it is now; None when there is none. One round trip."""
        ...

    async def user_saved(self, fence: int, user: str, version: int) -> None:
        """Say that a record at least as new as `version` is saved. Raises Fenced."""
        ...

    async def behind(self) -> list[int]:
        """Shards that may lack what the archive holds: they were wiped, or lost their tail. One round trip a server."""
        ...

    async def caught_up(self, fence: int, shard: int, epoch: int) -> None:
        """Say that a shard has again everything that it lacked in `epoch`; under another one it changes nothing. Raises
        Fenced."""
        ...


class Restorer(Protocol):
    """Brings rooms and people back into a message log that has lost them. Used on first touch and by the leader."""

    async def restore_rooms(self, rooms: Sequence[str]) -> set[str]:
        """Make these rooms at least as new as the archive has them; those it knows. Raises ArchiveUnavailable."""
        ...

    async def restore_users(self, users: Sequence[str]) -> set[str]:
        """The same of people: accounts, tokens, rooms they are in, markers."""
        ...
