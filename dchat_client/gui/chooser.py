"""A sheet with a list to choose one from."""

from __future__ import annotations

import tkinter
from collections.abc import Callable, Sequence
from tkinter import ttk

from dchat_client.gui.sheet import Sheet
from dchat_client.gui.theme import Theme

MOST_SHOWN = 12


class Chooser:
    """`on_choose(place)` is called with the place of what was chosen."""

    def __init__(
        self, window: tkinter.Misc, theme: Theme, title: str, rows: Sequence[str], *, on_choose: Callable[[int], None]
    ) -> None:
        self.sheet = Sheet(window, theme, title, width=600)
        self._on_choose = on_choose
        palette = theme.palette
        self._list = tkinter.Listbox(
            self.sheet.body,
            height=min(MOST_SHOWN, len(rows)),
            activestyle="none",
            exportselection=False,
            font=theme.fonts["body"],
            background=palette.raised,
            foreground=palette.text,
            selectbackground=palette.accent,
            selectforeground=palette.on_accent,
            borderwidth=0,
            highlightthickness=0,
        )
        self._list.insert("end", *(f" {row}" for row in rows))
        self._list.pack(fill="both", expand=True)
        words = "↑ ↓ choose · Enter goes there · Esc closes"
        ttk.Label(self.sheet.body, text=words, style="Raised.Dim.TLabel").pack(anchor="w", pady=(theme.px(8), 0))
        for key, step in (("<Up>", -1), ("<Down>", 1), ("<Prior>", -MOST_SHOWN), ("<Next>", MOST_SHOWN)):
            self._list.bind(key, lambda _, step=step: self._step(step))  # type: ignore[misc]
        self._list.bind("<Return>", lambda _: self._choose())
        self._list.bind("<Double-Button-1>", lambda _: self._choose())
        self.sheet.listen(self._list)
        self._mark(0)
        self._list.focus_set()

    @property
    def _marked(self) -> int:
        chosen = self._list.curselection()  # type: ignore[no-untyped-call]
        return int(chosen[0]) if chosen else 0

    def _mark(self, place: int) -> None:
        self._list.selection_clear(0, "end")
        self._list.selection_set(place)
        self._list.see(place)

    def _step(self, step: int) -> str:
        self._mark(max(0, min(int(self._list.size()) - 1, self._marked + step)))
        return "break"

    def _choose(self) -> str:
        place = self._marked
        self.sheet.close()
        self._on_choose(place)
        return "break"
