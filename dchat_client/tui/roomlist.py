"""The list of rooms: a row each, with what is unread in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dchat_client.room import Room
from dchat_client.terminal import clean
from dchat_client.tui import palette
from dchat_client.tui.wrap import cut, padded


@dataclass(frozen=True, slots=True)
class RoomRow:
    """One row: a heading, when `room` is None."""

    words: str
    room: Room | None = None


def rows_of(rooms: Sequence[Room]) -> list[RoomRow]:
    """Return the rows of the list: rooms, then people, each under a heading."""
    found: list[RoomRow] = []
    kinds: tuple[tuple[str, list[Room]], ...] = (
        ("Rooms", [room for room in rooms if room.kind != "dm"]),
        ("People", [room for room in rooms if room.kind == "dm"]),
    )
    for title, some in kinds:
        if some:
            found += [RoomRow(title), *(RoomRow(clean(room.title), room) for room in some)]
    return found


def badge(room: Room, level: str) -> tuple[str, str]:
    """Return what stands at the right of a room's row, and its style: "@2 14" when two of 14 call one."""
    if room.mentions or (room.kind == "dm" and room.unread):
        calls = room.mentions if room.kind != "dm" else room.unread
        rest = "" if room.kind == "dm" or room.unread == calls else f" {_short(room.unread)}"
        return f"@{_short(calls)}{rest}", "call me"
    if room.unread:
        return _short(room.unread), "quote" if level == "none" else "reaction"
    return "", ""


def _short(count: int) -> str:
    return str(count) if count < 1000 else "999+"


class RoomList(ScrollView, can_focus=False):
    """Shows rooms; a click opens one."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    RoomList {
        width: 22;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
    }
    """

    class Opened(Message):
        """A room was clicked."""

        def __init__(self, room: str) -> None:
            super().__init__()
            self.room = room

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.palette_name = "dark"
        self._rows: list[RoomRow] = []
        self._open: str | None = None
        self._drafts: frozenset[str] = frozenset()
        self._levels: Mapping[str, str] = {}

    def show(
        self, rooms: Sequence[Room], *, opened: str | None, drafts: frozenset[str], levels: Mapping[str, str]
    ) -> None:
        """Show these rooms; `opened` is the open one, `drafts` those with something begun, `levels` what notifies."""
        self._rows = rows_of(rooms)
        self._drafts, self._levels = drafts, levels
        self.virtual_size = Size(self.size.width, len(self._rows))
        if opened != self._open:
            self._open = opened
            self._reveal()
        self.refresh()

    def _reveal(self) -> None:
        index = next((at for at, row in enumerate(self._rows) if row.room and row.room.name == self._open), None)
        if index is not None and not self.scroll_offset.y <= index < self.scroll_offset.y + self.size.height:
            self.scroll_to(y=max(0, index - self.size.height // 2), animate=False)

    def on_click(self, event: events.Click) -> None:
        """Open the room of that row."""
        offset = event.get_content_offset(self)
        if offset is not None and 0 <= (index := offset.y + self.scroll_offset.y) < len(self._rows):
            room = self._rows[index].room
            if room is not None:
                self.post_message(self.Opened(room.name))

    def render_line(self, y: int) -> Strip:
        """Return one row as Textual draws it: the room, and at its right the edge of the list."""
        width, base = self.size.width - 1, self.rich_style
        edge = Strip([Segment("│", self._style("day"))], 1)
        return Strip.join([self._row(y + self.scroll_offset.y, width), edge]).apply_style(base)

    def _row(self, index: int, width: int) -> Strip:
        if index >= len(self._rows) or width < 4:
            return Strip.blank(max(0, width))
        row = self._rows[index]
        if row.room is None:
            return Strip([Segment(padded(f" {row.words}", width), self._style("day"))], width)
        return self._room(row.words, row.room, width)

    def _room(self, title: str, room: Room, width: int) -> Strip:
        level = self._levels.get(room.name, "mentions")
        right, right_style = badge(room, level)
        is_open = room.name == self._open
        mark = "▌" if is_open else "✎" if room.name in self._drafts else " "
        left_width = width - 2 - (cell_len(right) + 2 if right else 0)
        style = Style(bold=(bool(room.unread) and level != "none") or is_open)
        if room.is_archived or level == "none":
            style += self._style("quote")
        segments = [
            Segment(mark, self._style("unread") if is_open else self._style("quote")),
            Segment(padded(cut(title, left_width), left_width), style),
            Segment(" "),
        ]
        if right:
            segments += [Segment(right, self._style(right_style)), Segment(" ")]
        strip = Strip(segments).adjust_cell_length(width)
        return strip.apply_style(self._style("selected")) if is_open else strip

    def _style(self, name: str) -> Style:
        return palette.style(self.palette_name, name)
