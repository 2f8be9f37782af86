"""The page one chats on: the parts put together, what each change of the model does to them, and where one is."""

from __future__ import annotations

import time
import tkinter
from collections.abc import Callable, Iterable
from contextlib import suppress
from tkinter import ttk
from typing import TYPE_CHECKING

from dchat_client.chat import Change, Chat
from dchat_client.completion import Sources
from dchat_client.config import ConfigError
from dchat_client.gui import glyphs
from dchat_client.gui.blocks import Composer
from dchat_client.gui.entry import Entry
from dchat_client.gui.header import Header
from dchat_client.gui.network import Network
from dchat_client.gui.notify import Notifier, wanted
from dchat_client.gui.rooms_list import RoomsList
from dchat_client.gui.state_line import StateLine
from dchat_client.gui.theme import Theme
from dchat_client.gui.transcript_view import TranscriptView
from dchat_client.gui.written import Written
from dchat_client.kept import Kept
from dchat_client.room import Room
from dchat_client.terminal import clean
from dchat_client.transcript import Line, Sending, Transcript

if TYPE_CHECKING:
    from dchat_client.updates import Failed

TYPING_EVERY_S = 4.0
SAID_MS = 12_000
"""How long a word about something that went wrong stays."""


class ChatPage(ttk.Frame):
    """The parts are attributes, for the window and the acts: `rooms`, `header`, `view`, `entry`, `state_line`."""

    def __init__(
        self,
        parent: tkinter.Misc,
        theme: Theme,
        chat: Chat,
        network: Network,
        kept: Kept,
        notifier: Notifier,
        *,
        on_send: Callable[[str], bool],
        on_press: Callable[[str, Line], None],
        on_escape: Callable[[], object],
        on_members: Callable[[], None],
        on_topic: Callable[[], None],
    ) -> None:
        super().__init__(parent)
        self.chat, self.network, self.theme = chat, network, theme
        self.kept = kept
        self.opened: str | None = None
        self._wished = kept.room or ""
        self._told_typing_at = 0.0
        self._notifier = notifier
        self._dirty: set[str] = set()
        self._dirty_rooms: set[str] = set()
        self._composer: Composer | None = None
        self._has_focus = True
        self._saying: str | None = None
        self._windowing = str(self.tk.call("tk", "windowingsystem"))
        drawn = self.drawn = glyphs.labelled_by(self._windowing)
        self.panes = ttk.Panedwindow(self, orient="horizontal")
        self.rooms = RoomsList(self.panes, theme, drawn, self.open)
        right = ttk.Frame(self.panes)
        self.header = Header(right, theme, drawn, on_members=on_members, on_topic=on_topic)
        self.view = TranscriptView(right, theme, on_older=self._older, on_move=self.mark_read, on_press=on_press)
        self.said = ttk.Label(right, style="Bad.TLabel")
        self.entry = Entry(
            right,
            theme,
            Written(kept.sent),
            sources=self._sources,
            on_send=on_send,
            on_escape=on_escape,
            on_up=lambda: self.to_view(),
            on_write=self._tell_typing,
        )
        self.state_line = StateLine(self, theme)
        self.state_line.pack(side="bottom", fill="x", pady=(0, theme.px(4)))
        self.panes.pack(side="top", fill="both", expand=True)
        self.panes.add(self.rooms, weight=0)
        self.panes.add(right, weight=1)
        self.header.pack(side="top", fill="x")
        self.entry.pack(side="bottom", fill="x", padx=theme.px(14), pady=(theme.px(6), theme.px(8)))
        self.view.pack(side="top", fill="both", expand=True)
        self.entry.text.focus_set()
        theme.follow(self._recomposed)

    # What the model says

    def changed(self, changes: Iterable[Change]) -> None:
        """Note what is to be drawn; `draw` does it, once for many changes."""
        for change in changes:
            mine = change.room == self.opened
            match change.kind:
                case "rooms":
                    self._dirty |= {"rooms", "room"}
                case "room" if change.room is not None:
                    self._dirty_rooms.add(change.room)
                    self._dirty |= {"room"} if mine else set()
                case "lines" | "page":
                    self._dirty |= {change.kind, "status"} if mine else {"status"}
                case "people" | "typing" if mine:
                    self._dirty |= {change.kind}
                case "status":
                    self._dirty.add("status")
                case "alert" if change.line is not None and change.room is not None:
                    self._alert(change.room, change.line, change.why or "message")
                case "problem" if change.problem is not None:
                    self.problem(change.problem)

    def draw(self) -> None:
        """Draw what has changed since the last time."""
        dirty, self._dirty = self._dirty, set()
        rooms, self._dirty_rooms = self._dirty_rooms, set()
        if "rooms" in dirty:
            self._draw_rooms()
        else:
            for name in rooms & self.chat.rooms.keys():
                self.rooms.update_room(self.chat.rooms[name])
        if "room" in dirty:
            self.header.show(self.room)
        if dirty & {"lines", "page", "people"}:
            self.view.refresh(replaced="page" in dirty)
            self.mark_read()
        if "typing" in dirty:
            self._draw_typing()
        if "status" in dirty:
            self._draw_status()

    @property
    def room(self) -> Room | None:
        """The open room, when one is in it."""
        return self.chat.rooms.get(self.opened) if self.opened is not None else None

    @property
    def transcript(self) -> Transcript | None:
        """What is shown of it."""
        return self.chat.transcripts.get(self.opened) if self.opened is not None else None

    # Going somewhere

    def open(self, name: str) -> None:
        """Show a room."""
        if name == self.opened or name not in self.chat.rooms:
            return
        self._close_room()
        self.opened = name
        room, transcript = self.chat.rooms[name], self.chat.transcript(name)
        transcript.unread_after = room.read if room.unread else None
        self.view.show(transcript, self._composer)
        self.header.show(room)
        self.entry.set(self.kept.draft(name))
        self.entry.hint(f"Write to {self.drawn(clean(room.title))}")
        self.rooms.mark(name)
        self.network.tell(lambda engine: engine.open_room(name))
        if name not in self.chat.members:
            self.network.tell(lambda engine: engine.members(name))
        if self.focus_get() is not self.rooms.tree:
            self.entry.text.focus_set()
        self._draw_status()
        self._draw_typing()
        self.mark_read()

    def open_when_there(self, name: str) -> None:
        """Show a room as soon as one is in it."""
        self._wished = name
        if name in self.chat.rooms:
            self.open(name)

    def step(self, step: int, *, unread: bool = False) -> None:
        """Go to a room further up or down in the list; with `unread`, to the next that has something new."""
        names = [room.name for room in self.chat.ordered()]
        if not names:
            return
        at = names.index(self.opened) if self.opened in names else -step
        for distance in range(1, len(names) + 1):
            name = names[(at + step * distance) % len(names)]
            if not unread or self.chat.rooms[name].unread:
                self.open(name)
                return

    def _close_room(self) -> None:
        if self.opened is None:
            return
        self.keep_draft()
        if self.transcript is not None:
            self.transcript.unread_after = None

    def keep_draft(self) -> None:
        """Remember the open room and what stands in the input."""
        if self.opened is not None:
            with suppress(ConfigError):  # a full disk: the window works on
                self.kept.keep_draft(self.opened, self.entry.value)
                self.kept.set_room(self.opened)

    @property
    def sash(self) -> int:
        """The width of the room list in pixels."""
        return int(self.panes.sashpos(0))  # type: ignore[no-untyped-call]

    def place_sash(self, width: int) -> None:
        if self.panes.winfo_exists():
            self.panes.sashpos(0, width)  # type: ignore[no-untyped-call]

    def _older(self, before: int) -> None:
        name = self.opened
        if name is not None:
            self.network.tell(lambda engine: engine.older(name, before))

    def _tell_typing(self, text: str) -> None:
        """Let the others know that something is being written to them."""
        name, now = self.opened, time.monotonic()
        if name is not None and text.strip() and text[0] != "/" and now > self._told_typing_at + TYPING_EVERY_S:
            self._told_typing_at = now
            self.network.tell(lambda engine: engine.typing(name))

    # Reading

    def focused(self, has_focus: bool) -> None:
        """The window came to the front, or went from it."""
        self._has_focus = has_focus
        if has_focus:
            self.mark_read()

    def mark_read(self) -> None:
        """What is in view of somebody who looks on has been read."""
        room, transcript = self.room, self.transcript
        if room is None or transcript is None or not transcript.is_loaded or not self._has_focus:
            return
        newest = transcript.newest
        if room.unread and newest > room.read and self.view.is_at_bottom:
            name = room.name
            self.network.tell(lambda engine: engine.mark_read(name, newest))

    def _alert(self, name: str, line: Line, why: str) -> None:
        looks_on = self._has_focus and name == self.opened
        transcript = self.transcript
        if name == self.opened and not looks_on and transcript is not None and transcript.unread_after is None:
            transcript.unread_after = line.seq - 1
        if not looks_on and wanted(self.kept.level(name) or "mentions", why, line.ts):
            room = self.chat.rooms.get(name)
            self._notifier.tell(
                name, room.title if room else name, self.chat.names.get(line.sender, line.sender), line, why
            )

    # Words

    def say(self, words: str) -> None:
        """Say something above the input for a while; "" takes it away."""
        if self._saying is not None:
            self.after_cancel(self._saying)
            self._saying = None
        self.said.configure(text=words, wraplength=max(200, self.view.winfo_width() - self.theme.px(40)))
        if words:
            self.said.pack(side="bottom", fill="x", padx=self.theme.px(16), before=self.view)
            self._saying = self.after(SAID_MS, lambda: self.say(""))
        else:
            self.said.pack_forget()

    def problem(self, problem: Failed) -> None:
        """Say what was not done, and why."""
        self.say(f"{clean(problem.what)}: {clean(str(problem.error))}")

    # Drawing

    def _draw_rooms(self) -> None:
        ordered = self.chat.ordered()
        if self.opened is not None and self.opened not in self.chat.rooms:
            self._close_room()
            self.opened = None
            self.view.show(None, None)
        self.rooms.show(ordered, self.opened)
        if self._composer is None:
            self._recomposed()
        if self._wished in self.chat.rooms and self._wished != self.opened:
            self.open(self._wished)
        elif self.opened is None and ordered:
            self.open(ordered[0].name)
        elif self.opened is None:
            self.view.show(None, None)
            self.entry.hint("Write /join and a room's name, or press Ctrl-K")
        self._wished = ""
        self.state_line.who(f"{clean(self.chat.me)}")

    def _draw_status(self) -> None:
        transcript = self.transcript
        catching_up = transcript is not None and transcript.is_stale
        own = [line.sending for each in self.chat.transcripts.values() for line in each.pending]
        waiting, refused = own.count(Sending.PENDING), own.count(Sending.FAILED)
        self.state_line.show(self.chat.status, catching_up=catching_up, waiting=waiting, refused=refused)

    def _draw_typing(self) -> None:
        who = self.chat.typing(self.opened, time.monotonic()) if self.opened is not None else []
        names = [clean(self.chat.names.get(user, user)) for user in who[:3]]
        self.view.set_typing(f"{', '.join(names)} {'is' if len(who) == 1 else 'are'} typing …" if who else "")
        if who:
            self.after(1000, lambda: self._dirty.add("typing"))

    def _recomposed(self) -> None:
        """Colours or who one is have changed: compose the lines anew."""
        if self.chat.me:
            drawn = glyphs.drawn_by(self._windowing)
            fits = self.view.fits if self._windowing == "x11" else None
            self._composer = Composer(self.chat.me, self.chat.names, len(self.theme.palette.senders), drawn, fits)
            if self.transcript is not None:
                self.view.compose_by(self._composer)

    def to_view(self) -> None:
        """Go into the messages, to the newest."""
        self.view.text.focus_set()
        self.view.choose(-1)

    def _sources(self) -> Sources:
        here = [str(row.get("user")) for row in self.chat.members.get(self.opened or "", [])]
        others = (user for room in self.chat.rooms.values() for user in room.users)
        people = dict.fromkeys((*here, *others, *self.chat.names))
        return Sources(tuple(people), tuple(self.chat.rooms))
