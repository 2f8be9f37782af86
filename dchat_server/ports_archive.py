"""What the archive is asked for, as a protocol: everything that was ever said, in chunks; rooms and people.

Only the leader writes. Each write carries its fence and is refused (`Fenced`) unless that is the highest one ever
raised; `raise_fence` is the first thing a new leader does. A room changes in one atomic step, from one version to the
next, so of two writers that start from the same version one gets `Conflict`. After ArchiveUnavailable the outcome of a
write is unknown. Making the same commit again (same `record.commit`) finds out: it succeeds when it is there already,
as long as no later step has been made.

Everybody reads, and sees whatever was committed before the read began. A room's record is a promise: all events from
`floor` up to `watermark` are in its chunks, dense. Several chunks read in one call fit together; things read in two
calls may have a commit in between.

Every call ends within about 8 s, raising ArchiveUnavailable when there was no answer. One that has too many others
waiting before it raises that at once. A change over the bounds below raises ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

MAX_PUTS = 40
MAX_PUT_BYTES = 2_000_000
MAX_DROPS = 40
MAX_ROSTER_PARTS = 6
MAX_PART_BYTES = 256 * 1024
"""Bounds of one change."""


class Fenced(Exception):
    """Refused: a leader of a later term has been here (`seen` is its fence); or this fence was never raised."""

    def __init__(self, seen: int = 0) -> None:
        super().__init__(f"a leader with fence {seen} has been here")
        self.seen = seen


class Conflict(Exception):
    """Refused: the room is not at the version this change starts from."""


class Chunk(NamedTuple):
    """A dense run of a room's events, packed by chunk.py: seqs `first` to `last`. `offset` and `ts` are the feed offset
    and the time (ms) of its last event; `offset` rises from chunk to chunk, `ts` does not fall. `data` has at most
    64 KB, unless it is a single event."""

    first: int
    last: int
    offset: int
    ts: int
    data: bytes


@dataclass(frozen=True, slots=True)
class RoomRecord:
    """What the archive holds of a room. Version 0: nothing yet."""

    room: str
    version: int = 0
    watermark: int = 0
    """Events up to this seq are archived."""
    floor: int = 1
    """The first seq still kept; those before were given up by retention."""
    messages: int = 0
    """How many messages the room had at the watermark."""
    ts: int = 0
    offset: int = 0
    """Time (ms) and feed offset of the event at the watermark."""
    epochs: tuple[tuple[int, int], ...] = ()
    """(epoch, first seq written under it), rising."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """kind, topic, display_name, archived, created (ms), creator; and retention (days), when it is set."""
    tail: int = 0
    """First seq of the last chunk."""
    roster_at: int = 0
    """The seq at which the stored roster was right."""
    commit: str = ""
    """Which change made this version: a random text, never empty."""


@dataclass(frozen=True, slots=True)
class RoomChange:
    """One step of a room: `record` replaces the one of version `record.version - 1`. `put` are chunks, those whose
    `first` is there already replace what was there; `drop` are `first` seqs of chunks that go (no matter whether they
    are there), none of them in `put`."""

    record: RoomRecord
    put: Sequence[Chunk] = ()
    drop: Sequence[int] = ()
    roster: Sequence[bytes] | None = None
    """Replaces the stored roster, which is then right at `record.roster_at`; None leaves it."""
    shard: int = 0
    """The room's shard (always the same one), and the position in its feed up to which this change knows it; see
    `Mark`. 0, 0 when it knows nothing of that."""
    epoch: int = 0
    offset: int = 0
    read_under: int = 0
    """The shard's epoch when the events were read from its log; 0 for a change that takes nothing from there. A shard
    that was sealed above it refuses the change (`Conflict`): those events may have been lost since."""


class Mark(NamedTuple):
    """The highest position in a shard's feed, compared as a pair, that any commit knew."""

    epoch: int
    offset: int


@dataclass(frozen=True, slots=True)
class UserRecord:
    """Everything that is kept of a person, as it was in the message log's servers. `account` holds the account's
    fields, `tokens` token id → facts (a JSON object with at least `digest`), `rooms` the rooms the person is in,
    `markers` room → read marker, both in their stored form."""

    user: str
    account: Mapping[str, str]
    tokens: Mapping[str, str]
    rooms: Sequence[str]
    markers: Mapping[str, str]


