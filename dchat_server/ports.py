"""What the server asks of the world outside, as protocols. Adapters implement them; each has a contract suite in
`tests/contract/` that every adapter runs.

All of them raise `BackendUnavailable` when what is behind them does not answer within a few seconds; the outcome of a
write is then unknown, and repeating it with the same key is safe.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from dchat_server.chunk import State
from dchat_server.errors import ChatError
from dchat_server.model import Control, Draft, Event, Message, Position, Room, Sent


class Trimmed(Exception):
    """What was asked for is not in the log (any more), which begins behind it: the archive has it. `place` is what the
    log alone knows, where a place was asked for."""

    def __init__(self, place: Place | None = None) -> None:
        super().__init__("the log begins behind what was asked for")
        self.place = place or Place(0, 0)


class Place(NamedTuple):
    """Where in a room to begin: `first` seq and the room's `head`. Events up to `given_up` were wanted as well, and are
    gone: they were older than the room keeps them."""

    first: int
    head: int
    given_up: int = 0


class Moved(Exception):
    """The room was archived further between two reads that had to fit each other: begin anew."""


class Archived(Event):
    """An event that was read from the archive. `known` is the room's watermark, learned before: while it still holds,
    `state` is all that became of the message, but for what the log says."""

    state: State | None
    known: int

    @classmethod
    def of(cls, event: Event, state: State | None, known: int) -> Archived:
        made = cls(*event)
        made.state, made.known = state, known
        return made


@dataclass(frozen=True, slots=True)
class Edge:
    """How far a room goes. The archive holds `floor` to `watermark`, the log `first` to `head`; before `floor` there is
    nothing any more. `cut` is (feed offset, time in ms) of the last event that left the log, as far as that is known:
    (0, 0) when none did. `epochs` are (epoch, first seq written under it)."""

    head: int
    watermark: int
    floor: int
    first: int
    cut: tuple[int, int]
    epochs: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change to a message: `action` is edit, delete, add or remove (a reaction); `value` the new text or the
    emoji; `others` the roles that may act although they are not the author (None: the actor is the author, or
    anybody may)."""

    action: str
    target: int
    value: str = ""
    others: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    """Whom the new text calls; of a deletion, whom the text called."""
    former: tuple[str, ...] = ()
    """Of an edit: whom the text called until now."""
    base: Mapping[str, str | bytes] = field(default_factory=dict)
    """The state that the message has in the archive, as fields of lua/amend.lua; and the watermark known before it was
    read."""
    known: int = 0


class RoomLog(Protocol):
    """The recent, ordered events of each room, shared by all workers."""

    async def send(self, room: str, draft: Draft) -> Sent:
        """Store `draft` as the room's next event and return its place.

        One round trip, shared with other sends in flight; what is sent once this has returned comes behind it. Safe to
        repeat with the same `client_id` for 24 h: the first place comes back. Raises ChatError room_not_found,
        not_a_member, read_only, room_archived, idempotency_conflict, overloaded.
        """
        ...

    def post(self, room: str, draft: Draft, told: Callable[[Sent | Exception | None], None]) -> None:
        """`send` for callers that are no tasks: `told` is called once, later, with the place or with what `send` would
        raise. With None nothing has happened, and only `send` can find out more. Raises ChatError overloaded."""
        ...

    async def send_many(self, room: str, drafts: Sequence[Draft]) -> list[Sent | ChatError]:
        """Store up to 256 drafts in order, together or not at all; each one's place or refusal. Like `send`."""
        ...

    async def amend(self, room: str, actor: str, amendment: Amendment) -> bool:
        """Apply a change to a message; False when it was so already and nothing happened. One round trip.

        Raises Moved when the room was archived further since the message was read.
        """
        ...

    async def read(self, room: str, after: int, limit: int) -> list[Event]:
        """Up to `limit` events after seq `after`, oldest first, without holes. One or two round trips.

        The log alone raises Trimmed when those have left it; timeline.py reads on in the archive, and begins behind
        `after` only when retention has taken what lay there.
        """
        ...

    async def read_back(self, room: str, before: int | None, limit: int) -> list[Event]:
        """Up to `limit` events before seq `before` (None: the newest), newest first, without holes. The log alone ends
        where it begins."""
        ...

    async def edge(self, room: str) -> Edge | None:
        """How far the room goes; None when there is no such room. One round trip."""
        ...

    async def locate(self, room: str, *, offset: int | None = None, since_ms: int | None = None) -> Place:
        """The first seq past a feed offset, or not older than a time; head + 1 when there is none. The log alone raises
        Trimmed when an event that left it may be wanted."""
        ...

    async def present(self, events: Sequence[Event]) -> list[Message]:
        """The messages that these `message` events of one room are now. One round trip. Raises Moved."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What a feed read brought: entries of one shard in order, and the position behind the last."""

    shard: int
    entries: Sequence[Event | Control]
    position: Position


