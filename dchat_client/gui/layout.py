"""What to change in a list of blocks so that it becomes another one, with as little moved as can be. Pure.

A transcript changes at its ends nearly always: messages come below, older ones above, the oldest are let go. So the
two lists are laid side by side by their first common block, what hangs over is cut off or put on, and whatever still
differs behind that lies between a common beginning and a common end. Cost: one look at each block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Keyed(Protocol):
    """Something with a key that is its own in the list; equality says whether it looks the same."""

    @property
    def key(self) -> str: ...


B = TypeVar("B", bound=Keyed)


@dataclass(frozen=True, slots=True)
class Change(Generic[B]):
    """Replace the blocks `start`..`end` (exclusive) by `blocks`. Later changes count from the result of this one."""

    start: int
    end: int
    blocks: tuple[B, ...]


def changes(shown: Sequence[B], wanted: Sequence[B]) -> list[Change[B]]:
    """Return what turns `shown` into `wanted`, to be done in order."""
    found: list[Change[B]] = []
    at = {block.key: index for index, block in enumerate(shown)}
    first = next((index for index, block in enumerate(wanted) if block.key in at), None)
    if first is None:
        return [Change(0, len(shown), tuple(wanted))] if shown or wanted else []
    over = at[wanted[first].key]
    if over or first:
        found.append(Change(0, over, tuple(wanted[:first])))
    rest, target = shown[over:], wanted[first:]
    same = 0
    while same < min(len(rest), len(target)) and rest[same].key == target[same].key:
        if rest[same] != target[same]:
            found.append(Change(first + same, first + same + 1, (target[same],)))
        same += 1
    tail = 0
    while tail < min(len(rest), len(target)) - same and rest[-1 - tail].key == target[-1 - tail].key:
        if rest[-1 - tail] != target[-1 - tail]:
            place = first + len(rest) - 1 - tail
            found.append(Change(place, place + 1, (target[-1 - tail],)))
        tail += 1
    if same + tail < max(len(rest), len(target)):
        found.append(Change(first + same, first + len(rest) - tail, tuple(target[same : len(target) - tail])))
    return found
