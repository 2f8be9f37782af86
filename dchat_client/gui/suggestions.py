"""The list above the input that completes what is being written."""

from __future__ import annotations

import tkinter
from collections.abc import Callable

from dchat_client.completion import Completion
from dchat_client.gui.theme import Theme


class Suggestions:
    """A list placed over the window; `on_take(text)` is called with what was chosen. The input keeps the focus."""

    def __init__(self, entry: tkinter.Misc, theme: Theme, on_take: Callable[[str], None]) -> None:
        self._entry, self._theme, self._on_take = entry, theme, on_take
        self._list = tkinter.Listbox(
            entry.winfo_toplevel(), exportselection=False, takefocus=False, activestyle="none", highlightthickness=1
        )
        self._list.bind("<ButtonRelease-1>", lambda _: self.take())
        self._completion: Completion | None = None
        self.was_walked = False
        """Somebody moved in the list: then Enter takes what is marked instead of sending."""
        theme.follow(self._coloured)

    @property
    def is_open(self) -> bool:
        """The list is shown."""
        return self._completion is not None

    def open(self, found: Completion) -> None:
        """Show these options, the first one marked."""
        if self._completion is not None and found.options == self._completion.options:
            self._completion = found
            return
        self._completion, self.was_walked = found, False
        self._list.delete(0, "end")
        self._list.insert("end", *(f" {option.label} " for option in found.options))
        self._list.configure(height=len(found.options), width=max(len(option.label) for option in found.options) + 4)
        self._mark(0)
        window = self._list.winfo_toplevel()
        x, y = self._entry.winfo_rootx() - window.winfo_rootx(), self._entry.winfo_rooty() - window.winfo_rooty()
        self._list.place(x=x + self._theme.px(8), y=y - self._theme.px(4), anchor="sw")
        self._list.tkraise()

    def close(self) -> None:
        """Show nothing."""
        if self._completion is not None:
            self._completion = None
            self._list.place_forget()

    def step(self, step: int) -> None:
        """Mark another option; round and round."""
        if self._completion is not None:
            self.was_walked = True
            self._mark((self._marked + step) % len(self._completion.options))

    def take(self) -> None:
        """Take the marked option."""
        if self._completion is not None:
            option = self._completion.options[self._marked]
            self.close()
            self._on_take(option.text)

    @property
    def _marked(self) -> int:
        chosen = self._list.curselection()  # type: ignore[no-untyped-call]
        return int(chosen[0]) if chosen else 0

    def _mark(self, index: int) -> None:
        self._list.selection_clear(0, "end")
        self._list.selection_set(index)
        self._list.see(index)

    def _coloured(self) -> None:
        palette = self._theme.palette
        self._list.configure(
            font=self._theme.fonts["body"],
            background=palette.raised,
            foreground=palette.text,
            selectbackground=palette.accent,
            selectforeground=palette.on_accent,
            highlightbackground=palette.line,
            highlightcolor=palette.line,
            borderwidth=0,
        )