class Entry(NamedTuple):
    """A line of the directory: `kind` is `room` or `user`; `public`: a room whose `kind` is public in the facts of its
    first version."""

    kind: str
    name: str
    public: bool


class Archive(Protocol):
    """The durable store behind the message log."""

    async def start(self) -> None:
        """Make ready. Raises ArchiveUnavailable (it may be called again; everything else works once it answers), or
        ClusterMismatch when what is there cannot be used."""
        ...

    async def stop(self) -> None:
        """Finish what is under way and close."""
        ...

    async def begin_filling(self, backup: str) -> None:
        """Make ready, in place of `start`, an archive that a backup is to be put into: empty, or filled from the same
        one in part. Until `end_filling`, `start` raises ClusterMismatch, so that nobody takes a part for the whole. One
        write. Repeatable. Raises ClusterMismatch when a leader was ever here, or another backup."""
        ...

    async def end_filling(self, backup: str) -> None:
        """Say that all of it is there. One write. Repeatable."""
        ...

    async def identity(self) -> str:
        """A random text given to this archive when it was made: tells it from every other."""
        ...

    async def fence(self) -> int:
        """The highest fence it saw; 0 when there was none."""
        ...

    async def raise_fence(self, fence: int) -> None:
        """From now on refuse lower fences, everywhere at once. Repeatable; repeat it after ArchiveUnavailable, before
        anything is written. Raises Fenced when a higher one was seen."""
        ...

    async def marks(self) -> dict[int, Mark]:
        """shard → mark, of the shards a room of which was ever written. One read (a hundred shards)."""
        ...

    async def seal(self, shard: int, epoch: int) -> int:
        """From now on refuse changes whose events were read under a lower epoch of this shard; the seal that holds now,
        which is a higher one where somebody was there before. Any worker does this before it begins an epoch (that one
        or a later), and reads the marks afterwards: what they say by then is all that the archive will ever have of
        earlier epochs. One write. Repeatable; a lower seal changes nothing."""
        ...

    async def rooms(self, names: Sequence[str]) -> dict[str, RoomRecord]:
        """The records of those rooms that it knows. One read a hundred rooms."""
        ...

    async def roster(self, room: str) -> tuple[int, list[bytes]]:
        """The seq at which the stored roster is right, and its parts, all of one commit; (0, []) when there is none.
        One read or two. A record that is read afterwards has its watermark there or further."""
        ...

    async def commit(self, fence: int, change: RoomChange) -> None:
        """Make one atomic step. One transaction. Raises Fenced, Conflict; after ArchiveUnavailable the outcome is
        unknown. Repeatable: when the room's record is of this version and has the same `commit`, it returns at once."""
        ...

    async def chunk(self, room: str, seq: int) -> Chunk | None:
        """The chunk that holds `seq`: the last one with `first` <= seq; None when there is none. One read, whatever
        the room's length."""
        ...

    async def chunks(self, room: str, seq: int, limit: int) -> list[Chunk]:
        """The chunk that holds `seq` (or the first behind it) and those that follow, up to `limit`, by `first`."""
        ...

    async def chunks_back(self, room: str, seq: int, limit: int) -> list[Chunk]:
        """The chunk that holds `seq` (or the last before it) and those before, up to `limit`, newest first."""
        ...

    async def find(self, room: str, *, offset: int | None = None, ts: int | None = None) -> Chunk | None:
        """The first chunk whose `offset` is greater (`ts` not less) than the given one; None when there is none.
        A few reads, about log2 of the number of chunks at most."""
        ...

    async def save_users(self, fence: int, records: Sequence[tuple[int, UserRecord]]) -> None:
        """Replace these people's records, given with their shard, each atomically; none or some of them may be saved
        when it raises. Repeatable. Raises Fenced."""
        ...

    async def users(self, names: Sequence[str]) -> dict[str, UserRecord]:
        """The records of those people that it knows."""
        ...

    async def token_user(self, digest: str) -> str | None:
        """Whose token this is, by its SHA-256; None when nobody's. One read or two."""
        ...

    async def directory(self, shard: int, after: str, limit: int) -> list[Entry]:
        """Up to `limit` rooms and people of a shard, sorted by "kind:name", behind `after` (an earlier entry's
        "kind:name"; empty: from the start)."""
        ...

    async def write_units(self) -> float:
        """How many write units this process has used so far; 0 where nobody counts them."""
        ...
