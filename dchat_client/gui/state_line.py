"""The line at the window's foot that says how the connection is doing, always."""

from __future__ import annotations

import time
import tkinter
from tkinter import ttk

from dchat_client.gui.state_words import state_words
from dchat_client.gui.theme import Theme
from dchat_client.items import Status

TICK_MS = 500


class StateLine(ttk.Frame):
    """What it says of the time to the next try is counted down here, without anybody telling."""

    def __init__(self, parent: tkinter.Misc, theme: Theme) -> None:
        super().__init__(parent)
        self._theme = theme
        self._status: Status | None = None
        self._since = 0.0
        self._catching_up = False
        self._waiting = self._refused = 0
        self._dot = ttk.Label(self, text="●")
        self._words = ttk.Label(self, style="Dim.TLabel")
        self._who = ttk.Label(self, style="Dim.TLabel")
        self._dot.pack(side="left")
        self._who.pack(side="right")
        self._words.pack(side="left", fill="x", expand=True)
        theme.follow(self._draw)
        self._tick()

    def show(self, status: Status, *, catching_up: bool, waiting: int, refused: int) -> None:
        """Say this from now on."""
        if status is not self._status:
            self._status, self._since = status, time.monotonic()
        self._catching_up, self._waiting, self._refused = catching_up, waiting, refused
        self._draw()

    def who(self, words: str) -> None:
        """Say who is signed in where."""
        self._who.configure(text=words)

    @property
    def words(self) -> str:
        """What it says now."""
        return str(self._words.cget("text"))

    def _draw(self) -> None:
        pad = (self._theme.px(14), self._theme.px(6))
        self._dot.pack_configure(padx=pad)
        self._who.pack_configure(padx=pad[::-1])
        if self._status is None:
            return
        since_s = time.monotonic() - self._since
        words, tone = state_words(
            self._status, since_s, catching_up=self._catching_up, waiting=self._waiting, refused=self._refused
        )
        self._words.configure(text=words)
        self._dot.configure(foreground=getattr(self._theme.palette, tone))

    def _tick(self) -> None:
        self._draw()
        self.after(TICK_MS, self._tick)
