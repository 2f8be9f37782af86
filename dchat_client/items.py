"""What a session hands to its face: plain values, in the order in which they are to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from dchat_client.position import Position, place_of


class Phase(Enum):
    """How the connection is doing, as a person would say it."""

    CONNECTING = "connecting"
    LIVE = "live"
    DEGRADED = "degraded"
    RECONNECTING = "reconnecting"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Status:
    """`retry_in_s` is given while reconnecting; `reason` says why it is not simply live."""

    phase: Phase
    retry_in_s: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """`number` orders the items of one session; committing one commits all with a lower number."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Item):
    """A durable event of a room:

    exactly once, in the room's order, nothing missing before it but announced gaps.
    """

    event: dict[str, Any]
    room: str
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing(Item):
    """An event without a place in a room (`read`, and types to come):

    shown when it is useful, never repeated.
    """

    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class GapRange:
    """Events `first`..`last` (inclusive `seq`) of `room` did not come over the stream, or have changed.

    `seen` is what had been taken of the room before; None when nothing.
    """

    room: str
    first: int
    last: int
    seen: Position | None = None

    def is_new(self, message: dict[str, Any]) -> bool:
        """Tell whether a message of a page lies in this gap and was not taken before."""
        place = place_of(message)
        if place is None or place[0] != self.room or not self.first <= place[1].seq <= self.last:
            return False
        return self.seen is None or place[1] > self.seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Item):
    """Something is missing. Fetch the ranges as pages, tell `Session.recovered` of each, then commit this.

    `announced` is True when the server said so, False when the numbers told it.
    """

    ranges: tuple[GapRange, ...]
    announced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChanged(Item):
    """The connection's phase changed.

    `hello` is the server's greeting when this is the start of a live stream.
    """

    status: Status
    hello: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Item):
    """The server has sent what was missed;

    `replayed` counts its events, repeats that were dropped included.
    """

    replayed: int
