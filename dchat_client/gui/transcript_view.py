"""The messages of the open room: a Text that shows a stretch of the transcript and changes as little as it must.

What is drawn is a few hundred lines (stretch.py), so a room of ten thousand messages costs what a few hundred cost.
What has changed among them is found by comparing (layout.py), and meanwhile the view stays where it is (held_view.py).
"""

from __future__ import annotations

import time
import tkinter
from collections.abc import Callable
from contextlib import contextmanager
from datetime import datetime
from tkinter import ttk
from typing import TYPE_CHECKING

from dchat_client.gui.blocks import Block, Composer
from dchat_client.gui.held_view import held, is_at_bottom, to_bottom
from dchat_client.gui.layout import Change, changes
from dchat_client.gui.stretch import Stretch
from dchat_client.gui.text_tags import configure_tags
from dchat_client.gui.theme import Theme
from dchat_client.transcript import Line, Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator

NOWHERE = "You are in no room yet. Ctrl-K finds one to join or somebody to write to, Ctrl-N makes a room."


class TranscriptView(ttk.Frame):
    """`on_older` is called when older messages are wanted, `on_move` when the view moved, `on_press(what, line)` when
    something in a message was pressed: "link:…", "react:👍", "retry", "cancel", "menu".
    """

    def __init__(
        self,
        parent: tkinter.Misc,
        theme: Theme,
        *,
        on_older: Callable[[int], None],
        on_move: Callable[[], None],
        on_press: Callable[[str, Line], None],
    ) -> None:
        super().__init__(parent)
        self._theme, self._on_older, self._on_move, self._on_press = theme, on_older, on_move, on_press
        self._transcript: Transcript | None = None
        self._stretch: Stretch | None = None
        self._composer: Composer | None = None
        self._blocks: list[Block] = []
        self._seen = 0
        self._chosen: str | None = None
        self._settling = False
        self.text = tkinter.Text(
            self, wrap="word", state="disabled", cursor="arrow", borderwidth=0, highlightthickness=0, takefocus=True
        )
        self._bar = ttk.Scrollbar(self, command=self.text.yview)
        self.text.configure(yscrollcommand=self._scrolled)
        self._bar.pack(side="right", fill="y")
        self.text.pack(side="left", fill="both", expand=True)
        self._down = ttk.Button(self, style="Accent.TButton", takefocus=False, command=self.to_bottom)
        self._bind()
        theme.follow(self._coloured)

    # What it shows

    def show(self, transcript: Transcript | None, composer: Composer | None) -> None:
        """Show another room, from its unread line or its end."""
        self._transcript, self._composer = transcript, composer
        self._stretch = Stretch(transcript) if transcript is not None else None
        self._chosen = None
        self._draw([])
        if transcript is None:
            self._draw([_note(NOWHERE)])
        self.refresh()
        self._seen = transcript.newest if transcript is not None else 0
        self._go_to_unread()

    def refresh(self, *, replaced: bool = False) -> None:
        """Draw what has changed in the transcript. `replaced`: its lines are new ones."""
        if self._transcript is None or self._stretch is None:
            return
        was_empty = not self._blocks
        if replaced:
            self._stretch.replaced()
        if self.is_at_bottom:
            self._stretch.cut()
            self._seen = max(self._seen, self._transcript.newest)
        self._draw_stretch()
        if was_empty and self._blocks:
            self._go_to_unread()
        self._show_button()

    def compose_by(self, composer: Composer) -> None:
        """Draw all lines anew, as `composer` makes them."""
        self._composer = composer
        self.refresh()

    def fits(self, words: str) -> bool:
        """Tell whether a text fits on one line."""
        room = self.text.winfo_width() - self._theme.px(2 * 14 + 8 + 4)
        return self._theme.fonts["body"].measure(words) <= max(room, self._theme.px(100))

    def set_typing(self, words: str) -> None:
        """Say below all messages who is writing."""
        if self.text.get("tail", "end-1c") != words:
            at_bottom = self.is_at_bottom
            with self._writable():
                self.text.delete("tail", "end-1c")
                self.text.mark_gravity("tail", "left")
                self.text.insert("end-1c", words, ("typing",))
                self.text.mark_gravity("tail", "right")
            if at_bottom:
                self.text.see("end")

    @property
    def is_at_bottom(self) -> bool:
        """The last line is in view."""
        return is_at_bottom(self.text)

    @property
    def new_below(self) -> int:
        """Messages that came while the view was not at the bottom."""
        if self._transcript is None:
            return 0
        fresh = (line for line in reversed(self._transcript.lines) if line.kind == "message")
        count = 0
        for line in fresh:
            if line.seq <= self._seen or count >= 999:
                break
            count += 1
        return count

    def to_bottom(self) -> None:
        """Go to the newest message."""
        to_bottom(self.text)
        self._moved()

    # Choosing a message by keyboard

    @property
    def chosen(self) -> Line | None:
        """The message that was chosen."""
        return self._line_of(self._chosen) if self._chosen else None

    def choose(self, step: int) -> None:
        """Choose the message `step` further down; the newest when none is chosen."""
        keys = [block.key for block in self._blocks if block.key[0] in "mp" and self._is_message(block.key)]
        if not keys:
            return
        place = keys.index(self._chosen) + step if self._chosen in keys else len(keys) - 1
        if place >= len(keys):
            self.unchoose()
            return
        self._chosen = keys[max(0, place)]
        self._mark_chosen()
        self.text.see(f"b:{self._chosen}.first")
        if place <= 0:
            self._want_older()

    def place_of_chosen(self) -> tuple[int, int]:
        """Return where on the screen the chosen message is."""
        box = self.text.bbox(f"b:{self._chosen}.first") if self._chosen else None
        x, y = (box[0], box[1] + box[3]) if box else (0, 0)
        return self.text.winfo_rootx() + x, self.text.winfo_rooty() + y

    def quote(self, line: Line) -> str:
        """Return the beginning of a message, to know it by."""
        return self._composer.quote(line) if self._composer is not None else ""

    def is_folded(self, line: Line) -> bool:
        """Tell whether only the beginning of a message is shown."""
        return self._composer is not None and self._composer.is_folded(line)

    def unfold(self, line: Line) -> None:
        """Show all of a message."""
        if self._composer is not None:
            self._composer.unfold(line)
            self._draw_stretch()

    def go_to(self, seq: int) -> bool:
        """Choose the message of that seq and bring it into view. False when the transcript does not have it."""
        if self._stretch is None or not self._stretch.reach(seq):
            return False
        self._draw_stretch()
        self._chosen = f"m{seq}"
        self._mark_chosen()
        self.text.see(f"b:m{seq}.last")
        self.text.see(f"b:m{seq}.first")
        return True

    def unchoose(self) -> None:
        """Choose nothing any more."""
        self._chosen = None
        self._mark_chosen()

    # Drawing

    def _draw_stretch(self) -> None:
        if self._transcript is None or self._stretch is None or self._composer is None:
            return
        today = datetime.now().astimezone().date()
        blocks = self._composer.blocks(self._transcript, self._stretch.lines, today)
        self._settling = True
        with held(self.text):
            self._draw([_note(self._stretch.words), *blocks])
        self._settling = False

    def _draw(self, wanted: list[Block]) -> None:
        found = changes(self._blocks, wanted)
        if not found:
            return
        with self._writable():
            for change in found:
                self._apply(change)
        self._blocks = wanted
        self._mark_chosen()

    def _apply(self, change: Change[Block]) -> None:
        text, gone = self.text, self._blocks[change.start : change.end]
        place = text.index(self._start_of(change.start))
        if gone:
            after = self._start_of(change.end)
            text.delete(place, after)
            text.tag_delete(*(f"b:{block.key}" for block in gone))
        if change.blocks:
            text.mark_set("put", place)
            text.mark_gravity("put", "right")
            parts: list[str | tuple[str, ...]] = []
            for block in change.blocks:
                for chars, tags in block.pieces:
                    parts += [chars, (*tags, f"b:{block.key}")]
            text.insert("put", *parts)  # type: ignore[arg-type]
        self._blocks = [*self._blocks[: change.start], *change.blocks, *self._blocks[change.end :]]

    def _start_of(self, index: int) -> str:
        """Return where block `index` begins, or where one behind the last would."""
        return f"b:{self._blocks[index].key}.first" if index < len(self._blocks) else "tail"

    def _mark_chosen(self) -> None:
        self.text.tag_remove("chosen", "1.0", "end")
        ranges = self.text.tag_ranges(f"b:{self._chosen}") if self._chosen else ()
        if ranges:
            self.text.tag_add("chosen", ranges[0], ranges[-1])

    @contextmanager
    def _writable(self) -> Iterator[None]:
        self.text.configure(state="normal")
        try:
            yield
        finally:
            self.text.configure(state="disabled")

    # Moving about

    def _go_to_unread(self) -> None:
        if any(block.key == "unread" for block in self._blocks):
            self.text.update_idletasks()
            self.text.yview("b:unread.first")
            self.text.yview_scroll(-self._theme.px(60), "pixels")
            self._moved()
        else:
            self.to_bottom()

    def _scrolled(self, first: float, last: float) -> None:
        self._bar.set(first, last)
        if not self._settling:
            self.after_idle(self._moved)

    def _moved(self) -> None:
        if not self.winfo_exists() or self._transcript is None:
            return
        if self.is_at_bottom:
            self._took_in()
        if self._blocks and float(self.text.yview()[0]) < 0.02:
            self._want_older()
        self._show_button()
        self._on_move()

    def _took_in(self) -> None:
        if self._transcript is not None:
            self._seen = max(self._seen, self._transcript.newest)

    def _want_older(self) -> None:
        transcript, stretch = self._transcript, self._stretch
        if transcript is None or stretch is None or not transcript.is_loaded or not self.text.winfo_viewable():
            return
        if stretch.grow():
            self.refresh()
        elif (before := stretch.page_to_ask(time.monotonic())) is not None:
            self._on_older(before)

    def _show_button(self) -> None:
        if self.is_at_bottom:
            self._down.place_forget()
            return
        count = self.new_below
        self._down.configure(text=f"{count} new ↓" if count else "↓")
        self._down.place(relx=0.5, rely=1.0, y=-self._theme.px(12), anchor="s")

    # Keys and pointer

    def _bind(self) -> None:
        text = self.text
        text.mark_set("tail", "1.0")
        text.mark_gravity("tail", "right")
        text.bind("<Configure>", lambda _: self._resized())
        text.bind("<Button-1>", lambda _: text.focus_set(), add=True)
        for button in (
            ("<Button-3>", "<Button-2>") if text.tk.call("tk", "windowingsystem") == "aqua" else ("<Button-3>",)
        ):
            text.bind(button, self._menu_at)
        for key, step in (("<Up>", -1), ("<Down>", 1)):
            text.bind(key, lambda _, step=step: self._stepped(step))  # type: ignore[misc]
        text.bind("<Home>", lambda _: self._to_top())
        text.bind("<End>", lambda _: self._to_end())
        for tag in ("link", "act", "reaction", "quote"):
            text.tag_bind(tag, "<Enter>", lambda _: text.configure(cursor="hand2"))
            text.tag_bind(tag, "<Leave>", lambda _: text.configure(cursor="arrow"))
            text.tag_bind(tag, "<ButtonRelease-1>", self._pressed)

    def _resized(self) -> None:
        if self._composer is not None and self._composer.reflow():
            self._draw_stretch()
        if self._seen and self._transcript is not None and self._seen >= self._transcript.newest and not self.new_below:
            to_bottom(self.text)

    def _stepped(self, step: int) -> str:
        self.choose(step)
        return "break"

    def _to_top(self) -> str:
        self.text.yview_moveto(0.0)
        return "break"

    def _to_end(self) -> str:
        self.unchoose()
        self.to_bottom()
        return "break"

    def _pressed(self, event: tkinter.Event[tkinter.Text]) -> None:
        if self.text.tag_ranges("sel"):
            return  # somebody marks text to copy it
        index = f"@{event.x},{event.y}"
        line = self._line_at(index)
        if line is None:
            return
        for tag in self.text.tag_names(index):
            if tag == "link":
                link = self.text.tag_prevrange(tag, f"{index} + 1 indices")
                if link:
                    self._on_press(f"link:{self.text.get(*link)}", line)
            elif tag in ("retry", "cancel", "quote", "unfold") or tag.startswith("react:"):
                self._on_press(tag, line)

    def _menu_at(self, event: tkinter.Event[tkinter.Text]) -> str:
        self.text.focus_set()
        line = self._line_at(f"@{event.x},{event.y}")
        if line is not None:
            self._on_press("menu", line)
        return "break"

    def _line_at(self, index: str) -> Line | None:
        keys = (tag[2:] for tag in self.text.tag_names(index) if tag.startswith("b:"))
        return next((line for key in keys if (line := self._line_of(key)) is not None), None)

    def _line_of(self, key: str) -> Line | None:
        if self._transcript is None:
            return None
        if key[0] == "p":
            return self._transcript.find_pending(key[1:])
        return self._transcript.find(int(key[1:])) if key[0] == "m" and key[1:].isdecimal() else None

    def _is_message(self, key: str) -> bool:
        line = self._line_of(key)
        return line is not None and line.kind == "message"

    def _coloured(self) -> None:
        configure_tags(self.text, self._theme)
        if self._seen:
            self._resized()


def _note(words: str) -> Block:
    """Return the block that stands above all others."""
    return Block("top", ((f"{words}\n", ("notice",)),))
