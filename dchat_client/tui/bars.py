"""The rows around the messages: what room this is, what one is about to do, and how the connection is doing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import Static

from dchat_client.completion import Option
from dchat_client.items import Phase, Status
from dchat_client.room import Room
from dchat_client.terminal import clean
from dchat_client.tui import palette
from dchat_client.tui.wrap import cut

_SIGNS = {
    Phase.LIVE: ("●", "good"),
    Phase.DEGRADED: ("◐", "warn"),
    Phase.CONNECTING: ("◌", "warn"),
    Phase.RECONNECTING: ("◌", "warn"),
    Phase.OFFLINE: ("✗", "bad"),
}


def status_words(status: Status, *, left_s: float | None, gap: bool) -> str:
    """Return how the connection is doing, in a few words; `left_s` is until the next try."""
    reason = clean(status.reason)
    match status.phase:
        case Phase.LIVE:
            return "gap: reading again what was missed" if gap else "live"
        case Phase.DEGRADED:
            return f"the server has trouble: {reason or 'messages may come late'}"
        case Phase.CONNECTING:
            return "connecting …"
        case Phase.RECONNECTING:
            left = max(0, round(left_s or 0))
            return f"reconnecting in {left} s: {reason}" if left else f"reconnecting …: {reason}"
        case Phase.OFFLINE:
            return f"offline: {reason}"


class RoomBar(Static):
    """The topmost row: name and topic of the open room."""

    DEFAULT_CSS = "RoomBar { height: 1; text-wrap: nowrap; }"

    def show(self, room: Room | None, level: str, theme: str) -> None:
        """Show a room; None: there is none."""
        text = Text(" ", no_wrap=True, end="")
        if room is not None:
            text.append(clean(room.title), "bold")
            kind = {"private": "private"}.get(room.kind, "")
            marks = [kind, "closed" if room.is_archived else "", "muted" if level == "none" else ""]
            about = ", ".join(mark for mark in marks if mark)
            if room.kind != "dm":
                people = f"{room.members} {'person' if room.members == 1 else 'people'}"
                about = f"{about}, {people}" if about else people
            text.append(f"  {about}", palette.style(theme, "quote")) if about else None
            if room.topic:
                text.append(f"  {clean(room.topic)}", palette.style(theme, "text"))
        text.truncate(max(0, self.size.width - 1), overflow="ellipsis")
        self.update(text, layout=False)


class Ledge(Static):
    """The row above the input: options, else what one answers or edits, else who is writing, else a line."""

    DEFAULT_CSS = "Ledge { height: 1; text-wrap: nowrap; }"

    class Picked(Message):
        """An option was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.palette_name = "dark"
        self._options: tuple[Option, ...] = ()
        self._chosen: int | None = None
        self._purpose = ""
        self._keys = ""
        self._typing: tuple[str, ...] = ()
        self._ends: list[tuple[int, int]] = []

    def show_options(self, options: tuple[Option, ...], chosen: int | None) -> None:
        """Show what may be put in."""
        self._options, self._chosen = options, chosen
        self._draw()

    def show_purpose(self, words: str) -> None:
        """Show what the input is for, when not for a new message; cleaned by the caller."""
        self._purpose = words
        self._draw()

    def show_keys(self, words: str) -> None:
        """Show what can be done with the selected message; "" when there is none."""
        self._keys = words
        self._draw()

    def show_typing(self, names: Sequence[str]) -> None:
        """Show who is writing."""
        if tuple(names) != self._typing:
            self._typing = tuple(names)
            self._draw()

    def on_resize(self) -> None:
        """The line is as long as the row."""
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Put the clicked option in."""
        for index, (start, end) in enumerate(self._ends):
            if start <= event.x < end:
                self.post_message(self.Picked(index))

    def _draw(self) -> None:
        width = max(0, self.size.width - 1)
        text = Text(no_wrap=True, end="")
        self._ends = []
        if self._options:
            self._draw_options(text, width)
        elif self._keys or self._purpose:
            text.append(cut(f" {self._keys or self._purpose}", width), palette.style(self.palette_name, "reaction"))
        else:
            words = f"─ {_writing(self._typing)} " if self._typing else ""
            words = cut(words, width)
            text.append(words + "─" * (width + 1 - cell_len(words)), palette.style(self.palette_name, "day"))
        self.update(text, layout=False)

    def _draw_options(self, text: Text, width: int) -> None:
        # The chosen one has to be in sight: leave out from the left what stands too far before it.
        first = 0
        widths = [cell_len(option.label) + 3 for option in self._options]
        while self._chosen is not None and first < self._chosen and sum(widths[first : self._chosen + 1]) > width - 2:
            first += 1
            self._ends.append((0, 0))
        text.append("‹" if first else " ", palette.style(self.palette_name, "quote"))
        for index in range(first, len(self._options)):
            start = cell_len(text.plain)
            if start + widths[index] > width - 1 and index > first:
                text.append("›", palette.style(self.palette_name, "quote"))
                break
            name = "more" if index == self._chosen else "reaction"
            text.append(cut(f" {self._options[index].label} ", width - start), palette.style(self.palette_name, name))
            self._ends.append((start, cell_len(text.plain)))
            text.append(" ")


def _writing(names: Sequence[str]) -> str:
    cleaned = [clean(name) for name in names]
    if len(cleaned) == 1:
        return f"{cleaned[0]} is writing"
    if len(cleaned) <= 3:
        return f"{', '.join(cleaned[:-1])} and {cleaned[-1]} are writing"
    return f"{len(cleaned)} people are writing"


class StatusBar(Static):
    """The last row: how the connection is doing, what is waiting, and the keys that lead further."""

    DEFAULT_CSS = "StatusBar { height: 1; dock: bottom; text-wrap: nowrap; }"

    def show(self, status: Status, *, left_s: float | None, gap: bool, waiting: int, hints: str, theme: str) -> None:
        """Show the state; `waiting` counts one's own messages that are not stored."""
        width = max(0, self.size.width - 1)
        sign, colour = _SIGNS[status.phase]
        if gap and status.phase is Phase.LIVE:
            sign, colour = "◐", "warn"
        left = Text(" ", no_wrap=True, end="")
        left.append(f"{sign} ", palette.style(theme, colour))
        left.append(status_words(status, left_s=left_s, gap=gap))
        if waiting:
            left.append(f"   {waiting} not sent yet", palette.style(theme, "failed"))
        if left.cell_len + cell_len(hints) + 3 <= width:
            left.append(" " * (width - left.cell_len - cell_len(hints)))
            left.append(hints, palette.style(theme, "quote"))
        left.truncate(width, overflow="ellipsis")
        self.update(left, layout=False)
