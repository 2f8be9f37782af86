"""What the engine tells and the model takes: plain values, in order, so that the two may live in different threads.

`Asked` and what answers it (`PageCame` or `Unanswered`) bracket a page that is under way: what happens in between, the
model applies to the page again, because nobody knows whether the server had it when it wrote the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dchat_client.errors import ChatError
from dchat_client.items import Status
from dchat_client.outbox import Entry, Outcome

Row = Mapping[str, Any]
"""A JSON object as the server gave it: a room, a member, a message."""


@dataclass(frozen=True, slots=True)
class Synced:
    """All rooms one is in, as they stand (`GET /v1/sync`): at the start, after each new connection and each gap.

    A room whose read marker was being moved meanwhile comes without `read`, `unread` and `mentions`: ours are newer.
    """

    user: Row
    rooms: Sequence[Row]


@dataclass(frozen=True, slots=True)
class RoomIs:
    """One room, as it stands; after joining it, or when its counts have to be asked for."""

    room: Row


@dataclass(frozen=True, slots=True)
class Happened:
    """A durable event: once, in its room's order."""

    event: Row


@dataclass(frozen=True, slots=True)
class Passed:
    """An event without a place in a room: `read`, `typing`."""

    event: Row


@dataclass(frozen=True, slots=True)
class StatusIs:
    """How the connection is doing."""

    status: Status


@dataclass(frozen=True, slots=True)
class Missed:
    """Something did not come over the stream; what is shown of these rooms is read anew. Empty: of all rooms."""

    rooms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A page of the room has been asked for."""

    room: str


@dataclass(frozen=True, slots=True)
class PageCame:
    """Messages of a room, oldest first, in their present state at `head` or a little later.

    `before` None: the newest ones, and they replace what was shown; else those just below that seq.
    """

    room: str
    messages: Sequence[Row]
    head: int
    has_more: bool
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The page that was asked for does not come; a `Failed` says why."""

    room: str


@dataclass(frozen=True, slots=True)
class Queued:
    """One's own message waits to be sent; again, when it had failed."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Settled:
    """One's own message was stored, or refused for good."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Dropped:
    """One's own message was taken back before it was sent."""

    room: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Marked:
    """One's own read marker moves to `seq`; the server is being told."""

    room: str
    seq: int


@dataclass(frozen=True, slots=True)
class MembersAre:
    """The people of a room."""

    room: str
    members: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Failed:
    """Something that the person asked for was not done. `what` says it in words: "The topic was not changed"."""

    what: str
    error: ChatError
    room: str | None = None


Update = (
    Synced
    | RoomIs
    | Happened
    | Passed
    | StatusIs
    | Missed
    | Asked
    | PageCame
    | Unanswered
    | Queued
    | Settled
    | Dropped
    | Marked
    | MembersAre
    | Failed
)
