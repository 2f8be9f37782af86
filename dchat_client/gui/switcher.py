"""Ctrl-K: go to a room or a person by a few letters of the name."""

from __future__ import annotations

import tkinter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from tkinter import ttk

from dchat_client.fuzzy import ranked
from dchat_client.gui.sheet import Sheet
from dchat_client.gui.theme import Theme

MOST_SHOWN = 10
FIND_MS = 150
"""How long the typing rests before the server is asked."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one can go. `kind`: "open" (a room one is in), "join" (one that may be joined), "person"."""

    kind: str
    name: str
    words: str
    note: str = ""


class Switcher:
    """A sheet with an input and a list. `on_find(letters)` is called as somebody writes, to bring `more` places."""

    def __init__(
        self,
        window: tkinter.Misc,
        theme: Theme,
        places: Sequence[Place],
        *,
        on_go: Callable[[Place], None],
        on_find: Callable[[str], None],
    ) -> None:
        self.sheet = Sheet(window, theme, "Go to")
        self._places, self._more, self._shown = list(places), list[Place](), list[Place]()
        self._on_go, self._on_find = on_go, on_find
        self._finding: str | None = None
        self._value = tkinter.StringVar(window)
        self._entry = ttk.Entry(self.sheet.body, textvariable=self._value, font=theme.fonts["body"])
        self._list = tkinter.Listbox(
            self.sheet.body,
            height=MOST_SHOWN,
            activestyle="none",
            exportselection=False,
            takefocus=False,
            font=theme.fonts["body"],
            background=theme.palette.raised,
            foreground=theme.palette.text,
            selectbackground=theme.palette.accent,
            selectforeground=theme.palette.on_accent,
            borderwidth=0,
            highlightthickness=0,
        )
        self._entry.pack(fill="x", pady=(0, theme.px(8)))
        self._list.pack(fill="both", expand=True)
        ttk.Label(self.sheet.body, text="↑ ↓ choose · Enter goes there · Esc closes", style="Raised.Dim.TLabel").pack(
            anchor="w", pady=(theme.px(8), 0)
        )
        for key, step in (("<Up>", -1), ("<Down>", 1), ("<Control-p>", -1), ("<Control-n>", 1)):
            self._entry.bind(key, lambda _, step=step: self._step(step))  # type: ignore[misc]
        self._entry.bind("<Return>", lambda _: self._go())
        self._list.bind("<ButtonRelease-1>", lambda _: self._go())
        self.sheet.listen(self._entry)
        self._value.trace_add("write", lambda *_: self._written())
        self._written()
        self._entry.focus_set()

    def more(self, letters: str, places: Sequence[Place]) -> None:
        """Take places that were found for `letters`, if these still stand there."""
        if self.sheet.is_open and letters == self._letters:
            self._more = list(places)
            self._fill()

    @property
    def _letters(self) -> str:
        return self._value.get().strip().lstrip("#@")

    def _written(self) -> None:
        self._more = []
        self._fill()
        if self._finding is not None:
            self._entry.after_cancel(self._finding)
        self._finding = self._entry.after(FIND_MS, self._find)

    def _find(self) -> None:
        self._finding = None
        self._on_find(self._letters)

    def _fill(self) -> None:
        known = {(place.kind == "person", place.name) for place in self._places}
        others = [place for place in self._more if (place.kind == "person", place.name) not in known]
        fitting = ranked(self._letters, [*self._places, *others], lambda place: f"{place.name} {place.words}")
        self._shown = fitting[:MOST_SHOWN]
        self._list.delete(0, "end")
        for place in self._shown:
            self._list.insert("end", f" {place.words}   {place.note}".rstrip())
        if self._shown:
            self._list.selection_set(0)

    def _step(self, step: int) -> str:
        if self._shown:
            chosen = self._list.curselection()  # type: ignore[no-untyped-call]
            at = ((int(chosen[0]) if chosen else 0) + step) % len(self._shown)
            self._list.selection_clear(0, "end")
            self._list.selection_set(at)
            self._list.see(at)
        return "break"

    def _go(self) -> str:
        chosen = self._list.curselection()  # type: ignore[no-untyped-call]
        if chosen and self._shown:
            place = self._shown[int(chosen[0])]
            self.sheet.close()
            self._on_go(place)
        return "break"
