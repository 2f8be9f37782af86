"""The messages of the open room, drawn row by row.

Where one reads stays where it is. Every change (older messages, an edit above, another width) first notes which row of
which message is the topmost, and afterwards scrolls there again, before anything is drawn; unless one was at the end:
then one stays at the end. What comes below meanwhile is counted on a button: "3 new ↓".

A long room is laid out only as far back as one has scrolled: `_from` is the seq of the first message laid. Further ones
that are loaded are laid some hundred at a time, before any are fetched. So neither opening a room nor another width
costs more when thousands of messages are loaded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dchat_client.transcript import Line, Transcript
from dchat_client.tui import palette
from dchat_client.tui.rows import GUTTER_WIDTH, Measure
from dchat_client.tui.sheet import Block, Key, Quote, Sheet, key_of

_UNKNOWN: Quote = ("", "")
MOST_QUOTES = 500
"""Fetched quotes that are kept; with more, the first ones are fetched again when they come in sight."""
LAID_FIRST = 300
"""Messages laid out when a room is opened, and more each time one scrolls to the first of them."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The topmost row: of which message, and how far above that one's end, for what stands above a message (the day)
    comes and goes. None: the end, whatever comes.
    """

    key: Key
    above_end: int


class Reading(ScrollView, inherit_bindings=False):
    """Shows one transcript at a time; `show` another. It never changes it."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Reading {
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
    }
    """

    class Older(Message):
        """The first loaded message is near: older ones are wanted."""

    class Quoted(Message):
        """A message in sight answers one that is not loaded: its text is wanted for the quote."""

        def __init__(self, room: str, seq: int) -> None:
            super().__init__()
            self.room, self.seq = room, seq

    class Seen(Message):
        """More messages have come in sight, or the end has come or gone."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.palette_name = "dark"
        self.selected: Key | None = None
        """The message that stands out."""
        self._transcript = Transcript("")
        self._me = ""
        self._sheet = Sheet("", Measure.of(80), self._quoted)
        self._quotes: dict[tuple[str, int], Quote] = {}
        """What was fetched for quotes; asked for and not there yet: ("", "")."""
        self._from = 0
        self._place: _Place | None = None
        self._places: dict[str, tuple[_Place | None, int]] = {}
        self._seen_to = 0
        self._asked_older = False

    # What is shown

    def show(self, transcript: Transcript, me: str) -> None:
        """Show another room, at the place where one was in it, else at its end."""
        if self._transcript.room:
            self._places[self._transcript.room] = (self._place, self._seen_to)
        self._transcript, self._me = transcript, me
        self._place, self._seen_to = self._places.get(transcript.room, (None, 0))
        self._asked_older, self._from = False, 0
        self.deselect()
        self._anew()

    def redraw(self, changed: Iterable[Line | None]) -> None:
        """Take what has changed in the transcript: these lines. None: anything."""
        lines = self._laid_lines()
        added = self._added(lines, changed)
        if added:
            self._sheet.append(lines, added)
        else:
            self._sheet.lay(lines, self._transcript.unread_after)
        if self.selected is not None and self._sheet.index_of(self.selected) is None:
            self.deselect()
        self._settle()

    def deselect(self) -> None:
        """Have no message stand out."""
        if self.selected is not None:
            self.selected = None
            self.refresh()

    @property
    def is_at_end(self) -> bool:
        """The newest message is in sight, and stays so when more come."""
        return self._place is None

    @property
    def seen_to(self) -> int:
        """The seq of the last message that was in sight."""
        return self._seen_to

    @property
    def new_below(self) -> int:
        """How many messages of others have come below what one sees."""
        if self.is_at_end:
            return 0
        lines = self._transcript.lines
        first = bisect_left(lines, self._seen_to + 1, key=lambda line: line.seq)
        return sum(line.kind == "message" and line.sender != self._me for line in lines[first:])

    def go_to_unread(self) -> None:
        """Scroll to where one stopped reading, when that is above what the end shows."""
        after = self._transcript.unread_after
        if after is None or not self._transcript.is_loaded:
            return
        first = next((line for line in self._transcript.lines if line.seq > after), None)
        if first is None:
            return
        self._seen_to = after
        if self._from and first.seq < self._from:
            self._lay_from(first.seq)
        index = self._sheet.index_of(first.seq)
        if index is not None:
            top = self._sheet.height_above(index)
            if top < self._sheet.height - self._rows_shown:
                self._scroll(max(0, top - 1))
            self._note_seen()

    # Scrolling

    def scroll_pages(self, count: int) -> None:
        """Scroll by pages that have two rows in common."""
        self._scroll(self._top + count * max(1, self._rows_shown - 2))

    def go_to_oldest(self) -> None:
        """Scroll to the first message that is laid out."""
        self._scroll(0)

    def go_to_end(self) -> None:
        """Scroll to the end, and stay there."""
        self._place = None
        self._settle()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Note the place, whatever scrolled: keys, wheel, scrollbar."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._note_place()

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self._scroll(self._top - 3)

    def _on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self._scroll(self._top + 3)

    # Laying out

    @property
    def _rows_shown(self) -> int:
        return self.size.height

    @property
    def _top(self) -> int:
        return self.scroll_offset.y

    @property
    def _blank_rows(self) -> int:
        """Rows left blank above a transcript that does not fill the view."""
        return max(0, self._rows_shown - self._sheet.height)

    def _anew(self) -> None:
        """Lay out for this width and room, from scratch."""
        self._sheet = Sheet(self._me, Measure.of(self.size.width), self._quoted)
        lines = self._transcript.lines
        first = len(lines) - LAID_FIRST
        if self._place is not None and isinstance(self._place.key, int):
            first = min(first, bisect_left(lines, self._place.key, key=lambda line: line.seq) - LAID_FIRST // 2)
        self._from = lines[first].seq if first > 0 else 0
        self._sheet.lay(self._laid_lines(), self._transcript.unread_after)
        self._settle()

    def _laid_lines(self) -> list[Line]:
        lines = self._transcript.lines
        if self._from:
            lines = lines[bisect_left(lines, self._from, key=lambda line: line.seq) :]
        return [*lines, *self._transcript.pending]

    def _lay_from(self, seq: int) -> None:
        """Lay out from some messages above `seq` on."""
        lines = self._transcript.lines
        first = bisect_left(lines, seq, key=lambda line: line.seq) - LAID_FIRST
        self._from = lines[first].seq if first > 0 else 0
        self._sheet.lay(self._laid_lines(), self._transcript.unread_after)
        self._settle()

    def _added(self, lines: list[Line], changed: Iterable[Line | None]) -> list[Line]:
        """Return the lines that came below the last one, if nothing else has changed; else none."""
        blocks, transcript = self._sheet.blocks, self._transcript
        if not blocks or transcript.pending or self._sheet.unread_after != transcript.unread_after:
            return []
        last = blocks[-1].line
        if last.sending is not None or any(line is None or line.seq <= last.seq for line in changed):
            return []
        added = lines[len(blocks) :]
        return added if added and lines[len(blocks) - 1] is last else []

    def _settle(self) -> None:
        """Scroll to the noted place in what is laid out now, all in one step."""
        place = self._place
        self.virtual_size = Size(self.size.width, max(self._sheet.height, self._rows_shown))
        target = self.max_scroll_y
        if place is not None:
            index = self._sheet.index_of(place.key)
            if index is None and isinstance(place.key, int):
                target = 0  # let go at the top, because there were too many
            elif index is not None:
                target = self._sheet.height_above(index + 1) - place.above_end
        self.scroll_target_y = self.scroll_y = target
        self._place = place
        self._note_place()
        self.refresh()

    def _scroll(self, y: int) -> None:
        self.scroll_target_y = self.scroll_y = min(max(0, y), self.max_scroll_y)
        self._note_place()

    def _note_place(self) -> None:
        was_at_end, seen_before = self.is_at_end, self._seen_to
        found = self._sheet.at(self._top)
        if found is None or self._top >= self.max_scroll_y:
            self._place = None
        else:
            index, row = found
            block = self._sheet.blocks[index]
            self._place = _Place(key_of(block.line), len(block.rows) - row)
        self._note_seen()
        self._want_quotes()
        if self._seen_to != seen_before or was_at_end != self.is_at_end:
            self.post_message(self.Seen())
        if self._top < self._rows_shown and self.size.height:
            self._want_older()

    def _note_seen(self) -> None:
        seen = self._transcript.newest
        if not self.is_at_end:
            found = self._sheet.at(self._top + self._rows_shown - 1)
            seen = self._sheet.blocks[found[0]].line.seq if found is not None else 0
        self._seen_to = max(self._seen_to, seen)

    def _want_quotes(self) -> None:
        """Ask for what messages in sight answer, each once."""
        for y in range(self._top, min(self._top + self._rows_shown, self._sheet.height)):
            found = self._sheet.at(y)
            around = self._sheet.blocks[found[0]].around if found is not None else None
            if found is None or around is None or around.quote != _UNKNOWN:
                continue
            place = (self._transcript.room, self._sheet.blocks[found[0]].line.reply_to or 0)
            if place not in self._quotes:
                while len(self._quotes) >= MOST_QUOTES:
                    del self._quotes[next(iter(self._quotes))]
                self._quotes[place] = _UNKNOWN
                self.post_message(self.Quoted(*place))

    def quote_came(self, room: str, seq: int, quote: Quote) -> None:
        """Show what a message that is not loaded says where it is answered."""
        self._quotes[room, seq] = quote
        if room == self._transcript.room:
            self.redraw([None])

    def _quoted(self, seq: int) -> Quote:
        line = self._transcript.find(seq)
        if line is None:
            return self._quotes.get((self._transcript.room, seq), _UNKNOWN)
        return line.sender, "(deleted)" if line.deleted else line.text.partition("\n")[0][:500]

    def _want_older(self) -> None:
        if self._from:
            self.call_next(self._lay_from, self._from)
        elif self._transcript.is_loaded and self._transcript.has_older and not self._asked_older:
            self._asked_older = True
            self.post_message(self.Older())

    def older_came(self) -> None:
        """Older messages came, or could not be had: they may be asked for again."""
        self._asked_older = False

    def _on_resize(self, event: events.Resize) -> None:
        self._anew()

    def notify_style_update(self) -> None:
        """Another theme: what is drawn is not right any more."""
        super().notify_style_update()
        for block in self._sheet.blocks:
            block.drawn.clear()

    # Drawing

    def render_line(self, y: int) -> Strip:
        """Return one row as Textual draws it."""
        width, base = self.size.width, self.rich_style
        found = self._sheet.at(self._top + y - self._blank_rows)
        if found is None:
            strip = Strip.blank(width, base)
        else:
            index, row = found
            block = self._sheet.blocks[index]
            strip = self._drawn(block, row)
            if self.selected is not None and key_of(block.line) == self.selected:
                mark = Strip([Segment("▌" if self.has_focus else "│", self._style("unread"))], 1)
                strip = Strip.join([mark, strip.crop(GUTTER_WIDTH)]).apply_style(self._style("selected"))
            strip = strip.apply_style(base)
        if y == self._rows_shown - 1 and (button := self._button()):
            end = width - 1 - cell_len(button)
            strip = Strip.join([strip.crop(0, end), Strip([Segment(button, self._style("more")), Segment(" ", base)])])
        return strip

    def _button(self) -> str:
        if self.is_at_end:
            return ""
        return f" {self.new_below} new ↓ " if self.new_below else " ↓ "

    def _drawn(self, block: Block, row: int) -> Strip:
        strip = block.drawn.get(row)
        if strip is None:
            segments = [Segment(text, self._style(name)) for text, name in block.rows[row]]
            strip = Strip(segments).adjust_cell_length(self.size.width)
            block.drawn[row] = strip
        return strip

    def _style(self, name: str) -> Style:
        return palette.style(self.palette_name, name)

    def refresh_button(self) -> None:
        """Draw the last row anew, where the button is."""
        self.refresh(Region(0, self._rows_shown - 1, self.size.width, 1))
