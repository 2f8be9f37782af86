"""The messages of the open room: reading.py, and on top of it what one does with them by keys and mouse."""

from __future__ import annotations

from collections.abc import Callable

from rich.cells import cell_len
from textual import events
from textual.message import Message

from dchat_client.transcript import Line
from dchat_client.tui.reading import Reading
from dchat_client.tui.sheet import Key, key_of


class TranscriptView(Reading, can_focus=True, inherit_bindings=False):
    """Messages that can be selected. Each `action_` method has the name that keymap.py gives it."""

    class Wanted(Message):
        """One wants to go to a message that is not loaded."""

        def __init__(self, seq: int) -> None:
            super().__init__()
            self.seq = seq

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.on_deed: Callable[[str, Line], None] = lambda deed, line: None
        """Does something with a message: reply, react, edit, delete, copy, mark_unread, retry, cancel."""
        self.on_leave: Callable[[], None] = lambda: None
        """Goes back to the input."""
        self.on_select: Callable[[Line | None], None] = lambda line: None
        """Hears what is selected."""

    def go_to(self, seq: int) -> bool:
        """Scroll to a message and select it. False when it is not loaded."""
        if self._transcript.find(seq) is None:
            return False
        if self._from and seq < self._from:
            self._lay_from(seq)
        self._select(seq)
        return True

    def action_select_older(self) -> None:
        """Select the message above; the last one in sight when none is selected."""
        self._select_by(-1)

    def action_select_newer(self) -> None:
        """Select the message below; leave after the last one."""
        self._select_by(1)

    def select_last(self) -> None:
        """Select the lowest message in sight."""
        found = self._sheet.at(min(self._top + self._rows_shown, self._sheet.height) - 1)
        index = found[0] if found is not None else len(self._sheet.blocks) - 1
        while index >= 0 and self._sheet.blocks[index].line.kind != "message":
            index -= 1
        if index >= 0:
            self._select(key_of(self._sheet.blocks[index].line))

    def deselect(self) -> None:
        """Select nothing."""
        if self.selected is not None:
            self.on_select(None)
        super().deselect()

    @property
    def selected_line(self) -> Line | None:
        """The selected message."""
        index = None if self.selected is None else self._sheet.index_of(self.selected)
        return None if index is None else self._sheet.blocks[index].line

    def action_deselect(self) -> None:
        """Back to the input."""
        self.deselect()
        self.on_leave()

    def action_jump(self) -> None:
        """Go to the message that the selected one answers."""
        line = self.selected_line
        if line is not None and line.reply_to is not None and not self.go_to(line.reply_to):
            self.post_message(self.Wanted(line.reply_to))

    def action_reply(self) -> None:
        """Answer the selected message."""
        self._choose("reply")

    def action_react(self) -> None:
        """React to it."""
        self._choose("react")

    def action_edit(self) -> None:
        """Edit it."""
        self._choose("edit")

    def action_delete(self) -> None:
        """Delete it."""
        self._choose("delete")

    def action_copy(self) -> None:
        """Copy its text."""
        self._choose("copy")

    def action_mark_unread(self) -> None:
        """Mark it as unread."""
        self._choose("mark_unread")

    def action_retry(self) -> None:
        """Send it again."""
        self._choose("retry")

    def action_cancel(self) -> None:
        """Take it back."""
        self._choose("cancel")

    def _choose(self, deed: str) -> None:
        if (line := self.selected_line) is not None:
            self.on_deed(deed, line)

    def _select_by(self, step: int) -> None:
        index = None if self.selected is None else self._sheet.index_of(self.selected)
        if index is None:
            self.select_last()
            return
        index += step
        while 0 <= index < len(self._sheet.blocks) and self._sheet.blocks[index].line.kind != "message":
            index += step
        if index >= len(self._sheet.blocks):
            self.action_deselect()
        elif index >= 0:
            self._select(key_of(self._sheet.blocks[index].line))
        else:
            self._scroll(0)

    def _select(self, key: Key) -> None:
        index = self._sheet.index_of(key)
        if index is None:
            return
        self.selected = key
        self.on_select(self._sheet.blocks[index].line)
        top, height = self._sheet.height_above(index), len(self._sheet.blocks[index].rows)
        if top < self._top:
            self._scroll(top)
        elif top + height > self._top + self._rows_shown:
            self._scroll(min(top, top + height - self._rows_shown))
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Select a message; go to what it answers by its quote; to the end by the button."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        button = self._button()
        if button and offset.y == self._rows_shown - 1 and offset.x >= self.size.width - 1 - cell_len(button):
            self.go_to_end()
            return
        found = self._sheet.at(self._top + offset.y - self._blank_rows)
        if found is None:
            return
        index, row = found
        block = self._sheet.blocks[index]
        if block.line.kind != "message":
            return
        self._select(key_of(block.line))
        if any(style == "quote" for _, style in block.rows[row]):
            self.action_jump()
