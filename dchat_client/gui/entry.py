"""Where one writes: several lines, history, completion, what one answers or edits."""

from __future__ import annotations

import tkinter
from collections.abc import Callable
from tkinter import ttk

from dchat_client.completion import Completion, Sources, complete
from dchat_client.gui import glyphs
from dchat_client.gui.suggestions import Suggestions
from dchat_client.gui.theme import Theme
from dchat_client.gui.written import Written

MOST_LINES = 8
"""Lines it grows to; more can be scrolled."""


class Entry(ttk.Frame):
    """`on_send(text)` returns whether the text was taken; `on_escape` is called when there is nothing to close here,
    `on_up` when nothing was written before, `on_write(text)` with each change by hand.
    """

    def __init__(
        self,
        parent: tkinter.Misc,
        theme: Theme,
        written: Written,
        *,
        sources: Callable[[], Sources],
        on_send: Callable[[str], bool],
        on_escape: Callable[[], object],
        on_up: Callable[[], None],
        on_write: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self._theme, self.written, self._sources = theme, written, sources
        self._on_send, self._on_escape, self._on_up, self._on_write = on_send, on_escape, on_up, on_write
        self._setting = False
        self._about = ttk.Label(self, style="Dim.TLabel")
        self._frame = tkinter.Frame(self)
        self.text = tkinter.Text(
            self._frame, height=1, wrap="word", undo=True, maxundo=200, borderwidth=0, highlightthickness=0
        )
        self._hint = tkinter.Label(self.text, text="", cursor="xterm", borderwidth=0)
        self._frame.pack(side="bottom", fill="x")
        self.text.pack(fill="x", expand=True)
        self.suggestions = Suggestions(self, theme, self._take)
        # Our own keys, Ctrl-K for one, before those that a Text has for everything.
        self.text.bindtags((str(self.text), "all", "Text", str(self.winfo_toplevel())))
        self._bind()
        theme.follow(self._coloured)

    # What is in it

    @property
    def value(self) -> str:
        """What is written."""
        return self.text.get("1.0", "end-1c")

    def set(self, text: str) -> None:
        """Write `text` instead, the cursor behind it."""
        self._setting = True
        self.text.delete("1.0", "end")
        self.text.insert("1.0", text)
        self.text.edit_reset()
        self.text.edit_modified(False)
        self._setting = False
        self.text.see("insert")
        self._changed()

    def about(self, words: str) -> None:
        """Say above the input what it is for: an answer, an edit; "" for neither."""
        if words:
            self._about.configure(text=words)
            self._about.pack(side="top", fill="x", pady=(0, self._theme.px(4)), before=self._frame)
        else:
            self._about.pack_forget()

    def hint(self, words: str) -> None:
        """Say in the empty input what to write here."""
        self._hint.configure(text=words)
        self._show_hint()

    # Keys

    def _bind(self) -> None:
        text = self.text
        keys: dict[str, Callable[[], str | None]] = {
            "<Return>": self._enter,
            "<KP_Enter>": self._enter,
            "<Shift-Return>": self._new_line,
            "<Control-Return>": self._new_line,
            "<Alt-Return>": self._new_line,
            "<Tab>": self._tab,
            "<Escape>": self._escape,
            "<Up>": self._up,
            "<Down>": self._down,
            "<Control-a>": self._all,
            "<Control-BackSpace>": self._word_back,
            "<Control-w>": self._word_back,
            "<Control-u>": self._line_back,
        }
        for key, work in keys.items():
            text.bind(key, lambda _, work=work: work())  # type: ignore[misc]
        for key in ("<Shift-Tab>", "<ISO_Left_Tab>"):
            if key != "<ISO_Left_Tab>" or text.tk.call("tk", "windowingsystem") == "x11":
                text.bind(key, lambda _: self._back_tab())
        text.bind("<<Modified>>", lambda _: self._modified())
        text.bind("<<Paste>>", lambda _: self._paste())
        text.bind("<Configure>", lambda _: self._fit())
        text.bind("<FocusIn>", lambda _: self._framed(focused=True), add=True)
        text.bind("<FocusOut>", lambda _: self._framed(focused=False), add=True)
        self._hint.bind("<Button-1>", lambda _: text.focus_set())

    def _enter(self) -> str:
        if self.suggestions.is_open and self.suggestions.was_walked:
            self.suggestions.take()
            return "break"
        self.suggestions.close()
        text = self.value
        if text.strip() and self._on_send(text):
            self.set("")
        return "break"

    def _new_line(self) -> str:
        self.text.insert("insert", "\n")
        self.text.see("insert")
        return "break"

    def _tab(self) -> str | None:
        if self.suggestions.is_open:
            self.suggestions.take()
            return "break"
        found = self._completion(asked=True)
        if found is None:
            following = self.text.tk_focusNext()
            if not self.value.strip() and following is not None:
                following.focus_set()  # as Tab does everywhere else
            return "break"
        self._begin_of_completion(found)
        if len(found.options) == 1:
            self._take(found.options[0].text)
        else:
            self.suggestions.open(found)
        return "break"

    def _back_tab(self) -> str | None:
        if self.suggestions.is_open:
            self.suggestions.step(-1)
            return "break"
        return None

    def _escape(self) -> str:
        if self.suggestions.is_open:
            self.suggestions.close()
        else:
            self._on_escape()
        return "break"

    def _up(self) -> str | None:
        if self.suggestions.is_open:
            self.suggestions.step(-1)
            return "break"
        if self.value == "" or self.written.is_walking:
            text = self.written.earlier(self.value)
            if text is not None:
                self.set(text)
            elif not self.written.is_walking:
                self._on_up()
            return "break"
        return None

    def _down(self) -> str | None:
        if self.suggestions.is_open:
            self.suggestions.step(1)
            return "break"
        text = self.written.later()
        if text is not None:
            self.set(text)
            return "break"
        return None

    def _all(self) -> str:
        self.text.tag_add("sel", "1.0", "end-1c")
        return "break"

    def _word_back(self) -> str:
        self.text.delete("insert -1c wordstart", "insert")
        return "break"

    def _line_back(self) -> str:
        self.text.delete("insert linestart", "insert")
        return "break"

    def _paste(self) -> str:
        """Put in what was copied, without what a text field has no use for."""
        try:
            pasted = self.text.clipboard_get(type="UTF8_STRING") if self._is_x11 else self.text.clipboard_get()
        except tkinter.TclError:
            return "break"
        if self.text.tag_ranges("sel"):
            self.text.delete("sel.first", "sel.last")
        self.text.insert("insert", pasted.replace("\r\n", "\n").replace("\r", "\n"))
        self.text.see("insert")
        return "break"

    @property
    def _is_x11(self) -> bool:
        return bool(self.text.tk.call("tk", "windowingsystem") == "x11")

    # Completion

    def _completion(self, *, asked: bool) -> Completion | None:
        return complete(self.text.get("1.0", "insert"), self._sources(), asked=asked)

    def _begin_of_completion(self, found: Completion) -> None:
        begun = self.text.get("1.0", "insert")[found.start :]
        self.text.mark_set("completed", f"insert - {len(begun)} chars")
        self.text.mark_gravity("completed", "left")

    def _take(self, text: str) -> None:
        self.text.delete("completed", "insert")
        self.text.insert("insert", text)
        self.text.see("insert")
        self.text.focus_set()

    # Drawing

    def _modified(self) -> None:
        if self.text.edit_modified():
            self.text.edit_modified(False)
            self._changed()
            if self.text.focus_get() is self.text and not self._setting:
                self._on_write(self.value)

    def _changed(self) -> None:
        self._picture()
        self._fit()
        self._show_hint()
        found = self._completion(asked=False) if self.text.focus_get() is self.text else None
        if found is None or self.written.is_walking:
            self.suggestions.close()
        else:
            self._begin_of_completion(found)
            self.suggestions.open(found)

    def _picture(self) -> None:
        """Give pictures their own font."""
        self.text.tag_remove("emoji", "1.0", "end")
        at = 0
        for run, is_picture in glyphs.runs(self.value):
            if is_picture:
                self.text.tag_add("emoji", f"1.0 + {at} chars", f"1.0 + {at + len(run)} chars")
            at += len(run)

    def _fit(self) -> None:
        found = self.text.count("1.0", "end", "displaylines")
        lines = found[0] if isinstance(found, tuple) else found
        height = max(1, min(MOST_LINES, int(lines or 1)))
        if int(self.text["height"]) != height:
            self.text.configure(height=height)
            self.text.after_idle(lambda: self.text.see("insert"))

    def _show_hint(self) -> None:
        if self.value:
            self._hint.place_forget()
        else:
            self._hint.place(x=self._theme.px(12), y=self._theme.px(6), bordermode="ignore")

    def _framed(self, *, focused: bool) -> None:
        palette = self._theme.palette
        self._frame.configure(
            highlightthickness=max(1, self._theme.px(1)),
            highlightbackground=palette.accent if focused else palette.line,
            highlightcolor=palette.accent,
            background=palette.ground,
        )

    def _coloured(self) -> None:
        palette, px, fonts = self._theme.palette, self._theme.px, self._theme.fonts
        self.text.configure(
            font=fonts["body"],
            background=palette.ground,
            foreground=palette.text,
            insertbackground=palette.text,
            insertwidth=max(1, px(2)),
            selectbackground=palette.accent,
            selectforeground=palette.on_accent,
            padx=px(10),
            pady=px(7),
            spacing3=px(2),
        )
        self.text.tag_configure("emoji", font=fonts["emoji"])
        self._hint.configure(font=fonts["body"], background=palette.ground, foreground=palette.dim)
        self._show_hint()
        self._fit()
        self._framed(focused=self.text.focus_get() is self.text)
