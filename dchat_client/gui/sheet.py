"""A sheet: something to fill in or choose from, laid over the window until it is done or Esc is pressed.

Not a window of its own: nothing to place, nothing that a window manager could put behind the rest.
"""

from __future__ import annotations

import tkinter
from collections.abc import Callable
from tkinter import ttk

from dchat_client.gui.theme import Theme
from dchat_client.gui.timers import cancel_orphans


class Sheet:
    """The frame to fill is `body`. `close` gives the focus back to who had it."""

    def __init__(self, window: tkinter.Misc, theme: Theme, title: str, *, width: int = 440) -> None:
        self.theme = theme
        self._had_focus = window.focus_get()
        px = theme.px
        self.frame = tkinter.Frame(
            window,
            background=theme.palette.raised,
            highlightthickness=max(1, px(1)),
            highlightbackground=theme.palette.line,
            highlightcolor=theme.palette.line,
        )
        ttk.Label(self.frame, text=title, style="Raised.Title.TLabel").pack(
            anchor="w", padx=px(20), pady=(px(16), px(8))
        )
        self.body = ttk.Frame(self.frame, style="Raised.TFrame")
        self.body.pack(fill="both", expand=True, padx=px(20), pady=(0, px(16)))
        ttk.Frame(self.body, style="Raised.TFrame", width=px(width)).pack()
        self.frame.place(relx=0.5, y=px(70), anchor="n")

    @property
    def is_open(self) -> bool:
        """It is still there."""
        return bool(self.frame.winfo_exists())

    def listen(self, widget: tkinter.Misc) -> None:
        """Have Esc close the sheet while `widget`, one of its parts, has the focus; Tab stays among the parts."""
        widget.bind("<Escape>", lambda _: self._escape())

    def close(self) -> None:
        """Take it away."""
        if self.is_open:
            had = self._had_focus
            window = self.frame.winfo_toplevel()
            self.frame.destroy()
            cancel_orphans(window)
            if had is not None and had.winfo_exists():
                had.focus_set()

    def _escape(self) -> str:
        self.close()
        return "break"


def ask(
    window: tkinter.Misc,
    theme: Theme,
    title: str,
    *,
    done: Callable[[str], str | None],
    begun: str = "",
    hint: str = "",
    button: str = "OK",
) -> Sheet:
    """Ask for one line of text. `done(text)` returns what is wrong with it, or None, and then the sheet closes."""
    sheet = Sheet(window, theme, title)
    value = tkinter.StringVar(window, begun)
    entry = ttk.Entry(sheet.body, textvariable=value, font=theme.fonts["body"])
    said = ttk.Label(sheet.body, text=hint, style="Raised.Dim.TLabel", wraplength=theme.px(430), justify="left")

    def finish(_: object = None) -> str:
        problem = done(value.get().strip())
        if problem is None:
            sheet.close()
        else:
            said.configure(text=problem, style="Raised.Bad.TLabel")
        return "break"

    entry.pack(fill="x", pady=(0, theme.px(8)))
    said.pack(anchor="w", fill="x")
    buttons(sheet, (button, finish), ("Cancel", sheet.close))
    entry.bind("<Return>", finish)
    sheet.listen(entry)
    entry.focus_set()
    entry.icursor("end")
    entry.selection_range(0, "end")
    return sheet


def confirm(window: tkinter.Misc, theme: Theme, title: str, words: str, button: str, done: Callable[[], None]) -> Sheet:
    """Ask whether something is really to be done; Enter does it."""
    sheet = Sheet(window, theme, title)
    ttk.Label(sheet.body, text=words, style="Raised.TLabel", wraplength=theme.px(430), justify="left").pack(anchor="w")

    def finish() -> None:
        sheet.close()
        done()

    buttons(sheet, (button, finish), ("Cancel", sheet.close)).focus_set()
    return sheet


def buttons(sheet: Sheet, *pairs: tuple[str, Callable[[], object]]) -> ttk.Button:
    """Put buttons below a sheet, the first the usual one, and return that."""
    row = ttk.Frame(sheet.body, style="Raised.TFrame")
    row.pack(side="bottom", anchor="e", pady=(sheet.theme.px(12), 0))
    made = []
    for place, (words, work) in enumerate(pairs):
        button = ttk.Button(row, text=words, command=work, style="" if place else "Accent.TButton")
        button.pack(side="right", padx=(sheet.theme.px(8), 0))
        button.bind("<Return>", lambda _, work=work: work())  # type: ignore[misc]
        sheet.listen(button)
        made.append(button)
    return made[0]


def read(window: tkinter.Misc, theme: Theme, title: str, rows: list[tuple[str, str]]) -> Sheet:
    """Show two columns to read: keys and what they do, people and who they are. The arrow keys scroll it."""
    sheet = Sheet(window, theme, title)
    palette, px = theme.palette, theme.px
    frame = ttk.Frame(sheet.body, style="Raised.TFrame")
    fitting = max(4, (window.winfo_height() - px(250)) // px(25))
    text = tkinter.Text(
        frame,
        width=62,
        height=min(fitting, max(2, len(rows)) + 1),
        wrap="word",
        font=theme.fonts["body"],
        background=palette.raised,
        foreground=palette.text,
        borderwidth=0,
        highlightthickness=0,
        tabs=(px(190),),
        cursor="arrow",
    )
    text.tag_configure("row", lmargin2=px(190), spacing3=px(3))
    text.tag_configure("left", font=theme.fonts["bold"])
    for left, right in rows:
        text.insert("end", left, ("row", "left"), f"\t{right}\n", ("row",))
    text.delete("end-1c")
    text.configure(state="disabled")
    close = buttons(sheet, ("Close", sheet.close))
    frame.pack(fill="both", expand=True)
    if len(rows) > fitting:
        bar = ttk.Scrollbar(frame, command=text.yview)
        text.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
    text.pack(side="left", fill="both", expand=True)
    for key, step, unit in (("Up", -1, "units"), ("Down", 1, "units"), ("Prior", -1, "pages"), ("Next", 1, "pages")):
        close.bind(f"<{key}>", lambda _, step=step, unit=unit: text.yview_scroll(step, unit))  # type: ignore[misc]
    sheet.listen(text)
    close.focus_set()
    return sheet
