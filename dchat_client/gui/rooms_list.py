"""The list of rooms, with what is unread in them."""

from __future__ import annotations

import tkinter
from collections.abc import Callable, Sequence
from tkinter import ttk

from dchat_client.gui import glyphs
from dchat_client.gui.theme import Theme
from dchat_client.room import Room
from dchat_client.terminal import clean, fit

_SIGNS = {"public": "#", "private": "◆", "dm": "@"}


def badge(room: Room) -> str:
    """Return what stands at a room's right: mentions before all else, then unread messages, else nothing."""
    if room.mentions or (room.kind == "dm" and room.unread):
        return f"● {_count(room.mentions or room.unread)}"
    return _count(room.unread) if room.unread else ""


def look(room: Room) -> str:
    """Return how a room is drawn: calls, unread, archived or plain."""
    if room.mentions or (room.kind == "dm" and room.unread):
        return "calls"
    if room.unread:
        return "unread"
    return "archived" if room.is_archived else "plain"


class RoomsList(ttk.Frame):
    """`on_open(name)` is called when a room is chosen."""

    def __init__(self, parent: tkinter.Misc, theme: Theme, drawn: glyphs.Drawn, on_open: Callable[[str], None]) -> None:
        super().__init__(parent)
        self._theme, self._drawn, self._on_open = theme, drawn, on_open
        self._names: list[str] = []
        self.tree = ttk.Treeview(
            self, style="Rooms.Treeview", show="tree", columns=("badge",), selectmode="browse", takefocus=True
        )
        bar = ttk.Scrollbar(self, command=self.tree.yview)
        self._bar = bar
        self.tree.configure(yscrollcommand=self._scrolled)
        self.tree.pack(side="left", fill="both", expand=True)
        self.tree.bind("<<TreeviewSelect>>", self._selected)
        theme.follow(self._coloured)

    def show(self, rooms: Sequence[Room], opened: str | None) -> None:
        """Show the rooms in this order."""
        names = [room.name for room in rooms]
        if names != self._names:
            gone = set(self._names) - set(names)
            for name in gone:
                self.tree.delete(name)
            for index, room in enumerate(rooms):
                if self.tree.exists(room.name):
                    self.tree.move(room.name, "", index)
                else:
                    self.tree.insert("", index, iid=room.name)
            self._names = names
        for room in rooms:
            self.update_room(room)
        self.mark(opened)

    def update_room(self, room: Room) -> None:
        """Draw one room's row anew."""
        if self.tree.exists(room.name):
            title = self._drawn(fit(clean(room.title), 60))
            self.tree.item(
                room.name, text=f"{_SIGNS.get(room.kind, '#')} {title}", values=(badge(room),), tags=(look(room),)
            )

    def mark(self, opened: str | None) -> None:
        """Show which room is open."""
        if opened is not None and self.tree.exists(opened):
            if self.tree.selection() != (opened,):
                self.tree.selection_set(opened)
            self.tree.focus(opened)
            self.tree.see(opened)
        elif self.tree.selection():
            self.tree.selection_set(())

    def _selected(self, _: object) -> None:
        chosen = self.tree.selection()
        if chosen:
            self._on_open(chosen[0])

    def _scrolled(self, first: float, last: float) -> None:
        """Show the bar only where there is something to scroll."""
        self._bar.set(first, last)
        if float(first) <= 0 and float(last) >= 1:
            self._bar.pack_forget()
        elif not self._bar.winfo_ismapped():
            self._bar.pack(side="right", fill="y", before=self.tree)

    def _coloured(self) -> None:
        palette, px = self._theme.palette, self._theme.px
        self.tree.column("#0", width=px(150), minwidth=px(80), stretch=True)
        self.tree.column("badge", width=px(56), minwidth=px(48), stretch=False, anchor="e")
        bold, body = self._theme.fonts["bold"], self._theme.fonts["body"]
        self.tree.tag_configure("plain", foreground=palette.text, font=body)
        self.tree.tag_configure("archived", foreground=palette.dim, font=body)
        self.tree.tag_configure("unread", foreground=palette.text, font=bold)
        self.tree.tag_configure("calls", foreground=palette.bad, font=bold)


def _count(number: int) -> str:
    return str(number) if number < 1000 else "999+"
