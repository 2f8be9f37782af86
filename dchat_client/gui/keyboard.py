"""Where keys go in the page one chats on: from part to part, to a chosen message, and back to the input."""

from __future__ import annotations

import tkinter
from contextlib import suppress

from dchat_client.gui.chat_page import ChatPage
from dchat_client.gui.message_acts import MessageActs
from dchat_client.gui.message_menu import KEYS

_CONTROL_OR_ALT = 0x4C


class Keyboard:
    """Binds the keys of a page's parts."""

    def __init__(self, page: ChatPage, messages: MessageActs) -> None:
        self._page, self._messages = page, messages
        text, tree, entry = page.view.text, page.rooms.tree, page.entry.text
        for key, deed in KEYS.items():
            text.bind(f"<Key-{key}>", lambda event, deed=deed: self._deed(deed, event))  # type: ignore[misc]
        for key in ("<Return>", "<Shift-F10>", "<Menu>"):
            with suppress(tkinter.TclError):  # there is no such key on this system
                text.bind(key, lambda _: self._menu())
        text.bind("<Escape>", lambda _: self.escape())
        text.bind("<Tab>", lambda _: self.go_round())
        text.bind("<Key>", self._written)
        for key in ("<Return>", "<Escape>"):
            tree.bind(key, lambda _: entry.focus_set())
        tree.bind("<Key>", self._written)
        for key, pages in (("<Prior>", -1), ("<Next>", 1)):
            entry.bind(key, lambda _, pages=pages: self._scroll(pages))  # type: ignore[misc]

    def escape(self) -> str:
        """Take back one thing, and go to the input."""
        page = self._page
        if not self._messages.forget():
            if page.view.chosen is not None or page.focus_get() is page.view.text:
                page.view.unchoose()
            else:
                page.say("")
                page.view.to_bottom()
        page.entry.text.focus_set()
        return "break"

    def go_round(self) -> str:
        """Go to the next part: rooms, messages, input."""
        page = self._page
        focus = page.focus_get()
        if focus is page.entry.text:
            page.rooms.tree.focus_set()
        elif focus is page.rooms.tree:
            page.to_view()
        else:
            page.view.unchoose()
            page.entry.text.focus_set()
        return "break"

    def _deed(self, deed: str, event: tkinter.Event[tkinter.Misc]) -> str | None:
        line = self._page.view.chosen
        if line is None:
            return self._written(event)
        self._messages.key(deed, line)
        return "break"

    def _menu(self) -> str:
        line = self._page.view.chosen
        if line is not None:
            self._messages.menu(line, self._page.view.place_of_chosen())
        return "break"

    def _written(self, event: tkinter.Event[tkinter.Misc]) -> str | None:
        """Somebody writes while another part has the keyboard: it goes where it was meant to."""
        if event.char and event.char.isprintable() and not int(event.state) & _CONTROL_OR_ALT:
            self._page.entry.text.focus_set()
            self._page.entry.text.insert("insert", event.char)
            return "break"
        return None

    def _scroll(self, pages: int) -> str:
        self._page.view.text.yview_scroll(pages, "pages")
        return "break"
