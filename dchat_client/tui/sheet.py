"""A transcript laid out: which row of which line stands at which height. Pure.

Rows are made once for each line, width and surroundings. A change lays out again what it can have touched; the rest is
adding up heights, so that a message more costs the same in a long room as in a short one, and a whole new layout of
5,000 messages (a page, another width) some tens of milliseconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from textual.strip import Strip

from dchat_client.transcript import Line
from dchat_client.tui.rows import Around, Measure, Row, follows, moment, rows_of

Key = int | str
"""What names a line for good: its seq, or its client_id while it has none."""
Quote = tuple[str, str]
"""Who said what; ("", "") when that is not known here."""


@dataclass(slots=True)
class Block:
    """The rows of one line, and beside them what the view has drawn of them so far."""

    line: Line
    version: int
    around: Around
    rows: tuple[Row, ...]
    drawn: dict[int, Strip] = field(default_factory=dict)


def key_of(line: Line) -> Key:
    """Return the name of a line. It changes once, when one's own message is stored."""
    return line.seq or line.client_id or ""


class Sheet:
    """The rows of one room, for one width."""

    def __init__(self, me: str, measure: Measure, quoted: Callable[[int], Quote]) -> None:
        """`quoted` gives what is quoted of the message of a seq."""
        self.measure = measure
        self.blocks: list[Block] = []
        self.unread_after: int | None = None
        self._me, self._quoted = me, quoted
        self._ends: list[int] = []
        self._index: dict[Key, int] = {}

    @property
    def height(self) -> int:
        """How many rows there are."""
        return self._ends[-1] if self._ends else 0

    def lay(self, lines: Sequence[Line], unread_after: int | None) -> None:
        """Lay out all lines; what has not changed keeps its rows."""
        known = {key_of(block.line): block for block in self.blocks}
        self.unread_after = unread_after
        self.blocks = []
        before: Line | None = None
        for line in lines:
            self.blocks.append(self._block(line, before, known.get(key_of(line))))
            before = line
        self._measure(0)

    def append(self, lines: Sequence[Line], added: Sequence[Line]) -> None:
        """Lay out `added`, the end of `lines`, below the rest, which has not changed."""
        first = len(lines) - len(added)
        del self.blocks[first:]
        for offset, line in enumerate(added):
            at = first + offset
            self.blocks.append(self._block(line, lines[at - 1] if at else None, None))
        self._measure(first)

    def height_above(self, index: int) -> int:
        """Return how many rows stand above the line at `index`."""
        return self._ends[index - 1] if index else 0

    def index_of(self, key: Key) -> int | None:
        """Return where the line of that name stands among the blocks."""
        return self._index.get(key)

    def at(self, y: int) -> tuple[int, int] | None:
        """Return the index of the block that has row `y`, and which of its rows that is."""
        if not 0 <= y < self.height:
            return None
        index = bisect_right(self._ends, y)
        return index, y - self.height_above(index)

    def _block(self, line: Line, before: Line | None, known: Block | None) -> Block:
        same_sender, same_minute = follows(before, line)
        day = moment(line.ts).day
        around = Around(
            day=day if before is None or moment(before.ts).day != day else None,
            is_first_unread=self._is_first_unread(line, before),
            same_sender=same_sender,
            same_minute=same_minute,
            quote=self._quoted(line.reply_to) if line.reply_to is not None and not line.deleted else None,
        )
        if around.is_first_unread or around.day is not None:
            around = Around(around.day, around.is_first_unread, quote=around.quote)
        if known is not None and known.line is line and known.version == line.version and known.around == around:
            return known
        return Block(line, line.version, around, rows_of(line, around, self.measure, self._me))

    def _is_first_unread(self, line: Line, before: Line | None) -> bool:
        after = self.unread_after
        if after is None or line.seq <= after:
            return False
        # Of the first line laid out nobody knows whether it is the first unread one, unless it comes next.
        return before.seq <= after if before is not None else line.seq == after + 1

    def _measure(self, first: int) -> None:
        start = self._ends[first - 1] if first else 0
        heights = (len(block.rows) for block in self.blocks[first:])
        self._ends[first:] = list(accumulate(heights, initial=start))[1:]
        if first == 0:
            self._index = {key_of(block.line): index for index, block in enumerate(self.blocks)}
        else:
            # Names that are gone may stay behind; `index_of` must not find another line by them.
            for index in range(first, len(self.blocks)):
                self._index[key_of(self.blocks[index].line)] = index
