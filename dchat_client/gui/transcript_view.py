"""The messages of the open room: a Text that shows a stretch of the transcript and changes as little as it must.

Only a stretch is drawn: from `_top`, a seq, down to the newest. It grows backwards when somebody scrolls there, first
from what the transcript has, then by asking for a page, and is cut again once the view is back at the bottom. So a room
of ten thousand messages costs what a few hundred cost.

The view never jumps. Whoever is at the bottom stays there; anywhere else, the first message in view is held where it
is, to the pixel, whatever is put in above it.
"""

from __future__ import annotations

import time
import tkinter
from bisect import bisect_left
from collections.abc import Callable
from contextlib import contextmanager
from datetime import datetime
from tkinter import ttk
from typing import TYPE_CHECKING

from dchat_client.gui.blocks import Block, Composer
from dchat_client.gui.layout import Change, changes
from dchat_client.gui.text_tags import configure_tags
from dchat_client.gui.theme import Theme
from dchat_client.transcript import Line, Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = 200
"""Lines drawn at first, and by which the stretch grows."""
MOST_SHOWN = 600
"""With more, and the view at the bottom, the oldest are let go."""
NOWHERE = "You are in no room yet. Ctrl-K finds one to join or somebody to write to, Ctrl-N makes a room."
ASK_AGAIN_S = 3.0
"""A page that did not come is asked for again after that, when somebody is still there."""


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
        self._composer: Composer | None = None
        self._blocks: list[Block] = []
        self._top = 0
        self._seen = 0
        self._asked = (0, 0.0)
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
        self._top, self._asked = 0, (0, 0.0)
        self._chosen = None
        self._draw([])
        if transcript is None:
            self._draw([Block("top", ((f"{NOWHERE}\n", ("notice",)),))])
        self.refresh()
        self._seen = transcript.newest if transcript is not None else 0
        self._go_to_unread()

    def refresh(self, *, replaced: bool = False) -> None:
        """Draw what has changed in the transcript. `replaced`: its lines are new ones."""
        if self._transcript is None or self._composer is None:
            return
        was_empty = not self._blocks
        if replaced:
            self._asked = (0, 0.0)
        with self._view_held():
            self._draw(self._wanted(self._transcript, self._composer))
        if was_empty and self._blocks:
            self._go_to_unread()
        self._show_button()

    def compose_by(self, composer: Composer) -> None:
        """Draw all lines anew, as `composer` makes them."""
        self._composer = composer
        self.refresh()

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
        if not self.text.winfo_viewable() or self.text.winfo_height() < 10:
            return True
        return self.text.dlineinfo("end-1c") is not None

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
        self.text.see("end")
        self.text.yview_moveto(1.0)
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

    def go_to(self, seq: int) -> None:
        """Choose the message of that seq and bring it into view, when it is among those drawn."""
        if any(block.seq == seq for block in self._blocks):
            self._chosen = f"m{seq}"
            self._mark_chosen()
            self.text.see(f"b:m{seq}.first")

    def unchoose(self) -> None:
        """Choose nothing any more."""
        self._chosen = None
        self._mark_chosen()

    # Drawing

    def _wanted(self, transcript: Transcript, composer: Composer) -> list[Block]:
        lines = transcript.lines
        most = MOST_SHOWN if self._top else SHOWN
        if self.is_at_bottom and len(lines) - self._hidden(transcript) > most:
            self._top = lines[-SHOWN].seq
        start = self._hidden(transcript)
        blocks = composer.blocks(transcript, lines[start:], datetime.now().astimezone().date())
        return [self._first(transcript, has_more=bool(start) or transcript.has_older), *blocks]

    def _hidden(self, transcript: Transcript) -> int:
        """Return how many lines of the transcript lie above the stretch that is drawn."""
        return bisect_left(transcript.lines, self._top, key=lambda line: line.seq)

    @staticmethod
    def _first(transcript: Transcript, *, has_more: bool) -> Block:
        if not transcript.is_loaded:
            words = "Loading …"
        elif has_more:
            words = "Older messages are loaded as you scroll up."
        elif transcript.lines:
            words = "This is where the room begins."
        else:
            words = "Nobody has said anything yet. Be the first."
        return Block("top", ((f"{words}\n", ("notice",)),))

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

    @contextmanager
    def _view_held(self) -> Iterator[None]:
        """Keep the bottom in view when it was, else the first message in view where it is."""
        if self.is_at_bottom:
            yield
            self.text.see("end")
            self.text.yview_moveto(1.0)
            self._took_in()
            return
        held = self._held()
        before = self.text.dlineinfo(self._body_of(held)) if held is not None else None
        self._settling = True
        yield
        after = None
        if held is not None and before is not None and self.text.tag_ranges(f"b:{held}"):
            self.text.yview(self._body_of(held))
            after = self.text.dlineinfo(self._body_of(held))
        if before is not None and after is not None:
            self.text.yview_scroll(round(after[1] - before[1]), "pixels")
        self._settling = False

    def _held(self) -> str | None:
        """Return the key of the first message in view whose text begins there: what is held where it is.

        Its text, not its head: that goes when a message of the same person is put in above.
        """
        text, index = self.text, self.text.index("@0,0")
        while text.dlineinfo(index) is not None:
            key = next((tag[2:] for tag in text.tag_names(index) if tag[:3] in ("b:m", "b:p")), None)
            if key is not None and text.compare(self._body_of(key), "==", index):
                return key
            below = text.index(f"{index} + 1 display lines linestart")
            if text.compare(below, "<=", index):
                return None
            index = below
        return None

    def _body_of(self, key: str) -> str:
        """Return where the text of a message begins."""
        found = self.text.tag_nextrange("body", f"b:{key}.first", f"b:{key}.last")
        return str(found[0]) if found else f"b:{key}.first"

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
        transcript = self._transcript
        if transcript is None or not transcript.is_loaded or not self.text.winfo_viewable():
            return
        hidden = self._hidden(transcript)
        if hidden:
            self._top = transcript.lines[max(0, hidden - SHOWN)].seq
            self.refresh()
        elif transcript.has_older and transcript.oldest is not None:
            now = time.monotonic()
            before, asked_at = self._asked
            if transcript.oldest == before and now < asked_at + ASK_AGAIN_S:
                return
            self._top = 0
            self._asked = (transcript.oldest, now)
            self._on_older(transcript.oldest)

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
        if self._seen and self._transcript is not None and self._seen >= self._transcript.newest and not self.new_below:
            self.text.see("end")
            self.text.yview_moveto(1.0)

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
            elif tag in ("retry", "cancel", "quote") or tag.startswith("react:"):
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
