"""Where a reader is in each room, and by that, what is a repeat and what is missing. Pure.

A room numbers what happens in it densely: 1, 2, 3, … The *epoch* rises when the server may have lost the
end of a room; it then numbers on from what it still has, so (epoch, seq) always grows along the room as it
is now, and an event that is not above the last one seen, compared that way, has been seen or belongs to an
end that no longer exists.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Position(NamedTuple):
    """The last place seen in a room.

    `epoch` is -1 when only the number is known, not the epoch it was given in.
    """

    epoch: int
    seq: int


UNKNOWN_EPOCH = -1


def place_of(event: dict[str, Any]) -> tuple[str, Position] | None:
    """Return room and position of a durable event or of a message from a page; None when it has no place."""
    room, seq, epoch = event.get("room"), event.get("seq"), event.get("epoch", 0)
    if not isinstance(room, str) or type(seq) is not int or type(epoch) is not int or seq < 1:
        return None
    return room, Position(epoch, seq)


@dataclass(slots=True)
class Bookmark:
    """A reader's place: the cursor to resume from, and the last position taken in each room.

    The positions are needed beside the cursor because events that travel in one write share its one cursor:
    after taking half of them the cursor is still before them all, and the positions tell the repeats.
    """

    cursor: str | None = None
    positions: dict[str, Position] = field(default_factory=dict)

    def copy(self) -> Bookmark:
        """Return an independent copy."""
        return Bookmark(self.cursor, dict(self.positions))

    def advance(self, room: str, position: Position) -> None:
        """Move the room's position up to `position`; it never moves back."""
        self.positions[room] = max(position, self.positions.get(room, position))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"cursor": self.cursor, "positions": {room: list(at) for room, at in self.positions.items()}}

    @classmethod
    def from_json(cls, value: object) -> Bookmark:
        """Return the bookmark `to_json` wrote. Raises ValueError when it is anything else."""
        if not isinstance(value, dict) or not isinstance(value.get("positions"), dict):
            raise ValueError("not a bookmark")
        cursor, positions = value.get("cursor"), {}
        if not (cursor is None or (isinstance(cursor, str) and cursor)):
            raise ValueError("the cursor is no text")
        for room, at in value["positions"].items():
            if not (isinstance(at, list) and len(at) == 2 and all(type(number) is int for number in at)):
                raise ValueError(f"the position of {room!r} is not [epoch, seq]")
            positions[room] = Position(*at)
        return cls(cursor, positions)
