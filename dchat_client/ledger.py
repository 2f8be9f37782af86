"""What a reader was handed and what it has taken: the book-keeping behind `Session.commit`. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from dchat_client.position import UNKNOWN_EPOCH, Bookmark, Position


@dataclass(slots=True)
class _Mark:
    """What committing item `number` moves. A `silent` mark has no item and follows the one before it."""

    number: int
    cursor: str | None = None
    moves: tuple[tuple[str, Position], ...] = ()
    covers: tuple[tuple[str, int], ...] = ()
    forgets: str | None = None
    silent: bool = False


class Ledger:
    """Two places: `seen`, up to which items were handed out, and the committed one, which is stored."""

    def __init__(self, bookmark: Bookmark | None = None) -> None:
        self._committed = bookmark.copy() if bookmark else Bookmark()
        self._seen = dict(self._committed.positions)
        self._marks: deque[_Mark] = deque()
        self._number = 0

    @property
    def cursor(self) -> str | None:
        """The committed cursor."""
        return self._committed.cursor

    @property
    def is_settled(self) -> bool:
        """Nothing waits to be committed."""
        return not self._marks

    def bookmark(self) -> Bookmark:
        """Return a copy of the committed place."""
        return self._committed.copy()

    def seen(self, room: str) -> Position | None:
        """Return the last position handed out of `room`; None when it has none."""
        return self._seen.get(room)

    def next_number(self) -> int:
        """Return the number of the next item."""
        self._number += 1
        return self._number

    def hand_out(
        self,
        number: int,
        cursor: str | None,
        moves: Iterable[tuple[str, Position]] = (),
        *,
        covers: Iterable[tuple[str, int]] = (),
        forgets: str | None = None,
    ) -> None:
        """Item `number` goes to the face:

        `seen` moves now, the committed place with the item.

        `moves` are positions it brings; `covers` says up to which `seq` it accounts for a room, whatever
        the epoch.

        """
        mark = _Mark(number, cursor, tuple(moves), tuple(covers), forgets)
        self._seen.update(mark.moves)
        for room, last in mark.covers:
            _cover(self._seen, room, last)
        if forgets is not None:
            self._seen.pop(forgets, None)
        self._marks.append(mark)

    def pass_by(self, cursor: str | None) -> None:
        """The stream moved to `cursor` with nothing to show: committed as soon as all before it is."""
        if cursor is None:
            return
        mark = _Mark(self._number, cursor, silent=True)
        if not self._marks:
            self._settle(mark)
        elif self._marks[-1].silent:
            self._marks[-1] = mark
        else:
            self._marks.append(mark)

    def commit(self, number: int) -> None:
        """Everything up to item `number` was taken."""
        while self._marks and (self._marks[0].silent or self._marks[0].number <= number):
            self._settle(self._marks.popleft())

    def take(self, room: str, position: Position) -> None:
        """The face took the room up to `position` by other means than the stream."""
        self._seen[room] = max(position, self._seen.get(room, position))
        self._committed.advance(room, position)

    def recover(self, room: str, position: Position) -> None:
        """The face took an event of a gap that is handed out and not committed yet.

        `seen` stays at the end of the gap, now with the epoch known. The committed place does not go there
        before the gap is committed: a restart in the middle of recovering must find the rest of it missing.
        """
        seen = self._seen.get(room, position)
        self._seen[room] = Position(max(seen.epoch, position.epoch), max(seen.seq, position.seq))
        self._committed.advance(room, position)

    def rewind(self) -> None:
        """Forget what was handed out and not committed."""
        self._marks.clear()
        self._seen = dict(self._committed.positions)

    def _settle(self, mark: _Mark) -> None:
        if mark.cursor is not None:
            self._committed.cursor = mark.cursor
        for room, position in mark.moves:
            self._committed.advance(room, position)
        for room, last in mark.covers:
            _cover(self._committed.positions, room, last)
        if mark.forgets is not None:
            self._committed.positions.pop(mark.forgets, None)


def _cover(positions: dict[str, Position], room: str, last: int) -> None:
    """Move a room up to `last`.

    When that lies within what was seen it stays: the epoch tells what was lost.
    """
    seen = positions.get(room, Position(UNKNOWN_EPOCH, 0))
    if last > seen.seq:
        positions[room] = Position(seen.epoch, last)
