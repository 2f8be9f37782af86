"""Above the messages: which room this is, what it is about, who is there."""

from __future__ import annotations

import tkinter
from collections.abc import Callable
from tkinter import ttk

from dchat_client.gui import glyphs
from dchat_client.gui.theme import Theme
from dchat_client.room import Room
from dchat_client.terminal import clean, fit


class Header(ttk.Frame):
    """`on_members` and `on_topic` are called when one of the two is pressed."""

    def __init__(
        self,
        parent: tkinter.Misc,
        theme: Theme,
        drawn: glyphs.Drawn,
        *,
        on_members: Callable[[], None],
        on_topic: Callable[[], None],
    ) -> None:
        super().__init__(parent)
        self._theme, self._drawn = theme, drawn
        self._title = ttk.Label(self, style="Title.TLabel")
        self._topic = ttk.Label(self, style="Dim.TLabel")
        self._members = ttk.Button(self, command=on_members, takefocus=False)
        self._title.pack(side="left")
        self._members.pack(side="right")
        self._topic.pack(side="left", fill="x", expand=True)
        self._topic.bind("<Button-1>", lambda _: on_topic())
        theme.follow(self._sized)

    def show(self, room: Room | None) -> None:
        """Show this room's name, topic and number of people."""
        if room is None:
            for label in (self._title, self._topic):
                label.configure(text="")
            self._members.pack_forget()
            return
        sign = "" if room.kind == "dm" else "#"
        self._title.configure(text=self._drawn(sign + fit(clean(room.title), 40)))
        closed = "closed for writing · " if room.is_archived else ""
        self._topic.configure(text=closed + self._drawn(fit(clean(room.topic.replace("\n", " ")), 200)))
        self._members.configure(text=f"{room.members} {'person' if room.members == 1 else 'people'}")
        if not self._members.winfo_ismapped():
            self._members.pack(side="right", before=self._topic)

    def _sized(self) -> None:
        px = self._theme.px
        self._title.pack_configure(padx=(px(14), px(12)), pady=px(10))
        self._topic.pack_configure(pady=(px(3), 0))
        if self._members.winfo_manager():
            self._members.pack_configure(padx=px(12))