@dataclass(frozen=True, slots=True)
class Lost:
    """The shard's tail is gone: what lay between `position` and what readers had seen. Reading goes on there."""

    shard: int
    position: Position


@dataclass(frozen=True, slots=True)
class Overtaken:
    """The feed was trimmed past this reader; reading goes on at `position`."""

    shard: int
    position: Position


Change = Batch | Lost | Overtaken
Take = Callable[[list[Change]], bool]
"""Is given changes as soon as they are there, from no task in particular; True when it has taken them, all of them."""


def take_nothing(changes: list[Change]) -> bool:
    """A `Take` that leaves all to the task that reads."""
    return False


class FeedDown(Exception):
    """The feed cannot be read right now; iterate again to go on where it stopped."""


class Feed(Protocol):
    """The shards' fan-out streams, as one worker reads them."""

    positions: dict[int, Position]
    """Up to where each shard has been read."""

    async def start(self, backlog: int) -> dict[int, Position]:
        """Open all shards; return where reading begins: `backlog` entries before each head, or less."""
        ...

    def read(self, shards: Sequence[int], take: Take = take_nothing) -> AsyncIterator[list[Change]]:
        """Everything that happens on `shards` from now on, for good; an empty list when nothing happened for a
        while (the reader is alive). What `take` takes is not handed out here, nor does the reader's task wake up for
        it; what `take` raises, this does. Raises FeedDown; call again to go on."""
        ...

    def groups(self) -> Sequence[Sequence[int]]:
        """Shards that one connection can read together."""
        ...


@dataclass(frozen=True, slots=True)
class Marker:
    """A read marker: everything up to `seq` (the `messages`-th message) is read. It was set when the room's head
    was `head`; `back`: the reader moved it back on purpose, so only what they write later moves it on."""

    seq: int
    messages: int
    head: int
    back: bool


@dataclass(frozen=True, slots=True)
class Seat:
    """A room as one person is in it, before counting: `posted` is (seq, messages) of their own last message."""

    room: Room
    role: str | None
    posted: tuple[int, int]


class RoomStore(Protocol):
    """Rooms, who is in them, and how far each person has read."""

    async def create(
        self, room: str, kind: str, creator: str, members: Mapping[str, str], *, topic: str, display_name: str
    ) -> bool:
        """Create a room with its first members (user → role); False when the name is taken. Repeatable."""
        ...

    async def update(
        self, room: str, actor: str, admin: bool, roles: Sequence[str], changes: Mapping[str, str], body: bytes
    ) -> None:
        """Change topic, display_name or archived. Raises ChatError room_not_found, not_a_member, forbidden."""
        ...

    async def set_member(
        self,
        room: str,
        actor: str,
        user: str,
        action: str,
        role: str,
        *,
        admin: bool = False,
        actor_roles: Sequence[str] = (),
        user_roles: Sequence[str] = (),
    ) -> str:
        """Let in, change or let go; returns `ok` or `unchanged`. Raises ChatError like `update`."""
        ...

    async def seats(self, user: str, rooms: Sequence[str]) -> list[Seat | None]:
        """The rooms as `user` sits in them; None for one that does not exist. One round trip a shard."""
        ...

    async def role(self, user: str, room: str) -> tuple[str | None, str | None]:
        """(kind of the room, role of the user in it); (None, None) when there is no such room. One round trip."""
        ...

    async def joined(self, user: str) -> list[str]:
        """Names of the rooms the user is in, sorted. Two round trips."""
        ...

    async def members(self, room: str) -> dict[str, str]:
        """user → role."""
        ...

    async def public_rooms(self, after: str, limit: int, prefix: str = "") -> list[str]:
        """Names of public rooms after `after`, sorted."""
        ...

    async def markers(self, user: str, rooms: Sequence[str]) -> list[Marker | None]:
        """Read markers, one round trip."""
        ...

    async def mark(self, user: str, room: str, marker: Marker, body: bytes) -> Marker:
        """Move a read marker and tell the person's other devices; returns where it stands now."""
        ...

    async def typing(self, room: str, user: str, body: bytes) -> None:
        """Tell all workers that `user` is writing something in a room, with the event in `body`; b"": only see whether
        they may. Nothing is stored, a repeat tells it again. One round trip. Raises ChatError room_not_found,
        not_a_member, read_only, room_archived."""
        ...

    async def count_since(self, user: str, rooms: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """room → (deleted messages, mentions of `user`) after a seq each. One round trip a shard."""
        ...


class Limits(Protocol):
    """Counting that holds over all workers."""

    async def take(self, subject: str, what: str, count: int, *, rate: float, burst: int) -> tuple[int, float]:
        """Take up to `count` from the subject's bucket: (how many were granted, seconds until the next is)."""
        ...
